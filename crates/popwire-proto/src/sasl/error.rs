//! What can go wrong in a mechanism.

use std::fmt;

use crate::Text;

/// Why an exchange cannot go on, or must not. No secret is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A challenge is not base64 (RFC 5034 section 4).
    NotBase64,
    /// A challenge does not have the form that the mechanism gives it.
    BadChallenge(&'static str),
    /// The server wants another step, and the mechanism has none.
    UnexpectedChallenge,
    /// The server said `+OK` before the mechanism had come to its end: it has not proved that it knows the credentials.
    EarlySuccess,
    /// The server's proof is wrong: it does not know the credentials. Whoever it is, it is not the server.
    WrongServerProof,
    /// The server's nonce does not begin with ours (RFC 5802 section 5.1).
    WrongNonce,
    /// The server asks for an iteration count outside of the bounds (RFC 5802 section 5.1).
    Iterations {
        /// What it asks for.
        asked: u64,
        /// The bounds: fewer are too weak, more would only keep this side busy.
        allowed: (u32, u32),
    },
    /// The server does offer channel binding, and its offer did not reach us: somebody took it away (RFC 5802 section 6).
    Downgrade,
    /// The server demands an extension that is not known here (RFC 5802 section 5.1).
    MandatoryExtension,
    /// The server's own word for the failure, within the mechanism (RFC 5802 section 7).
    Server(Text),
    /// A name or password has characters that SASLprep forbids (RFC 4013 section 2.3), or is not UTF-8 where it must be.
    Unpreparable,
    /// A name is empty, or preparation left nothing of it.
    EmptyName,
    /// A field has a NUL, or another character that would end it.
    ForbiddenCharacter,
    /// The mechanism binds to a TLS session, and there is none that can be bound to.
    NoChannelBinding,
    /// A mechanism of somebody else's failed; in his words.
    Other(String),
}

impl Error {
    /// Whether the fault shows that the server is not to be trusted: it must get no other credential.
    #[must_use]
    pub fn is_server_untrusted(&self) -> bool {
        matches!(
            self,
            Self::EarlySuccess
                | Self::WrongServerProof
                | Self::WrongNonce
                | Self::Iterations { .. }
                | Self::Downgrade
                | Self::MandatoryExtension
        )
    }

    /// Whether it lies in the credentials that were given: nothing was sent.
    #[must_use]
    pub fn is_credentials(&self) -> bool {
        matches!(self, Self::Unpreparable | Self::EmptyName | Self::ForbiddenCharacter)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBase64 => f.write_str("the server's challenge is not base64"),
            Self::BadChallenge(why) => write!(f, "the server's challenge makes no sense: {why}"),
            Self::UnexpectedChallenge => f.write_str("the server asks for more than the mechanism has"),
            Self::EarlySuccess => f.write_str("the server said +OK before it had proved who it is"),
            Self::WrongServerProof => f.write_str(
                "the server does not know the password, so it is not the server that it should be",
            ),
            Self::WrongNonce => f.write_str("the server's nonce does not continue ours"),
            Self::Iterations { asked, allowed: (least, most) } => {
                write!(f, "the server asks for {asked} iterations; {least} to {most} are allowed")
            }
            Self::Downgrade => f.write_str(
                "the server offers channel binding, and somebody took the offer away on its way here",
            ),
            Self::MandatoryExtension => f.write_str("the server demands an extension that is not known"),
            Self::Server(words) => write!(f, "the server says: {words}"),
            Self::Unpreparable => {
                f.write_str("the name or password has characters that are not allowed in it")
            }
            Self::EmptyName => f.write_str("the name is empty"),
            Self::ForbiddenCharacter => {
                f.write_str("the name, password or token has a character that would end it")
            }
            Self::NoChannelBinding => f.write_str("there is no TLS session to bind to"),
            Self::Other(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Error {}
