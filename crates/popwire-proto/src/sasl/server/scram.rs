//! SCRAM (RFC 5802, RFC 7677), the server's half.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::gs2::{Flag, Gs2, unescape};
use super::{Directory, Refusal, ServerMechanism, Turn};
use crate::Secret;
use crate::sasl::crypto::equal;
use crate::sasl::{ChannelBinding, Hash, Nonce, prep};

/// Iterations that are asked for if nothing is said: the least that RFC 5802 section 5.1 wants.
pub(super) const ITERATIONS: u32 = 4096;

/// Octets in a salt.
const SALT: usize = 16;

/// The server's half of SCRAM.
///
/// Where the client's message is well-formed but cannot be agreed to, it is told why within the mechanism (`e=`,
/// RFC 5802 section 7), and refused when it has answered that. A wrong proof is refused at once.
///
/// ```
/// use popwire_proto::Secret;
/// use popwire_proto::sasl::server::{Scram, ServerMechanism as _, Turn};
/// use popwire_proto::sasl::{Hash, Nonce};
/// # use popwire_proto::sasl::server::Directory;
/// # struct Users;
/// # impl Directory for Users {
/// #     fn password(&self, user: &[u8]) -> Option<Secret> {
/// #         (user == b"user").then(|| "pencil".into())
/// #     }
/// #     fn user_of_token(&self, _: &[u8], _: &[u8]) -> Option<Vec<u8>> { None }
/// #     fn user_of_certificate(&self) -> Option<Vec<u8>> { None }
/// #     fn anonymous(&self) -> Option<Vec<u8>> { None }
/// # }
///
/// let nonce = Nonce::known("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
/// let mut scram = Scram::new(Hash::Sha256, nonce, Secret::from("the key of the salts"));
/// let Turn::Challenge(challenge) = scram.respond(Some(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"), &Users) else { panic!() };
/// assert!(challenge.starts_with(b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s="));
/// ```
#[derive(Debug)]
pub struct Scram {
    hash: Hash,
    nonce: Nonce,
    salts: Salts,
    iterations: u32,
    plus: bool,
    plus_offered: bool,
    bindings: Vec<ChannelBinding>,
    state: State,
}

/// Where salts come from.
#[derive(Debug)]
enum Salts {
    /// Made of the name: the same name has the same salt, whether there is such a user or not.
    Key(Secret),
    /// This one.
    Known(Vec<u8>),
}

/// What comes next.
enum State {
    /// The client's first message.
    First,
    /// The client's proof.
    Proof(Box<Agreed>),
    /// The client has our proof. This is then the end.
    Proved(Turn),
    /// The client was told what is wrong, and says that it has heard it.
    Told,
    /// Nothing.
    Over,
}

/// What was said before the proof.
struct Agreed {
    user: Vec<u8>,
    authzid: Vec<u8>,
    /// The client's first message, without the GS2 header.
    bare: Vec<u8>,
    /// Our answer to it.
    first: Vec<u8>,
    /// Both nonces.
    nonce: Vec<u8>,
    salt: Vec<u8>,
    /// What the client has to show that it is bound to: the GS2 header, and the data of the binding.
    bound: Secret,
}

/// Why it does not go on.
enum Stop {
    /// The client is told: a `server-error-value` of RFC 5802 section 7.
    Tell(&'static str),
    Refuse(Refusal),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refuse(refusal)
    }
}

impl Scram {
    /// Without channel binding. `nonce` is the server's. Salts are made of `key`, which should stay the same from one
    /// exchange to the next: a salt that changes tells that there is no such user.
    #[must_use]
    pub fn new(hash: Hash, nonce: Nonce, key: impl Into<Secret>) -> Self {
        Self {
            hash,
            nonce,
            salts: Salts::Key(key.into()),
            iterations: ITERATIONS,
            plus: false,
            plus_offered: false,
            bindings: Vec::new(),
            state: State::First,
        }
    }

    /// The -PLUS variant: the client has to bind to one of these.
    #[must_use]
    pub fn bound(mut self, bindings: Vec<ChannelBinding>) -> Self {
        self.plus = true;
        self.bindings = bindings;
        self
    }

    /// Whether a -PLUS variant is offered in this session. A client that could bind, and did not see that, is told
    /// (RFC 5802 section 6): somebody took the offer away.
    #[must_use]
    pub fn plus_offered(mut self, offered: bool) -> Self {
        self.plus_offered = offered;
        self
    }

    /// How many iterations are asked for; 0 counts as 1. Default 4096.
    #[must_use]
    pub fn iterations(mut self, iterations: u32) -> Self {
        self.iterations = iterations.max(1);
        self
    }

    /// A salt that is known beforehand, for every user: for test vectors, and for nothing else.
    #[must_use]
    pub fn known_salt(mut self, salt: impl Into<Vec<u8>>) -> Self {
        self.salts = Salts::Known(salt.into());
        self
    }

    /// The client's first message.
    fn agree(&self, message: &[u8]) -> Result<Agreed, Stop> {
        let gs2 = Gs2::parse(message).ok_or(Refusal::Malformed)?;
        let mut bound = gs2.header.to_vec();
        if let Some(binding) = self.binding(gs2.flag)? {
            bound.extend_from_slice(binding.data());
        }
        let mut attributes = gs2.rest.split(|octet| *octet == b',').map(attribute);
        let mut next = || match attributes.next() {
            Some(Some((b'm', _))) => Err(Stop::Tell("extensions-not-supported")),
            Some(Some(attribute)) => Ok(attribute),
            _ => Err(Refusal::Malformed.into()),
        };
        let ((b'n', name), (b'r', theirs)) = (next()?, next()?) else {
            return Err(Refusal::Malformed.into());
        };
        let name = unescape(name).and_then(|name| prep::name(&name).ok());
        let user = name.ok_or(Stop::Tell("invalid-username-encoding"))?;
        if !theirs.iter().all(u8::is_ascii_graphic) {
            return Err(Refusal::Malformed.into());
        }
        optional(attributes)?;
        let salt = match &self.salts {
            Salts::Known(salt) => salt.clone(),
            Salts::Key(key) => {
                let whole = self.hash.hmac(key.expose(), &[&user]);
                whole.expose().get(..SALT).unwrap_or(whole.expose()).to_vec()
            }
        };
        let nonce = [theirs, self.nonce.as_bytes()].concat();
        let encoded = STANDARD.encode(&salt);
        let iterations = self.iterations.to_string();
        let first: [&[u8]; 6] = [b"r=", &nonce, b",s=", encoded.as_bytes(), b",i=", iterations.as_bytes()];
        Ok(Agreed {
            user,
            authzid: gs2.authzid,
            bare: gs2.rest.to_vec(),
            first: first.concat(),
            nonce,
            salt,
            bound: bound.into(),
        })
    }

    /// What the client is to be bound to, if to anything (RFC 5802 section 6).
    fn binding(&self, flag: Flag<'_>) -> Result<Option<&ChannelBinding>, Stop> {
        match flag {
            Flag::Bound(_) if !self.plus => Err(Stop::Tell("channel-binding-not-supported")),
            Flag::Bound(kind) => self
                .bindings
                .iter()
                .find(|binding| binding.kind().name().as_bytes() == kind)
                .map(Some)
                .ok_or(Stop::Tell("unsupported-channel-binding-type")),
            // It chose the variant that binds, and does not.
            Flag::Unsupported | Flag::NotOffered if self.plus => Err(Refusal::Malformed.into()),
            Flag::NotOffered if self.plus_offered => Err(Stop::Tell("server-does-support-channel-binding")),
            Flag::Unsupported | Flag::NotOffered => Ok(None),
        }
    }

    /// The client's proof: ours, and the turn after that.
    fn verify(
        &self,
        agreed: &Agreed,
        message: &[u8],
        directory: &dyn Directory,
    ) -> Result<(Vec<u8>, Turn), Stop> {
        // Extensions stand before the proof.
        let comma = memchr::memrchr(b',', message).ok_or(Refusal::Malformed)?;
        let unproved = message.get(..comma).unwrap_or_default();
        let proof = match message.get(comma + 1..).and_then(attribute) {
            Some((b'p', proof)) => STANDARD.decode(proof).map_err(|_| Refusal::Malformed)?,
            _ => return Err(Refusal::Malformed.into()),
        };
        let mut attributes = unproved.split(|octet| *octet == b',').map(attribute);
        let mut next = || attributes.next().flatten().ok_or(Refusal::Malformed);
        let ((b'c', bound), (b'r', nonce)) = (next()?, next()?) else {
            return Err(Refusal::Malformed.into());
        };
        optional(attributes)?;
        let bound = Secret::from(STANDARD.decode(bound).map_err(|_| Refusal::Malformed)?);
        if !equal(bound.expose(), agreed.bound.expose()) {
            return Err(Stop::Tell("channel-bindings-dont-match"));
        }
        if !equal(nonce, &agreed.nonce) {
            return Err(Stop::Tell("other-error"));
        }

        let known = directory.password(&agreed.user).and_then(|known| prep::password(&known).ok());
        let exists = known.is_some();
        let hash = self.hash;
        // Computed for unknown users too, who would else be told by the time it takes.
        let salted = hash.salted_password(known.unwrap_or_default().expose(), &agreed.salt, self.iterations);
        let auth_message: [&[u8]; 5] = [&agreed.bare, b",", &agreed.first, b",", unproved];
        let stored_key = hash.digest(hash.hmac(salted.expose(), &[b"Client Key"]).expose());
        let client_signature = hash.hmac(&stored_key, &auth_message);
        let client_key: Vec<u8> = proof.iter().zip(client_signature.expose()).map(|(a, b)| a ^ b).collect();
        let client_key = Secret::from(client_key);
        let right = proof.len() == hash.length() && equal(&hash.digest(client_key.expose()), &stored_key);
        if !(right && exists) {
            return Err(Refusal::Credentials.into());
        }
        // Who may not act as he wants to learns it at once, and gets no proof.
        match super::act_as(&agreed.user, &agreed.authzid, directory) {
            Turn::Refuse(why) => Err(why.into()),
            end => {
                let server_key = hash.hmac(salted.expose(), &[b"Server Key"]);
                let signature = hash.hmac(server_key.expose(), &auth_message);
                Ok((format!("v={}", STANDARD.encode(signature.expose())).into_bytes(), end))
            }
        }
    }
}

impl ServerMechanism for Scram {
    fn speaks_first(&self) -> bool {
        false
    }

    fn respond(&mut self, response: Option<&[u8]>, directory: &dyn Directory) -> Turn {
        let next = match (std::mem::replace(&mut self.state, State::Over), response) {
            (State::First, Some(message)) => self.agree(message).map(|agreed| {
                let first = agreed.first.clone();
                (first, State::Proof(Box::new(agreed)))
            }),
            (State::Proof(agreed), Some(message)) => {
                self.verify(&agreed, message, directory).map(|(proof, end)| (proof, State::Proved(end)))
            }
            (State::Proved(end), Some(b"")) => return end,
            _ => Err(Refusal::Malformed.into()),
        };
        match next {
            Ok((challenge, state)) => {
                self.state = state;
                Turn::Challenge(challenge)
            }
            Err(Stop::Tell(word)) => {
                self.state = State::Told;
                Turn::Challenge(format!("e={word}").into_bytes())
            }
            Err(Stop::Refuse(why)) => Turn::Refuse(why),
        }
    }
}

/// Without what was computed.
impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "First",
            Self::Proof(_) => "Proof",
            Self::Proved(_) => "Proved",
            Self::Told => "Told",
            Self::Over => "Over",
        })
    }
}

/// A letter, `=`, and at least one character of UTF-8 without NUL (RFC 5802 section 7).
fn attribute(octets: &[u8]) -> Option<(u8, &[u8])> {
    match octets {
        [name, b'=', value @ ..]
            if name.is_ascii_alphabetic()
                && !value.is_empty()
                && !value.contains(&0)
                && std::str::from_utf8(value).is_ok() =>
        {
            Some((*name, value))
        }
        _ => None,
    }
}

/// Passes over extensions that may be ignored. One that must not be is `m` (RFC 5802 section 5.1).
fn optional<'a>(attributes: impl Iterator<Item = Option<(u8, &'a [u8])>>) -> Result<(), Stop> {
    for attribute in attributes {
        match attribute {
            Some((b'm', _)) => return Err(Stop::Tell("extensions-not-supported")),
            Some(_) => {}
            None => return Err(Refusal::Malformed.into()),
        }
    }
    Ok(())
}
