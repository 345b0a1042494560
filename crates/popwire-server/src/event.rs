//! What a server tells its operator: one [`Event`] for each thing that happened, with no secret in it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;

/// Something that happened in a session. Its `Display` is one line for a log:
///
/// ```text
/// time=2026-03-01T09:30:00.123Z session=7 peer=127.0.0.1:40112 event=login user="alice" method=USER messages=2 octets=50
/// ```
///
/// Values that came from a client stand between quotation marks, with `\` before what could end them or run a terminal.
/// Passwords, tokens and the contents of messages are in no event.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// When it happened.
    pub time: SystemTime,
    /// Which connection, counted from 1 in the order in which they were accepted.
    pub session: u64,
    /// The client's address.
    pub peer: SocketAddr,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// A connection was accepted.
    Accepted {
        /// Whether on the address of implicit TLS.
        tls: bool,
    },
    /// A connection was closed at once because there are too many.
    TurnedAway {
        /// Whether it is its address that has too many; if not, the server has.
        address: bool,
    },
    /// TLS is in place.
    Tls {
        /// `TLSv1_3`.
        version: String,
        /// `TLS13_AES_256_GCM_SHA384`.
        cipher_suite: String,
    },
    /// A client logged in.
    LoggedIn {
        /// The name it gave.
        user: Vec<u8>,
        /// `USER`, `APOP`, `RPOP`, or the SASL mechanism.
        method: &'static str,
        /// How many messages the maildrop has.
        messages: u64,
        /// How many octets they have together.
        octets: u64,
    },
    /// A login was refused.
    LoginRefused {
        /// The name it gave, if it came so far.
        user: Option<Vec<u8>>,
        /// As in [`EventKind::LoggedIn`].
        method: &'static str,
        /// The server's answer.
        answer: String,
    },
    /// A whole message is on its way to the client. Whether it arrives, only the client knows.
    Retrieved {
        /// Its number in this session.
        message: u64,
        /// Its size as LIST tells it.
        octets: u64,
        /// Its unique-id.
        unique_id: Vec<u8>,
    },
    /// A message was marked as deleted. It is there until QUIT.
    Marked {
        /// Its number in this session.
        message: u64,
        /// Its unique-id.
        unique_id: Vec<u8>,
    },
    /// The client said QUIT, and what was marked has been removed.
    Quit {
        /// How many messages are gone.
        removed: usize,
        /// How many were marked and are still there.
        failed: usize,
    },
    /// The connection has ended.
    Closed {
        /// Why.
        why: CloseReason,
        /// Octets that came from the client, without those of TLS.
        received: u64,
        /// Octets that were written to the client, without those of TLS.
        sent: u64,
        /// How long the connection was there.
        lasted: Duration,
    },
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// The client said QUIT.
    Quit,
    /// The client closed it without QUIT.
    Client,
    /// The client was silent for too long.
    Idle,
    /// The client took no octet of an answer for too long.
    Stalled,
    /// The TLS handshake failed, or took too long.
    Handshake,
    /// The network reported an error.
    Broken,
    /// The server had a reason of its own, such as a script.
    Server,
    /// The server was stopped.
    Stopped,
}

impl CloseReason {
    /// The word for it in a log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Quit => "quit",
            Self::Client => "client",
            Self::Idle => "idle",
            Self::Stalled => "stalled",
            Self::Handshake => "handshake",
            Self::Broken => "broken",
            Self::Server => "server",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl EventKind {
    /// The word for it in a log: `accepted`, `turned-away`, `tls`, `login`, `login-refused`, `retrieved`, `marked`,
    /// `quit` or `closed`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::TurnedAway { .. } => "turned-away",
            Self::Tls { .. } => "tls",
            Self::LoggedIn { .. } => "login",
            Self::LoginRefused { .. } => "login-refused",
            Self::Retrieved { .. } => "retrieved",
            Self::Marked { .. } => "marked",
            Self::Quit { .. } => "quit",
            Self::Closed { .. } => "closed",
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A clock outside of jiff's years 1 to 9999 is shown as their first.
        let time = Timestamp::try_from(self.time).unwrap_or(Timestamp::MIN);
        write!(f, "time={time:.3} session={} peer={} {}", self.session, self.peer, self.kind)
    }
}

/// `event=login user="alice"` and so on.
impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event={}", self.name())?;
        match self {
            Self::Accepted { tls } => write!(f, " tls={tls}"),
            Self::TurnedAway { address } => {
                write!(f, " limit={}", if *address { "address" } else { "server" })
            }
            Self::Tls { version, cipher_suite } => write!(f, " version={version} cipher={cipher_suite}"),
            Self::LoggedIn { user, method, messages, octets } => {
                write!(f, " user={} method={method} messages={messages} octets={octets}", Quoted(user))
            }
            Self::LoginRefused { user, method, answer } => {
                if let Some(user) = user {
                    write!(f, " user={}", Quoted(user))?;
                }
                write!(f, " method={method} answer={}", Quoted(answer.as_bytes()))
            }
            Self::Retrieved { message, octets, unique_id } => {
                write!(f, " message={message} octets={octets} uid={}", Quoted(unique_id))
            }
            Self::Marked { message, unique_id } => {
                write!(f, " message={message} uid={}", Quoted(unique_id))
            }
            Self::Quit { removed, failed } => write!(f, " removed={removed} failed={failed}"),
            Self::Closed { why, received, sent, lasted } => {
                let seconds = lasted.as_secs_f64();
                write!(f, " why={why} received={received} sent={sent} seconds={seconds:.3}")
            }
        }
    }
}

/// Octets of a client between quotation marks. UTF-8 stays readable.
struct Quoted<'a>(&'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::str::from_utf8(self.0) {
            Ok(text) => write!(f, "\"{}\"", text.escape_debug()),
            Err(_) => write!(f, "\"{}\"", self.0.escape_ascii()),
        }
    }
}

type Hear = dyn Fn(&Event) + Send + Sync;

/// What hears the events of a server.
#[derive(Clone, Default)]
pub(crate) struct Observer(Option<Arc<Hear>>);

impl Observer {
    pub(crate) fn new(hear: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hear)))
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Observer").field(&self.0.is_some()).finish()
    }
}

/// Tells the events of one connection; dropped, it tells that the connection has ended.
pub(crate) struct Teller {
    observer: Observer,
    session: u64,
    peer: SocketAddr,
    began: Instant,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    ended: bool,
}

impl Teller {
    pub(crate) fn new(observer: &Observer, sessions: &AtomicU64, peer: SocketAddr) -> Self {
        Self {
            observer: observer.clone(),
            session: sessions.fetch_add(1, Ordering::Relaxed) + 1,
            peer,
            began: Instant::now(),
            received: 0,
            sent: 0,
            ended: false,
        }
    }

    /// Which connection of the server's life it is, counted from 1.
    pub(crate) fn session(&self) -> u64 {
        self.session
    }

    /// Whether anybody hears it: what costs time to find out need not be found out for nobody.
    pub(crate) fn is_heard(&self) -> bool {
        self.observer.0.is_some()
    }

    pub(crate) fn tell(&self, kind: EventKind) {
        if let Some(hear) = &self.observer.0 {
            hear(&Event { time: SystemTime::now(), session: self.session, peer: self.peer, kind });
        }
    }

    /// The connection was not let in: there is no more to tell of it.
    pub(crate) fn turned_away(mut self, address: bool) {
        self.tell(EventKind::TurnedAway { address });
        self.ended = true;
    }

    /// The connection has ended.
    pub(crate) fn closed(&mut self, why: CloseReason) {
        if !std::mem::replace(&mut self.ended, true) {
            let (received, sent) = (self.received, self.sent);
            self.tell(EventKind::Closed { why, received, sent, lasted: self.began.elapsed() });
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        // Only the server's end drops a connection in the middle of its work.
        self.closed(CloseReason::Stopped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(kind: EventKind) -> String {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_772_357_400_123);
        let peer = SocketAddr::from(([127, 0, 0, 1], 40112));
        Event { time, session: 7, peer, kind }.to_string()
    }

    #[test]
    fn an_event_is_a_line() {
        assert_eq!(
            line(EventKind::LoggedIn { user: b"alice".to_vec(), method: "USER", messages: 2, octets: 50 }),
            "time=2026-03-01T09:30:00.123Z session=7 peer=127.0.0.1:40112 event=login user=\"alice\" method=USER \
             messages=2 octets=50"
        );
    }

    #[test]
    fn nothing_that_a_client_says_forges_a_line_or_runs_a_terminal() {
        let refused = |user: &[u8]| {
            let answer = "-ERR no".to_owned();
            line(EventKind::LoginRefused { user: Some(user.to_vec()), method: "USER", answer })
        };
        let forged = refused(b"a\" event=login\r\n\x1b[2J\xe2\x80\xae");
        assert!(forged.contains(r#"user="a\" event=login\r\n\u{1b}[2J\u{202e}" method=USER"#), "{forged}");
        assert!(refused("é".as_bytes()).contains("user=\"é\""));
        assert!(refused(b"\xff\x1b\"").contains(r#"user="\xff\x1b\"""#));
    }
}
