//! CRAM-MD5 (RFC 2195), the server's half.

use std::time::Duration;

use super::{Directory, Refusal, ServerMechanism, Turn};
use crate::Secret;
use crate::sasl::crypto::{equal, hex, hmac_md5};
use crate::sasl::{Nonce, prep};

/// The server's half of CRAM-MD5.
#[derive(Debug)]
pub struct CramMd5 {
    challenge: Vec<u8>,
    state: State,
}

/// What comes next.
#[derive(Debug)]
enum State {
    /// The challenge goes out.
    Begin,
    /// The name and the digest come.
    Response,
    /// Nothing.
    Over,
}

impl CramMd5 {
    /// The challenge is a message-id (RFC 2195 section 2) of the nonce, of `now`, the time since 1970 (UTC), and of
    /// `host`, the server's name.
    #[must_use]
    pub fn new(host: impl AsRef<[u8]>, nonce: &Nonce, now: Duration) -> Self {
        let time = now.as_secs().to_string();
        let parts: [&[u8]; 7] = [b"<", nonce.as_bytes(), b".", time.as_bytes(), b"@", host.as_ref(), b">"];
        Self { challenge: parts.concat(), state: State::Begin }
    }

    fn verify(&self, response: &[u8], directory: &dyn Directory) -> Result<Turn, Refusal> {
        // The digest has no space, names may have.
        let space = memchr::memrchr(b' ', response).ok_or(Refusal::Malformed)?;
        let name = response.get(..space).unwrap_or_default();
        let digest = response.get(space + 1..).unwrap_or_default();
        let user = prep::name(name).map_err(|_| Refusal::Malformed)?;
        if digest.len() != 32 {
            return Err(Refusal::Malformed);
        }
        let known = directory.password(&user);
        let exists = known.is_some();
        // Computed for unknown users too, who would else be told by the time it takes. RFC 2195 prepares no passwords.
        let right = Secret::from(hex(&hmac_md5(known.unwrap_or_default().expose(), &[&self.challenge])));
        if equal(right.expose(), &digest.to_ascii_lowercase()) && exists {
            Ok(Turn::Accept(user))
        } else {
            Err(Refusal::Credentials)
        }
    }
}

impl ServerMechanism for CramMd5 {
    fn speaks_first(&self) -> bool {
        true
    }

    fn respond(&mut self, response: Option<&[u8]>, directory: &dyn Directory) -> Turn {
        match (std::mem::replace(&mut self.state, State::Over), response) {
            (State::Begin, None) => {
                self.state = State::Response;
                Turn::Challenge(self.challenge.clone())
            }
            (State::Response, Some(response)) => {
                self.verify(response, directory).unwrap_or_else(Turn::Refuse)
            }
            _ => Turn::Refuse(Refusal::Malformed),
        }
    }
}
