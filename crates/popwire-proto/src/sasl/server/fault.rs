//! Servers that are broken or mean harm, for tests of clients.

use memchr::memmem;

use super::gs2::{Gs2, unescape};
use super::{Directory, Refusal, ServerMechanism, Turn};

/// What a server does wrong in an exchange, to see what a client makes of it.
///
/// [`server::mechanism`](super::mechanism) builds those in that concern the mechanism itself. Those that concern lines
/// are for whoever writes the lines: each says so.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The server's proof is wrong: `v=` of SCRAM (RFC 5802 section 5), `rspauth=` of DIGEST-MD5 (RFC 2831
    /// section 2.1.3).
    ForgedProof,
    /// `+OK` comes where the server's proof belongs.
    MissingProof,
    /// The server's nonce does not begin with the client's (RFC 5802 section 5.1).
    ShortNonce,
    /// SCRAM asks for so many iterations. Nothing is computed with them, so the login fails in the end.
    Iterations(u32),
    /// SCRAM demands an extension that nobody knows: `m=` (RFC 5802 section 5.1).
    MandatoryExtension,
    /// `+OK` comes after the first message of SCRAM or DIGEST-MD5 that has the client's name in it, whatever else is in
    /// it.
    OkEarly,
    /// SCRAM says `e=` with this word in place of its proof (RFC 5802 section 7), and refuses then.
    ServerError(String),
    /// However the client answers, an empty challenge follows.
    Endless,
    /// Lines: each challenge is `+ go ahead`, which is not base64.
    NotBase64,
    /// Lines: an empty challenge is `+`, without the blank of RFC 5034 section 4.
    BareContinue,
    /// Lines: each challenge ends in a blank.
    TrailingBlank,
    /// Lines: `*` is answered `+OK`, and nobody is logged in (RFC 5034 section 4 wants `-ERR`).
    OkAfterCancel,
}

/// A mechanism with a fault. The messages of the mechanisms are told apart by how they begin.
pub(super) struct Faulty {
    pub(super) inner: Box<dyn ServerMechanism>,
    pub(super) fault: Fault,
    /// The server has said its last word; what is left to do is to refuse.
    pub(super) told: bool,
}

impl ServerMechanism for Faulty {
    fn speaks_first(&self) -> bool {
        self.inner.speaks_first()
    }

    fn respond(&mut self, response: Option<&[u8]>, directory: &dyn Directory) -> Turn {
        if self.told {
            return Turn::Refuse(Refusal::Malformed);
        }
        if self.fault == Fault::OkEarly
            && let Some(user) = response.and_then(claimed)
        {
            return Turn::Accept(user);
        }
        match self.inner.respond(response, directory) {
            Turn::Challenge(challenge) => self.spoil(challenge, directory),
            _ if self.fault == Fault::Endless => Turn::Challenge(Vec::new()),
            end => end,
        }
    }
}

impl Faulty {
    fn spoil(&mut self, mut challenge: Vec<u8>, directory: &dyn Directory) -> Turn {
        let first = challenge.starts_with(b"r=");
        let proof = challenge.starts_with(b"v=") || challenge.starts_with(b"rspauth=");
        match &self.fault {
            Fault::ForgedProof if proof => {
                // Still base64, or hexadecimal.
                if let Some(digit) =
                    challenge.split_mut(|octet| *octet == b'=').nth(1).and_then(<[u8]>::first_mut)
                {
                    *digit = if *digit == b'0' { b'1' } else { b'0' };
                }
            }
            Fault::MissingProof if proof => return self.inner.respond(Some(b""), directory),
            Fault::ServerError(word) if challenge.starts_with(b"v=") => {
                self.told = true;
                challenge = format!("e={word}").into_bytes();
            }
            Fault::ShortNonce if first => {
                challenge.remove(2);
            }
            Fault::MandatoryExtension if first => {
                challenge.splice(..0, *b"m=extension,");
            }
            Fault::Iterations(asked) if first => {
                // The count is the last attribute.
                let end = memchr::memrchr(b'=', &challenge).map_or(0, |equals| equals + 1);
                challenge.truncate(end);
                challenge.extend_from_slice(asked.to_string().as_bytes());
            }
            _ => {}
        }
        Turn::Challenge(challenge)
    }
}

/// Who the client says it is, in a first message of SCRAM, or in the response of DIGEST-MD5.
fn claimed(response: &[u8]) -> Option<Vec<u8>> {
    if let Some(gs2) = Gs2::parse(response) {
        return unescape(gs2.rest.strip_prefix(b"n=")?.split(|octet| *octet == b',').next()?);
    }
    let name = b"username=\"";
    let name = response.get(memmem::find(response, name)? + name.len()..)?;
    name.split(|octet| *octet == b'"').next().map(<[u8]>::to_vec)
}
