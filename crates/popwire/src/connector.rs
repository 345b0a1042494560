//! Where and how to connect: the options that both doors share.

use popwire_proto::Limits;

use crate::trace::{Trace, TraceEvent, TraceLevel};
use crate::{Pipelining, Timeouts, Tls, Window};

/// How to reach a server: its name, the protection of the connection, deadlines, limits.
///
/// The default is what the big providers want: TLS from the first octet, port 995, the certificate verified against the
/// roots of this system.
///
/// ```no_run
/// use popwire::{Connector, Login, blocking::Client};
///
/// let connector = Connector::new("pop.example.org");
/// let mut client = Client::connect(&connector)?;
/// client.login(&Login::password("alice", "s3cret"))?;
/// # Ok::<(), popwire::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Connector {
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    pub(crate) security: Security,
    pub(crate) tls: Tls,
    pub(crate) timeouts: Timeouts,
    pub(crate) limits: Limits,
    pub(crate) masked: Vec<String>,
    pub(crate) capa: bool,
    pub(crate) unverified_login: bool,
    pub(crate) pipelining: Pipelining,
    pub(crate) window: Window,
    pub(crate) trace: Trace,
}

/// How the connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Security {
    /// TLS from the first octet ("implicit TLS", pop3s); port 995 by default.
    Tls,
    /// A plain connection that STLS turns into TLS before anything else is said, or an error; port 110 by default.
    Stls,
    /// STLS if the server offers it, and otherwise no TLS at all: an attacker need only take the offer away. Without
    /// TLS a login needs [`Connector::dangerous_login_without_verified_tls`].
    OpportunisticStls,
    /// No TLS; port 110 by default. A login needs [`Connector::dangerous_login_without_verified_tls`].
    Plain,
    /// No TLS of ours, because the stream that the caller brings is protected already: by a TLS session of his own, a
    /// tunnel, or the kernel. For [`over`](crate::blocking::Client::over) only.
    ProtectedByCaller,
}

impl Connector {
    /// A connector for this host, by implicit TLS.
    #[must_use]
    pub fn new(host: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            port: None,
            security: Security::Tls,
            tls: Tls::new(),
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            masked: Vec::new(),
            capa: true,
            unverified_login: false,
            pipelining: Pipelining::default(),
            window: Window::default(),
            trace: Trace::default(),
        }
    }

    /// Another port than the usual one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// How the connection is protected.
    #[must_use]
    pub fn security(mut self, security: Security) -> Self {
        self.security = security;
        self
    }

    /// Whom to trust, and which certificate to show.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// The deadlines.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// The bounds on what a server may cost.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Takes no notice of this capability, as if the server had not announced it: for servers that announce what they
    /// do not do.
    #[must_use]
    pub fn without_capability(mut self, tag: impl Into<String>) -> Self {
        self.masked.push(tag.into());
        self
    }

    /// Never sends CAPA by itself: for servers that hang up on it.
    #[must_use]
    pub fn without_capa(mut self) -> Self {
        self.capa = false;
        self
    }

    /// Whether commands are sent before the answers to earlier ones are there. Default
    /// [`Pipelining::WhereAnnounced`].
    #[must_use]
    pub fn pipelining(mut self, pipelining: Pipelining) -> Self {
        self.pipelining = pipelining;
        self
    }

    /// How far commands may run ahead of their answers.
    #[must_use]
    pub fn window(mut self, window: Window) -> Self {
        self.window = window;
        self
    }

    /// Lets a login, with all the secrets in it, go out over a connection that has no TLS, or TLS with somebody whose
    /// identity was not verified. Whoever listens can then read the mailbox.
    #[must_use]
    pub fn dangerous_login_without_verified_tls(mut self) -> Self {
        self.unverified_login = true;
        self
    }

    /// Hands every event up to this level to the hook. Secrets are never in them.
    ///
    /// ```
    /// use popwire::{Connector, TraceLevel};
    ///
    /// let connector = Connector::new("pop.example.org")
    ///     .trace(TraceLevel::Commands, |event| eprintln!("{event}"));
    /// ```
    #[must_use]
    pub fn trace<F>(mut self, level: TraceLevel, hook: F) -> Self
    where
        F: Fn(TraceEvent<'_>) + Send + Sync + 'static,
    {
        self.trace = Trace { level, hook: Some(std::sync::Arc::new(hook)) };
        self
    }

    /// The host's name.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port: the one that was set, or the usual one for the protection chosen.
    #[must_use]
    pub fn effective_port(&self) -> u16 {
        self.port.unwrap_or(match self.security {
            Security::Tls => 995,
            _ => 110,
        })
    }
}
