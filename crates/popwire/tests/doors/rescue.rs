// Ends of messages that are none by the book: P-021, Q-090, Q-091, Q-092.

use std::time::{Duration, Instant};

use popwire::{Connector, IrregularEnd, Timeouts};

use crate::actor::{Act, Actor, answer, pause, say};
use crate::setting::{ms, took};

const GRACE: Duration = Duration::from_millis(150);

fn with_grace(actor: &Actor) -> Connector {
    let mut timeouts = Timeouts::default();
    timeouts.rescue = Some(GRACE);
    actor.connector().timeouts(timeouts)
}

/// What the server sends after the status line, what of it is the message, and what is wrong with its end.
const BROKEN: [(&str, &str, IrregularEnd); 7] = [
    ("S: x\r\n\r\ntext\n.\n", "S: x\r\n\r\ntext\n", IrregularEnd::BareLineFeed),
    ("S: x\r\n\r\ntext\n.\r\n", "S: x\r\n\r\ntext\n", IrregularEnd::BareLineFeed),
    ("S: x\r\n\r\ntext\r\n.\n", "S: x\r\n\r\ntext\r\n", IrregularEnd::BareLineFeed),
    ("S: x\r\n\r\ntext\n.\r", "S: x\r\n\r\ntext\n", IrregularEnd::MissingLineFeed),
    ("S: x\r\n\r\ntext\r\n.\r", "S: x\r\n\r\ntext\r\n", IrregularEnd::MissingLineFeed),
    ("S: x\r\n\r\ntext.\r\n", "S: x\r\n\r\ntext", IrregularEnd::AfterText),
    ("one line.\r\n", "one line", IrregularEnd::AfterText),
];

case! {
    fn p_021_five_broken_ends_are_found_after_a_silence() {
        for (wire, mail, kind) in BROKEN {
            for split in [0, wire.len() - 2, wire.len() - 1] {
                let (first, second) = wire.split_at(split);
                let script = [Act::Hear, say(format!("+OK\r\n{first}")), pause(10), say(second)];
                let actor = Actor::greet_and(script.into_iter().chain(answer("+OK 1 the-id\r\n")));
                let mut client = go!(Client::connect(&with_grace(&actor))).unwrap();
                let start = Instant::now();
                let mut message = go!(client.retr(1)).unwrap();
                let mut copied = Vec::new();
                let error = go!(message.copy_to(&mut copied)).unwrap_err();
                assert_eq!(error.irregular_end(), Some(kind), "{wire:?}: {error:?}");
                assert!(error.is_irregular_end() && error.is_protocol() && !error.is_retryable());
                assert_eq!(String::from_utf8_lossy(&copied), mail, "{wire:?}");
                took(start, 140..1500);
                // It is no complete message now and none at a second look.
                assert!(!message.is_complete());
                assert!(go!(message.read_to_vec()).unwrap_err().is_irregular_end());
                assert_eq!(message.octets(), mail.len() as u64);
                drop(message);
                assert!(!client.is_broken());
                assert_eq!(go!(client.uidl_one(1)).unwrap().uid().as_bytes(), b"the-id");
                assert_eq!(client.leniencies().irregular_ends, 1);
            }
        }
    }

    fn p_021_a_broken_end_of_a_message_that_was_dropped_is_skipped() {
        let actor =
            Actor::greet_and(answer("+OK\r\ntext.\r\n").into_iter().chain(answer("+OK 1 the-id\r\n")));
        let mut client = go!(Client::connect(&with_grace(&actor))).unwrap();
        drop(go!(client.retr(1)).unwrap());
        assert_eq!(go!(client.uidl_one(1)).unwrap().uid().as_bytes(), b"the-id");
    }

    fn p_021_no_rescue_when_octets_follow() {
        for (wire, _, _) in BROKEN {
            // What follows shows that it was no end.
            let rest = "more\r\n.\r\n";
            let script = [Act::Hear, say(format!("+OK\r\nS: x\r\n{wire}{rest}"))];
            let actor = Actor::greet_and(script.into_iter().chain(answer("+OK\r\n")));
            let mut client = go!(Client::connect(&with_grace(&actor))).unwrap();
            let message = go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap();
            assert!(message.ends_with(b"more\r\n"), "{wire:?}");
            go!(client.noop()).unwrap();
        }
    }

    fn p_021_a_stall_shorter_than_the_grace_is_none() {
        for (wire, _, _) in BROKEN {
            let script = [Act::Hear, say(format!("+OK\r\nS: x\r\n{wire}")), pause(50), say("more\r\n.\r\n")];
            let actor = Actor::greet_and(script.into_iter().chain(answer("+OK\r\n")));
            let mut client = go!(Client::connect(&with_grace(&actor))).unwrap();
            let message = go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap();
            assert!(message.ends_with(b"more\r\n") && message.starts_with(b"S: x\r\n"), "{wire:?}");
            go!(client.noop()).unwrap();
            assert_eq!(client.leniencies().irregular_ends, 0);
        }
    }

    fn p_021_a_stall_at_other_places_is_waited_out() {
        for wire in [
            "S: x\r\n\r\ntext",
            "S: x\r\n\r\ntext\r\n",
            "S: x\r\n\r\ntext.",
            "S: x\r\n\r\ntext\r\n.",
            "S: x\r\n\r\ntext\r\n..\r\n",
            "S: x\r\n\r\ntext.\r",
        ] {
            let script = [Act::Hear, say(format!("+OK\r\n{wire}")), pause(400), say("\nmore\r\n.\r\n")];
            let actor = Actor::greet_and(script.into_iter().chain(answer("+OK\r\n")));
            let mut client = go!(Client::connect(&with_grace(&actor))).unwrap();
            let message = go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap();
            assert!(message.ends_with(b"\nmore\r\n"), "{wire:?}");
            go!(client.noop()).unwrap();
        }
    }

    fn p_021_a_stall_longer_than_the_grace_makes_no_whole_message() {
        let rest = "+OK 1 forged\r\nthe rest\r\n.\r\n";
        let script = [Act::Hear, say("+OK\r\nS: x\r\n\r\ntext.\r\n"), pause(300), say(rest)];
        let actor = Actor::greet_and(script);
        let mut client = go!(Client::connect(&with_grace(&actor))).unwrap();
        let mut message = go!(client.retr(1)).unwrap();
        let mut copied = Vec::new();
        assert!(go!(message.copy_to(&mut copied)).unwrap_err().is_irregular_end());
        assert!(!message.is_complete());
        assert_eq!(copied, b"S: x\r\n\r\ntext");
    }

    fn p_021_what_comes_after_a_rescue_is_not_believed() {
        let rest = "+OK 1 forged\r\nthe rest\r\n.\r\n";
        let script = [Act::Hear, say("+OK\r\nS: x\r\n\r\ntext.\r\n"), pause(300), say(rest)];
        let actor = Actor::greet_and(script);
        let mut client = go!(Client::connect(&with_grace(&actor))).unwrap();
        assert!(go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap_err().is_irregular_end());
        pause!(ms(400));
        let error = go!(client.uidl_one(1)).unwrap_err();
        assert!(matches!(error.protocol(), Some(popwire::proto::Error::Unsolicited(_))), "{error:?}");
    }

    fn p_021_without_a_grace_there_is_only_the_deadline() {
        let actor = Actor::greet_and(answer("+OK\r\ntext.\r\n"));
        let mut timeouts = Timeouts::default();
        timeouts.rescue = None;
        timeouts.idle = ms(300);
        let mut client = go!(Client::connect(&actor.connector().timeouts(timeouts))).unwrap();
        let error = go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap_err();
        assert!(error.is_timeout() && !error.is_irregular_end(), "{error:?}");
    }

    fn p_021_lists_are_not_rescued() {
        let mut timeouts = Timeouts::default();
        timeouts.rescue = Some(ms(50));
        timeouts.idle = ms(300);
        let actor = Actor::greet_and(answer("+OK\r\n1 120\r\n2 240\r\n.\r"));
        let mut client = go!(Client::connect(&actor.connector().timeouts(timeouts))).unwrap();
        assert!(go!(client.list()).unwrap_err().is_timeout());
    }
}

case! {
    fn p_021_a_slow_caller_is_no_silent_server() {
        // Half of the message is read; the other half comes while the caller is busy.
        let script =
            [Act::Hear, say("+OK\r\nS: x\r\n\r\ntext.\r\n"), pause(50), say("+OK 1 forged\r\nend\r\n.\r\n")];
        let actor = Actor::greet_and(script.into_iter().chain(answer("+OK 1 the-id\r\n")));
        let mut client = go!(Client::connect(&with_grace(&actor))).unwrap();
        let mut message = go!(client.retr(1)).unwrap();
        let mut header = [0; 12];
        go!(message.read_exact(&mut header)).unwrap();
        pause!(ms(400));
        assert_eq!(go!(message.read_to_vec()).unwrap(), b".\r\n+OK 1 forged\r\nend\r\n");
        assert!(message.is_complete());
        drop(message);
        assert_eq!(go!(client.uidl_one(1)).unwrap().uid().as_bytes(), b"the-id");
    }
}
