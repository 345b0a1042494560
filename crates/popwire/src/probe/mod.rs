//! What a server does, and what it does otherwise than the RFCs say: `popwire probe` in a library call.
//!
//! A probe connects as the user, asks what any client asks, looks at the answers more closely than a client does, and
//! compares what it saw with a table of the known deviations of real servers. It deletes nothing: no DELE is ever sent.
//! It reads the beginnings of up to three messages by TOP, which few servers take for reading; RETR is sent only if
//! [`ProbeOptions::retr`] says so, and that session ends without QUIT, since some servers take QUIT after RETR for leave to
//! delete. A server that answers everything sees one login; one that hangs up in the middle sees a few more.
//!
//! The calls are [`blocking::probe`](crate::blocking::probe) and [`tokio::probe`](crate::tokio::probe).
//!
//! ```no_run
//! use popwire::probe::ProbeOptions;
//! use popwire::{Connector, Login};
//!
//! let connector = Connector::new("pop.example.org");
//! let report = popwire::blocking::probe(&connector, &Login::password("alice", "s3cret"), ProbeOptions::new())?;
//! for finding in &report.findings {
//!     println!("{}: {}; {}", finding.deviation, finding.seen, finding.consequence);
//! }
//! # Ok::<(), popwire::Error>(())
//! ```
//!
//! # How it is made
//!
//! ```text
//!   Examination ──Step──> a door does it ──outcome──> Examination ... ──> Evidence ──rules, checks──> Report
//! ```
//!
//! The examination has no socket and does not wait; it says what to do next and keeps what was heard. Each rule is one
//! function over all that was heard.

mod checks;
mod evidence;
mod examination;
mod options;
mod report;
mod rules;
mod steps;

pub(crate) use evidence::{Answer, Sample};
pub(crate) use examination::Examination;
pub use options::ProbeOptions;
pub use report::{CapabilityStages, Check, Finding, Outcome, Report, Subject};
pub(crate) use steps::Step;
