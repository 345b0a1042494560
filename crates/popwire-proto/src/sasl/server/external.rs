//! EXTERNAL (RFC 4422 appendix A), the server's half.

use super::{Directory, Refusal, ServerMechanism, Turn};
use crate::sasl::prep;

/// The server's half of EXTERNAL: lets in whom the client's certificate names.
#[derive(Debug, Default)]
pub struct External;

impl ServerMechanism for External {
    fn speaks_first(&self) -> bool {
        false
    }

    fn respond(&mut self, response: Option<&[u8]>, directory: &dyn Directory) -> Turn {
        let authzid = match response {
            None | Some(b"") => Vec::new(),
            // A NUL has no place in it (RFC 4422 appendix A.3); no other name has one either.
            Some(name) => match prep::name(name) {
                Ok(name) => name,
                Err(_) => return Turn::Refuse(Refusal::Malformed),
            },
        };
        match directory.user_of_certificate() {
            Some(user) => super::act_as(&user, &authzid, directory),
            None => Turn::Refuse(Refusal::Credentials),
        }
    }
}
