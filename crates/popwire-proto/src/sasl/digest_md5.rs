//! DIGEST-MD5 (RFC 2831), the client's half, and what both halves share: directives and digests.
//!
//! RFC 6331 calls the mechanism historic: it is here for servers that have nothing better. Only initial authentication
//! with `qop=auth` is done; a server that wants a security layer gets none.

use std::fmt;

use md5::{Digest as _, Md5};
use zeroize::Zeroize as _;

use super::crypto::{equal, hex};
use super::{ClientMechanism, Error, Nonce, Start, prep};
use crate::Secret;

/// A challenge must be shorter than this (RFC 2831 sections 2.1.1 and 2.1.3).
const CHALLENGE_LIMIT: usize = 2048;

/// The one nonce count there is without subsequent authentication (RFC 2831 section 2.2).
pub(in crate::sasl) const NC: &[u8] = b"00000001";

/// The client's half of DIGEST-MD5. The password does not go over the line, and the server proves that it knows it, but
/// whoever listens can guess at it offline: TLS has to protect it all the same.
///
/// ```
/// use popwire_proto::sasl::{ClientMechanism as _, DigestMd5, Nonce, Start};
///
/// let mut digest = DigestMd5::new("chris", "secret", "elwood.innosoft.com", Nonce::random()?);
/// assert!(matches!(digest.start()?, Start::ServerFirst));
///
/// let challenge = br#"realm="elwood.innosoft.com",nonce="OA6MG9tEQGm2hh",qop="auth",algorithm=md5-sess"#;
/// let response = digest.respond(challenge)?;
/// assert!(response.expose().starts_with(br#"username="chris",realm="elwood.innosoft.com","#));
/// // The server has yet to prove that it knows the password.
/// assert!(!digest.is_done());
/// # Ok::<(), popwire_proto::sasl::Error>(())
/// ```
pub struct DigestMd5 {
    authzid: Vec<u8>,
    user: Vec<u8>,
    password: Secret,
    service: Vec<u8>,
    host: Vec<u8>,
    nonce: Nonce,
    state: State,
}

/// What comes next.
enum State {
    /// The server's challenge.
    Challenge,
    /// The server's proof, which has to be this.
    Proof(Secret),
    /// `+OK`: the server has proved itself.
    Proved,
    /// Nothing: something was wrong.
    Failed,
}

impl DigestMd5 {
    /// Logs `user` in at `host`: the name by which the server was looked for, without a port. `nonce` is the client's.
    #[must_use]
    pub fn new(
        user: impl AsRef<[u8]>,
        password: impl Into<Secret>,
        host: impl AsRef<[u8]>,
        nonce: Nonce,
    ) -> Self {
        Self {
            authzid: Vec::new(),
            user: user.as_ref().to_vec(),
            password: password.into(),
            service: b"pop".to_vec(),
            host: host.as_ref().to_vec(),
            nonce,
            state: State::Challenge,
        }
    }

    /// Acts as somebody else (RFC 2831 section 2.1.2, `authzid`).
    #[must_use]
    pub fn acting_as(mut self, authzid: impl AsRef<[u8]>) -> Self {
        self.authzid = authzid.as_ref().to_vec();
        self
    }

    /// Another service than `pop` in the `digest-uri` (RFC 2831 section 2.1.2, `serv-type`). POP3 servers want `pop`; the
    /// example of the RFC is of another protocol.
    #[must_use]
    pub fn service(mut self, service: impl AsRef<[u8]>) -> Self {
        self.service = service.as_ref().to_vec();
        self
    }

    /// The answer to the challenge, and the proof that the server then has to give.
    fn answer(&self, challenge: &[u8]) -> Result<(Secret, Secret), Error> {
        let offer = Offer::parse(challenge).map_err(Error::BadChallenge)?;
        let user = prep::name(&self.user)?;
        let password = prep::password(&self.password)?;
        let authzid = prep::authzid(&self.authzid)?;
        let uri = [self.service.as_slice(), b"/", &self.host].concat();
        // Without the charset directive everything is ISO 8859-1, so what has no place there cannot be said at all.
        let username = match (offer.utf8, latin1(&user)) {
            (true, _) => user.clone(),
            (false, Some(same)) => same.expose().to_vec(),
            (false, None) => return Err(Error::Unpreparable),
        };
        if !offer.utf8
            && std::str::from_utf8(password.expose()).is_ok()
            && latin1(password.expose()).is_none()
        {
            return Err(Error::Unpreparable);
        }
        let digest = Digest {
            username: &hashed(&user),
            realm: offer.realm.as_deref().unwrap_or_default(),
            password: &hashed(password.expose()),
            nonce: &offer.nonce,
            cnonce: self.nonce.as_bytes(),
            authzid: &authzid,
            uri: &uri,
        };
        let (response, proof) = digest.compute();

        let mut message = Vec::new();
        if offer.utf8 {
            message.extend_from_slice(b"charset=utf-8,");
        }
        quote(&mut message, "username=", &username);
        if let Some(realm) = &offer.realm {
            quote(&mut message, ",realm=", realm);
        }
        quote(&mut message, ",nonce=", &offer.nonce);
        message.extend_from_slice(b",nc=");
        message.extend_from_slice(NC);
        quote(&mut message, ",cnonce=", self.nonce.as_bytes());
        quote(&mut message, ",digest-uri=", &uri);
        message.extend_from_slice(b",response=");
        message.extend_from_slice(response.expose());
        message.extend_from_slice(b",qop=auth");
        if !authzid.is_empty() {
            quote(&mut message, ",authzid=", &authzid);
        }
        Ok((message.into(), proof))
    }
}

impl ClientMechanism for DigestMd5 {
    fn name(&self) -> &str {
        "DIGEST-MD5"
    }

    fn start(&mut self) -> Result<Start, Error> {
        // What can be known to be unusable is found before anything is sent.
        prep::name(&self.user)?;
        prep::password(&self.password)?;
        prep::authzid(&self.authzid)?;
        Ok(Start::ServerFirst)
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Secret, Error> {
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Challenge => {
                let (response, proof) = self.answer(challenge)?;
                self.state = State::Proof(proof);
                Ok(response)
            }
            State::Proof(proof) => {
                let said = parse_proof(challenge).map_err(Error::BadChallenge)?;
                if !equal(proof.expose(), &said) {
                    return Err(Error::WrongServerProof);
                }
                self.state = State::Proved;
                Ok(Secret::default())
            }
            State::Proved | State::Failed => Err(Error::UnexpectedChallenge),
        }
    }

    fn has_proved(&self) -> bool {
        matches!(self.state, State::Proof(_) | State::Proved)
    }

    fn is_done(&self) -> bool {
        matches!(self.state, State::Proved)
    }
}

/// Without the password and what is made from it.
impl fmt::Debug for DigestMd5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DigestMd5").field("nonce", &self.nonce).finish_non_exhaustive()
    }
}

/// What a challenge offers (RFC 2831 section 2.1.1).
struct Offer {
    /// The first realm, if there is any.
    realm: Option<Vec<u8>>,
    nonce: Vec<u8>,
    /// Whether names and passwords are UTF-8 on the line, and not ISO 8859-1.
    utf8: bool,
}

impl Offer {
    fn parse(challenge: &[u8]) -> Result<Self, &'static str> {
        if challenge.len() >= CHALLENGE_LIMIT {
            return Err("it is too long");
        }
        let directives = Directives::parse(challenge)?;
        let nonce = directives.once("nonce")?.ok_or("it has no nonce")?.to_vec();
        if !directives.once("algorithm")?.is_some_and(|value| value.eq_ignore_ascii_case(b"md5-sess")) {
            return Err("its algorithm is not md5-sess");
        }
        // Without the directive it is auth; what is not known in the list is passed over.
        let mut qop = directives.once("qop")?.unwrap_or(b"auth").split(|octet| *octet == b',');
        if !qop.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"auth")) {
            return Err("it offers no authentication without a security layer");
        }
        let utf8 = directives.utf8()?;
        // They say nothing to a client that begins and wants no layer, but twice they make the challenge a faulty one.
        directives.once("stale")?;
        directives.once("maxbuf")?;
        Ok(Self { realm: directives.all("realm").next().map(<[u8]>::to_vec), nonce, utf8 })
    }
}

/// The value of `rspauth` (RFC 2831 section 2.1.3).
fn parse_proof(challenge: &[u8]) -> Result<Vec<u8>, &'static str> {
    if challenge.len() >= CHALLENGE_LIMIT {
        return Err("it is too long");
    }
    Directives::parse(challenge)?.once("rspauth")?.map(<[u8]>::to_vec).ok_or("it has no rspauth")
}

/// `name=value`, comma, `name=value`: a message of either side, taken apart (RFC 2831 section 7.1).
pub(in crate::sasl) struct Directives<'a>(Vec<(&'a [u8], Vec<u8>)>);

impl<'a> Directives<'a> {
    /// Takes a message apart: quotes are taken off. White space and elements with nothing in them are allowed wherever the
    /// RFC allows them.
    pub(in crate::sasl) fn parse(mut octets: &'a [u8]) -> Result<Self, &'static str> {
        let mut directives = Vec::new();
        loop {
            octets = skip_space(octets);
            match octets.split_first() {
                None => return Ok(Self(directives)),
                Some((b',', rest)) => octets = rest,
                Some(_) => {
                    let (name, rest) = token(octets).ok_or("a directive has no name")?;
                    let rest = skip_space(rest).strip_prefix(b"=").ok_or("a directive has no value")?;
                    let rest = skip_space(rest);
                    let (value, rest) = match rest.strip_prefix(b"\"") {
                        Some(quoted) => unquote(quoted).ok_or("a quoted value does not end")?,
                        None => token(rest)
                            .map(|(v, rest)| (v.to_vec(), rest))
                            .ok_or("a directive has no value")?,
                    };
                    directives.push((name, value));
                    octets = skip_space(rest);
                    if !octets.is_empty() && !octets.starts_with(b",") {
                        return Err("directives are not parted by commas");
                    }
                }
            }
        }
    }

    /// All the values of this directive.
    pub(in crate::sasl) fn all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.0
            .iter()
            .filter(move |(other, _)| other.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value.as_slice())
    }

    /// The value of a directive that may be there at most once.
    pub(in crate::sasl) fn once(&self, name: &str) -> Result<Option<&[u8]>, &'static str> {
        let mut all = self.all(name);
        match (all.next(), all.next()) {
            (_, Some(_)) => Err("a directive comes twice that may come but once"),
            (value, None) => Ok(value),
        }
    }

    /// Whether the charset is UTF-8. There is no other to choose.
    pub(in crate::sasl) fn utf8(&self) -> Result<bool, &'static str> {
        match self.once("charset")? {
            None => Ok(false),
            Some(charset) if charset.eq_ignore_ascii_case(b"utf-8") => Ok(true),
            Some(_) => Err("its charset is not known"),
        }
    }
}

/// Linear white space may stand between any two words.
fn skip_space(octets: &[u8]) -> &[u8] {
    let space = octets.iter().take_while(|octet| matches!(octet, b' ' | b'\t' | b'\r' | b'\n')).count();
    octets.get(space..).unwrap_or_default()
}

/// A token, which is not empty, and the rest.
fn token(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let in_token = |octet: &u8| octet.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(octet);
    let (token, rest) = octets.split_at_checked(octets.iter().take_while(|octet| in_token(octet)).count())?;
    if token.is_empty() { None } else { Some((token, rest)) }
}

/// What stands before the closing quote, without backslashes, and the rest after it. Controls that are no white space have
/// no place in it.
fn unquote(mut octets: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut value = Vec::new();
    loop {
        let (first, rest) = octets.split_first()?;
        octets = rest;
        match first {
            b'"' => return Some((value, octets)),
            b'\\' => {
                let (escaped, rest) = octets.split_first()?;
                octets = rest;
                value.push(*escaped);
            }
            octet if octet.is_ascii_control() && !matches!(octet, b'\t' | b'\r' | b'\n') => return None,
            octet => value.push(*octet),
        }
    }
}

/// Writes a directive with its value in quotes. `name` has the `=` with it, and the comma before it if there is one.
pub(in crate::sasl) fn quote(message: &mut Vec<u8>, name: &str, value: &[u8]) {
    message.extend_from_slice(name.as_bytes());
    message.push(b'"');
    for octet in value {
        if matches!(octet, b'"' | b'\\') {
            message.push(b'\\');
        }
        message.push(*octet);
    }
    message.push(b'"');
}

/// UTF-8 turned into ISO 8859-1, if it is UTF-8 and all of it has a place there.
fn latin1(octets: &[u8]) -> Option<Secret> {
    // Room for all of it at once: growing would leave a copy of a password behind.
    let mut narrow = Vec::with_capacity(octets.len());
    for character in std::str::from_utf8(octets).ok()?.chars() {
        match u8::try_from(character) {
            Ok(octet) => narrow.push(octet),
            Err(_) => {
                narrow.zeroize();
                return None;
            }
        }
    }
    Some(narrow.into())
}

/// A name or password as it goes into the hash: in ISO 8859-1 if that can be, whatever it is on the line, so that one
/// stored hash serves for both (RFC 2831 section 2.1.2.1).
pub(in crate::sasl) fn hashed(octets: &[u8]) -> Secret {
    latin1(octets).unwrap_or_else(|| octets.into())
}

/// Everything that goes into `response` and `rspauth`.
pub(in crate::sasl) struct Digest<'a> {
    /// As [`hashed`] makes it.
    pub(in crate::sasl) username: &'a Secret,
    /// Empty if no realm was chosen.
    pub(in crate::sasl) realm: &'a [u8],
    /// As [`hashed`] makes it.
    pub(in crate::sasl) password: &'a Secret,
    pub(in crate::sasl) nonce: &'a [u8],
    pub(in crate::sasl) cnonce: &'a [u8],
    /// Empty if there is none.
    pub(in crate::sasl) authzid: &'a [u8],
    pub(in crate::sasl) uri: &'a [u8],
}

impl Digest<'_> {
    /// The client's proof and the server's, in hexadecimal (RFC 2831 sections 2.1.2.1 and 2.1.3).
    pub(in crate::sasl) fn compute(&self) -> (Secret, Secret) {
        let shared = md5(&[self.username.expose(), b":", self.realm, b":", self.password.expose()]);
        let mut a1 = vec![shared.expose(), b":", self.nonce, b":", self.cnonce];
        if !self.authzid.is_empty() {
            a1.extend([b":".as_slice(), self.authzid]);
        }
        let key = in_hex(&md5(&a1));
        (self.proof(&key, b"AUTHENTICATE:"), self.proof(&key, b":"))
    }

    fn proof(&self, key: &Secret, direction: &[u8]) -> Secret {
        let a2 = in_hex(&md5(&[direction, self.uri]));
        in_hex(&md5(&[key.expose(), b":", self.nonce, b":", NC, b":", self.cnonce, b":auth:", a2.expose()]))
    }
}

/// MD5 of the parts, one after the other.
fn md5(parts: &[&[u8]]) -> Secret {
    let mut hash = Md5::new();
    parts.iter().for_each(|part| hash.update(part));
    Secret::from(hash.finalize().as_slice())
}

fn in_hex(octets: &Secret) -> Secret {
    hex(octets.expose()).into()
}
