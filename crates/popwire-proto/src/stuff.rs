//! The sending side of a multi-line answer: line ends made CRLF, dots stuffed, sizes counted, bodies cut for TOP.
//!
//! Everything here streams. A message may arrive in slices of any length, cut anywhere, also between CR and LF; what
//! comes out never depends on the cuts.
//!
//! A message is stored with whatever line ends its sender or its file system had. [`LineEnds::Crlf`] sends each of
//! them, a bare LF and a bare CR too, as CRLF (RFC 1939 section 11), so that a client which splits lines at LF cannot
//! be fooled by a dot line hidden behind a bare LF. [`LineEnds::AsStored`] passes the octets through, as some real
//! servers do: it exists so that clients can be tested against it.

use memchr::{memchr, memchr2, memchr2_iter};

/// What becomes of the line ends of a stored message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineEnds {
    /// Each of LF, CR and CRLF is sent as CRLF (RFC 1939 section 11).
    #[default]
    Crlf,
    /// The octets are sent as they are; only CRLF counts as the end of a line.
    AsStored,
}

/// Where the octet that comes next stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// At the beginning of a line.
    Start,
    /// Directly after a CR. With [`LineEnds::Crlf`] that CR has been sent as CRLF, and an LF which follows is part
    /// of it.
    AfterCr,
    /// Within a line.
    Within,
}

/// Turns a message into the body of a multi-line answer (RFC 1939 section 3): line ends, dot-stuffing, terminator.
///
/// ```
/// use popwire_proto::stuff::Stuffer;
///
/// let (mut stuffer, mut wire) = (Stuffer::new(), Vec::new());
/// stuffer.push(b"Subject: hi\r", &mut wire); // a CRLF that is cut in two stays one line end
/// stuffer.push(b"\n\n.dot\nno end", &mut wire);
/// stuffer.finish(&mut wire);
/// assert_eq!(wire, b"Subject: hi\r\n\r\n..dot\r\nno end\r\n.\r\n");
/// ```
#[derive(Clone, Debug)]
pub struct Stuffer {
    ends: LineEnds,
    place: Place,
    stuffs: bool,
}

impl Stuffer {
    /// A stuffer that sends every line end as CRLF.
    #[must_use]
    pub fn new() -> Self {
        Self::with(LineEnds::Crlf)
    }

    /// A stuffer that leaves line ends as they are and stuffs dots after CRLF only: RFC 1939 section 3 to the letter,
    /// with a message that breaks section 11.
    #[must_use]
    pub fn verbatim() -> Self {
        Self::with(LineEnds::AsStored)
    }

    /// A stuffer with the given treatment of line ends.
    #[must_use]
    pub fn with(ends: LineEnds) -> Self {
        Self { ends, place: Place::Start, stuffs: true }
    }

    /// Leaves out the stuffing, against RFC 1939 section 3, as some real servers do: a line of the message that is a dot
    /// then ends the answer. It exists so that clients can be tested against it.
    #[must_use]
    pub fn unstuffed(mut self) -> Self {
        self.stuffs = false;
        self
    }

    /// Appends the wire form of the next octets of the message to `out`. At most twice the octets of `slice` are
    /// appended.
    pub fn push(&mut self, slice: &[u8], out: &mut Vec<u8>) {
        out.reserve(slice.len() + slice.len() / 32);
        match self.ends {
            LineEnds::Crlf => self.push_normalised(slice, out),
            LineEnds::AsStored => self.push_verbatim(slice, out),
        }
    }

    /// Ends the answer: a CRLF if the message did not end in one, then the line `.`.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        self.end_line(out);
        out.extend_from_slice(b".\r\n");
    }

    /// Ends the message's last line: a CRLF if it did not end in one. [`Stuffer::finish`] is this and the terminator.
    pub fn end_line(&mut self, out: &mut Vec<u8>) {
        let at_line_start = match self.ends {
            LineEnds::Crlf => self.place != Place::Within,
            LineEnds::AsStored => self.place == Place::Start,
        };
        if !at_line_start {
            out.extend_from_slice(b"\r\n");
        }
        self.place = Place::Start;
    }

    fn push_normalised(&mut self, mut rest: &[u8], out: &mut Vec<u8>) {
        loop {
            if self.place == Place::AfterCr {
                match rest.first() {
                    None => return,
                    Some(b'\n') => rest = rest.get(1..).unwrap_or_default(),
                    Some(_) => {}
                }
                self.place = Place::Start;
            }
            let Some(first) = rest.first() else { return };
            if self.stuffs && self.place == Place::Start && *first == b'.' {
                out.push(b'.');
            }
            let Some(end) = memchr2(b'\r', b'\n', rest) else {
                out.extend_from_slice(rest);
                self.place = Place::Within;
                return;
            };
            // The common case, a CRLF within this slice, is one copy with the line.
            if let Some(line) = rest.get(..end + 2)
                && line.ends_with(b"\r\n")
            {
                out.extend_from_slice(line);
                self.place = Place::Start;
                rest = rest.get(end + 2..).unwrap_or_default();
                continue;
            }
            let (line, tail) = rest.split_at(end);
            out.extend_from_slice(line);
            out.extend_from_slice(b"\r\n");
            self.place = if tail.first() == Some(&b'\r') { Place::AfterCr } else { Place::Start };
            rest = tail.get(1..).unwrap_or_default();
        }
    }

    fn push_verbatim(&mut self, mut rest: &[u8], out: &mut Vec<u8>) {
        while let Some(first) = rest.first() {
            match (self.place, first) {
                (Place::AfterCr, b'\n') => {
                    out.push(b'\n');
                    self.place = Place::Start;
                    rest = rest.get(1..).unwrap_or_default();
                    continue;
                }
                (Place::Start, b'.') if self.stuffs => out.push(b'.'),
                _ => {}
            }
            // Up to the first LF that follows a CR, or up to the end.
            let mut end = 0;
            let line_end = loop {
                let Some(lf) = rest.get(end..).and_then(|part| memchr(b'\n', part)) else { break None };
                end += lf + 1;
                if rest.get(..end).is_some_and(|line| line.ends_with(b"\r\n")) {
                    break Some(end);
                }
            };
            let (line, tail) = rest.split_at(line_end.unwrap_or(rest.len()));
            out.extend_from_slice(line);
            self.place = match line.last() {
                _ if line_end.is_some() => Place::Start,
                Some(b'\r') => Place::AfterCr,
                _ => Place::Within,
            };
            rest = tail;
        }
    }
}

impl Default for Stuffer {
    fn default() -> Self {
        Self::new()
    }
}

/// Counts the octets that RETR will send for a message: line ends as they are sent, a missing last CRLF included,
/// stuffed dots and the terminator not (RFC 1939 section 11). This is the size that LIST and STAT owe.
///
/// ```
/// use popwire_proto::stuff::{LineEnds, WireSize};
///
/// let mut size = WireSize::new(LineEnds::Crlf);
/// size.push(b"one\n");
/// size.push(b".two");
/// assert_eq!(size.finish(), 11);
/// ```
#[derive(Clone, Debug)]
pub struct WireSize {
    ends: LineEnds,
    place: Place,
    octets: u64,
}

impl WireSize {
    /// A count of zero.
    #[must_use]
    pub fn new(ends: LineEnds) -> Self {
        Self { ends, place: Place::Start, octets: 0 }
    }

    /// The size of a whole message in memory, in octets.
    #[must_use]
    pub fn of(message: &[u8], ends: LineEnds) -> u64 {
        let mut size = Self::new(ends);
        size.push(message);
        size.finish()
    }

    /// Counts the next octets of the message.
    pub fn push(&mut self, slice: &[u8]) {
        let Some(last) = slice.last() else { return };
        self.octets += slice.len() as u64;
        if self.ends == LineEnds::AsStored {
            let crlf = slice.ends_with(b"\r\n") || (slice == b"\n" && self.place == Place::AfterCr);
            self.place = match last {
                _ if crlf => Place::Start,
                b'\r' => Place::AfterCr,
                _ => Place::Within,
            };
            return;
        }
        // Each line end is two octets: one more than stored, unless it was CRLF already.
        let mut after_cr = (self.place == Place::AfterCr).then_some(0);
        for at in memchr2_iter(b'\r', b'\n', slice) {
            if slice.get(at) == Some(&b'\r') {
                self.octets += 1;
                after_cr = Some(at + 1);
            } else if after_cr == Some(at) {
                // The LF of a CRLF whose CR has been counted as two.
                self.octets -= 1;
                after_cr = None;
            } else {
                self.octets += 1;
            }
        }
        self.place = match last {
            b'\r' => Place::AfterCr,
            b'\n' => Place::Start,
            _ => Place::Within,
        };
    }

    /// The size in octets.
    #[must_use]
    pub fn finish(self) -> u64 {
        match (self.ends, self.place) {
            (_, Place::Within) | (LineEnds::AsStored, Place::AfterCr) => self.octets + 2,
            // A message without an octet is sent as a lone terminator.
            _ => self.octets,
        }
    }
}

/// Cuts a message for TOP: its header, the blank line, and the first so many lines of the body (RFC 1939 section 7).
///
/// The octets it lets through go to a [`Stuffer`].
///
/// ```
/// use popwire_proto::stuff::{LineEnds, TopCutter};
///
/// let mut top = TopCutter::new(1, LineEnds::Crlf);
/// assert_eq!(top.take(b"A: 1\r\nB: 2\r\n\r\nfirst\r\nsecond\r\n"), b"A: 1\r\nB: 2\r\n\r\nfirst\r\n");
/// assert!(top.is_done());
/// ```
#[derive(Clone, Debug)]
pub struct TopCutter {
    ends: LineEnds,
    place: Place,
    /// `None` while in the header, then how many lines of the body are still owed.
    owed: Option<u64>,
    lines: u64,
    done: bool,
}

impl TopCutter {
    /// A cutter that keeps `lines` lines of the body. With [`LineEnds::AsStored`] a line ends at LF, with or without
    /// a CR before it.
    #[must_use]
    pub fn new(lines: u64, ends: LineEnds) -> Self {
        Self { ends, place: Place::Start, owed: None, lines, done: false }
    }

    /// The part of `slice` that belongs to the answer: all of it, or a prefix, or nothing once the cut is made.
    pub fn take<'a>(&mut self, slice: &'a [u8]) -> &'a [u8] {
        let mut at = 0;
        while !self.done {
            let rest = slice.get(at..).unwrap_or_default();
            if self.place == Place::AfterCr && self.ends == LineEnds::Crlf {
                match rest.first() {
                    None => break,
                    Some(b'\n') => {
                        self.place = Place::Start;
                        at += 1;
                        continue;
                    }
                    Some(_) => self.place = Place::Start,
                }
            }
            let end = match self.ends {
                LineEnds::Crlf => memchr2(b'\r', b'\n', rest),
                LineEnds::AsStored => memchr(b'\n', rest),
            };
            let Some(end) = end else {
                self.place = match (self.place, rest) {
                    (place, b"") => place,
                    // Only with `AsStored`: perhaps the first half of the blank line's CRLF.
                    (Place::Start, b"\r") => Place::AfterCr,
                    _ => Place::Within,
                };
                return slice;
            };
            let blank = matches!(
                (self.place, rest.get(..end).unwrap_or_default()),
                (Place::Start, b"" | b"\r") | (Place::AfterCr, b"")
            );
            at += end + 1;
            self.place = if rest.get(end) == Some(&b'\r') { Place::AfterCr } else { Place::Start };
            match &mut self.owed {
                None if blank => {
                    self.owed = Some(self.lines);
                    self.done = self.lines == 0;
                }
                None => {}
                Some(owed) => {
                    *owed -= 1;
                    self.done = *owed == 0;
                }
            }
        }
        // The LF of a line end whose CR was the last that counted. In a later slice it may be missing: the CR was sent
        // as CRLF.
        if self.ends == LineEnds::Crlf
            && self.place == Place::AfterCr
            && let Some(octet) = slice.get(at)
        {
            self.place = Place::Start;
            at += usize::from(*octet == b'\n');
        }
        slice.get(..at).unwrap_or(slice)
    }

    /// Whether the cut is made: what follows does not belong to the answer, and need not be read.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.done
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stuff(ends: LineEnds, slices: &[&[u8]]) -> Vec<u8> {
        let (mut stuffer, mut out) = (Stuffer::with(ends), Vec::new());
        for slice in slices {
            stuffer.push(slice, &mut out);
        }
        stuffer.finish(&mut out);
        out
    }

    #[test]
    fn p_016_dots_are_stuffed_at_line_starts_only() {
        for (message, wire) in [
            (&b"."[..], &b"..\r\n.\r\n"[..]),
            (b"", b".\r\n"),
            (b"\r\n", b"\r\n.\r\n"),
            (b".\r\n..\r\na.b\r\n", b"..\r\n...\r\na.b\r\n.\r\n"),
        ] {
            assert_eq!(stuff(LineEnds::Crlf, &[message]), wire);
            assert_eq!(stuff(LineEnds::AsStored, &[message]), wire);
        }
    }

    #[test]
    fn p_022_bare_line_ends_become_crlf_before_stuffing() {
        assert_eq!(stuff(LineEnds::Crlf, &[b"a\n.\r.\r\r\nb"]), b"a\r\n..\r\n..\r\n\r\nb\r\n.\r\n");
        assert_eq!(stuff(LineEnds::Crlf, &[b"a\r", b"\nb\r"]), b"a\r\nb\r\n.\r\n");
    }

    #[test]
    fn verbatim_leaves_bare_line_ends_and_their_dots() {
        assert_eq!(stuff(LineEnds::AsStored, &[b"a\n.\r\n.b\r.c\n"]), b"a\n.\r\n..b\r.c\n\r\n.\r\n");
        assert_eq!(stuff(LineEnds::AsStored, &[b"a\r", b"\n.b\r"]), b"a\r\n..b\r\r\n.\r\n");
    }

    #[test]
    fn unstuffed_dots_stay_as_they_are() {
        for ends in [LineEnds::Crlf, LineEnds::AsStored] {
            let (mut stuffer, mut out) = (Stuffer::with(ends).unstuffed(), Vec::new());
            stuffer.push(b".\r\n..a\r\nno end", &mut out);
            stuffer.end_line(&mut out);
            stuffer.push(b".more", &mut out);
            stuffer.finish(&mut out);
            assert_eq!(out, b".\r\n..a\r\nno end\r\n.more\r\n.\r\n", "{ends:?}");
        }
    }

    #[test]
    fn p_064_top_counts_lines_of_the_body() {
        let message = b"A: 1\r\n\r\n1\r\n\r\n3";
        for (lines, kept) in [(0, 8), (1, 11), (2, 13), (3, 14), (u64::MAX, 14)] {
            assert_eq!(TopCutter::new(lines, LineEnds::Crlf).take(message).len(), kept, "TOP n {lines}");
        }
        assert_eq!(TopCutter::new(0, LineEnds::Crlf).take(b"A: 1\n\nbody"), b"A: 1\n\n");
        assert_eq!(TopCutter::new(0, LineEnds::AsStored).take(b"A: 1\r\n\r\nbody"), b"A: 1\r\n\r\n");
        assert_eq!(TopCutter::new(0, LineEnds::Crlf).take(b"only: header"), b"only: header");
    }

    /// Messages of the octets that matter, so that every combination of line end and dot comes up.
    fn message() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(&b"\r\n.ab"[..]), 0..40)
    }

    fn ends() -> impl Strategy<Value = LineEnds> {
        prop::sample::select(&[LineEnds::Crlf, LineEnds::AsStored][..])
    }

    fn pieces<'a>(message: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (message.len() + 1)).collect();
        cuts.extend([0, message.len()]);
        cuts.sort_unstable();
        cuts.windows(2).map(|cut| &message[cut[0]..cut[1]]).collect()
    }

    /// What a client that follows RFC 1939 to the letter makes of an answer.
    fn unstuff(wire: &[u8]) -> Vec<u8> {
        let body = wire.strip_suffix(b".\r\n").expect("terminator");
        let mut out = Vec::new();
        let mut at = 0;
        while at < body.len() {
            let end = memchr::memmem::find(&body[at..], b"\r\n").expect("a line end") + at + 2;
            let line = &body[at..end];
            assert_ne!(line, b".\r\n", "a terminator inside the data");
            out.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
            at = end;
        }
        out
    }

    proptest! {
        #[test]
        fn stuffing_does_not_depend_on_the_cuts(
            message in message(), ends in ends(), cuts in prop::collection::vec(0usize..64, 0..5)
        ) {
            prop_assert_eq!(stuff(ends, &pieces(&message, &cuts)), stuff(ends, &[&message]));
        }

        #[test]
        fn p_025_the_size_is_what_arrives(
            message in message(), ends in ends(), cuts in prop::collection::vec(0usize..64, 0..5)
        ) {
            let mut size = WireSize::new(ends);
            pieces(&message, &cuts).into_iter().for_each(|piece| size.push(piece));
            prop_assert_eq!(size.finish(), unstuff(&stuff(ends, &[&message])).len() as u64);
        }

        #[test]
        fn p_022_no_bare_line_end_survives(message in message()) {
            let wire = String::from_utf8(stuff(LineEnds::Crlf, &[&message])).expect("ASCII");
            prop_assert!(!wire.replace("\r\n", "").contains(['\r', '\n']));
        }

        #[test]
        fn verbatim_keeps_every_octet(message in message()) {
            let arrived = unstuff(&stuff(LineEnds::AsStored, &[&message]));
            prop_assert!(arrived == message || arrived == [&message[..], b"\r\n"].concat());
        }

        #[test]
        fn top_does_not_depend_on_the_cuts(
            message in message(), ends in ends(), lines in 0u64..4, cuts in prop::collection::vec(0usize..64, 0..5)
        ) {
            let cut = |slices: &[&[u8]]| {
                let mut top = TopCutter::new(lines, ends);
                let kept: Vec<u8> = slices.iter().flat_map(|slice| top.take(slice)).copied().collect();
                stuff(ends, &[&kept])
            };
            prop_assert_eq!(cut(&pieces(&message, &cuts)), cut(&[&message]));
        }
    }
}
