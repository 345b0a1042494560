//! The command line of `popwire state`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::StateArgs;

/// Look at what was fetched, and correct it
///
/// The ledger remembers what became of each message: seen, intended, delivered, delete-pending, gone. It is what keeps
/// popwire from fetching a message twice. An account is called by its name there, such as alice@pop.example.org, and a
/// message by its unique-id.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct LedgerArgs {
    #[command(subcommand)]
    pub(crate) command: LedgerCommand,

    #[command(flatten)]
    pub(crate) state: StateArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Show the accounts, or the messages of one
    ///
    /// Of accounts: how many messages are in which state. Of an account: a line for each message, with its state, its size
    /// in octets, the time when it was first seen (UTC), how often it failed, its unique-id and why it failed, separated by
    /// TABs.
    Show {
        /// The account; without it, all of them
        account: Option<String>,
    },
    /// Take messages for fetched, so that they never are
    Mark {
        /// The account; it need not be known yet
        account: String,
        /// Their unique-ids
        #[arg(required = true, value_name = "UID")]
        uids: Vec<String>,
    },
    /// Forget messages: the next run fetches them as new
    Forget {
        /// The account
        account: String,
        /// Their unique-ids
        #[arg(value_name = "UID", required_unless_present = "all")]
        uids: Vec<String>,
        /// All that is known of the account
        #[arg(long, conflicts_with = "uids")]
        all: bool,
    },
    /// Try messages again that failed too often
    Retry {
        /// The account
        account: String,
        /// Their unique-ids; without them, all that failed
        #[arg(value_name = "UID")]
        uids: Vec<String>,
    },
    /// Compare with the destinations what comes next, as after a loss of the ledger
    ///
    /// In the next runs each message that the ledger does not know is looked for in the Maildirs and mboxes that it would go
    /// to, and is not delivered where it is found.
    Rebuild {
        /// The account
        account: String,
    },
    /// Print all that is known, as JSON, a message per line
    Export {
        /// The account; without it, all of them
        account: Option<String>,
    },
}

/// Tell how the last run of each account ended
///
/// A line for each account that was ever fetched: when its last run ended and how, when the last good one did, how many of its
/// messages are here, and what failed. The exit code is that of the worst.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Write it into this file too, as Prometheus' node exporter reads text files
    #[arg(long, value_name = "FILE")]
    pub(crate) prometheus: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) state: StateArgs,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  popwire state show
  popwire state show alice@pop.example.org | grep ^seen
  Never fetch this one:
    popwire state mark alice@pop.example.org 00012f3a
  The server is mended:
    popwire state retry alice@pop.example.org
  A copy of it all, to keep:
    popwire state export > ledger.jsonl";
