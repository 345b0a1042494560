//! Where other POP3 libraries have failed: hung, spun, panicked, taken one thing for another.

use popwire_proto::command::*;
use popwire_proto::{ArgumentError, End, Error, Verb};

use crate::talk::{Talk, answer_under_every_cut, message_under_every_cut, user};

#[test]
fn a_heading_of_list_that_looks_like_an_entry_is_none() {
    let list = answer_under_every_cut(&ListCommand, b"+OK 2 320\r\n1 120\r\n2 200\r\n.\r\n").unwrap();
    let entries: Vec<_> = list.iter().map(|scan| (scan.number, scan.octets)).collect();
    assert_eq!(entries, [(1, Some(120)), (2, Some(200))]);
    assert_eq!((list.skipped(), list.reply().text()), (0, &b"2 320"[..]));
}

#[test]
fn a_heading_of_uidl_that_looks_like_an_id_is_none() {
    let uids = answer_under_every_cut(&UidlCommand, b"+OK 2 messages\r\n1 a\r\n2 b\r\n.\r\n").unwrap();
    let entries: Vec<_> = uids.iter().map(|(number, uid)| (number, uid.as_bytes())).collect();
    assert_eq!(entries, [(1, &b"a"[..]), (2, b"b")]);
    assert_eq!(uids.skipped(), 0);
}

#[test]
fn a_scan_listing_with_more_than_a_size_is_one() {
    let list = answer_under_every_cut(&ListCommand, b"+OK\r\n1 120 extra\r\n.\r\n").unwrap();
    assert_eq!(list.get(1).unwrap().octets, Some(120));
    let one = answer_under_every_cut(&ListOneCommand { number: 1 }, b"+OK 1 120 extra\r\n").unwrap();
    assert_eq!(one.scan.octets, Some(120));
}

#[test]
fn sizes_beyond_32_bits_are_sizes() {
    let stat = answer_under_every_cut(&StatCommand, b"+OK 1 5000000000\r\n").unwrap();
    assert_eq!((stat.messages, stat.octets), (1, Some(5_000_000_000)));
    let list = answer_under_every_cut(&ListCommand, b"+OK\r\n1 5000000000\r\n.\r\n").unwrap();
    assert_eq!(list.get(1).unwrap().octets, Some(5_000_000_000));
}

#[test]
fn an_empty_message_is_one() {
    assert_eq!(message_under_every_cut(b".\r\n"), Ok(Vec::new()));
    assert_eq!(message_under_every_cut(b"\r\n.\r\n"), Ok(b"\r\n".to_vec()));
}

#[test]
fn a_terminator_alone_in_a_packet_ends_the_message() {
    for pieces in [&[&b"+OK\r\na\r\n"[..], b".\r\n"][..], &[b"+OK\r\n", b"a\r\n", b".", b"\r\n"]] {
        let mut talk = Talk::logged_in();
        talk.send(&RetrCommand { number: 1 }).unwrap();
        talk.server(pieces[0]);
        talk.hear().unwrap();
        let mut message = Vec::new();
        for (place, piece) in pieces.iter().enumerate() {
            if place > 0 {
                talk.server(piece);
            }
            let (more, end) = talk.read_message(usize::MAX).unwrap();
            message.extend(more);
            assert_eq!(end, (place + 1 == pieces.len()).then_some(End::Regular));
        }
        assert_eq!(message, b"a\r\n");
    }
}

#[test]
fn a_packet_that_is_a_dot_ends_nothing_by_itself() {
    let mut talk = Talk::logged_in();
    talk.ask_for_reply(&RetrCommand { number: 1 }, b"+OK\r\na").unwrap();
    talk.server(b".");
    assert_eq!(talk.read_message(usize::MAX), Ok((b"a".to_vec(), None)));
    talk.server(b"b\r\n.\r\n");
    assert_eq!(talk.read_message(usize::MAX), Ok((b".b\r\n".to_vec(), Some(End::Regular))));
}

#[test]
fn a_bare_ok_and_the_end_of_the_connection_is_an_error_for_every_command() {
    fn closed<C: Command>(command: &C, verb: Verb) {
        for (wire, received) in [(&b"+OK"[..], 3), (b"", 0)] {
            let mut talk = Talk::logged_in();
            talk.send(command).unwrap();
            talk.server(wire);
            assert_eq!(talk.client.reply(), Ok(None));
            talk.server_closes();
            assert_eq!(talk.client.reply(), Err(Error::Closed { verb, received }));
        }
    }
    use popwire_proto::Command;
    closed(&StatCommand, Verb::Stat);
    closed(&ListCommand, Verb::List);
    closed(&ListOneCommand { number: 1 }, Verb::List);
    closed(&UidlCommand, Verb::Uidl);
    closed(&UidlOneCommand { number: 1 }, Verb::Uidl);
    closed(&RetrCommand { number: 1 }, Verb::Retr);
    closed(&TopCommand { number: 1, lines: 0 }, Verb::Top);
    closed(&DeleCommand { number: 1 }, Verb::Dele);
    closed(&NoopCommand, Verb::Noop);
    closed(&RsetCommand, Verb::Rset);
    closed(&CapaCommand, Verb::Capa);
    closed(&QuitCommand, Verb::Quit);

    // With its line end the +OK begins an answer of many lines, which then never comes.
    let mut talk = Talk::logged_in();
    talk.send(&ListCommand).unwrap();
    talk.server(b"+OK\r\n");
    assert_eq!(talk.client.reply(), Ok(None));
    talk.server_closes();
    assert_eq!(talk.client.reply(), Err(Error::Closed { verb: Verb::List, received: 0 }));
}

#[test]
fn a_line_of_5000_characters_is_one_line() {
    let message = format!("Subject: x\r\n\r\n.{}.\r\n", "y".repeat(5000));
    let wire = message.replace("\r\n.", "\r\n..") + ".\r\n";
    for size in [1, 7, 1000, 1460, usize::MAX] {
        let mut talk = Talk::logged_in();
        talk.ask_for_reply(&RetrCommand { number: 1 }, b"+OK\r\n").unwrap();
        let mut received = Vec::new();
        for piece in wire.as_bytes().chunks(size) {
            talk.server(piece);
            received.extend(talk.read_message(usize::MAX).unwrap().0);
        }
        assert!(talk.client.is_settled() && received == message.as_bytes(), "in pieces of {size}");
    }
}

#[test]
fn a_connection_that_ends_in_mid_message_gives_an_error_and_no_message() {
    let mut talk = Talk::logged_in();
    talk.ask_for_reply(&RetrCommand { number: 1 }, b"+OK 100 octets\r\nSubject: x\r\n\r\nhalf of").unwrap();
    let partial = talk.read_message(usize::MAX).unwrap();
    assert_eq!(partial, (b"Subject: x\r\n\r\nhalf of".to_vec(), None));
    talk.server_closes();
    let error = Error::Closed { verb: Verb::Retr, received: 21 };
    for _ in 0..3 {
        assert_eq!(talk.read_message(usize::MAX), Err(error.clone()), "and it does not spin");
    }
}

#[test]
fn a_name_with_a_second_command_in_it_is_not_sent() {
    let mut talk = Talk::greeted();
    let error = talk.send(&user("a\r\nDELE 1")).unwrap_err();
    assert_eq!(error, Error::Argument(ArgumentError::ControlCharacter));
    assert_eq!(talk.client.unsent(), b"");
}

#[test]
fn mail_that_is_not_utf8_is_mail() {
    let message = b"Subject: caf\xe9\r\n\r\n\xff\xfe\x80\0\r\n";
    let wire = [&message[..], b".\r\n"].concat();
    assert_eq!(message_under_every_cut(&wire).unwrap(), message);
}

#[test]
fn double_blanks_bare_lf_and_small_letters_are_no_reason_to_give_up() {
    let stat = answer_under_every_cut(&StatCommand, b"+ok  2  320\n").unwrap();
    assert_eq!((stat.messages, stat.octets), (2, Some(320)));
}

#[test]
fn a_listing_that_makes_no_sense_is_read_to_its_end_and_the_session_lives() {
    let mut talk = Talk::logged_in();
    let list = talk.ask(&ListCommand, b"+OK\r\n\r\n \r\nx y\r\n1\r\n+OK 2 3\r\n:\r\n.\r\n").unwrap();
    let entries: Vec<_> = list.iter().map(|scan| (scan.number, scan.octets)).collect();
    assert_eq!((entries, list.skipped()), (vec![(1, None), (2, Some(3))], 4));
    assert_eq!(talk.ask(&StatCommand, b"+OK 2 3\r\n").unwrap().messages, 2);
}

#[test]
fn a_refused_answer_of_many_lines_has_one() {
    fn one_line<C: Command>(command: &C) {
        let mut talk = Talk::logged_in();
        talk.send(command).unwrap();
        talk.send(&NoopCommand).unwrap();
        talk.server(b"-ERR no\r\n+OK next\r\n");
        assert!(!talk.hear().unwrap().is_ok());
        assert_eq!(talk.hear().unwrap().text(), b"next");
    }
    use popwire_proto::Command;
    one_line(&ListCommand);
    one_line(&UidlCommand);
    one_line(&CapaCommand);
    one_line(&LangListCommand);
    one_line(&AuthListCommand);
    one_line(&RetrCommand { number: 1 });
    one_line(&TopCommand { number: 1, lines: 1 });
    one_line(&RawCommand::multi("XTND"));
}
