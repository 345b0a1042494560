//! Lines and framing: where a reply begins, where it ends, and what may be sent at all (RFC 1939 section 3).

use popwire_proto::command::*;
use popwire_proto::{
    ArgumentError, Client, Command, End, Error, IrregularEnd, Limits, OutOfOrder, Status, Verb,
};

use crate::talk::{Talk, answer_under_every_cut, message_under_every_cut, pass, under_every_cut, user};

#[test]
fn p_002_nothing_is_sent_before_the_greeting() {
    let mut talk = Talk::silent();
    assert_eq!(talk.send(&CapaCommand), Err(Error::OutOfOrder(OutOfOrder::BeforeGreeting)));
    talk.server(b"+OK read");
    assert!(talk.client.reply().unwrap().is_none());
    assert_eq!(talk.send(&RawCommand::single("NOOP")), Err(Error::OutOfOrder(OutOfOrder::BeforeGreeting)));
    assert_eq!(talk.client.unsent(), b"");
    talk.server(b"y\r\n");
    assert_eq!(talk.hear().unwrap().text(), b"ready");
    assert_eq!(talk.send(&CapaCommand).unwrap(), b"CAPA\r\n");
}

#[test]
fn p_002_the_text_of_a_negative_greeting_is_there_to_be_shown() {
    let mut talk = Talk::silent();
    talk.server(b"-ERR Too many open connections (12)\r\n");
    talk.server_closes();
    let greeting = talk.hear().unwrap();
    assert_eq!((greeting.status(), greeting.text()), (Status::Err, &b"Too many open connections (12)"[..]));
}

#[test]
fn p_002_a_negative_greeting_ends_the_session() {
    let mut talk = Talk::silent();
    talk.server(b"-ERR Too many open connections (12)\r\n");
    assert!(!talk.hear().unwrap().is_ok());
    assert!(talk.send(&user("alice")).is_err(), "nobody is there to log in to");
}

#[test]
fn p_004_every_command_is_keyword_single_blanks_arguments_crlf() {
    fn wire<C: Command>(command: &C, expected: &[u8]) {
        assert_eq!(Talk::greeted().send(command).unwrap(), expected);
    }
    wire(&user("alice"), b"USER alice\r\n");
    wire(&RpopCommand { name: b"alice".to_vec() }, b"RPOP alice\r\n");
    let digest = "c4c9334bac560ecc979e58001b3e22fb".into();
    wire(
        &ApopCommand { name: b"mrose".to_vec(), digest },
        b"APOP mrose c4c9334bac560ecc979e58001b3e22fb\r\n",
    );
    wire(&StatCommand, b"STAT\r\n");
    wire(&ListCommand, b"LIST\r\n");
    wire(&ListOneCommand { number: 1 }, b"LIST 1\r\n");
    wire(&UidlCommand, b"UIDL\r\n");
    wire(&UidlOneCommand { number: 20 }, b"UIDL 20\r\n");
    wire(&RetrCommand { number: 300 }, b"RETR 300\r\n");
    wire(&TopCommand { number: 1, lines: 0 }, b"TOP 1 0\r\n");
    wire(&DeleCommand { number: 1 }, b"DELE 1\r\n");
    wire(&NoopCommand, b"NOOP\r\n");
    wire(&RsetCommand, b"RSET\r\n");
    wire(&LastCommand, b"LAST\r\n");
    wire(&CapaCommand, b"CAPA\r\n");
    wire(&Utf8Command, b"UTF8\r\n");
    wire(&LangListCommand, b"LANG\r\n");
    wire(&LangCommand { tag: b"*".to_vec() }, b"LANG *\r\n");
    wire(&AuthListCommand, b"AUTH\r\n");
    wire(&QuitCommand, b"QUIT\r\n");
}

#[test]
fn p_007_a_command_line_has_at_most_255_octets() {
    let longest = "a".repeat(255 - "USER \r\n".len());
    assert_eq!(Talk::greeted().send(&user(&longest)).unwrap().len(), 255);
    let mut talk = Talk::greeted();
    let too_long = Error::Argument(ArgumentError::LineTooLong { length: 256, limit: 255 });
    assert_eq!(talk.send(&user(format!("{longest}a"))), Err(too_long));
    assert_eq!(talk.client.unsent(), b"", "nothing was sent");
    assert_eq!(talk.send(&user("a")).unwrap(), b"USER a\r\n", "and the session goes on");
}

#[test]
fn p_009_status_lines_may_have_2048_octets() {
    let line = |octets: usize| format!("+OK {}\r\n", "x".repeat(octets - 6)).into_bytes();
    let text =
        |answer: Vec<u8>| answer_under_every_cut(&NoopCommand, &answer).map(|reply| reply.text().len());
    assert_eq!(text(line(512)), Ok(506));
    assert_eq!(text(line(2048)), Ok(2042));
    assert_eq!(text(line(2049)), Err(Error::LineTooLong { limit: 2048 }));
    assert_eq!(text(line(5000)), Err(Error::LineTooLong { limit: 2048 }));
}

#[test]
fn p_009_the_cap_on_status_lines_is_the_callers() {
    let mut limits = Limits::default();
    limits.response_line = 100_000;
    let mut talk = Talk::greeted_within(limits);
    let answer = [b"+OK ", &[b'x'; 90_000][..], b"\r\n"].concat();
    assert_eq!(talk.ask(&NoopCommand, &answer).unwrap().text().len(), 90_000);
}

#[test]
fn p_011_the_status_is_ok_or_err_in_any_case_then_a_blank_or_nothing() {
    for (line, status, text) in [
        (&b"+OK\r\n"[..], Status::Ok, &b""[..]),
        (b"+ok x\r\n", Status::Ok, b"x"),
        (b"+Ok  x\r\n", Status::Ok, b" x"),
        (b"-ERR\r\n", Status::Err, b""),
        (b"-err x\r\n", Status::Err, b"x"),
    ] {
        let reply = under_every_cut(line, |pieces| {
            let mut talk = Talk::logged_in();
            talk.send(&NoopCommand).unwrap();
            pieces.iter().for_each(|piece| talk.server(piece));
            talk.hear().unwrap()
        });
        assert_eq!((reply.status(), reply.text()), (status, text));
    }
    for line in ["+ERR x", "+OKAY", "+OK,", "-ERROR", "OK", "+", "+ x", "-", "", " +OK", ".", "\0", "+ÖK"] {
        let mut talk = Talk::logged_in();
        let error = talk.ask_for_reply(&NoopCommand, format!("{line}\r\n").as_bytes()).unwrap_err();
        assert_eq!(error, Error::NotAStatusLine(line.into()));
        assert_eq!(talk.send(&NoopCommand), Err(error), "the session is over");
    }
}

#[test]
fn p_011_within_auth_too_a_plus_and_other_letters_are_no_challenge() {
    for line in ["+ERR Server error", "+OKAY"] {
        let mut talk = Talk::greeted();
        let auth = AuthCommand { mechanism: b"PLAIN".to_vec(), initial: None };
        let answer = talk.ask_for_reply(&auth, format!("{line}\r\n").as_bytes());
        assert_eq!(answer, Err(Error::NotAStatusLine(line.into())), "a secret would go out next");
    }
}

#[test]
fn p_012_the_text_after_a_status_means_nothing() {
    // Words that deny the status, counts that deny the list, a terminator, another status.
    let scans = answer_under_every_cut(&ListCommand, b"+OK -ERR 99 messages .\r\n1 120\r\n.\r\n").unwrap();
    assert_eq!(scans.len(), 1);
    let noop = answer_under_every_cut(&NoopCommand, b"+OK error: failed\r\n").unwrap();
    assert!(noop.is_ok());
    assert_eq!(message_of(b"+OK 1 octets follow\r\n", b"12345\r\n.\r\n"), b"12345\r\n");
}

fn message_of(status: &[u8], body: &[u8]) -> Vec<u8> {
    Talk::logged_in().fetch(&RetrCommand { number: 1 }, &[status, body].concat()).unwrap().0
}

#[test]
fn p_015_the_terminator_is_no_part_of_the_data() {
    assert_eq!(message_under_every_cut(b"a\r\n.\r\n").unwrap(), b"a\r\n");
    assert_eq!(message_under_every_cut(b".\r\n").unwrap(), b"");
    let raw = answer_under_every_cut(&RawCommand::multi("XTND"), b"+OK\r\na\r\n.\r\n").unwrap();
    assert_eq!(raw.data(), b"a\r\n");
    assert_eq!(raw.lines().collect::<Vec<_>>(), [b"a"]);
}

#[test]
fn p_018_a_dot_and_crlf_after_other_octets_are_data() {
    for data in [&b"a.\r\n"[..], b"a\n.\r\n", b"a\r\n \x20.\r\n", b"a\r\n\r.\r\n", b"a\r\nb\n.\r\nc\r\n"] {
        // Where the first line ends in LF alone, LF is this server's line end: that is P-020's other half.
        let first = b"first\r\n";
        let message = [&first[..], data].concat();
        let received = message_under_every_cut(&[&message[..], b".\r\n"].concat()).unwrap();
        assert_eq!(received, message);
    }
}

/// What a sender puts into a mail to be taken for the server by clients that split lines at LF.
const FORGED: &[u8] = b"harmless\r\n\n.\r\n+OK 1 forged-uid\r\n+OK 1 forged-uid\r\n";

#[test]
fn p_020_a_bare_lf_dot_line_in_a_crlf_message_is_data() {
    let wire = [b"Subject: x\r\n\r\n", FORGED, b".\r\n"].concat();
    let uid = under_every_cut(&wire, |pieces| {
        let mut talk = Talk::logged_in();
        talk.ask_for_reply(&RetrCommand { number: 1 }, b"+OK\r\n").unwrap();
        let (mut message, mut ends) = (Vec::new(), 0);
        for piece in pieces {
            talk.server(piece);
            if ends == 0 {
                let (more, end) = talk.read_message(usize::MAX).unwrap();
                message.extend(more);
                ends += usize::from(end.is_some());
            }
        }
        assert_eq!(message, [b"Subject: x\r\n\r\n", FORGED].concat());
        assert_eq!(ends, 1);
        let uid = talk.ask(&UidlOneCommand { number: 1 }, b"+OK 1 true-uid\r\n").unwrap();
        uid.uid().as_bytes().to_vec()
    });
    assert_eq!(uid, b"true-uid");
}

#[test]
fn p_020_the_attack_fails_too_while_the_next_command_is_on_its_way() {
    // A client that waits for nothing after the dot has the forged line in its buffer when it asks.
    let mut talk = Talk::logged_in();
    talk.send(&RetrCommand { number: 1 }).unwrap();
    talk.send(&UidlOneCommand { number: 1 }).unwrap();
    talk.server(&[b"+OK\r\nSubject: x\r\n\r\n", FORGED, b".\r\n+OK 1 true-uid\r\n"].concat());
    assert!(talk.hear().unwrap().is_ok());
    let uid = UidlOneCommand { number: 1 }.decode(talk.hear().unwrap(), &Limits::default()).unwrap();
    assert_eq!(uid.uid().as_bytes(), b"true-uid");
}

#[test]
fn p_020_a_server_that_writes_lf_ends_its_messages_with_lf() {
    for terminator in [&b".\n"[..], b".\r\n"] {
        let wire = [b"Subject: x\n\nCR LF is data here\r\n..\n", terminator].concat();
        let message = message_under_every_cut(&wire).unwrap();
        assert_eq!(message, b"Subject: x\n\nCR LF is data here\r\n.\n");
    }
    assert_eq!(message_under_every_cut(b".\n").unwrap(), b"", "either, where the first line is the dot");
}

#[test]
fn p_020_a_bare_cr_is_data_always() {
    assert_eq!(message_under_every_cut(b"a\r\n\r.\r\rb\r\r\n.\r\n").unwrap(), b"a\r\n\r.\r\rb\r\r\n");
    assert_eq!(message_under_every_cut(b"a\n\r.\r\rb\n.\n").unwrap(), b"a\n\r.\r\rb\n");
    assert_eq!(message_under_every_cut(b"\r\rfirst line\r\nb\r\n.\r\n").unwrap(), b"\r\rfirst line\r\nb\r\n");
}

#[test]
fn p_021_no_rescue_while_a_later_answer_is_owed() {
    let mut talk = Talk::logged_in();
    talk.send(&RetrCommand { number: 1 }).unwrap();
    talk.send(&NoopCommand).unwrap();
    talk.server(b"+OK\r\na\r\nb\n.\r\n");
    talk.hear().unwrap();
    talk.read_message(usize::MAX).unwrap();
    assert_eq!(talk.client.rescue(), None);
}

#[test]
fn p_021_no_rescue_of_a_connection_that_ended() {
    let mut talk = Talk::logged_in();
    talk.ask_for_reply(&RetrCommand { number: 1 }, b"+OK\r\na\r\nb\r\n.\r").unwrap();
    talk.read_message(usize::MAX).unwrap();
    talk.server_closes();
    assert_eq!(talk.client.rescue(), None);
    let error = talk.read_message(usize::MAX).unwrap_err();
    assert_eq!(error, Error::Closed { verb: Verb::Retr, received: 6 });
}

#[test]
fn p_021_after_a_rescue_the_session_is_in_step() {
    let mut talk = Talk::logged_in();
    talk.ask_for_reply(&RetrCommand { number: 1 }, b"+OK\r\na\r\nb\r\n.\r").unwrap();
    assert_eq!(talk.read_message(usize::MAX).unwrap(), (b"a\r\nb\r\n".to_vec(), None));
    assert_eq!(talk.client.rescue(), Some(IrregularEnd::MissingLineFeed));
    let end = talk.read_message(usize::MAX).unwrap();
    assert_eq!(end, (Vec::new(), Some(End::Irregular(IrregularEnd::MissingLineFeed))));
    assert!(talk.client.is_settled());
    assert_eq!(talk.ask(&StatCommand, b"+OK 1 5\r\n").unwrap().messages, 1);
}

#[test]
fn p_021_a_stuffed_dot_line_is_no_terminator() {
    let mut talk = Talk::logged_in();
    talk.ask_for_reply(&RetrCommand { number: 1 }, b"+OK\r\na\r\n..\r\n").unwrap();
    talk.read_message(usize::MAX).unwrap();
    assert_eq!(talk.client.rescue(), None, "the line was `..`: the server has stuffed it, so it goes on");
}

#[test]
fn p_023_what_was_tolerated_is_counted() {
    let mut talk = Talk::silent();
    talk.server(b"+OK ready\n");
    talk.hear().unwrap();
    assert_eq!(talk.client.leniencies().bare_lf_lines, 1);
    talk.ask(&NoopCommand, b"+OK\r\n").unwrap();
    talk.ask(&UidlCommand, b"+OK\r\n1 a\n.\n").unwrap();
    talk.fetch(&RetrCommand { number: 1 }, b"+OK\n1 a\n.\n").unwrap();
    talk.fetch(&RetrCommand { number: 1 }, b"+OK\r\na\r\nb\nc\r\n.\r\n").unwrap();
    let lenient = talk.client.leniencies();
    assert_eq!((lenient.bare_lf_lines, lenient.bare_lf_bodies, lenient.irregular_ends), (2, 2, 0));
}

#[test]
fn p_030_answers_are_matched_to_commands_in_order() {
    let mut talk = Talk::logged_in();
    talk.send(&StatCommand).unwrap();
    talk.send(&DeleCommand { number: 1 }).unwrap();
    talk.send(&ListOneCommand { number: 2 }).unwrap();
    talk.server(b"+OK 2 320\r\n-ERR no\r\n+OK 2 200\r\n");
    assert_eq!(talk.client.awaiting(), Some(Verb::Stat));
    assert_eq!(talk.hear().unwrap().text(), b"2 320");
    assert_eq!(talk.client.awaiting(), Some(Verb::Dele));
    assert_eq!(talk.hear().unwrap().status(), Status::Err);
    assert_eq!(talk.client.awaiting(), Some(Verb::List));
    assert_eq!(talk.hear().unwrap().text(), b"2 200");
    assert_eq!(talk.client.awaiting(), None);
    assert!(talk.client.is_settled());
    assert!(talk.client.reply().unwrap().is_none(), "nothing is owed");
}

#[test]
fn p_031_no_argument_smuggles_a_line_end_or_a_nul() {
    fn refused<C: Command>(command: &C) {
        let mut talk = Talk::greeted();
        talk.send(&user("alice")).unwrap();
        talk.server(b"+OK\r\n");
        talk.hear().unwrap();
        assert_eq!(talk.send(command), Err(Error::Argument(ArgumentError::ControlCharacter)));
        assert_eq!(talk.client.unsent(), b"", "nothing was sent");
        assert!(talk.client.is_settled() && !talk.client.is_broken());
    }
    for bad in ["a\r\nDELE 1", "\r", "\n", "\0", "a\0", "a\n", "\ra"] {
        refused(&user(bad));
        refused(&pass(bad));
        refused(&RpopCommand { name: bad.into() });
        refused(&ApopCommand { name: bad.into(), digest: "0".into() });
        refused(&ApopCommand { name: b"alice".to_vec(), digest: bad.into() });
        refused(&AuthCommand { mechanism: bad.into(), initial: None });
        refused(&AuthCommand { mechanism: b"PLAIN".to_vec(), initial: Some(bad.into()) });
        refused(&LangCommand { tag: bad.into() });
        refused(&RawCommand::single(format!("XTND {bad}")));
        refused(&RawCommand::multi(bad));
        refused(&RawCommand::single(format!("PASS {bad}")));
    }
}

#[test]
fn p_032_the_end_of_the_connection_is_no_refusal_and_no_message() {
    for (wire, received) in [(&b""[..], 0), (b"a", 1), (b"a\r\n", 3), (b"a\r\n.", 3), (b"a\r\n.\r", 3)] {
        let error = message_under_every_cut(wire).unwrap_err();
        assert_eq!(error, Error::Closed { verb: Verb::Retr, received }, "{wire:?}");
    }
    let cut_off = answer_under_every_cut(&ListCommand, b"+OK\r\n1 120\r\n2 20").unwrap_err();
    assert_eq!(cut_off, Error::Closed { verb: Verb::List, received: 11 });
    let cut_off = answer_under_every_cut(&StatCommand, b"+OK 1 12").unwrap_err();
    assert_eq!(cut_off, Error::Closed { verb: Verb::Stat, received: 8 });
    let mut client = Client::new(Limits::default());
    client.filled(0);
    assert_eq!(client.reply().unwrap_err(), Error::Closed { verb: Verb::Greeting, received: 0 });
}

#[test]
fn p_032_a_broken_session_stays_broken() {
    let mut talk = Talk::logged_in();
    talk.ask_for_reply(&RetrCommand { number: 1 }, b"+OK\r\na\r\n").unwrap();
    talk.server_closes();
    let error = loop {
        match talk.read_message(usize::MAX) {
            Ok((_, None)) => {}
            Ok((octets, Some(_))) => panic!("complete without an end: {octets:?}"),
            Err(e) => break e,
        }
    };
    talk.server(b".\r\n+OK\r\n");
    assert_eq!(talk.read_message(usize::MAX), Err(error.clone()), "the end that comes too late ends nothing");
    assert_eq!(talk.client.reply(), Err(error.clone()));
    assert_eq!(talk.client.settle(), Err(error.clone()));
    assert_eq!(talk.send(&NoopCommand), Err(error));
}
