//! An account as popwire's configuration has it, and as TOML.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use popwire_retriever::{AccountKey, Change, MessageKey};
use toml::Value;

/// What an importer found.
#[derive(Debug, Default)]
pub(crate) struct Imported {
    pub(crate) accounts: Vec<ImportedAccount>,
    /// What could not be taken over, or only otherwise than it was: sentences that name file and line.
    pub(crate) warnings: Vec<String>,
    /// The files that were read, for those who wonder.
    pub(crate) sources: Vec<PathBuf>,
}

impl Imported {
    /// A warning about a place in a file.
    pub(super) fn warn(&mut self, path: &Path, line: usize, what: impl std::fmt::Display) {
        self.warnings.push(format!("{}, line {line}: {what}", path.display()));
    }

    /// Leaves one account for each mailbox, the first; popwire would give each message to one of them only.
    pub(super) fn unite(&mut self) {
        let mut united: Vec<ImportedAccount> = Vec::new();
        for account in self.accounts.drain(..) {
            let Some(first) = united.iter_mut().find(|first| first.key() == account.key()) else {
                united.push(account);
                continue;
            };
            self.warnings.push(format!(
                "account {:?} is left out: it is the mailbox of account {:?}, {}",
                account.name,
                first.name,
                first.key()
            ));
            let there: HashSet<_> = first.known.iter().map(|known| known.uid.clone()).collect();
            first.known.extend(account.known.into_iter().filter(|known| !there.contains(&known.uid)));
        }
        self.accounts = united;
    }

    /// Makes the names of the accounts bare keys of TOML that differ from each other.
    pub(super) fn name_apart(&mut self) {
        let mut taken = HashSet::new();
        for account in &mut self.accounts {
            account.name = free(&bare(&account.name), |name| taken.contains(name));
            taken.insert(account.name.clone());
        }
    }
}

/// A name made of nothing but what a bare key may have: letters, digits, `-` and `_`.
fn bare(name: &str) -> String {
    let mut bare = String::new();
    for char in name.chars() {
        if char.is_ascii_alphanumeric() || char == '_' {
            bare.push(char);
        } else if !bare.ends_with('-') {
            bare.push('-');
        }
    }
    match bare.trim_matches('-') {
        "" => "account".to_owned(),
        name => name.to_owned(),
    }
}

/// The name, or with a number behind it the first that is not taken.
pub(super) fn free(name: &str, taken: impl Fn(&str) -> bool) -> String {
    if !taken(name) {
        return name.to_owned();
    }
    (2_u64..).map(|n| format!("{name}-{n}")).find(|name| !taken(name)).unwrap_or_default()
}

/// A message that was fetched already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// The unique-id that the tool has written down, octet for octet.
    pub(crate) uid: Vec<u8>,
    /// What the server may have said, where the tool wrote something else down.
    pub(crate) or: Vec<Vec<u8>>,
    /// When it was fetched, in seconds since 1970, if the tool knows.
    pub(crate) at: Option<i64>,
}

impl Known {
    pub(super) fn new(uid: impl Into<Vec<u8>>) -> Self {
        Self { uid: uid.into(), ..Self::default() }
    }

    /// When it was fetched, for the ledger.
    pub(super) fn since(&self, key: &MessageKey) -> Option<Change> {
        let seconds = u64::try_from(self.at?).ok()?;
        let seen = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?;
        Some(Change::Since { key: key.clone(), seen })
    }
}

/// An account of another tool, in popwire's words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ImportedAccount {
    pub(crate) name: String,
    /// What is written above the account's table: where it comes from, and what a person has to look at.
    pub(crate) comments: Vec<String>,
    /// Whether the tool left it out unless it was named. It is then written down as a comment.
    pub(crate) dormant: bool,
    pub(crate) host: String,
    /// Where it is not the one that belongs to `security`.
    pub(crate) port: Option<u16>,
    pub(crate) tls: Tls,
    pub(crate) user: String,
    pub(crate) auth: Vec<String>,
    pub(crate) secret: Secret,
    pub(crate) keep: Keep,
    pub(crate) deliver: Vec<Deliver>,
    pub(crate) skip: Vec<Skip>,
    pub(crate) limit: Option<u64>,
    pub(crate) max_octets: Option<u64>,
    pub(crate) batch: Option<u64>,
    /// Seconds.
    pub(crate) interval: Option<u64>,
    /// Seconds.
    pub(crate) timeout: Option<u64>,
    pub(crate) pipelining: Option<&'static str>,
    pub(crate) received: bool,
    pub(crate) known: Vec<Known>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tls {
    pub(crate) mode: Security,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) any_certificate: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Security {
    #[default]
    Implicit,
    StartTls,
    None,
}

/// What to sign in with.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) enum Secret {
    /// The tool asked for it, or has it where it cannot be read.
    #[default]
    Unknown,
    /// It stood in a file of the tool.
    Clear(Vec<u8>),
    /// In the first line of a file that only popwire and the user need.
    File(PathBuf),
    /// For the shell.
    Shell(String),
    Command(Vec<String>),
    /// A command that prints an OAuth access token.
    Token(Vec<String>),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown => f.write_str("Unknown"),
            Self::Clear(_) => f.write_str("Clear(..)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Shell(command) => f.debug_tuple("Shell").field(command).finish(),
            Self::Command(words) => f.debug_tuple("Command").field(words).finish(),
            Self::Token(words) => f.debug_tuple("Token").field(words).finish(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Keep {
    #[default]
    Forever,
    No,
    Days(u64),
    /// So many days, or for ever, and what has more octets than this not at all.
    Unless {
        days: Option<u64>,
        over: u64,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deliver {
    Maildir(PathBuf),
    Mbox(PathBuf),
    Pipe(Vec<String>),
    /// `host:port`, or the path of a socket.
    Lmtp {
        to: String,
        recipient: String,
    },
    /// `host:port`, without TLS.
    Smtp {
        to: String,
        recipient: String,
        /// Whether it is another machine.
        remote: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Skip {
    /// More octets than this.
    pub(crate) larger: u64,
    pub(crate) delete: bool,
}

impl ImportedAccount {
    /// By what the ledger knows it.
    pub(crate) fn key(&self) -> AccountKey {
        AccountKey::new(&self.user, &self.host, self.effective_port())
    }

    fn effective_port(&self) -> u16 {
        self.port.unwrap_or(self.tls.mode.port())
    }

    /// `server`, as it is written.
    pub(crate) fn server(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match self.port.filter(|&port| port != self.tls.mode.port()) {
            Some(port) => format!("{host}:{port}"),
            None => host,
        }
    }

    /// The account's table, under this name; `secret` is the file with the password, if there is one.
    pub(super) fn to_toml(&self, name: &str, secret: Option<&Path>) -> String {
        let mut lines: Vec<String> = Vec::new();
        lines.push(format!("[account.{name}]"));
        let mut put = |key: &str, value: Value| lines.push(format!("{key} = {value}"));
        put("server", self.server().into());
        if self.tls != Tls::default() {
            put("tls", self.tls.to_toml());
        }
        put("user", self.user.clone().into());
        match self.auth.as_slice() {
            [] => {}
            [one] => put("auth", one.clone().into()),
            several => put("auth", several.to_vec().into()),
        }
        match &self.secret {
            Secret::Unknown => {}
            Secret::Clear(_) => {
                if let Some(file) = secret {
                    put("password", inline([("file", path(file))]));
                }
            }
            Secret::File(file) => put("password", inline([("file", path(file))])),
            Secret::Shell(command) => put("password", inline([("command", command.clone().into())])),
            Secret::Command(words) => put("password", inline([("command", words.clone().into())])),
            Secret::Token(words) => put("token", inline([("command", words.clone().into())])),
        }
        if self.keep != Keep::default() {
            put("keep", self.keep.to_toml());
        }
        if !self.deliver.is_empty() {
            put("deliver", self.deliver.iter().map(Deliver::to_toml).collect::<Vec<_>>().into());
        }
        if !self.skip.is_empty() {
            put("skip", self.skip.iter().map(|skip| skip.to_toml()).collect::<Vec<_>>().into());
        }
        if let Some(limit) = self.limit {
            put("limit", integer(limit));
        }
        if let Some(octets) = self.max_octets {
            put("max_octets", size(octets));
        }
        if let Some(batch) = self.batch {
            put("batch", integer(batch));
        }
        if let Some(interval) = self.interval {
            put("interval", duration(interval));
        }
        if let Some(timeout) = self.timeout {
            put("timeout", duration(timeout));
        }
        if let Some(pipelining) = self.pipelining {
            put("pipelining", pipelining.into());
        }
        if self.received {
            put("received", true.into());
        }
        if self.secret == Secret::Unknown {
            lines.push("# password = { keyring = true }".to_owned());
        }
        if self.deliver.is_empty() {
            lines.push("# deliver = [{ maildir = \"~/Mail\" }]".to_owned());
        }
        lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

impl Security {
    pub(super) fn port(self) -> u16 {
        match self {
            Self::Implicit => 995,
            Self::StartTls | Self::None => 110,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Implicit => "implicit",
            Self::StartTls => "starttls",
            Self::None => "none-insecure",
        }
    }
}

impl Tls {
    fn to_toml(&self) -> Value {
        let mut table = toml::Table::new();
        table.insert("mode".into(), self.mode.name().into());
        for (key, file) in [("ca", &self.ca), ("cert", &self.cert), ("key", &self.key)] {
            if let Some(file) = file {
                table.insert(key.into(), path(file));
            }
        }
        if self.any_certificate {
            table.insert("insecure_any_certificate".into(), true.into());
        }
        if table.len() == 1 { self.mode.name().into() } else { table.into() }
    }
}

impl Keep {
    fn to_toml(&self) -> Value {
        match *self {
            Self::Forever => "forever".into(),
            Self::No => "no".into(),
            Self::Days(days) => format!("{days}d").into(),
            Self::Unless { days: Some(days), over } => {
                inline([("days", integer(days)), ("over", size(over))])
            }
            Self::Unless { days: None, over } => inline([("over", size(over))]),
        }
    }
}

impl Deliver {
    fn to_toml(&self) -> Value {
        match self {
            Self::Maildir(folder) => inline([("maildir", path(folder))]),
            Self::Mbox(file) => inline([("mbox", path(file))]),
            Self::Pipe(words) => inline([("pipe", words.clone().into())]),
            Self::Lmtp { to, recipient } => {
                inline([("lmtp", to.clone().into()), ("recipient", recipient.clone().into())])
            }
            Self::Smtp { to, recipient, remote } => {
                let place = [("smtp", to.clone().into()), ("recipient", recipient.clone().into())];
                let tls = remote.then(|| ("tls", Security::None.name().into()));
                table(place.into_iter().chain(tls))
            }
        }
    }
}

impl Skip {
    fn to_toml(self) -> Value {
        let larger = ("larger", size(self.larger));
        if self.delete { inline([larger, ("then", "delete".into())]) } else { inline([larger]) }
    }
}

fn inline<const N: usize>(pairs: [(&str, Value); N]) -> Value {
    table(pairs)
}

fn table<'a>(pairs: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<toml::Table>().into()
}

fn path(path: &Path) -> Value {
    path.to_string_lossy().into_owned().into()
}

fn integer(value: u64) -> Value {
    i64::try_from(value).unwrap_or(i64::MAX).into()
}

/// Octets, in the largest unit that says them exactly.
fn size(octets: u64) -> Value {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1000, "kB")];
    match units.into_iter().find(|(unit, _)| octets > 0 && octets.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", octets / unit).into(),
        None => format!("{octets}B").into(),
    }
}

/// Seconds, in the largest unit that says them exactly.
fn duration(seconds: u64) -> Value {
    let units = [(86400, "d"), (3600, "h"), (60, "m")];
    match units.into_iter().find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", seconds / unit).into(),
        None => format!("{seconds}s").into(),
    }
}

/// The words of a command for the shell: as they are where the shell would do nothing with them, and else the shell itself.
pub(super) fn shell(line: &str) -> Vec<String> {
    let plain = |char: char| char.is_ascii_alphanumeric() || " @%+=:,./_-".contains(char);
    let words: Vec<_> = line.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
    // A program without a path is for the shell to find; a word with `=` in front sets a variable.
    let direct = words.first().is_some_and(|program| program.starts_with('/') && !program.contains('='));
    if direct && line.chars().all(plain) {
        words
    } else {
        vec!["/bin/sh".to_owned(), "-c".to_owned(), line.trim().to_owned()]
    }
}
