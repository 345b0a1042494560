//! ANONYMOUS (RFC 4505): for those who need no name.

use super::{ClientMechanism, Error, Start};
use crate::Secret;

/// The longest trace that RFC 4505 section 2 allows, in characters.
const LONGEST: usize = 255;

/// The client's half of ANONYMOUS.
///
/// ```
/// use popwire_proto::sasl::{Anonymous, ClientMechanism as _, Start};
///
/// let Ok(Start::ClientFirst(trace)) = Anonymous::new("sirhc").start() else { panic!() };
/// assert_eq!(trace.expose(), b"sirhc");
/// ```
#[derive(Debug, Default)]
pub struct Anonymous {
    trace: String,
    sent: bool,
}

impl Anonymous {
    /// With a trace by which the server's owner may find the sender: a mail address, or a word without `@`; or nothing.
    #[must_use]
    pub fn new(trace: impl Into<String>) -> Self {
        Self { trace: trace.into(), sent: false }
    }
}

impl ClientMechanism for Anonymous {
    fn name(&self) -> &str {
        "ANONYMOUS"
    }

    fn start(&mut self) -> Result<Start, Error> {
        if self.trace.chars().any(char::is_control) || self.trace.chars().count() > LONGEST {
            return Err(Error::ForbiddenCharacter);
        }
        self.sent = true;
        Ok(Start::ClientFirst(self.trace.as_bytes().into()))
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
