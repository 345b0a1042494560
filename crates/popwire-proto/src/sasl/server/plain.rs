//! PLAIN (RFC 4616), the server's half.

use super::{Directory, Refusal, ServerMechanism, Turn};
use crate::sasl::prep;

/// The server's half of PLAIN.
#[derive(Debug, Default)]
pub struct Plain;

impl ServerMechanism for Plain {
    fn speaks_first(&self) -> bool {
        false
    }

    fn respond(&mut self, response: Option<&[u8]>, directory: &dyn Directory) -> Turn {
        let mut fields = response.unwrap_or_default().split(|octet| *octet == 0);
        let (Some(authzid), Some(user), Some(password), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Turn::Refuse(Refusal::Malformed);
        };
        let (Ok(authzid), Ok(user)) = (prep::authzid(authzid), prep::name(user)) else {
            return Turn::Refuse(Refusal::Malformed);
        };
        match super::knows(&user, password, directory) {
            Ok(()) => super::act_as(&user, &authzid, directory),
            Err(why) => Turn::Refuse(why),
        }
    }
}
