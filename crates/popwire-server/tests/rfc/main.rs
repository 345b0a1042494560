//! The server against the RFCs, spoken with octet by octet. Each test is named after the requirement it proves.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod capabilities;
mod faults;
mod foreign;
mod framing;
mod input;
mod knobs;
mod login;
mod login_knobs;
mod maildir;
mod mbox;
mod sasl;
mod sasl_knobs;
mod service;
mod talk;
mod tls;
mod transaction;
mod transcripts;
mod utf8;
