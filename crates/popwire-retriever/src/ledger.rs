//! The memory of what became of each message, across sessions, crashes and machines.
//!
//! # The life of a message
//!
//! ```text
//!   (unknown) ──> seen ──> intended ──> delivered ──> delete pending ──> gone
//!                  │ ^         │            │                              │
//!                  └─┘         └─> seen     └─> (kept on the server)       └─> seen, if the server
//!                tried and     the crash came before                           gives its unique-id
//!                failed        anything was delivered                          to another message
//! ```
//!
//! *Intended* is written before the first destination gets the message for good, and *delivered* when the last one has it
//! durably. What a crash leaves *intended* is looked up in the destinations before anything else is done. *Delete pending*
//! is written after the server took DELE; only its answer to QUIT, or its next listing, makes *gone* of it.
//!
//! Each [`Ledger::record`] is one step: all of its changes are on the disk when it returns, or none.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use crate::identity::{AccountKey, Hash, MessageKey};

mod salvage;
mod schema;
mod sqlite;

pub use salvage::Salvage;
pub use sqlite::SqliteLedger;

/// What is remembered of the messages of all accounts. Several processes may use the same ledger at once.
///
/// [`SqliteLedger`] is the one of a machine; another, shared by several, would be another implementation.
pub trait Ledger: fmt::Debug + Send + Sync {
    /// Takes the account for one run, until the guard is dropped or the process dies: two runs that knew nothing of each
    /// other would deliver the same messages.
    ///
    /// # Errors
    ///
    /// [`LedgerError::is_locked`] if another run has it; nobody waits for that one.
    fn lock(&self, account: &AccountKey) -> Result<AccountLock, LedgerError>;

    /// What is known of these messages, one answer for each in order; and which others were on the server when it listed
    /// its messages last.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    fn recall(&self, account: &AccountKey, listed: &[MessageKey]) -> Result<Recollection, LedgerError>;

    /// All that is known of a message.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    fn entry(&self, account: &AccountKey, key: &MessageKey) -> Result<Option<Entry>, LedgerError>;

    /// The entries that are [`State::Intended`], with the destinations that surely have them, by name.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    fn unfinished(&self, account: &AccountKey) -> Result<Vec<(Entry, Vec<String>)>, LedgerError>;

    /// The destinations that surely have this message, though others lack it, by name.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    fn deliveries(&self, account: &AccountKey, key: &MessageKey) -> Result<Vec<String>, LedgerError>;

    /// Notes changes, in order, durably, all or none of them.
    ///
    /// # Errors
    ///
    /// If they could not be written; then none is.
    fn record(&self, account: &AccountKey, changes: &[Change]) -> Result<(), LedgerError>;

    /// All entries of an account, in the order of their keys, handed to `each` until that returns false.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    fn entries(&self, account: &AccountKey, each: &mut dyn FnMut(Entry) -> bool) -> Result<(), LedgerError>;

    /// The accounts that have entries, by name.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    fn accounts(&self) -> Result<Vec<AccountKey>, LedgerError>;

    /// Notes how a run of the account ended, over what was noted of the one before.
    ///
    /// # Errors
    ///
    /// If it could not be written.
    fn note_run(&self, account: &AccountKey, run: &RunNote) -> Result<(), LedgerError>;

    /// How the last run of the account ended.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    fn last_run(&self, account: &AccountKey) -> Result<Option<LastRun>, LedgerError>;

    /// Whether something of this account may be missing: it is new, or the ledger was damaged and could not be read
    /// whole. What is fetched is then looked for in the destinations before it is delivered. [`Change::Complete`] ends it.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be read.
    fn may_have_forgotten(&self, account: &AccountKey) -> Result<bool, LedgerError>;
}

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunNote {
    /// 0 if it did all that it was to do; otherwise a number that its caller knows, such as an exit code.
    pub exit: u8,
    /// How many messages were delivered.
    pub delivered: u64,
    /// How many were left on the server, since they failed.
    pub failed: u64,
    /// What went wrong, in words.
    pub reason: Option<String>,
}

/// How the last run of an account ended, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastRun {
    /// When it ended.
    pub at: SystemTime,
    /// When the last one ended that did all that it was to do.
    pub good: Option<SystemTime>,
    /// How many in a row, this one included, did not do all that they were to do.
    pub bad: u32,
    /// How it ended.
    pub run: RunNote,
}

/// Holds an account for one run. See [`Ledger::lock`].
#[must_use = "dropped, it lets go of the account"]
pub struct AccountLock(#[expect(dead_code, reason = "held for its drop")] Box<dyn Send>);

impl AccountLock {
    /// What is dropped when the account is let go.
    pub fn new(guard: impl Send + 'static) -> Self {
        Self(Box::new(guard))
    }
}

impl fmt::Debug for AccountLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccountLock")
    }
}

/// What is known of the messages that a server lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recollection {
    /// For each listed message, in order, what is known of it.
    pub known: Vec<Option<Known>>,
    /// What was there when the server listed its messages last, and is not listed now.
    pub vanished: Vec<Entry>,
}

/// The part of an [`Entry`] that a session needs of every message: there may be very many.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Known {
    /// Where it stands.
    pub state: State,
    /// Whether the server listed it when it was asked last.
    pub present: bool,
    /// Its size by the server's listing then, in octets.
    pub listed: Option<u64>,
    /// When it was first heard of.
    pub seen: SystemTime,
    /// How often it was tried in vain since it was delivered last.
    pub failures: u32,
    /// Whether what was delivered is all of the message, and not its header alone.
    pub whole: bool,
}

/// What the ledger has about a message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Which message.
    pub key: MessageKey,
    /// Where it stands.
    pub state: State,
    /// Whether the server listed it when it was asked last.
    pub present: bool,
    /// Its size by the server's listing, in octets.
    pub listed: Option<u64>,
    /// Its size as it was received, in octets.
    pub octets: Option<u64>,
    /// The SHA-256 of what was received.
    pub content: Option<Hash>,
    /// The hash of its header ([`HeaderHash`](crate::HeaderHash)).
    pub header: Option<Hash>,
    /// When it was first heard of.
    pub seen: SystemTime,
    /// When its state changed last.
    pub changed: SystemTime,
    /// How often it was tried in vain since it was delivered last.
    pub failures: u32,
    /// Why, the last time.
    pub reason: Option<String>,
}

/// Where a message stands. The order is that of its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum State {
    /// Heard of, and not delivered.
    Seen,
    /// About to be delivered, or in the middle of it.
    Intended,
    /// Every destination has it, durably.
    Delivered,
    /// The server has it marked deleted; it has not confirmed that it is.
    DeletePending,
    /// The server has deleted it.
    Gone,
}

impl State {
    /// All of them, in order.
    pub const ALL: [Self; 5] = [Self::Seen, Self::Intended, Self::Delivered, Self::DeletePending, Self::Gone];

    /// Its name: `seen`, `intended`, `delivered`, `delete-pending`, `gone`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::Intended => "intended",
            Self::Delivered => "delivered",
            Self::DeletePending => "delete-pending",
            Self::Gone => "gone",
        }
    }

    /// Whether every destination has the message, so that it may be deleted and need not come again.
    #[must_use]
    pub fn is_delivered(self) -> bool {
        self >= Self::Delivered
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Something to be noted about a message. A message that is not in the ledger yet gets an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// The server lists it, with this size.
    Listed {
        /// Which message.
        key: MessageKey,
        /// Its size by the listing.
        octets: Option<u64>,
    },
    /// The server lists it no more. Not a word about why.
    Vanished {
        /// Which message.
        key: MessageKey,
    },
    /// It was received whole, and will be delivered.
    Intended {
        /// Which message.
        key: MessageKey,
        /// What was received.
        received: Received,
    },
    /// A destination has it, durably.
    Has {
        /// Which message.
        key: MessageKey,
        /// The destination.
        destination: String,
    },
    /// All destinations that it is to go to have it.
    Delivered {
        /// Which message.
        key: MessageKey,
        /// What was received, where that is known.
        received: Option<Received>,
    },
    /// It was not delivered: some destination lacks it.
    Undelivered {
        /// Which message.
        key: MessageKey,
    },
    /// It was tried in vain; counted.
    Failed {
        /// Which message.
        key: MessageKey,
        /// Why, in words.
        reason: String,
    },
    /// It is known since then, if no earlier time is. Of what the ledger does not have, nothing is noted.
    Since {
        /// Which message.
        key: MessageKey,
        /// When it was first heard of: from then on the days count that it stays on the server.
        seen: SystemTime,
    },
    /// It is to be tried again as if it had never failed.
    Forgiven {
        /// Which message.
        key: MessageKey,
    },
    /// The server took DELE.
    DeletePending {
        /// Which message.
        key: MessageKey,
    },
    /// The server has deleted it.
    Gone {
        /// Which message.
        key: MessageKey,
    },
    /// The server calls it by another unique-id now.
    Renamed {
        /// The key until now.
        key: MessageKey,
        /// The key from now on; an entry that has it is replaced.
        to: MessageKey,
    },
    /// It is as if it had never been heard of.
    Forgotten {
        /// Which message.
        key: MessageKey,
    },
    /// All that may have been forgotten was looked for.
    Complete,
    /// Something may have been forgotten: see [`Ledger::may_have_forgotten`].
    Incomplete,
}

/// What is known of a message that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its size by the server's listing, in octets.
    pub listed: Option<u64>,
    /// Its octets.
    pub octets: u64,
    /// The SHA-256 of them.
    pub content: Hash,
    /// The hash of its header.
    pub header: Hash,
    /// Whether it is all of the message, and not its header alone.
    pub whole: bool,
}

/// Why the ledger could not be read or written.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LedgerError {
    /// The ledger's file.
    pub path: PathBuf,
    kind: Arc<LedgerErrorKind>,
}

#[derive(Debug)]
pub(crate) enum LedgerErrorKind {
    /// It was made by a popwire that is newer than this one.
    Newer {
        version: i64,
    },
    /// The file is no ledger.
    NotALedger,
    /// Another run has this account.
    Locked {
        account: AccountKey,
    },
    Sqlite(rusqlite::Error),
    Io {
        doing: &'static str,
        source: std::io::Error,
    },
}

impl LedgerError {
    pub(crate) fn new(path: impl Into<PathBuf>, kind: LedgerErrorKind) -> Self {
        Self { path: path.into(), kind: Arc::new(kind) }
    }

    /// Whether the disk is full.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        match &*self.kind {
            LedgerErrorKind::Sqlite(error) => {
                error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
            }
            LedgerErrorKind::Io { source, .. } => {
                matches!(source.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }

    /// Whether the account is being fetched by another run.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        matches!(*self.kind, LedgerErrorKind::Locked { .. })
    }

    /// Whether another process held it for too long.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(&*self.kind, LedgerErrorKind::Sqlite(error) if matches!(
            error.sqlite_error_code(),
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
        ))
    }

    /// Whether the file's contents are damaged.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        matches!(&*self.kind, LedgerErrorKind::Sqlite(error) if salvage::tells_damage(error))
    }

    /// Whether a newer popwire made it, which this one cannot read.
    #[must_use]
    pub fn is_newer(&self) -> bool {
        matches!(*self.kind, LedgerErrorKind::Newer { .. })
    }
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &*self.kind {
            LedgerErrorKind::Newer { version } => write!(
                f,
                "the ledger {path} was made by a newer popwire (its format is {version}, this one knows {})",
                schema::VERSION
            ),
            LedgerErrorKind::NotALedger => write!(f, "{path} is no ledger of popwire's"),
            LedgerErrorKind::Locked { account } => write!(f, "{account} is being fetched by another popwire"),
            LedgerErrorKind::Sqlite(_) => write!(f, "the ledger {path} cannot be used"),
            LedgerErrorKind::Io { doing, .. } => write!(f, "{doing} {path} failed"),
        }
    }
}

impl std::error::Error for LedgerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &*self.kind {
            LedgerErrorKind::Sqlite(error) => Some(error),
            LedgerErrorKind::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
