//! What clients said, for tests to look at.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use popwire_proto::server::State;

/// Most lines that are kept of one connection: a session that downloads and deletes 10^5 messages fits, with its
/// answers, and a client that goes mad does not take all memory.
const MOST_LINES: usize = 500_000;

/// A connection as it was recorded. Passwords are in it: a test has to see the exact octets.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Session {
    /// The client's address.
    pub peer: SocketAddr,
    /// Every line that the client sent, and the first line of every answer, in order. The recording stops at 500,000
    /// lines.
    pub lines: Vec<Line>,
    /// Whether the connection has ended. The lock is free and deletions are done by then.
    pub closed: bool,
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

/// The whole conversation: `C:` and `S:` lines.
impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// `C: NOOP` or `S: +OK`.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = if self.direction == Direction::Client { 'C' } else { 'S' };
        write!(f, "{who}: {}", self.text())
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
            sessions.push(Session { peer, lines: Vec::new(), closed: false });
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
            session.lines.push(Line { direction, octets: octets.to_vec(), state, tls });
            self.records.changed.notify_all();
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
