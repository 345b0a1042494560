//! The bulk reader: a multi-line answer from a Python stream, many octets at a time.
//!
//! The interpreter is asked for octets a few times for each megabyte, and is left alone between. Where an answer ends is
//! decided by the decoder of `popwire-proto`, so that here as there only CRLF `.` CRLF ends a body of CRLF lines.

use memchr::{memchr, memchr_iter};
use popwire_proto::body::{Decoder, Step};
use pyo3::exceptions::{PyEOFError, PyOverflowError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::octets::{Octets, announced};
use crate::room::{self, Room};

/// From so many octets on, other threads may run while they are decoded: to let go of the interpreter costs as much as
/// to decode some kilobytes.
const WORTH_LETTING_GO: usize = 32 * 1024;

/// Reads from `file`, an `io.BufferedReader`, and goes to its raw stream as soon as its buffer is empty: what is in the
/// buffer is copied twice, and a raw stream fills the whole room at once.
///
/// It may have read more than the answer. Who made it asks `unread()` when it is done, and puts that back.
#[pyclass(module = "popwire._native")]
pub(crate) struct Reader {
    file: Py<PyAny>,
    /// `readinto` of the raw stream, once the buffer above it is empty.
    readinto: Option<Py<PyAny>>,
    room: Room,
    decoder: Decoder,
    pieces: Vec<Piece>,
    /// Whether the last chunk of a message was the last of it.
    ended: bool,
    /// The most octets of one answer, and those it has had so far.
    most: u64,
    octets: u64,
}

#[pymethods]
impl Reader {
    #[new]
    fn new(py: Python<'_>, file: Py<PyAny>, most: u64) -> PyResult<Self> {
        let (room, decoder) = (Room::new(py)?, Decoder::default());
        Ok(Self { file, readinto: None, room, decoder, pieces: Vec::new(), ended: false, most, octets: 0 })
    }

    /// The lines of an answer without their ends, and how many octets they were with them. None in place of the lines if
    /// one of them was longer than `longest` octets; the answer is read to its end all the same.
    fn lines<'py>(&mut self, py: Python<'py>, longest: usize) -> PyResult<(Option<Bound<'py, PyList>>, u64)> {
        let mut lines = Lines::new(py, longest);
        while !self.decode_room(py, |octets, dot| lines.take(octets, dot))? {
            self.fill(py)?;
        }
        Ok((lines.list, lines.octets))
    }

    /// A message; `status` is the line before it, which may tell its size.
    fn message<'py>(&mut self, py: Python<'py>, status: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let mut message = Octets::new(py, announced(status))?;
        loop {
            let append = |octets: &[u8], _| {
                message.append(octets);
                Ok(())
            };
            if self.decode_room(py, append)? || self.read_into(py, &mut message)? {
                return Ok(message.finish(py));
            }
            self.fill(py)?;
        }
    }

    /// The next octets of a message; None at its end.
    fn chunk<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let mut chunk = Vec::new();
        while !self.ended {
            self.ended = self.decode_room(py, |octets, _| {
                chunk.extend_from_slice(octets);
                Ok(())
            })?;
            if !chunk.is_empty() {
                return Ok(Some(PyBytes::new(py, &chunk)));
            }
            if !self.ended {
                self.fill(py)?;
            }
        }
        self.ended = false;
        Ok(None)
    }

    /// A status line with its end.
    fn line<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        loop {
            if let Some(lf) = memchr(b'\n', self.room.unread()) {
                let line = PyBytes::new(py, self.room.unread().get(..=lf).unwrap_or_default());
                self.room.consume(lf + 1);
                return Ok(line);
            }
            if self.room.is_full() {
                return Err(PyOverflowError::new_err("line too long"));
            }
            self.fill(py)?;
        }
    }

    /// What was read beyond the answers that were asked for.
    fn unread<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.room.unread())
    }
}

impl Reader {
    /// Hands on what can be told of an answer, with whether a stuffed dot was taken from before it; true at its end.
    fn decode_room(
        &mut self,
        py: Python<'_>,
        mut take: impl FnMut(&[u8], bool) -> PyResult<()>,
    ) -> PyResult<bool> {
        let unread = self.room.unread();
        let found = decode(py, &mut self.decoder, unread, &mut self.pieces);
        for piece in &self.pieces {
            take(unread.get(piece.begin..piece.begin + piece.octets).unwrap_or_default(), piece.stuffed)?;
        }
        self.room.consume(found.consumed);
        self.took(found.ended)
    }

    /// Reads straight into the message, as long as it has free octets and none are held back; true at its end.
    fn read_into(&mut self, py: Python<'_>, message: &mut Octets) -> PyResult<bool> {
        let Some(readinto) = self.readinto.as_ref().map(|readinto| readinto.clone_ref(py).into_bound(py))
        else {
            return Ok(false);
        };
        // What is found to be no part of the message has to find room: no more is read at once than it has.
        while self.room.is_empty() && message.free() > 0 {
            if message.read(py, &readinto, room::OCTETS)? == 0 {
                return Err(eof());
            }
            let found = decode(py, &mut self.decoder, message.brought(0), &mut self.pieces);
            self.room.take(message.brought(found.consumed));
            let mut kept = 0;
            for piece in &self.pieces {
                message.keep(piece.begin - kept, piece.octets);
                kept += piece.octets;
            }
            if self.took(found.ended)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes note of what was decoded last.
    fn took(&mut self, ended: bool) -> PyResult<bool> {
        let octets: usize = self.pieces.iter().map(|piece| piece.octets).sum();
        self.octets = self.octets.saturating_add(u64::try_from(octets)?);
        if self.octets > self.most {
            return Err(PyOverflowError::new_err("answer too large"));
        }
        if ended {
            (self.decoder, self.octets) = (Decoder::default(), 0);
        }
        Ok(ended)
    }

    /// Waits for more octets.
    fn fill(&mut self, py: Python<'_>) -> PyResult<()> {
        let brought = match &self.readinto {
            Some(readinto) => self.room.read(py, readinto.bind(py))?,
            None => self.drain_buffer(py)?,
        };
        if brought == 0 { Err(eof()) } else { Ok(()) }
    }

    /// Takes what is in the buffer of `file`; if there is nothing, `peek` waits for some.
    fn drain_buffer(&mut self, py: Python<'_>) -> PyResult<usize> {
        let file = self.file.bind(py);
        let ahead = file.call_method1(intern!(py, "peek"), (1,))?.cast_into::<PyBytes>()?;
        let taken = self.room.take(ahead.as_bytes());
        file.call_method1(intern!(py, "read"), (taken,))?;
        if taken == ahead.as_bytes().len() {
            let raw = file.getattr(intern!(py, "raw"))?;
            self.readinto = Some(raw.getattr(intern!(py, "readinto"))?.unbind());
        }
        Ok(taken)
    }
}

fn eof() -> PyErr {
    PyEOFError::new_err("EOF")
}

/// Octets of the input that belong to the answer.
struct Piece {
    begin: usize,
    octets: usize,
    /// A stuffed dot was taken from before them.
    stuffed: bool,
}

/// What [`decode`] found beside the pieces.
struct Found {
    consumed: usize,
    ended: bool,
}

/// Finds what can be told of an answer. Other threads may run meanwhile if it is much.
fn decode(py: Python<'_>, decoder: &mut Decoder, input: &[u8], pieces: &mut Vec<Piece>) -> Found {
    pieces.clear();
    let mut work = || {
        let mut at = 0;
        loop {
            let rest = input.get(at..).unwrap_or_default();
            let (skipped, octets) = match decoder.step(rest) {
                Step::Data(octets) => (0, octets),
                // poplib takes away one of two dots. A single one it leaves: such a server stuffs nothing.
                Step::Stuffed(octets) if rest.get(1) == Some(&b'.') => (1, octets),
                Step::Stuffed(octets) => (0, octets + 1),
                Step::End(octets) => return Found { consumed: at + octets, ended: true },
                _ => return Found { consumed: at, ended: false },
            };
            pieces.push(Piece { begin: at + skipped, octets, stuffed: skipped > 0 });
            at += skipped + octets;
        }
    };
    if input.len() < WORTH_LETTING_GO { work() } else { py.detach(work) }
}

/// The lines of an answer, as they come.
struct Lines<'py> {
    py: Python<'py>,
    /// None as soon as one line is too long.
    list: Option<Bound<'py, PyList>>,
    /// A line that has begun in octets which are gone.
    begun: Vec<u8>,
    /// Octets of the line on the wire that are not in it: its stuffed dot.
    dots: usize,
    longest: usize,
    octets: u64,
}

impl<'py> Lines<'py> {
    fn new(py: Python<'py>, longest: usize) -> Self {
        Self { py, list: Some(PyList::empty(py)), begun: Vec::new(), dots: 0, longest, octets: 0 }
    }

    fn take(&mut self, octets: &[u8], dot: bool) -> PyResult<()> {
        self.octets = self.octets.saturating_add(u64::try_from(octets.len())?);
        self.dots += usize::from(dot);
        let mut begin = 0;
        for lf in memchr_iter(b'\n', octets) {
            let line = octets.get(begin..lf).unwrap_or_default();
            begin = lf + 1;
            if self.begun.is_empty() {
                self.push(line)?;
            } else {
                let mut begun = std::mem::take(&mut self.begun);
                begun.extend_from_slice(line);
                self.push(&begun)?;
            }
        }
        let rest = octets.get(begin..).unwrap_or_default();
        if self.begun.len() + rest.len() > self.longest {
            self.list = None;
        }
        if self.list.is_some() {
            self.begun.extend_from_slice(rest);
        }
        Ok(())
    }

    /// Takes a line without its LF.
    fn push(&mut self, line: &[u8]) -> PyResult<()> {
        if line.len() + 1 + std::mem::take(&mut self.dots) > self.longest {
            self.list = None;
        }
        let Some(list) = &self.list else { return Ok(()) };
        // A CR belongs to the line's end, or to that of the line before if the server swaps the two.
        let text = line.strip_suffix(b"\r").or_else(|| line.strip_prefix(b"\r")).unwrap_or(line);
        list.append(PyBytes::new(self.py, text))
    }
}
