//! A POP3 server small enough to embed in a test.
//!
//! # Scope
//!
//! A whole RFC 1939 server with CAPA, response codes, pipelining, TOP, UIDL, STLS and implicit TLS, AUTH, UTF8 and
//! LANG. It runs on a thread of its own, so that synchronous and asynchronous tests use it alike, listens on two free
//! ports of 127.0.0.1 (plain with STLS, and implicit TLS), makes its certificates on the spot, and records what clients
//! send. Its [`Builder`] has a knob for each way in which it may depart from the RFCs, because real servers do.
//!
//! It is not a mail host: there is no configuration file, and passwords are held in memory. A maildrop's lock keeps out
//! its own sessions; other programs are kept out of an mbox while it is read and rewritten, and need not be kept out of a
//! Maildir.
//!
//! What goes wrong on the way is planned by [`Fault`]s, by hand or from a number ([`FaultPlan::from_seed`]). A recorded
//! session, or a trace of a client, plays again as a [`Transcript`]. With the feature `scenario`, a file in TOML says all
//! of this (`Scenario`).
//!
//! # A session
//!
//! ```text
//!   accepted ──(TLS at once on tls_addr())──> greeting
//!      ▼
//!   AUTHORIZATION ──STLS──> handshake ──> AUTHORIZATION, nothing remembered
//!      │  USER + PASS, APOP, AUTH, or RPOP if it is honoured; the maildrop is locked and numbered
//!      ▼
//!   TRANSACTION ──connection lost, idle timer, stop──> nothing removed, lock released
//!      │  QUIT
//!      ▼
//!   UPDATE: marked messages removed, lock released, answer, close
//! ```
//!
//! # Example
//!
//! ```
//! use std::io::{BufRead, BufReader, Write};
//! use std::net::TcpStream;
//! use std::time::Duration;
//!
//! use popwire_server::{Maildrop, Server};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::builder()
//!     .user("alice", "s3cret pass", Maildrop::memory(["Subject: hi\r\n\r\nhello\r\n"]))
//!     .start()?;
//!
//! let mut client = BufReader::new(TcpStream::connect(server.addr())?);
//! let mut say = |line: &str, answers: usize| -> std::io::Result<String> {
//!     client.get_mut().write_all(line.as_bytes())?;
//!     let mut heard = String::new();
//!     for _ in 0..answers {
//!         client.read_line(&mut heard)?;
//!     }
//!     Ok(heard)
//! };
//! say("", 1)?; // the greeting
//! say("USER alice\r\nPASS s3cret pass\r\n", 2)?;
//! assert_eq!(say("STAT\r\n", 1)?, "+OK 1 22\r\n");
//! assert_eq!(say("DELE 1\r\nQUIT\r\n", 2)?.lines().count(), 2);
//!
//! assert!(server.wait_closed(1, Duration::from_secs(5)));
//! assert!(server.maildrop("alice").expect("alice").is_empty()?);
//! assert_eq!(
//!     server.last_session().expect("a session").client_lines(),
//!     ["USER alice", "PASS s3cret pass", "STAT", "DELE 1", "QUIT"],
//! );
//! # Ok(())
//! # }
//! ```

mod admission;
mod answer;
mod builder;
mod certificate;
mod connection;
mod edit;
mod error;
mod event;
mod fault;
mod maildrop;
mod options;
mod personality;
mod quirks;
mod record;
#[cfg(feature = "scenario")]
mod scenario;
mod server;
pub mod store;
mod transcript;
mod wire;

pub use answer::Answer;
pub use builder::Builder;
pub use certificate::Certificate;
pub use error::StartError;
pub use event::{CloseReason, Event, EventKind};
pub use fault::{Effect, Fault, FaultError, FaultPlan, Place, Point};
pub use maildrop::{Lock, Maildrop};
pub use options::QuitReply;
pub use personality::{Personality, PersonalityError};
pub use popwire_proto::sasl::Mechanism;
pub use popwire_proto::sasl::server::Fault as SaslFault;
pub use popwire_proto::server::State;
pub use quirks::{Knob, QuirkError};
pub use record::{Direction, Line, Rest, Session};
#[cfg(feature = "scenario")]
pub use scenario::{Scenario, ScenarioError};
pub use server::Server;
pub use store::{Content, Message};
pub use transcript::{Transcript, TranscriptError};
