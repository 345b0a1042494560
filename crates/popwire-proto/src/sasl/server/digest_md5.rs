//! DIGEST-MD5 (RFC 2831), the server's half: initial authentication with `qop=auth`, and nothing else.

use super::{Directory, Refusal, ServerMechanism, Turn};
use crate::sasl::crypto::equal;
use crate::sasl::digest_md5::{Digest, Directives, NC, hashed, quote};
use crate::sasl::{Nonce, prep};

/// A response must be shorter than this (RFC 2831 section 2.1.2).
const RESPONSE_LIMIT: usize = 4096;

/// The server's half of DIGEST-MD5.
///
/// It has one realm, which is called as the host is. A client that takes it for another host is refused: somebody may
/// have passed on to it what was said here (RFC 2831 section 2.1.2, `digest-uri`).
#[derive(Debug)]
pub struct DigestMd5 {
    host: Vec<u8>,
    any_host: bool,
    nonce: Nonce,
    state: State,
}

/// What comes next.
#[derive(Debug)]
enum State {
    /// The challenge goes out.
    Begin,
    /// The client's response comes.
    Response,
    /// The client has our proof. This is then the end.
    Proved(Turn),
    /// Nothing.
    Over,
}

impl DigestMd5 {
    /// Asks for users of `host`, the name by which clients know this server. `nonce` is the server's.
    #[must_use]
    pub fn new(host: impl AsRef<[u8]>, nonce: Nonce) -> Self {
        Self { host: host.as_ref().to_vec(), any_host: false, nonce, state: State::Begin }
    }

    /// Lets clients take the server for any host: for one with many names. The realm stays the same.
    #[must_use]
    pub fn any_host(mut self) -> Self {
        self.any_host = true;
        self
    }

    fn challenge(&self) -> Vec<u8> {
        let mut challenge = Vec::new();
        quote(&mut challenge, "realm=", &self.host);
        quote(&mut challenge, ",nonce=", self.nonce.as_bytes());
        challenge.extend_from_slice(b",qop=\"auth\",algorithm=md5-sess,charset=utf-8");
        challenge
    }

    /// What is to be sent to the client, and the turn after that.
    fn verify(&self, response: &[u8], directory: &dyn Directory) -> Result<(Vec<u8>, Turn), Refusal> {
        let response = Response::parse(response).map_err(|_| Refusal::Malformed)?;
        let realm = response.realm.as_deref().unwrap_or_default();
        if response.nonce != self.nonce.as_bytes()
            || (response.realm.is_some() && realm != self.host)
            || !self.is_here(&response.uri)
        {
            return Err(Refusal::Credentials);
        }
        let username = if response.utf8 {
            response.username
        } else {
            // ISO 8859-1 is the beginning of Unicode.
            response.username.iter().copied().map(char::from).collect::<String>().into_bytes()
        };
        let user = prep::name(&username).map_err(|_| Refusal::Malformed)?;
        let known = directory.password(&user).and_then(|known| prep::password(&known).ok());
        let password = known.ok_or(Refusal::Credentials)?;
        let digest = Digest {
            username: &hashed(&username),
            realm,
            password: &hashed(password.expose()),
            nonce: &response.nonce,
            cnonce: &response.cnonce,
            authzid: &response.authzid,
            uri: &response.uri,
        };
        let (right, proof) = digest.compute();
        if !equal(right.expose(), &response.response) {
            return Err(Refusal::Credentials);
        }
        // Who may not act as he wants to learns it at once, and gets no proof.
        match super::act_as(&user, &response.authzid, directory) {
            Turn::Refuse(why) => Err(why),
            end => Ok(([b"rspauth=".as_slice(), proof.expose()].concat(), end)),
        }
    }

    /// Whether a `digest-uri` means this server. The name of a replicated service may follow; it is not looked at.
    fn is_here(&self, uri: &[u8]) -> bool {
        let mut parts = uri.splitn(3, |octet| *octet == b'/');
        let service = parts.next().is_some_and(|service| service.eq_ignore_ascii_case(b"pop"));
        let host = parts.next().is_some_and(|host| self.any_host || host.eq_ignore_ascii_case(&self.host));
        service && host
    }
}

impl ServerMechanism for DigestMd5 {
    fn speaks_first(&self) -> bool {
        true
    }

    fn respond(&mut self, response: Option<&[u8]>, directory: &dyn Directory) -> Turn {
        match (std::mem::replace(&mut self.state, State::Over), response) {
            (State::Begin, None) => {
                self.state = State::Response;
                Turn::Challenge(self.challenge())
            }
            (State::Response, Some(response)) => match self.verify(response, directory) {
                Ok((proof, end)) => {
                    self.state = State::Proved(end);
                    Turn::Challenge(proof)
                }
                Err(why) => Turn::Refuse(why),
            },
            (State::Proved(end), Some(b"")) => end,
            _ => Turn::Refuse(Refusal::Malformed),
        }
    }
}

/// What a client says (RFC 2831 section 2.1.2).
struct Response {
    utf8: bool,
    username: Vec<u8>,
    realm: Option<Vec<u8>>,
    nonce: Vec<u8>,
    cnonce: Vec<u8>,
    uri: Vec<u8>,
    response: Vec<u8>,
    authzid: Vec<u8>,
}

impl Response {
    fn parse(response: &[u8]) -> Result<Self, &'static str> {
        if response.len() >= RESPONSE_LIMIT {
            return Err("it is too long");
        }
        let directives = Directives::parse(response)?;
        let needed = |name| directives.once(name)?.map(<[u8]>::to_vec).ok_or("a directive is missing");
        if needed("nc")? != NC {
            return Err("its nonce count is not the first");
        }
        if !directives.once("qop")?.unwrap_or(b"auth").eq_ignore_ascii_case(b"auth") {
            return Err("it wants a security layer");
        }
        Ok(Self {
            utf8: directives.utf8()?,
            username: needed("username")?,
            realm: directives.once("realm")?.map(<[u8]>::to_vec),
            nonce: needed("nonce")?,
            cnonce: needed("cnonce")?,
            uri: needed("digest-uri")?,
            response: needed("response")?,
            authzid: directives.once("authzid")?.unwrap_or_default().to_vec(),
        })
    }
}
