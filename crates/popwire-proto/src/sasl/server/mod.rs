//! The server's halves of the mechanisms.
//!
//! A machine serves for one exchange: [`ServerMechanism::respond`] is given each response of the client and says what
//! comes next. What a user may show is asked of a [`Directory`]. As on the client's side, base64 and lines are not known
//! here. [`mechanism`] makes the half of any mechanism from its name.

mod anonymous;
mod cram_md5;
mod digest_md5;
mod external;
mod fault;
mod gs2;
mod login;
mod ntlm;
mod oauth;
mod plain;
mod scram;
mod setting;

use super::crypto::equal;
use super::prep;
use crate::Secret;

pub use anonymous::Anonymous;
pub use cram_md5::CramMd5;
pub use digest_md5::DigestMd5;
pub use external::External;
pub use fault::Fault;
pub use login::Login;
pub use ntlm::Ntlm;
pub use oauth::{OAuthBearer, XOAuth2};
pub use plain::Plain;
pub use scram::Scram;
pub use setting::{Setting, mechanism};

/// The server's half of a mechanism: responses in, challenges out.
pub trait ServerMechanism: Send {
    /// Whether the server speaks first. An initial response is an error then (RFC 5034 section 4).
    fn speaks_first(&self) -> bool;

    /// The next turn. `response` is `None` once, at the beginning, where the server speaks first; where the client does,
    /// the first call has its initial response.
    fn respond(&mut self, response: Option<&[u8]>, directory: &dyn Directory) -> Turn;
}

/// What the server does next.
#[derive(Clone, Debug)]
pub enum Turn {
    /// Send this challenge and wait for the response. It may be empty.
    Challenge(Vec<u8>),
    /// Let this user in. The octets are his name in the directory.
    Accept(Vec<u8>),
    /// Refuse.
    Refuse(Refusal),
}

/// Why a client is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The credentials are wrong.
    Credentials,
    /// A response does not have the form that the mechanism gives it.
    Malformed,
}

/// What the server knows of its users.
pub trait Directory {
    /// The password of this user.
    fn password(&self, user: &[u8]) -> Option<Secret>;

    /// The user to whom this token was given. `named` is whom the client says it is for; empty if it does not say.
    fn user_of_token(&self, token: &[u8], named: &[u8]) -> Option<Vec<u8>>;

    /// The user whose certificate the client has shown within TLS.
    fn user_of_certificate(&self) -> Option<Vec<u8>>;

    /// The user as whom those enter who do not say who they are.
    fn anonymous(&self) -> Option<Vec<u8>>;

    /// Whether `user` may act as `other`. Everybody may act as himself; that is not asked.
    fn may_act_as(&self, _user: &[u8], _other: &[u8]) -> bool {
        false
    }
}

/// Lets `user`, who has shown who he is, in as himself or, if the directory allows it, as whom he asks for: the rule for an
/// authorization identity, which is empty where none is asked for (RFC 4422 section 3.4.1).
#[must_use]
pub fn act_as(user: &[u8], authzid: &[u8], directory: &dyn Directory) -> Turn {
    if authzid.is_empty() || authzid == user {
        Turn::Accept(user.to_vec())
    } else if directory.may_act_as(user, authzid) {
        Turn::Accept(authzid.to_vec())
    } else {
        Turn::Refuse(Refusal::Credentials)
    }
}

/// Whether `password` is this user's. `user` is prepared, `password` as it came.
fn knows(user: &[u8], password: &[u8], directory: &dyn Directory) -> Result<(), Refusal> {
    let password = prep::queried_password(&password.into()).map_err(|_| Refusal::Malformed)?;
    let known = directory.password(user).and_then(|known| prep::queried_password(&known).ok());
    let right = known.is_some_and(|known| equal(known.expose(), password.expose()));
    if right { Ok(()) } else { Err(Refusal::Credentials) }
}
