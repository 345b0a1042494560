//! Nothing depends on how the network cuts what a server says (P-019, Q-096).

use std::path::Path;

use popwire_proto::command::RetrCommand;
use popwire_proto::{End, Error, IrregularEnd, Verb};
use proptest::prelude::*;

use crate::talk::{Cut, Talk};
use crate::transcript::Transcript;

fn transcripts() -> Vec<(String, Transcript)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/transcripts");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    paths.iter().map(|path| (name(path), Transcript::read(path))).collect()
}

#[test]
fn every_transcript_says_what_comes_of_it_at_every_split_point() {
    let transcripts = transcripts();
    assert!(transcripts.len() >= 20, "the transcripts are there");
    for (name, transcript) in &transcripts {
        assert!(!transcript.outcomes.is_empty(), "{name} expects nothing");
        for cut in Cut::all(transcript.octets()) {
            assert_eq!(transcript.play(&cut, usize::MAX), transcript.outcomes, "{name}, {cut:?}");
        }
    }
}

#[test]
fn it_does_not_matter_how_little_of_a_chunk_is_taken_at_a_time() {
    for (name, transcript) in &transcripts() {
        for sip in 1..4 {
            assert_eq!(transcript.play(&Cut::Whole, sip), transcript.outcomes, "{name}, {sip}");
        }
    }
}

proptest! {
    #[test]
    fn q_096_every_transcript_survives_pieces_of_any_sizes(
        sizes in prop::collection::vec(1usize..40, 1..6),
        sip in 1usize..20,
    ) {
        for (name, transcript) in &transcripts() {
            let outcomes = transcript.play(&Cut::Sizes(sizes.clone()), sip);
            prop_assert_eq!(&outcomes, &transcript.outcomes, "{}", name);
        }
    }
}

/// What P-015, P-017, P-018 and P-020 say, in the plainest way: line by line, over all the octets at once.
/// The data and how many octets the body has on the wire; or nothing, if it does not end.
fn by_the_book(wire: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut data, mut at, mut crlf) = (Vec::new(), 0, None);
    loop {
        let rest = &wire[at..];
        if rest.starts_with(b".\r\n") {
            return Some((data, at + 3));
        }
        if rest.starts_with(b".\n") && crlf != Some(true) {
            return Some((data, at + 2));
        }
        let first_lf = rest.iter().position(|octet| *octet == b'\n');
        let style = match crlf {
            Some(style) => style,
            None => *crlf.insert(rest[..first_lf?].ends_with(b"\r")),
        };
        let length = match style {
            true => rest.windows(2).position(|end| end == b"\r\n")? + 2,
            false => first_lf? + 1,
        };
        let line = &rest[..length];
        data.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        at += length;
    }
}

/// How a body comes out of the machine, in these pieces: data, octets left over after it. `None` if it has no end yet.
fn by_the_machine(talk: &mut Talk, pieces: &[&[u8]]) -> (Vec<u8>, Option<usize>) {
    talk.ask_for_reply(&RetrCommand { number: 1 }, b"+OK\r\n").unwrap();
    let (mut data, mut given, total) = (Vec::new(), 0, pieces.iter().map(|piece| piece.len()).sum::<usize>());
    for piece in pieces {
        talk.server(piece);
        given += piece.len();
        let (more, end) = talk.read_message(usize::MAX).unwrap();
        data.extend(more);
        if end.is_some() {
            // What follows in the same piece shows as something that nobody asked for.
            let left_here = talk.send(&RetrCommand { number: 2 }).is_err();
            return (data, Some(total - given + usize::from(left_here)));
        }
    }
    (data, None)
}

/// Every string of so many of the octets that matter.
fn soups(length: usize) -> impl Iterator<Item = Vec<u8>> {
    const ALPHABET: [u8; 4] = *b".\r\nx";
    (0..4usize.pow(u32::try_from(length).unwrap()))
        .map(move |n| (0..length).map(|digit| ALPHABET[n / 4usize.pow(digit as u32) % 4]).collect())
}

#[test]
fn p_018_every_short_body_of_dots_and_line_ends_is_read_by_the_book() {
    for wire in (1..=7).flat_map(soups) {
        let expected = by_the_book(&wire);
        for cut in Cut::all(wire.len()) {
            let mut talk = Talk::logged_in();
            let (data, left) = by_the_machine(&mut talk, &cut.pieces(&wire, 0));
            match &expected {
                Some((message, octets)) => {
                    assert_eq!(&data, message, "{wire:?} {cut:?}");
                    assert_eq!(left.is_some_and(|left| left > 0), *octets < wire.len(), "{wire:?} {cut:?}");
                }
                None => assert_eq!(left, None, "{wire:?} {cut:?}: {data:?} taken for a whole message"),
            }
        }
    }
}

#[test]
fn a_body_that_does_not_end_fares_the_same_under_every_cut() {
    // At the end of the connection, and at a silence: the same verdict, the same data before it.
    for wire in (1..=7).flat_map(soups).filter(|wire| by_the_book(wire).is_none()) {
        let verdicts = Cut::all(wire.len()).map(|cut| {
            let pieces = cut.pieces(&wire, 0);
            let (mut cut_off, mut silent) = (Talk::logged_in(), Talk::logged_in());
            let (data, _) = by_the_machine(&mut cut_off, &pieces);
            cut_off.server_closes();
            let error = cut_off.read_message(usize::MAX).unwrap_err();
            assert!(matches!(error, Error::Closed { verb: Verb::Retr, .. }), "{wire:?} {error:?}");
            by_the_machine(&mut silent, &pieces);
            (data, error, silent.client.rescue())
        });
        let verdicts: Vec<_> = verdicts.collect();
        assert!(verdicts.iter().all(|verdict| *verdict == verdicts[0]), "{wire:?} {verdicts:?}");
    }
}

#[test]
fn p_019_a_terminator_may_come_in_any_pieces() {
    let (one, two): (&[u8], &[u8]) = (b"Subject: x\r\n\r\nbody\r\n.\r\n", b"+OK\r\n");
    for first in 1..one.len() {
        for second in first..one.len() {
            let mut talk = Talk::logged_in();
            let pieces = [&one[..first], &one[first..second], &one[second..]];
            let (data, left) = by_the_machine(&mut talk, &pieces);
            assert_eq!((&data[..], left), (&b"Subject: x\r\n\r\nbody\r\n"[..], Some(0)), "{first} {second}");
            talk.server(two);
            assert!(talk.hear().unwrap().is_ok(), "nothing of the terminator is left before the next reply");
        }
    }
}

#[test]
fn p_021_the_broken_ends_that_a_silence_reveals_are_known_under_every_cut() {
    use IrregularEnd::{AfterText, BareLineFeed, MissingLineFeed};
    for (wire, data, kind) in [
        (&b"a\r\nb\n.\n"[..], &b"a\r\nb\n"[..], Some(BareLineFeed)),
        (b"a\r\nb\n.\r\n", b"a\r\nb\n", Some(BareLineFeed)),
        (b"a\r\nb\r\n.\n", b"a\r\nb\r\n", Some(BareLineFeed)),
        (b"a\r\nb\r\n.\r", b"a\r\nb\r\n", Some(MissingLineFeed)),
        (b"a\r\nb\n.\r", b"a\r\nb\n", Some(MissingLineFeed)),
        (b"a\nb\n.\r", b"a\nb\n", Some(MissingLineFeed)),
        (b"a\r\nb.\r\n", b"a\r\nb", Some(AfterText)),
        (b"b.\r\n", b"b", Some(AfterText)),
        (b"a\r\nb\r\n.", b"a\r\nb\r\n", None),
        (b"a\r\nb\r\n", b"a\r\nb\r\n", None),
        (b"a\r\nb", b"a\r\nb", None),
    ] {
        for cut in Cut::all(wire.len()) {
            let mut talk = Talk::logged_in();
            let (read, end) = by_the_machine(&mut talk, &cut.pieces(wire, 0));
            assert_eq!(end, None, "{wire:?} {cut:?}: not an end without a silence");
            assert_eq!(talk.client.rescue(), kind, "{wire:?} {cut:?}");
            assert_eq!(read, if kind.is_some() { data } else { &wire[..read.len()] }, "{wire:?} {cut:?}");
            let Some(kind) = kind else { continue };
            let end = talk.read_message(usize::MAX).unwrap();
            assert_eq!(end, (Vec::new(), Some(End::Irregular(kind))), "{wire:?} {cut:?}");
            assert_eq!(talk.client.leniencies().irregular_ends, 1);
        }
    }
}
