//! What the programs of the benchmark share: sockets, the mail that is served, and how a result is printed.

pub mod mail;
pub mod result;
pub mod socket;

/// For programs that nobody handles the errors of.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;
