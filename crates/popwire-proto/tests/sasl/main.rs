//! The SASL mechanisms, each against its published values, its other half and servers that mean harm.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod digest_md5;
mod ntlm;
mod server;
