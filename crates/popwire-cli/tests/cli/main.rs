//! The program as a user runs it, against the embedded server.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "in a test, a panic is the answer"
)]

mod accounts;
mod alarm;
mod delivering;
mod demo;
mod durable;
mod fetch;
mod ls;
mod passwords;
mod probe;
mod serve;
mod signing_in;
mod state;
mod trouble;
mod watch;
mod world;
