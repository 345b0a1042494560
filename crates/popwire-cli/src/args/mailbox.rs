//! The command lines of those who look into a mailbox, or try a configuration.

use clap::Args;

use super::{MailboxArgs, StateArgs};

/// Print messages as they are on the server
///
/// Prints the octets of the messages to stdout, one after the other. Nothing is changed there, except that some servers take
/// what was read for seen.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) mailbox: MailboxArgs,

    /// The messages: their unique-ids, or their numbers, as `ls` shows them
    #[arg(required = true, value_name = "MESSAGE")]
    pub(crate) messages: Vec<String>,
}

/// Delete messages on the server without fetching them
///
/// What is deleted there is gone. Without --yes it is shown what would be deleted, and nothing is.
#[derive(Debug, Args)]
#[command(after_help = RM_EXAMPLES)]
pub(crate) struct RmArgs {
    #[command(flatten)]
    pub(crate) mailbox: MailboxArgs,

    /// The messages: their unique-ids, or their numbers, as `ls` shows them
    #[arg(required = true, value_name = "MESSAGE")]
    pub(crate) messages: Vec<String>,

    /// Do delete them
    #[arg(long, help_heading = "Mail")]
    pub(crate) yes: bool,
}

/// Try the whole configuration, without fetching anything
///
/// Reads the configuration, signs in to each account, looks at what its server can do, and tries each destination as far as
/// that goes without delivering: a Maildir is written to, an mbox is locked, a mail server is greeted.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The accounts to try, by name; without any, all
    #[arg(value_name = "ACCOUNT")]
    pub(crate) accounts: Vec<String>,

    #[command(flatten)]
    pub(crate) state: StateArgs,
}

pub(super) const RM_EXAMPLES: &str = "\
Examples:
  popwire ls isp
  popwire rm isp 00012f3a
  popwire rm isp 00012f3a --yes";
