//! NTLM (MS-NLMP) as POP3 carries it (MS-POP3), the server's half. It takes nothing older than NTLMv2.

use std::fmt;
use std::time::Duration;

use super::{Directory, Refusal, ServerMechanism, Turn};
use crate::Secret;
use crate::sasl::Nonce;
use crate::sasl::crypto::equal;
use crate::sasl::ntlm::{
    Authenticate, Challenge, Key, MIC_PRESENT, av, filetime, flag, mic, nonce_of, parse_negotiate, utf16,
};

/// What this side agrees to, besides the character set: no security layer.
const OFFERED: u32 = flag::REQUEST_TARGET
    | flag::NTLM
    | flag::ALWAYS_SIGN
    | flag::TARGET_TYPE_SERVER
    | flag::EXTENDED_SESSION_SECURITY
    | flag::TARGET_INFO;

/// The server's half of NTLM.
pub struct Ntlm {
    target: String,
    nonce: Nonce,
    now: Duration,
    state: State,
}

/// What comes next.
enum State {
    /// The client's NEGOTIATE_MESSAGE.
    Negotiate,
    /// The client's AUTHENTICATE_MESSAGE; the two before it are kept for the MIC.
    Authenticate { negotiate: Vec<u8>, challenge: Vec<u8> },
    /// Nothing.
    Over,
}

impl Ntlm {
    /// `target` is the name by which the server calls itself; what is no UTF-8 in it is replaced. `nonce` is the server's,
    /// `now` the time since 1970 (UTC).
    #[must_use]
    pub fn new(target: impl AsRef<[u8]>, nonce: Nonce, now: Duration) -> Self {
        Self {
            target: String::from_utf8_lossy(target.as_ref()).into_owned(),
            nonce,
            now,
            state: State::Negotiate,
        }
    }

    /// The CHALLENGE_MESSAGE; `None` if the client cannot be answered.
    fn challenge(&self, negotiate: &[u8]) -> Option<Vec<u8>> {
        let asked = parse_negotiate(negotiate)?;
        // Some clients, curl among them, know no Unicode: their names are ASCII here.
        let charset = match asked {
            _ if asked & flag::UNICODE != 0 => flag::UNICODE,
            _ if asked & flag::OEM != 0 => flag::OEM,
            _ => return None,
        };
        let target = utf16(&self.target);
        let name = if charset == flag::UNICODE { target.as_slice() } else { self.target.as_bytes() };
        let now = filetime(self.now).to_le_bytes();
        let pairs = vec![
            (av::NB_DOMAIN_NAME, target.as_slice()),
            (av::NB_COMPUTER_NAME, &target),
            (av::TIMESTAMP, &now),
        ];
        Challenge { flags: OFFERED | charset, nonce: nonce_of(&self.nonce), pairs }.encode(name)
    }

    fn verify(
        &self,
        negotiate: &[u8],
        challenge: &[u8],
        response: &[u8],
        directory: &dyn Directory,
    ) -> Result<Turn, Refusal> {
        let said = Authenticate::parse(response).ok_or(Refusal::Malformed)?;
        let asked = Challenge::parse(challenge).map_err(|_| Refusal::Malformed)?;
        // What both sides have agreed upon counts, and nothing else.
        if said.flags & asked.flags & (flag::UNICODE | flag::OEM) == 0 {
            return Err(Refusal::Malformed);
        }
        let text =
            |octets: &[u8]| if asked.flags & flag::UNICODE != 0 { unicode(octets) } else { ascii(octets) };
        let user = text(said.user).ok_or(Refusal::Malformed)?;
        let domain = text(said.domain).ok_or(Refusal::Malformed)?;
        // An older response is well-formed, but proves too little.
        let (proof, temp, pairs) = said.proof().ok_or(Refusal::Credentials)?;
        let (name, password) = look_up(&domain, &user, directory).ok_or(Refusal::Credentials)?;
        let key = Key::new(&user, &domain, &password).ok_or(Refusal::Credentials)?;
        let right = key.nt_proof(asked.nonce, temp);
        if !equal(&right, proof) {
            return Err(Refusal::Credentials);
        }
        // The client has to have heard what was said here, and not what somebody between us made of it.
        if !asked.pairs.iter().all(|pair| pairs.contains(pair)) {
            return Err(Refusal::Credentials);
        }
        let announced = pairs
            .iter()
            .filter(|(id, _)| *id == av::FLAGS)
            .filter_map(|(_, value)| <[u8; 4]>::try_from(*value).ok())
            .any(|value| u32::from_le_bytes(value) & MIC_PRESENT != 0);
        if announced {
            let (theirs, blank) = Authenticate::take_mic(response).ok_or(Refusal::Malformed)?;
            let ours = mic(&key.session(&right), [negotiate, challenge, &blank]);
            if !equal(&ours, &theirs) {
                return Err(Refusal::Credentials);
            }
        }
        // NTLM knows nobody as whom one could act.
        Ok(Turn::Accept(name))
    }
}

/// Whom the directory knows by this name: as it was sent, and then without the domain.
fn look_up(domain: &str, user: &str, directory: &dyn Directory) -> Option<(Vec<u8>, Secret)> {
    let whole = if domain.is_empty() { user.to_owned() } else { format!("{domain}\\{user}") };
    let alone = if domain.is_empty() { user.split('@').next().unwrap_or(user) } else { user };
    [whole.as_str(), alone]
        .into_iter()
        .filter(|name| !name.is_empty())
        .find_map(|name| Some((name.as_bytes().to_vec(), directory.password(name.as_bytes())?)))
}

fn ascii(octets: &[u8]) -> Option<String> {
    octets.is_ascii().then(|| String::from_utf8_lossy(octets).into_owned())
}

/// UTF-16, little-endian.
fn unicode(octets: &[u8]) -> Option<String> {
    let (units, odd) = octets.as_chunks::<2>();
    let units: Vec<u16> = units.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
    if odd.is_empty() { String::from_utf16(&units).ok() } else { None }
}

impl ServerMechanism for Ntlm {
    fn speaks_first(&self) -> bool {
        false
    }

    fn respond(&mut self, response: Option<&[u8]>, directory: &dyn Directory) -> Turn {
        match (std::mem::replace(&mut self.state, State::Over), response) {
            (State::Negotiate, Some(negotiate)) => match self.challenge(negotiate) {
                Some(challenge) => {
                    self.state =
                        State::Authenticate { negotiate: negotiate.to_vec(), challenge: challenge.clone() };
                    Turn::Challenge(challenge)
                }
                None => Turn::Refuse(Refusal::Malformed),
            },
            (State::Authenticate { negotiate, challenge }, Some(response)) => {
                self.verify(&negotiate, &challenge, response, directory).unwrap_or_else(Turn::Refuse)
            }
            _ => Turn::Refuse(Refusal::Malformed),
        }
    }
}

/// Without the messages, which are long.
impl fmt::Debug for Ntlm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ntlm")
            .field("target", &self.target)
            .field("nonce", &self.nonce)
            .finish_non_exhaustive()
    }
}
