//! From a POP3 mailbox to durable destinations: no message lost, none doubled, none changed, whatever dies and whenever.
//!
//! # Scope
//!
//! A retrieval: what is new, in which order it is made safe here and deleted there, and the memory of it, the [`Ledger`].
//! Destinations are a [Maildir](maildir), an [mbox](MboxDestination), a [program](ProgramDestination), an [LMTP
//! server](LmtpDestination), an [SMTP server](SmtpDestination), and whatever implements [`Destination`]. Not in here: the
//! protocol (the `popwire` crate), settings, passwords and output (the `popwire` program). The library prints nothing; an
//! [`Observer`] hears what happens.
//!
//! # The order
//!
//! ```text
//!   lock the account; settle what a run that was killed left open
//!   connect; STAT, LIST, UIDL   what is there, and what the ledger knows of it
//!   RETR ...                    what is new, asked for ahead, each hashed as it comes in
//!     ledger: intended            meanwhile, many at a time: flushed in tmp/, noted,
//!     deliver                     moved to new/, which is flushed; appended; ...
//!     ledger: delivered
//!   DELE ...                    for what the policy does not keep, if it is delivered everywhere
//!   ledger: delete pending
//!   QUIT                        the server deletes now, and says whether it did
//!   ledger: gone                or the next listing tells
//! ```
//!
//! So a crash anywhere costs nothing: before *intended* nothing was delivered, and behind it the destinations are asked. A
//! Maildir and an mbox know a message by its [`Mark`], which is made from the account, the unique-id and the contents. What
//! knows none, a program, gets a message once more if it dies in the moment between.
//!
//! A message that the server refuses, that does not end as messages end, that breaks the connection, or that cannot be
//! stored while others can, is reported and stays on the server; the rest goes on, over a new connection if need be. A
//! destination that is full or gone ends the run: what was delivered stays delivered, and [`Stopped`] says how much that is.
//!
//! # Example
//!
//! ```
//! use popwire::{Connector, Login, Security, blocking::Client};
//! use popwire_retriever::maildir::{Flush, Maildir, MaildirDestination};
//! use popwire_retriever::{AccountKey, Deletion, Fetch, Keep, Silent, SqliteLedger};
//! # use popwire_server::{Maildrop, Server};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let home = tempfile::tempdir()?;
//! # let mail = "Subject: hello\r\n\r\nHow are you?\r\n";
//! # let server = Server::builder().user("alice", "s3cret", Maildrop::memory([mail])).start()?;
//! # let connector = Connector::new("127.0.0.1").port(server.addr().port())
//! #     .security(Security::Plain).dangerous_login_without_verified_tls();
//!
//! let ledger = SqliteLedger::open(home.path().join("ledger.sqlite3"))?;
//! let maildir = Maildir::create(home.path().join("Mail"))?;
//! let mut connect = || {
//!     let mut client = Client::connect(&connector)?;
//!     client.login(&Login::password("alice", "s3cret"))?;
//!     Ok(client)
//! };
//!
//! let summary = Fetch::new(AccountKey::new("alice", "pop.example.org", 995), &ledger)
//!     .to(Box::new(MaildirDestination::new(maildir, Flush::Auto)))
//!     .keep(Keep::nothing())
//!     .run(&mut connect, &mut Silent)?;
//! assert_eq!(summary.delivered, 1);
//! assert!(matches!(summary.deletion, Deletion::Committed { messages: 1 }));
//! # Ok(()) }
//! ```

mod courier;
mod destination;
mod envelope;
mod error;
mod fetch;
mod flock;
mod folder;
mod identity;
mod ledger;
mod lmtp;
pub mod maildir;
pub mod mbox;
mod policy;
mod program;
mod smtp;
mod transfer;

pub use destination::{Destination, Parcel, Spool, SpoolReader, Spooler};
pub use envelope::{InvalidMailbox, Mailbox, Sender};
pub use error::DeliveryError;
pub use fetch::{
    Action, Cause, Deletion, Delivered, Failure, Fetch, Listed, Listing, Notice, Observer, Plan, QUARANTINE,
    Recovered, Silent, Stopped, Summary,
};
pub use identity::{AccountKey, Hash, HeaderHash, Identity, Mark, MessageKey};
pub use ledger::{
    AccountLock, Change, Entry, Known, LastRun, Ledger, LedgerError, Received, Recollection, RunNote,
    Salvage, SqliteLedger, State,
};
pub use lmtp::LmtpDestination;
pub use mbox::MboxDestination;
pub use policy::{Keep, Rule, Test, Then};
pub use program::ProgramDestination;
pub use smtp::SmtpDestination;
pub use transfer::SmtpSecurity;
