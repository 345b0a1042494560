//! The ways to log in, by name.

use std::fmt;
use std::str::FromStr;

use popwire_proto::sasl::{Mechanism, UnknownMechanism};

/// A way to log in.
///
/// ```
/// use popwire::{Mechanism, Method};
///
/// assert_eq!("scram-sha-256".parse(), Ok(Method::Sasl(Mechanism::ScramSha256)));
/// assert_eq!("USER".parse(), Ok(Method::UserPass));
/// assert_eq!("+APOP".parse(), Ok(Method::Apop));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// USER and PASS (RFC 1939 section 7). `USER` by name.
    UserPass,
    /// APOP (RFC 1939 section 7). `APOP` by name, or `+APOP` as URLs have it (RFC 2384 section 6).
    Apop,
    /// RPOP (RFC 1081).
    Rpop,
    /// AUTH with this mechanism (RFC 5034).
    Sasl(Mechanism),
    /// AUTH with the mechanism that [`Login::custom`](crate::Login::custom) brought.
    Custom,
}

impl Method {
    /// The name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::UserPass => "USER",
            Self::Apop => "APOP",
            Self::Rpop => "RPOP",
            Self::Sasl(mechanism) => mechanism.name(),
            Self::Custom => "a mechanism of the caller's",
        }
    }

    /// Whether the password or the token itself goes to the server.
    pub(super) fn reveals_secret(self) -> bool {
        match self {
            // Of a stranger's mechanism it is not known.
            Self::UserPass | Self::Custom => true,
            Self::Sasl(mechanism) => mechanism.reveals_secret(),
            Self::Apop | Self::Rpop => false,
        }
    }

    /// Whether it is bound to the TLS session.
    pub(super) fn binds_channel(self) -> bool {
        matches!(self, Self::Sasl(mechanism) if mechanism.binds_channel())
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Method {
    type Err = UnknownMechanism;

    /// Letter case does not matter.
    fn from_str(name: &str) -> Result<Self, UnknownMechanism> {
        if let Some(known) = [Self::UserPass, Self::Apop].into_iter().find(|known| {
            known.name().eq_ignore_ascii_case(name.strip_prefix('+').unwrap_or(name))
                && (*known == Self::Apop || !name.starts_with('+'))
        }) {
            return Ok(known);
        }
        name.parse().map(Self::Sasl)
    }
}

impl From<Mechanism> for Method {
    fn from(mechanism: Mechanism) -> Self {
        Self::Sasl(mechanism)
    }
}
