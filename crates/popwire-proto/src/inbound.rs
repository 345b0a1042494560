//! The receive buffer: one allocation, filled at its end and consumed at its beginning.

use std::fmt;

/// The first size; a session of commands and listings needs no more.
const INITIAL: usize = 16 << 10;

/// A read of fewer octets than this is not worth its system call: move what is unread to the front first.
const WORTHWHILE: usize = 4 << 10;

/// After so many reads in a row that fill the room the wire is faster than the buffer, and will be for a while: for the sake
/// of one listing it need not grow much.
const PERSISTENT: u32 = 4;

pub(crate) struct Inbound {
    buffer: Vec<u8>,
    head: usize,
    tail: usize,
    largest: usize,
    /// How many reads in a row have filled the room.
    full: u32,
}

impl Inbound {
    pub(crate) fn new(largest: usize) -> Self {
        Self { buffer: vec![0; INITIAL.min(largest.max(1))], head: 0, tail: 0, largest, full: 0 }
    }

    /// Room for the next read; never empty.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        if self.head == self.tail {
            (self.head, self.tail) = (0, 0);
        }
        if self.buffer.len() - self.tail < WORTHWHILE && self.head > 0 {
            self.buffer.copy_within(self.head..self.tail, 0);
            (self.head, self.tail) = (0, self.tail - self.head);
        }
        // A full buffer here means one line longer than it; its limit, checked elsewhere, bounds this growth.
        let full = self.tail == self.buffer.len();
        if full || (self.full >= PERSISTENT && self.buffer.len() < self.largest) {
            let size = self.buffer.len().saturating_mul(2);
            self.buffer.resize(if full { size } else { size.min(self.largest) }, 0);
            self.full = 0;
        }
        self.buffer.get_mut(self.tail..).unwrap_or_default()
    }

    /// Takes note of octets written into [`Inbound::space`].
    pub(crate) fn filled(&mut self, octets: usize) {
        let tail = self.tail.saturating_add(octets).min(self.buffer.len());
        self.full = if tail == self.buffer.len() { self.full.saturating_add(1) } else { 0 };
        self.tail = tail;
    }

    /// Takes octets that were read elsewhere.
    pub(crate) fn append(&mut self, octets: &[u8]) {
        let tail = self.tail.saturating_add(octets.len());
        if tail > self.buffer.len() {
            self.buffer.resize(tail, 0);
        }
        if let Some(room) = self.buffer.get_mut(self.tail..tail) {
            room.copy_from_slice(octets);
            self.tail = tail;
        }
    }

    pub(crate) fn unread(&self) -> &[u8] {
        self.buffer.get(self.head..self.tail).unwrap_or_default()
    }

    pub(crate) fn consume(&mut self, octets: usize) {
        self.head = self.head.saturating_add(octets).min(self.tail);
    }
}

/// Without the octets: they are mail, and a server may have repeated a password among them.
impl fmt::Debug for Inbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Inbound({} octets unread)", self.unread().len())
    }
}
