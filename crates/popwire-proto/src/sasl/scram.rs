//! SCRAM (RFC 5802, RFC 7677): both sides prove that they know the password, and neither sends it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use pbkdf2::pbkdf2_hmac;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};
use zeroize::Zeroizing;

use super::crypto::equal;
use super::{ChannelBinding, ClientMechanism, Error, Nonce, Start, prep};
use crate::{Secret, Text};

/// The hash function that gives the mechanism its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hash {
    /// SCRAM-SHA-1 (RFC 5802).
    Sha1,
    /// SCRAM-SHA-256 (RFC 7677).
    Sha256,
    /// SCRAM-SHA-512.
    Sha512,
}

/// What the client says of channel bindings (RFC 5802 section 6).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Binding {
    /// `n`: this side cannot bind.
    Unsupported,
    /// `y`: this side could, and the server does not offer it. A server that does offer it sees that somebody took the
    /// offer away, and refuses.
    NotOffered,
    /// `p`: bound to this TLS session. The mechanism's name then ends in `-PLUS`.
    Bound(ChannelBinding),
}

/// How many iterations a server may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Iterations {
    /// Fewer make it too easy to guess the password from what was sent. Default 4096 (RFC 5802 section 5.1).
    pub least: u32,
    /// More would only keep this side busy. Default 10,000,000: some seconds of work.
    pub most: u32,
}

impl Default for Iterations {
    fn default() -> Self {
        Self { least: 4096, most: 10_000_000 }
    }
}

/// The client's half of SCRAM.
///
/// ```
/// use popwire_proto::sasl::{Binding, ClientMechanism as _, Hash, Nonce, Scram};
///
/// // The example of RFC 7677 section 3
/// let nonce = Nonce::known("rOprNGfwEbeRWgbNEkqO");
/// let mut scram = Scram::new(Hash::Sha256, "user", "pencil", Binding::Unsupported, nonce);
/// scram.start()?;
/// let proof = scram.respond(
///     b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
/// )?;
/// assert!(proof.expose().ends_with(b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="));
/// assert!(!scram.is_done(), "the server has yet to prove itself");
/// scram.respond(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")?;
/// assert!(scram.is_done());
/// # Ok::<(), popwire_proto::sasl::Error>(())
/// ```
#[derive(Debug)]
pub struct Scram {
    hash: Hash,
    authzid: Vec<u8>,
    user: Vec<u8>,
    password: Secret,
    binding: Binding,
    iterations: Iterations,
    nonce: Nonce,
    stage: Stage,
    /// The proof was handed out, whatever came then.
    proved: bool,
}

enum Stage {
    /// Nothing was said yet.
    Start,
    /// The client's first message without its GS2 header was handed out.
    First(Vec<u8>),
    /// The proof was handed out; the server has to answer with this signature.
    Final(Secret),
    /// The server has proved itself.
    Done,
    /// An error came before.
    Failed,
}

impl Scram {
    /// Logs `user` in.
    #[must_use]
    pub fn new(
        hash: Hash,
        user: impl AsRef<[u8]>,
        password: impl Into<Secret>,
        binding: Binding,
        nonce: Nonce,
    ) -> Self {
        Self {
            hash,
            authzid: Vec::new(),
            user: user.as_ref().to_vec(),
            password: password.into(),
            binding,
            iterations: Iterations::default(),
            nonce,
            stage: Stage::Start,
            proved: false,
        }
    }

    /// Acts as somebody else (RFC 5802 section 5.1).
    #[must_use]
    pub fn acting_as(mut self, authzid: impl AsRef<[u8]>) -> Self {
        self.authzid = authzid.as_ref().to_vec();
        self
    }

    /// Other bounds for the iteration count.
    #[must_use]
    pub fn iterations(mut self, iterations: Iterations) -> Self {
        self.iterations = iterations;
        self
    }

    fn gs2_header(&self) -> Result<Vec<u8>, Error> {
        let mut header = match &self.binding {
            Binding::Unsupported => b"n,".to_vec(),
            Binding::NotOffered => b"y,".to_vec(),
            Binding::Bound(binding) => format!("p={},", binding.kind().name()).into_bytes(),
        };
        if !self.authzid.is_empty() {
            header.extend_from_slice(b"a=");
            header.extend_from_slice(&saslname(&prep::name(&self.authzid)?)?);
        }
        header.push(b',');
        Ok(header)
    }

    /// What it means that the server says that it does offer channel binding.
    fn downgraded(&self, error: Error) -> Error {
        let word = b"server-does-support-channel-binding";
        match (&error, &self.binding) {
            (Error::Server(said), Binding::NotOffered) if said.as_bytes() == word => Error::Downgrade,
            _ => error,
        }
    }

    /// The answer to the server's first message, and the signature that it has to give then.
    fn prove(&self, first_bare: &[u8], server_first: &[u8]) -> Result<(Secret, Secret), Error> {
        let ServerFirst { nonce, salt, iterations } = ServerFirst::parse(server_first)?;
        let ours = self.nonce.as_bytes();
        // The server has to add something of its own, or it could replay an old answer.
        if !nonce.starts_with(ours) || nonce.len() == ours.len() {
            return Err(Error::WrongNonce);
        }
        let Iterations { least, most } = self.iterations;
        let rounds = u32::try_from(iterations)
            .ok()
            .filter(|rounds| (least.max(1)..=most).contains(rounds))
            .ok_or(Error::Iterations { asked: iterations, allowed: (least, most) })?;

        let mut bound = self.gs2_header()?;
        if let Binding::Bound(binding) = &self.binding {
            bound.extend_from_slice(binding.data());
        }
        let mut message = b"c=".to_vec();
        message.extend_from_slice(STANDARD.encode(bound).as_bytes());
        message.extend_from_slice(b",r=");
        message.extend_from_slice(nonce);

        let hash = self.hash;
        let password = prep::password(&self.password)?;
        let salted = hash.salted_password(password.expose(), &salt, rounds);
        let auth_message: [&[u8]; 5] = [first_bare, b",", server_first, b",", &message];
        let client_key = hash.hmac(salted.expose(), &[b"Client Key"]);
        let stored_key = Secret::from(hash.digest(client_key.expose()));
        let client_signature = hash.hmac(stored_key.expose(), &auth_message);
        let proof: Secret = client_key
            .expose()
            .iter()
            .zip(client_signature.expose())
            .map(|(a, b)| a ^ b)
            .collect::<Vec<_>>()
            .into();
        let server_key = hash.hmac(salted.expose(), &[b"Server Key"]);
        let server_signature = hash.hmac(server_key.expose(), &auth_message);

        message.extend_from_slice(b",p=");
        message.extend_from_slice(Zeroizing::new(STANDARD.encode(proof.expose())).as_bytes());
        Ok((message.into(), server_signature))
    }
}

impl ClientMechanism for Scram {
    fn name(&self) -> &str {
        match (&self.binding, self.hash) {
            (Binding::Bound(_), Hash::Sha1) => "SCRAM-SHA-1-PLUS",
            (Binding::Bound(_), Hash::Sha256) => "SCRAM-SHA-256-PLUS",
            (Binding::Bound(_), Hash::Sha512) => "SCRAM-SHA-512-PLUS",
            (_, hash) => hash.name(),
        }
    }

    fn start(&mut self) -> Result<Start, Error> {
        // A password that cannot be sent is found before anything is.
        prep::password(&self.password)?;
        let mut bare = b"n=".to_vec();
        bare.extend_from_slice(&saslname(&prep::name(&self.user)?)?);
        bare.extend_from_slice(b",r=");
        bare.extend_from_slice(self.nonce.as_bytes());
        let mut message = self.gs2_header()?;
        message.extend_from_slice(&bare);
        self.stage = Stage::First(bare);
        Ok(Start::ClientFirst(message.into()))
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Secret, Error> {
        match std::mem::replace(&mut self.stage, Stage::Failed) {
            Stage::First(bare) => {
                let (response, signature) = self.prove(&bare, challenge).map_err(|e| self.downgraded(e))?;
                self.stage = Stage::Final(signature);
                self.proved = true;
                Ok(response)
            }
            Stage::Final(signature) => {
                verify(challenge, &signature)?;
                self.stage = Stage::Done;
                Ok(Secret::default())
            }
            Stage::Start | Stage::Done | Stage::Failed => Err(Error::UnexpectedChallenge),
        }
    }

    fn has_proved(&self) -> bool {
        self.proved
    }

    fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }

    fn may_block(&self) -> bool {
        // A million iterations take a good part of a second.
        matches!(self.stage, Stage::First(_))
    }
}

/// Without what was computed.
impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "Start",
            Self::First(_) => "First",
            Self::Final(_) => "Final",
            Self::Done => "Done",
            Self::Failed => "Failed",
        })
    }
}

/// The server's first message: nonce, salt, iteration count (RFC 5802 section 7).
struct ServerFirst<'a> {
    nonce: &'a [u8],
    salt: Vec<u8>,
    iterations: u64,
}

impl<'a> ServerFirst<'a> {
    fn parse(message: &'a [u8]) -> Result<Self, Error> {
        let mut attributes = message.split(|octet| *octet == b',').map(attribute);
        let mut next = |name, what| match attributes.next() {
            Some(Some((b'm', _))) => Err(Error::MandatoryExtension),
            Some(Some((b'e', words))) => Err(Error::Server(Text::sample(words))),
            Some(Some((found, value))) if found == name => Ok(value),
            _ => Err(Error::BadChallenge(what)),
        };
        let nonce = next(b'r', "there is no nonce where it should be")?;
        let salt = next(b's', "there is no salt where it should be")?;
        let iterations = next(b'i', "there is no iteration count where it should be")?;
        let salt = STANDARD.decode(salt).map_err(|_| Error::BadChallenge("the salt is not base64"))?;
        if salt.is_empty() {
            return Err(Error::BadChallenge("the salt is empty"));
        }
        // Optional extensions may follow; a mandatory one would be `m` at the beginning, but who puts it here means it.
        if attributes.any(|attribute| matches!(attribute, Some((b'm', _)))) {
            return Err(Error::MandatoryExtension);
        }
        let iterations = match iterations {
            [b'1'..=b'9', rest @ ..] if rest.iter().all(u8::is_ascii_digit) => {
                // More digits than fit are more iterations than are allowed.
                std::str::from_utf8(iterations)
                    .ok()
                    .and_then(|digits| digits.parse().ok())
                    .unwrap_or(u64::MAX)
            }
            b"0" => 0,
            _ => return Err(Error::BadChallenge("the iteration count is no number")),
        };
        Ok(Self { nonce, salt, iterations })
    }
}

/// The server's last message: its signature, or its word for the failure.
fn verify(message: &[u8], signature: &Secret) -> Result<(), Error> {
    let first = message.split(|octet| *octet == b',').next().and_then(attribute);
    match first {
        Some((b'v', value)) => {
            let given = STANDARD.decode(value).map_err(|_| Error::WrongServerProof)?;
            if !given.is_empty() && equal(&given, signature.expose()) {
                Ok(())
            } else {
                Err(Error::WrongServerProof)
            }
        }
        Some((b'e', words)) => Err(Error::Server(Text::sample(words))),
        // Not even an attempt at a proof.
        _ => Err(Error::WrongServerProof),
    }
}

fn attribute(octets: &[u8]) -> Option<(u8, &[u8])> {
    match octets {
        [name, b'=', value @ ..] if name.is_ascii_alphabetic() => Some((*name, value)),
        _ => None,
    }
}

/// `,` and `=` written so that they end nothing (RFC 5802 section 5.1).
pub(super) fn saslname(name: &[u8]) -> Result<Vec<u8>, Error> {
    if name.contains(&0) {
        return Err(Error::ForbiddenCharacter);
    }
    let mut escaped = Vec::with_capacity(name.len());
    for &octet in name {
        match octet {
            b',' => escaped.extend_from_slice(b"=2C"),
            b'=' => escaped.extend_from_slice(b"=3D"),
            other => escaped.push(other),
        }
    }
    Ok(escaped)
}

impl Hash {
    /// The mechanism's name, without channel binding.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "SCRAM-SHA-1",
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    /// How many octets the hash has.
    pub(super) fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    pub(super) fn digest(self, octets: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(octets).to_vec(),
            Self::Sha256 => Sha256::digest(octets).to_vec(),
            Self::Sha512 => Sha512::digest(octets).to_vec(),
        }
    }

    /// HMAC (RFC 2104) of the parts, one after the other.
    pub(super) fn hmac(self, key: &[u8], parts: &[&[u8]]) -> Secret {
        match self {
            Self::Sha1 => hmac_of::<Hmac<Sha1>>(key, parts),
            Self::Sha256 => hmac_of::<Hmac<Sha256>>(key, parts),
            Self::Sha512 => hmac_of::<Hmac<Sha512>>(key, parts),
        }
    }

    /// `Hi` of RFC 5802: PBKDF2 with one block of output.
    pub(super) fn salted_password(self, password: &[u8], salt: &[u8], iterations: u32) -> Secret {
        let mut salted = vec![0; self.length()];
        match self {
            Self::Sha1 => pbkdf2_hmac::<Sha1>(password, salt, iterations, &mut salted),
            Self::Sha256 => pbkdf2_hmac::<Sha256>(password, salt, iterations, &mut salted),
            Self::Sha512 => pbkdf2_hmac::<Sha512>(password, salt, iterations, &mut salted),
        }
        salted.into()
    }
}

fn hmac_of<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Secret {
    // A key of any length is fine: HMAC hashes long ones.
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else { return Secret::default() };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec().into()
}
