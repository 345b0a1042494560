//! PLAIN (RFC 4616), the server's half.

use super::{Directory, Refusal, ServerMechanism, Turn};
use crate::sasl::crypto::equal;
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
        let (Ok(user), Ok(password)) = (prep::name(user), prep::password(&password.into())) else {
            return Turn::Refuse(Refusal::Malformed);
        };
        let known = directory.password(&user).and_then(|known| prep::password(&known).ok());
        if !known.is_some_and(|known| equal(known.expose(), password.expose())) {
            return Turn::Refuse(Refusal::Credentials);
        }
        super::act_as(&user, authzid, directory)
    }
}
