//! SASL (RFC 4422) as POP3 speaks it (RFC 5034): one small challenge/response machine per mechanism, for both sides, and
//! the [`Exchange`] that carries the client's over AUTH lines.
//!
//! # Scope
//!
//! A mechanism turns challenges into responses. It knows nothing of base64, of lines, or of POP3: that is the
//! [`Exchange`]'s part. It owns no socket and no clock; the nonce is drawn when it is made. No mechanism here negotiates a
//! security layer: TLS is the only one.
//!
//! ```text
//!   ClientMechanism::start ──> the initial response, or nothing: the server speaks first
//!        │   respond(challenge) ──> response        as often as the server asks
//!        ▼
//!   is_done()   the server may say +OK now: all that it has to prove, it has proved
//! ```
//!
//! Which mechanism to take is not decided here: see `popwire::Login`.
//!
//! # A mechanism of your own
//!
//! ```
//! use popwire_proto::Secret;
//! use popwire_proto::sasl::{ClientMechanism, Error, Start};
//!
//! /// Answers every question with the same words.
//! struct Parrot(Secret, bool);
//!
//! impl ClientMechanism for Parrot {
//!     fn name(&self) -> &str {
//!         "X-PARROT"
//!     }
//!
//!     fn start(&mut self) -> Result<Start, Error> {
//!         Ok(Start::ServerFirst)
//!     }
//!
//!     fn respond(&mut self, challenge: &[u8]) -> Result<Secret, Error> {
//!         self.1 = true;
//!         Ok(self.0.clone())
//!     }
//!
//!     fn has_proved(&self) -> bool {
//!         self.1
//!     }
//!
//!     fn is_done(&self) -> bool {
//!         self.1
//!     }
//! }
//! ```

mod anonymous;
mod binding;
mod cram_md5;
mod crypto;
mod digest_md5;
mod error;
mod exchange;
mod external;
mod login;
mod name;
mod ntlm;
mod oauth;
mod plain;
mod prep;
mod scram;
pub mod server;

use crate::Secret;

pub use anonymous::Anonymous;
pub use binding::{BindingType, ChannelBinding};
pub use cram_md5::CramMd5;
pub use crypto::Nonce;
pub(crate) use crypto::hex;
pub use digest_md5::DigestMd5;
pub use error::Error;
pub use exchange::{Exchange, Turn};
pub use external::External;
pub use login::Login;
pub use name::{Mechanism, UnknownMechanism};
pub use ntlm::Ntlm;
pub use oauth::{OAuthBearer, OAuthFailure, XOAuth2};
pub use plain::Plain;
pub use prep::saslprep;
pub use scram::{Binding, Hash, Iterations, Scram};

/// The client's half of a mechanism: challenges in, responses out.
///
/// A machine serves for one exchange. After an error it is of no use any more.
pub trait ClientMechanism: Send {
    /// The name that AUTH is given (RFC 4422 section 3.1).
    fn name(&self) -> &str;

    /// Begins: the initial response, where the client speaks first. Called once, before [`respond`](Self::respond).
    ///
    /// # Errors
    ///
    /// [`Error`] if the credentials cannot be used with this mechanism. Nothing was sent then.
    fn start(&mut self) -> Result<Start, Error>;

    /// The response to a challenge.
    ///
    /// # Errors
    ///
    /// [`Error`] if the challenge makes no sense, or if the server is not what it should be
    /// ([`Error::is_server_untrusted`]). The exchange has to be cancelled.
    fn respond(&mut self, challenge: &[u8]) -> Result<Secret, Error>;

    /// Whether something has been handed out by which the server can tell that the credentials are right or wrong: a
    /// password, a token, or a proof made from them. A refusal after that is a verdict on the credentials; a refusal
    /// before it is none.
    fn has_proved(&self) -> bool;

    /// Whether a `+OK` may be believed now. Where the server has to prove itself, it has.
    fn is_done(&self) -> bool;

    /// Whether the initial response may stand in the AUTH line, if it fits.
    fn allows_initial_response(&self) -> bool {
        true
    }

    /// Whether the next challenge tells nothing that is needed, so that even one that is not base64 will do.
    fn ignores_challenge(&self) -> bool {
        false
    }

    /// Whether a `+OK` is to be read as an empty challenge at this point, since a known server says it in its place.
    fn takes_ok_for_challenge(&self) -> bool {
        false
    }

    /// Whether a response may take long: it computes for seconds, or asks another server. An async driver then steps
    /// aside.
    fn may_block(&self) -> bool {
        false
    }

    /// What the server said about the failure within the exchange, if this mechanism has words for it.
    fn failure(&self) -> Option<&OAuthFailure> {
        None
    }
}

/// How an exchange begins.
#[derive(Clone, Debug)]
pub enum Start {
    /// The server speaks first.
    ServerFirst,
    /// The client speaks first, and says this. It may be empty.
    ClientFirst(Secret),
}
