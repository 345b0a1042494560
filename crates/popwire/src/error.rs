//! The one error type of the library: what failed, whether it may be tried again, and the server's own words.

use std::time::Duration;
use std::{fmt, io};

use popwire_proto as proto;
use proto::sasl;
use proto::{IrregularEnd, OutOfOrder, Reply, ResponseCode, Verb};

use crate::certificate::Certificate;
use crate::login::{Attempt, Method, Resume};
use crate::timeouts::Wait;

/// What went wrong.
///
/// Ask the predicates, not the text: they separate what needs other credentials, what needs patience and what needs a
/// person. The text is for people and never has a secret in it.
///
/// ```
/// # fn retry_later() {}
/// # fn ask_for_password() {}
/// fn failed(error: popwire::Error) {
///     if error.is_authentication() {
///         ask_for_password();
///     } else if error.is_retryable() {
///         retry_later();
///     } else {
///         eprintln!("{error}");
///     }
/// }
/// ```
pub struct Error(Box<Kind>);

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug)]
pub(crate) enum Kind {
    /// The server said `-ERR`.
    Refused {
        verb: Verb,
        reply: Reply,
        refusal: Refusal,
    },
    Protocol(proto::Error),
    Io {
        doing: &'static str,
        source: io::Error,
    },
    /// The caller's own writer failed.
    Writer(io::Error),
    Timeout(Wait),
    Tls {
        problem: TlsProblem,
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
        /// What was refused.
        certificate: Option<Certificate>,
    },
    Policy(Policy),
    IrregularEnd(IrregularEnd),
    Configuration(String),
    /// A login that failed: what was tried, and what it comes to.
    Login {
        attempts: Vec<Attempt>,
        cause: Error,
        /// LOGIN-DELAY as the server announces it, in seconds.
        login_delay: Option<u64>,
        resume: Option<Resume>,
    },
    /// A mechanism could not go on, or must not.
    Sasl {
        method: Method,
        error: sasl::Error,
    },
    /// The server offers no way to log in that is allowed.
    NoMethod {
        offered: String,
    },
    /// The caller's provider of passwords or tokens has none.
    Provider(Box<dyn std::error::Error + Send + Sync>),
}

/// What a `-ERR` means, as far as it can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Authentication,
    InUse,
    LoginDelay,
    Temporary,
    Permanent,
    /// The server wants TLS before it listens to a login.
    TlsRequired,
    /// The server does not take this way to log in; no credentials were looked at.
    Mechanism,
    /// The server does not have the command.
    Unsupported,
    Other,
}

/// What is wrong with the TLS session or the server's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsProblem {
    /// The certificate is for another name.
    WrongName,
    /// The certificate's time is over.
    Expired,
    /// The certificate's time has not come yet; often it is the clock of this machine that is wrong.
    NotYetValid,
    /// The certificate was issued by nobody that is trusted here.
    UnknownIssuer,
    /// The certificate was revoked.
    Revoked,
    /// The server's key is not the pinned one.
    WrongKey,
    /// The certificate is bad in another way.
    BadCertificate,
    /// The server does not speak TLS on this port.
    NotTls,
    /// The server did not accept the handshake: no common version or cipher, or it wants a client certificate.
    HandshakeRefused,
    /// The server does not offer STLS, or refused it, and TLS was required.
    StlsRefused,
    /// Anything else.
    Other,
}

/// A rule of this side that forbade the step; nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// A login without verified TLS.
    LoginInTheClear,
    /// A name or password with 8-bit octets, where the server does not say that it takes them.
    Utf8NotAnnounced,
    /// A token without TLS, which nothing allows.
    TokenInTheClear,
    /// A password that was to go out in Latin-1 and has other characters.
    NotLatin1,
}

impl Error {
    pub(crate) fn new(kind: Kind) -> Self {
        Self(Box::new(kind))
    }

    pub(crate) fn io(doing: &'static str, source: io::Error) -> Self {
        // An error of ours may have travelled through the traits of std::io.
        source.downcast::<Self>().unwrap_or_else(|source| Self::new(Kind::Io { doing, source }))
    }

    pub(crate) fn writer(source: io::Error) -> Self {
        Self::new(Kind::Writer(source))
    }

    pub(crate) fn timeout(wait: Wait) -> Self {
        Self::new(Kind::Timeout(wait))
    }

    pub(crate) fn configuration(text: impl Into<String>) -> Self {
        Self::new(Kind::Configuration(text.into()))
    }

    /// A `-ERR` outside the login.
    pub(crate) fn refused(verb: Verb, reply: Reply) -> Self {
        let refusal = match reply.code() {
            Some(ResponseCode::SysTemp) => Refusal::Temporary,
            Some(ResponseCode::SysPerm) => Refusal::Permanent,
            Some(ResponseCode::InUse) => Refusal::InUse,
            Some(ResponseCode::LoginDelay) => Refusal::LoginDelay,
            _ => Refusal::Other,
        };
        Self::new(Kind::Refused { verb, reply, refusal })
    }

    /// The credentials were refused. Another password, or another way to log in, may help; trying again does not.
    #[must_use]
    pub fn is_authentication(&self) -> bool {
        self.refusal() == Some(Refusal::Authentication)
    }

    /// The server does not take this way to log in. The credentials were not looked at.
    #[must_use]
    pub fn is_method_refused(&self) -> bool {
        self.refusal() == Some(Refusal::Mechanism)
    }

    /// The maildrop is locked by another session (`[IN-USE]`). The credentials were right.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        self.refusal() == Some(Refusal::InUse)
    }

    /// The last login was too short a time ago (`[LOGIN-DELAY]`).
    #[must_use]
    pub fn is_login_delay(&self) -> bool {
        self.refusal() == Some(Refusal::LoginDelay)
    }

    /// The server has a trouble that may pass: `[SYS/TEMP]`, `[IN-USE]`, `[LOGIN-DELAY]`, or words to that effect where
    /// a server has no codes.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self.refusal(), Some(Refusal::Temporary | Refusal::InUse | Refusal::LoginDelay))
    }

    /// The server has a trouble that a person must mend (`[SYS/PERM]`).
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.refusal() == Some(Refusal::Permanent)
    }

    /// The server refuses logins without TLS, and there is none. The credentials were not looked at.
    #[must_use]
    pub fn is_tls_required(&self) -> bool {
        self.refusal() == Some(Refusal::TlsRequired)
    }

    /// The server does not have the command, as far as its words tell: TOP, UIDL and others are optional. Another way may
    /// lead there; the same command need not be tried again. A server that gives no reason is refused only.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        self.refusal() == Some(Refusal::Unsupported)
    }

    /// The server said `-ERR` to a command. Unless the connection ended, the session can go on.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(self.kind(), Kind::Refused { .. })
    }

    /// TLS could not be set up, or the server is not the one it should be. Nothing secret was sent.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls_problem().is_some()
    }

    /// What is wrong with TLS, if that is the trouble.
    #[must_use]
    pub fn tls_problem(&self) -> Option<TlsProblem> {
        match self.kind() {
            Kind::Tls { problem, .. } => Some(*problem),
            _ => None,
        }
    }

    /// The server's certificate, where it was refused ([`tls_problem`](Self::tls_problem) tells why) and can be read. It is
    /// what whoever answered has sent: it says whom to ask, and not whom to trust.
    #[must_use]
    pub fn certificate(&self) -> Option<&Certificate> {
        match self.kind() {
            Kind::Tls { certificate, .. } => certificate.as_ref(),
            _ => None,
        }
    }

    /// With the certificate that was refused.
    #[cfg(feature = "_tls")]
    pub(crate) fn refusing(mut self, refused: Option<Certificate>) -> Self {
        if let Kind::Tls { certificate, .. } = &mut *self.0 {
            *certificate = refused;
        }
        self
    }

    /// A deadline passed.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.kind(), Kind::Timeout(_))
    }

    /// The other side does not keep to the protocol. [`Error::is_closed`] is not among these.
    #[must_use]
    pub fn is_protocol(&self) -> bool {
        match self.kind() {
            Kind::Protocol(error) => !matches!(
                error,
                proto::Error::Argument(_)
                    | proto::Error::OutOfOrder(_)
                    | proto::Error::Closed { .. }
                    | proto::Error::ServerClosing(_)
                    | proto::Error::Abandoned
            ),
            Kind::IrregularEnd(_) => true,
            _ => false,
        }
    }

    /// The connection could not be made, or broke.
    #[must_use]
    pub fn is_io(&self) -> bool {
        matches!(self.kind(), Kind::Io { .. }) || self.is_closed()
    }

    /// The writer that a message was copied to failed. The session goes on: the rest of the message is skipped before the
    /// next command.
    #[must_use]
    pub fn is_writer(&self) -> bool {
        matches!(self.kind(), Kind::Writer(_))
    }

    /// The server ended the connection before it had answered. A message that was being read is not complete.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.kind(), Kind::Protocol(proto::Error::Closed { .. } | proto::Error::ServerClosing(_)))
    }

    /// An argument or the moment was wrong. Nothing was sent, and the session is as it was.
    #[must_use]
    pub fn is_misuse(&self) -> bool {
        match self.kind() {
            Kind::Protocol(proto::Error::Argument(_) | proto::Error::OutOfOrder(_))
            | Kind::Configuration(_) => true,
            Kind::Sasl { error, .. } => error.is_credentials(),
            _ => false,
        }
    }

    /// A rule of safety on this side forbade the step, such as a password in the clear. Nothing was sent.
    #[must_use]
    pub fn is_policy(&self) -> bool {
        matches!(self.kind(), Kind::Policy(_) | Kind::NoMethod { .. })
    }

    /// It was a login that was kept from going out without TLS, or without knowing who is at the other end; a token needs TLS
    /// in any case. Nothing was sent.
    #[must_use]
    pub fn is_login_in_the_clear(&self) -> bool {
        matches!(self.kind(), Kind::Policy(Policy::LoginInTheClear | Policy::TokenInTheClear))
    }

    /// The server offers no way to log in that is allowed and that the credentials fit; the text says what it offers.
    /// Nothing was sent.
    #[must_use]
    pub fn is_no_method(&self) -> bool {
        matches!(self.kind(), Kind::NoMethod { .. })
    }

    /// The server failed to prove what it has to prove within the login, or tried to have its way without: it does not
    /// know the password, or somebody stands in between. The session is over; nothing else was sent.
    #[must_use]
    pub fn is_server_untrusted(&self) -> bool {
        match self.kind() {
            Kind::Sasl { error, .. } => error.is_server_untrusted(),
            Kind::Protocol(error) => matches!(error, proto::Error::ServerUntrusted(_)),
            _ => false,
        }
    }

    /// The caller's provider of passwords or tokens had none to give; its error is the [`source`](std::error::Error::source).
    #[must_use]
    pub fn is_provider(&self) -> bool {
        matches!(self.kind(), Kind::Provider(_))
    }

    /// What a login tried, in order, with the server's own words. Empty if the error is about something else, or if
    /// nothing was tried.
    #[must_use]
    pub fn attempts(&self) -> &[Attempt] {
        match &*self.0 {
            Kind::Login { attempts, .. } => attempts,
            _ => &[],
        }
    }

    /// The mechanism's own error, if it was one that made the login fail.
    #[must_use]
    pub fn sasl(&self) -> Option<&sasl::Error> {
        match self.kind() {
            Kind::Sasl { error, .. } | Kind::Protocol(proto::Error::ServerUntrusted(error)) => Some(error),
            _ => None,
        }
    }

    /// The message was read, but its end has not the form that ends a message: it may have been cut short. Keep it if
    /// you like, never delete it on the server. The session can go on.
    #[must_use]
    pub fn is_irregular_end(&self) -> bool {
        self.irregular_end().is_some()
    }

    /// The form of an end that is no regular one.
    #[must_use]
    pub fn irregular_end(&self) -> Option<IrregularEnd> {
        match self.kind() {
            Kind::IrregularEnd(kind) => Some(*kind),
            _ => None,
        }
    }

    /// Whether the same attempt, made later, has a chance: troubles that pass, connections that broke, deadlines.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.is_temporary() || self.is_io() || self.is_timeout()
    }

    /// After how long a time the same attempt makes sense, if it does at all: what the server announces as LOGIN-DELAY (RFC
    /// 2449 section 6.5), and where it says no number, five minutes after a login that came too soon and one minute after
    /// all else. It is the least time; who fails again should wait longer.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        if !self.is_retryable() {
            return None;
        }
        let announced = match &*self.0 {
            Kind::Login { login_delay, .. } => login_delay.map(Duration::from_secs),
            _ => None,
        };
        let least = Duration::from_secs(if self.is_login_delay() { 300 } else { 60 });
        Some(match announced {
            Some(announced) if self.is_login_delay() => announced,
            Some(announced) => announced.max(least),
            None => least,
        })
    }

    /// The server's reply, if it was one that failed.
    #[must_use]
    pub fn reply(&self) -> Option<&Reply> {
        match self.kind() {
            Kind::Refused { reply, .. } => Some(reply),
            _ => None,
        }
    }

    /// The protocol error, if it is one.
    #[must_use]
    pub fn protocol(&self) -> Option<&proto::Error> {
        match self.kind() {
            Kind::Protocol(error) => Some(error),
            _ => None,
        }
    }

    /// How a login may go on over a new connection.
    pub(crate) fn resume(&self) -> Option<(&[Attempt], Resume)> {
        match &*self.0 {
            Kind::Login { attempts, resume, .. } => Some((attempts, resume.clone()?)),
            _ => None,
        }
    }

    /// What it is, also where a login is told with all that was tried.
    fn kind(&self) -> &Kind {
        match &*self.0 {
            Kind::Login { cause, .. } => cause.kind(),
            other => other,
        }
    }

    fn refusal(&self) -> Option<Refusal> {
        match self.kind() {
            Kind::Refused { refusal, .. } => Some(*refusal),
            _ => None,
        }
    }

    fn io_kind(&self) -> io::ErrorKind {
        match self.kind() {
            Kind::Io { source, .. } | Kind::Writer(source) => source.kind(),
            Kind::Timeout(_) => io::ErrorKind::TimedOut,
            Kind::Protocol(proto::Error::Closed { .. }) => io::ErrorKind::UnexpectedEof,
            Kind::Protocol(proto::Error::Argument(_) | proto::Error::OutOfOrder(_))
            | Kind::Configuration(_) => io::ErrorKind::InvalidInput,
            Kind::Protocol(_) | Kind::IrregularEnd(_) => io::ErrorKind::InvalidData,
            Kind::Sasl { error, .. } if error.is_credentials() => io::ErrorKind::InvalidInput,
            _ => io::ErrorKind::Other,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Kind::Refused { verb: Verb::Greeting, reply, .. } => write!(f, "the server turned us away: {reply}"),
            Kind::Refused { verb, reply, refusal } => {
                match refusal {
                    Refusal::Authentication => f.write_str("the server refused the login")?,
                    Refusal::InUse => f.write_str("the maildrop is in use by another session")?,
                    Refusal::LoginDelay => f.write_str("the last login was too short a time ago")?,
                    Refusal::TlsRequired => f.write_str("the server wants TLS before a login")?,
                    Refusal::Mechanism => f.write_str("the server does not take this way to log in")?,
                    _ => write!(f, "the server refused {verb}")?,
                }
                write!(f, ": {reply}")
            }
            Kind::Protocol(error) => error.fmt(f),
            Kind::Io { doing, source } => write!(f, "{doing}: {source}"),
            Kind::Writer(source) => write!(f, "the message could not be written: {source}"),
            Kind::Timeout(wait) => wait.fmt(f),
            Kind::Tls { problem, source, .. } => {
                problem.fmt(f)?;
                match source {
                    Some(source) => write!(f, " ({source})"),
                    None => Ok(()),
                }
            }
            Kind::Policy(Policy::LoginInTheClear) => f.write_str(
                "the connection has no verified TLS, so the login was not sent; use TLS, or allow it in as many words",
            ),
            Kind::Policy(Policy::TokenInTheClear) => {
                f.write_str("a token may go out over TLS only, and there is none; nothing was sent")
            }
            Kind::Policy(Policy::NotLatin1) => {
                f.write_str("the password has characters that Latin-1 has not; nothing was sent")
            }
            Kind::Policy(Policy::Utf8NotAnnounced) => f.write_str(
                "the user name or password is not ASCII and the server does not announce UTF8 USER; nothing was sent",
            ),
            Kind::IrregularEnd(_) => {
                f.write_str("the message did not end as messages end; it may have been cut short")
            }
            Kind::Configuration(text) => f.write_str(text),
            Kind::Login { attempts, cause, .. } => {
                cause.fmt(f)?;
                show_attempts(attempts, f)
            }
            Kind::Sasl { method, error } => write!(f, "the login by {method} failed: {error}"),
            Kind::NoMethod { offered } if offered.is_empty() => {
                f.write_str("the server announces no way to log in that can be used; nothing was sent")
            }
            Kind::NoMethod { offered } => write!(
                f,
                "the server offers no way to log in that is allowed; it has {}; nothing was sent",
                proto::Text::from(offered.as_str())
            ),
            Kind::Provider(error) => write!(f, "there is no password or token to log in with: {error}"),
        }
    }
}

/// What a login tried, where the error alone does not say it.
fn show_attempts(attempts: &[Attempt], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Some((first, others)) = attempts.split_first() else { return Ok(()) };
    let told = first.to_string();
    // A token that was renewed in vain, most of all: nobody needs the same words twice.
    if others.iter().all(|other| other.to_string() == told) {
        first.show_details(f)?;
        return if others.is_empty() { Ok(()) } else { write!(f, "; tried {} times", attempts.len()) };
    }
    attempts
        .iter()
        .enumerate()
        .try_for_each(|(nth, attempt)| write!(f, "{}{attempt}", if nth == 0 { "; tried " } else { ", " }))
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.kind() {
            Kind::Protocol(error) => Some(error),
            Kind::Io { source, .. } | Kind::Writer(source) => Some(source),
            Kind::Tls { source, .. } => source.as_deref().map(|source| source as _),
            Kind::Sasl { error, .. } => Some(error),
            Kind::Provider(error) => Some(&**error),
            _ => None,
        }
    }
}

impl fmt::Display for TlsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WrongName => "the server's certificate is for another name",
            Self::Expired => "the server's certificate has expired",
            Self::NotYetValid => "the server's certificate is not valid yet; check the clock of this machine",
            Self::UnknownIssuer => "the server's certificate was issued by nobody that is trusted here",
            Self::Revoked => "the server's certificate was revoked",
            Self::WrongKey => "the server's key is not the pinned one",
            Self::BadCertificate => "the server's certificate is not acceptable",
            Self::NotTls => "the server does not speak TLS on this port; it may want STLS (pop://) instead",
            Self::HandshakeRefused => "the server refused the TLS handshake",
            Self::StlsRefused => "the server does not offer TLS by STLS, and TLS is required",
            Self::Other => "TLS failed",
        })
    }
}

impl From<proto::Error> for Error {
    fn from(error: proto::Error) -> Self {
        Self::new(Kind::Protocol(error))
    }
}

impl From<OutOfOrder> for Error {
    fn from(error: OutOfOrder) -> Self {
        proto::Error::from(error).into()
    }
}

/// For `impl Read` and its kin. The way back is `std::io::Error::downcast::<popwire::Error>()`.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(error.io_kind(), error)
    }
}
