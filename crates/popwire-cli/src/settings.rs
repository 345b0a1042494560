//! The command line with sense made of it: which server, who, and how.

use std::fs;
use std::path::Path;
use std::time::Duration;

use popwire::{Connector, Login, PopUrl, Security, Text, Timeouts, Tls, TraceLevel};
use popwire_retriever::AccountKey;

use crate::args::{ConnectArgs, MailboxArgs};
use crate::config::Config;
use crate::explain::Problem;
use crate::output::{Output, Verbosity};
use crate::signin::SignIn;

/// A mailbox and how to get at it.
#[derive(Debug)]
pub(crate) struct Account {
    /// How it is called in what we print.
    pub(crate) name: String,
    /// Its name in the configuration, if it is from there.
    pub(crate) configured: Option<String>,
    pub(crate) connector: Connector,
    pub(crate) sign_in: SignIn,
    /// The time for all of it, however many sessions that takes.
    pub(crate) deadline: Option<Duration>,
}

impl Account {
    /// A mailbox of the command line: a URL, or an account of the configuration.
    pub(crate) fn of_mailbox(args: &MailboxArgs, output: &Output) -> Result<Self, Problem> {
        if is_url(&args.mailbox) {
            Self::resolve(&args.mailbox, &args.connect, output)
        } else {
            Self::configured(&Config::load()?, &args.mailbox, &args.connect, output)
        }
    }

    /// An account of the configuration; `said` is what the command line says of connections, which is for URLs.
    pub(crate) fn configured(
        config: &Config,
        name: &str,
        said: &ConnectArgs,
        output: &Output,
    ) -> Result<Self, Problem> {
        if *said != ConnectArgs::default() {
            let what = format!("{name} is an account of the configuration, which says how it is reached");
            let next =
                "Leave out the options about sign-in, TLS and connection, or name the mailbox by its URL.";
            return Err(Problem::usage(what, next));
        }
        let (url, connect) = config.connect(name)?;
        let configured = Some(name.to_owned());
        let account =
            Self::resolve(&url, &connect, output).map_err(|problem| problem.of(configured.as_ref()))?;
        Ok(Self { name: name.to_owned(), configured, ..account })
    }

    /// The mailbox of this URL.
    pub(crate) fn resolve(url: &str, args: &ConnectArgs, output: &Output) -> Result<Self, Problem> {
        // The URL is not repeated here: people put passwords into URLs.
        let url: PopUrl = url
            .parse()
            .map_err(|error| Problem::usage(format!("{error}"), "Like this: pops://alice@pop.example.org"))?;
        let sign_in = SignIn::resolve(args, &url)?;
        Ok(Self {
            name: name(sign_in.user(), url.host()),
            configured: None,
            connector: connector(args, &url, output)?,
            sign_in,
            deadline: args.deadline.map(Duration::from_secs),
        })
    }

    /// An account whose connector is made already.
    pub(crate) fn of(user: &str, connector: Connector) -> Self {
        let name = name(user.as_bytes(), connector.host());
        Self { name, configured: None, connector, sign_in: SignIn::by_password(user), deadline: None }
    }

    /// By what the ledger knows it.
    pub(crate) fn key(&self) -> AccountKey {
        AccountKey::new(self.sign_in.user(), self.connector.host(), self.connector.effective_port())
    }

    pub(crate) fn host(&self) -> &str {
        self.connector.host()
    }

    /// What is needed to sign in, as far as it can be got now.
    pub(crate) fn login(&self, output: &mut Output) -> Result<Login, Problem> {
        self.sign_in.login(&self.name, output).map_err(|problem| problem.of(self.configured.as_ref()))
    }
}

/// Whether it is a URL, or means to be one, and no account's name.
pub(crate) fn is_url(mailbox: &str) -> bool {
    mailbox.contains([':', '/', '@'])
}

/// The user's name is often a mail address, and then says enough.
fn name(user: &[u8], host: &str) -> String {
    let user = Text::from(user).to_string();
    if user.is_empty() {
        return host.to_owned();
    }
    if user.contains('@') { user } else { format!("{user}@{host}") }
}

fn connector(args: &ConnectArgs, url: &PopUrl, output: &Output) -> Result<Connector, Problem> {
    let mut connector = url.connector().timeouts(timeouts(args)).pipelining(args.pipelining.into());
    if args.insecure_plaintext {
        if url.is_implicit_tls() {
            let what = "--insecure-plaintext means no TLS, and pops:// means TLS";
            return Err(Problem::usage(what, "Write pop://, or leave --insecure-plaintext out."));
        }
        connector = connector.security(Security::Plain).dangerous_login_without_verified_tls();
    } else {
        connector = connector.tls(tls(args)?);
        if args.insecure_any_certificate {
            connector = connector.dangerous_login_without_verified_tls();
        }
    }
    if args.no_capa {
        connector = connector.without_capa();
    }
    if output.verbosity() >= Verbosity::Conversation {
        connector = connector.trace(TraceLevel::Lines, output.conversation());
    }
    Ok(connector)
}

fn tls(args: &ConnectArgs) -> Result<Tls, Problem> {
    let unusable = |option: &str, error: popwire::Error| {
        Problem::configuration(format!("{option}: {error}"), "Nothing was sent.")
    };
    let mut tls = Tls::new();
    if let Some(path) = &args.ca {
        tls = tls.with_root_certificates(&read("--ca", path)?).map_err(|error| unusable("--ca", error))?;
    }
    for pin in &args.pin {
        tls = tls.with_pinned_key(pin).map_err(|error| unusable("--pin", error))?;
    }
    if let (Some(certificate), Some(key)) = (&args.client_cert, &args.client_key) {
        let (certificate, key) = (read("--client-cert", certificate)?, read("--client-key", key)?);
        tls = tls
            .with_client_certificate(&certificate, key)
            .map_err(|error| unusable("--client-cert", error))?;
    }
    if args.insecure_any_certificate {
        tls = tls.dangerous_accept_any_certificate();
    }
    Ok(tls)
}

fn read(option: &str, path: &Path) -> Result<Vec<u8>, Problem> {
    fs::read(path).map_err(|error| {
        let what = format!("{option}: {} cannot be read: {error}", path.display());
        Problem::configuration(what, "Nothing was sent. Check the path and the permissions.")
    })
}

fn timeouts(args: &ConnectArgs) -> Timeouts {
    let mut timeouts = Timeouts::default();
    if let Some(seconds) = args.timeout {
        let silence = Duration::from_secs(seconds);
        timeouts.connect = silence;
        timeouts.tls = silence;
        timeouts.greeting = silence;
        timeouts.login = silence;
        timeouts.command = silence;
        timeouts.first_octet = silence;
        timeouts.idle = silence;
        // These are short already: longer waits for what nobody needs help nobody.
        timeouts.capa = timeouts.capa.min(silence);
        timeouts.quit = timeouts.quit.min(silence);
        // A broken end has to be seen before the wait is over.
        timeouts.rescue = timeouts.rescue.map(|rescue| rescue.min(silence / 2));
    }
    if let Some(seconds) = args.deadline {
        let whole = Duration::from_secs(seconds);
        timeouts.whole = Some(whole);
        // The session is counted from the connection on; it must not take longer than all of it to get there.
        timeouts.connect = timeouts.connect.min(whole);
        timeouts.tls = timeouts.tls.min(whole);
    }
    timeouts
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};

    fn resolve(line: &str) -> Result<Account, Problem> {
        let line = format!("popwire ls {line}");
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        let Command::Ls(args) = cli.command else { panic!("ls") };
        Account::of_mailbox(&args.mailbox, &Output::new(&cli.output))
    }

    #[test]
    fn urls_say_how_to_connect() {
        let account = resolve("pops://alice%40example.org@pop.example.org").unwrap();
        assert_eq!((account.name.as_str(), account.connector.effective_port()), ("alice@example.org", 995));
        let account = resolve("pop://pop.example.org:1110 --user al").unwrap();
        assert_eq!((account.name.as_str(), account.connector.effective_port()), ("al@pop.example.org", 1110));
        for url in
            ["pops://pop.example.org --auth ANONYMOUS", "pops://alice@h --auth scram-sha-256 --auth PLAIN"]
        {
            resolve(url).unwrap();
        }
    }

    #[test]
    fn what_makes_no_sense_is_a_usage_error_and_repeats_no_password() {
        for line in [
            "pops://alice:s3cret@pop.example.org",
            "http://alice:s3cret@pop.example.org",
            "alice:s3cret@pop.example.org",
            "pops://pop.example.org",
            "pops://alice@pop.example.org --user bob",
            "pops://alice;AUTH=X-UNKNOWN@pop.example.org",
            "pops://alice;AUTH=+APOP@pop.example.org --auth PLAIN",
            "pops://alice@pop.example.org --auth XOAUTH2",
            "pops://alice@pop.example.org --auth EXTERNAL",
            "pops://alice@pop.example.org --auth PLAIN --oauth-token-command true",
            "pops://alice@pop.example.org --auth PLAIN --auth ANONYMOUS",
            "pops://alice@pop.example.org --insecure-plaintext",
        ] {
            let problem = resolve(line).unwrap_err();
            assert_eq!(problem.exit, crate::explain::Exit::Usage, "{line}");
            assert!(!format!("{problem:?}").contains("s3cret"), "{problem:?}");
        }
    }
}
