//! Where messages are kept.

mod content;
mod maildir;
#[cfg(unix)]
mod mbox;
mod memory;

use std::ffi::OsString;
use std::io::{self, Read};

pub use content::{Content, Message};
pub use maildir::Maildir;
#[cfg(unix)]
pub use mbox::Mbox;
pub use memory::Memory;
pub use popwire_proto::stuff::LineEnds;

/// How a store names a message to itself, as long as the store lives. Clients never see it.
pub type Key = OsString;

/// A message in a [`Store::list`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The store's own name for it.
    pub key: Key,
    /// Its exact size on the wire, in octets, as LIST owes it (RFC 1939 section 11).
    pub size: u64,
    /// Its unique-id: 1 to 70 octets from 0x21 to 0x7E, the same in every session (RFC 1939 section 7).
    pub unique_id: Vec<u8>,
}

/// The messages of one maildrop.
///
/// The server holds the maildrop's lock while it uses a store on behalf of a client. Calls may block; unless
/// [`Store::blocks`] says otherwise they are kept off the threads that serve other clients.
pub trait Store: Send + Sync + 'static {
    /// All messages, in the order in which they are numbered, with their sizes if sent with these line ends.
    ///
    /// # Errors
    ///
    /// `ResourceBusy` if another program has it locked; the login is then refused with `[IN-USE]`. Whatever else keeps it
    /// from being read; the login is then refused with `[SYS/TEMP]`.
    fn list(&self, ends: LineEnds) -> io::Result<Vec<Entry>>;

    /// The octets of a message as they are stored.
    ///
    /// # Errors
    ///
    /// `NotFound` if the message has gone, or whatever keeps it from being read.
    fn open(&self, key: &Key) -> io::Result<Box<dyn Read + Send>>;

    /// Removes a message for good. One that has gone already counts as removed.
    ///
    /// # Errors
    ///
    /// Whatever kept it from being removed; QUIT is then answered `-ERR` (RFC 1939 section 6).
    fn remove(&self, key: &Key) -> io::Result<()>;

    /// Removes messages for good, and says of each, in the same order, what became of it. A store that has to write
    /// itself anew to remove one message does better here than one by one.
    ///
    /// # Errors
    ///
    /// Those of [`Store::remove`], for each message its own.
    fn remove_all(&self, keys: &[&Key]) -> Vec<io::Result<()>> {
        keys.iter().map(|key| self.remove(key)).collect()
    }

    /// Remembers that a client has retrieved the message.
    ///
    /// # Errors
    ///
    /// Whatever keeps the mark from being stored; the message is sent nevertheless.
    fn mark_seen(&self, key: &Key) -> io::Result<()>;

    /// Whether the message has been retrieved.
    ///
    /// # Errors
    ///
    /// `NotFound` if the message has gone.
    fn is_seen(&self, key: &Key) -> io::Result<bool>;

    /// Adds a message. Sessions that are open do not see it.
    ///
    /// # Errors
    ///
    /// `Unsupported`, unless the store can do this.
    fn deliver(&self, message: Message) -> io::Result<()> {
        drop(message);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Whether calls may wait for a disk or the like.
    fn blocks(&self) -> bool {
        true
    }
}
