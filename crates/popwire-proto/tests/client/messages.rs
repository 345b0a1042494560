//! Messages of every content come out as they went in, whatever is in them and however they are cut.

use popwire_proto::command::{NoopCommand, RetrCommand};
use popwire_proto::{Body, End, Error, Limits};
use proptest::prelude::*;

use crate::talk::{Cut, Talk};

/// What a server of CRLF lines makes of a message, by RFC 1939 section 3 and nothing else: lines are what CRLF ends,
/// a line that begins with a dot gets another, and a lone dot follows.
fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    let mut rest = message;
    while !rest.is_empty() {
        let end = rest.windows(2).position(|two| two == b"\r\n").map_or(rest.len(), |at| at + 2);
        let (line, tail) = rest.split_at(end);
        if line[0] == b'.' {
            wire.push(b'.');
        }
        wire.extend_from_slice(line);
        rest = tail;
    }
    wire.extend_from_slice(b".\r\n");
    wire
}

/// The same of a server whose lines are what LF ends.
fn stuffed_lf(message: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    for line in message.split_inclusive(|octet| *octet == b'\n') {
        if line.starts_with(b".") {
            wire.push(b'.');
        }
        wire.extend_from_slice(line);
    }
    wire.extend_from_slice(b".\n");
    wire
}

/// Octets, the awkward ones more often than by chance.
fn octets(most: usize) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just(b"\r\n".to_vec()),
        2 => Just(b"\n".to_vec()),
        2 => Just(b"\r".to_vec()),
        4 => Just(b".".to_vec()),
        1 => Just(b"\r\n.\r\n".to_vec()),
        1 => Just(b"\n.\r\n".to_vec()),
        1 => Just(b"\r\n.\n".to_vec()),
        1 => Just(b"+OK 1 forged".to_vec()),
        4 => prop::collection::vec(any::<u8>(), 1..8),
    ];
    prop::collection::vec(piece, 0..most).prop_map(|pieces| pieces.concat())
}

fn no_line_feed(octets: Vec<u8>) -> Vec<u8> {
    octets.into_iter().filter(|octet| *octet != b'\n').collect()
}

fn cut() -> impl Strategy<Value = Cut> {
    prop_oneof![
        Just(Cut::Whole),
        Just(Cut::Octets),
        (1usize..200).prop_map(Cut::At),
        prop::collection::vec(1usize..30, 1..5).prop_map(Cut::Sizes),
    ]
}

/// RETR over a session that goes on after it; the message, which is the same whether it is read where the machine has room
/// or elsewhere.
fn received(wire: &[u8], cut: &Cut, sip: usize) -> Vec<u8> {
    let message = received_by(wire, cut, sip, false);
    assert_eq!(received_by(wire, cut, sip, true), message, "read elsewhere");
    message
}

fn received_by(wire: &[u8], cut: &Cut, sip: usize, within: bool) -> Vec<u8> {
    let mut talk = Talk::logged_in();
    talk.send(&RetrCommand { number: 1 }).unwrap();
    talk.send(&NoopCommand).unwrap();
    let stream = [b"+OK\r\n", wire, b"+OK in step\r\n"].concat();
    let (mut message, mut in_message, mut ended) = (Vec::new(), false, None);
    for piece in cut.pieces(&stream, 0) {
        if within && in_message && talk.client.may_read_within() {
            let mut elsewhere = piece.to_vec();
            let octets = talk.client.body_within(&mut elsewhere).unwrap();
            message.extend(&elsewhere[..octets]);
        } else {
            talk.server(piece);
        }
        if !in_message && ended.is_none() {
            in_message = talk.client.reply().unwrap().is_some();
        }
        if in_message {
            let (more, end) = talk.read_message(sip).unwrap();
            message.extend(more);
            in_message = end.is_none();
            ended = end;
        }
    }
    assert_eq!(ended, Some(End::Regular));
    assert_eq!(talk.hear().unwrap().text(), b"in step");
    message
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_message_with_crlf_lines_comes_out_identical(
        first in octets(6).prop_map(no_line_feed),
        rest in octets(60),
        cut in cut(),
        sip in prop_oneof![Just(usize::MAX), 1usize..9],
    ) {
        // The first line has its CRLF, which tells the client what the others have; a bare LF or CR later is data.
        let message = [&first[..], b"\r\n", &rest[..], b"\r\n"].concat();
        prop_assert_eq!(received(&stuffed(&message), &cut, sip), message);
    }

    #[test]
    fn any_message_with_lf_lines_comes_out_identical(
        first in octets(6).prop_map(no_line_feed),
        rest in octets(60),
        cut in cut(),
        sip in prop_oneof![Just(usize::MAX), 1usize..9],
    ) {
        let first = first.strip_suffix(b"\r").map(<[u8]>::to_vec).unwrap_or(first);
        prop_assume!(!first.ends_with(b"\r"));
        let message = [&first[..], b"\n", &rest[..], b"\n"].concat();
        prop_assert_eq!(received(&stuffed_lf(&message), &cut, sip), message);
    }
}

#[test]
fn p_017_one_dot_is_removed_from_a_line_that_begins_with_one() {
    for (line, received_line) in [
        (&b"..\r\n"[..], &b".\r\n"[..]),
        (b"..a\r\n", b".a\r\n"),
        (b"...\r\n", b"..\r\n"),
        (b".a\r\n", b"a\r\n"),
    ] {
        let wire = [b"first\r\n", line, b"last\r\n.\r\n"].concat();
        let expected = [b"first\r\n", received_line, b"last\r\n"].concat();
        assert_eq!(received(&wire, &Cut::Octets, usize::MAX), expected);
        assert_eq!(received(&wire, &Cut::Whole, usize::MAX), expected);
    }
}

#[test]
fn q_101_a_line_of_a_million_octets_is_one_line() {
    let mut message = b"Subject: long\r\n\r\n".to_vec();
    message.extend((0..1_000_000).map(|n| b"abcdefghij. \r"[n % 13]));
    message.extend(b"\r\n");
    let wire = stuffed(&message);
    assert!(received(&wire, &Cut::Sizes(vec![1460, 8000, 1]), usize::MAX) == message);
}

#[test]
fn q_103_every_octet_passes_through() {
    let all: Vec<u8> = (0..=255).filter(|octet| *octet != b'\n').collect();
    let message = [b"no header\r\n\0\0.\r\n", &all[..], b"\r\nlast line\r\r\n"].concat();
    for cut in [Cut::Whole, Cut::Octets] {
        assert_eq!(received(&stuffed(&message), &cut, usize::MAX), message);
    }
}

#[test]
fn q_104_lines_that_look_like_replies_are_lines_of_the_message() {
    let message = b"+OK\r\n-ERR not found\r\n+ \r\n+OK 1 2\r\n";
    for cut in Cut::all(stuffed(message).len()) {
        assert_eq!(received(&stuffed(message), &cut, usize::MAX), message);
    }
}

#[test]
fn octets_elsewhere_are_kept_where_they_cannot_be_decoded() {
    let mut talk = Talk::logged_in();
    assert!(!talk.client.may_read_within());
    talk.send(&RetrCommand { number: 1 }).unwrap();
    talk.send(&NoopCommand).unwrap();
    talk.server(b"+OK\r\nfirst\r\n");
    assert!(talk.hear().unwrap().is_ok());
    // Something of the message waits: what comes now has to wait behind it.
    assert!(!talk.client.may_read_within());
    assert_eq!(talk.client.body_within(&mut b"second\r\n.\r\n+OK later\r\n".to_vec()), Ok(0));
    let (message, end) = talk.read_message(usize::MAX).unwrap();
    assert_eq!((&message[..], end), (&b"first\r\nsecond\r\n"[..], Some(End::Regular)));
    assert_eq!(talk.hear().unwrap().text(), b"later");
}

#[test]
fn p_029_a_message_read_elsewhere_has_its_limit() {
    let mut limits = Limits::default();
    limits.message_octets = 10;
    let mut talk = Talk::logged_in_within(limits);
    talk.send(&RetrCommand { number: 1 }).unwrap();
    talk.server(b"+OK\r\n");
    assert!(talk.hear().unwrap().is_ok());
    assert_eq!(talk.client.body_within(&mut b"12345\r\n".to_vec()), Ok(7));
    let error = talk.client.body_within(&mut b"12345\r\n".to_vec()).unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    assert!(!talk.client.may_read_within());
}

#[test]
fn a_message_that_has_come_whole_is_cut_at_its_stuffed_dots_and_nowhere_else() {
    for (first, rest) in [("From: a\r\n\r\nb\r\n", "..c\r\nd\r\n"), ("From: a\n\nb\n", "..c\nd\n")] {
        let mut talk = Talk::logged_in();
        talk.send(&RetrCommand { number: 1 }).unwrap();
        talk.server(format!("+OK\r\n{first}{rest}.\r\n").as_bytes());
        assert!(talk.hear().unwrap().is_ok());
        for part in [first.as_bytes(), &rest.as_bytes()[1..]] {
            // Asking twice changes nothing.
            assert_eq!(talk.client.body(), Ok(Body::Chunk(part)));
            assert_eq!(talk.client.body(), Ok(Body::Chunk(part)));
            talk.client.consume(part.len());
        }
        assert_eq!(talk.client.body(), Ok(Body::End(End::Regular)));
    }
}
