//! ANONYMOUS (RFC 4505), the server's half.

use super::{Directory, Refusal, ServerMechanism, Turn};

/// The longest trace, in characters (RFC 4505 section 2).
const LONGEST: usize = 255;

/// The server's half of ANONYMOUS. The trace is checked and forgotten.
#[derive(Debug, Default)]
pub struct Anonymous;

impl ServerMechanism for Anonymous {
    fn speaks_first(&self) -> bool {
        false
    }

    fn respond(&mut self, response: Option<&[u8]>, directory: &dyn Directory) -> Turn {
        let trace = std::str::from_utf8(response.unwrap_or_default());
        if !trace.is_ok_and(|trace| trace.chars().count() <= LONGEST && !trace.chars().any(char::is_control))
        {
            return Turn::Refuse(Refusal::Malformed);
        }
        directory.anonymous().map_or(Turn::Refuse(Refusal::Credentials), Turn::Accept)
    }
}
