//! What every parser of popwire must hold for any input.
//!
//! Each function takes octets from outside, runs a parser on them, and panics if it breaks a rule that is written above
//! it. `fuzz/` looks for octets that do, with cargo-fuzz; the test of this crate runs all functions on all that is kept
//! in `fuzz/corpus`. A target is added to [`TARGETS`] and to `fuzz/Cargo.toml`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(missing_docs, reason = "each function has its rule above it")]

mod bodies;
mod client;
mod sasl;
mod server;
mod server_files;

pub use bodies::{body, stuffing};
pub use client::{listings, session, status};
pub use sasl::{sasl_client, sasl_pair, sasl_server};
pub use server::{arguments, commands};
pub use server_files::{fault_plan, mbox, scenario, transcript};

/// A function that any octets may be given to.
pub type Target = fn(&[u8]);

/// All of them, by the names of their corpora.
pub const TARGETS: [(&str, Target); 14] = [
    ("status", status),
    ("listings", listings),
    ("session", session),
    ("body", body),
    ("stuffing", stuffing),
    ("commands", commands),
    ("arguments", arguments),
    ("sasl_client", sasl_client),
    ("sasl_server", sasl_server),
    ("sasl_pair", sasl_pair),
    ("scenario", scenario),
    ("transcript", transcript),
    ("fault_plan", fault_plan),
    ("mbox", mbox),
];

/// The first octets choose how the rest is used.
struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    fn octet(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().map_or((0, self.0), |(first, rest)| (*first, rest));
        self.0 = rest;
        first
    }

    /// A number below `bound`, which is at most 256.
    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.octet()) % bound
    }

    /// Up to 255 octets.
    fn short(&mut self) -> &'a [u8] {
        let length = usize::from(self.octet()).min(self.0.len());
        let (short, rest) = self.0.split_at(length);
        self.0 = rest;
        short
    }

    fn rest(self) -> &'a [u8] {
        self.0
    }
}
