//! How long the client waits for what, and the watch that tells which deadline comes next.

use std::fmt;
use std::time::Duration;

use popwire_proto::Verb;

/// The deadlines of a session. Every wait has one.
///
/// ```
/// use std::time::Duration;
///
/// let mut timeouts = popwire::Timeouts::default();
/// timeouts.whole = Some(Duration::from_secs(600));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// From the name to a connection, all addresses together. Default 30 s.
    pub connect: Duration,
    /// The TLS handshake. Default 30 s.
    pub tls: Duration,
    /// The greeting. Default 60 s: servers look their clients up before they speak.
    pub greeting: Duration,
    /// The answer to CAPA. Default 10 s: some old servers never answer it.
    pub capa: Duration,
    /// The answer to a login command. Default 300 s: a server may index a large maildrop first.
    pub login: Duration,
    /// The answer to any other command, or the beginning of it where it has many lines. Default 60 s.
    pub command: Duration,
    /// The first octet of a message. Default 300 s: servers and the virus scanners before them take their time.
    pub first_octet: Duration,
    /// Between two octets of an answer of many lines. Default 60 s.
    pub idle: Duration,
    /// An answer of many lines, or a message, as a whole. Default one hour: a server that drips octets must not hold
    /// its client for ever.
    pub answer: Duration,
    /// The answer to QUIT, if nothing is to be deleted. Default 10 s; with deletions it is [`command`](Self::command).
    pub quit: Duration,
    /// The session as a whole, from the connection on. Default none.
    pub whole: Option<Duration>,
    /// After how long a silence a broken end of a message is taken for its end; see
    /// [`Error::is_irregular_end`](crate::Error::is_irregular_end). Default 5 s; `None` waits for the idle deadline.
    pub rescue: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        let s = Duration::from_secs;
        Self {
            connect: s(30),
            tls: s(30),
            greeting: s(60),
            capa: s(10),
            login: s(300),
            command: s(60),
            first_octet: s(300),
            idle: s(60),
            answer: s(3600),
            quit: s(10),
            whole: None,
            rescue: Some(s(5)),
        }
    }
}

/// What was waited for when a deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    Connect,
    Tls,
    Answer(Verb),
    Idle(Verb),
    Whole,
    /// Not a failure: the moment to look whether a message has ended irregularly.
    Rescue,
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => f.write_str("the server could not be reached in time"),
            Self::Tls => f.write_str("the TLS handshake took too long"),
            Self::Answer(Verb::Greeting) => f.write_str(
                "the server sent no greeting in time; a port that speaks TLS from the start is silent like this",
            ),
            Self::Answer(verb) => write!(f, "the server's answer to {verb} took too long"),
            Self::Idle(verb) => write!(f, "the server fell silent in the middle of its answer to {verb}"),
            Self::Whole => f.write_str("the session took longer than allowed"),
            Self::Rescue => f.write_str("the server fell silent"),
        }
    }
}

/// Tells the next deadline. Times are counted from the beginning of the session, by whichever clock the pump has.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    timeouts: Timeouts,
    /// What is being waited for, since when, and whether anything of it has come.
    waiting: Option<(Verb, Duration, bool)>,
    last_octet: Duration,
    deletions: bool,
    rescue_tried: bool,
}

impl Watch {
    pub(crate) fn new(timeouts: Timeouts) -> Self {
        Self { timeouts, waiting: None, last_octet: Duration::ZERO, deletions: false, rescue_tried: false }
    }

    /// A command went out, or the wait for an earlier one is taken up again.
    pub(crate) fn expect(&mut self, verb: Verb, deletions: bool, now: Duration) {
        self.waiting = Some((verb, now, false));
        self.deletions = deletions;
        self.rescue_tried = false;
    }

    /// Octets came.
    pub(crate) fn heard(&mut self, now: Duration) {
        self.last_octet = now;
        self.rescue_tried = false;
        if let Some((_, _, begun)) = &mut self.waiting {
            *begun = true;
        }
    }

    /// When the last octet came.
    pub(crate) fn last_octet(&self) -> Duration {
        self.last_octet
    }

    /// The rescue was tried and there was nothing to rescue: not again before more octets come.
    pub(crate) fn rescue_tried(&mut self) {
        self.rescue_tried = true;
    }

    /// The deadline that comes first, and what it is about.
    pub(crate) fn deadline(&self) -> (Duration, Wait) {
        let t = &self.timeouts;
        let (verb, since, begun) = self.waiting.unwrap_or((Verb::Raw, self.last_octet, false));
        let whole = t.whole.map(|whole| (whole, Wait::Whole));
        let message = matches!(verb, Verb::Retr | Verb::Top);
        let many = message || matches!(verb, Verb::List | Verb::Uidl | Verb::Lang | Verb::Raw);
        let (first, second) = if begun && many {
            let idle = (self.last_octet.saturating_add(t.idle), Wait::Idle(verb));
            (idle, Some((since.saturating_add(t.answer), Wait::Answer(verb))))
        } else {
            let limit = match verb {
                Verb::Greeting => t.greeting,
                Verb::Capa => t.capa,
                Verb::Pass | Verb::Apop | Verb::Rpop | Verb::Auth | Verb::AuthResponse => t.login,
                Verb::Quit if !self.deletions => t.quit,
                Verb::Retr | Verb::Top => t.first_octet,
                _ => t.command,
            };
            ((since.saturating_add(limit), Wait::Answer(verb)), None)
        };
        let rescue = t
            .rescue
            .filter(|_| begun && message && !self.rescue_tried)
            .map(|grace| (self.last_octet.saturating_add(grace), Wait::Rescue));
        [second, whole, rescue].into_iter().flatten().fold(first, |a, b| if b.0 < a.0 { b } else { a })
    }
}
