//! What a login has to show, and where it comes from.

use std::fmt;
use std::sync::Arc;

use popwire_proto::Secret;
use popwire_proto::sasl::{ClientMechanism, OAuthFailure};

/// What a provider of passwords or tokens is asked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ask {
    /// The user's name.
    pub user: Vec<u8>,
    /// The server's host name.
    pub host: String,
    /// What the server said of the token that was given before, if it refused one: this is the time to refresh it. A
    /// provider is asked so once per login.
    pub refused: Option<OAuthFailure>,
}

/// Why a provider has nothing to give.
pub(crate) type ProviderError = Box<dyn std::error::Error + Send + Sync>;

type Give = dyn Fn(&Ask) -> Result<Secret, ProviderError> + Send + Sync;
type Make = dyn Fn() -> Box<dyn ClientMechanism> + Send + Sync;

/// A secret, or who has it.
#[derive(Clone)]
pub(super) enum Source {
    Known(Secret),
    Provider(Arc<Give>),
}

/// What a login has to show.
#[derive(Clone)]
pub(super) enum Credentials {
    Password(Source),
    Token(Source),
    /// Something else proves who it is, or nothing has to.
    Nothing,
    Custom(Arc<Make>),
}

impl Credentials {
    pub(super) fn source(&self) -> Option<&Source> {
        match self {
            Self::Password(source) | Self::Token(source) => Some(source),
            Self::Nothing | Self::Custom(_) => None,
        }
    }

    pub(super) fn is_token(&self) -> bool {
        matches!(self, Self::Token(_))
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Known(_) => "Known(********)",
            Self::Provider(_) => "Provider",
        })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password(source) => f.debug_tuple("Password").field(source).finish(),
            Self::Token(source) => f.debug_tuple("Token").field(source).finish(),
            Self::Nothing => f.write_str("Nothing"),
            Self::Custom(_) => f.write_str("Custom"),
        }
    }
}
