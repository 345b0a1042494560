//! How a retrieval ended.

use std::{error, fmt};

use popwire::{Error, MessageNumber, Reply};

use super::Listed;
use crate::error::DeliveryError;
use crate::identity::{AccountKey, MessageKey};
use crate::ledger::{Entry, LedgerError};

/// What a run did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Summary {
    /// How many messages the mailbox had at the beginning.
    pub listed: usize,
    /// How many of them had been delivered earlier.
    pub known: usize,
    /// How many of them the rules left on the server.
    pub skipped: usize,
    /// How many more a limit left for another run.
    pub left_over: usize,
    /// How many were delivered.
    pub delivered: u64,
    /// The octets of those, as they were received.
    pub octets: u64,
    /// How many turned out to have been delivered earlier: by their contents, or by their marks in the destinations.
    pub recognised: u64,
    /// How many an earlier run left in the middle of their delivery, and what became of them.
    pub recovered: Recovered,
    /// The messages that were not delivered, and were left on the server.
    pub failures: Vec<Failure>,
    /// The messages that are not tried any more, since they failed [`QUARANTINE`](super::QUARANTINE) times; they are still on
    /// the server.
    pub quarantined: Vec<Entry>,
    /// The messages that were delivered, but that the server refused to mark deleted.
    pub not_marked: Vec<(MessageNumber, Error)>,
    /// How many the server has deleted, by its own word.
    pub deleted: u64,
    /// How many an earlier run had marked deleted without hearing what became of them, and that are gone.
    pub settled: u64,
    /// What became of the messages marked deleted in the last session.
    pub deletion: Deletion,
    /// Over how many connections it went.
    pub sessions: u32,
}

impl Summary {
    /// Whether all is done that was asked for: every message delivered and, if wanted, deleted.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty()
            && self.quarantined.is_empty()
            && self.not_marked.is_empty()
            && matches!(self.deletion, Deletion::NoneMarked | Deletion::Committed { .. })
    }
}

/// What became of messages that an earlier run had not finished with when it was killed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovered {
    /// The destinations have them.
    pub delivered: u64,
    /// Some destination has not got them: they are fetched again.
    pub undone: u64,
}

/// What became of the messages marked deleted, by the server's answer to QUIT.
#[derive(Debug, Default)]
#[non_exhaustive]
pub enum Deletion {
    /// None was marked: none was to be, or none was delivered.
    #[default]
    NoneMarked,
    /// They are deleted.
    Committed {
        /// How many.
        messages: u64,
    },
    /// The server said that some or all of them were not deleted.
    Refused {
        /// How many were marked.
        messages: u64,
        /// The server's words.
        reply: Reply,
    },
    /// The answer did not come: they may be deleted or not. The next listing tells.
    Unknown {
        /// How many were marked.
        messages: u64,
        /// Why the answer did not come; `None` if the session broke before QUIT could be said.
        error: Option<Error>,
    },
}

/// A message that was not delivered.
#[derive(Debug)]
#[non_exhaustive]
pub struct Failure {
    /// The message, which is still on the server.
    pub message: Listed,
    /// By what the ledger knows it, if it can be known.
    pub key: Option<MessageKey>,
    /// Why.
    pub cause: Cause,
    /// How often it was tried in vain, this time included.
    pub tries: u32,
}

/// What something failed at.
#[derive(Debug)]
#[non_exhaustive]
pub enum Cause {
    /// No session could be had; the error is the caller's own.
    Connect(Box<dyn error::Error + Send + Sync>),
    /// The server, or the connection to it.
    Session(Error),
    /// A destination, or the disk under it.
    Destination(DeliveryError),
    /// The ledger, or the disk under it.
    Ledger(LedgerError),
    /// The server gives its messages no unique-ids and shows no headers (TOP): what is kept there would come again with
    /// every run.
    Unrecognisable,
    /// The server calls its messages by other unique-ids than before, and does not show whether they are the same.
    Renumbered {
        /// How many were known before.
        known: usize,
        /// How many are there now, all under ids that were never seen.
        unknown: usize,
        /// The octets of those, by the server's count.
        octets: Option<u64>,
    },
    /// The run was asked to end.
    Interrupted,
}

impl Cause {
    /// Whether other messages have a chance, in the same session.
    pub(crate) fn is_about_one_message(&self) -> bool {
        match self {
            Self::Session(error) => error.is_refused() || error.is_irregular_end(),
            Self::Destination(error) => error.is_about_one_message(),
            _ => false,
        }
    }

    /// Whether it was the connection that failed, so that another may go further.
    pub(crate) fn is_broken_session(&self) -> bool {
        matches!(self, Self::Session(_)) && !self.is_about_one_message()
    }

    fn inner(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Connect(error) => Some(&**error),
            Self::Session(error) => Some(error),
            Self::Destination(error) => Some(error),
            Self::Ledger(error) => Some(error),
            _ => None,
        }
    }
}

/// With the system's words, where there are some.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => return error.fmt(f),
            Self::Session(error) => return error.fmt(f),
            Self::Unrecognisable => {
                f.write_str(
                    "the server has neither unique-ids (UIDL) nor headers (TOP) to know its messages by",
                )?;
            }
            Self::Renumbered { known, unknown, .. } => write!(
                f,
                "the server has renumbered its mail: {unknown} of {unknown} unique-ids are new, none of the {known} known \
                 ones is left"
            )?,
            Self::Interrupted => f.write_str("it was interrupted")?,
            Self::Destination(error) => error.fmt(f)?,
            Self::Ledger(error) => error.fmt(f)?,
        }
        match self.inner().and_then(error::Error::source) {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl From<Error> for Cause {
    fn from(error: Error) -> Self {
        Self::Session(error)
    }
}

impl From<DeliveryError> for Cause {
    fn from(error: DeliveryError) -> Self {
        Self::Destination(error)
    }
}

impl From<LedgerError> for Cause {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

/// Why a run ended before its end. What was delivered until then stays delivered.
#[derive(Debug)]
#[non_exhaustive]
pub struct Stopped {
    /// Whose run it was.
    pub account: AccountKey,
    /// What ended it.
    pub cause: Cause,
    /// What was done before.
    pub summary: Summary,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, cause, summary } = self;
        write!(f, "{account}: stopped after {} messages: {cause}", summary.delivered)
    }
}

impl error::Error for Stopped {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.cause.inner()
    }
}
