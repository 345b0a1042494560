//! What clients said, for tests to look at.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use popwire_proto::server::State;

use crate::transcript::write_line;

/// Most lines that are kept of one connection: a session that downloads and deletes 10^5 messages fits, with its
/// answers, and a client that goes mad does not take all memory.
const MOST_LINES: usize = 500_000;

/// Most octets that are kept of what follows the status lines of one connection: the listings of 10^5 messages fit.
const MOST_REST: usize = 16 << 20;

/// A connection as it was recorded. Passwords are in it: a test has to see the exact octets.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Session {
    /// The client's address.
    pub peer: SocketAddr,
    /// Every line that the client sent, and the first line of every answer with what followed it, in order. The recording stops at 500,000
    /// lines.
    pub lines: Vec<Line>,
    /// Whether the connection has ended. The lock is free and deletions are done by then.
    pub closed: bool,
    /// How many octets there are in [`Rest::Lines`].
    kept: usize,
}

/// A line of a [`Session`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Line {
    /// Who sent it.
    pub direction: Direction,
    /// The octets as they were on the wire, line end included. A client's line over the limit is cut.
    pub octets: Vec<u8>,
    /// The state in which the session was when the line came or went.
    pub state: State,
    /// Whether it went over TLS.
    pub tls: bool,
    /// What followed, if it is the first line of an answer with several.
    pub rest: Rest,
}

/// What followed a status line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rest {
    /// Nothing, or nothing yet.
    #[default]
    None,
    /// These octets, terminator included. Beyond 16 MiB in a session nothing is kept.
    Lines(Vec<u8>),
    /// A message of so many octets, which went out whole. Its contents are not kept.
    Message(u64),
}

/// Who sent a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The client.
    Client,
    /// The server.
    Server,
}

impl Session {
    /// The lines that the client sent, without their CRLF. Octets that are not UTF-8 are replaced; a line end other
    /// than CRLF stays visible.
    #[must_use]
    pub fn client_lines(&self) -> Vec<String> {
        self.lines.iter().filter(|line| line.direction == Direction::Client).map(Line::text).collect()
    }

    /// All the octets that the client sent as lines.
    #[must_use]
    pub fn client_octets(&self) -> Vec<u8> {
        let client = self.lines.iter().filter(|line| line.direction == Direction::Client);
        client.flat_map(|line| line.octets.iter().copied()).collect()
    }

    /// Whether the client said QUIT.
    #[must_use]
    pub fn quit(&self) -> bool {
        self.client_lines().iter().any(|line| line.eq_ignore_ascii_case("QUIT"))
    }
}

impl Line {
    /// The line without its CRLF. Octets that are not UTF-8 are replaced.
    #[must_use]
    pub fn text(&self) -> String {
        let content = self.octets.strip_suffix(b"\r\n").unwrap_or(&self.octets);
        String::from_utf8_lossy(content).into_owned()
    }
}

/// The whole conversation: `C:` and `S:` lines, as a [`Transcript`](crate::Transcript) has them. Messages are in it by
/// their sizes only. How the connection ended is not in it.
impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "{line}")?;
            match &line.rest {
                Rest::None => {}
                Rest::Lines(octets) => {
                    for line in octets.split_inclusive(|octet| *octet == b'\n') {
                        f.write_str("S: ")?;
                        write_line(f, line)?;
                        writeln!(f)?;
                    }
                }
                Rest::Message(octets) => writeln!(f, "S: ({octets} octets of the message)")?,
            }
        }
        Ok(())
    }
}

/// `C: NOOP` or `S: +OK`, with escapes for octets that are no text, and a backslash at the end of a server's line that
/// does not end in CRLF.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.direction == Direction::Server {
            f.write_str("S: ")?;
            return write_line(f, &self.octets);
        }
        f.write_str("C: ")?;
        let content = self.octets.strip_suffix(b"\n").unwrap_or(&self.octets);
        write_line(f, &[content.strip_suffix(b"\r").unwrap_or(content), b"\r\n"].concat())
    }
}

/// All sessions of a server, in the order in which they were accepted.
#[derive(Debug, Default)]
pub(crate) struct Records {
    sessions: Mutex<Vec<Session>>,
    changed: Condvar,
}

impl Records {
    /// Begins a recording.
    pub(crate) fn begin(self: &Arc<Self>, peer: SocketAddr, record: bool) -> Recorder {
        let index = record.then(|| {
            let mut sessions = self.sessions();
            sessions.push(Session { peer, lines: Vec::new(), closed: false, kept: 0 });
            self.changed.notify_all();
            sessions.len() - 1
        });
        Recorder { records: Arc::clone(self), index }
    }

    pub(crate) fn all(&self) -> Vec<Session> {
        self.sessions().clone()
    }

    pub(crate) fn last(&self) -> Option<Session> {
        self.sessions().last().cloned()
    }

    /// Waits until `done` says so of the sessions, or the time is up; returns what it says in the end.
    pub(crate) fn wait(&self, timeout: Duration, mut done: impl FnMut(&[Session]) -> bool) -> bool {
        let deadline = Instant::now() + timeout;
        let mut sessions = self.sessions();
        loop {
            if done(&sessions) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            sessions = self.changed.wait_timeout(sessions, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn sessions(&self) -> MutexGuard<'_, Vec<Session>> {
        // A test that panics in `wait` leaves the list whole.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes one session's recording; dropped, it says that the session is closed.
pub(crate) struct Recorder {
    records: Arc<Records>,
    /// `None`: nothing is recorded.
    index: Option<usize>,
}

impl Recorder {
    pub(crate) fn line(&self, direction: Direction, octets: &[u8], state: State, tls: bool) {
        let Some(index) = self.index else { return };
        let mut sessions = self.records.sessions();
        if let Some(session) = sessions.get_mut(index)
            && session.lines.len() < MOST_LINES
        {
            session.lines.push(Line { direction, octets: octets.to_vec(), state, tls, rest: Rest::None });
            self.records.changed.notify_all();
        }
    }
}

/// What follows status lines.
impl Recorder {
    /// More of the answer whose first line was recorded last.
    pub(crate) fn more(&self, octets: &[u8]) {
        let Some(index) = self.index.filter(|_| !octets.is_empty()) else { return };
        let mut sessions = self.records.sessions();
        let Some(session) = sessions.get_mut(index) else { return };
        if session.kept + octets.len() > MOST_REST || session.lines.len() >= MOST_LINES {
            return;
        }
        let Some(line) = session.lines.last_mut().filter(|line| line.direction == Direction::Server) else {
            return;
        };
        session.kept += octets.len();
        match &mut line.rest {
            Rest::Lines(lines) => lines.extend_from_slice(octets),
            rest => *rest = Rest::Lines(octets.to_vec()),
        }
    }

    /// A message has followed the line that was recorded last.
    pub(crate) fn message(&self, octets: u64) {
        let Some(index) = self.index else { return };
        let mut sessions = self.records.sessions();
        let Some(session) = sessions.get_mut(index).filter(|session| session.lines.len() < MOST_LINES) else {
            return;
        };
        if let Some(line) = session.lines.last_mut().filter(|line| line.direction == Direction::Server) {
            line.rest = Rest::Message(octets);
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let Some(index) = self.index else { return };
        if let Some(session) = self.records.sessions().get_mut(index) {
            session.closed = true;
        }
        self.records.changed.notify_all();
    }
}
