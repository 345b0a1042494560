//! Accounts of other tools, written into popwire's configuration, and their passwords beside it.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::account::{ImportedAccount, Secret, free};

/// The folder of the passwords, beside the configuration.
const SECRETS: &str = "secrets";

/// What becomes of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Added,
    /// As a comment: the tool left it out unless it was named.
    Commented,
    /// The configuration has this server and user already, and stays as it is.
    There,
}

/// What will be written.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The configuration, behind whatever links lead to it.
    path: PathBuf,
    text: String,
    /// Passwords, by the file that they go into.
    secrets: Vec<(PathBuf, Vec<u8>)>,
    /// The name that each account has got, and what becomes of it; in order.
    pub(crate) fates: Vec<(String, Fate)>,
    /// The file of each account's password, if it gets one.
    pub(crate) secret_files: Vec<Option<PathBuf>>,
}

/// Why the configuration was not written. Nothing was changed then.
#[derive(Debug)]
pub(crate) enum WriteError {
    Read {
        path: PathBuf,
        source: io::Error,
    },
    /// What is there is no TOML, or would be none with the accounts behind it.
    Toml {
        path: PathBuf,
        source: toml::de::Error,
    },
    Write {
        path: PathBuf,
        source: io::Error,
    },
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, source } => write!(f, "{} cannot be read: {source}", path.display()),
            Self::Toml { path, source } => write!(f, "{} is not right: {}", path.display(), source.message()),
            Self::Write { path, source } => write!(f, "{} cannot be written: {source}", path.display()),
        }
    }
}

impl std::error::Error for WriteError {}

impl Plan {
    /// What has to be added to this configuration for these accounts. An account that is there already is left alone.
    pub(crate) fn new(config: &Path, accounts: &[ImportedAccount]) -> Result<Self, WriteError> {
        // The file itself is replaced, and not a link to it.
        let path = fs::canonicalize(config)
            .or_else(|_| std::path::absolute(config))
            .map_err(|source| WriteError::Read { path: config.to_owned(), source })?;
        let (old, new) = match fs::read_to_string(&path) {
            Ok(text) => (text, false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (String::new(), true),
            Err(source) => return Err(WriteError::Read { path, source }),
        };
        let parsed = parse(&path, &old)?;
        let there = parsed.get("account").and_then(toml::Value::as_table).cloned().unwrap_or_default();

        let secrets = path.parent().unwrap_or(Path::new("")).join(SECRETS);
        let mut text = if new { "version = 1\n".to_owned() } else { old.clone() };
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        let mut plan = Self { path, text, secrets: Vec::new(), fates: Vec::new(), secret_files: Vec::new() };
        for account in accounts {
            let same = |other: &toml::Value| {
                let is = |key: &str, value: &str| other.get(key).and_then(toml::Value::as_str) == Some(value);
                let server = other.get("server").and_then(toml::Value::as_str).unwrap_or_default();
                plain(server) == plain(&account.server()) && is("user", &account.user)
            };
            let written_out = |name: &str| old.lines().any(|line| line == format!("# [account.{name}]"));
            let name = match there.iter().find(|(_, other)| same(other)) {
                Some((name, _)) => {
                    plan.fates.push((name.clone(), Fate::There));
                    plan.secret_files.push(None);
                    continue;
                }
                None if account.dormant && written_out(&account.name) => {
                    plan.fates.push((account.name.clone(), Fate::There));
                    plan.secret_files.push(None);
                    continue;
                }
                None => free(&account.name, |name| {
                    there.contains_key(name) || plan.fates.iter().any(|(other, _)| other == name)
                }),
            };
            let secret = match &account.secret {
                Secret::Clear(password) => {
                    let file = secrets.join(free(&name, |name| secrets.join(name).exists()));
                    plan.secrets.push((file.clone(), password.clone()));
                    Some(file)
                }
                _ => None,
            };
            let table = account.to_toml(&name, secret.as_deref());
            plan.text.push('\n');
            for comment in &account.comments {
                plan.text.push_str(&format!("# {}\n", comment.replace(char::is_control, " ")));
            }
            if secret.is_some() {
                plan.text.push_str("# The password was in the old file; it is in a file of its own now, which only you can read.\n");
            }
            for line in table.lines() {
                plan.text.push_str(if account.dormant { "# " } else { "" });
                plan.text.push_str(line);
                plan.text.push('\n');
            }
            plan.fates.push((name, if account.dormant { Fate::Commented } else { Fate::Added }));
            plan.secret_files.push(secret);
        }
        parse(&plan.path, &plan.text)?;
        Ok(plan)
    }

    /// The configuration as it will be.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether the configuration changes at all.
    pub(crate) fn changes(&self) -> bool {
        self.fates.iter().any(|(_, fate)| *fate != Fate::There)
    }

    /// Writes passwords and configuration, so that a crash leaves the old configuration or the new one.
    pub(crate) fn write(&self) -> Result<(), WriteError> {
        if !self.changes() {
            return Ok(());
        }
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| WriteError::Write { path, source }
        };
        let folder =
            self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        make(folder).map_err(failed(folder))?;
        if !self.secrets.is_empty() {
            let secrets = folder.join(SECRETS);
            make(&secrets).map_err(failed(&secrets))?;
        }
        for (path, password) in &self.secrets {
            put(path, password, 0o600).map_err(failed(path))?;
        }
        let mode = fs::metadata(&self.path).map_or(0o600, |there| there.permissions().mode() & 0o777);
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let new = folder.join(name);
        // One that an import left behind that was killed.
        let _ = fs::remove_file(&new);
        put(&new, self.text.as_bytes(), mode)
            .and_then(|()| fs::rename(&new, &self.path))
            .and_then(|()| File::open(folder)?.sync_all())
            .map_err(failed(&self.path))
    }
}

/// A server's name for comparison: the ports of POP3 are as good as none.
fn plain(server: &str) -> String {
    let name = server.strip_suffix(":995").or(server.strip_suffix(":110")).unwrap_or(server);
    name.to_ascii_lowercase()
}

fn parse(path: &Path, text: &str) -> Result<toml::Table, WriteError> {
    text.parse().map_err(|source| WriteError::Toml { path: path.to_owned(), source })
}

/// Makes a folder that only the user can look into, if it is missing.
fn make(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Writes a new file, durably.
fn put(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(contents)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::super::account::{Deliver, Keep, Security, Skip, Tls};
    use super::*;

    fn account() -> ImportedAccount {
        ImportedAccount {
            name: "isp".into(),
            comments: vec!["From here.".into()],
            host: "pop.isp.example".into(),
            port: Some(1110),
            tls: Tls { mode: Security::StartTls, ca: Some("/ca.pem".into()), ..Tls::default() },
            user: "al \"x\"".into(),
            secret: Secret::Clear(b"s3cret".to_vec()),
            keep: Keep::Unless { days: Some(14), over: 10_000_000 },
            deliver: vec![
                Deliver::Maildir("~/Mail/isp".into()),
                Deliver::Pipe(vec!["/bin/sh".into(), "-c".into(), "a 'b'".into()]),
            ],
            skip: vec![Skip { larger: 102_400, delete: true }],
            interval: Some(600),
            timeout: Some(90),
            ..ImportedAccount::default()
        }
    }

    #[test]
    fn accounts_are_written_behind_what_is_there_and_never_over_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("popwire").join("config.toml");
        let plan = Plan::new(&path, &[account()]).unwrap();
        assert!(!plan.text().contains("s3cret"));
        plan.write().unwrap();
        let secret = folder.path().join("popwire/secrets/isp");
        assert_eq!(fs::read(&secret).unwrap(), b"s3cret");
        for (file, mode) in [(&secret, 0o600), (&path, 0o600)] {
            assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, mode);
        }
        let text = fs::read_to_string(&path).unwrap();
        let expected = format!(
            "version = 1\n\n# From here.\n# The password was in the old file; it is in a file of its own now, which only you can \
             read.\n[account.isp]\nserver = \"pop.isp.example:1110\"\ntls = {{ ca = \"/ca.pem\", mode = \"starttls\" }}\n\
             user = 'al \"x\"'\npassword = {{ file = \"{}\" }}\nkeep = {{ days = 14, over = \"10MB\" }}\n\
             deliver = [{{ maildir = \"~/Mail/isp\" }}, {{ pipe = [\"/bin/sh\", \"-c\", \"a 'b'\"] }}]\n\
             skip = [{{ larger = \"102400B\", then = \"delete\" }}]\ninterval = \"10m\"\ntimeout = \"90s\"\n",
            secret.display()
        );
        assert_eq!(text, expected);

        // The same account once more, and another of the same name.
        let other = ImportedAccount { user: "bob".into(), ..account() };
        let plan = Plan::new(&path, &[account(), other]).unwrap();
        assert_eq!(plan.fates, [("isp".to_owned(), Fate::There), ("isp-2".to_owned(), Fate::Added)]);
        plan.write().unwrap();
        let longer = fs::read_to_string(&path).unwrap();
        assert!(longer.starts_with(&text) && longer.contains("[account.isp-2]"), "{longer}");
        assert_eq!(fs::read(&secret).unwrap(), b"s3cret");
    }

    #[test]
    fn a_dormant_account_is_a_comment_and_written_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        let dormant = ImportedAccount { dormant: true, ..account() };
        for fate in [Fate::Commented, Fate::There] {
            let plan = Plan::new(&path, std::slice::from_ref(&dormant)).unwrap();
            assert_eq!(plan.fates, [("isp".to_owned(), fate)]);
            plan.write().unwrap();
        }
        let parsed: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
        assert_eq!(parsed.keys().collect::<Vec<_>>(), ["version"]);
    }

    #[test]
    fn a_configuration_that_is_no_toml_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        for broken in ["[account", "account = { isp = {} }\n"] {
            fs::write(&path, broken).unwrap();
            assert!(matches!(Plan::new(&path, &[account()]), Err(WriteError::Toml { .. })), "{broken}");
            assert_eq!(fs::read_to_string(&path).unwrap(), broken);
        }
    }
}
