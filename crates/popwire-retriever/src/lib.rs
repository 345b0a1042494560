//! From a POP3 mailbox to a durable destination, without losing a message.
//!
//! # Scope
//!
//! The order of a retrieval session, and delivery. Not in here: the protocol (the `popwire` crate), settings, passwords
//! and output (the `popwire` program). The library prints nothing; an [`Observer`] hears what happens.
//!
//! # The order
//!
//! ```text
//!   STAT, LIST, UIDL   what is there, joined by number
//!   RETR ...           asked for ahead; the octets of each as they come into a file in tmp/ of the Maildir
//!     commit           meanwhile: flush what has come, move it to new/, flush new/
//!   DELE ...           if wanted, for what was committed and for nothing else
//!   QUIT               the server deletes now, and says whether it did
//! ```
//!
//! A message that the server refuses, that does not end as messages end, or that cannot be stored while others can, is
//! reported and stays on the server; the rest goes on. A session that breaks, or a destination that is full or gone,
//! ends the run: what was committed stays delivered, and [`Stopped`] says how much that is.
//!
//! # Where a ledger goes
//!
//! There is no memory yet of what was fetched: without deletion, every run fetches everything again, and a run whose
//! deletions the server did not confirm leads to duplicates. A ledger has three places in the order above. Before RETR
//! it says which unique-ids are known. Before the commit it notes [`maildir::Delivery::name`] with the unique-id, so that
//! [`Maildir::find`](maildir::Maildir::find) tells after a crash what became of the message. Between the commit and DELE
//! it notes the delivery, durably; only then may the message be marked. The answer to QUIT closes the entry.
//!
//! # Example
//!
//! ```
//! use popwire::{Connector, Login, Security, blocking::Client};
//! use popwire_retriever::{Deletion, Fetch, Silent, maildir::Maildir};
//! # use popwire_server::{Maildrop, Server};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let home = tempfile::tempdir()?;
//! # let mail = "Subject: hello\r\n\r\nHow are you?\r\n";
//! # let server = Server::builder().user("alice", "s3cret", Maildrop::memory([mail])).start()?;
//! # let connector = Connector::new("127.0.0.1").port(server.addr().port())
//! #     .security(Security::Plain).dangerous_login_without_verified_tls();
//!
//! let maildir = Maildir::create(home.path().join("Mail"))?;
//! let mut client = Client::connect(&connector)?;
//! client.login(&Login::password("alice", "s3cret"))?;
//!
//! let summary = Fetch::new(&maildir).delete(true).run(client, &mut Silent)?;
//! assert_eq!(summary.delivered, 1);
//! assert!(matches!(summary.deletion, Deletion::Committed { messages: 1 }));
//! # Ok(()) }
//! ```

mod courier;
mod destination;
mod error;
mod fetch;
mod flock;
mod folder;
mod identity;
mod ledger;
pub mod maildir;
pub mod mbox;
mod policy;

pub use destination::{Destination, Parcel, Spool, SpoolReader, Spooler};
pub use error::DeliveryError;
pub use fetch::{
    Action, Cause, Deletion, Delivered, Failure, Fetch, Listed, Listing, Notice, Observer, Plan, QUARANTINE,
    Recovered, Silent, Stopped, Summary,
};
pub use identity::{AccountKey, Hash, HeaderHash, Identity, Mark, MessageKey};
pub use ledger::{
    AccountLock, Change, Delivery, Entry, Known, Ledger, LedgerError, Received, Recollection, Salvage,
    SqliteLedger, State,
};
pub use policy::{Keep, Rule, Test, Then};
