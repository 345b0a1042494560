//! The command line as it is written; `settings` makes sense of it.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{ArgAction, ArgGroup, Args, Parser, Subcommand, ValueEnum};
use popwire::{Mechanism, Method, Pipelining};
use popwire_retriever::Mailbox;
use popwire_retriever::maildir::Flush;

mod import;
mod mailbox;
mod serve;
mod state;
mod watch;

pub(crate) use import::ImportArgs;
pub(crate) use mailbox::{CheckArgs, RmArgs, ShowArgs};
pub(crate) use serve::ServeArgs;
pub(crate) use state::{LedgerArgs, LedgerCommand, StatusArgs};
pub(crate) use watch::WatchArgs;

/// A mail retriever for POP3 that loses nothing, doubles nothing and changes nothing
///
/// popwire fetches mail from POP3 mailboxes. It verifies TLS, stores messages byte for byte, and deletes on the server
/// only what is safely on your disk.
#[derive(Debug, Parser)]
#[command(name = "popwire", version, after_help = EXAMPLES, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Fetch(FetchArgs),
    Import(ImportArgs),
    Watch(WatchArgs),
    Ls(LsArgs),
    Show(ShowArgs),
    Rm(RmArgs),
    Check(CheckArgs),
    Status(StatusArgs),
    State(LedgerArgs),
    Probe(ProbeArgs),
    Demo(DemoArgs),
    Serve(Box<ServeArgs>),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

/// Fetch what is new in a mailbox
///
/// Fetches every message that was not fetched before into a Maildir, which is created if it is missing. What was fetched is
/// remembered in a ledger, so that nothing comes twice, whatever dies and whenever. A message is on the disk, under its
/// final name, before it is marked for deletion; without --delete the server keeps everything.
///
/// A message that the server cannot give is reported and left there, and the rest goes on. After three times in vain it is
/// not tried any more, and every run says so.
#[derive(Debug, Default, Args)]
#[command(after_help = FETCH_EXAMPLES, after_long_help = FETCH_MORE)]
pub(crate) struct FetchArgs {
    /// The accounts of the configuration, by name, or a mailbox: pops://user@host for TLS, pop://user@host for STLS
    ///
    /// Without any, all accounts of the configuration are fetched, four at a time. With a URL the destinations have to be
    /// named. What else is said here goes before the configuration.
    #[arg(value_name = "ACCOUNT|URL")]
    pub(crate) mailboxes: Vec<String>,

    #[command(flatten)]
    pub(crate) to: DestinationArgs,

    /// Keep the messages on the server (default)
    #[arg(long, conflicts_with_all = ["delete", "delete_after"], help_heading = "Mail")]
    pub(crate) keep: bool,

    /// Delete each message on the server once it is safe here
    #[arg(long, conflicts_with = "delete_after", help_heading = "Mail")]
    pub(crate) delete: bool,

    /// Delete each message on the server so many days after it was first seen, once it is safe here
    #[arg(long, value_name = "DAYS", help_heading = "Mail")]
    pub(crate) delete_after: Option<u32>,

    /// Fetch at most N messages, the lowest numbers first
    #[arg(long, value_name = "N", help_heading = "Mail")]
    pub(crate) limit: Option<NonZeroUsize>,

    /// Say QUIT and sign in again after every N messages, so that less is at stake over a bad line
    #[arg(long, value_name = "N", help_heading = "Mail")]
    pub(crate) batch: Option<NonZeroUsize>,

    /// Show what would be done, and do nothing of it
    #[arg(long, help_heading = "Mail")]
    pub(crate) dry_run: bool,

    /// Fetch as new what the server has renumbered and does not show to be the same
    #[arg(long, hide_short_help = true, help_heading = "Mail")]
    pub(crate) accept_new_ids: bool,

    #[command(flatten)]
    pub(crate) state: StateArgs,

    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
}

/// Where mail goes.
#[derive(Debug, Default, Args)]
#[command(group(ArgGroup::new("server").args(["lmtp", "smtp"]).multiple(true)))]
pub(crate) struct DestinationArgs {
    /// Deliver into this Maildir, which is created if it is missing
    ///
    /// Destinations may be named several times and together: a message counts as delivered when all of them have it.
    #[arg(long, value_name = "DIR", help_heading = "Mail")]
    pub(crate) maildir: Vec<PathBuf>,

    /// Append to this mbox (mboxrd), which is locked meanwhile
    #[arg(long, value_name = "FILE", help_heading = "Mail")]
    pub(crate) mbox: Vec<PathBuf>,

    /// Pipe each message to this shell command; exit code 0 means that it is delivered
    ///
    /// The message is on its standard input. In its environment are POPWIRE_ACCOUNT, POPWIRE_UID, POPWIRE_SIZE,
    /// POPWIRE_SHA256, and POPWIRE_MARK, which is the same when a message comes once more after a crash.
    #[arg(long, value_name = "CMD", help_heading = "Mail")]
    pub(crate) pipe: Vec<OsString>,

    /// Hand over to the LMTP server at this host and port, or socket
    #[arg(long, value_name = "PLACE", help_heading = "Mail", requires = "recipient")]
    pub(crate) lmtp: Vec<String>,

    /// Hand over to the mail server (SMTP) at this host, or host and port
    ///
    /// With TLS from the first octet, on port 465; to localhost without, on port 25. For STARTTLS and for a login there is
    /// the configuration.
    #[arg(long, value_name = "PLACE", help_heading = "Mail", requires = "recipient")]
    pub(crate) smtp: Vec<String>,

    /// Whom LMTP and SMTP servers are to deliver to
    #[arg(long, value_name = "ADDRESS", help_heading = "Mail", requires = "server", value_parser = mailbox)]
    pub(crate) recipient: Option<Mailbox>,

    /// How mail gets onto the disk: `auto` flushes the file system once for many messages where that is sure and quicker;
    /// `files` flushes each file by itself and nothing of other programs
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "HOW",
        hide_short_help = true,
        help_heading = "Mail"
    )]
    pub(crate) flush: FlushArg,
}

/// Where the ledger is.
#[derive(Debug, Default, Args)]
pub(crate) struct StateArgs {
    /// The folder of the ledger, which knows what was fetched
    ///
    /// Without it: the folder that POPWIRE_STATE names, or popwire in XDG_STATE_HOME, or ~/.local/state/popwire.
    #[arg(
        long = "state",
        value_name = "DIR",
        hide_short_help = true,
        global = true,
        help_heading = "Ledger"
    )]
    pub(crate) folder: Option<PathBuf>,
}

/// See [`popwire::Pipelining`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PipeliningArg {
    /// Where the server announces it
    #[default]
    Auto,
    /// Everywhere, until a server has lost or mixed up something
    Always,
    /// Nowhere
    Never,
}

impl From<PipeliningArg> for Pipelining {
    fn from(pipelining: PipeliningArg) -> Self {
        match pipelining {
            PipeliningArg::Auto => Self::WhereAnnounced,
            PipeliningArg::Always => Self::Always,
            PipeliningArg::Never => Self::Never,
        }
    }
}

/// See [`popwire_retriever::maildir::Flush`].
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum FlushArg {
    #[default]
    Auto,
    Files,
}

impl From<FlushArg> for Flush {
    fn from(flush: FlushArg) -> Self {
        match flush {
            FlushArg::Auto => Self::Auto,
            FlushArg::Files => Self::Files,
        }
    }
}

/// List a mailbox: look before you fetch
///
/// Shows number, size, date, sender and subject of every message. Nothing is changed on the server. Where the server
/// cannot send headers alone (TOP), number, size and unique-id are shown.
///
/// On a terminal the columns are cut to its width. In a pipe every message is one line of six fields, separated by one
/// TAB, without a heading: number, size in octets, unique-id, date (UTC), sender, subject. A field that is not known is
/// empty. Control characters of a mail are never printed as they are.
#[derive(Debug, Args)]
#[command(after_help = LS_EXAMPLES)]
pub(crate) struct LsArgs {
    /// List at most N messages, the lowest numbers first
    #[arg(long, value_name = "N", help_heading = "Mail")]
    pub(crate) limit: Option<NonZeroUsize>,

    #[command(flatten)]
    pub(crate) mailbox: MailboxArgs,
}

/// Find out what a server does, and what it does wrong
///
/// Signs in once, asks what any mail program asks, and looks at the answers more closely: greeting, TLS and certificate,
/// capabilities at each stage, listings, sizes, pipelining. Then it compares what it saw with the known deviations of real
/// servers, and tells for each that it finds what popwire does about it.
///
/// Nothing is deleted, and without --retr nothing is fetched: up to three messages are looked into by TOP, which few
/// servers take for reading. A server that hangs up in the middle sees a few more connections, never more than two unknown
/// commands on each. When nothing is odd, the report ends with "nothing found".
///
/// The exit code is 0 if the probe ran, whatever it found. If the server lets nobody in, what was seen until then is
/// printed, and the exit codes are those of fetch.
#[derive(Debug, Args)]
#[command(after_help = PROBE_EXAMPLES)]
pub(crate) struct ProbeArgs {
    /// Fetch the smallest message by RETR, to compare sizes and headers; most servers mark it as seen
    #[arg(long, help_heading = "Mail")]
    pub(crate) retr: bool,

    #[command(flatten)]
    pub(crate) mailbox: MailboxArgs,
}

/// See it work, with a mail server of its own
///
/// Starts a mail server on this machine, fills it with some of the most awkward mail there is, fetches all of it over
/// TLS with deletion, and compares every byte. Nothing leaves this machine.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// The Maildir to fetch into. One that an earlier demo made is emptied first; anything else that exists is left
    /// alone
    #[arg(long, value_name = "DIR", default_value = "popwire-demo")]
    pub(crate) into: PathBuf,
}

/// Print the completions of a shell
///
/// For bash: popwire completions bash > ~/.local/share/bash-completion/completions/popwire
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

/// Write the man pages, one for each command
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The folder to write them into, such as ~/.local/share/man/man1; it is created if it is missing
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
}

/// Which mailbox.
#[derive(Debug, Args)]
pub(crate) struct MailboxArgs {
    /// The mailbox: pops://user@host for TLS, pop://user@host for STLS; or an account of the configuration
    ///
    /// pops:// is TLS from the first octet, on port 995. pop:// is STLS, on port 110; if the server does not offer it,
    /// nothing is sent. Another port follows the host, after a colon. An @ in the user's name is written %40. There is no
    /// place for a password.
    // A string, and not yet a URL: the message about a malformed one must not repeat it, since there may be a
    // password in it.
    #[arg(value_name = "ACCOUNT|URL")]
    pub(crate) mailbox: String,

    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
}

/// How to reach a mailbox.
#[derive(Debug, Default, PartialEq, Eq, Args)]
pub(crate) struct ConnectArgs {
    /// The user's name, instead of the one in the URL
    #[arg(long, value_name = "NAME", help_heading = "Sign-in")]
    pub(crate) user: Option<String>,

    /// Take the password from this environment variable
    #[arg(long, value_name = "VAR", help_heading = "Sign-in", group = "source")]
    pub(crate) password_env: Option<OsString>,

    /// Take the password from the first line of this file
    #[arg(long, value_name = "FILE", help_heading = "Sign-in", group = "source")]
    pub(crate) password_file: Option<PathBuf>,

    /// Take the password from the first line that this shell command prints
    #[arg(long, value_name = "CMD", help_heading = "Sign-in", group = "source")]
    pub(crate) password_command: Option<OsString>,

    /// The account in the desktop's keyring. The configuration alone says so.
    #[arg(skip)]
    pub(crate) keyring: Option<String>,

    /// Take an OAuth 2 access token from the first line that this shell command prints
    ///
    /// The command runs before the connection is made. If the server refuses the token, it runs once more, with what the
    /// server said in the environment variable POPWIRE_TOKEN_REFUSED, and may print another. Tokens go out over TLS only.
    #[arg(long, value_name = "CMD", help_heading = "Sign-in", group = "source")]
    pub(crate) oauth_token_command: Option<OsString>,

    /// Sign in by this mechanism, and by no other; given more than once, by the first that the server offers
    ///
    /// Without it, the strongest that the server offers is taken: SCRAM bound to the TLS session, SCRAM, PLAIN, USER,
    /// LOGIN; for tokens OAUTHBEARER or XOAUTH2. By name only: APOP, CRAM-MD5, DIGEST-MD5, NTLM, which are weak;
    /// EXTERNAL, for a client certificate; GSSAPI, for a Kerberos ticket; ANONYMOUS.
    #[arg(long, value_name = "MECH", help_heading = "Sign-in", value_parser = method)]
    pub(crate) auth: Vec<Method>,

    /// Send the password in Latin-1 instead of UTF-8, for old servers
    #[arg(long, help_heading = "Sign-in", conflicts_with = "utf8_login")]
    pub(crate) latin1_password: bool,

    /// Send a name or password that is not ASCII even if the server does not announce UTF-8
    #[arg(long, help_heading = "Sign-in")]
    pub(crate) utf8_login: bool,

    /// Trust the certificates issued by the CA in this file (PEM), and no others
    #[arg(long, value_name = "FILE", help_heading = "TLS", conflicts_with = "pin")]
    pub(crate) ca: Option<PathBuf>,

    /// Trust the server that has this key, whatever its certificate says
    ///
    /// PIN is sha256// and the SHA-256 of the public key in base64, as for curl. May be given more than once. Its owner
    /// finds it with: openssl x509 -in cert.pem -pubkey -noout | openssl pkey -pubin -outform der |
    /// openssl dgst -sha256 -binary | base64
    #[arg(long, value_name = "PIN", help_heading = "TLS")]
    pub(crate) pin: Vec<String>,

    /// Show this certificate (PEM, with its chain) to the server
    #[arg(long, value_name = "FILE", help_heading = "TLS", requires = "client_key")]
    pub(crate) client_cert: Option<PathBuf>,

    /// The private key of the client certificate (PEM)
    #[arg(long, value_name = "FILE", help_heading = "TLS", requires = "client_cert")]
    pub(crate) client_key: Option<PathBuf>,

    /// Accept any certificate of anybody: whoever stands in between reads the password and the mail
    #[arg(long, help_heading = "TLS", conflicts_with_all = ["ca", "pin"])]
    pub(crate) insecure_any_certificate: bool,

    /// No TLS at all: password and mail go in the clear (with pop:// only)
    #[arg(
        long,
        help_heading = "TLS",
        conflicts_with_all = ["ca", "pin", "client_cert", "insecure_any_certificate"]
    )]
    pub(crate) insecure_plaintext: bool,

    /// Give up when the server is silent for so many seconds
    ///
    /// Without it, each step has a limit of its own: 30 seconds to connect, 5 minutes for the sign-in and for the
    /// beginning of a message, 60 seconds for most else.
    #[arg(long, value_name = "SECS", help_heading = "Connection", value_parser = seconds())]
    pub(crate) timeout: Option<u64>,

    /// Give up when the whole session takes longer than so many seconds
    #[arg(long, value_name = "SECS", help_heading = "Connection", value_parser = seconds())]
    pub(crate) deadline: Option<u64>,

    /// Whether commands are sent before the answers to earlier ones are there
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "WHEN",
        hide_short_help = true,
        help_heading = "Connection"
    )]
    pub(crate) pipelining: PipeliningArg,

    /// Never send CAPA: for servers that hang up on it
    #[arg(long, help_heading = "Connection")]
    pub(crate) no_capa: bool,
}

/// How to tell what happens.
#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// Say more on stderr: -v a line per message, -vv the whole conversation but for secrets and contents
    #[arg(short, long, action = ArgAction::Count, global = true, help_heading = "Output")]
    pub(crate) verbose: u8,

    /// Say nothing but warnings and errors
    #[arg(short, long, global = true, help_heading = "Output", conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Print JSON on stdout, one object per line
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) json: bool,

    /// Colours: auto respects the terminal and NO_COLOR
    #[arg(long, value_name = "WHEN", default_value = "auto", global = true, help_heading = "Output")]
    pub(crate) color: Color,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

fn mailbox(address: &str) -> Result<Mailbox, String> {
    Mailbox::new(address).map_err(|error| error.to_string())
}

fn method(name: &str) -> Result<Method, String> {
    name.parse().map_err(|_| {
        let sasl = Mechanism::ALL.map(Mechanism::name).join(", ");
        format!("it is none of USER, APOP, {sasl}")
    })
}

/// At most a year: no clock arithmetic overflows, and nobody waits longer.
fn seconds() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=31_536_000)
}

// These are printed as they stand: no line is longer than 78 columns.

const EXAMPLES: &str = "\
Examples:
  See it work, on this machine:
    popwire demo
  Look into a mailbox; nothing is changed there:
    popwire ls pops://alice@pop.example.org
  Fetch it; the server keeps its copies:
    popwire fetch pops://alice@pop.example.org --maildir ~/Mail/isp
  Fetch all accounts of a configuration, again and again:
    popwire watch
  Find out what is wrong with a server:
    popwire probe pops://alice@pop.example.org
  Be the mail server, for a test:
    popwire serve --maildir ~/Mail/isp --user alice

'popwire fetch --help' tells about passwords, TLS and exit codes.";

const LS_EXAMPLES: &str = "\
Examples:
  popwire ls pops://alice@pop.example.org
  The ten largest messages:
    popwire ls pops://alice@pop.example.org | sort -n -k 2,2 | tail
  All subjects:
    popwire ls pops://alice@pop.example.org --json | jq -r .subject";

const PROBE_EXAMPLES: &str = "\
Examples:
  popwire probe pops://alice@pop.example.org
  What the server says before and after STLS, too:
    popwire probe pop://alice@pop.example.org
  The ids of what was found:
    popwire probe pops://alice@pop.example.org --json | jq -r '.findings[].id'
  The whole conversation, without the password:
    popwire probe pops://alice@pop.example.org -vv

The ids, such as Q-069, are those of docs/deviations.md.";

const FETCH_EXAMPLES: &str = "\
Examples:
  popwire fetch pops://alice@pop.example.org --maildir ~/Mail/isp
  All accounts of the configuration, as docs/config.md describes it:
    popwire fetch
  popwire fetch pops://al%40example.org@example.org --maildir ~/Mail --delete

More, with passwords and exit codes: popwire fetch --help";

const FETCH_MORE: &str = "\
Passwords:
  Never on the command line, where every user of the machine can read them.
  Without one of the --password options the environment variable
  POPWIRE_PASSWORD is taken if it is set; otherwise the terminal is asked.
  The first line of a file or of a command's output counts, without its line
  end.

What is printed:
  What was done goes to stdout, everything else to stderr. With --json each
  event is an object on stdout: opened, delivered, failed, marked, not_marked,
  error, and a summary at the end. What a run did not have to fetch, since an
  earlier one did, is counted as known.

Exit codes:
   0  all done, also if there was no mail
  64  the command line makes no sense
  65  the server has renumbered its mail, or the ledger cannot be used
  69  the server cannot be reached, refuses its service, or its TLS is not to
      be trusted
  70  a fault of popwire
  73  the Maildir cannot be created or opened
  74  a local error while writing, such as a full disk
  75  it may work later: the mailbox is in use, the server is overloaded, the
      connection broke; or some messages were not delivered, or not deleted,
      while the others were
  76  the server does not keep to the protocol
  77  the sign-in was refused
  78  a password, certificate or key given here cannot be used

Examples:
  The server keeps its copies:
    popwire fetch pops://alice@pop.example.org --maildir ~/Mail/isp
  The user is alice@example.org; each message is deleted once it is on disk:
    popwire fetch pops://alice%40example.org@example.org --maildir ~/Mail \\
      --delete
  STLS on port 110, and the password from a password manager:
    popwire fetch pop://alice@pop.example.org --maildir ~/Mail/isp \\
      --password-command 'pass show isp'
  By an OAuth token, at Microsoft:
    popwire fetch pops://al%40example.org@outlook.office365.com \\
      --maildir ~/Mail/work --oauth-token-command 'oama access al@example.org'
  The whole conversation on stderr, without the password:
    popwire fetch pops://alice@pop.example.org --maildir ~/Mail/isp -vv";

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn help_fits_any_terminal() {
        for text in [
            super::EXAMPLES,
            super::LS_EXAMPLES,
            super::PROBE_EXAMPLES,
            super::FETCH_EXAMPLES,
            super::FETCH_MORE,
            super::FETCH_EXAMPLES,
            super::FETCH_MORE,
            super::mailbox::RM_EXAMPLES,
            super::state::EXAMPLES,
            super::watch::EXAMPLES,
            super::serve::EXAMPLES,
            super::serve::MORE,
        ] {
            assert!(text.lines().all(|line| line.len() <= 78), "{text}");
        }
    }
}
