//! The command line of `popwire serve`.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use popwire::Mechanism;
use popwire_server::Fault;

/// Serve a Maildir or an mbox by POP3: a mail server for tests
///
/// Serves one mailbox to one user, until it is interrupted. Messages that clients delete are removed from the Maildir or
/// the mbox; those that they fetch from a Maildir are moved to cur/ and marked as seen. With --read-only nothing is
/// touched.
///
/// It listens on two addresses of this machine, with STLS and with TLS from the first octet, and makes its certificate on
/// the spot. It can behave as badly as any real server does: see --quirk.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = MORE)]
pub(crate) struct ServeArgs {
    /// The Maildir to serve
    #[arg(long, value_name = "DIR", help_heading = "Mail")]
    pub(crate) maildir: Option<PathBuf>,

    /// The mbox file to serve; locked as delivery agents lock it, while it is read and while messages are removed
    #[arg(long, value_name = "FILE", help_heading = "Mail", conflicts_with = "maildir")]
    pub(crate) mbox: Option<PathBuf>,

    /// Remove and mark nothing: DELE is refused
    #[arg(long, help_heading = "Mail")]
    pub(crate) read_only: bool,

    /// The name to sign in with
    #[arg(long, value_name = "NAME", help_heading = "Sign-in")]
    pub(crate) user: Option<String>,

    /// Take the password from this environment variable
    #[arg(long, value_name = "VAR", help_heading = "Sign-in", group = "serve_source")]
    pub(crate) password_env: Option<OsString>,

    /// Take the password from the first line of this file
    #[arg(long, value_name = "FILE", help_heading = "Sign-in", group = "serve_source")]
    pub(crate) password_file: Option<PathBuf>,

    /// Take the password from the first line that this shell command prints
    #[arg(long, value_name = "CMD", help_heading = "Sign-in", group = "serve_source")]
    pub(crate) password_command: Option<OsString>,

    /// Offer these SASL mechanisms, in this order
    ///
    /// USER and PASS are there in any case. What cannot be used is not announced: -PLUS without TLS, for one.
    #[arg(
        long,
        value_name = "MECH",
        help_heading = "Sign-in",
        value_parser = mechanism,
        value_delimiter = ',',
        default_value = "SCRAM-SHA-256-PLUS,SCRAM-SHA-256,PLAIN"
    )]
    pub(crate) sasl: Vec<Mechanism>,

    /// Listen here, without TLS at first; clients may start it by STLS. Port 0 is any that is free
    #[arg(long, value_name = "ADDR:PORT", help_heading = "Network", default_value = "127.0.0.1:1110")]
    pub(crate) listen: SocketAddr,

    /// Listen here, with TLS from the first octet
    #[arg(long, value_name = "ADDR:PORT", help_heading = "Network", default_value = "127.0.0.1:1995")]
    pub(crate) listen_tls: SocketAddr,

    /// Let nobody sign in without TLS
    #[arg(long, help_heading = "Network", conflicts_with = "allow_plaintext")]
    pub(crate) require_tls: bool,

    /// Let passwords and mail go over the network in the clear, if --listen is an address that others can reach
    #[arg(long, help_heading = "Network")]
    pub(crate) allow_plaintext: bool,

    /// Most connections at a time
    #[arg(long, value_name = "N", help_heading = "Network", default_value = "500")]
    pub(crate) max_connections: NonZeroUsize,

    /// Most connections at a time from one address
    #[arg(long, value_name = "N", help_heading = "Network")]
    pub(crate) max_connections_per_address: Option<NonZeroUsize>,

    /// Hang up on a client that is silent for so many seconds. RFC 1939 wants 600 or more
    #[arg(
        long,
        value_name = "SECS",
        help_heading = "Network",
        default_value = "600",
        value_parser = super::seconds()
    )]
    pub(crate) idle_timeout: u64,

    /// Show this certificate (PEM, with its chain), in place of one that is made for localhost
    #[arg(long, value_name = "FILE", help_heading = "TLS", requires = "tls_key", conflicts_with = "ca_out")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// The private key of the certificate (PEM)
    #[arg(long, value_name = "FILE", help_heading = "TLS", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,

    /// Write the CA that signed the certificate made here into this file (PEM), for clients to trust
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    pub(crate) ca_out: Option<PathBuf>,

    /// Behave like this product: its greeting, capabilities, texts and quirks. --personality help lists them all
    #[arg(long, value_name = "NAME", help_heading = "Behaviour")]
    pub(crate) personality: Option<String>,

    /// Depart from the RFCs in this way; may be given more than once. --quirk help lists them all
    #[arg(long, value_name = "NAME=VALUE", help_heading = "Behaviour")]
    pub(crate) quirk: Vec<String>,

    /// Let something go wrong at this place, such as RETR#3@1000:reset; may be given more than once
    #[arg(long, value_name = "PLACE:FAULT", help_heading = "Behaviour")]
    pub(crate) fault: Vec<Fault>,

    /// Serve what this file describes (TOML): users and their mail, behaviour, faults
    #[arg(long, value_name = "FILE", help_heading = "Behaviour", conflicts_with_all = MAILBOX)]
    pub(crate) scenario: Option<PathBuf>,

    /// Play this transcript to everybody who connects: C: and S: lines, or what popwire -vv printed
    #[arg(long, value_name = "FILE", help_heading = "Behaviour", conflicts_with_all = MAILBOX, conflicts_with = "scenario")]
    pub(crate) transcript: Option<PathBuf>,
}

/// What describes a mailbox, and has no place where there is none.
const MAILBOX: [&str; 7] =
    ["maildir", "mbox", "read_only", "user", "password_env", "password_file", "password_command"];

fn mechanism(name: &str) -> Result<Mechanism, String> {
    name.parse().map_err(|_| {
        let known = Mechanism::ALL.map(Mechanism::name).join(", ");
        format!("it is none of {known}")
    })
}

// These are printed as they stand: no line is longer than 78 columns.

pub(super) const EXAMPLES: &str = "\
Examples:
  popwire serve --maildir ~/Mail/isp --user alice
  popwire serve --mbox /var/mail/alice --user alice --read-only
  All the ways in which it can misbehave, and two of them:
    popwire serve --quirk help
    popwire serve --maildir Mail --user al --quirk capa=err --quirk segment=1
  As a provider does; as a file describes it; as it went the last time:
    popwire serve --maildir Mail --user al --personality gmail
    popwire serve --scenario provider.toml
    popwire serve --transcript session.txt

More, with passwords and exit codes: popwire serve --help";

pub(super) const MORE: &str = "\
Passwords:
  From one of the --password options, or from the environment variable
  POPWIRE_PASSWORD. Without any, one is made up for this run, and printed.

What is printed:
  Where it listens and how to try it, then a line for each thing that happens:
    time=... session=1 peer=127.0.0.1:40112 event=login user=\"alice\" ...
  The events are accepted, turned-away, tls, login, login-refused, retrieved,
  marked, quit and closed; there is no secret in any. With --json each is an
  object on stdout, between the objects serving and stopped.

The end:
  SIGINT (Ctrl-C) and SIGTERM end it in good order: nobody is let in any more,
  a client that has said QUIT gets its messages removed and its answer, and
  what clients have only marked stays.

Exit codes:
   0  it was told to end
  64  the command line makes no sense
  69  an address cannot be listened on
  70  a fault of popwire
  73  the CA cannot be written
  74  stdout cannot be written
  78  the mailbox, password, certificate or key cannot be used

Examples:
  A Maildir, with a CA for the client to trust:
    popwire serve --maildir ~/Mail/isp --user alice --ca-out ca.pem
    popwire ls pops://alice@127.0.0.1:1995 --ca ca.pem
  On all addresses of this machine, with its own certificate:
    popwire serve --mbox mail --user alice --password-file secret \\
      --listen-tls '[::]:995' --tls-cert cert.pem --tls-key key.pem
  A server that gives two messages the same unique-id, and sends its answers
  octet by octet:
    popwire serve --maildir Mail --user al --quirk uidl_dup=1,2 \\
      --quirk segment=1
  A connection that is reset within the third message:
    popwire serve --maildir Mail --user al --fault RETR#3@1000:reset";
