//! An account of the configuration in the words of the command line: both then go the same way.

use std::env;
use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use popwire_retriever::{Keep as Keeping, Rule, Test, Then as Become};

use super::{AccountTable, Config, Keep, Mode, OneOrMany, Secret, Skip, Span, Then, Tls};
use crate::alarm::{Alarm, OnError};
use crate::args::ConnectArgs;
use crate::destinations::Place;
use crate::explain::Problem;
use crate::password::{self, Source};

/// What is fetched of an account, and where to.
#[derive(Debug)]
pub(crate) struct Wishes {
    pub(crate) deliver: Vec<Place>,
    pub(crate) keep: Keeping,
    pub(crate) rules: Vec<Rule>,
    pub(crate) limit: Option<usize>,
    pub(crate) max_octets: Option<u64>,
    pub(crate) batch: Option<usize>,
    /// Whether each message gets a Received line.
    pub(crate) received: bool,
    /// Who is named in a Delivered-To line.
    pub(crate) delivered_to: Option<String>,
}

impl Config {
    /// How to get at the mailbox: the URL, and the options.
    pub(crate) fn connect(&self, name: &str) -> Result<(String, ConnectArgs), Problem> {
        let table = self.account(name)?;
        let mistake = |key: &str, what: &str| self.mistake(name, key, what);
        let server = table.server.as_ref().ok_or_else(|| mistake("server", "it names no server"))?;
        let tls = match &table.tls {
            None => super::TlsTable::default(),
            Some(Tls::Mode(mode)) => super::TlsTable { mode: Some(*mode), ..Default::default() },
            Some(Tls::Table(table)) => table.clone(),
        };
        let mode = tls.mode.unwrap_or_default();
        let scheme = if mode == Mode::Implicit { "pops" } else { "pop" };
        let mut connect = ConnectArgs {
            user: table.user.clone(),
            ca: tls.ca.as_deref().map(home),
            pin: tls.pin,
            client_cert: tls.cert.as_deref().map(home),
            client_key: tls.key.as_deref().map(home),
            insecure_any_certificate: tls.insecure_any_certificate,
            insecure_plaintext: mode == Mode::NoneInsecure,
            latin1_password: table.latin1_password.unwrap_or(false),
            utf8_login: table.utf8_login.unwrap_or(false),
            no_capa: table.no_capa.unwrap_or(false),
            pipelining: table.pipelining.unwrap_or_default(),
            timeout: seconds(table.timeout),
            deadline: seconds(table.deadline),
            ..ConnectArgs::default()
        };
        if connect.client_cert.is_some() != connect.client_key.is_some() {
            return Err(mistake("tls", "a client certificate needs both cert and key"));
        }
        for method in table.auth.iter().flat_map(OneOrMany::to_vec) {
            let method = method
                .parse()
                .map_err(|_| mistake("auth", &format!("the mechanism {method} is not known")))?;
            connect.auth.push(method);
        }
        if let Some(secret) = &table.password {
            match source(secret, name).map_err(|what| mistake("password", what))? {
                Source::Variable(variable) => connect.password_env = Some(variable),
                Source::File(path) => connect.password_file = Some(path),
                Source::Command(command) => connect.password_command = Some(command),
                Source::Keyring(account) => connect.keyring = Some(account),
                Source::Unsaid => {}
            }
        }
        if let Some(token) = &table.token {
            connect.oauth_token_command = Some(line(&token.command));
        }
        Ok((format!("{scheme}://{server}"), connect))
    }

    /// How often it is looked at.
    pub(crate) fn interval(&self, name: &str) -> Duration {
        const USUAL: Duration = Duration::from_secs(5 * 60);
        self.accounts.get(name).and_then(|table| table.interval).map_or(USUAL, |span| span.0)
    }

    /// Who is told when runs go wrong.
    pub(crate) fn alarm(&self, name: &str) -> Option<Alarm> {
        const USUAL: u32 = 3;
        let on_error = self.accounts.get(name)?.on_error.as_ref()?;
        let command = match &on_error.command {
            OneOrMany::One(line) => OnError::Shell(line.clone()),
            OneOrMany::Many(words) => OnError::Program(words.clone()),
        };
        let mut secrets: Vec<OsString> = self.secret_variables().collect();
        secrets.push(password::VARIABLE.into());
        Some(Alarm { command, after: on_error.after.map_or(USUAL, NonZeroU32::get), secrets })
    }

    /// What is to become of its mail.
    pub(crate) fn wishes(&self, name: &str) -> Result<Wishes, Problem> {
        let table = self.account(name)?;
        let mistake = |key: &str, what: &str| self.mistake(name, key, what);
        let deliver = table.deliver.iter().flat_map(OneOrMany::to_vec);
        let deliver: Vec<Place> = deliver
            .map(|deliver| deliver.place(name).map_err(|what| mistake("deliver", &what)))
            .collect::<Result<_, _>>()?;
        if deliver.is_empty() {
            return Err(mistake(
                "deliver",
                "it does not say where mail goes: deliver = { maildir = \"~/Mail\" }",
            ));
        }
        let rules = table.skip.iter().flatten();
        let rules: Vec<Rule> =
            rules.map(|skip| rule(skip).map_err(|what| mistake("skip", what))).collect::<Result<_, _>>()?;
        Ok(Wishes {
            deliver,
            keep: keeping(table).map_err(|what| mistake("keep", &what))?,
            rules,
            limit: table.limit,
            max_octets: table.max_octets.map(|octets| octets.0),
            batch: table.batch,
            received: table.received.unwrap_or(false),
            delivered_to: table.delivered_to.clone(),
        })
    }
}

fn keeping(table: &AccountTable) -> Result<Keeping, String> {
    Ok(match &table.keep {
        None => Keeping::forever(),
        Some(Keep::Text(text)) => match text.as_str() {
            "forever" => Keeping::forever(),
            "no" | "0" => Keeping::nothing(),
            time => {
                let Some(Span(time)) = Span::parse(time) else {
                    return Err(format!(
                        "keep takes \"forever\", \"no\" or a number of days such as \"14d\", and not {time:?}"
                    ));
                };
                Keeping::nothing().days(days(time))
            }
        },
        Some(Keep::Table(keep)) => {
            let kept = match (keep.days, keep.newest) {
                (None, None) => Keeping::forever(),
                (days, newest) => Keeping::nothing().days(days.unwrap_or(0)).newest(newest.unwrap_or(0)),
            };
            keep.over.map_or(kept, |over| kept.but_nothing_over(over.0))
        }
    })
}

/// Whole days, rounded up: nothing is deleted too early.
fn days(time: Duration) -> u32 {
    u32::try_from(time.as_secs().div_ceil(24 * 60 * 60)).unwrap_or(u32::MAX)
}

fn rule(skip: &Skip) -> Result<Rule, &'static str> {
    let header = |name: &Option<String>| name.clone().ok_or("is and contains want a header");
    let test = match (&skip.larger, &skip.smaller, &skip.is, &skip.contains) {
        (Some(than), None, None, None) => Test::Larger(than.0),
        (None, Some(than), None, None) => Test::Smaller(than.0),
        (None, None, Some(value), None) => {
            Test::HeaderIs { name: header(&skip.header)?, value: value.clone() }
        }
        (None, None, None, Some(value)) => {
            Test::HeaderContains { name: header(&skip.header)?, value: value.clone() }
        }
        _ => return Err("a rule has one of larger, smaller, is, contains"),
    };
    let then = match skip.then {
        Then::Skip => Become::Skip,
        Then::Fetch => Become::Fetch,
        Then::Headers => Become::HeaderOnly,
        Then::Delete => Become::Delete,
    };
    Ok(Rule::new(test, then))
}

fn seconds(span: Option<Span>) -> Option<u64> {
    span.map(|span| span.0.as_secs().max(1))
}

/// Where a password is; in the keyring under `name`.
pub(super) fn source(secret: &Secret, name: &str) -> Result<Source, &'static str> {
    Ok(match secret {
        Secret::Keyring(true) => Source::Keyring(name.to_owned()),
        Secret::Keyring(false) => Source::Unsaid,
        Secret::Command(command) => Source::Command(line(command)),
        Secret::Env(variable) => Source::Variable(variable.into()),
        Secret::File(path) => Source::File(home(path)),
        Secret::Credential(credential) => {
            let folder = env::var_os("CREDENTIALS_DIRECTORY")
                .ok_or("systemd has handed over no credentials (CREDENTIALS_DIRECTORY is not set)")?;
            Source::File(Path::new(&folder).join(credential))
        }
    })
}

/// A list of words as a shell's line.
fn line(command: &OneOrMany<String>) -> OsString {
    match command {
        OneOrMany::One(line) => line.into(),
        OneOrMany::Many(words) => words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ").into(),
    }
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// `~/` is the user's folder.
pub(super) fn home(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), env::var_os("HOME")) {
        (Ok(rest), Some(home)) => Path::new(&home).join(rest),
        _ => path.to_owned(),
    }
}
