//! The SASL mechanisms, each against its published values, its other half and servers that mean harm.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod digest_md5;
mod exchange;
mod ntlm;
mod oauth;
mod scram;
mod secrets;
mod server;
mod simple;
