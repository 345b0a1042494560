//! Who wants to know how a retrieval goes.

use popwire::Error;

use super::{Failure, Listed, Listing, Summary};
use crate::maildir::Delivered;

/// Hears what happens in a retrieval, as it happens. Every method does nothing by default.
pub trait Observer {
    /// The mailbox is listed; nothing was fetched yet.
    fn opened(&mut self, listing: &Listing) {
        let _ = listing;
    }

    /// A message is asked for.
    fn begun(&mut self, message: &Listed) {
        let _ = message;
    }

    /// So many octets of the message were received so far. Called for every piece from the network: be quick.
    fn progress(&mut self, message: &Listed, octets: u64) {
        let _ = (message, octets);
    }

    /// The message is on the disk. It was not marked deleted yet.
    fn delivered(&mut self, message: &Listed, delivered: &Delivered) {
        let _ = (message, delivered);
    }

    /// A message was not delivered. It stays on the server, and the run goes on.
    fn failed(&mut self, failure: &Failure) {
        let _ = failure;
    }

    /// The server marked the message; at the answer to QUIT it is deleted.
    fn marked(&mut self, message: &Listed) {
        let _ = message;
    }

    /// The server refused to mark the message, which is delivered.
    fn not_marked(&mut self, message: &Listed, error: &Error) {
        let _ = (message, error);
    }

    /// The run came to its end. Not called if it was stopped.
    fn finished(&mut self, summary: &Summary) {
        let _ = summary;
    }
}

/// An [`Observer`] that does nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {}
