//! LOGIN (draft-murchison-sasl-login), the server's half.

use super::{Directory, Refusal, ServerMechanism, Turn};
use crate::sasl::prep;

/// The server's half of LOGIN. It speaks first: clients that put the name into the AUTH line are refused.
#[derive(Debug, Default)]
pub struct Login {
    state: State,
}

/// What comes next.
#[derive(Debug, Default)]
enum State {
    /// The prompt for the name goes out.
    #[default]
    Begin,
    /// The name comes.
    Name,
    /// The password comes.
    Password(Vec<u8>),
    /// Nothing.
    Over,
}

impl ServerMechanism for Login {
    fn speaks_first(&self) -> bool {
        true
    }

    fn respond(&mut self, response: Option<&[u8]>, directory: &dyn Directory) -> Turn {
        match (std::mem::replace(&mut self.state, State::Over), response) {
            (State::Begin, None) => {
                self.state = State::Name;
                Turn::Challenge(b"Username:".to_vec())
            }
            (State::Name, Some(name)) => match prep::name(name) {
                Ok(name) => {
                    self.state = State::Password(name);
                    Turn::Challenge(b"Password:".to_vec())
                }
                Err(_) => Turn::Refuse(Refusal::Malformed),
            },
            (State::Password(user), Some(password)) => match super::knows(&user, password, directory) {
                Ok(()) => Turn::Accept(user),
                Err(why) => Turn::Refuse(why),
            },
            _ => Turn::Refuse(Refusal::Malformed),
        }
    }
}
