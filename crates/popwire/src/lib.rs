//! A POP3 client, blocking and async.
//!
//! # Scope
//!
//! Everything of POP3 from the client's side: connections with verified TLS, logins, typed answers, messages that stream
//! in bounded memory, deletions whose fate is known. Not in here: what becomes of the mail afterwards (the
//! `popwire-retriever` crate and the `popwire` program), parsing of mail, and other protocols.
//!
//! # A session
//!
//! ```text
//!   Connector ──connect──> Client ──login──> Client ──retr, list, dele, ...──> Client ──quit──> Farewell
//!                 TLS, greeting,    CAPA                   │                              committed,
//!                 CAPA                                 Message: impl Read,                refused,
//!                                                      impl AsyncRead                     unknown
//! ```
//!
//! There are two doors to the same rooms: [`blocking::Client`] and [`tokio::Client`]. Their methods come from one list,
//! and their sessions from one protocol core that knows neither sockets nor clocks (the `popwire-proto` crate).
//!
//! # What it promises
//!
//! - A message is complete or an error: only the terminator ends it. Its contents are never read as protocol, whatever
//!   its sender put in there, and its octets are not changed.
//! - A login takes the strongest way that the server offers, and no other after the server has judged it ([`Login`]).
//! - No argument can smuggle a second command, and no secret goes out without verified TLS unless the caller said so in
//!   as many words. Secrets are in no trace and no error.
//! - Every wait has a deadline, every buffer a bound ([`Timeouts`], [`Limits`]).
//! - A timeout or a cancelled future leaves the session in step: the next command first skips what is owed.
//!
//! # Features
//!
//! `blocking` and `tokio` are the doors; `aws-lc-rs` (default) and `ring` bring TLS with that cryptography; `gssapi` adds
//! logins by Kerberos tickets; `tracing` adds events of the `tracing` crate. Features only add.

// Features only add, so what no feature needs is there without them too: the TLS settings, and what lies behind the doors.
#![cfg_attr(not(all(feature = "_tls", any(feature = "blocking", feature = "tokio"))), allow(dead_code))]
#![cfg_attr(not(any(feature = "blocking", feature = "tokio")), allow(unused_imports, unused_macros))]

#[cfg(feature = "_tls")]
mod binding;
#[cfg(feature = "blocking")]
pub mod blocking;
mod certificate;
mod collect;
mod commands;
mod connector;
mod conversation;
mod core;
mod error;
mod farewell;
mod inventory;
mod login;
mod pipeline;
pub mod probe;
mod timeouts;
mod tls;
#[cfg(feature = "tokio")]
pub mod tokio;
mod trace;
mod url;

pub use certificate::Certificate;
pub use connector::{Connector, Security};
pub use error::{Error, Result, TlsProblem};
pub use farewell::Farewell;
pub use inventory::Inventory;
pub use login::{Ask, Attempt, Login, Method};
pub use pipeline::{Pipelining, Window};
pub use popwire_proto::listing::{
    Capabilities, Capability, Expire, Languages, LastAccessed, Mechanisms, OneScan, OneUniqueId, Scan,
    ScanListing, Stat, UniqueId, UniqueIds,
};
pub use popwire_proto::sasl::{Iterations, Mechanism, OAuthFailure};
pub use popwire_proto::{
    IrregularEnd, Leniencies, Limits, MessageNumber, Reply, ResponseCode, Secret, State, Status, Submitted,
    Text,
};
pub use timeouts::Timeouts;
pub use tls::{Tls, TlsInfo};
pub use trace::{TraceEvent, TraceLevel};
pub use url::{PopUrl, UrlError};

/// The protocol core that this crate drives.
pub use popwire_proto as proto;

/// The README's programs compile.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
