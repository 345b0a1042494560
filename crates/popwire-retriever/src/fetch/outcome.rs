//! How a retrieval ended.

use std::{error, fmt, io};

use popwire::{Error, MessageNumber, Reply};

use super::Listed;
use crate::maildir::DeliveryError;

/// What a run did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Summary {
    /// How many messages the mailbox has.
    pub listed: usize,
    /// How many of them are on the disk.
    pub delivered: u64,
    /// The octets of those.
    pub octets: u64,
    /// The messages that are not, and were left on the server.
    pub failures: Vec<Failure>,
    /// The messages that were delivered, but that the server refused to mark deleted.
    pub not_marked: Vec<(MessageNumber, Error)>,
    /// What became of the messages marked deleted.
    pub deletion: Deletion,
}

impl Summary {
    /// Whether all is done that was asked for: every message delivered and, if wanted, deleted.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty()
            && self.not_marked.is_empty()
            && matches!(self.deletion, Deletion::NoneMarked | Deletion::Committed { .. })
    }
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
    /// Why.
    pub cause: Cause,
}

/// On which side it failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Cause {
    /// The server, or the connection to it.
    Session(Error),
    /// The Maildir, or the disk under it.
    Destination(DeliveryError),
}

impl Cause {
    /// Whether other messages have a chance, in the same session.
    pub(crate) fn is_about_one_message(&self) -> bool {
        match self {
            Self::Session(error) => error.is_refused() || error.is_irregular_end(),
            Self::Destination(DeliveryError::Spoiled { .. }) => true,
            // Too large for the file system, or its file in tmp/ cleaned away under us. If it was the folder that has
            // gone, the next message cannot even begin, and that ends the run.
            Self::Destination(DeliveryError::Io { doing, source, .. }) => {
                *doing != "creating"
                    && matches!(
                        source.kind(),
                        io::ErrorKind::FileTooLarge | io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists
                    )
            }
            Self::Destination(_) => false,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(error) => error.fmt(f),
            Self::Destination(error) => {
                error.fmt(f)?;
                match error::Error::source(error) {
                    Some(source) => write!(f, ": {source}"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// Why a run ended before its end. What was delivered until then stays delivered.
#[derive(Debug)]
#[non_exhaustive]
pub struct Stopped {
    /// What ended it.
    pub cause: Cause,
    /// What was done before.
    pub summary: Summary,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { delivered, listed, .. } = self.summary;
        write!(f, "stopped after {delivered} of {listed} messages: {}", self.cause)
    }
}

impl error::Error for Stopped {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match &self.cause {
            Cause::Session(error) => Some(error),
            Cause::Destination(error) => Some(error),
        }
    }
}
