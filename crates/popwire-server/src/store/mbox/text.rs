//! The text of an mbox: its lines, its quoting, a message taken out of it.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use memchr::memchr;

/// What begins the line before a message, and is quoted within one.
pub(super) const FROM: &[u8] = b"From ";

/// What one read takes.
const BUFFER: usize = 64 << 10;

/// A part of a file, a line at a time; of a line that is longer than the buffer, a piece at a time.
pub(super) struct Lines<'a> {
    file: &'a File,
    /// Where in the file the rest of it begins that has not been read.
    position: u64,
    end: u64,
    buffer: Vec<u8>,
    /// What of the buffer has not been handed out.
    rest: Range<usize>,
    /// Whether what comes next begins a line.
    at_start: bool,
}

/// A line, or a piece of one.
pub(super) struct Piece<'a> {
    /// Where in the file it begins.
    pub(super) offset: u64,
    pub(super) octets: &'a [u8],
    /// Whether it begins a line. It then has the line's first octets, as many as there are.
    pub(super) begins: bool,
}

impl Piece<'_> {
    /// Whether it is a line before a message.
    pub(super) fn is_from(&self) -> bool {
        self.begins && self.octets.starts_with(FROM)
    }

    /// Whether it is an empty line.
    pub(super) fn is_blank(&self) -> bool {
        self.begins && matches!(self.octets, b"\n" | b"\r\n")
    }
}

impl<'a> Lines<'a> {
    pub(super) fn new(file: &'a File, part: Range<u64>) -> Self {
        let Range { start: position, end } = part;
        Self { file, position, end, buffer: vec![0; BUFFER], rest: 0..0, at_start: true }
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Piece<'_>>> {
        let unread = self.buffer.get(self.rest.clone()).unwrap_or_default();
        let mut line = memchr(b'\n', unread).map(|lf| lf + 1);
        if line.is_none() {
            self.fill()?;
            let unread = self.buffer.get(self.rest.clone()).unwrap_or_default();
            line = memchr(b'\n', unread).map(|lf| lf + 1);
        }
        let begins = self.at_start;
        let length = line.unwrap_or(self.rest.len());
        if length == 0 {
            return Ok(None);
        }
        self.at_start = line.is_some();
        let offset = self.position - self.rest.len() as u64;
        let start = self.rest.start;
        self.rest.start += length;
        let octets = self.buffer.get(start..start + length).unwrap_or_default();
        Ok(Some(Piece { offset, octets, begins }))
    }

    /// Makes the buffer as full as the file allows.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.rest.clone(), 0);
        self.rest = 0..self.rest.len();
        while let Some(room) = self.buffer.get_mut(self.rest.end..).filter(|room| !room.is_empty()) {
            let read = read_at(self.file, room, self.position, self.end)?;
            if read == 0 {
                break;
            }
            self.rest.end += read;
            self.position += read as u64;
        }
        Ok(())
    }
}

/// Reads at a place of a file, not beyond `end`.
pub(super) fn read_at(file: &File, room: &mut [u8], position: u64, end: u64) -> io::Result<usize> {
    let left = usize::try_from(end.saturating_sub(position)).unwrap_or(usize::MAX);
    let most = left.min(room.len());
    let room = room.get_mut(..most).unwrap_or_default();
    loop {
        match file.read_at(room, position) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// Takes one `>` from lines that begin with `From ` behind one or more of them.
///
/// All `>` are alike: the first is kept back, however many follow, until the line is known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unquoter {
    line: Line,
}

#[derive(Clone, Copy, Debug, Default)]
enum Line {
    #[default]
    Start,
    /// A `>` is kept back, and behind the others there were so many octets of `From `, kept back too.
    Quoted(usize),
    Within,
}

impl Unquoter {
    pub(super) fn push(&mut self, mut octets: &[u8], out: &mut Vec<u8>) {
        while let Some(first) = octets.first() {
            match self.line {
                Line::Start if *first == b'>' => {
                    self.line = Line::Quoted(0);
                    octets = octets.get(1..).unwrap_or_default();
                }
                Line::Quoted(0) if *first == b'>' => {
                    out.push(b'>');
                    octets = octets.get(1..).unwrap_or_default();
                }
                Line::Quoted(matched) if FROM.get(matched) == Some(first) => {
                    octets = octets.get(1..).unwrap_or_default();
                    self.line = Line::Quoted(matched + 1);
                    if matched + 1 == FROM.len() {
                        out.extend_from_slice(FROM);
                        self.line = Line::Within;
                    }
                }
                Line::Quoted(_) => self.give_back(out),
                Line::Start | Line::Within => {
                    let lf = memchr(b'\n', octets);
                    let (line, rest) = octets.split_at(lf.map_or(octets.len(), |lf| lf + 1));
                    out.extend_from_slice(line);
                    self.line = if lf.is_some() { Line::Start } else { Line::Within };
                    octets = rest;
                }
            }
        }
    }

    /// There is no more: what was kept back is no quoting.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        self.give_back(out);
    }

    fn give_back(&mut self, out: &mut Vec<u8>) {
        if let Line::Quoted(matched) = self.line {
            out.push(b'>');
            out.extend_from_slice(FROM.get(..matched).unwrap_or_default());
            self.line = Line::Within;
        }
    }
}

/// The octets of a message, without the quoting.
pub(super) struct MessageReader {
    file: Arc<File>,
    part: Range<u64>,
    unquoter: Unquoter,
    raw: Vec<u8>,
    out: Vec<u8>,
    taken: usize,
}

impl MessageReader {
    pub(super) fn new(file: Arc<File>, part: Range<u64>) -> Self {
        let unquoter = Unquoter::default();
        Self { file, part, unquoter, raw: Vec::new(), out: Vec::new(), taken: 0 }
    }
}

impl Read for MessageReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.out.len() {
            self.out.clear();
            self.taken = 0;
            if self.part.is_empty() {
                self.unquoter.finish(&mut self.out);
                if self.out.is_empty() {
                    return Ok(0);
                }
                break;
            }
            self.raw.resize(buf.len().clamp(512, BUFFER), 0);
            let read = read_at(&self.file, &mut self.raw, self.part.start, self.part.end)?;
            if read == 0 {
                // Cut by another program: this is not the whole message.
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.part.start += read as u64;
            self.unquoter.push(self.raw.get(..read).unwrap_or_default(), &mut self.out);
        }
        let mut ready = self.out.get(self.taken..).unwrap_or_default();
        let read = ready.read(buf)?;
        self.taken += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_is_taken_away_however_the_octets_are_cut() {
        let quoted = b">From a\n>>From b\n>Fromage\n> From c\n>>>\nFrom d\n>>>From e\nx >From f\n>";
        let plain = b"From a\n>From b\n>Fromage\n> From c\n>>>\nFrom d\n>>From e\nx >From f\n>";
        for size in 1..quoted.len() {
            let (mut unquoter, mut out) = (Unquoter::default(), Vec::new());
            quoted.chunks(size).for_each(|piece| unquoter.push(piece, &mut out));
            unquoter.finish(&mut out);
            assert_eq!(out, plain, "{size}: {}", String::from_utf8_lossy(&out));
        }
    }
}
