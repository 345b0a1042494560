//! NTLM (MS-NLMP) as POP3 carries it (MS-POP3), the client's half. Only NTLMv2 is spoken: what came before it can be
//! broken within hours.

mod message;

use std::fmt;
use std::time::Duration;

use zeroize::Zeroize as _;

use super::{ClientMechanism, Error, Nonce, Start};
use crate::Secret;

pub(in crate::sasl) use message::{
    Authenticate, Challenge, Key, MIC_PRESENT, av, filetime, flag, mic, negotiate, nonce_of, parse_negotiate,
    utf16,
};

/// What this side asks for. Neither signing nor sealing, and no exchange of keys: TLS protects the session. Servers
/// expect `ALWAYS_SIGN` all the same; it only says that there is a session key, which the MIC is made with.
const ASKED: u32 =
    flag::UNICODE | flag::REQUEST_TARGET | flag::NTLM | flag::ALWAYS_SIGN | flag::EXTENDED_SESSION_SECURITY;

/// The client's half of NTLM. The password does not go over the line, but whoever listens can guess at it offline, and
/// the server does not prove who it is: TLS has to protect it all the same.
///
/// ```
/// use std::time::{SystemTime, UNIX_EPOCH};
///
/// use popwire_proto::sasl::{ClientMechanism as _, Nonce, Ntlm, Start};
///
/// let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
/// let mut ntlm = Ntlm::new(r"EXAMPLE\tim", "tanstaaftanstaaf", Nonce::random()?, now);
/// let Start::ClientFirst(negotiate) = ntlm.start()? else { panic!() };
/// assert!(negotiate.expose().starts_with(b"NTLMSSP\0\x01\0\0\0"));
/// // It has to wait for the server to ask: AUTH NTLM takes no initial response.
/// assert!(!ntlm.allows_initial_response());
/// # Ok::<(), popwire_proto::sasl::Error>(())
/// ```
pub struct Ntlm {
    user: Vec<u8>,
    password: Secret,
    nonce: Nonce,
    now: Duration,
    state: State,
}

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// The NEGOTIATE_MESSAGE is not made yet.
    New,
    /// The NEGOTIATE_MESSAGE is handed out; the server's CHALLENGE_MESSAGE comes.
    Challenge,
    /// The AUTHENTICATE_MESSAGE is handed out. There is no more.
    Authenticated,
    /// Nothing: something was wrong.
    Failed,
}

impl Ntlm {
    /// Logs `user` in. He may be named as `DOMAIN\user`, as `user@domain` or alone. `nonce` is the client's; `now` is the
    /// time since 1970 (UTC), which counts if the server does not tell its own.
    #[must_use]
    pub fn new(user: impl AsRef<[u8]>, password: impl Into<Secret>, nonce: Nonce, now: Duration) -> Self {
        Self { user: user.as_ref().to_vec(), password: password.into(), nonce, now, state: State::New }
    }

    /// The domain, which may be empty, and the user. A name with an @ stays whole: the server knows what is the domain in
    /// it (MS-NLMP section 3.3.2 takes both as they are given).
    fn names(&self) -> Result<(&str, &str), Error> {
        let name = std::str::from_utf8(&self.user).map_err(|_| Error::Unpreparable)?;
        let (domain, user) = name.split_once('\\').unwrap_or(("", name));
        if user.is_empty() {
            return Err(Error::EmptyName);
        }
        // The length of a field is said in 16 bits.
        let fits = |name: &str| name.encode_utf16().count() <= usize::from(u16::MAX / 2);
        if fits(domain) && fits(user) { Ok((domain, user)) } else { Err(Error::Unpreparable) }
    }

    /// MS-NLMP section 3.1.5.1.2, for NTLMv2 (section 3.3.2).
    fn authenticate(&self, challenge: &[u8]) -> Result<Secret, Error> {
        let (domain, user) = self.names()?;
        let key = Key::new(user, domain, &self.password).ok_or(Error::Unpreparable)?;
        let asked = Challenge::parse(challenge).map_err(Error::BadChallenge)?;
        if asked.flags & flag::UNICODE == 0 {
            return Err(Error::BadChallenge("it does not agree to Unicode"));
        }
        let nonce = nonce_of(&self.nonce);
        // A server that tells the time wants it back, and then it can also check a MIC over all three messages.
        let (time, list, with_mic) = match asked.timestamp().map_err(Error::BadChallenge)? {
            Some(time) => (time, asked.list_with_mic().map_err(Error::BadChallenge)?, true),
            None => (filetime(self.now), asked.list(), false),
        };
        let temp = message::temp(time, nonce, &list);
        let proof = key.nt_proof(asked.nonce, &temp);
        // The time comes from the server only if it does not want the older response (MS-NLMP section 3.1.5.1.2).
        let lm = if with_mic { [0; 24] } else { key.lm_response(asked.nonce, nonce) };
        let authenticate = Authenticate {
            flags: asked.flags & (ASKED | flag::TARGET_INFO),
            lm: &lm,
            nt: &[proof.as_slice(), &temp].concat(),
            domain: &utf16(domain),
            user: &utf16(user),
        };
        let too_long = Error::BadChallenge("its target information is too long");
        if !with_mic {
            return authenticate.encode(None).map(Secret::from).ok_or(too_long);
        }
        let session = key.session(&proof);
        let blank = authenticate.encode(Some([0; 16])).ok_or(too_long.clone())?;
        let mic = mic(&session, [&negotiate(ASKED), challenge, &blank]);
        authenticate.encode(Some(mic)).map(Secret::from).ok_or(too_long)
    }
}

impl ClientMechanism for Ntlm {
    fn name(&self) -> &str {
        "NTLM"
    }

    fn start(&mut self) -> Result<Start, Error> {
        // What cannot be used is found before anything is sent.
        self.names()?;
        if std::str::from_utf8(self.password.expose()).is_err() {
            return Err(Error::Unpreparable);
        }
        self.state = State::Challenge;
        Ok(Start::ClientFirst(negotiate(ASKED).into()))
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Secret, Error> {
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Challenge => {
                let response = self.authenticate(challenge)?;
                self.state = State::Authenticated;
                Ok(response)
            }
            State::New | State::Authenticated | State::Failed => Err(Error::UnexpectedChallenge),
        }
    }

    fn has_proved(&self) -> bool {
        self.state == State::Authenticated
    }

    fn is_done(&self) -> bool {
        self.state == State::Authenticated
    }

    /// The client speaks first, but only when it is asked: the command has no place for it (MS-POP3 section 2.2.1).
    fn allows_initial_response(&self) -> bool {
        false
    }

    /// The first challenge only says that NTLM is known here.
    fn ignores_challenge(&self) -> bool {
        self.state == State::New
    }

    /// Some servers say that they know NTLM with `+OK`. Who drives the exchange has to ask only until the first message
    /// has gone out: when that is, is not known here.
    fn takes_ok_for_challenge(&self) -> bool {
        matches!(self.state, State::New | State::Challenge)
    }
}

/// Without the password and what is made from it.
impl fmt::Debug for Ntlm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ntlm").field("nonce", &self.nonce).finish_non_exhaustive()
    }
}

/// Takes a digest off the stack.
fn seal(mut digest: [u8; 16]) -> Secret {
    let secret = Secret::from(digest.as_slice());
    digest.zeroize();
    secret
}
