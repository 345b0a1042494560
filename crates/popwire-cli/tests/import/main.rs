//! What other retrievers know, taken over: each has fetched from the embedded server before, by its own configuration.
//!
//! fetchmail, getmail and mpop run as they are installed. Thunderbird's files in `testdata/import` were written by
//! Thunderbird itself.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "in a test, a panic is the answer"
)]

mod command_line;
mod fetchmail;
mod getmail;
mod mpop;
mod thunderbird;
mod world;
