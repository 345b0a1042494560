//! Command lines cut from the input, in bounded memory.

use memchr::memchr;

/// Longest command line, in octets with its CRLF: what a server that answers CAPA has to accept (RFC 2449 section 4).
pub const COMMAND_LINE: usize = 255;

/// A line, with its line end as the client sent it.
pub(super) struct Line {
    pub(super) octets: Vec<u8>,
    /// The line was longer than the limit: `octets` is its beginning.
    pub(super) overlong: bool,
}

/// Input that has not been handed out. A line longer than the limit is dropped as it arrives, but for its beginning.
pub(super) struct LineBuffer {
    pending: Vec<u8>,
    /// Where in `pending` the next line begins: lines are not moved one by one.
    start: usize,
    /// The beginning of a line that has grown past the limit; the rest of it is being dropped.
    overlong: Option<Vec<u8>>,
    limit: usize,
}

impl Default for LineBuffer {
    fn default() -> Self {
        Self { pending: Vec::new(), start: 0, overlong: None, limit: COMMAND_LINE }
    }
}

impl LineBuffer {
    pub(super) fn push(&mut self, octets: &[u8]) {
        self.pending.drain(..self.start);
        self.start = 0;
        self.pending.extend_from_slice(octets);
        self.drop_overlong();
    }

    /// The next whole line.
    pub(super) fn next(&mut self) -> Option<Line> {
        let rest = self.pending.get(self.start..)?;
        if rest.is_empty() {
            // A client that thinks costs nothing: there may be thousands.
            self.pending = Vec::new();
            self.start = 0;
            return None;
        }
        let Some(lf) = memchr(b'\n', rest) else {
            self.drop_overlong();
            return None;
        };
        let line = rest.get(..=lf)?;
        self.start += lf + 1;
        if let Some(beginning) = self.overlong.take() {
            return Some(Line { octets: beginning, overlong: true });
        }
        let overlong = line.len() > self.limit;
        let octets = line.get(..self.limit).unwrap_or(line).to_vec();
        Some(Line { octets, overlong })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.overlong.is_none() && self.start >= self.pending.len()
    }

    /// Takes out what has not been handed out.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let mut octets = std::mem::take(&mut self.pending);
        octets.drain(..self.start);
        *self = Self { limit: self.limit, ..Self::default() };
        octets
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    pub(super) fn set_limit(&mut self, octets: usize) {
        self.limit = octets;
    }

    /// Drops the part of an unfinished last line that can no longer matter.
    fn drop_overlong(&mut self) {
        let Some(rest) = self.pending.get(self.start..) else { return };
        if memchr(b'\n', rest).is_some() || (self.overlong.is_none() && rest.len() <= self.limit) {
            return;
        }
        let beginning = rest.get(..self.limit).unwrap_or(rest);
        if self.overlong.is_none() {
            self.overlong = Some(beginning.to_vec());
        }
        self.pending.clear();
        self.start = 0;
    }
}

/// The length of a line without its line end, be that CRLF or LF.
pub(super) fn content_length(line: &[u8]) -> usize {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line).len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_006_lines_of_255_octets_are_accepted_and_longer_ones_dropped() {
        for (length, overlong) in [(255, false), (256, true)] {
            let mut line = vec![b'x'; length - 2];
            line.extend_from_slice(b"\r\nNOOP\r\n");
            let mut buffer = LineBuffer::default();
            buffer.push(&line);
            assert_eq!(buffer.next().expect("a line").overlong, overlong);
            assert_eq!(buffer.next().expect("the next").octets, b"NOOP\r\n");
            assert!(buffer.is_empty());
        }
    }

    #[test]
    fn an_endless_line_costs_no_memory() {
        let mut buffer = LineBuffer::default();
        for _ in 0..1000 {
            buffer.push(&[b'x'; 4096]);
            assert!(buffer.next().is_none());
            assert!(buffer.pending.len() <= COMMAND_LINE);
        }
        buffer.push(b"x\nQUIT\n");
        let line = buffer.next().expect("a line");
        assert!(line.overlong && line.octets.len() == COMMAND_LINE);
        assert_eq!(buffer.next().expect("the next").octets, b"QUIT\n");
    }
}
