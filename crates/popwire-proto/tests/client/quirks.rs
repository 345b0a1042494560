//! What real servers say that no RFC told them to.

use popwire_proto::command::*;
use popwire_proto::listing::{Capabilities, Expire};
use popwire_proto::{End, Error, Foreign, IrregularEnd, ResponseCode, Verb, apop};

use crate::talk::{Talk, answer_under_every_cut, message_under_every_cut, pass, under_every_cut, user};

fn capa(lines: &[u8]) -> Capabilities {
    answer_under_every_cut(&CapaCommand, &[b"+OK\r\n", lines, b".\r\n"].concat()).unwrap()
}

fn greeting(line: &[u8]) -> Result<Vec<u8>, Error> {
    under_every_cut(line, |pieces| {
        let mut talk = Talk::silent();
        for piece in pieces {
            talk.server(piece);
            if let Some(reply) = talk.client.reply()? {
                return Ok(reply.text().to_vec());
            }
        }
        panic!("no greeting")
    })
}

#[test]
fn q_002_capa_may_be_refused_after_login_and_ok_may_have_no_text() {
    let mut talk = Talk::greeted();
    talk.ask(&CapaCommand, b"+OK\r\nUIDL\r\n.\r\n").unwrap();
    talk.ask(&user("alice"), b"+OK\r\n").unwrap();
    assert_eq!(talk.ask(&pass("x"), b"+OK\r\n").unwrap().text(), b"");
    assert!(!talk.ask_for_reply(&CapaCommand, b"-ERR\r\n").unwrap().is_ok());
    assert_eq!(talk.ask(&StatCommand, b"+OK 0 0\r\n").unwrap().messages, 0, "and the session goes on");
}

#[test]
fn q_004_an_answer_of_many_lines_may_begin_with_a_bare_ok() {
    for status in ["+OK\r\n", "+OK \r\n"] {
        let wire = |lines: &str| format!("{status}{lines}.\r\n").into_bytes();
        assert!(answer_under_every_cut(&CapaCommand, &wire("UIDL\r\n")).unwrap().has("UIDL"));
        assert_eq!(answer_under_every_cut(&ListCommand, &wire("1 2\r\n")).unwrap().len(), 1);
        assert_eq!(answer_under_every_cut(&UidlCommand, &wire("1 a\r\n")).unwrap().len(), 1);
    }
}

#[test]
fn q_005_capabilities_differ_by_state_and_unknown_ones_are_kept() {
    let before = capa(b"UIDL\r\nEXPIRE 31 USER\r\nXOIP\r\nSASL PLAIN X-ZIMBRA\r\n");
    let after = capa(b"UIDL\r\nEXPIRE NEVER\r\nXOIP\r\n");
    assert_eq!((before.expire(), after.expire()), (Some(Expire::Days(31)), Some(Expire::Never)));
    assert!(before.has("XOIP"));
    let mechanisms: Vec<_> = before.sasl_mechanisms().map(ToString::to_string).collect();
    assert_eq!(mechanisms, ["PLAIN", "X-ZIMBRA"]);
    assert_eq!(after.sasl_mechanisms().count(), 0);
}

#[test]
fn q_008_blanks_and_cr_at_the_end_of_a_line_of_capa_belong_to_no_mechanism() {
    for end in [&b" \r\n"[..], b"\r\r\n", b" \t \r\n", b"\r \r\n"] {
        let capabilities = capa(&[b"SASL PLAIN  LOGIN", end, b"STLS", end].concat());
        let mechanisms: Vec<_> = capabilities.sasl_mechanisms().map(ToString::to_string).collect();
        assert_eq!(mechanisms, ["PLAIN", "LOGIN"], "{end:?}");
        assert!(capabilities.has("STLS"));
        assert!(capabilities.get("STLS").unwrap().arguments.is_empty());
    }
}

#[test]
fn q_009_capa_lists_itself_sasl_may_be_empty_and_tags_may_come_twice() {
    let capabilities = capa(b"CAPA\r\nSASL\r\nTOP\r\ntop\r\nUTF8\r\nUTF8 USER\r\n");
    assert!(capabilities.has("CAPA") && capabilities.has("SASL"));
    assert_eq!(capabilities.sasl_mechanisms().count(), 0);
    assert_eq!(capabilities.iter().len(), 4);
    assert!(capabilities.utf8_user(), "twice is the union of both");
    let twice = capa(b"SASL PLAIN\r\nSASL LOGIN\r\n");
    assert_eq!(twice.sasl_mechanisms().count(), 2);
}

#[test]
fn q_010_nothing_is_allocated_by_the_numbers_that_a_server_states() {
    let stat = answer_under_every_cut(&StatCommand, b"+OK 2147483647 9223372036854775807\r\n").unwrap();
    assert_eq!(stat.messages, 2_147_483_647);
    let heading = b"+OK 4294967295 messages\r\n4294967295 18446744073709551615\r\n.\r\n";
    assert_eq!(answer_under_every_cut(&ListCommand, heading).unwrap().len(), 1);
}

#[test]
fn q_011_only_a_lone_dot_ends_a_list() {
    let capabilities = capa(b"..X\r\n...\r\nTOP\r\n");
    assert!(capabilities.has(".X") && capabilities.has("..") && capabilities.has("TOP"));
    let unstuffed = capa(b".X\r\n. \r\nTOP\r\n");
    assert!(unstuffed.has("X") && unstuffed.has("TOP"), "nor a dot with anything behind it");
}

#[test]
fn q_012_brackets_in_a_greeting_are_no_response_code() {
    let line = b"+OK The Microsoft Exchange POP3 service is ready. [UwBDAA==] (tcpproxy/15.20)\r\n";
    let mut talk = Talk::silent();
    talk.server(line);
    assert_eq!(talk.hear().unwrap().code(), None);
    let mut talk = Talk::silent();
    talk.server(b"+OK [IN-USE] is how I begin all my sentences\r\n");
    assert_eq!(talk.hear().unwrap().code(), None);
    let mut talk = Talk::logged_in();
    let reply = talk.ask_for_reply(&NoopCommand, b"-ERR failed [UwBDAA==] [AUTH]\r\n").unwrap();
    assert_eq!(reply.code(), None);
}

#[test]
fn q_013_brackets_of_the_other_kind_are_no_timestamp_unless_they_are_one() {
    for greeting in ["<>", "<hello>", "<a b@c>", "<b\u{fc}ro@host>", "mail <us> for < 50 $ @ once >"] {
        assert_eq!(apop::timestamp(format!("+OK {greeting}").as_bytes()), None, "{greeting}");
    }
    let marketing = b"+OK the <best> mail, <really>, <1.2@host> since 1999";
    assert_eq!(apop::timestamp(marketing), Some(&b"<1.2@host>"[..]));
}

#[test]
fn q_014_a_greeting_may_begin_with_its_timestamp() {
    let text = greeting(b"+OK <123.456@james> POP3 server (JAMES) ready\r\n").unwrap();
    assert_eq!(apop::timestamp(&text), Some(&b"<123.456@james>"[..]));
}

#[test]
fn q_015_who_answers_on_the_wrong_port_is_recognized() {
    assert_eq!(greeting(b"* OK IMAP4rev1 ready\r\n"), Err(Error::NotPop3(Foreign::Imap)));
    assert_eq!(greeting(b"220 mx.example.org ESMTP\r\n"), Err(Error::NotPop3(Foreign::Smtp)));
    assert_eq!(greeting(b"220-mx.example.org ESMTP\r\n"), Err(Error::NotPop3(Foreign::Smtp)));
    assert_eq!(greeting(b"HTTP/1.1 400 Bad Request\r\n"), Err(Error::NotPop3(Foreign::Http)));
    assert_eq!(greeting(b"\x15\x03\x01\x00\x02\x02\x0a"), Err(Error::NotPop3(Foreign::Tls)));
    assert_eq!(greeting(b"\x16\x03\x01\x02\x00\x01"), Err(Error::NotPop3(Foreign::Tls)));
    let ssh = Foreign::Unknown("SSH-2.0-OpenSSH".into());
    assert_eq!(greeting(b"SSH-2.0-OpenSSH\r\n"), Err(Error::NotPop3(ssh)));
    assert_eq!(greeting(b"-ERR too many connections\r\n"), Ok(b"too many connections".to_vec()));
}

#[test]
fn q_040_a_plus_that_is_not_ok_is_no_success() {
    let mut talk = Talk::greeted();
    talk.ask(&user("alice"), b"+OK\r\n").unwrap();
    let error = talk.ask_for_reply(&pass("x"), b"+ERR Server error: Failed.\r\n").unwrap_err();
    assert_eq!(error, Error::NotAStatusLine("+ERR Server error: Failed.".into()));
    assert!(talk.client.is_broken());
}

#[test]
fn q_061_a_negative_size_is_unknown_and_the_count_stands() {
    let stat = answer_under_every_cut(&StatCommand, b"+OK 3 -1024\r\n").unwrap();
    assert_eq!((stat.messages, stat.octets), (3, None));
}

#[test]
fn q_062_a_stat_without_a_size_still_counts() {
    for answer in ["+OK 7", "+OK 7 ", "+OK 7 octets", "+OK 7 #1234", "+OK 7 messages in 900 octets"] {
        let stat = answer_under_every_cut(&StatCommand, format!("{answer}\r\n").as_bytes()).unwrap();
        assert_eq!((stat.messages, stat.octets), (7, None), "{answer}");
    }
    let error = answer_under_every_cut(&StatCommand, b"+OK seven\r\n").unwrap_err();
    assert!(matches!(error, Error::Malformed { verb: Verb::Stat, .. }));
}

#[test]
fn q_064_a_bad_line_of_a_listing_costs_that_line() {
    let wire = b"+OK\r\n1\r\n3 x\r\nfour 4\r\n99999 1\r\n-2 5\r\n4294967296 1\r\n\r\n7 70\r\n.\r\n";
    let list = answer_under_every_cut(&ListCommand, wire).unwrap();
    let entries: Vec<_> = list.iter().map(|scan| (scan.number, scan.octets)).collect();
    assert_eq!(entries, [(1, None), (3, None), (7, Some(70)), (99999, Some(1))]);
    assert_eq!(list.skipped(), 4);
    let uids = answer_under_every_cut(&UidlCommand, b"+OK\r\nx y\r\n0 a\r\n3 c\r\n.\r\n").unwrap();
    assert_eq!((uids.len(), uids.skipped()), (1, 2));
}

#[test]
fn q_065_any_run_of_blanks_stands_before_a_uid() {
    let uids = answer_under_every_cut(&UidlCommand, b"+OK\r\n1   a\r\n 2\t\tb\r\n3 \t c \r\n.\r\n").unwrap();
    let uids: Vec<_> = uids.iter().map(|(_, uid)| uid.as_bytes().to_vec()).collect();
    assert_eq!(uids, [b"a", b"b", b"c"]);
}

#[test]
fn q_066_an_ok_before_every_line_of_a_listing_is_dropped() {
    let uids = answer_under_every_cut(&UidlCommand, b"+OK\r\n+OK 1 a\r\n+OK 2 b\r\n.\r\n").unwrap();
    assert_eq!((uids.get(1).unwrap().as_bytes(), uids.get(2).unwrap().as_bytes()), (&b"a"[..], &b"b"[..]));
    let list = answer_under_every_cut(&ListCommand, b"+OK\r\n+OK 1 120\r\n.\r\n").unwrap();
    assert_eq!((list.get(1).unwrap().octets, list.skipped()), (Some(120), 0));
}

#[test]
fn q_067_the_uid_of_one_message_may_come_without_its_number() {
    let one = answer_under_every_cut(&UidlOneCommand { number: 7 }, b"+OK abc\r\n").unwrap();
    assert_eq!((one.number, one.uid().as_bytes()), (7, &b"abc"[..]));
}

#[test]
fn q_067_the_second_line_of_an_answer_that_should_have_one_is_never_the_next_answer() {
    // The dot came with the answer: it is seen before the next command goes out.
    let mut talk = Talk::logged_in();
    talk.ask(&UidlOneCommand { number: 1 }, b"+OK 1 abc\r\n.\r\n").unwrap();
    assert_eq!(talk.send(&StatCommand), Err(Error::Unsolicited(".".into())));
    // It came late: it stands where a status line must be.
    let mut talk = Talk::logged_in();
    talk.ask(&UidlOneCommand { number: 1 }, b"+OK 1 abc\r\n").unwrap();
    let error = talk.ask_for_reply(&StatCommand, b".\r\n+OK 1 2\r\n").unwrap_err();
    assert_eq!(error, Error::NotAStatusLine(".".into()));
}

#[test]
fn q_068_a_blank_uid_is_told_from_a_uid() {
    let uids = answer_under_every_cut(&UidlCommand, b"+OK\r\n1 a\r\n2\r\n3 \r\n.\r\n").unwrap();
    let blank: Vec<_> = uids.iter().map(|(number, uid)| (number, uid.is_blank())).collect();
    assert_eq!(blank, [(1, false), (2, true), (3, true)]);
    assert!(!uids.get(2).unwrap().is_regular());
    // A lone field is the id (Q-067), unless it is the number that was asked for.
    for blank in ["+OK 7\r\n", "+OK 7 \r\n"] {
        let one = answer_under_every_cut(&UidlOneCommand { number: 7 }, blank.as_bytes()).unwrap();
        assert!(one.uid().is_blank(), "{blank:?}");
    }
    let error = answer_under_every_cut(&UidlOneCommand { number: 1 }, b"+OK \r\n").unwrap_err();
    assert!(matches!(error, Error::Malformed { verb: Verb::Uidl, .. }));
}

#[test]
fn q_069_both_of_two_messages_with_one_uid_are_listed() {
    let uids = answer_under_every_cut(&UidlCommand, b"+OK\r\n2 same\r\n5 same\r\n.\r\n").unwrap();
    let same: Vec<_> = uids.iter().filter(|(_, uid)| uid.as_bytes() == b"same").map(|(n, _)| n).collect();
    assert_eq!(same, [2, 5]);
}

#[test]
fn q_070_uids_of_any_octets_up_to_1000_are_uids() {
    let long = [b'l'; 1000];
    let wire =
        [b"+OK\r\n1 ", &long[..], b"\r\n2 a b  c\r\n3 \xe4\x01\xff\r\n4 ", &long, b"l\r\n.\r\n"].concat();
    let uids = answer_under_every_cut(&UidlCommand, &wire).unwrap();
    let uids: Vec<_> = uids.iter().map(|(number, uid)| (number, uid.as_bytes())).collect();
    assert_eq!(uids, [(1, &long[..]), (2, b"a b  c"), (3, b"\xe4\x01\xff")]);
}

#[test]
fn q_079_a_list_that_breaks_off_is_no_list() {
    let error = answer_under_every_cut(&UidlCommand, b"+OK\r\n1 a\r\n2 b\r\n3 c\r\n").unwrap_err();
    assert_eq!(error, Error::Closed { verb: Verb::Uidl, received: 15 });
}

#[test]
fn q_081_q_082_the_heading_of_a_listing_is_for_people() {
    for heading in ["+OK 2 320", "+OK 3 messages (1234 octets)", "+OK 0", "+OK .", "+OK 1 a"] {
        let wire = format!("{heading}\r\n1 120\r\n2 200\r\n.\r\n");
        let list = answer_under_every_cut(&ListCommand, wire.as_bytes()).unwrap();
        assert_eq!((list.len(), list.skipped()), (2, 0), "{heading}");
    }
    assert_eq!(answer_under_every_cut(&RsetCommand, b"+OK 0\r\n").unwrap().text(), b"0");
}

#[test]
fn q_088_absurd_sizes_are_unknown_or_as_stated() {
    let wire = b"+OK\r\n1 4294967295\r\n2 -1\r\n3 18446744073709551615\r\n4 99999999999999999999\r\n.\r\n";
    let list = answer_under_every_cut(&ListCommand, wire).unwrap();
    let sizes: Vec<_> = list.iter().map(|scan| scan.octets).collect();
    assert_eq!(sizes, [Some(4_294_967_295), None, Some(u64::MAX), None]);
}

/// What a silence makes of a message that ends like this: its octets, and how it ended.
fn rescued(wire: &[u8]) -> (Vec<u8>, Option<End>) {
    under_every_cut(wire, |pieces| {
        let mut talk = Talk::logged_in();
        talk.ask_for_reply(&RetrCommand { number: 1 }, b"+OK\r\n").unwrap();
        let mut message = Vec::new();
        for piece in pieces {
            talk.server(piece);
            let (more, end) = talk.read_message(usize::MAX).unwrap();
            assert_eq!(end, None, "not before the silence");
            message.extend(more);
        }
        talk.client.rescue();
        let (more, end) = talk.read_message(usize::MAX).unwrap();
        assert_eq!(more, b"");
        (message, end)
    })
}

#[test]
fn q_090_no_line_end_before_the_terminator() {
    let end = Some(End::Irregular(IrregularEnd::AfterText));
    assert_eq!(rescued(b"Subject: x\r\n\r\ntext.\r\n"), (b"Subject: x\r\n\r\ntext".to_vec(), end));
    assert_eq!(rescued(b"text.\r\n"), (b"text".to_vec(), end));
}

#[test]
fn q_091_a_terminator_without_its_lf() {
    let end = Some(End::Irregular(IrregularEnd::MissingLineFeed));
    assert_eq!(rescued(b"Subject: x\r\n\r\ntext\r\n.\r"), (b"Subject: x\r\n\r\ntext\r\n".to_vec(), end));
    assert_eq!(rescued(b".\r"), (Vec::new(), end));
}

#[test]
fn q_092_a_terminator_of_bare_lf() {
    assert_eq!(message_under_every_cut(b"Subject: x\n\ntext\n.\n").unwrap(), b"Subject: x\n\ntext\n");
    let end = Some(End::Irregular(IrregularEnd::BareLineFeed));
    assert_eq!(rescued(b"Subject: x\r\n\r\ntext\r\n.\n"), (b"Subject: x\r\n\r\ntext\r\n".to_vec(), end));
}

#[test]
fn q_093_bare_lf_in_a_message_stays() {
    let message = b"Subject: x\r\n\r\none\ntwo\n\nthree\r\n";
    assert_eq!(message_under_every_cut(&[&message[..], b".\r\n"].concat()).unwrap(), message);
}

#[test]
fn q_094_what_an_unstuffed_dot_line_leaves_behind_is_reported_and_not_believed() {
    let mut talk = Talk::logged_in();
    let wire = b"+OK\r\none\r\n.\r\ntwo\r\n.\r\n";
    assert_eq!(talk.fetch(&RetrCommand { number: 1 }, wire).unwrap().0, b"one\r\n");
    assert_eq!(talk.send(&DeleCommand { number: 1 }), Err(Error::Unsolicited("two".into())));
    assert!(talk.client.is_broken());
}

#[test]
fn q_095_octets_after_a_message_are_no_answer_to_a_command_that_was_not_sent() {
    let mut talk = Talk::logged_in();
    // A server that does not stuff lets a sender forge a true terminator.
    talk.fetch(&RetrCommand { number: 1 }, b"+OK\r\nx\r\n.\r\n+OK 1 forged-uid\r\n").unwrap();
    let error = talk.send(&UidlOneCommand { number: 1 }).unwrap_err();
    assert_eq!(error, Error::Unsolicited("+OK 1 forged-uid".into()));
    assert_eq!(talk.client.unsent(), b"");
}

#[test]
fn q_097_q_098_blank_lines_at_the_end_are_kept_as_they_came() {
    for message in [&b"a\r\n\r\n"[..], b"a\r\n\r\n\r\n\r\n", b"a\r\n", b"\r\n\r\n"] {
        assert_eq!(message_under_every_cut(&[message, b".\r\n"].concat()).unwrap(), message);
    }
}

#[test]
fn q_115_the_size_in_the_reply_to_retr_is_a_hint() {
    for size in ["0", "1", "832", "99999999999999999999"] {
        let wire = format!("+OK {size} octets\r\n12345\r\n.\r\n");
        let (message, end) = Talk::logged_in().fetch(&RetrCommand { number: 1 }, wire.as_bytes()).unwrap();
        assert_eq!((&message[..], end), (&b"12345\r\n"[..], End::Regular));
    }
}

#[test]
fn q_118_a_farewell_to_an_idle_client_is_not_the_answer_to_its_next_command() {
    for farewell in ["-ERR Disconnected for inactivity.", "-ERR Autologout; idle too long"] {
        let mut talk = Talk::logged_in();
        talk.ask(&NoopCommand, b"+OK\r\n").unwrap();
        talk.server(format!("{farewell}\r\n").as_bytes());
        talk.server_closes();
        let error = talk.send(&DeleCommand { number: 1 }).unwrap_err();
        assert_eq!(error, Error::ServerClosing(farewell.into()));
        assert_eq!(talk.client.unsent(), b"");
    }
}

#[test]
fn q_143_texts_of_any_charset_are_texts() {
    let gbk = b"-ERR \xb5\xc7\xc2\xbc\xcc\xab\xc6\xb5\xb7\xb1\r\n";
    let mut talk = Talk::logged_in();
    let reply = talk.ask_for_reply(&NoopCommand, gbk).unwrap();
    assert_eq!(reply.text(), b"\xb5\xc7\xc2\xbc\xcc\xab\xc6\xb5\xb7\xb1");
    assert!(reply.to_string().starts_with(r"-ERR \xb5\xc7"), "what is not UTF-8 shows as what it is");
    assert_eq!(reply.code(), None::<&ResponseCode>);
}
