use std::io::Write as _;
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::destination::testing::parcel;
use crate::transfer::testing::{Part, Talk, play};
use crate::{DeliveryError, Destination as _, Parcel};

fn destination(place: &str) -> LmtpDestination {
    LmtpDestination::new(place, Mailbox::new("bob").unwrap()).patience(Duration::from_secs(10))
}

fn deliver(destination: &mut LmtpDestination, parcels: &[&Parcel]) -> Vec<Result<String, DeliveryError>> {
    assert!(destination.prepare(parcels).iter().all(Result::is_ok));
    destination.commit(parcels)
}

fn refusal(result: &Result<String, DeliveryError>) -> (&str, bool) {
    match result {
        Err(DeliveryError::Refused { said, permanent, .. }) => (said, *permanent),
        other => panic!("{other:?}"),
    }
}

fn is_unavailable(result: &Result<String, DeliveryError>) -> bool {
    matches!(result, Err(DeliveryError::Unavailable { .. }))
}

const AWKWARD: &[u8] = b"Return-Path: <eve@x>\r\nS: a\nb\rc\r\n\r\n.\r\n..\r\n\xff\0end";

#[test]
fn what_is_announced_is_used_and_the_connection_kept_for_the_next_batch() {
    let (place, playing) = play(&[|mut talk: Talk| {
        talk.greet("LHLO", &["PIPELINING", "8bitmime", "SIZE 1000", "DSN"]);
        let mark = parcel("1", AWKWARD).mark;
        talk.hear(&format!("MAIL FROM:<eve@x> SIZE={} BODY=8BITMIME ENVID={mark}", AWKWARD.len()));
        talk.hear("RCPT TO:<bob>");
        talk.hear("DATA");
        talk.say(&["250 ok", "250 ok", "354 go on"]);
        let expected = b"Return-Path: <eve@x>\r\nS: a\r\nb\r\nc\r\n\r\n..\r\n...\r\n\xff\0end\r\n.\r\n";
        assert_eq!(talk.message(), expected);
        talk.say(&["250-2.0.0 stored", "250 well"]);
        let mark = parcel("2", b"").mark;
        talk.hear(&format!("MAIL FROM:<> SIZE=0 ENVID={mark}"));
        talk.hear("RCPT TO:<bob>");
        talk.hear("DATA");
        talk.say(&["250 ok", "250 ok", "354 go on"]);
        assert_eq!(talk.message(), b".\r\n");
        talk.say(&["250 ok"]);
        talk.hear("QUIT");
        talk.end();
    }]);
    let mut destination = destination(&place);
    assert_eq!(destination.name(), format!("lmtp:{place} bob"));
    assert!(!destination.remembers() && destination.marks().unwrap().is_empty());
    let said = deliver(&mut destination, &[&parcel("1", AWKWARD)]).remove(0).unwrap();
    assert_eq!(said, format!("lmtp:{place} bob: 250 2.0.0 stored well"));
    // Too large: nothing is said at all. Then an empty one.
    let results = deliver(&mut destination, &[&parcel("3", &[b'x'; 1001]), &parcel("2", b"")]);
    assert!(refusal(&results[0]).1 && results[1].is_ok());
    drop(destination);
    playing.join().unwrap();
}

#[test]
fn a_refusal_costs_its_message_only() {
    let alone: Part = |mut talk| {
        talk.greet("LHLO", &[]);
        talk.hear("MAIL FROM:<>");
        talk.say(&["451-not", "451 now\u{1b}"]);
        talk.hear("RSET");
        talk.say(&["250 ok"]);
        talk.hear("MAIL FROM:<>");
        talk.say(&["250 ok"]);
        talk.hear("RCPT TO:<bob>");
        talk.say(&["550 no bob"]);
        talk.hear("RSET");
        talk.say(&["250 ok"]);
        talk.envelope();
        assert_eq!(talk.message(), b"three\r\n.\r\n");
        talk.say(&["552 full"]);
        talk.envelope();
        assert_eq!(talk.message(), b"four\r\n.\r\n");
        talk.say(&["250 ok"]);
        talk.hear("QUIT");
    };
    let pipelined: Part = |mut talk| {
        talk.greet("LHLO", &["PIPELINING"]);
        for answers in [["451 not now", "503 what?", "503 what?"], ["250 ok", "550 no bob", "554 nobody"]] {
            talk.hear("MAIL FROM:<>");
            talk.hear("RCPT TO:<bob>");
            talk.hear("DATA");
            talk.say(&answers);
            talk.hear("RSET");
            talk.say(&["250 ok"]);
        }
        for answer in ["552 full", "250 ok"] {
            talk.envelope();
            talk.message();
            talk.say(&[answer]);
        }
        talk.hear("QUIT");
    };
    for part in [alone, pipelined] {
        let (place, playing) = play(&[part]);
        let parcels = ["one", "two", "three", "four"].map(|text| parcel("1", text.as_bytes()));
        let mut destination = destination(&place);
        let results = deliver(&mut destination, &parcels.iter().collect::<Vec<_>>());
        assert!(refusal(&results[0]).0.starts_with("451 not now") && !refusal(&results[0]).1);
        assert!(!refusal(&results[0]).0.contains('\u{1b}'));
        assert_eq!(refusal(&results[1]), ("550 no bob", true));
        assert_eq!(refusal(&results[2]), ("552 full", true));
        assert!(results[3].is_ok());
        drop(destination);
        playing.join().unwrap();
    }
}

#[test]
fn a_connection_that_has_gone_is_made_anew() {
    let one: Part = |mut talk| {
        talk.greet("LHLO", &[]);
        talk.envelope();
        talk.message();
        talk.say(&["250 ok"]);
    };
    let busy: Part = |mut talk| {
        talk.greet("LHLO", &[]);
        talk.envelope();
        talk.message();
        talk.say(&["250 ok"]);
        talk.hear("MAIL FROM:<>");
        talk.say(&["421 enough for one connection"]);
    };
    let (place, playing) = play(&[one, busy, one]);
    let mut destination = destination(&place);
    for text in ["one", "two", "three"] {
        assert!(deliver(&mut destination, &[&parcel("1", text.as_bytes())])[0].is_ok(), "{text}");
    }
    playing.join().unwrap();
}

#[test]
fn a_server_that_cannot_be_spoken_to_takes_nothing() {
    let parts: [Part; 7] = [
        |mut talk| talk.say(&["554 no mail here"]),
        |mut talk| talk.say(&["+OK POP3 ready"]),
        |mut talk| talk.say(&["999 what"]),
        |_| {},
        |mut talk| drop(talk.0.get_mut().write_all(&[b'2'; 10_000])),
        |mut talk| drop(talk.0.get_mut().write_all("220-more\r\n".repeat(10_000).as_bytes())),
        |mut talk| {
            talk.say(&["220 peer"]);
            talk.hear_any();
            talk.say(&["500 what?"]);
        },
    ];
    let [one, two] = [parcel("1", b"one"), parcel("1", b"two")];
    for part in parts {
        let (place, playing) = play(&[part]);
        let results = deliver(&mut destination(&place), &[&one, &two]);
        assert!(results.iter().all(is_unavailable), "{results:?}");
        playing.join().unwrap();
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for nowhere in [closed.as_str(), "/nonexistent/socket", "localhost:no", &format!("/{}", "x".repeat(200))]
    {
        let results = deliver(&mut destination(nowhere), &[&one, &two]);
        assert!(results.iter().all(is_unavailable), "{results:?}");
    }
}

#[test]
fn every_wait_has_an_end() {
    let silent: Part = |talk| talk.end();
    let trickling: Part = |mut talk| {
        while talk.0.get_mut().write_all(b"2").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    };
    let not_reading: Part = |mut talk| {
        talk.greet("LHLO", &[]);
        talk.envelope();
        thread::sleep(Duration::from_millis(2000));
    };
    for part in [silent, trickling, not_reading] {
        let (place, playing) = play(&[part]);
        let begun = Instant::now();
        let mut destination = destination(&place).patience(Duration::from_millis(300));
        let results = deliver(&mut destination, &[&parcel("1", &vec![b'x'; 30 << 20])]);
        assert!(is_unavailable(&results[0]), "{results:?}");
        assert!(begun.elapsed() < Duration::from_millis(1900));
        drop(destination);
        playing.join().unwrap();
    }
}

#[test]
fn a_message_that_breaks_the_connection_does_not_keep_others_back() {
    let breaks: Part = |mut talk| {
        talk.greet("LHLO", &[]);
        talk.envelope();
        talk.message();
    };
    let takes: Part = |mut talk| {
        talk.greet("LHLO", &[]);
        talk.envelope();
        talk.message();
        talk.say(&["250 ok"]);
    };
    let (place, playing) = play(&[breaks, takes]);
    let [one, two, three] = ["one", "two", "three"].map(|text| parcel("1", text.as_bytes()));
    let results = deliver(&mut destination(&place), &[&one, &two]);
    assert!(!refusal(&results[0]).1 && results[1].is_ok(), "{results:?}");
    playing.join().unwrap();

    let (place, playing) = play(&[breaks, breaks]);
    let results = deliver(&mut destination(&place), &[&one, &two, &three]);
    assert!(!refusal(&results[0]).1 && results[1..].iter().all(is_unavailable), "{results:?}");
    playing.join().unwrap();
}

#[test]
fn a_server_that_has_read_enough_says_why() {
    let (place, playing) = play(&[
        |mut talk: Talk| {
            talk.greet("LHLO", &[]);
            talk.envelope();
            talk.hear_any();
            talk.say(&["552 too large"]);
            talk.0.get_mut().shutdown(std::net::Shutdown::Write).unwrap();
            // Reset at the client's next write, or some time after.
            thread::sleep(Duration::from_millis(300));
        },
        |mut talk: Talk| {
            talk.greet("LHLO", &[]);
            talk.envelope();
            talk.message();
            talk.say(&["250 ok"]);
        },
    ]);
    let large = b"line\r\n".repeat(5 << 20);
    let results = deliver(&mut destination(&place), &[&parcel("1", &large), &parcel("1", b"small")]);
    let (said, permanent) = refusal(&results[0]);
    // The reset may overtake the reply.
    assert!((said, permanent) == ("552 too large", true) || said.contains("the connection broke"), "{said}");
    assert!(results[1].is_ok());
    playing.join().unwrap();
}
