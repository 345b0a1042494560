//! OAUTHBEARER (RFC 7628) and XOAUTH2: a token in place of a password.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;
use serde_json::Value;
use zeroize::Zeroizing;

use super::scram::saslname;
use super::{ClientMechanism, Error, Start, prep};
use crate::reply::WITHHELD;
use crate::{Secret, Text};

/// What a server says about a token that it does not take (RFC 7628 section 3.2.2; Google's XOAUTH2 has the same form).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OAuthFailure {
    /// The `status`: a word such as `invalid_token` or `insufficient_scope`, or an HTTP status such as `401`.
    pub status: Option<String>,
    /// The `scope` that a token needs.
    pub scope: Option<String>,
    /// Where the `openid-configuration` of the issuer is.
    pub openid_configuration: Option<String>,
    /// All that the server said, JSON or not.
    pub text: Text,
}

impl OAuthFailure {
    /// Reads the challenge with which a server refuses a token, which it had in this message.
    fn read(challenge: &[u8], token: &Secret, message: &Secret) -> Self {
        let json: Value = serde_json::from_slice(challenge).unwrap_or_default();
        let field = |name: &str| match json.get(name) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let failure = Self {
            status: field("status"),
            scope: field("scope"),
            openid_configuration: field("openid-configuration"),
            text: Text::sample(challenge),
        };
        // Nobody should repeat a token, nor the message that it stood in. Who does, in whatever coat, is not quoted.
        let unescaped = Zeroizing::new(json.to_string());
        let coats = [
            Zeroizing::new(STANDARD.encode(token.expose())),
            Zeroizing::new(STANDARD.encode(message.expose())),
        ];
        let repeats = |text: &[u8]| {
            let holds = |part: &[u8]| memmem::find(text, part).is_some();
            holds(token.expose()) || coats.iter().any(|coat| holds(coat.trim_end_matches('=').as_bytes()))
        };
        if repeats(challenge) || repeats(unescaped.as_bytes()) {
            return Self { text: Text::from(WITHHELD), ..Self::default() };
        }
        failure
    }
}

/// Where either mechanism stands.
#[derive(Debug, Default)]
enum Stage {
    #[default]
    Start,
    /// This message was handed out.
    Sent(Secret),
    /// The server refused, said why, and waits for an answer before it says `-ERR`.
    Refused(OAuthFailure),
}

impl Stage {
    /// The server's word on the token, answered by the mechanism's own empty message.
    fn refused(&mut self, challenge: &[u8], token: &Secret, answer: &[u8]) -> Result<Secret, Error> {
        let Self::Sent(message) = self else { return Err(Error::UnexpectedChallenge) };
        *self = Self::Refused(OAuthFailure::read(challenge, token, message));
        Ok(answer.into())
    }

    fn failure(&self) -> Option<&OAuthFailure> {
        match self {
            Self::Refused(failure) => Some(failure),
            _ => None,
        }
    }
}

/// The client's half of OAUTHBEARER (RFC 7628). The token goes to the server as it is, so TLS has to protect it.
///
/// ```
/// use popwire_proto::sasl::{ClientMechanism as _, OAuthBearer, Start};
///
/// // The example of RFC 7628 section 4.1, for POP3
/// let mut bearer = OAuthBearer::new("user@example.com", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==")
///     .at("server.example.com", 995);
/// let Ok(Start::ClientFirst(message)) = bearer.start() else { panic!() };
/// assert_eq!(
///     message.expose(),
///     b"n,a=user@example.com,\x01host=server.example.com\x01port=995\x01\
///       auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01",
/// );
/// ```
#[derive(Debug)]
pub struct OAuthBearer {
    user: Vec<u8>,
    token: Secret,
    place: Option<(String, u16)>,
    stage: Stage,
}

impl OAuthBearer {
    /// Logs `user` in; the name may be empty where the token says it all.
    #[must_use]
    pub fn new(user: impl AsRef<[u8]>, token: impl Into<Secret>) -> Self {
        Self { user: user.as_ref().to_vec(), token: token.into(), place: None, stage: Stage::Start }
    }

    /// Names the host and port that the token is shown to, so that it cannot be passed on to another server.
    #[must_use]
    pub fn at(mut self, host: impl Into<String>, port: u16) -> Self {
        self.place = Some((host.into(), port));
        self
    }
}

impl ClientMechanism for OAuthBearer {
    fn name(&self) -> &str {
        "OAUTHBEARER"
    }

    fn start(&mut self) -> Result<Start, Error> {
        let mut message = b"n,".to_vec();
        if !self.user.is_empty() {
            message.extend_from_slice(b"a=");
            message.extend_from_slice(&saslname(&field(&prep::name(&self.user)?)?)?);
        }
        message.extend_from_slice(b",\x01");
        if let Some((host, port)) = &self.place {
            let host = String::from_utf8(field(host.as_bytes())?).map_err(|_| Error::ForbiddenCharacter)?;
            message.extend_from_slice(format!("host={host}\x01port={port}\x01").as_bytes());
        }
        let message = with_token(message, &self.token)?;
        self.stage = Stage::Sent(message.clone());
        Ok(Start::ClientFirst(message))
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Secret, Error> {
        self.stage.refused(challenge, &self.token, b"\x01")
    }

    fn has_proved(&self) -> bool {
        !matches!(self.stage, Stage::Start)
    }

    fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Sent(_))
    }

    fn failure(&self) -> Option<&OAuthFailure> {
        self.stage.failure()
    }
}

/// The client's half of XOAUTH2, which Google and Microsoft had before there was a standard. The token goes to the server
/// as it is, so TLS has to protect it.
///
/// It never stands in the AUTH line: Exchange Online hangs up on that, and tokens seldom fit.
///
/// ```
/// use popwire_proto::sasl::{ClientMechanism as _, Start, XOAuth2};
///
/// let mut xoauth2 = XOAuth2::new("someuser@example.com", "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg");
/// let Ok(Start::ClientFirst(message)) = xoauth2.start() else { panic!() };
/// assert_eq!(
///     message.expose(),
///     b"user=someuser@example.com\x01auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg\x01\x01",
/// );
/// ```
#[derive(Debug)]
pub struct XOAuth2 {
    user: Vec<u8>,
    token: Secret,
    stage: Stage,
}

impl XOAuth2 {
    /// Logs `user` in.
    #[must_use]
    pub fn new(user: impl AsRef<[u8]>, token: impl Into<Secret>) -> Self {
        Self { user: user.as_ref().to_vec(), token: token.into(), stage: Stage::Start }
    }
}

impl ClientMechanism for XOAuth2 {
    fn name(&self) -> &str {
        "XOAUTH2"
    }

    fn start(&mut self) -> Result<Start, Error> {
        let mut message = b"user=".to_vec();
        message.extend_from_slice(&field(&prep::name(&self.user)?)?);
        message.push(1);
        let message = with_token(message, &self.token)?;
        self.stage = Stage::Sent(message.clone());
        Ok(Start::ClientFirst(message))
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Secret, Error> {
        self.stage.refused(challenge, &self.token, b"")
    }

    fn has_proved(&self) -> bool {
        !matches!(self.stage, Stage::Start)
    }

    fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Sent(_))
    }

    fn allows_initial_response(&self) -> bool {
        false
    }

    fn failure(&self) -> Option<&OAuthFailure> {
        self.stage.failure()
    }
}

/// `message`, then the token and the end, in one allocation: a copy of the token must not be left behind.
fn with_token(message: Vec<u8>, token: &Secret) -> Result<Secret, Error> {
    // RFC 6750 section 2.1: tokens are printable ASCII without blanks.
    if token.is_empty() || !token.expose().iter().all(u8::is_ascii_graphic) {
        return Err(Error::ForbiddenCharacter);
    }
    let mut whole = Vec::with_capacity(message.len() + token.expose().len() + 14);
    whole.extend_from_slice(&message);
    whole.extend_from_slice(b"auth=Bearer ");
    whole.extend_from_slice(token.expose());
    whole.extend_from_slice(b"\x01\x01");
    Ok(whole.into())
}

/// A field that does not end itself.
fn field(octets: &[u8]) -> Result<Vec<u8>, Error> {
    if octets.iter().any(u8::is_ascii_control) { Err(Error::ForbiddenCharacter) } else { Ok(octets.to_vec()) }
}
