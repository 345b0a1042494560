//! What becomes of a message's octets between the store and the wire: small edits, one after the other.
//!
//! Everything here streams: a chunk goes in, what is left of it comes out, and what comes out in the end never depends
//! on where the chunks were cut. An edit holds back a few octets at most, so a message of any size is sent in the memory
//! of a chunk.

use popwire_proto::stuff::Stuffer;

/// One change to the octets that pass.
pub(crate) trait Edit: Send {
    /// Appends what the next octets become to `out`.
    fn push(&mut self, octets: &[u8], out: &mut Vec<u8>);

    /// Appends what is owed after the last octet.
    fn finish(&mut self, out: &mut Vec<u8>) {
        let _ = out;
    }
}

/// All that happens to a message on its way: its edits in order, and the terminator.
pub(crate) struct Chain {
    edits: Vec<Box<dyn Edit>>,
    terminator: Vec<u8>,
}

impl Chain {
    pub(crate) fn new(edits: Vec<Box<dyn Edit>>, terminator: Vec<u8>) -> Self {
        Self { edits, terminator }
    }

    /// Appends the wire form of the message's next octets to `out`.
    pub(crate) fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        push(&mut self.edits, octets, out);
    }

    /// Ends the answer.
    pub(crate) fn finish(mut self, out: &mut Vec<u8>) {
        finish(&mut self.edits, out);
        out.extend_from_slice(&self.terminator);
    }
}

fn push(edits: &mut [Box<dyn Edit>], octets: &[u8], out: &mut Vec<u8>) {
    match edits {
        [] => out.extend_from_slice(octets),
        [last] => last.push(octets, out),
        [first, rest @ ..] => {
            let mut edited = Vec::new();
            first.push(octets, &mut edited);
            push(rest, &edited, out);
        }
    }
}

/// What an edit still owes passes through those behind it.
fn finish(edits: &mut [Box<dyn Edit>], out: &mut Vec<u8>) {
    if let [first, rest @ ..] = edits {
        let mut owed = Vec::new();
        first.finish(&mut owed);
        push(rest, &owed, out);
        finish(rest, out);
    }
}

/// The edit that every message undergoes.
impl Edit for Stuffer {
    fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        Self::push(self, octets, out);
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.end_line(out);
    }
}

/// Puts octets before the message.
pub(crate) struct Prepend(pub(crate) Vec<u8>);

impl Edit for Prepend {
    fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        out.append(&mut self.0);
        out.extend_from_slice(octets);
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.0);
    }
}

/// Lets so many octets through, and no more.
pub(crate) struct Cut(pub(crate) u64);

impl Edit for Cut {
    fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        let most = usize::try_from(self.0).unwrap_or(usize::MAX);
        let part = octets.get(..most).unwrap_or(octets);
        self.0 -= part.len() as u64;
        out.extend_from_slice(part);
    }
}

/// Puts another octet, or none, in place of one.
pub(crate) struct Replace {
    pub(crate) octet: u8,
    pub(crate) with: &'static [u8],
}

impl Edit for Replace {
    fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        let mut parts = octets.split(|octet| *octet == self.octet);
        out.extend_from_slice(parts.next().unwrap_or_default());
        for part in parts {
            out.extend_from_slice(self.with);
            out.extend_from_slice(part);
        }
    }
}

/// Cuts lines at their NUL, line end included.
#[derive(Default)]
pub(crate) struct CutAtNul {
    cutting: bool,
}

impl Edit for CutAtNul {
    fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        for line in octets.split_inclusive(|octet| *octet == b'\n') {
            if !self.cutting {
                let kept = line.split(|octet| *octet == 0).next().unwrap_or_default();
                out.extend_from_slice(kept);
                self.cutting = kept.len() < line.len();
            }
            self.cutting &= !line.ends_with(b"\n");
        }
    }
}

/// Adds the blank line behind the header to a message that is a header only.
#[derive(Default)]
pub(crate) struct AddSeparator {
    header: Header,
}

impl Edit for AddSeparator {
    fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        octets.iter().for_each(|octet| self.header.pass(*octet));
        out.extend_from_slice(octets);
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        match self.header.place {
            _ if self.header.is_over => {}
            Place::Start => out.extend_from_slice(b"\r\n"),
            Place::AfterCr | Place::Within => out.extend_from_slice(b"\r\n\r\n"),
        }
    }
}

/// Makes every line end CRLF in the header and LF in the body.
#[derive(Default)]
pub(crate) struct BareLfBody {
    header: Header,
    /// A CR that came last, and may be half of a line end.
    cr: bool,
}

impl Edit for BareLfBody {
    fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        for octet in octets {
            let cr = std::mem::replace(&mut self.cr, *octet == b'\r');
            match octet {
                b'\n' if self.header.is_over => out.push(b'\n'),
                b'\n' => out.extend_from_slice(b"\r\n"),
                _ if cr => out.push(b'\r'),
                _ => {}
            }
            if !matches!(octet, b'\r' | b'\n') {
                out.push(*octet);
            }
            self.header.pass(*octet);
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.cr) {
            out.push(b'\r');
        }
    }
}

/// Follows a message to the end of its header: a line that is blank. Lines end in LF here, with or without a CR.
#[derive(Default)]
struct Header {
    place: Place,
    is_over: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Start,
    /// After a CR that stands at the start of a line.
    AfterCr,
    Within,
}

impl Header {
    fn pass(&mut self, octet: u8) {
        if self.is_over {
            return;
        }
        self.is_over = octet == b'\n' && self.place != Place::Within;
        self.place = match (octet, self.place) {
            (b'\n', _) => Place::Start,
            (b'\r', Place::Start) => Place::AfterCr,
            _ => Place::Within,
        };
    }
}

/// Takes line ends away where the message ends. To be put behind the stuffer: it knows CRLF alone.
pub(crate) struct TrimEnd {
    trim: Trim,
    /// CRs and LFs after which no other octet has come yet.
    held: Vec<u8>,
}

#[derive(Clone, Copy)]
pub(crate) enum Trim {
    /// The blank lines.
    BlankLines,
    /// The CRLF of the last line.
    LastLineEnd,
}

/// So many octets of line ends are held back at most; where more come in a row, the first of them stay.
const HELD: usize = 64 << 10;

impl TrimEnd {
    pub(crate) fn new(trim: Trim) -> Self {
        Self { trim, held: Vec::new() }
    }
}

impl Edit for TrimEnd {
    fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        let text = octets.iter().rposition(|octet| !matches!(octet, b'\r' | b'\n')).map_or(0, |at| at + 1);
        let (text, ends) = octets.split_at(text);
        if !text.is_empty() {
            out.append(&mut self.held);
            out.extend_from_slice(text);
        }
        self.held.extend_from_slice(ends);
        let excess = self.held.len().saturating_sub(HELD);
        out.extend(self.held.drain(..excess));
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        let kept = match self.trim {
            Trim::BlankLines => self.held.split_inclusive(|octet| *octet == b'\n').next().unwrap_or_default(),
            Trim::LastLineEnd => self.held.strip_suffix(b"\r\n").unwrap_or(&self.held),
        };
        out.extend_from_slice(kept);
    }
}

#[cfg(test)]
mod tests {
    use popwire_proto::stuff::LineEnds;

    use super::*;

    type Make = fn() -> Box<dyn Edit>;

    /// Each edit, what goes in, and what comes out.
    const EDITS: [(Make, &[u8], &[u8]); 13] = [
        (|| Box::new(Prepend(b"A: 1\r\n".to_vec())), b"B: 2\r\n", b"A: 1\r\nB: 2\r\n"),
        (|| Box::new(Prepend(b"A: 1\r\n".to_vec())), b"", b"A: 1\r\n"),
        (|| Box::new(Cut(4)), b"123456", b"1234"),
        (|| Box::new(Replace { octet: 0, with: b"\x80" }), b"\0a\0\0b\0", b"\x80a\x80\x80b\x80"),
        (|| Box::new(Replace { octet: b'\r', with: b"" }), b"a\r\n\r\n", b"a\n\n"),
        (|| Box::<CutAtNul>::default(), b"a\0b\0\r\nc\r\n\0\r\nd\0", b"ac\r\nd"),
        (|| Box::<AddSeparator>::default(), b"A: 1\r\n", b"A: 1\r\n\r\n"),
        (|| Box::<AddSeparator>::default(), b"A: 1", b"A: 1\r\n\r\n"),
        (|| Box::<AddSeparator>::default(), b"A: 1\r\n\r\nb", b"A: 1\r\n\r\nb"),
        (|| Box::<BareLfBody>::default(), b"A: 1\n\r\nb\r\r\nc\n\r", b"A: 1\r\n\r\nb\r\nc\n\r"),
        (|| Box::new(TrimEnd::new(Trim::BlankLines)), b"\r\na\r\n\r\nb\r\n\r\n\r\n", b"\r\na\r\n\r\nb\r\n"),
        (|| Box::new(TrimEnd::new(Trim::LastLineEnd)), b"a\r\n\r\n", b"a\r\n"),
        (|| Box::new(Stuffer::with(LineEnds::Crlf)), b".\n", b"..\r\n"),
    ];

    fn run(edits: Vec<Box<dyn Edit>>, pieces: &[&[u8]]) -> Vec<u8> {
        let (mut chain, mut out) = (Chain::new(edits, b"END".to_vec()), Vec::new());
        pieces.iter().for_each(|piece| chain.push(piece, &mut out));
        chain.finish(&mut out);
        out
    }

    #[test]
    fn each_edit_does_what_it_says_and_no_more() {
        for (n, (make, octets, edited)) in EDITS.into_iter().enumerate() {
            let expected = [edited, b"END"].concat();
            for at in 0..=octets.len() {
                let (first, second) = octets.split_at(at);
                assert_eq!(run(vec![make()], &[first, second]), expected, "edit {n}, cut at {at}");
            }
        }
    }

    #[test]
    fn line_ends_that_are_held_back_are_bounded() {
        let mut edit = TrimEnd::new(Trim::BlankLines);
        let mut out = Vec::new();
        for _ in 0..100 {
            edit.push(&b"\r\n".repeat(10_000), &mut out);
            assert!(edit.held.len() <= HELD);
        }
        assert_eq!(out.len() + edit.held.len(), 2_000_000);
    }

    #[test]
    fn edits_do_not_depend_on_the_cuts() {
        let octets = b"\r\n\0.a";
        for n in 0..octets.len().pow(5) {
            let message: Vec<u8> = (0..5).map(|at| octets[n / octets.len().pow(at) % octets.len()]).collect();
            for (make, ..) in EDITS {
                let whole = run(vec![make()], &[&message]);
                for at in 1..message.len() {
                    let (first, second) = message.split_at(at);
                    assert_eq!(
                        run(vec![make()], &[first, second]),
                        whole,
                        "{:?} cut at {at}",
                        message.escape_ascii()
                    );
                }
                let single: Vec<&[u8]> = message.chunks(1).collect();
                assert_eq!(run(vec![make()], &single), whole, "{:?}", message.escape_ascii());
            }
        }
    }

    #[test]
    fn what_an_edit_owes_at_the_end_passes_through_the_next() {
        let edits: Vec<Box<dyn Edit>> = vec![
            Box::<AddSeparator>::default(),
            Box::new(Stuffer::with(LineEnds::Crlf)),
            Box::new(Replace { octet: b'\r', with: b"" }),
        ];
        assert_eq!(run(edits, &[b"A: 1", b"\r\n.B: 2"]), b"A: 1\n..B: 2\n\nEND");
    }
}
