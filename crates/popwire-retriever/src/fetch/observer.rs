//! Who wants to know how a retrieval goes.

use popwire::Error;

use super::{Failure, Listed, Listing, Plan};
use crate::fetch::Cause;

/// Hears what happens in a retrieval, as it happens. Every method does nothing by default.
pub trait Observer {
    /// The mailbox is listed; nothing was fetched yet.
    fn opened(&mut self, listing: &Listing) {
        let _ = listing;
    }

    /// It is settled what becomes of each message.
    fn planned(&mut self, plan: &Plan) {
        let _ = plan;
    }

    /// Something is odd about the mailbox; the run goes on.
    fn noticed(&mut self, notice: &Notice) {
        let _ = notice;
    }

    /// A message is asked for.
    fn begun(&mut self, message: &Listed) {
        let _ = message;
    }

    /// So many octets of the message were received so far. Called for every piece from the network: be quick.
    fn progress(&mut self, message: &Listed, octets: u64) {
        let _ = (message, octets);
    }

    /// Every destination has the message, durably. It was not marked deleted yet.
    fn delivered(&mut self, message: &Listed, delivered: &Delivered) {
        let _ = (message, delivered);
    }

    /// The message was delivered earlier, as its contents or its mark tell.
    fn recognised(&mut self, message: &Listed) {
        let _ = message;
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

    /// The connection failed; the run goes on over another.
    fn reconnecting(&mut self, cause: &Cause) {
        let _ = cause;
    }
}

/// A message that was delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivered {
    /// Its octets, as they were received.
    pub octets: u64,
    /// Their SHA-256.
    pub content: crate::Hash,
    /// Where it lies now, for people: one text for each destination that got it in this run.
    pub places: Vec<String>,
}

/// Something odd about a mailbox, that loses nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// So many messages that were there are not listed any more, and nothing new is. Nothing is concluded from that: should
    /// they come back, they are known.
    Shrunk {
        /// How many were there.
        before: usize,
        /// How many are left.
        now: usize,
    },
    /// The server calls its messages by other unique-ids than before. So many were recognised by their headers.
    Renumbered {
        /// How many were known before.
        known: usize,
        /// How many of them were recognised.
        recognised: usize,
    },
    /// The server has no unique-ids, or not for all messages: those without are known by their headers.
    ByHeader {
        /// How many.
        messages: usize,
    },
    /// Rules ask for headers, and the server shows none (TOP): what they might hold back is fetched.
    RulesWithoutTop,
    /// Lines of the server's listing that could not be read; there may be a message behind each.
    Unreadable {
        /// How many.
        lines: usize,
    },
}

/// An [`Observer`] that does nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {}
