//! The client machine against servers of every kind: conversations in, typed answers out, no sockets.
//!
//! `talk` plays the server by hand, `transcript` plays it from files; both cut what it says into pieces, since nothing
//! may depend on how the network cut it. The other modules hold the tests, one theme each. A test that is named after
//! a row of the requirements (`p_020_...`) or of the catalogue of odd servers (`q_095_...`) proves that row.

// Clippy knows helpers of integration tests for no tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod authorization;
mod capabilities;
mod escapes;
mod framing;
mod limits;
mod messages;
mod peers;
mod quirks;
mod secrets;
mod split_points;
mod talk;
mod tls_and_utf8;
mod transaction;
mod transcript;
