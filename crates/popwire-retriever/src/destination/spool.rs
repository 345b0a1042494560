//! The octets of a message between the server and its destinations.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt as _;

use crate::maildir;

/// A message's octets, as they come: small ones in memory, others in a file without a name, or where a Maildir wants them.
#[derive(Debug)]
pub struct Spool(Kind);

#[derive(Debug)]
enum Kind {
    Memory(Vec<u8>),
    File { file: File, octets: u64 },
    Maildir(Box<maildir::Delivery>),
}

/// Most octets in memory. Several hundred messages may be on their way at once.
const IN_MEMORY: usize = 32 * 1024;

impl Spool {
    /// An empty one, in memory as long as it is small.
    #[must_use]
    pub fn new() -> Self {
        Self(Kind::Memory(Vec::new()))
    }

    /// Into a file of a Maildir, which takes it over when it is complete.
    pub(crate) fn in_maildir(delivery: maildir::Delivery) -> Self {
        Self(Kind::Maildir(Box::new(delivery)))
    }

    /// The delivery of a Maildir that these octets were written into.
    pub(crate) fn as_maildir(&self) -> Option<&maildir::Delivery> {
        match &self.0 {
            Kind::Maildir(delivery) => Some(delivery),
            _ => None,
        }
    }

    /// Nothing more will come: what was gathered is written out.
    ///
    /// # Errors
    ///
    /// If that fails; the error may hold a [`DeliveryError`](crate::DeliveryError).
    pub fn finish(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Kind::Maildir(delivery) => Ok(delivery.write_out()?),
            _ => self.flush(),
        }
    }

    /// How many octets there are.
    #[must_use]
    pub fn octets(&self) -> u64 {
        match &self.0 {
            Kind::Memory(octets) => octets.len() as u64,
            Kind::File { octets, .. } => *octets,
            Kind::Maildir(delivery) => delivery.octets(),
        }
    }

    /// Reads them from the first on. [`finish`](Self::finish) must have been called.
    #[must_use]
    pub fn reader(&self) -> SpoolReader<'_> {
        SpoolReader { spool: self, at: 0 }
    }

    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        match &self.0 {
            Kind::Memory(octets) => {
                let from = usize::try_from(at).ok().and_then(|at| octets.get(at..)).unwrap_or_default();
                (&mut { from }).read(into)
            }
            Kind::File { file, .. } => file.read_at(into, at),
            Kind::Maildir(delivery) => delivery.read_at(into, at),
        }
    }
}

impl Default for Spool {
    fn default() -> Self {
        Self::new()
    }
}

impl Write for Spool {
    fn write(&mut self, new: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Kind::Memory(octets) if octets.len().saturating_add(new.len()) <= IN_MEMORY => {
                octets.extend_from_slice(new);
                Ok(new.len())
            }
            Kind::Memory(octets) => {
                let mut file = tempfile::tempfile()?;
                file.write_all(octets)?;
                file.write_all(new)?;
                self.0 = Kind::File { octets: (octets.len() as u64).saturating_add(new.len() as u64), file };
                Ok(new.len())
            }
            Kind::File { file, octets } => {
                let written = file.write(new)?;
                *octets = octets.saturating_add(written as u64);
                Ok(written)
            }
            Kind::Maildir(delivery) => delivery.write(new),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Kind::Memory(_) => Ok(()),
            Kind::File { file, .. } => file.flush(),
            Kind::Maildir(delivery) => delivery.flush(),
        }
    }
}

/// Reads a [`Spool`]; several may read the same one.
#[derive(Clone, Debug)]
pub struct SpoolReader<'a> {
    spool: &'a Spool,
    at: u64,
}

impl Read for SpoolReader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.spool.read_at(into, self.at)?;
        self.at = self.at.saturating_add(read as u64);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_whatever_its_size() {
        for size in [0, 1, IN_MEMORY - 1, IN_MEMORY, IN_MEMORY + 1, 5 * IN_MEMORY] {
            let octets: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            let mut spool = Spool::new();
            for piece in octets.chunks(1000) {
                spool.write_all(piece).unwrap();
            }
            assert_eq!(spool.octets(), size as u64);
            for _ in 0..2 {
                let mut read = Vec::new();
                spool.reader().read_to_end(&mut read).unwrap();
                assert!(read == octets, "{size}");
            }
        }
    }
}
