//! STAT, LIST, RETR, DELE, NOOP, RSET, TOP, UIDL, and QUIT's answer (RFC 1939 sections 5 to 7).

use popwire_proto::command::*;
use popwire_proto::listing::{ScanListing, UniqueIds};
use popwire_proto::{ArgumentError, Error, OutOfOrder, Secret, State, Status, Verb};

use crate::talk::{Talk, answer_under_every_cut};

fn stat(answer: &str) -> Result<(u64, Option<u64>), Error> {
    let stat = answer_under_every_cut(&StatCommand, format!("{answer}\r\n").as_bytes())?;
    Ok((stat.messages, stat.octets))
}

fn list(lines: &str) -> ScanListing {
    answer_under_every_cut(&ListCommand, format!("+OK\r\n{lines}.\r\n").as_bytes()).unwrap()
}

fn uidl(lines: &[u8]) -> UniqueIds {
    answer_under_every_cut(&UidlCommand, &[b"+OK\r\n", lines, b".\r\n"].concat()).unwrap()
}

#[test]
fn p_051_stat_is_two_numbers_and_whatever_follows() {
    assert_eq!(stat("+OK 2 320"), Ok((2, Some(320))));
    assert_eq!(stat("+OK 0 0"), Ok((0, Some(0))));
    assert_eq!(stat("+OK 2 320 and more 9"), Ok((2, Some(320))));
    assert_eq!(stat("+OK  2\t 320 "), Ok((2, Some(320))));
    assert_eq!(stat("+OK 1 9223372036854775808"), Ok((1, Some(1 << 63))));
    assert_eq!(stat("+OK 1 18446744073709551615"), Ok((1, Some(u64::MAX))));
    assert_eq!(stat("+OK 1 18446744073709551616"), Ok((1, None)));
    assert_eq!(stat("+OK 002 0320"), Ok((2, Some(320))));
}

#[test]
fn p_051_a_stat_without_a_count_is_an_error_and_the_session_goes_on() {
    for answer in ["+OK", "+OK two 320", "+OK -2 320", "+OK +2 320", "+OK 2.5 1", "+OK 0x2 1", "+OK 2,5"] {
        let mut talk = Talk::logged_in();
        let error = talk.ask(&StatCommand, format!("{answer}\r\n").as_bytes()).unwrap_err();
        assert_eq!(error, Error::Malformed { verb: Verb::Stat, line: answer.into() });
        assert_eq!(talk.ask(&StatCommand, b"+OK 2 320\r\n").unwrap().messages, 2);
    }
}

#[test]
fn an_empty_maildrop_has_empty_listings() {
    assert!(list("").is_empty());
    assert!(uidl(b"").is_empty());
    assert_eq!((list("").skipped(), uidl(b"").skipped()), (0, 0));
}

#[test]
fn p_062_a_deletion_is_pending_until_quit_is_answered() {
    let mut talk = Talk::logged_in();
    talk.ask(&DeleCommand { number: 1 }, b"+OK\r\n").unwrap();
    talk.ask(&DeleCommand { number: 2 }, b"+OK\r\n").unwrap();
    assert!(!talk.ask_for_reply(&DeleCommand { number: 3 }, b"-ERR no such message\r\n").unwrap().is_ok());
    assert_eq!(talk.client.marked(), 2, "what was refused is not marked");
    talk.send(&QuitCommand).unwrap();
    assert_eq!(talk.client.state(), State::Update);
    assert!(talk.client.reply().unwrap().is_none(), "sent is not done");
    talk.server_closes();
    let error = talk.hear().unwrap_err();
    assert_eq!(error, Error::Closed { verb: Verb::Quit, received: 0 }, "nobody knows what was deleted");
    assert_eq!(talk.client.marked(), 2);
}

#[test]
fn p_062_rset_takes_the_marks_back_only_if_the_server_says_so() {
    let mut talk = Talk::logged_in();
    talk.ask(&DeleCommand { number: 1 }, b"+OK\r\n").unwrap();
    assert!(!talk.ask_for_reply(&RsetCommand, b"-ERR\r\n").unwrap().is_ok());
    assert_eq!(talk.client.marked(), 1);
    talk.ask(&RsetCommand, b"+OK 0\r\n").unwrap();
    assert_eq!(talk.client.marked(), 0);
}

#[test]
fn p_063_the_refusal_of_quit_reaches_the_caller() {
    let mut talk = Talk::logged_in();
    talk.ask(&DeleCommand { number: 1 }, b"+OK\r\n").unwrap();
    let reply = talk.ask_for_reply(&QuitCommand, b"-ERR some deleted messages not removed\r\n").unwrap();
    assert_eq!((reply.status(), reply.text()), (Status::Err, &b"some deleted messages not removed"[..]));
    assert_eq!(talk.client.marked(), 1);
    assert_eq!(talk.send(&QuitCommand), Err(Error::OutOfOrder(OutOfOrder::AfterQuit)));
}

#[test]
fn p_065_a_refused_top_leaves_the_session_for_retr() {
    let mut talk = Talk::logged_in();
    let top = TopCommand { number: 1, lines: 0 };
    assert!(!talk.ask_for_reply(&top, b"-ERR unknown command\r\n").unwrap().is_ok());
    let message = talk.fetch(&RetrCommand { number: 1 }, b"+OK\r\nSubject: x\r\n\r\n.\r\n").unwrap().0;
    assert_eq!(message, b"Subject: x\r\n\r\n");
}

#[test]
fn p_068_uids_are_octets_with_case_and_may_repeat() {
    let uids = uidl(b"1 abc\r\n2 ABC\r\n3 abc\r\n4 \xe4\xff\r\n");
    let list: Vec<_> = uids.iter().map(|(number, uid)| (number, uid.as_bytes())).collect();
    assert_eq!(list, [(1, &b"abc"[..]), (2, b"ABC"), (3, b"abc"), (4, b"\xe4\xff")]);
    assert_ne!(uids.get(1), uids.get(2));
    assert_eq!(uids.get(1), uids.get(3), "identical copies may share an id, and none is dropped");
}

#[test]
fn p_069_entries_are_known_by_their_numbers() {
    let scans = list("9 90\r\n2 20\r\n5 50\r\n");
    let entries: Vec<_> = scans.iter().map(|scan| (scan.number, scan.octets)).collect();
    assert_eq!(entries, [(2, Some(20)), (5, Some(50)), (9, Some(90))]);
    assert_eq!(scans.get(5).and_then(|scan| scan.octets), Some(50));
    assert_eq!((scans.get(1), scans.get(3)), (None, None));
    let uids = uidl(b"9 i\r\n2 b\r\n");
    assert_eq!(uids.get(9).unwrap().as_bytes(), b"i");
    assert_eq!(uids.get(1), None);
}

#[test]
fn p_070_odd_uids_are_accepted_and_flagged() {
    let longest = "x".repeat(1000);
    let lines = format!(
        "1 {}\r\n2 {}\r\n3 {longest}\r\n4 {longest}x\r\n5 a b\r\n6 \x1b[2J\r\n7 a\0b\r\n8 ~!\r\n",
        "x".repeat(70),
        "x".repeat(71)
    );
    let uids = uidl(lines.as_bytes());
    let regular: Vec<_> = uids.iter().map(|(number, uid)| (number, uid.is_regular())).collect();
    let expected = [(1, true), (2, false), (3, false), (5, false), (6, false), (7, false), (8, true)];
    assert_eq!(regular, expected);
    assert_eq!((uids.get(4), uids.skipped()), (None, 1), "beyond 1000 octets it is garbage");
    assert_eq!(uids.get(7).unwrap().as_bytes(), b"a\0b", "nothing is cut off");
    assert_eq!(uids.get(6).unwrap().to_string(), r"\x1b[2J", "shown without harm to a terminal");
}

#[test]
fn p_073_message_numbers_are_decimal_from_1_up() {
    let mut talk = Talk::logged_in();
    let zero = Err(Error::Argument(ArgumentError::Zero));
    assert_eq!(talk.send(&RetrCommand { number: 0 }), zero);
    assert_eq!(talk.send(&DeleCommand { number: 0 }), zero);
    assert_eq!(talk.send(&TopCommand { number: 0, lines: 1 }), zero);
    assert_eq!(talk.send(&ListOneCommand { number: 0 }), zero);
    assert_eq!(talk.send(&UidlOneCommand { number: 0 }), zero);
    assert_eq!(talk.client.unsent(), b"");
    assert_eq!(talk.send(&DeleCommand { number: u32::MAX }).unwrap(), b"DELE 4294967295\r\n");
}

#[test]
fn top_asks_for_no_more_lines_than_servers_can_count() {
    let mut talk = Talk::logged_in();
    assert_eq!(talk.send(&TopCommand { number: 1, lines: u32::MAX }).unwrap(), b"TOP 1 99999999\r\n");
    assert_eq!(talk.send(&TopCommand { number: 1, lines: 7 }).unwrap(), b"TOP 1 7\r\n");
}

#[test]
fn the_answer_for_one_message_is_about_that_message() {
    let one = answer_under_every_cut(&ListOneCommand { number: 2 }, b"+OK 2 200\r\n").unwrap();
    assert_eq!((one.scan.number, one.scan.octets), (2, Some(200)));
    let other = answer_under_every_cut(&ListOneCommand { number: 2 }, b"+OK 1 200\r\n").unwrap_err();
    assert_eq!(other, Error::Malformed { verb: Verb::List, line: "+OK 1 200".into() });
    let one = answer_under_every_cut(&UidlOneCommand { number: 2 }, b"+OK 2 a b \r\n").unwrap();
    assert_eq!(one.uid().as_bytes(), b"a b");
    let other = answer_under_every_cut(&UidlOneCommand { number: 2 }, b"+OK 1 abc\r\n").unwrap_err();
    assert_eq!(other, Error::Malformed { verb: Verb::Uidl, line: "+OK 1 abc".into() });
}

#[test]
fn what_is_not_read_of_a_message_is_skipped_before_the_next_answer() {
    let mut talk = Talk::logged_in();
    let body = b"+OK\r\nSubject: x\r\n\r\nbody\n.\r\n+OK forged\r\n.\r\n";
    talk.ask_for_reply(&RetrCommand { number: 1 }, body).unwrap();
    assert!(!talk.client.is_settled());
    assert!(talk.ask_for_reply(&StatCommand, b"+OK 1 2\r\n").unwrap().text() == b"1 2");
}

#[test]
fn an_answer_that_nobody_waits_for_any_more_is_thrown_away_by_settle() {
    let mut talk = Talk::logged_in();
    talk.send(&RetrCommand { number: 1 }).unwrap();
    talk.send(&UidlCommand).unwrap();
    talk.server(b"+OK\r\nSubject: x\r\n");
    assert_eq!(talk.client.settle(), Ok(false));
    talk.server(b"\r\n.\r\n+OK\r\n1 a\r\n");
    assert_eq!(talk.client.settle(), Ok(false));
    talk.server(b".\r\n");
    assert_eq!(talk.client.settle(), Ok(true));
    assert_eq!(talk.ask(&StatCommand, b"+OK 1 2\r\n").unwrap().messages, 1);
}

#[test]
fn there_is_no_message_where_retr_was_refused() {
    let mut talk = Talk::logged_in();
    assert!(!talk.ask_for_reply(&RetrCommand { number: 1 }, b"-ERR gone\r\n").unwrap().is_ok());
    assert!(talk.client.is_settled());
    let password = PassCommand { password: Secret::from("x") };
    assert!(talk.send(&password).is_err(), "and nothing of the login is to be said again");
    assert_eq!(talk.ask(&StatCommand, b"+OK 0 0\r\n").unwrap().messages, 0);
}
