//! CRAM-MD5 (RFC 2195): a keyed digest of the server's challenge. Old and weak; it adds nothing under TLS, and the server
//! proves nothing.

use super::crypto::{hex, hmac_md5};
use super::{ClientMechanism, Error, Start};
use crate::Secret;

/// The client's half of CRAM-MD5.
///
/// ```
/// use popwire_proto::sasl::{ClientMechanism as _, CramMd5};
///
/// // The example of RFC 2195 section 2
/// let mut cram = CramMd5::new("tim", "tanstaaftanstaaf");
/// cram.start()?;
/// let response = cram.respond(b"<1896.697170952@postoffice.reston.mci.net>")?;
/// assert_eq!(response.expose(), b"tim b913a602c7eda7a495b4e6e7334d3890");
/// # Ok::<(), popwire_proto::sasl::Error>(())
/// ```
#[derive(Debug)]
pub struct CramMd5 {
    user: Vec<u8>,
    password: Secret,
    answered: bool,
}

impl CramMd5 {
    /// Logs `user` in.
    #[must_use]
    pub fn new(user: impl AsRef<[u8]>, password: impl Into<Secret>) -> Self {
        Self { user: user.as_ref().to_vec(), password: password.into(), answered: false }
    }
}

impl ClientMechanism for CramMd5 {
    fn name(&self) -> &str {
        "CRAM-MD5"
    }

    fn start(&mut self) -> Result<Start, Error> {
        match self.user.as_slice() {
            [] => Err(Error::EmptyName),
            name if name.contains(&0) => Err(Error::ForbiddenCharacter),
            _ => Ok(Start::ServerFirst),
        }
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Secret, Error> {
        if self.answered {
            return Err(Error::UnexpectedChallenge);
        }
        if challenge.is_empty() {
            return Err(Error::BadChallenge("it is empty"));
        }
        self.answered = true;
        let digest = Secret::from(hex(&hmac_md5(self.password.expose(), &[challenge])));
        Ok([&self.user, &b" "[..], digest.expose()].concat().into())
    }

    fn has_proved(&self) -> bool {
        self.answered
    }

    fn is_done(&self) -> bool {
        self.answered
    }
}
