//! A TLS session with neither socket nor clock, for both doors: octets of the wire go in and out by buffers of its own.
//!
//! rustls reads some 4 KiB at a time, which would be a system call for each of them. So what the server sends is received
//! here, in pieces as large as the wire is fast, and handed to rustls from memory; and a read takes all plaintext that is
//! there, not a record of it. That is within a tenth of what rustls' unbuffered connection costs, socket included; and that
//! one cannot export what a login is bound to.

use std::io::{self, Read as _, Write as _};
use std::mem;
use std::ops::Range;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

/// Room for what one read brings, at first: a record of full length, nearly.
const FIRST: usize = 16 << 10;

/// The most room. More brings no more: the copies no longer stay in the processor's cache.
const MOST: usize = 128 << 10;

/// So often a door receives without getting plaintext before it looks at its deadline again, or stops looking for what was
/// said unasked. The records of TLS's own that a server may send are few; one that sends them without end is hostile.
pub(crate) const FRUITLESS: usize = 16;

/// The client's side of a TLS session.
pub(crate) struct Session {
    connection: ClientConnection,
    /// What was received last. There is never more of it: nothing is received before rustls has taken all.
    incoming: Vec<u8>,
    /// What rustls has not taken of it.
    unread: Range<usize>,
    /// The last read filled its room.
    grow: bool,
    /// The connection below has ended.
    ended: bool,
    /// Why the session failed; it stays so.
    failed: Option<rustls::Error>,
    /// Records on their way to the server, and how much of them it was sent.
    outgoing: Vec<u8>,
    sent: usize,
}

/// What a handshake needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// That [`Session::outgoing`] is sent.
    Send,
    /// That more is received.
    Receive,
    /// Nothing.
    Done,
}

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plain {
    /// So many octets were put into the buffer.
    Octets(usize),
    /// Nothing; more has to be received.
    Wait,
    /// The server's last octet was read. It may have said so by close_notify or not: whether something is missing, the
    /// protocol above knows.
    End,
}

impl Session {
    pub(crate) fn new(config: Arc<ClientConfig>, name: ServerName<'static>) -> io::Result<Self> {
        let mut session = Self {
            connection: ClientConnection::new(config, name).map_err(invalid)?,
            incoming: vec![0; FIRST],
            unread: 0..0,
            grow: false,
            ended: false,
            failed: None,
            outgoing: Vec::new(),
            sent: 0,
        };
        session.gather();
        Ok(session)
    }

    /// What rustls knows of the session.
    pub(crate) fn connection(&self) -> &ClientConnection {
        &self.connection
    }

    /// Takes the handshake as far as what was received allows.
    ///
    /// # Errors
    ///
    /// The handshake failed: `InvalidData` with the [`rustls::Error`], or `UnexpectedEof` where the server has hung up. An
    /// alert may be waiting in [`outgoing`](Self::outgoing).
    pub(crate) fn handshake(&mut self) -> io::Result<Step> {
        while self.connection.is_handshaking() && !self.unread.is_empty() {
            self.process();
        }
        if let Some(failed) = &self.failed {
            Err(invalid(failed.clone()))
        } else if !self.outgoing().is_empty() {
            Ok(Step::Send)
        } else if !self.connection.is_handshaking() {
            Ok(Step::Done)
        } else if self.ended {
            Err(io::ErrorKind::UnexpectedEof.into())
        } else {
            Ok(Step::Receive)
        }
    }

    /// Room for octets from the server; never empty. To be called when [`Step::Receive`] or [`Plain::Wait`] said so.
    pub(crate) fn incoming_space(&mut self) -> &mut [u8] {
        debug_assert!(self.unread.is_empty(), "octets would be lost");
        if mem::take(&mut self.grow) && self.incoming.len() < MOST {
            self.incoming = vec![0; self.incoming.len() * 2];
        }
        &mut self.incoming
    }

    /// Takes note that so many octets were put into [`incoming_space`](Self::incoming_space). Zero means that the
    /// connection has ended.
    pub(crate) fn received(&mut self, octets: usize) {
        self.unread = 0..octets.min(self.incoming.len());
        self.ended = octets == 0;
        self.grow = octets >= self.incoming.len();
    }

    /// Puts all plaintext that is there and fits into the buffer.
    ///
    /// # Errors
    ///
    /// The session failed: `InvalidData` with the [`rustls::Error`]. What came before was read before; an alert may be
    /// waiting in [`outgoing`](Self::outgoing).
    pub(crate) fn read_plaintext(&mut self, buffer: &mut [u8]) -> io::Result<Plain> {
        let mut filled = 0;
        let found = loop {
            let rest = buffer.get_mut(filled..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(Plain::Octets(filled));
            }
            match self.connection.reader().read(rest) {
                Ok(0) => break Ok(Plain::End),
                Ok(octets) => {
                    filled += octets;
                    continue;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => break Err(e),
            }
            match &self.failed {
                Some(failed) => break Err(invalid(failed.clone())),
                // If this fails there may be plaintext still, of records before the one that is wrong.
                None if !self.unread.is_empty() => self.process(),
                None if self.ended => break Ok(Plain::End),
                None => break Ok(Plain::Wait),
            }
        };
        // What ends the session, or fails it, is found again by the next read.
        if filled > 0 { Ok(Plain::Octets(filled)) } else { found }
    }

    /// Takes octets for the server, and returns how many. They are in [`outgoing`](Self::outgoing) then, and must not be
    /// given again; it has to be empty before.
    ///
    /// # Errors
    ///
    /// The session failed before.
    pub(crate) fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let written = self.connection.writer().write(octets)?;
        self.gather();
        Ok(written)
    }

    /// Says that nothing follows. More than once does no harm.
    pub(crate) fn close_notify(&mut self) {
        self.connection.send_close_notify();
        self.gather();
    }

    /// What has to be sent to the server.
    pub(crate) fn outgoing(&self) -> &[u8] {
        self.outgoing.get(self.sent..).unwrap_or_default()
    }

    /// Takes note that so many octets of [`outgoing`](Self::outgoing) were sent. More than there are means that nothing of
    /// it can be.
    pub(crate) fn sent(&mut self, octets: usize) {
        self.sent = self.sent.saturating_add(octets);
        if self.sent >= self.outgoing.len() {
            self.outgoing.clear();
            self.sent = 0;
        }
    }

    /// Has rustls take some of what was received, and see what it means.
    fn process(&mut self) {
        let mut unread = self.incoming.get(self.unread.clone()).unwrap_or_default();
        let taken = self.connection.read_tls(&mut unread).map_err(|e| rustls::Error::General(e.to_string()));
        let processed = taken.and_then(|taken| {
            self.connection.process_new_packets()?;
            Ok(taken)
        });
        match processed {
            // The server has said close_notify: what follows is nothing (RFC 8446 section 6.1).
            Ok(0) => self.unread = 0..0,
            Ok(taken) => self.unread.start += taken,
            Err(error) => {
                self.unread = 0..0;
                self.failed = Some(error);
            }
        }
        self.gather();
    }

    /// Takes over what rustls has to send. Into memory, this does not fail.
    fn gather(&mut self) {
        while self.connection.wants_write()
            && self.connection.write_tls(&mut self.outgoing).is_ok_and(|octets| octets > 0)
        {}
    }
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests;
