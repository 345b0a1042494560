//! Where mail is delivered to: what every kind of place has in common.

use std::collections::HashSet;
use std::fmt;
use std::io::{self, Read, Write};

use crate::DeliveryError;
use crate::identity::{AccountKey, Mark, MessageKey};
use crate::ledger::Received;

mod share;
mod spool;
#[cfg(test)]
pub(crate) mod testing;

pub(crate) use share::share;
pub use spool::{Spool, SpoolReader};

/// A place that messages are delivered to.
///
/// A batch of messages goes through two steps, and the ledger takes note before each of them: [`prepare`](Self::prepare)
/// does all that can be done, and can fail, without anybody seeing a message; [`commit`](Self::commit) delivers. What the
/// process was about when it died is found by the ledger's notes, and looked up by [`marks`](Self::marks).
pub trait Destination: fmt::Debug + Send {
    /// What the ledger calls it: its kind and its place, such as `maildir:/home/alice/Mail`. It never changes, since a
    /// message that one destination has and another lacks is remembered by it.
    fn name(&self) -> &str;

    /// Tries whether it could take mail now, as far as that goes without delivering any.
    ///
    /// # Errors
    ///
    /// Why it could not.
    fn check(&mut self) -> Result<(), DeliveryError> {
        Ok(())
    }

    /// Whether [`marks`](Self::marks) tells which messages are here. What another kind of destination got just before a crash
    /// it gets once more.
    fn remembers(&self) -> bool;

    /// The marks of all messages that are here, durably, of those that popwire delivered: a message whose mark is among
    /// them need not be delivered again. What a crash left in parts is removed, or is not counted.
    ///
    /// # Errors
    ///
    /// If it cannot be looked at.
    fn marks(&mut self) -> Result<HashSet<Mark>, DeliveryError>;

    /// What gives each message a place to be gathered in while it is received, if this destination has a better one than
    /// others: one that it can take over without a copy.
    fn spooler(&self) -> Option<Spooler> {
        None
    }

    /// Does everything ahead that can be done ahead, and gives a result for each message, in order. What an earlier call
    /// prepared and nobody committed is dropped.
    fn prepare(&mut self, parcels: &[&Parcel]) -> Vec<Result<(), DeliveryError>>;

    /// Delivers messages that were prepared, in the order in which they were; those that are left out are not delivered. A
    /// message is here for good, through loss of power too, once its result says so. The text tells people where it is.
    fn commit(&mut self, parcels: &[&Parcel]) -> Vec<Result<String, DeliveryError>>;
}

/// Gives a new spool for each message.
///
/// # Errors
///
/// If the destination's place cannot take any. No message is asked for then.
pub type Spooler = Box<dyn FnMut() -> Result<Spool, DeliveryError> + Send>;

/// A message that was received whole, on its way to the destinations.
#[derive(Debug)]
#[non_exhaustive]
pub struct Parcel {
    /// Whose it is.
    pub account: AccountKey,
    /// Which message.
    pub key: MessageKey,
    /// Its size and its hashes, as it came from the server.
    pub received: Received,
    /// The name of this delivery, the same whenever this message is delivered.
    pub mark: Mark,
    spool: Spool,
}

impl Parcel {
    /// A message with the octets in `spool`, which are those of `received`, and header lines in front of them if some are
    /// to be added.
    #[must_use]
    pub fn new(account: AccountKey, key: MessageKey, received: Received, spool: Spool) -> Self {
        let mark = Mark::new(&account, &key, &received.content);
        Self { account, key, received, mark, spool }
    }

    /// How many octets there are to deliver.
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.spool.octets()
    }

    /// Reads the octets to deliver, from the first on.
    #[must_use]
    pub fn reader(&self) -> SpoolReader<'_> {
        self.spool.reader()
    }

    /// Where the octets are.
    #[must_use]
    pub fn spool(&self) -> &Spool {
        &self.spool
    }

    /// Writes the octets into another file or stream.
    ///
    /// # Errors
    ///
    /// Those of reading and of writing.
    pub fn copy_to(&self, writer: &mut dyn Write) -> io::Result<()> {
        let mut reader = self.reader();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = match reader.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(reason) if reason.kind() == io::ErrorKind::Interrupted => continue,
                Err(reason) => return Err(reason),
            };
            writer.write_all(buffer.get(..read).unwrap_or_default())?;
        }
    }
}
