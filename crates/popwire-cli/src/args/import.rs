//! The command line of `popwire import`.

use std::path::PathBuf;

use clap::Args;

use super::StateArgs;
use crate::import::Kind;

/// Take over from fetchmail, getmail, mpop or Thunderbird
///
/// Reads the configuration of another program and the list of what it has fetched. Its POP3 accounts are added to popwire's
/// configuration, and the messages that it has fetched are noted in the ledger, so that none of them comes again. Nothing
/// that the other program has is changed, and no server is asked.
///
/// An account that the configuration has already stays as it is. What popwire has no word for is left out and told, with
/// its line. Passwords do not go into the configuration: each gets a file of its own that only you can read.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = MORE)]
pub(crate) struct ImportArgs {
    /// Whose files to read
    #[arg(value_enum, value_name = "KIND")]
    pub(crate) kind: Kind,

    /// The file or the folder to read; without it, the program's own
    #[arg(value_name = "PATH")]
    pub(crate) path: Option<PathBuf>,

    /// The list of what was fetched, if it is not where the program has it
    #[arg(long, value_name = "FILE")]
    pub(crate) ids: Option<PathBuf>,

    /// The configuration to add to
    ///
    /// Without it: the file that POPWIRE_CONFIG names, or popwire/config.toml in XDG_CONFIG_HOME or ~/.config.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Show what would be written, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) state: StateArgs,
}

// These are printed as they stand: no line is longer than 78 columns.

const EXAMPLES: &str = "\
Examples:
  popwire import fetchmailrc
  popwire import mpoprc --dry-run
  popwire import thunderbird ~/.thunderbird/abcd1234.default

More, with exit codes: popwire import --help";

const MORE: &str = "\
What is read:
  fetchmailrc   ~/.fetchmailrc, ~/.fetchids or what `set idfile` names
  getmailrc     the rc files in ~/.config/getmail or ~/.getmail, and their
                oldmail-* files
  mpoprc        ~/.mpoprc or ~/.config/mpop/config, and ~/.mpop_uidls
  thunderbird   prefs.js of the profile that Thunderbird starts by itself,
                and popstate.dat of each account
  The first three find passwords in ~/.netrc, too.

Stop the other program before: what it fetches later is not known here.

Exit codes:
   0  everything is taken over, or told by a warning
  64  the command line makes no sense
  65  a file of the other program cannot be understood, or the ledger is bad
  74  a file cannot be read or written
  75  the account is being fetched: try again
  78  the configuration is not right, or there is nothing to import

Examples:
  See what would become of it:
    popwire import fetchmailrc --dry-run
  A file that is somewhere else, with its list of unique-ids:
    popwire import fetchmailrc /mnt/old/.fetchmailrc --ids /mnt/old/.fetchids";
