//! POP URLs (RFC 2384): `pop://user;AUTH=mechanism@host:port`, and `pops://` for implicit TLS.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use crate::{Connector, Security};

/// Where a mailbox is. There is no password in a URL: it would end up in histories and logs.
///
/// ```
/// use popwire::PopUrl;
///
/// let url: PopUrl = "pops://alice%40example.org@pop.example.org".parse()?;
/// assert_eq!(url.user(), Some(&b"alice@example.org"[..]));
/// assert_eq!((url.host(), url.port(), url.is_implicit_tls()), ("pop.example.org", 995, true));
/// # Ok::<(), popwire::UrlError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PopUrl {
    implicit_tls: bool,
    user: Option<Vec<u8>>,
    mechanism: Option<String>,
    host: String,
    port: Option<u16>,
}

/// Why a text is no POP URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UrlError {
    /// It begins with neither `pop://` nor `pops://`.
    Scheme,
    /// There is no host, or it has characters that a host cannot have.
    Host,
    /// The port is no number from 1 to 65535.
    Port,
    /// There is a colon in the user part, as if a password followed. A URL has no place for one.
    Password,
    /// The user name is empty or badly percent-encoded, or the part after it is not `;AUTH=mechanism`.
    User,
    /// Something follows the host and port.
    Path,
}

impl PopUrl {
    /// The user's name, decoded.
    #[must_use]
    pub fn user(&self) -> Option<&[u8]> {
        self.user.as_deref()
    }

    /// The mechanism after `;AUTH=`; `None` where there is none, or where it is `*`, which leaves the choice.
    #[must_use]
    pub fn mechanism(&self) -> Option<&str> {
        self.mechanism.as_deref()
    }

    /// The host, without the brackets of an IPv6 address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port: 995 for `pops`, 110 for `pop` if none is given.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(if self.implicit_tls { 995 } else { 110 })
    }

    /// Whether it is `pops://` (also written `pop3s://`): TLS from the first octet.
    #[must_use]
    pub fn is_implicit_tls(&self) -> bool {
        self.implicit_tls
    }

    /// A connector for it: implicit TLS for `pops`, required STLS for `pop`.
    #[must_use]
    pub fn connector(&self) -> Connector {
        let security = if self.implicit_tls { Security::Tls } else { Security::Stls };
        Connector::new(self.host.clone()).port(self.port()).security(security)
    }
}

impl FromStr for PopUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let implicit_tls = match scheme.to_ascii_lowercase().as_str() {
            "pop" | "pop3" => false,
            "pops" | "pop3s" => true,
            _ => return Err(UrlError::Scheme),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#']) {
            return Err(UrlError::Path);
        }
        let (user, place) = match rest.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, rest),
        };
        let (user, mechanism) = user.map_or(Ok((None, None)), parse_user)?;
        let (host, port) = parse_place(place)?;
        Ok(Self { implicit_tls, user, mechanism, host, port })
    }
}

fn parse_user(text: &str) -> Result<(Option<Vec<u8>>, Option<String>), UrlError> {
    let (user, auth) = match text.split_once(';') {
        Some((user, auth)) => (user, Some(auth)),
        None => (text, None),
    };
    if text.contains(':') {
        return Err(UrlError::Password);
    }
    let mechanism = match auth {
        None => None,
        Some(auth) => {
            let (key, mechanism) = auth.split_once('=').ok_or(UrlError::User)?;
            if !key.eq_ignore_ascii_case("auth") || mechanism.is_empty() {
                return Err(UrlError::User);
            }
            Some(String::from_utf8(decode(mechanism)?).map_err(|_| UrlError::User)?)
        }
    };
    if user.is_empty() {
        return Err(UrlError::User);
    }
    Ok((Some(decode(user)?), mechanism.filter(|mechanism| mechanism != "*")))
}

fn parse_place(text: &str) -> Result<(String, Option<u16>), UrlError> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(UrlError::Host)?;
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(UrlError::Host);
            }
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or(UrlError::Port)?) })
        }
        None => {
            let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
            let allowed = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
            if host.is_empty() || !host.chars().all(allowed) {
                return Err(UrlError::Host);
            }
            (host, port)
        }
    };
    let port = match port {
        None => None,
        Some(port) if port.bytes().all(|c| c.is_ascii_digit()) => {
            Some(port.parse().ok().filter(|port| *port > 0).ok_or(UrlError::Port)?)
        }
        Some(_) => return Err(UrlError::Port),
    };
    Ok((host.to_owned(), port))
}

/// Undoes percent-encoding; a percent sign that does not begin an octet is an error.
fn decode(text: &str) -> Result<Vec<u8>, UrlError> {
    let mut parts = text.split('%');
    parts.next();
    let good = |part: &str| part.get(..2).is_some_and(|hex| hex.bytes().all(|c| c.is_ascii_hexdigit()));
    if !parts.all(good) {
        return Err(UrlError::User);
    }
    Ok(percent_decode_str(text).collect())
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "a POP URL begins with pops:// (TLS) or pop:// (STLS)",
            Self::Host => "the URL has no valid host name",
            Self::Port => "the URL's port is not a number from 1 to 65535",
            Self::Password => {
                "a POP URL has no place for a password; leave the colon and what follows it out"
            }
            Self::User => "the URL's user part is not name or name;AUTH=mechanism, percent-encoded",
            Self::Path => "a POP URL ends after the host and port",
        })
    }
}

impl std::error::Error for UrlError {}
