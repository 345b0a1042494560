//! fetchmail: `~/.fetchmailrc`, and the unique-ids in `~/.fetchids`.

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};

use super::account::{Deliver, Imported, ImportedAccount, Keep, Known, Secret, Security, Skip, Tls};
use super::{ImportError, Places, Request, first_there, netrc, read_file, read_if_there, text};

mod lexer;
mod parser;
mod rc;

use rc::{Entry, RunControl};

/// The file's name.
const RC: &str = ".fetchmailrc";
/// The name of the list of unique-ids.
const IDS: &str = ".fetchids";

pub(super) fn read(request: Request<'_>) -> Result<Imported, ImportError> {
    let places = request.places;
    let path = match request.path {
        Some(path) if path.is_dir() => first_there(vec![path.join(RC), path.join("fetchmailrc")])?,
        Some(path) => path.to_owned(),
        None => first_there(usual(places))?,
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let control = parser::parse(&path, &read_file(&path)?)?;
    let mut imported = Imported { sources: vec![path.clone()], ..Imported::default() };
    for note in &control.notes {
        imported.warn(&path, note.line, format!("`{}` is left out: {}", note.option, note.why));
    }

    let ids_path = match (request.ids, &control.idfile) {
        (Some(path), _) => path.to_owned(),
        (None, Some(file)) => places.absolute(file, folder),
        (None, None) => home_of_fetchmail().map_or(places.home.join(IDS), |home| home.join("fetchids")),
    };
    let ids = match request.ids {
        Some(path) => Some(read_file(path)?),
        None => read_if_there(&ids_path)?,
    };
    match &ids {
        Some(_) => imported.sources.push(ids_path.clone()),
        None => imported.warnings.push(format!(
            "{} is not there: which messages fetchmail has fetched is not known",
            ids_path.display()
        )),
    }
    let ids = lines(ids.as_deref().unwrap_or_default());
    let netrc = read_if_there(&places.home.join(".netrc"))?.unwrap_or_default();

    let reader = Reader { path: &path, folder, places, control: &control, ids: &ids, netrc: &netrc };
    for entry in &control.entries {
        reader.account(entry, &mut imported);
    }
    for owner in strangers(&ids, &imported) {
        let what = format!("the ids of {owner} are left out: no entry is for that");
        imported.warnings.push(format!("{}: {what}", ids_path.display()));
    }
    Ok(imported)
}

fn home_of_fetchmail() -> Option<PathBuf> {
    env::var_os("FETCHMAILHOME").filter(|home| !home.is_empty()).map(PathBuf::from)
}

fn usual(places: &Places) -> Vec<PathBuf> {
    let named = home_of_fetchmail().map(|home| home.join("fetchmailrc"));
    named.into_iter().chain([places.home.join(RC)]).collect()
}

/// A line of the list: `user@host id`.
struct Line<'a> {
    user: &'a [u8],
    host: &'a [u8],
    id: &'a [u8],
}

/// Takes the list apart as fetchmail does: a user's name may have blanks, and any of the three an `@`.
fn lines(ids: &[u8]) -> Vec<Line<'_>> {
    let lines = ids.split(|&octet| octet == b'\n').filter_map(|line| {
        let line = line.strip_suffix(b"\r").unwrap_or(line).trim_ascii_start();
        let at = line.iter().position(|&octet| octet == b'@')?;
        let blank = at + line.get(at..)?.iter().position(|&octet| octet == b' ')?;
        let (owner, id) = line.split_at_checked(blank)?;
        let at = owner.iter().rposition(|&octet| octet == b'@')?;
        let (user, host) = owner.split_at_checked(at)?;
        let id = id.trim_ascii();
        (!id.is_empty()).then_some(Line { user, host: host.get(1..)?, id })
    });
    lines.collect()
}

/// Whose ids are in the list that no account has: the server may have had another name.
fn strangers(ids: &[Line<'_>], imported: &Imported) -> BTreeSet<String> {
    let name = |user: &str, host: &str| format!("{user}@{host}").to_ascii_lowercase();
    let mut owners: BTreeSet<_> = ids.iter().map(|line| name(&text(line.user), &text(line.host))).collect();
    for account in &imported.accounts {
        owners.remove(&name(&account.user, &account.host));
    }
    owners
}

struct Reader<'a> {
    path: &'a Path,
    folder: &'a Path,
    places: &'a Places,
    control: &'a RunControl,
    ids: &'a [Line<'a>],
    netrc: &'a [u8],
}

impl Reader<'_> {
    fn account(&self, entry: &Entry, imported: &mut Imported) {
        let server = &entry.server;
        let host = server.via.clone().unwrap_or_else(|| server.name.clone());
        let mut warnings = Vec::new();
        let mut warn = |what: String| warnings.push((entry.line, what));
        let Some(user) = entry.user.remote.clone().or_else(|| self.places.login.clone()) else {
            warn(format!("{host} is left out: it is not said who the user is"));
            return self.tell(imported, warnings);
        };
        let known = self.known(&host, &user);
        match protocol(entry) {
            Protocol::Pop3 => {}
            Protocol::Unsaid if !known.is_empty() => {}
            Protocol::Unsaid => warn(format!(
                "{user} at {host}: no protocol is said, and fetchmail tries IMAP first. It is taken for POP3"
            )),
            Protocol::Other(name) => {
                warn(format!(
                    "{user} at {host} is left out: it is fetched by {}, not POP3",
                    name.to_uppercase()
                ));
                return self.tell(imported, warnings);
            }
        }

        let users = self.control.entries.iter().filter(|other| other.server.name == server.name).count();
        let mut account = ImportedAccount {
            name: if users > 1 { format!("{user}-{}", server.name) } else { server.name.clone() },
            dormant: server.skip,
            port: port(entry),
            host,
            user,
            known,
            keep: if entry.user.keep == Some(true) { Keep::Forever } else { Keep::No },
            limit: entry.user.fetchlimit.filter(|&limit| limit > 0),
            batch: entry.user.expunge.filter(|&expunge| expunge > 0),
            timeout: server.timeout.filter(|&timeout| timeout > 0),
            interval: self
                .control
                .daemon
                .map(|every| every.saturating_mul(server.interval.unwrap_or(1).max(1))),
            ..ImportedAccount::default()
        };
        account.comments.push(format!("From {}, line {}.", self.places.tilde(self.path), entry.line));
        self.tls(entry, &mut account, &mut warn);
        self.sign_in(entry, &mut account, &mut warn);
        self.deliver(entry, &mut account, &mut warn);
        self.policy(entry, &mut account, &mut warn);
        if account.dormant {
            account
                .comments
                .push("fetchmail skips it unless it is named (`skip`). Uncomment it to use it.".to_owned());
        }
        for note in &entry.notes {
            warnings.push((note.line, format!("`{}` is left out: {}", note.option, note.why)));
        }
        self.tell(imported, warnings);
        imported.accounts.push(account);
    }

    /// Warnings, each once: several users of a server share its options.
    fn tell(&self, imported: &mut Imported, warnings: Vec<(usize, String)>) {
        for (line, what) in warnings {
            let warning = format!("{}, line {line}: {what}", self.path.display());
            if !imported.warnings.contains(&warning) {
                imported.warnings.push(warning);
            }
        }
    }

    /// What stands in the list for this user of this server. fetchmail compares both without regard to case.
    fn known(&self, host: &str, user: &str) -> Vec<Known> {
        let ours = self.ids.iter().filter(|line| {
            line.host.eq_ignore_ascii_case(host.as_bytes()) && text(line.user).eq_ignore_ascii_case(user)
        });
        ours.map(|line| Known::new(line.id)).collect()
    }

    fn tls(&self, entry: &Entry, account: &mut ImportedAccount, warn: &mut impl FnMut(String)) {
        let user = &entry.user;
        let proto = user.sslproto.as_deref().map(str::to_ascii_lowercase);
        let mode = match proto.as_deref() {
            _ if user.ssl == Some(true) => Security::Implicit,
            Some("") => Security::None,
            _ => Security::StartTls,
        };
        let file = |file: &Option<String>| file.as_ref().map(|file| self.places.absolute(file, self.folder));
        account.tls = Tls {
            mode,
            ca: file(&user.sslcertfile),
            cert: file(&user.sslcert),
            // One file may have both.
            key: file(&user.sslkey).or(file(&user.sslcert)),
            any_certificate: user.sslcertck == Some(false) && mode != Security::None,
        };
        match (mode, proto.as_deref()) {
            (Security::None, _) => {
                warn(format!("{}: password and mail go in the clear, as with fetchmail", account.host))
            }
            (Security::StartTls, None | Some("auto" | "ssl23")) => warn(format!(
                "{}: fetchmail goes on in the clear if the server offers no STLS; popwire does not. If it has to: \
                 tls = \"none-insecure\"",
                account.host
            )),
            _ => {}
        }
        if account.tls.any_certificate {
            warn(format!(
                "{}: any certificate is accepted (`no sslcertck`), as with fetchmail",
                account.host
            ));
        }
    }

    fn sign_in(&self, entry: &Entry, account: &mut ImportedAccount, warn: &mut impl FnMut(String)) {
        if entry.server.protocol.as_deref() == Some("apop") {
            account.auth = vec!["APOP".to_owned()];
        }
        match entry.server.auth.as_deref() {
            None | Some("any" | "password") => {}
            Some("cram" | "cram-md5") => account.auth = vec!["CRAM-MD5".to_owned()],
            Some("ntlm" | "msn") => account.auth = vec!["NTLM".to_owned()],
            Some("gssapi" | "kerberos" | "kerberos5" | "kerberos_v5") => {
                account.auth = vec!["GSSAPI".to_owned()]
            }
            Some(oauth @ ("oauthbearer" | "xoauth2")) => {
                account.auth = vec![oauth.to_ascii_uppercase()];
                warn("it signs in by OAuth: write token = { command = ... }".to_owned());
            }
            Some("external") => account.auth = vec!["EXTERNAL".to_owned()],
            Some(other) => warn(format!("`auth {other}` is left out: popwire does not know it")),
        }
        let netrc = || {
            [&entry.server.name, &account.host]
                .iter()
                .find_map(|host| netrc::password(self.netrc, host, &account.user))
        };
        account.secret = match &entry.user {
            user if user.password.is_some() => user.password.clone().map_or(Secret::Unknown, Secret::Clear),
            user => match user.passwordfile.as_ref().map(|file| self.places.absolute(file, self.folder)) {
                Some(file) => Secret::File(file),
                None => netrc().map_or(Secret::Unknown, Secret::Clear),
            },
        };
    }

    fn deliver(&self, entry: &Entry, account: &mut ImportedAccount, warn: &mut impl FnMut(String)) {
        let user = &entry.user;
        if user.multidrop {
            account.comments.push(
                "fetchmail hands this mail out to several people (multidrop); popwire does not.".to_owned(),
            );
            warn(format!(
                "{}: fetchmail hands its mail out by the addresses in it, which popwire does not do: `deliver` has to be written",
                account.host
            ));
            return;
        }
        let local = user.locals.first().or(self.places.login.as_ref()).cloned().unwrap_or_default();
        let local = if local.is_empty() { account.user.clone() } else { local };
        if let Some(file) = &user.bsmtp {
            warn(format!("`bsmtp {file}` is left out: popwire writes no BSMTP. `deliver` has to be written"));
            return;
        }
        if let Some(command) = &user.mda {
            account.deliver.push(self.program(command, &local, warn));
            return;
        }
        let to = user.smtp.first().map_or("localhost", String::as_str);
        if user.smtp.len() > 1 {
            warn(format!("of the mail servers here only the first, {to}, is taken"));
        }
        if user.smtp.is_empty() {
            warn(format!(
                "{}: no `mda` and no `smtphost`: it is delivered to the mail server of this machine, as by fetchmail",
                account.host
            ));
        }
        // A domain: what fetchmail adds where the name has none.
        let recipient = match (&user.smtpname, &user.smtpaddress) {
            (Some(name), _) => name.clone(),
            (None, _) if local.contains('@') => local,
            (None, Some(domain)) => format!("{local}@{domain}"),
            (None, None) => format!("{local}@localhost"),
        };
        let lmtp = user.lmtp;
        account.deliver.push(match (lmtp, to.split_once('/')) {
            (true, Some(("", _))) => Deliver::Lmtp { to: to.to_owned(), recipient },
            (false, Some(("", _))) => {
                warn(format!("`smtphost {to}` is left out: popwire speaks SMTP by TCP only. `deliver` has to be written"));
                return;
            }
            (true, port) => {
                let (host, port) = port.unwrap_or((to, "24"));
                Deliver::Lmtp { to: format!("{host}:{port}"), recipient }
            }
            (false, port) => {
                let (host, port) = port.unwrap_or((to, "25"));
                let remote = !["localhost", "127.0.0.1", "::1"].contains(&host);
                if remote {
                    warn(format!("mail goes to {host} without TLS, as by fetchmail: look at `deliver`"));
                }
                let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
                Deliver::Smtp { to: format!("{host}:{port}"), recipient, remote }
            }
        });
    }

    /// What `mda` says is for the shell; with the names that fetchmail puts into it.
    fn program(&self, command: &str, local: &str, warn: &mut impl FnMut(String)) -> Deliver {
        let mut line = String::new();
        let mut rest = command.chars();
        while let Some(char) = rest.next() {
            match (char, rest.as_str().chars().next()) {
                ('%', Some('T' | 's')) => {
                    rest.next();
                    line.push_str(&quoted(local));
                }
                ('%', Some('F')) => {
                    rest.next();
                    warn("in `mda`, %F stands for the sender: popwire puts nothing there".to_owned());
                    line.push_str("''");
                }
                ('%', Some('%')) => {
                    rest.next();
                    line.push('%');
                }
                _ => line.push(char),
            }
        }
        Deliver::Pipe(super::account::shell(&line))
    }

    fn policy(&self, entry: &Entry, account: &mut ImportedAccount, warn: &mut impl FnMut(String)) {
        let user = &entry.user;
        if let Some(service) = entry.server.service.as_ref().filter(|_| account.port.is_none()) {
            warn(format!(
                "`service {service}` is left out: it is no port. Write it behind the server's name"
            ));
        }
        if let Some(larger) = user.limit.filter(|&limit| limit > 0) {
            account.skip.push(Skip { larger, delete: user.limitflush == Some(true) });
        }
        if user.fetchall == Some(true) && account.keep == Keep::Forever {
            warn(format!(
                "{}: `fetchall` with `keep` fetches everything every time; popwire fetches each message once",
                account.host
            ));
        }
        // What fetchmail fetched while it kept, it leaves on the server even without `keep`.
        if account.keep == Keep::No && !account.known.is_empty() && user.flush != Some(true) {
            let count = crate::text::messages(account.known.len() as u64);
            warn(format!(
                "{}: {count} that fetchmail has fetched and left on the server will be deleted there by the next fetch, as \
                 `nokeep` says. If they are to stay: keep = \"forever\"",
                account.host
            ));
        }
    }
}

/// A word for the shell.
fn quoted(word: &str) -> String {
    let plain = |char: char| char.is_ascii_alphanumeric() || "@%+=:,./_-".contains(char);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

enum Protocol {
    Pop3,
    /// None is named, or `auto`, and no port tells.
    Unsaid,
    Other(String),
}

fn protocol(entry: &Entry) -> Protocol {
    match entry.server.protocol.as_deref() {
        Some("pop3" | "apop" | "sdps") => Protocol::Pop3,
        None | Some("auto") => match entry.server.service.as_deref() {
            Some("110" | "995" | "pop3" | "pop3s" | "pop-3") => Protocol::Pop3,
            Some("143" | "993" | "imap" | "imap2" | "imaps") => Protocol::Other("imap".to_owned()),
            _ => Protocol::Unsaid,
        },
        Some(other) => Protocol::Other(other.to_owned()),
    }
}

fn port(entry: &Entry) -> Option<u16> {
    match entry.server.service.as_deref()? {
        "pop3" | "pop-3" => Some(110),
        "pop3s" => Some(995),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_taken_apart_as_fetchmail_does_it() {
        let found = lines(b"al@h.example 1\n  Al Be@x@h <a@b> \nno-at id\nal@h \nal@h a\tb\n");
        let found: Vec<_> =
            found.iter().map(|line| (text(line.user), text(line.host), text(line.id))).collect();
        let expected = [("al", "h.example", "1"), ("Al Be@x", "h", "<a@b>"), ("al", "h", "a\tb")];
        assert_eq!(found, expected.map(|(user, host, id)| (user.to_owned(), host.to_owned(), id.to_owned())));
    }
}
