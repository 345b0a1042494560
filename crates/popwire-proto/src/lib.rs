//! The POP3 protocol (RFC 1939 and its extensions) without I/O: octets in, octets out.
//!
//! # Scope
//!
//! Commands and their replies, typed listings, message bodies, and the two machines that keep a session in order: the
//! [`Client`] and the [server](mod@server) machine. There are no sockets, no clock, no TLS, no threads and no async here;
//! a driver moves the octets. The `popwire` crate has such drivers, blocking and async, and is what most people want.
//!
//! # The client's session
//!
//! ```text
//!   Client::new ──greeting──> AUTHORIZATION
//!     │  submit(StlsCommand), +OK, handshake by the driver, tls_started()  ──> still AUTHORIZATION
//!     │  submit(UserCommand), +OK, submit(PassCommand), +OK
//!     ▼
//!   TRANSACTION
//!     │  submit(any command) ──> reply(): a single-line or collected multi-line answer
//!     │  submit(RetrCommand) ──> reply(), then body(), consume() ... until End
//!     │  submit(QuitCommand)
//!     ▼
//!   UPDATE  ──reply(): +OK, the deletions are done; -ERR, some are not; nothing: nobody knows
//! ```
//!
//! Commands may be submitted ahead of their replies; replies come in order. An error that breaks the session is kept,
//! and the machine refuses to go on.

pub mod apop;
pub mod body;
mod client;
pub mod command;
mod error;
mod inbound;
mod limits;
pub mod listing;
mod reply;
pub mod sasl;
mod secret;
pub mod server;
pub mod stuff;
mod text;

pub use body::IrregularEnd;
pub use client::{Body, Client, End, Leniencies, State, Submitted};
pub use command::{Command, MessageNumber, Shape, Verb};
pub use error::{ArgumentError, Error, Foreign, OutOfOrder, Oversize};
pub use limits::Limits;
pub use reply::{Reply, ResponseCode, Status};
pub use secret::Secret;
pub use text::Text;
