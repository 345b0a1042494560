//! EXTERNAL (RFC 4422 appendix A): who the client is, something outside has proved: here, its TLS certificate.

use super::{ClientMechanism, Error, Start, prep};
use crate::Secret;

/// The client's half of EXTERNAL.
///
/// ```
/// use popwire_proto::sasl::{ClientMechanism as _, External, Start};
///
/// // As whom the certificate says
/// let Ok(Start::ClientFirst(response)) = External::new().start() else { panic!() };
/// assert!(response.is_empty());
/// ```
#[derive(Debug, Default)]
pub struct External {
    authzid: Vec<u8>,
    sent: bool,
}

impl External {
    /// Logs in as whom the certificate names.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Logs in under this name, which the certificate has to allow.
    #[must_use]
    pub fn acting_as(mut self, authzid: impl AsRef<[u8]>) -> Self {
        self.authzid = authzid.as_ref().to_vec();
        self
    }
}

impl ClientMechanism for External {
    fn name(&self) -> &str {
        "EXTERNAL"
    }

    fn start(&mut self) -> Result<Start, Error> {
        let authzid = prep::authzid(&self.authzid)?;
        if authzid.contains(&0) {
            return Err(Error::ForbiddenCharacter);
        }
        self.sent = true;
        Ok(Start::ClientFirst(authzid.into()))
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
}
