//! The command line of `popwire watch`.

use clap::Args;

use super::StateArgs;

/// Fetch again and again, as a service
///
/// Fetches the accounts of the configuration, each at its interval (`interval = "5m"` unless it says otherwise), a tenth
/// earlier or later, so that not all mailboxes of the world are looked at in the same second. A server that announces a
/// pause between sign-ins, or whose provider is known to want one, gets it. After a failure the pauses grow, up to an hour.
///
/// SIGHUP reads the configuration again. SIGTERM and SIGINT end it within two seconds, with exit code 0. Under systemd it
/// says when it is ready; docs/watch.md has a unit.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct WatchArgs {
    /// The accounts to watch, by name; without any, all
    #[arg(value_name = "ACCOUNT")]
    pub(crate) accounts: Vec<String>,

    #[command(flatten)]
    pub(crate) state: StateArgs,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  popwire watch
  popwire watch isp work --json";
