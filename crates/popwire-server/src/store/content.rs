//! Messages for the memory store, written out or generated on the fly.

use std::io::{self, Read};
use std::sync::Arc;

use popwire_proto::stuff::{LineEnds, WireSize};

/// What a message consists of.
#[derive(Clone, Debug)]
pub enum Content {
    /// These octets.
    Octets(Arc<[u8]>),
    /// A message made up while it is sent, in constant memory: a header, then lines of the letter `x`. The first line
    /// of the body and every eighth after it begins with a dot.
    Generated {
        /// The size on the wire in octets, line ends included. Less than 2 counts as 2.
        size: u64,
        /// The length of each line of the body, in octets without its CRLF; 0 counts as 1. Larger than `size`: the
        /// body is one line.
        line_len: u64,
    },
}

impl Content {
    /// A message of which one line has so many octets, at most a terabyte.
    pub(crate) fn long_line(octets: u64) -> Self {
        let line_len = octets.clamp(1, 1 << 40);
        Self::Generated { size: HEADER.len() as u64 + line_len + 2, line_len }
    }

    /// The octets as they are stored.
    #[must_use]
    pub fn reader(&self) -> Box<dyn Read + Send> {
        match self {
            Self::Octets(octets) => Box::new(io::Cursor::new(Arc::clone(octets))),
            Self::Generated { size, line_len } => Box::new(Generator::new(*size, *line_len)),
        }
    }

    /// The size on the wire, in octets (RFC 1939 section 11).
    #[must_use]
    pub fn wire_size(&self, ends: LineEnds) -> u64 {
        match self {
            Self::Octets(octets) => WireSize::of(octets, ends),
            Self::Generated { size, line_len } => Generator::new(*size, *line_len).size,
        }
    }
}

impl From<Vec<u8>> for Content {
    fn from(octets: Vec<u8>) -> Self {
        Self::Octets(octets.into())
    }
}

impl From<&[u8]> for Content {
    fn from(octets: &[u8]) -> Self {
        Self::Octets(octets.into())
    }
}

impl<const N: usize> From<&[u8; N]> for Content {
    fn from(octets: &[u8; N]) -> Self {
        Self::Octets(octets.as_slice().into())
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

/// A message to put into a memory store.
#[derive(Clone, Debug)]
pub struct Message {
    pub(crate) content: Content,
    pub(crate) unique_id: Option<Vec<u8>>,
    pub(crate) seen: bool,
}

impl Message {
    /// A message, not seen, whose unique-id the store will choose.
    #[must_use]
    pub fn new(content: impl Into<Content>) -> Self {
        Self { content: content.into(), unique_id: None, seen: false }
    }

    /// Sets the unique-id. Nothing checks it: servers with odd and with equal ids exist.
    #[must_use]
    pub fn unique_id(mut self, unique_id: impl AsRef<[u8]>) -> Self {
        self.unique_id = Some(unique_id.as_ref().to_vec());
        self
    }

    /// Says whether it has been retrieved before.
    #[must_use]
    pub fn seen(mut self, seen: bool) -> Self {
        self.seen = seen;
        self
    }
}

impl<C: Into<Content>> From<C> for Message {
    fn from(content: C) -> Self {
        Self::new(content)
    }
}

/// The octets of [`Content::Generated`], a pure function of their position.
struct Generator {
    size: u64,
    line_len: u64,
    position: u64,
}

const HEADER: &[u8] = b"Subject: generated\r\n\r\n";

/// Every so many lines one begins with a dot, so that stuffing has work to do.
const DOT_EVERY: u64 = 8;

impl Generator {
    fn new(size: u64, line_len: u64) -> Self {
        Self { size: size.max(2), line_len: line_len.max(1), position: 0 }
    }

    /// Puts `octet` at `position` of the message if that lies within `window`, which begins at `start`.
    fn put(window: &mut [u8], start: u64, position: u64, octet: u8) {
        let place = position.checked_sub(start).and_then(|offset| usize::try_from(offset).ok());
        if let Some(place) = place.and_then(|offset| window.get_mut(offset)) {
            *place = octet;
        }
    }
}

impl Read for Generator {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size - self.position).unwrap_or(usize::MAX);
        let Some(window) = buf.get_mut(..left.min(buf.len().min(READ))) else { return Ok(0) };
        let (start, end) = (self.position, self.position + window.len() as u64);
        window.fill(b'x');
        for (at, octet) in HEADER.iter().enumerate() {
            Self::put(window, start, at as u64, *octet);
        }
        let (header, period) = (HEADER.len() as u64, self.line_len + 2);
        // From the line that holds the first octet of the window.
        let mut line = start.saturating_sub(header) / period;
        while header + line * period < end {
            let first = header + line * period;
            if line % DOT_EVERY == 0 {
                Self::put(window, start, first, b'.');
            }
            Self::put(window, start, first + self.line_len, b'\r');
            Self::put(window, start, first + self.line_len + 1, b'\n');
            line += 1;
        }
        // The message ends in CRLF wherever the size cuts the last line. A CR just before would be a line end more.
        let lone_cr = self.size.checked_sub(3).filter(|at| {
            let within_header = usize::try_from(*at).ok().and_then(|at| HEADER.get(at));
            within_header.map_or_else(|| (at - header) % period == self.line_len, |octet| *octet == b'\r')
        });
        if let Some(at) = lone_cr {
            Self::put(window, start, at, b'x');
        }
        Self::put(window, start, self.size - 2, b'\r');
        Self::put(window, start, self.size - 1, b'\n');
        self.position = end;
        Ok(window.len())
    }
}

/// Most that one read makes up, so that a reader who offers a gigabyte does not block its thread.
const READ: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_messages_have_the_size_they_announce() {
        for size in 2..200 {
            for line_len in [1, 2, 7, 76, 1000] {
                let content = Content::Generated { size, line_len };
                let mut octets = Vec::new();
                content.reader().read_to_end(&mut octets).expect("no I/O");
                assert_eq!(octets.len() as u64, size, "{content:?}");
                assert_eq!(WireSize::of(&octets, LineEnds::Crlf), size, "{content:?}");
                assert_eq!(WireSize::of(&octets, LineEnds::AsStored), size, "{content:?}");
            }
        }
    }

    #[test]
    fn generated_octets_do_not_depend_on_the_reads() {
        let content = Content::Generated { size: 1000, line_len: 9 };
        let mut whole = Vec::new();
        content.reader().read_to_end(&mut whole).expect("no I/O");
        let (mut reader, mut pieces, mut buf) = (content.reader(), Vec::new(), [0; 7]);
        while let Ok(read @ 1..) = reader.read(&mut buf) {
            pieces.extend_from_slice(&buf[..read]);
        }
        assert_eq!(whole, pieces);
        assert!(whole.starts_with(b"Subject: generated\r\n\r\n.xxxxxxxx\r\nxxxxxxxxx\r\n"));
    }
}
