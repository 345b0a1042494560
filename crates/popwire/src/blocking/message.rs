//! The reader of a message.

use std::io::{self, BufRead, Read, Write};

use popwire_proto::{MessageNumber, Reply};

use super::pump::Pump;
use crate::commands::message_accessors;
use crate::core::{Progress, WORTH_READING_WITHIN};
use crate::error::Kind;
use crate::{Error, Result, collect};

/// A message on its way from the server: `impl Read` and `impl BufRead`, in bounded memory.
///
/// Its octets are what the server stores: unstuffed, with the line ends that it sent, without the terminator. The end of
/// the reader is the end of the message and nothing else: a connection that breaks before it is an error.
///
/// Dropping the reader before its end is allowed. The rest of the message is then skipped before the next command, if it
/// is at most [`Limits::discard`](popwire_proto::Limits::discard) octets long; if it is longer, the next command fails
/// and the session is over.
///
/// ```no_run
/// # fn save(client: &mut popwire::blocking::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let mut file = std::fs::File::create("1.eml")?;
/// let octets = client.retr(1)?.copy_to(&mut file)?;
/// println!("{octets} octets, all of it");
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Message<'c> {
    pump: &'c mut Pump,
    number: MessageNumber,
    reply: Reply,
    octets: u64,
    end: Option<std::result::Result<(), popwire_proto::IrregularEnd>>,
}

impl<'c> Message<'c> {
    pub(super) fn new(pump: &'c mut Pump, number: MessageNumber, reply: Reply) -> Self {
        Self { pump, number, reply, octets: 0, end: None }
    }

    message_accessors!();

    /// Writes what is left of the message to `writer`; returns how many octets that were.
    ///
    /// # Errors
    ///
    /// The errors of the session; [`is_writer`](Error::is_writer) if the writer fails.
    pub fn copy_to(&mut self, writer: &mut (impl Write + ?Sized)) -> Result<u64> {
        let before = self.octets;
        loop {
            let chunk = self.next_chunk()?;
            if chunk.is_empty() {
                return Ok(self.octets - before);
            }
            writer.write_all(chunk).map_err(Error::writer)?;
            let octets = chunk.len();
            self.advance(octets);
        }
    }

    /// What is left of the message, in memory.
    ///
    /// # Errors
    ///
    /// The errors of the session; a message beyond
    /// [`Limits::message_in_memory`](popwire_proto::Limits::message_in_memory) is refused.
    pub fn read_to_vec(&mut self) -> Result<Vec<u8>> {
        let mut message = Vec::new();
        loop {
            let limit = self.pump.core.machine.limits().message_in_memory;
            let chunk = self.next_chunk()?;
            if chunk.is_empty() {
                return Ok(message);
            }
            let octets = collect::append(chunk, &mut message, limit)?;
            self.advance(octets);
        }
    }

    /// Puts the next line into `line`, without its line end; false at the end of the message. A line is held in memory:
    /// one beyond [`Limits::message_in_memory`](popwire_proto::Limits::message_in_memory) is refused.
    ///
    /// # Errors
    ///
    /// The errors of the session.
    pub fn read_line(&mut self, line: &mut Vec<u8>) -> Result<bool> {
        line.clear();
        let limit = self.pump.core.machine.limits().message_in_memory;
        loop {
            let chunk = self.next_chunk()?;
            if chunk.is_empty() {
                return Ok(!line.is_empty());
            }
            let (octets, complete) = collect::take(chunk, line, limit)?;
            self.advance(octets);
            if complete {
                return Ok(true);
            }
        }
    }

    /// The next octets of the message; none at its end.
    fn next_chunk(&mut self) -> Result<&[u8]> {
        loop {
            match self.end {
                Some(Ok(())) => return Ok(&[]),
                Some(Err(kind)) => return Err(Error::new(Kind::IrregularEnd(kind))),
                None => {}
            }
            match self.pump.core.progress()? {
                Progress::Chunk => break,
                Progress::NeedMore => self.pump.fill()?,
                Progress::Complete => self.end = Some(Ok(())),
                Progress::Irregular(kind) => self.end = Some(Err(kind)),
            }
        }
        self.pump.core.chunk()
    }

    fn advance(&mut self, octets: usize) {
        self.octets += u64::try_from(octets).unwrap_or(u64::MAX);
        self.pump.core.consume(octets);
    }
}

impl Message<'_> {
    /// Reads straight into the caller's memory, if it is large and nothing has to come before; returns 0 if not.
    fn read_within(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let most = self.pump.core.machine.limits().receive_buffer;
        let Some(buffer) = buffer.get_mut(..most.min(buffer.len())) else { return Ok(0) };
        while buffer.len() >= WORTH_READING_WITHIN
            && self.end.is_none()
            && self.pump.core.machine.may_read_within()
        {
            let came = self.pump.fill_elsewhere(buffer)?;
            let octets = self.pump.core.within(buffer.get_mut(..came).unwrap_or_default())?;
            if octets > 0 {
                self.octets += u64::try_from(octets).unwrap_or(u64::MAX);
                return Ok(octets);
            }
        }
        Ok(0)
    }
}

impl Read for Message<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let octets = self.read_within(buffer)?;
        if octets > 0 {
            return Ok(octets);
        }
        let octets = self.fill_buf()?.read(buffer)?;
        self.consume(octets);
        Ok(octets)
    }
}

impl BufRead for Message<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self.next_chunk()?)
    }

    fn consume(&mut self, octets: usize) {
        self.advance(octets);
    }
}
