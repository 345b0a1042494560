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
    /// The first octet of a message, and before it the `+OK`. Default 300 s: servers and the virus scanners before them
    /// take their time, some before they say `+OK` and some after it.
    pub first_octet: Duration,
    /// Between two octets of an answer of many lines. Default 60 s.
    pub idle: Duration,
    /// An answer of many lines, or a message, as a whole. Default one hour: a server that drips octets must not hold
    /// its client for ever.
    pub answer: Duration,
    /// The answer to QUIT, if nothing is to be deleted. Default 10 s; with deletions it is [`command`](Self::command).
    pub quit: Duration,
    /// The session as a whole, connecting included. Default none.
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

/// As good as never: `Duration::MAX` is a fair way to say so, and no clock can add it to the time of day.
const NEVER: Duration = Duration::from_secs(1 << 29);

impl Timeouts {
    /// Until when the connection must be there, counted from the beginning.
    pub(crate) fn until_connected(&self) -> Duration {
        self.whole.map_or(self.connect, |whole| whole.min(self.connect)).min(NEVER)
    }

    /// Until when a handshake that begins now must be done, counted from the beginning of the session.
    pub(crate) fn until_handshaken(&self, now: Duration) -> Duration {
        let limit = now.saturating_add(self.tls);
        self.whole.map_or(limit, |whole| whole.min(limit)).min(NEVER)
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
    /// Not a failure: the moment to ask whether an answer comes at all.
    Patience,
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
            Self::Rescue | Self::Patience => f.write_str("the server fell silent"),
        }
    }
}

/// Tells the next deadline. Times are counted from the beginning of the session, by whichever clock the pump has.
///
/// Silence counts while somebody waits: a caller who takes an hour before he reads on has not waited for the server, and
/// it may have sent the rest long ago. An answer as a whole, and the session, have their time by the clock on the wall,
/// even if there is always something to be read.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    timeouts: Timeouts,
    verb: Verb,
    /// When the wait for this answer began.
    since: Duration,
    /// Whether anything of the answer has come.
    begun: bool,
    /// Of a message, nothing but the status line has come.
    status_alone: bool,
    /// How long was waited since the last octet.
    silence: Duration,
    last_octet: Duration,
    deletions: bool,
    rescue_tried: bool,
    patience: Patience,
}

/// Whether a silence before an answer is of interest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Patience {
    #[default]
    Endless,
    /// After some seconds somebody wants to know.
    Limited,
    /// They have passed.
    Over,
}

/// After how long a silence an answer is missed that could have come with another.
const PATIENCE: Duration = Duration::from_secs(5);

impl Watch {
    pub(crate) fn new(timeouts: Timeouts) -> Self {
        Self {
            timeouts,
            verb: Verb::Greeting,
            since: Duration::ZERO,
            begun: false,
            status_alone: false,
            silence: Duration::ZERO,
            last_octet: Duration::ZERO,
            deletions: false,
            rescue_tried: false,
            patience: Patience::Endless,
        }
    }

    /// For a caller who has less time for what comes next.
    pub(crate) fn timeouts(&mut self) -> &mut Timeouts {
        &mut self.timeouts
    }

    /// The wait for an answer begins, or is taken up again; `begun` tells whether something of it has come.
    pub(crate) fn expect(&mut self, verb: Verb, deletions: bool, begun: bool, now: Duration) {
        (self.verb, self.deletions, self.begun) = (verb, deletions, begun);
        self.status_alone = false;
        self.patience = Patience::Endless;
        self.again(now);
    }

    /// A silence before the answer that is waited for is to be told.
    pub(crate) fn limit_patience(&mut self) {
        self.patience = Patience::Limited;
    }

    /// There was such a silence.
    pub(crate) fn lose_patience(&mut self) {
        self.patience = Patience::Over;
    }

    /// Whether there was.
    pub(crate) fn is_out_of_patience(&self) -> bool {
        self.patience == Patience::Over
    }

    /// A deadline passed and was told; whoever waits on has the whole time again.
    pub(crate) fn again(&mut self, now: Duration) {
        (self.since, self.silence) = (now, Duration::ZERO);
        self.rescue_tried = false;
    }

    /// So long was waited.
    pub(crate) fn waited(&mut self, time: Duration) {
        self.silence = self.silence.saturating_add(time);
    }

    /// Octets came.
    pub(crate) fn heard(&mut self, now: Duration) {
        self.last_octet = now;
        self.silence = Duration::ZERO;
        self.rescue_tried = false;
        self.begun = true;
        self.status_alone = false;
    }

    /// The `+OK` of a message came, and nothing of the message.
    pub(crate) fn status_came_alone(&mut self) {
        self.status_alone = true;
    }

    /// When the last octet came.
    pub(crate) fn last_octet(&self) -> Duration {
        self.last_octet
    }

    /// The rescue was tried and there was nothing to rescue: not again before more octets come.
    pub(crate) fn rescue_tried(&mut self) {
        self.rescue_tried = true;
    }

    /// The deadline by the clock that has passed already.
    pub(crate) fn expired(&self, now: Duration) -> Option<Wait> {
        let (at, wait) = self.by_clock();
        (at <= now).then_some(wait)
    }

    /// The deadline that comes first for a wait that begins now, and what it is about.
    pub(crate) fn deadline(&self, now: Duration) -> (Duration, Wait) {
        let after = |limit: Duration| now.saturating_add(limit.saturating_sub(self.silence));
        let many = self.begun && self.has_many_lines();
        let silence = if self.status_alone { self.timeouts.first_octet } else { self.timeouts.idle };
        let idle = many.then(|| (after(silence), Wait::Idle(self.verb)));
        let grace = self.timeouts.rescue.filter(|_| many && self.is_message() && !self.rescue_tried);
        let rescue = grace.map(|grace| (after(grace), Wait::Rescue));
        let limited = self.patience == Patience::Limited && !self.begun;
        let patience = limited.then(|| (after(self.timeouts.rescue.unwrap_or(PATIENCE)), Wait::Patience));
        [idle, rescue, patience]
            .into_iter()
            .flatten()
            .fold(self.by_clock(), |a, b| if b.0 < a.0 { b } else { a })
    }

    fn by_clock(&self) -> (Duration, Wait) {
        let t = &self.timeouts;
        let limit = match self.verb {
            _ if self.begun && self.has_many_lines() => t.answer,
            Verb::Greeting => t.greeting,
            Verb::Capa => t.capa,
            Verb::Pass | Verb::Apop | Verb::Rpop | Verb::Auth | Verb::AuthResponse => t.login,
            Verb::Quit if !self.deletions => t.quit,
            Verb::Retr | Verb::Top => t.first_octet,
            _ => t.command,
        };
        let answer = (self.since.saturating_add(limit).min(NEVER), Wait::Answer(self.verb));
        match t.whole {
            Some(whole) if whole < answer.0 => (whole, Wait::Whole),
            _ => answer,
        }
    }

    fn is_message(&self) -> bool {
        matches!(self.verb, Verb::Retr | Verb::Top)
    }

    fn has_many_lines(&self) -> bool {
        self.is_message() || matches!(self.verb, Verb::List | Verb::Uidl | Verb::Lang | Verb::Raw)
    }
}
