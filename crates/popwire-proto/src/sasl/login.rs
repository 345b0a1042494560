//! LOGIN: name and password in two lines, at the server's prompts. It was never standardised
//! (draft-murchison-sasl-login); servers without PLAIN have it.

use super::{ClientMechanism, Error, Start, prep};
use crate::Secret;

/// The client's half of LOGIN. The password goes to the server as it is, so TLS has to protect it.
///
/// The prompts are not looked at: they are `Username:` and `Password:`, or words of the server's own.
///
/// ```
/// use popwire_proto::sasl::{ClientMechanism as _, Login};
///
/// let mut login = Login::new("tim", "tanstaaftanstaaf");
/// login.start()?;
/// assert_eq!(login.respond(b"Username:")?.expose(), b"tim");
/// assert_eq!(login.respond(b"Password:")?.expose(), b"tanstaaftanstaaf");
/// # Ok::<(), popwire_proto::sasl::Error>(())
/// ```
#[derive(Debug)]
pub struct Login {
    user: Vec<u8>,
    password: Secret,
    /// How many prompts were answered.
    answered: u8,
}

impl Login {
    /// Logs `user` in.
    #[must_use]
    pub fn new(user: impl AsRef<[u8]>, password: impl Into<Secret>) -> Self {
        Self { user: user.as_ref().to_vec(), password: password.into(), answered: 0 }
    }
}

impl ClientMechanism for Login {
    fn name(&self) -> &str {
        "LOGIN"
    }

    fn start(&mut self) -> Result<Start, Error> {
        // What cannot be sent is found before anything is.
        prep::name(&self.user)?;
        prep::queried_password(&self.password)?;
        Ok(Start::ServerFirst)
    }

    fn respond(&mut self, _: &[u8]) -> Result<Secret, Error> {
        self.answered += 1;
        match self.answered {
            1 => prep::name(&self.user).map(Secret::from),
            2 => prep::queried_password(&self.password),
            _ => {
                self.answered = 2;
                Err(Error::UnexpectedChallenge)
            }
        }
    }

    fn has_proved(&self) -> bool {
        self.answered >= 2
    }

    fn is_done(&self) -> bool {
        self.answered >= 2
    }

    fn ignores_challenge(&self) -> bool {
        self.answered < 2
    }
}
