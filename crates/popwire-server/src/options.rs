//! Every knob of the server, in one place, with its default.
//!
//! The defaults are the RFCs' server. Each field says what it departs from when it is changed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use popwire_proto::Secret;
use popwire_proto::sasl::Mechanism;
use popwire_proto::sasl::server::Fault;
use popwire_proto::stuff::LineEnds;

use crate::certificate::GivenCertificate;
use crate::event::Observer;
use crate::personality::Texts;
use crate::quirks::Quirks;
use crate::wire::Segment;
use crate::{Answer, Certificate, FaultPlan, Maildrop, Transcript};

/// What a [`Builder`](crate::Builder) collects.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) plain_addr: SocketAddr,
    pub(crate) tls_addr: SocketAddr,
    pub(crate) accounts: BTreeMap<Vec<u8>, Account>,
    pub(crate) greeting: Option<Answer>,
    pub(crate) tls: TlsOptions,
    pub(crate) login: LoginOptions,
    pub(crate) sasl: SaslOptions,
    pub(crate) capabilities: CapabilityOptions,
    pub(crate) timing: Timing,
    pub(crate) line_ends: LineEnds,
    pub(crate) last: bool,
    pub(crate) utf8: bool,
    /// Tag and description of each language, the default first. Empty: no LANG.
    pub(crate) languages: Vec<(String, String)>,
    pub(crate) quit_reply: QuitReply,
    pub(crate) delete_at_disconnect: bool,
    pub(crate) segment: Option<Segment>,
    pub(crate) headings: BTreeMap<String, Vec<u8>>,
    /// In the order in which they were given: the first that applies is used.
    pub(crate) scripts: Vec<(String, Answer)>,
    pub(crate) quirks: Quirks,
    pub(crate) texts: Texts,
    pub(crate) faults: FaultPlan,
    /// What is played in place of POP3.
    pub(crate) transcript: Option<Transcript>,
    pub(crate) max_connections: usize,
    pub(crate) max_connections_per_address: Option<usize>,
    pub(crate) read_only: bool,
    pub(crate) observer: Observer,
    pub(crate) record: bool,
}

/// A user.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) password: Secret,
    pub(crate) maildrop: Maildrop,
}

/// TLS, implicit and by STLS.
#[derive(Clone, Debug)]
pub(crate) struct TlsOptions {
    pub(crate) certificate: Certificate,
    /// In place of one that is made.
    pub(crate) given: Option<GivenCertificate>,
    pub(crate) stls: bool,
    /// TLS 1.2 and nothing newer.
    pub(crate) only_1_2: bool,
    pub(crate) inject_after_stls: Vec<u8>,
}

/// Who gets in, and how.
#[derive(Clone, Debug)]
pub(crate) struct LoginOptions {
    pub(crate) require_tls: bool,
    pub(crate) apop: bool,
    pub(crate) rpop: BTreeSet<Vec<u8>>,
    /// The least time between two logins to a maildrop. Zero: any.
    pub(crate) delay: Duration,
    /// How many logins may fail in a session; the last of them ends it.
    pub(crate) max_failed: u32,
    pub(crate) refusal_delay: Duration,
}

/// AUTH (RFC 5034).
#[derive(Clone, Debug)]
pub(crate) struct SaslOptions {
    /// What is announced, in this order, where it can be used.
    pub(crate) offered: Vec<Mechanism>,
    /// What is accepted, but not announced.
    pub(crate) hidden: Vec<Mechanism>,
    /// Users and their tokens.
    pub(crate) tokens: Vec<(Vec<u8>, Secret)>,
    /// The user as whom ANONYMOUS lets in.
    pub(crate) anonymous: Option<Vec<u8>>,
    /// Who may act as whom.
    pub(crate) acts_as: BTreeSet<(Vec<u8>, Vec<u8>)>,
    pub(crate) iterations: u32,
    pub(crate) quirks: SaslQuirks,
}

/// Where AUTH departs from RFC 5034.
#[derive(Clone, Debug)]
pub(crate) struct SaslQuirks {
    pub(crate) fault: Option<Fault>,
    /// A longer response ends the connection.
    pub(crate) line_max: Option<usize>,
    /// Whether the AUTH line may have an initial response.
    pub(crate) initial_in_line: bool,
    /// Whether AUTH PLAIN needs one.
    pub(crate) plain_needs_initial: bool,
    pub(crate) close_after_refusal: bool,
    /// Refused after the first response to a challenge.
    pub(crate) midway: Option<Mechanism>,
    /// The empty challenge of NTLM is `+OK`.
    pub(crate) ntlm_says_ok: bool,
}

/// What CAPA says.
#[derive(Clone, Debug)]
pub(crate) struct CapabilityOptions {
    pub(crate) answered: bool,
    /// In place of the true lines.
    pub(crate) dictated: Option<DictatedCapabilities>,
}

/// Lines of CAPA that a test wants.
#[derive(Clone, Debug, Default)]
pub(crate) struct DictatedCapabilities {
    pub(crate) before_login: Vec<Vec<u8>>,
    pub(crate) after_login: Vec<Vec<u8>>,
    /// Whether STLS is announced too, while it makes sense.
    pub(crate) stls: bool,
}

/// How long things may take.
#[derive(Clone, Debug)]
pub(crate) struct Timing {
    pub(crate) idle: Duration,
    pub(crate) write: Duration,
    pub(crate) handshake: Duration,
    pub(crate) segment_pause: Duration,
}

/// How QUIT ends a session in which messages were marked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum QuitReply {
    /// Marked messages are removed, then `+OK` is said (RFC 1939 section 6).
    #[default]
    Normal,
    /// Only the first so many marked messages are removed, then `-ERR some deleted messages not removed` is said.
    SomeNotRemoved {
        /// How many are removed.
        removed: usize,
    },
    /// Marked messages are removed, and the connection is closed without an answer: the client cannot know.
    CloseAfterCommit,
    /// Nothing is removed, and the connection is closed without an answer: the client cannot know.
    CloseBeforeCommit,
    /// Marked messages are removed, and the connection is reset (TCP RST) without an answer: the client cannot know.
    ResetAfterCommit,
    /// QUIT is carried out when one more line has come after it. If none comes, nothing is removed.
    AfterOneMoreLine,
    /// `+OK` is said at once, and marked messages are removed afterwards: until then sessions find them again.
    RemovedLater {
        /// How long after the answer.
        after: Duration,
    },
}

impl Default for Options {
    fn default() -> Self {
        let free_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            plain_addr: free_port,
            tls_addr: free_port,
            accounts: BTreeMap::new(),
            greeting: None,
            tls: TlsOptions {
                certificate: Certificate::Good,
                given: None,
                stls: true,
                only_1_2: false,
                inject_after_stls: Vec::new(),
            },
            login: LoginOptions {
                require_tls: false,
                apop: false,
                rpop: BTreeSet::new(),
                delay: Duration::ZERO,
                // More than a client with several mechanisms needs, too few to guess passwords by.
                max_failed: 10,
                refusal_delay: Duration::ZERO,
            },
            sasl: SaslOptions::default(),
            capabilities: CapabilityOptions { answered: true, dictated: None },
            timing: Timing {
                // RFC 1939 section 3: at least ten minutes.
                idle: Duration::from_secs(600),
                // A client that takes no octet for two minutes, with a full window, is not going to.
                write: Duration::from_secs(120),
                // Longer than any honest handshake, short enough that strangers do not hold connections.
                handshake: Duration::from_secs(30),
                segment_pause: Duration::ZERO,
            },
            line_ends: LineEnds::Crlf,
            last: false,
            utf8: false,
            languages: Vec::new(),
            quit_reply: QuitReply::Normal,
            delete_at_disconnect: false,
            segment: None,
            headings: BTreeMap::new(),
            scripts: Vec::new(),
            quirks: Quirks::default(),
            texts: Texts::default(),
            faults: FaultPlan::default(),
            transcript: None,
            // Far below the usual limit of 1024 open files, far above what a test opens.
            max_connections: 500,
            max_connections_per_address: None,
            read_only: false,
            observer: Observer::default(),
            record: true,
        }
    }
}

impl Default for SaslOptions {
    fn default() -> Self {
        Self {
            offered: Vec::new(),
            hidden: Vec::new(),
            tokens: Vec::new(),
            anonymous: None,
            acts_as: BTreeSet::new(),
            // RFC 5802 section 5.1: at least so many.
            iterations: 4096,
            quirks: SaslQuirks {
                fault: None,
                line_max: None,
                initial_in_line: true,
                plain_needs_initial: false,
                close_after_refusal: false,
                midway: None,
                ntlm_says_ok: false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_026_the_timer_is_at_least_ten_minutes() {
        assert!(Options::default().timing.idle >= Duration::from_secs(600));
    }
}
