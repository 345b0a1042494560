//! The mechanisms by name.

use std::fmt;
use std::str::FromStr;

/// A SASL mechanism that this crate knows. The order is no order of strength.
///
/// ```
/// use popwire_proto::sasl::Mechanism;
///
/// let mechanism: Mechanism = "scram-sha-256-plus".parse()?;
/// assert_eq!(mechanism, Mechanism::ScramSha256Plus);
/// assert_eq!(mechanism.name(), "SCRAM-SHA-256-PLUS");
/// # Ok::<(), popwire_proto::sasl::UnknownMechanism>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Mechanism {
    /// PLAIN: name and password as they are (RFC 4616).
    Plain,
    /// LOGIN: the same in two lines; never standardised.
    Login,
    /// CRAM-MD5: an old challenge and response (RFC 2195).
    CramMd5,
    /// DIGEST-MD5 (RFC 2831, declared historic by RFC 6331).
    DigestMd5,
    /// SCRAM-SHA-1 (RFC 5802).
    ScramSha1,
    /// SCRAM-SHA-1 bound to the TLS session (RFC 5802).
    ScramSha1Plus,
    /// SCRAM-SHA-256 (RFC 7677).
    ScramSha256,
    /// SCRAM-SHA-256 bound to the TLS session (RFC 7677).
    ScramSha256Plus,
    /// SCRAM-SHA-512.
    ScramSha512,
    /// SCRAM-SHA-512 bound to the TLS session.
    ScramSha512Plus,
    /// OAUTHBEARER: a token (RFC 7628).
    OAuthBearer,
    /// XOAUTH2: a token, as Google and Microsoft had it before there was a standard.
    XOAuth2,
    /// EXTERNAL: the client certificate tells who it is (RFC 4422 appendix A).
    External,
    /// ANONYMOUS: nobody in particular (RFC 4505).
    Anonymous,
    /// NTLM, version 2 of it.
    Ntlm,
    /// GSSAPI: Kerberos 5 (RFC 4752).
    Gssapi,
}

impl Mechanism {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Plain,
        Self::Login,
        Self::CramMd5,
        Self::DigestMd5,
        Self::ScramSha1,
        Self::ScramSha1Plus,
        Self::ScramSha256,
        Self::ScramSha256Plus,
        Self::ScramSha512,
        Self::ScramSha512Plus,
        Self::OAuthBearer,
        Self::XOAuth2,
        Self::External,
        Self::Anonymous,
        Self::Ntlm,
        Self::Gssapi,
    ];

    /// The name as AUTH and CAPA have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::CramMd5 => "CRAM-MD5",
            Self::DigestMd5 => "DIGEST-MD5",
            Self::ScramSha1 => "SCRAM-SHA-1",
            Self::ScramSha1Plus => "SCRAM-SHA-1-PLUS",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::ScramSha512Plus => "SCRAM-SHA-512-PLUS",
            Self::OAuthBearer => "OAUTHBEARER",
            Self::XOAuth2 => "XOAUTH2",
            Self::External => "EXTERNAL",
            Self::Anonymous => "ANONYMOUS",
            Self::Ntlm => "NTLM",
            Self::Gssapi => "GSSAPI",
        }
    }

    /// Whether it hands the password or the token itself to the server.
    #[must_use]
    pub fn reveals_secret(self) -> bool {
        matches!(self, Self::Plain | Self::Login | Self::OAuthBearer | Self::XOAuth2)
    }

    /// Whether it binds to the TLS session beneath it.
    #[must_use]
    pub fn binds_channel(self) -> bool {
        matches!(self, Self::ScramSha1Plus | Self::ScramSha256Plus | Self::ScramSha512Plus)
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mechanism {
    type Err = UnknownMechanism;

    /// Letter case does not matter (RFC 4422 section 3.1).
    fn from_str(name: &str) -> Result<Self, UnknownMechanism> {
        Self::ALL
            .into_iter()
            .find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
            .ok_or(UnknownMechanism)
    }
}

/// No mechanism that this crate knows has that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownMechanism;

impl fmt::Display for UnknownMechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such SASL mechanism is known")
    }
}

impl std::error::Error for UnknownMechanism {}
