//! The body decoder: from the octets after a status line to the octets of a message.
//!
//! It hands out slices of its input, found with `memchr`; it copies nothing and does no work per line. A line that
//! begins with a dot loses that dot; a line that is only a dot ends the body (RFC 1939 section 3).
//!
//! # Where a message ends
//!
//! Which octets end a body is a question of security. A sender can put a line `LF . CR LF` into a mail, with a bare LF
//! before the dot, and octets after it that look like server replies. A server that passes bare LF through sends them
//! as data, as it must. A client that splits lines at LF takes the dot for the end of the message and the sender's
//! next octets for the server's answer to the next command.
//!
//! So the first line of a body sets its style. If it ends in CRLF, only CRLF `.` CRLF ends the body, and a bare LF is
//! data. If it ends in a bare LF, the server is one that writes LF, and LF `.` LF or LF `.` CRLF ends the body. A bare
//! CR is data always.
//!
//! # Who uses it
//!
//! The [`Client`](crate::Client) has a decoder of its own, behind [`Client::body`](crate::Client::body). It is public for
//! whoever has the octets of an answer from elsewhere.

use std::sync::LazyLock;

use memchr::memchr;
use memchr::memmem::Finder;

/// Made once: a sender who begins every line with a dot would have it made for every line.
static CRLF_DOT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\r\n."));
static LF_DOT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\n."));

/// What the decoder makes of the beginning of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// So many octets of the input are data; they are at least one.
    Data(usize),
    /// The first octet of the input is a stuffed dot: skip it. So many after it are data; perhaps none can be told yet.
    Stuffed(usize),
    /// The first octets of the input, so many, are the terminator.
    End(usize),
    /// More input is needed.
    More,
}

/// How a body ended that did not end as the RFC says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IrregularEnd {
    /// A bare LF stands before or after the dot where there should be CRLF.
    BareLineFeed,
    /// The LF after the dot's CR is missing.
    MissingLineFeed,
    /// The terminator stands directly after text, without a line end before it.
    AfterText,
}

/// The decoder's state between two slices of input.
///
/// A tail of the input that could be a terminator in some broken form is not handed out until more input shows that it
/// is none; so a body that ends irregularly has nothing of its terminator in its data.
///
/// ```
/// use popwire_proto::body::{Decoder, Step};
///
/// let (mut decoder, mut input, mut message) = (Decoder::default(), &b"Hello\r\n..\r\n.\r\n+OK"[..], Vec::new());
/// loop {
///     match decoder.step(input) {
///         Step::Data(octets) => {
///             message.extend_from_slice(&input[..octets]);
///             input = &input[octets..];
///         }
///         Step::Stuffed(octets) => {
///             message.extend_from_slice(&input[1..][..octets]);
///             input = &input[1 + octets..];
///         }
///         Step::End(octets) => {
///             input = &input[octets..];
///             break;
///         }
///         _ => panic!("the rest has to be read first"),
///     }
/// }
/// assert_eq!((&message[..], input), (&b"Hello\r\n.\r\n"[..], &b"+OK"[..]));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    style: Style,
    at: At,
}

/// How the body's lines end; the first one decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Style {
    #[default]
    Unknown,
    Crlf,
    Lf,
}

/// Where in a line the input begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    LineStart,
    /// Within a line; with the octet before, where it matters.
    Middle(Before),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Cr,
    Lf,
    /// A stuffed dot: what follows is a line that the server has stuffed, so no terminator.
    Dot,
    Other,
}

impl Decoder {
    /// Looks at the input that follows what earlier steps consumed. After [`Step::End`] the decoder is of no use.
    #[inline]
    pub fn step(&mut self, input: &[u8]) -> Step {
        let before = match self.at {
            At::LineStart if input.first() == Some(&b'.') => return self.dot(input),
            At::LineStart => Before::Other,
            At::Middle(before) => before,
        };
        match self.data(input, before) {
            0 => Step::More,
            octets => Step::Data(octets),
        }
    }

    /// How many octets are data: up to the next line that begins with a dot, or all but a tail that is held back.
    fn data(&mut self, input: &[u8], before: Before) -> usize {
        if self.style == Style::Unknown {
            self.learn_style(input, before);
        }
        let line_start = match self.style {
            Style::Crlf if before == Before::Cr && input.first() == Some(&b'\n') => Some(1),
            Style::Crlf => match CRLF_DOT.find(input) {
                Some(cr) => Some(cr + 2),
                None => (input.ends_with(b"\r\n") && possible_end(input) == 0).then_some(input.len()),
            },
            Style::Lf => match LF_DOT.find(input) {
                Some(lf) => Some(lf + 1),
                None => input.ends_with(b"\n").then_some(input.len()),
            },
            Style::Unknown => None,
        };
        if let Some(octets) = line_start {
            self.at = At::LineStart;
            return octets;
        }
        let octets = input.len() - possible_end(input);
        if let Some(last) = octets.checked_sub(1).and_then(|last| input.get(last)) {
            self.at = At::Middle(match last {
                b'\r' => Before::Cr,
                b'\n' => Before::Lf,
                _ => Before::Other,
            });
        }
        octets
    }

    /// Sets the style by the first line end, if that is here and cannot be part of a broken terminator.
    fn learn_style(&mut self, input: &[u8], before: Before) {
        let Some(lf) = memchr(b'\n', input) else { return };
        if lf + 1 == input.len() && possible_end(input) > 0 {
            return;
        }
        let crlf = match lf.checked_sub(1) {
            Some(previous) => input.get(previous) == Some(&b'\r'),
            None => before == Before::Cr,
        };
        self.style = if crlf { Style::Crlf } else { Style::Lf };
    }

    /// Whether the lines of this body end in bare LF.
    pub(crate) fn is_bare_lf(&self) -> bool {
        self.style == Style::Lf
    }

    /// The kind of broken terminator that `rest`, all the input there is, would be.
    pub(crate) fn irregular_end(&self, rest: &[u8]) -> Option<IrregularEnd> {
        match (self.at, rest) {
            (At::LineStart, b".\n") | (At::Middle(Before::Lf), b".\n" | b".\r\n") => {
                Some(IrregularEnd::BareLineFeed)
            }
            (At::LineStart | At::Middle(Before::Lf), b".\r") => Some(IrregularEnd::MissingLineFeed),
            (At::Middle(Before::Cr | Before::Other), b".\r\n") => Some(IrregularEnd::AfterText),
            _ => None,
        }
    }

    /// A dot at the beginning of a line: the terminator, or one dot too many.
    fn dot(&mut self, input: &[u8]) -> Step {
        let bare_lf_ends = self.style != Style::Crlf;
        match (input.get(1), input.get(2)) {
            (None, _) | (Some(b'\r'), None) => Step::More,
            (Some(b'\r'), Some(b'\n')) => Step::End(3),
            (Some(b'\n'), _) if bare_lf_ends => Step::End(2),
            // A broken end in a body of CRLF, if nothing follows.
            (Some(b'\n'), None) => Step::More,
            _ => {
                self.at = At::Middle(Before::Dot);
                Step::Stuffed(self.data(input.get(1..).unwrap_or_default(), Before::Dot))
            }
        }
    }
}

/// How many octets at the end of the input could be a broken terminator, or the beginning of one.
fn possible_end(input: &[u8]) -> usize {
    [&b".\r\n"[..], b".\r", b".\n", b"."]
        .iter()
        .find(|tail| input.ends_with(tail))
        .map_or(0, |tail| tail.len())
}
