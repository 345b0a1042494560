//! PLAIN (RFC 4616): name and password as they are, in one message.

use super::{ClientMechanism, Error, Start, prep};
use crate::Secret;

/// The client's half of PLAIN. The password goes to the server as it is, so TLS has to protect it.
///
/// ```
/// use popwire_proto::sasl::{ClientMechanism as _, Plain, Start};
///
/// let mut plain = Plain::new("tim", "tanstaaftanstaaf");
/// let Ok(Start::ClientFirst(message)) = plain.start() else { panic!() };
/// assert_eq!(message.expose(), b"\0tim\0tanstaaftanstaaf");
/// ```
#[derive(Debug)]
pub struct Plain {
    authzid: Vec<u8>,
    user: Vec<u8>,
    password: Secret,
    sent: bool,
}

impl Plain {
    /// Logs `user` in.
    #[must_use]
    pub fn new(user: impl AsRef<[u8]>, password: impl Into<Secret>) -> Self {
        Self { authzid: Vec::new(), user: user.as_ref().to_vec(), password: password.into(), sent: false }
    }

    /// Acts as somebody else (RFC 4616 section 2).
    #[must_use]
    pub fn acting_as(mut self, authzid: impl AsRef<[u8]>) -> Self {
        self.authzid = authzid.as_ref().to_vec();
        self
    }

    fn message(&self) -> Result<Secret, Error> {
        let authzid = prep::authzid(&self.authzid)?;
        let user = prep::name(&self.user)?;
        let password = prep::queried_password(&self.password)?;
        if authzid.contains(&0) || user.contains(&0) || password.expose().contains(&0) {
            return Err(Error::ForbiddenCharacter);
        }
        // Room for all of it at once: growing would leave a copy of the password behind.
        let mut message = Vec::with_capacity(authzid.len() + user.len() + password.expose().len() + 2);
        message.extend_from_slice(&authzid);
        message.push(0);
        message.extend_from_slice(&user);
        message.push(0);
        message.extend_from_slice(password.expose());
        Ok(message.into())
    }
}

impl ClientMechanism for Plain {
    fn name(&self) -> &str {
        "PLAIN"
    }

    fn start(&mut self) -> Result<Start, Error> {
        let message = self.message()?;
        self.sent = true;
        Ok(Start::ClientFirst(message))
    }

    fn respond(&mut self, _: &[u8]) -> Result<Secret, Error> {
        Err(Error::UnexpectedChallenge)
    }

    fn has_proved(&self) -> bool {
        self.sent
    }

    fn is_done(&self) -> bool {
        self.sent
    }

    fn ignores_challenge(&self) -> bool {
        true
    }
}
