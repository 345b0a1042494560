//! OAUTHBEARER (RFC 7628) and XOAUTH2 (Google's), the server's halves.

use super::gs2::{Flag, Gs2};
use super::{Directory, Refusal, ServerMechanism, Turn};
use crate::sasl::prep;

/// What a token is refused with: RFC 7628 section 3.2.2, and Google's own form of it.
const BEARER_REFUSED: &[u8] = br#"{"status":"invalid_token","scope":"mail"}"#;
const XOAUTH2_REFUSED: &[u8] = br#"{"status":"401","schemes":"bearer","scope":"mail"}"#;

/// What comes next.
#[derive(Debug, Default)]
enum State {
    /// The token comes.
    #[default]
    Token,
    /// The client was told why its token is refused, and says that it has heard it.
    Refused,
    /// Nothing.
    Over,
}

impl State {
    /// The turn after a response. `read` finds the name and the token in it.
    fn turn(
        &mut self,
        response: Option<&[u8]>,
        directory: &dyn Directory,
        refused: &[u8],
        read: impl FnOnce(&[u8]) -> Option<(Vec<u8>, &[u8])>,
    ) -> Turn {
        match (std::mem::replace(self, Self::Over), response) {
            (Self::Token, Some(response)) => {
                let Some((name, token)) = read(response) else { return Turn::Refuse(Refusal::Malformed) };
                match directory.user_of_token(token, &name) {
                    Some(user) => Turn::Accept(user),
                    None => {
                        *self = Self::Refused;
                        Turn::Challenge(refused.to_vec())
                    }
                }
            }
            // Whatever the client says to it: some say nothing, RFC 7628 section 3.2.3 wants one octet.
            (Self::Refused, Some(_)) => Turn::Refuse(Refusal::Credentials),
            _ => Turn::Refuse(Refusal::Malformed),
        }
    }
}

/// The server's half of OAUTHBEARER. A client that names a host and a port is not contradicted.
#[derive(Debug, Default)]
pub struct OAuthBearer {
    state: State,
}

impl ServerMechanism for OAuthBearer {
    fn speaks_first(&self) -> bool {
        false
    }

    fn respond(&mut self, response: Option<&[u8]>, directory: &dyn Directory) -> Turn {
        self.state.turn(response, directory, BEARER_REFUSED, |response| {
            let gs2 = Gs2::parse(response)?;
            if matches!(gs2.flag, Flag::Bound(_)) {
                return None;
            }
            let pairs = gs2.rest.strip_prefix(b"\x01")?.strip_suffix(b"\x01")?;
            Some((gs2.authzid, token(pairs)?))
        })
    }
}

/// The server's half of XOAUTH2.
#[derive(Debug, Default)]
pub struct XOAuth2 {
    state: State,
}

impl ServerMechanism for XOAuth2 {
    fn speaks_first(&self) -> bool {
        false
    }

    fn respond(&mut self, response: Option<&[u8]>, directory: &dyn Directory) -> Turn {
        self.state.turn(response, directory, XOAUTH2_REFUSED, |response| {
            let pairs = response.strip_prefix(b"user=")?.strip_suffix(b"\x01")?;
            let end = memchr::memchr(1, pairs)?;
            let name = prep::name(pairs.get(..end)?).ok()?;
            Some((name, token(pairs.get(end + 1..)?)?))
        })
    }
}

/// The token among pairs that each end in `^A`: `auth=Bearer token`, once.
fn token(pairs: &[u8]) -> Option<&[u8]> {
    let mut found = None;
    for pair in pairs.strip_suffix(b"\x01")?.split(|octet| *octet == 1) {
        let equals = memchr::memchr(b'=', pair)?;
        let (key, value) = (pair.get(..equals)?, pair.get(equals + 1..)?);
        let allowed = |octet: &u8| matches!(octet, b'\t' | b'\r' | b'\n' | b' '..=b'~');
        if key.is_empty() || !key.iter().all(u8::is_ascii_alphabetic) || !value.iter().all(allowed) {
            return None;
        }
        if key == b"auth" {
            let (scheme, token) = value.split_at_checked(7)?;
            // RFC 6750 section 2.1; the scheme's letter case does not matter (RFC 9110 section 11.1).
            if !scheme.eq_ignore_ascii_case(b"Bearer ") || token.is_empty() || found.is_some() {
                return None;
            }
            found = Some(token);
        }
    }
    found
}
