//! Who to be, and what a refusal means.

use popwire_proto::command::{ApopCommand, PassCommand, RpopCommand, UserCommand};
use popwire_proto::listing::Capabilities;
use popwire_proto::{ArgumentError, Reply, ResponseCode, Secret, Verb, apop};

use crate::conversation::{Conversation, Next, Say};
use crate::core::Core;
use crate::error::{Kind, Policy, Refusal};
use crate::{Error, Result};

/// A name, a secret, and the way to show them.
///
/// ```
/// use popwire::Login;
///
/// let login = Login::password("alice", "s3cret pass");
/// assert!(!format!("{login:?}").contains("s3cret"));
/// ```
#[derive(Clone, Debug)]
pub struct Login {
    user: Vec<u8>,
    secret: Secret,
    method: Method,
    unannounced_utf8: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    UserPass,
    Apop,
    Rpop,
}

impl Login {
    /// USER and PASS (RFC 1939 section 7).
    #[must_use]
    pub fn password(user: impl AsRef<[u8]>, password: impl Into<Secret>) -> Self {
        Self::new(user, password.into(), Method::UserPass)
    }

    /// APOP (RFC 1939 section 7): the secret itself stays here. It is never chosen unasked, since its digest is weak
    /// and it adds nothing under TLS.
    #[must_use]
    pub fn apop(user: impl AsRef<[u8]>, secret: impl Into<Secret>) -> Self {
        Self::new(user, secret.into(), Method::Apop)
    }

    /// RPOP (RFC 1081): a name without a proof. Only a server on a trusted wire could ever take it.
    #[must_use]
    pub fn rpop(user: impl AsRef<[u8]>) -> Self {
        Self::new(user, Secret::default(), Method::Rpop)
    }

    /// Sends names and passwords that are not ASCII even if the server does not say that it takes UTF-8 (RFC 6856
    /// section 2.2 forbids it; many servers take it all the same).
    #[must_use]
    pub fn unannounced_utf8(mut self) -> Self {
        self.unannounced_utf8 = true;
        self
    }

    fn new(user: impl AsRef<[u8]>, secret: Secret, method: Method) -> Self {
        Self { user: user.as_ref().to_vec(), secret, method, unannounced_utf8: false }
    }
}

/// The login commands, and CAPA after them: never before the answer to the last login line, since real servers lose what
/// comes early.
pub(crate) struct LoggingIn<'a> {
    login: &'a Login,
    accepted: Option<Reply>,
}

impl<'a> LoggingIn<'a> {
    pub(crate) fn new(login: &'a Login) -> Self {
        Self { login, accepted: None }
    }

    fn first(&self, core: &Core) -> Result<Next> {
        core.check_may_log_in()?;
        let Login { user, secret, method, unannounced_utf8 } = self.login;
        // APOP sends no octet of its secret; RFC 6856 section 2.2 speaks of it all the same.
        let ascii = user.is_ascii() && secret.expose().is_ascii();
        if !ascii && !unannounced_utf8 && !core.capabilities.utf8_user() {
            return Err(Error::new(Kind::Policy(Policy::Utf8NotAnnounced)));
        }
        let name = user.clone();
        Ok(Next::Say(match method {
            Method::UserPass => {
                // A password that cannot be sent is found before the server has heard the name.
                core.machine.check(&PassCommand { password: secret.clone() })?;
                Say::User(UserCommand { name })
            }
            Method::Apop => Say::Apop(apop_command(core, name, secret)?),
            Method::Rpop => Say::Rpop(RpopCommand { name }),
        }))
    }
}

impl Conversation for LoggingIn<'_> {
    type Output = Reply;

    fn next(&mut self, core: &mut Core, heard: Option<(Verb, Reply)>) -> Result<Next> {
        match heard {
            None => self.first(core),
            Some((Verb::Capa, reply)) => {
                core.learn_capabilities(reply)?;
                Ok(Next::Done)
            }
            Some((verb, reply)) => {
                core.judge(verb, &reply)?;
                if verb == Verb::User {
                    return Ok(Next::Say(Say::Pass(PassCommand { password: self.login.secret.clone() })));
                }
                self.accepted = Some(reply);
                Ok(if core.asks_capa() { Next::Say(Say::Capa) } else { Next::Done })
            }
        }
    }

    fn output(self) -> Option<Reply> {
        self.accepted
    }
}

/// APOP's line, made from the greeting's timestamp.
pub(crate) fn apop_command(core: &Core, name: Vec<u8>, secret: &Secret) -> Result<ApopCommand> {
    let timestamp = apop::timestamp(core.greeting().line().as_bytes())
        .ok_or_else(|| popwire_proto::Error::from(ArgumentError::NoTimestamp))?;
    Ok(ApopCommand { name, digest: apop::digest(timestamp, secret) })
}

/// What a `-ERR` to a login command means: by its code, or by its words where the server has no codes.
///
/// Without a code the reading is cautious: words that speak of locks, load or patience are no reason to doubt a password,
/// nor are words that speak of TLS where there is none.
pub(crate) fn classify(reply: &Reply, capabilities: &Capabilities, tls: bool) -> Refusal {
    match reply.code() {
        Some(ResponseCode::InUse) => Refusal::InUse,
        Some(ResponseCode::LoginDelay) => Refusal::LoginDelay,
        Some(ResponseCode::SysTemp) => Refusal::Temporary,
        Some(ResponseCode::SysPerm) => Refusal::Permanent,
        _ if !tls && says(reply, &[b"tls", b"ssl", b"under a layer", b"encrypt"]) => Refusal::TlsRequired,
        Some(ResponseCode::Auth) => Refusal::Authentication,
        _ if asks_for_patience(reply) => Refusal::Temporary,
        // This server says [AUTH] where it means the credentials (RFC 3206 section 6).
        _ if capabilities.has("AUTH-RESP-CODE") => Refusal::Other,
        _ => Refusal::Authentication,
    }
}

/// Whether the server's words, for want of a code, sound like a trouble that passes.
pub(crate) fn asks_for_patience(reply: &Reply) -> bool {
    says(
        reply,
        &[
            b"lock",
            b"busy",
            b"in use",
            b"wait",
            b"try again",
            b"minutes",
            b"temporar",
            b"unavailable",
            b"too many",
        ],
    )
}

fn says(reply: &Reply, words: &[&[u8]]) -> bool {
    let text = reply.text().to_ascii_lowercase();
    words.iter().any(|word| text.windows(word.len()).any(|window| window == *word))
}
