//! Real servers and awkward mail for the tests of the other crates.
//!
//! - [`dovecot`]: a Dovecot of one's own on loopback, with mail in it, gone when the test is.
//! - [`kerberos`]: a Kerberos realm of one's own, for GSSAPI, gone likewise.
//! - [`corpus`]: mailboxes of any size, with a manifest of what a client must receive.
//! - [`awkward`]: the small committed messages of `testdata/messages`.
//! - [`maildir`]: what lies in a Maildir, to compare with what was sent.
//! - [`crash`]: a program killed at its n-th system call, and what the disk holds after a loss of power there.
//! - [`smtpd`]: a mail server that takes SMTP, gone likewise.
//! - [`rss`]: how much memory a process had at its peak.
//! - [`process`]: a child that cannot outlive the test, and can be killed with no chance to tidy up.
//!
//! Nothing here skips: where a server or a tool is missing, the answer is an [`Error`] that says what to install.

pub mod awkward;
pub mod corpus;
pub mod crash;
pub mod dovecot;
mod error;
mod guard;
pub mod kerberos;
pub mod maildir;
mod places;
pub mod process;
pub mod rss;
pub mod smtpd;

pub use error::{Error, Result};
pub use places::{testdata, tmp};
