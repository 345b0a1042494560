//! What a probe tells.

use std::fmt;
use std::time::Duration;

use popwire_proto::Reply;
use popwire_proto::listing::Capabilities;

use crate::Certificate;
use crate::{Error, Method, Security, TlsInfo};

/// What a probe saw.
#[derive(Debug)]
#[non_exhaustive]
pub struct Report {
    /// The server's first line, if it came and was one.
    pub greeting: Option<Reply>,
    /// How the connection was to be protected.
    pub security: Security,
    /// The TLS session.
    pub tls: Option<TlsInfo>,
    /// The server's certificate, if there was TLS and it could be read.
    pub certificate: Option<Certificate>,
    /// What the server said it can do, at each stage of the session.
    pub capabilities: CapabilityStages,
    /// The way that got in; `None` if none did.
    pub logged_in_by: Option<Method>,
    /// How long the login took, from its first command to its last answer.
    pub login_time: Option<Duration>,
    /// How many messages there are, by STAT, or by LIST where STAT does not tell.
    pub messages: Option<u64>,
    /// How many octets they have, by the same.
    pub octets: Option<u64>,
    /// The time from a NOOP to its answer, the median of five.
    pub round_trip: Option<Duration>,
    /// How many connections it took.
    pub connections: u32,
    /// What each part of the protocol is like at this server, in the order of a session.
    pub checks: Vec<Check>,
    /// What the server does otherwise than the RFCs say, in the order of a session. Empty for most servers.
    pub findings: Vec<Finding>,
    /// Why the probe did not get to its end: the server cannot be talked to, or the login was refused. What was seen until
    /// then is in the rest.
    pub error: Option<Error>,
}

/// What CAPA told, at each stage; `None` where it was not asked or had no answer.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CapabilityStages {
    /// Before STLS, in the clear.
    pub before_tls: Option<Capabilities>,
    /// Before the login, over the connection that the login then used.
    pub before_login: Option<Capabilities>,
    /// After the login.
    pub after_login: Option<Capabilities>,
}

/// What a part of the protocol is like at this server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// The part.
    pub subject: Subject,
    /// Whether it can be trusted.
    pub outcome: Outcome,
    /// What was seen, in a few words, fit to be shown.
    pub seen: String,
}

/// Whether a part of the protocol can be trusted at this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It does what the RFCs say, as far as was seen.
    Good,
    /// It does not; the findings on the subject tell what.
    Odd,
    /// The server does not have it, and does not have to.
    Absent,
    /// It was not tried.
    Untried,
}

/// A deviation of this server's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// Its id in the list of deviations, such as `Q-069`; or, where no row there is about it, that of the requirement which
    /// it breaks, such as `P-058`.
    pub deviation: &'static str,
    /// What it concerns.
    pub subject: Subject,
    /// Whether it is no more than likely: the same could be seen where all is well.
    pub hint: bool,
    /// What was seen, in one line, fit to be shown.
    pub seen: String,
    /// What popwire does about it.
    pub consequence: &'static str,
}

/// The parts of the protocol that are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Subject {
    /// The server's first line.
    Greeting,
    /// CAPA.
    Capa,
    /// STLS and the handshake after it.
    Stls,
    /// The login.
    Login,
    /// The codes in brackets before the words of a refusal.
    ResponseCodes,
    /// STAT.
    Stat,
    /// LIST.
    List,
    /// UIDL.
    Uidl,
    /// The sizes that STAT and LIST state.
    Sizes,
    /// TOP.
    Top,
    /// The messages: how they end, how their lines do.
    Messages,
    /// Several commands in one write.
    Pipelining,
    /// RSET.
    Rset,
    /// LAST, which the standard has no more.
    Last,
    /// QUIT.
    Quit,
}

impl Subject {
    /// The name, such as `PIPELINING` or `sizes`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Greeting => "greeting",
            Self::Capa => "CAPA",
            Self::Stls => "STLS",
            Self::Login => "login",
            Self::ResponseCodes => "codes",
            Self::Stat => "STAT",
            Self::List => "LIST",
            Self::Uidl => "UIDL",
            Self::Sizes => "sizes",
            Self::Top => "TOP",
            Self::Messages => "messages",
            Self::Pipelining => "PIPELINING",
            Self::Rset => "RSET",
            Self::Last => "LAST",
            Self::Quit => "QUIT",
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
