//! The configuration: which accounts there are, by name, and what becomes of their mail.
//!
//! Here is the file as it is written; `resolve` makes of an account what the command line would have said.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::args::PipeliningArg;
use crate::explain::Problem;

mod deliver;
mod resolve;
mod trouble;
mod values;

pub(crate) use values::{Octets, Span};

/// A configuration that was read.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    path: PathBuf,
    text: String,
    /// The accounts, each with the defaults in it, in the order of their names.
    pub(crate) accounts: BTreeMap<String, AccountTable>,
}

/// The configuration of popwire.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    #[serde(default)]
    defaults: AccountTable,
    #[serde(default)]
    account: BTreeMap<String, AccountTable>,
}

/// `[account.NAME]`, and `[defaults]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountTable {
    /// The server: host, or host:port.
    server: Option<String>,
    /// The user's name.
    user: Option<String>,
    /// How the connection is protected; TLS from the first octet if nothing is said.
    tls: Option<Tls>,
    /// The mechanism to sign in by, or several; the strongest that the server offers if nothing is said.
    auth: Option<OneOrMany<String>>,
    /// Where the password is; it does not stand here.
    password: Option<Secret>,
    /// Where OAuth 2 access tokens come from.
    token: Option<Token>,
    /// Send the password in Latin-1 instead of UTF-8.
    latin1_password: Option<bool>,
    /// Send a name or password that is not ASCII even if the server does not announce UTF-8.
    utf8_login: Option<bool>,
    /// Never send CAPA.
    no_capa: Option<bool>,
    /// How long the server may be silent, such as "90s".
    timeout: Option<Span>,
    /// How long all of it may take.
    deadline: Option<Span>,
    /// Where mail goes; of several destinations all must have a message before it is deleted.
    deliver: Option<OneOrMany<Deliver>>,
    /// How long messages stay on the server after delivery: "forever", "no", "14d", or a table.
    keep: Option<Keep>,
    /// Rules, of which the first that fits decides.
    skip: Option<Vec<Skip>>,
    /// Most messages of one run.
    limit: Option<usize>,
    /// Most octets of one run, such as "100MB".
    max_octets: Option<Octets>,
    /// QUIT and sign in again after so many messages.
    batch: Option<usize>,
    /// How often `popwire watch` looks, such as "5m".
    interval: Option<Span>,
    /// What is run when runs go wrong.
    on_error: Option<OnError>,
    /// Whether commands are sent before the answers to earlier ones are there.
    pipelining: Option<PipeliningArg>,
    /// Add a Received line to each message.
    received: Option<bool>,
    /// Add a Delivered-To line with this address to each message.
    delivered_to: Option<String>,
}

/// How the connection is protected.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(
    untagged,
    expecting = "tls takes \"implicit\", \"starttls\", \"none-insecure\", or a table with mode, ca, pin, cert, key, insecure_any_certificate"
)]
enum Tls {
    Mode(Mode),
    Table(TlsTable),
}

#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct TlsTable {
    mode: Option<Mode>,
    ca: Option<PathBuf>,
    #[serde(default)]
    pin: Vec<String>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    #[serde(default)]
    insecure_any_certificate: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
enum Mode {
    #[default]
    Implicit,
    Starttls,
    NoneInsecure,
}

#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T: Clone> OneOrMany<T> {
    fn to_vec(&self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one.clone()],
            Self::Many(many) => many.clone(),
        }
    }
}

/// Where the password is.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
enum Secret {
    Keyring(bool),
    Command(OneOrMany<String>),
    Env(String),
    File(PathBuf),
    Credential(String),
}

/// Where OAuth tokens come from.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Token {
    command: OneOrMany<String>,
}

/// What is run when runs go wrong.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct OnError {
    command: OneOrMany<String>,
    /// After so many in a row.
    after: Option<NonZeroU32>,
}

/// A destination.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Deliver {
    maildir: Option<PathBuf>,
    mbox: Option<PathBuf>,
    pipe: Option<OneOrMany<String>>,
    lmtp: Option<String>,
    smtp: Option<String>,
    recipient: Option<String>,
    sender: Option<String>,
    tls: Option<Mode>,
    ca: Option<PathBuf>,
    user: Option<String>,
    password: Option<Secret>,
    timeout: Option<Span>,
}

/// What stays on the server.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(
    untagged,
    expecting = "keep takes \"forever\", \"no\", a time such as \"14d\", or a table with days, newest, over"
)]
enum Keep {
    Text(String),
    Table(KeepTable),
}

#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct KeepTable {
    days: Option<u32>,
    newest: Option<u64>,
    over: Option<Octets>,
}

/// A rule.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Skip {
    larger: Option<Octets>,
    smaller: Option<Octets>,
    header: Option<String>,
    is: Option<String>,
    contains: Option<String>,
    #[serde(default)]
    then: Then,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
enum Then {
    #[default]
    Skip,
    Fetch,
    Headers,
    Delete,
}

impl Config {
    /// Reads the configuration of this user.
    pub(crate) fn load() -> Result<Self, Problem> {
        let path = path()?;
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let what = format!("there is no configuration: {} does not exist", path.display());
                let next = "Name a mailbox instead: popwire fetch pops://alice@pop.example.org --maildir ~/Mail. \
                            docs/config.md tells how accounts are configured.";
                return Err(Problem::configuration(what, next));
            }
            Err(error) => {
                let what = format!("{} cannot be read: {error}", path.display());
                return Err(Problem::configuration(what, "Check the permissions."));
            }
        };
        Self::parse(&path, text)
    }

    fn parse(path: &Path, text: String) -> Result<Self, Problem> {
        let file: File = toml::from_str(&text).map_err(|error| trouble::in_toml(path, &text, &error))?;
        if file.version != 1 {
            let what =
                format!("{}: version {} of the configuration is not known", path.display(), file.version);
            return Err(Problem::configuration(what, "This popwire knows version 1."));
        }
        let accounts =
            file.account.into_iter().map(|(name, table)| (name, table.or(&file.defaults))).collect();
        Ok(Self { path: path.to_owned(), text, accounts })
    }

    /// The account of this name.
    pub(crate) fn account(&self, name: &str) -> Result<&AccountTable, Problem> {
        self.accounts.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.accounts.keys().map(String::as_str).collect();
            let what = format!("{} has no account {name}", self.path.display());
            let next = match (trouble::nearest(name, &known), &known[..]) {
                (Some(nearest), _) => format!("Did you mean {nearest}?"),
                (None, []) => "It has none at all.".to_owned(),
                (None, known) => format!("It has: {}", known.join(", ")),
            };
            Problem::configuration(what, next)
        })
    }

    /// The environment variables that hold passwords.
    pub(crate) fn secret_variables(&self) -> impl Iterator<Item = OsString> {
        self.accounts.values().flat_map(AccountTable::secret_variables)
    }

    /// A mistake in an account, with the place of the key if it can be found.
    fn mistake(&self, account: &str, key: &str, what: &str) -> Problem {
        trouble::in_account(&self.path, &self.text, account, key, what)
    }
}

/// `$POPWIRE_CONFIG`, or `popwire/config.toml` among the user's configuration.
pub(crate) fn path() -> Result<PathBuf, Problem> {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("POPWIRE_CONFIG")
        .or_else(|| {
            let folder = variable("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
            let folder = folder.or_else(|| variable("HOME").map(|home| home.join(".config")));
            folder.map(|folder| folder.join("popwire/config.toml"))
        })
        .ok_or_else(|| {
            let what = "there is no place for the configuration: HOME is not set";
            Problem::configuration(
                what,
                "Set POPWIRE_CONFIG or HOME, or name a mailbox: pops://alice@pop.example.org",
            )
        })
}

impl AccountTable {
    fn secret_variables(&self) -> Vec<OsString> {
        let delivering = self.deliver.iter().flat_map(OneOrMany::to_vec).map(|deliver| deliver.password);
        let secrets = delivering.chain([self.password.clone()]).flatten();
        secrets
            .filter_map(|secret| match secret {
                Secret::Env(variable) => Some(variable.into()),
                _ => None,
            })
            .collect()
    }

    /// With the defaults where nothing is said.
    fn or(self, defaults: &Self) -> Self {
        macro_rules! merge {
            ($($key:ident)*) => { Self { $($key: self.$key.or_else(|| defaults.$key.clone()),)* } };
        }
        merge!(server user tls auth password token latin1_password utf8_login no_capa timeout deadline deliver keep
               skip limit max_octets batch interval on_error pipelining received delivered_to)
    }
}

#[cfg(test)]
mod tests;
