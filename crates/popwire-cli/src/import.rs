//! What other retrievers know: how they are configured, and which messages they have fetched already.
//!
//! Each importer reads the files of one tool and gives accounts back; it writes nothing and asks nobody. `write` puts the
//! accounts into popwire's configuration, [`remember`] their messages into the ledger.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use popwire_retriever::{AccountKey, Change, Identity, Ledger, LedgerError, MessageKey};

mod account;
mod fetchmail;
mod getmail;
mod ini;
mod mpop;
mod netrc;
mod thunderbird;
mod write;

pub(crate) use account::{Imported, ImportedAccount, Known};
pub(crate) use write::{Fate, Plan, WriteError};

/// Most octets that a file of another tool may have. A list of a million unique-ids of 70 characters fits.
const MOST: u64 = 256 << 20;

/// Whose files are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// fetchmail: ~/.fetchmailrc and ~/.fetchids
    Fetchmailrc,
    /// getmail 4 to 6: the rc files and oldmail-* files in ~/.config/getmail or ~/.getmail
    Getmailrc,
    /// mpop: ~/.mpoprc or ~/.config/mpop/config, and ~/.mpop_uidls
    Mpoprc,
    /// Thunderbird: prefs.js and the popstate.dat files of a profile in ~/.thunderbird
    Thunderbird,
}

impl Kind {
    /// The tool's name.
    pub(crate) fn tool(self) -> &'static str {
        match self {
            Self::Fetchmailrc => "fetchmail",
            Self::Getmailrc => "getmail",
            Self::Mpoprc => "mpop",
            Self::Thunderbird => "Thunderbird",
        }
    }
}

/// Where a user's files are.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) home: PathBuf,
    /// `XDG_CONFIG_HOME`.
    pub(crate) config: PathBuf,
    /// The user's name on this machine, which fetchmail and `~/.netrc` fall back on.
    pub(crate) login: Option<String>,
}

impl Places {
    /// A path with `~/`, `$HOME/` or `${HOME}/` in front made absolute; one that is relative begins in `folder`.
    fn absolute(&self, path: &str, folder: &Path) -> PathBuf {
        for home in ["~", "$HOME", "${HOME}"] {
            match path.strip_prefix(home) {
                Some("") => return self.home.clone(),
                Some(rest) if rest.starts_with('/') => return self.home.join(rest.trim_start_matches('/')),
                _ => {}
            }
        }
        // `~name` is somebody else's home, which is not looked for here.
        if path.starts_with('~') { PathBuf::from(path) } else { folder.join(path) }
    }

    /// A path as a person writes it, with `~` for the home.
    fn tilde(&self, path: &Path) -> String {
        match path.strip_prefix(&self.home) {
            Ok(rest) => Path::new("~").join(rest).display().to_string(),
            Err(_) => path.display().to_string(),
        }
    }
}

/// What is to be read: `path` and `ids` in place of those where the tool itself would look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) path: Option<&'a Path>,
    /// The list of unique-ids.
    pub(crate) ids: Option<&'a Path>,
    pub(crate) places: &'a Places,
}

/// Why nothing could be imported.
#[derive(Debug)]
pub(crate) enum ImportError {
    /// No file where the tool has its own.
    NotFound {
        tried: Vec<PathBuf>,
    },
    Read {
        path: PathBuf,
        source: io::Error,
    },
    /// The tool itself would not understand this.
    Syntax {
        path: PathBuf,
        line: usize,
        what: String,
    },
}

impl ImportError {
    fn syntax(path: &Path, line: usize, what: impl Into<String>) -> Self {
        Self::Syntax { path: path.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { tried } => {
                let tried: Vec<_> = tried.iter().map(|path| path.display().to_string()).collect();
                write!(f, "there is none of {}", tried.join(", "))
            }
            Self::Read { path, source } => write!(f, "{} cannot be read: {source}", path.display()),
            Self::Syntax { path, line, what } => write!(f, "{}, line {line}: {what}", path.display()),
        }
    }
}

impl std::error::Error for ImportError {}

/// Reads the files of a tool.
pub(crate) fn read(kind: Kind, request: Request<'_>) -> Result<Imported, ImportError> {
    let mut imported = match kind {
        Kind::Fetchmailrc => fetchmail::read(request),
        Kind::Getmailrc => getmail::read(request),
        Kind::Mpoprc => mpop::read(request),
        Kind::Thunderbird => thunderbird::read(request),
    }?;
    imported.unite();
    imported.name_apart();
    Ok(imported)
}

/// How many messages go into the ledger at a time.
const BATCH: usize = 1000;

/// Notes in the ledger that these messages were fetched; returns how many it did not know of before.
///
/// What popwire has fetched by itself in the meantime stays as it is.
pub(crate) fn remember(
    ledger: &dyn Ledger,
    account: &AccountKey,
    known: &[Known],
) -> Result<usize, LedgerError> {
    if known.is_empty() {
        return Ok(0);
    }
    let _lock = ledger.lock(account)?;
    // All at once: what the ledger misses among those that it is asked for is looked for, too.
    let keys: Vec<_> = known.iter().map(|known| key(&known.uid)).collect();
    let recalled = ledger.recall(account, &keys)?.known;
    let unknown = known.iter().zip(keys).zip(recalled);
    let unknown =
        unknown.filter(|(_, recalled)| !recalled.as_ref().is_some_and(|it| it.state.is_delivered()));
    let unknown: Vec<_> = unknown.map(|(one, _)| one).collect();
    for batch in unknown.chunks(BATCH) {
        let mut changes = Vec::new();
        for (known, key) in batch {
            changes.push(Change::Delivered { key: key.clone(), received: None });
            changes.extend(known.since(key));
            for other in &known.or {
                // That the server lists it under this name is a guess: it is not missed if it does not.
                let key = self::key(other);
                changes.push(Change::Delivered { key: key.clone(), received: None });
                changes.extend(known.since(&key));
                changes.push(Change::Vanished { key });
            }
        }
        ledger.record(account, &changes)?;
    }
    Ok(unknown.len())
}

fn key(uid: &[u8]) -> MessageKey {
    MessageKey::new(Identity::UniqueId(uid.to_vec()), 0)
}

/// The contents of a file that is not absurdly large.
fn read_file(path: &Path) -> Result<Vec<u8>, ImportError> {
    let failed = |source| ImportError::Read { path: path.to_owned(), source };
    let size = fs::metadata(path).map_err(failed)?.len();
    if size > MOST {
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has {size} octets"))));
    }
    fs::read(path).map_err(failed)
}

/// The contents of a file, or nothing if there is none.
fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, ImportError> {
    match read_file(path) {
        Ok(contents) => Ok(Some(contents)),
        Err(ImportError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The text of octets that are UTF-8, or else Latin-1, which these files were written in before.
fn text(octets: &[u8]) -> String {
    match std::str::from_utf8(octets) {
        Ok(text) => text.to_owned(),
        Err(_) => octets.iter().map(|&octet| char::from(octet)).collect(),
    }
}

/// The first of these files that is there, or else all of them in the error.
fn first_there(candidates: Vec<PathBuf>) -> Result<PathBuf, ImportError> {
    match candidates.iter().find(|path| path.exists()) {
        Some(path) => Ok(path.clone()),
        None => Err(ImportError::NotFound { tried: candidates }),
    }
}

#[cfg(test)]
mod tests;
