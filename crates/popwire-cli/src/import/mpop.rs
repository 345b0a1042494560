//! mpop: `~/.mpoprc` or `~/.config/mpop/config`, and the lists in `~/.mpop_uidls`.

use std::collections::BTreeMap;
use std::path::Path;

use super::account::{Deliver, Imported, ImportedAccount, Keep, Known, Secret, Security, Skip, Tls, shell};
use super::{ImportError, Places, Request, first_there, netrc, read_file, read_if_there, text};

pub(super) fn read(request: Request<'_>) -> Result<Imported, ImportError> {
    let places = request.places;
    let path = match request.path {
        Some(path) if path.is_dir() => {
            first_there(vec![path.join("config"), path.join(".mpoprc"), path.join("mpoprc")])?
        }
        Some(path) => path.to_owned(),
        None => first_there(vec![places.home.join(".mpoprc"), places.config.join("mpop").join("config")])?,
    };
    let mut imported = Imported { sources: vec![path.clone()], ..Imported::default() };
    let accounts = accounts(&path, &text(&read_file(&path)?), &mut imported)?;
    let netrc = read_if_there(&places.home.join(".netrc"))?.unwrap_or_default();
    for account in &accounts {
        if !account.commands.contains_key("delivery") {
            // mpop fetches nothing for it, either: others are made from it, or it is not finished.
            if !account.copied {
                imported.warn(
                    &path,
                    account.line,
                    format!("account {:?} is left out: it has no `delivery`", account.name),
                );
            }
            continue;
        }
        Reader { path: &path, request, netrc: &netrc, account }.read(&mut imported)?;
    }
    Ok(imported)
}

/// An account as it is written; what it takes from others and from the defaults is in it.
#[derive(Clone, Debug, Default)]
struct Account {
    name: String,
    line: usize,
    /// The last argument of each command, and its line.
    commands: BTreeMap<String, (usize, String)>,
    /// Whether others are made from it.
    copied: bool,
    /// The commands that are not from the defaults.
    own: BTreeMap<String, (usize, String)>,
}

/// All accounts of the file, in order.
fn accounts(path: &Path, text: &str, imported: &mut Imported) -> Result<Vec<Account>, ImportError> {
    let mut accounts: Vec<Account> = Vec::new();
    let mut defaults = Account::default();
    let mut begun = false;
    let mut in_account = false;
    for (line, written) in (1..).zip(text.lines()) {
        let written = written.trim_matches([' ', '\t', '\r']);
        if written.is_empty() || written.starts_with('#') {
            continue;
        }
        let (command, argument) = written.split_once([' ', '\t']).unwrap_or((written, ""));
        let argument = unquoted(argument);
        match command {
            "defaults" => (begun, in_account) = (true, false),
            "account" => {
                let (name, copied) = argument.split_once(':').unwrap_or((argument, ""));
                let mut account = Account {
                    name: unquoted(name).to_owned(),
                    line,
                    commands: defaults.commands.clone(),
                    ..Account::default()
                };
                for other in copied.split(',').map(unquoted).filter(|other| !other.is_empty()) {
                    let Some(other) = accounts.iter_mut().find(|account| account.name == other) else {
                        return Err(ImportError::syntax(path, line, format!("account {other:?} is not defined before")));
                    };
                    other.copied = true;
                    account.own.extend(other.own.clone());
                    account.commands.extend(other.own.clone());
                }
                if account.name.is_empty() {
                    return Err(ImportError::syntax(path, line, "an account needs a name"));
                }
                if accounts.iter().any(|other| other.name == account.name) {
                    return Err(ImportError::syntax(path, line, "there is an account of this name already"));
                }
                accounts.push(account);
                (begun, in_account) = (true, true);
            }
            "eval" => imported.warn(
                path,
                line,
                "`eval` is left out: its command is not run here. If it gives a password: password = { command = ... }",
            ),
            _ if !begun => {
                return Err(ImportError::syntax(path, line, "`account` or `defaults` has to come first"));
            }
            _ => {
                let value = (line, argument.to_owned());
                match accounts.last_mut().filter(|_| in_account) {
                    Some(account) => {
                        account.own.insert(command.to_owned(), value.clone());
                        account.commands.insert(command.to_owned(), value);
                    }
                    None => drop(defaults.commands.insert(command.to_owned(), value)),
                }
            }
        }
    }
    Ok(accounts)
}

/// Without the blanks around it, and without the double quotes around that.
fn unquoted(text: &str) -> &str {
    let text = text.trim_matches([' ', '\t']);
    match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => inner,
        None => text,
    }
}

struct Reader<'a> {
    path: &'a Path,
    request: Request<'a>,
    netrc: &'a [u8],
    account: &'a Account,
}

impl Reader<'_> {
    fn places(&self) -> &Places {
        self.request.places
    }

    fn get(&self, command: &str) -> Option<&str> {
        self.account.commands.get(command).map(|(_, argument)| argument.as_str())
    }

    /// An argument that is not empty and not `off`.
    fn some(&self, command: &str) -> Option<&str> {
        self.get(command).filter(|argument| !argument.is_empty() && *argument != "off")
    }

    fn line(&self, command: &str) -> usize {
        self.account.commands.get(command).map_or(self.account.line, |(line, _)| *line)
    }

    /// `on`, `off`, or nothing, which means `on`.
    fn switch(&self, command: &str, default: bool) -> Result<bool, ImportError> {
        match self.get(command) {
            None => Ok(default),
            Some("" | "on") => Ok(true),
            Some("off") => Ok(false),
            Some(_) => Err(self.wrong(command, "on or off")),
        }
    }

    fn number(&self, command: &str) -> Result<Option<u64>, ImportError> {
        let Some(argument) = self.some(command) else { return Ok(None) };
        argument.parse().map(Some).map_err(|_| self.wrong(command, "a number"))
    }

    /// Octets; with `k` or `m` behind the number 1024 or 1024 * 1024 of them.
    fn size(&self, command: &str) -> Result<Option<u64>, ImportError> {
        let Some(argument) = self.some(command) else { return Ok(None) };
        let (digits, unit) = match argument.as_bytes().last() {
            Some(b'k' | b'K') => (argument.get(..argument.len() - 1), 1024),
            Some(b'm' | b'M') => (argument.get(..argument.len() - 1), 1024 * 1024),
            _ => (Some(argument), 1),
        };
        let size =
            digits.and_then(|digits| digits.parse::<u64>().ok()).and_then(|number| number.checked_mul(unit));
        size.map(Some).ok_or_else(|| self.wrong(command, "a size"))
    }

    fn wrong(&self, command: &str, wanted: &str) -> ImportError {
        ImportError::syntax(self.path, self.line(command), format!("`{command}` takes {wanted}"))
    }

    fn read(&self, imported: &mut Imported) -> Result<(), ImportError> {
        // An account that others are made from has no server of its own.
        let Some(host) = self.some("host") else { return Ok(()) };
        let Some(user) = self.some("user").map(str::to_owned).or_else(|| self.places().login.clone()) else {
            imported.warn(self.path, self.account.line, "it is left out: there is no `user`");
            return Ok(());
        };
        let port = match self.some("port") {
            None => None,
            Some(port) => {
                Some(port.parse::<u16>().map_err(|_| self.wrong("port", "a number from 1 to 65535"))?)
            }
        };
        let mut account = ImportedAccount {
            name: self.account.name.clone(),
            host: host.to_owned(),
            user,
            port,
            timeout: self.number("timeout")?,
            keep: if self.switch("keep", false)? { Keep::Forever } else { Keep::No },
            received: self.get("received_header").is_some() && self.switch("received_header", true)?,
            pipelining: match self.get("pipelining") {
                None | Some("auto") => None,
                Some("off") => Some("never"),
                Some("" | "on") => Some("always"),
                Some(_) => return Err(self.wrong("pipelining", "auto, on or off")),
            },
            ..ImportedAccount::default()
        };
        let from = format!("From {}, account {:?}.", self.places().tilde(self.path), self.account.name);
        account.comments.push(from);
        self.tls(&mut account, imported)?;
        self.sign_in(&mut account, imported);
        self.deliver(&mut account, imported);
        self.skip(&mut account, imported)?;
        self.left_out(imported);
        self.known(&mut account, imported)?;
        imported.accounts.push(account);
        Ok(())
    }

    fn tls(&self, account: &mut ImportedAccount, imported: &mut Imported) -> Result<(), ImportError> {
        let mode = match (self.switch("tls", false)?, self.switch("tls_starttls", true)?) {
            (false, _) => Security::None,
            (true, true) => Security::StartTls,
            (true, false) => Security::Implicit,
        };
        account.tls.mode = mode;
        if mode == Security::None {
            let what =
                "password and mail go in the clear, as with mpop. Try tls = \"starttls\", or \"implicit\"";
            imported.warn(self.path, self.line("tls"), format!("{}: {what}", account.host));
            return Ok(());
        }
        let file = |command| self.some(command).map(|file| self.places().absolute(file, Path::new("")));
        account.tls = Tls {
            mode,
            ca: file("tls_trust_file").filter(|file| file.as_os_str() != "system"),
            cert: file("tls_cert_file"),
            key: file("tls_key_file"),
            any_certificate: !self.switch("tls_certcheck", true)?,
        };
        if account.tls.any_certificate {
            let what = "any certificate is accepted (`tls_certcheck off`), as with mpop";
            imported.warn(self.path, self.line("tls_certcheck"), format!("{}: {what}", account.host));
        }
        Ok(())
    }

    fn sign_in(&self, account: &mut ImportedAccount, imported: &mut Imported) {
        let method = self.some("auth").filter(|auth| *auth != "on").map(str::to_ascii_uppercase);
        let token = matches!(method.as_deref(), Some("XOAUTH2" | "OAUTHBEARER"));
        account.auth = method.into_iter().collect();
        account.secret = match (self.some("password"), self.some("passwordeval")) {
            (_, Some(command)) if token => Secret::Token(shell_words(command)),
            (Some(password), _) if !token => Secret::Clear(password.as_bytes().to_vec()),
            (_, Some(command)) => Secret::Shell(command.to_owned()),
            _ if token => {
                imported.warn(
                    self.path,
                    self.account.line,
                    "OAuth without `passwordeval`: write token = { command = ... }",
                );
                Secret::Unknown
            }
            _ => netrc::password(self.netrc, &account.host, &account.user)
                .map_or(Secret::Unknown, Secret::Clear),
        };
    }

    fn deliver(&self, account: &mut ImportedAccount, imported: &mut Imported) {
        let Some(delivery) = self.some("delivery") else { return };
        let (method, argument) = delivery.split_once([' ', '\t']).unwrap_or((delivery, ""));
        let argument = unquoted(argument);
        let path = || self.places().absolute(argument, Path::new(""));
        match method {
            "maildir" => account.deliver.push(Deliver::Maildir(path())),
            "mbox" => account.deliver.push(Deliver::Mbox(path())),
            "mda" => {
                let mut command = argument.to_owned();
                if command.contains("%F") {
                    let what = "in `delivery mda`, %F stands for the sender: popwire puts nothing there";
                    imported.warn(self.path, self.line("delivery"), what);
                    command = command.replace("'%F'", "%F").replace("\"%F\"", "%F").replace("%F", "''");
                }
                account.deliver.push(Deliver::Pipe(shell(&command)));
            }
            other => {
                let what = format!(
                    "`delivery {other}` is left out: popwire has no such destination. `deliver` has to be written"
                );
                imported.warn(self.path, self.line("delivery"), what);
            }
        }
    }

    fn skip(&self, account: &mut ImportedAccount, imported: &mut Imported) -> Result<(), ImportError> {
        let keeps = account.keep == Keep::Forever;
        match self.size("killsize")? {
            Some(0) => {
                let what = "`killsize 0` is left out: it would delete every message, or mark it as fetched";
                imported.warn(self.path, self.line("killsize"), what);
            }
            Some(larger) => account.skip.push(Skip { larger, delete: !keeps }),
            None => {}
        }
        account.skip.extend(self.size("skipsize")?.map(|larger| Skip { larger, delete: false }));
        if !self.switch("only_new", true)? {
            let what = "`only_new off` is left out: popwire fetches each message once";
            imported.warn(self.path, self.line("only_new"), what);
        }
        Ok(())
    }

    /// Warns of the commands that popwire has no words for.
    fn left_out(&self, imported: &mut Imported) {
        for (command, (line, argument)) in &self.account.commands {
            let why = match command.as_str() {
                "host" | "port" | "timeout" | "user" | "password" | "passwordeval" | "auth" | "tls"
                | "tls_starttls" | "tls_trust_file" | "tls_key_file" | "tls_cert_file" | "tls_certcheck"
                | "delivery" | "uidls_file" | "only_new" | "keep" | "killsize" | "skipsize"
                | "received_header" | "pipelining" => continue,
                _ if argument.is_empty() || argument == "off" => continue,
                "filter" => "popwire selects with `skip = [...]`, without a program",
                "tls_fingerprint" => "popwire pins the SHA-256 of the key: tls = { pin = [...] }",
                "tls_host_override" => {
                    "popwire wants the certificate to be for the server's name; put that into `server`"
                }
                "tls_crl_file" | "tls_priorities" | "tls_min_dh_prime_bits" | "tls_force_sslv3" => {
                    "popwire speaks TLS 1.2 and 1.3 with what is safe"
                }
                "proxy_host" | "proxy_port" | "socket" | "source_ip" => {
                    "popwire connects to the server directly"
                }
                _ => "popwire has no word for it",
            };
            let warning = format!("{}, line {line}: `{command}` is left out: {why}", self.path.display());
            if !imported.warnings.contains(&warning) {
                imported.warnings.push(warning);
            }
        }
    }

    fn known(&self, account: &mut ImportedAccount, imported: &mut Imported) -> Result<(), ImportError> {
        let path = match (self.request.ids, self.some("uidls_file")) {
            (Some(path), _) => path.to_owned(),
            (None, file) => {
                let file = file.unwrap_or("~/.mpop_uidls/%U_at_%H");
                self.places().absolute(&expanded(file, &account.user, &account.host), Path::new(""))
            }
        };
        let contents = match self.request.ids {
            Some(path) => Some(read_file(path)?),
            None => read_if_there(&path)?,
        };
        let Some(contents) = contents else {
            let what = "is not there: which messages mpop has fetched is not known";
            imported.warnings.push(format!("{} {what}", path.display()));
            return Ok(());
        };
        let (known, whole) = uids(&contents, &account.host, &account.user);
        if !whole {
            imported
                .warnings
                .push(format!("{} is not whole: the ids that are there are taken", path.display()));
        }
        account.known = known;
        imported.sources.push(path);
        Ok(())
    }
}

/// Command lines are for the shell.
fn shell_words(command: &str) -> Vec<String> {
    vec!["/bin/sh".to_owned(), "-c".to_owned(), command.to_owned()]
}

/// The name of a list, with user and host in it. A `/` in them leads into a folder, as with mpop.
fn expanded(file: &str, user: &str, host: &str) -> String {
    let mut expanded = String::new();
    let mut chars = file.chars();
    while let Some(char) = chars.next() {
        match (char, chars.as_str().chars().next()) {
            ('%', Some('U')) => expanded.push_str(user),
            ('%', Some('H')) => expanded.push_str(host),
            _ => {
                expanded.push(char);
                continue;
            }
        }
        chars.next();
    }
    expanded
}

/// The ids of this user of this host, and whether the list has as many as it says.
fn uids(contents: &[u8], host: &str, user: &str) -> (Vec<Known>, bool) {
    let mut known = Vec::new();
    let mut whole = true;
    // How many ids are still to come, and whether they are ours.
    let (mut left, mut ours) = (0_u64, false);
    for line in contents.split(|&octet| octet == b'\n') {
        if line.starts_with(b"#") {
            continue;
        }
        match line.strip_prefix(b" ") {
            Some(head) => {
                whole &= left == 0;
                let head = text(head);
                let mut words = head.splitn(3, ' ');
                left = words.next().and_then(|count| count.parse().ok()).unwrap_or_default();
                ours = words.next() == Some(host) && words.next() == Some(user);
            }
            None if line.is_empty() => {}
            None if left == 0 => whole = false,
            None => {
                left -= 1;
                if ours {
                    known.push(Known::new(line));
                }
            }
        }
    }
    (known, whole && left == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_hold_several_accounts_and_may_be_cut() {
        let list = b"# by mpop\n 2 h al\n#1\nid 1\nb@c\n 1 h bob\nx\n";
        // What begins with # is no id: mpop itself takes it for a comment.
        let (known, whole) = uids(list, "h", "al");
        assert_eq!((known, whole), (vec![Known::new("id 1"), Known::new("b@c")], true));
        assert_eq!(uids(list, "h", "bob"), (vec![Known::new("x")], true));
        let (known, whole) = uids(b" 3 h al\na\nb", "h", "al");
        assert_eq!((known.len(), whole), (2, false));
    }

    #[test]
    fn accounts_take_from_defaults_and_from_each_other() {
        let mut imported = Imported::default();
        let text = "defaults\ntls on\nkeep on\naccount a\nhost h\nuser \"u v\"\ndefaults\nport 1\naccount b : a\nkeep off\n";
        let found = accounts(Path::new("rc"), text, &mut imported).unwrap();
        let get = |at: usize, command: &str| found[at].commands.get(command).map(|(_, value)| value.as_str());
        assert_eq!((get(0, "user"), get(0, "keep"), get(0, "port")), (Some("u v"), Some("on"), None));
        assert_eq!((get(1, "host"), get(1, "keep"), get(1, "port")), (Some("h"), Some("off"), Some("1")));
        assert!(accounts(Path::new("rc"), "account b : a", &mut imported).is_err());
        assert!(accounts(Path::new("rc"), "host a", &mut imported).is_err());
    }
}
