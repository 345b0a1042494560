//! Thunderbird: the POP3 accounts in `prefs.js` of a profile, and `popstate.dat` in the folder of each.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::account::{Deliver, Imported, ImportedAccount, Keep, Known, Secret, Security, Skip, Tls};
use super::{ImportError, Request, first_there, ini, read_file, read_if_there, text};

pub(super) fn read(request: Request<'_>) -> Result<Imported, ImportError> {
    let mut imported = Imported::default();
    for profile in profiles(request)? {
        let path = profile.join("prefs.js");
        let prefs = Prefs::parse(&text(&read_file(&path)?));
        imported.sources.push(path.clone());
        Reader { profile: &profile, path: &path, prefs: &prefs, request }.read(&mut imported)?;
    }
    Ok(imported)
}

/// The profiles that are meant: the folder itself, or those of `profiles.ini` that Thunderbird starts by itself.
fn profiles(request: Request<'_>) -> Result<Vec<PathBuf>, ImportError> {
    let home = &request.places.home;
    let folder = match request.path {
        Some(path) if path.is_file() => path.parent().unwrap_or(Path::new("")).to_owned(),
        Some(path) => path.to_owned(),
        None => first_there(vec![
            home.join(".thunderbird"),
            home.join("snap/thunderbird/common/.thunderbird"),
            home.join(".var/app/org.mozilla.Thunderbird/.thunderbird"),
            home.join("Library/Thunderbird"),
        ])?,
    };
    if folder.join("prefs.js").is_file() {
        return Ok(vec![folder]);
    }
    let path = folder.join("profiles.ini");
    let Some(contents) = read_if_there(&path)? else {
        return Err(ImportError::NotFound { tried: vec![folder.join("prefs.js"), path] });
    };
    let sections = ini::sections(&text(&contents))
        .map_err(|line| ImportError::syntax(&path, line, "this is no `name=value`"))?;
    let profiles = || sections.iter().filter(|section| section.name.starts_with("Profile"));
    // What an installation starts by itself, in newer versions; in older ones there is one for all.
    let installs = sections.iter().filter(|section| section.name.starts_with("Install"));
    let mut chosen: Vec<&str> = installs.filter_map(|install| install.get("default")).collect();
    if chosen.is_empty() {
        chosen.extend(
            profiles()
                .filter(|profile| profile.get("default") == Some("1"))
                .filter_map(|profile| profile.get("path")),
        );
    }
    if chosen.is_empty() {
        chosen.extend(profiles().filter_map(|profile| profile.get("path")));
    }
    chosen.dedup();
    let folders: Vec<_> = chosen.into_iter().map(|path| folder.join(path)).collect();
    let there: Vec<_> = folders.iter().filter(|folder| folder.join("prefs.js").is_file()).cloned().collect();
    if there.is_empty() {
        return Err(ImportError::NotFound {
            tried: folders.iter().map(|folder| folder.join("prefs.js")).collect(),
        });
    }
    Ok(there)
}

/// The preferences that differ from what Thunderbird has by itself.
struct Prefs(HashMap<String, serde_json::Value>);

impl Prefs {
    /// Reads lines of the form `user_pref("name", value);`. What is not one is passed over: comments, and what somebody
    /// else may have written into it.
    fn parse(text: &str) -> Self {
        let prefs = text.lines().filter_map(|line| {
            let pair = line.trim().strip_prefix("user_pref(")?.strip_suffix(");")?;
            // Strings, numbers and booleans are written as in JSON.
            let pair: (String, serde_json::Value) = serde_json::from_str(&format!("[{pair}]")).ok()?;
            Some(pair)
        });
        Self(prefs.collect())
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.0.get(name)?.as_u64()
    }

    fn switch(&self, name: &str) -> Option<bool> {
        self.0.get(name)?.as_bool()
    }
}

struct Reader<'a> {
    profile: &'a Path,
    path: &'a Path,
    prefs: &'a Prefs,
    request: Request<'a>,
}

impl Reader<'_> {
    fn read(&self, imported: &mut Imported) -> Result<(), ImportError> {
        let accounts = self.prefs.text("mail.accountmanager.accounts").unwrap_or_default();
        for account in accounts.split(',').map(str::trim) {
            let Some(server) = self.prefs.text(&format!("mail.account.{account}.server")) else { continue };
            self.account(server, imported)?;
        }
        Ok(())
    }

    fn account(&self, server: &str, imported: &mut Imported) -> Result<(), ImportError> {
        let key = |name: &str| format!("mail.server.{server}.{name}");
        let get = |name: &str| self.prefs.text(&key(name));
        // These two have other names where they were changed by an older version.
        let host = get("realhostname").or(get("hostname"));
        let user = get("realuserName").or(get("userName"));
        let name = get("name").or(host).unwrap_or(server);
        let mut warn =
            |what: String| imported.warnings.push(format!("{}, {name:?}: {what}", self.path.display()));
        match get("type") {
            Some("pop3") => {}
            // Local folders, feeds and news are no mail accounts.
            None | Some("none" | "rss" | "nntp") => return Ok(()),
            Some(other) => {
                warn(format!("it is left out: it is fetched by {}, not POP3", other.to_uppercase()));
                return Ok(());
            }
        }
        let (Some(host), Some(user)) = (host, user) else {
            warn("it is left out: it has no server or no user".to_owned());
            return Ok(());
        };
        let mode = match self.prefs.number(&key("socketType")) {
            Some(3) => Security::Implicit,
            Some(1 | 2) => Security::StartTls,
            _ => Security::None,
        };
        let mut account = ImportedAccount {
            name: name.to_owned(),
            host: host.to_owned(),
            user: user.to_owned(),
            port: self
                .prefs
                .number(&key("port"))
                .and_then(|port| u16::try_from(port).ok())
                .filter(|&port| port > 0),
            tls: Tls { mode, ..Tls::default() },
            secret: Secret::Unknown,
            ..ImportedAccount::default()
        };
        let places = self.request.places;
        account
            .comments
            .push(format!("From Thunderbird's profile {}, account {name:?}.", places.tilde(self.profile)));
        if mode == Security::None {
            warn("password and mail go in the clear, as with Thunderbird. Try tls = \"starttls\", or \"implicit\"".to_owned());
        }
        warn("its password is locked up in Thunderbird: `password` has to be written".to_owned());
        match self.prefs.number(&key("authMethod")) {
            Some(4) => account.auth = vec!["CRAM-MD5".to_owned()],
            Some(5) => account.auth = vec!["GSSAPI".to_owned()],
            Some(6) => account.auth = vec!["NTLM".to_owned()],
            Some(7) => account.auth = vec!["EXTERNAL".to_owned()],
            Some(10) => {
                account.auth = vec!["XOAUTH2".to_owned()];
                warn("it signs in by OAuth: write token = { command = ... }".to_owned());
            }
            _ => {}
        }
        let switch = |name: &str| self.prefs.switch(&key(name)).unwrap_or(false);
        account.keep = match (switch("leave_on_server"), switch("delete_by_age_from_server")) {
            (false, _) => Keep::No,
            (true, false) => Keep::Forever,
            (true, true) => Keep::Days(self.prefs.number(&key("num_days_to_leave_on_server")).unwrap_or(7)),
        };
        if account.keep != Keep::No && self.prefs.switch(&key("delete_mail_left_on_server")).unwrap_or(true) {
            warn(
                "what you delete here stays on the server: popwire does not look at what becomes of the mail"
                    .to_owned(),
            );
        }
        if switch("limit_offline_message_size") {
            let kilobytes = self.prefs.number(&key("max_size")).unwrap_or(50);
            account.skip.push(Skip { larger: kilobytes.saturating_mul(1024), delete: false });
        }
        if switch("headers_only") {
            warn("`headers_only` is left out: popwire fetches whole messages".to_owned());
        }
        if self.prefs.switch(&key("check_new_mail")) == Some(true) {
            account.interval =
                self.prefs.number(&key("check_time")).or(Some(10)).map(|minutes| minutes.saturating_mul(60));
        }
        // Nobody but Thunderbird may write into its folders.
        let mut folder = String::from("Mail/");
        folder.extend(
            name.chars().map(|char| if char.is_alphanumeric() || "-_.@".contains(char) { char } else { '-' }),
        );
        account.comments.push(
            "Mail goes into a Maildir of its own: Thunderbird's folders are for Thunderbird only.".to_owned(),
        );
        account.deliver.push(Deliver::Maildir(Path::new("~").join(folder)));
        self.known(&key, &mut account, imported)?;
        imported.accounts.push(account);
        Ok(())
    }

    fn known(
        &self,
        key: &impl Fn(&str) -> String,
        account: &mut ImportedAccount,
        imported: &mut Imported,
    ) -> Result<(), ImportError> {
        let relative =
            self.prefs.text(&key("directory-rel")).and_then(|folder| folder.strip_prefix("[ProfD]"));
        let folder = match (relative, self.prefs.text(&key("directory"))) {
            (Some(relative), _) => self.profile.join(relative),
            (None, Some(absolute)) => PathBuf::from(absolute),
            (None, None) => self.profile.join("Mail").join(&account.host),
        };
        let path = self.request.ids.map_or(folder.join("popstate.dat"), Path::to_owned);
        let contents = match self.request.ids {
            Some(path) => Some(read_file(path)?),
            None => read_if_there(&path)?,
        };
        let Some(contents) = contents else {
            let what = "is not there: which messages Thunderbird has fetched is not known";
            imported.warnings.push(format!("{} {what}", path.display()));
            return Ok(());
        };
        account.known = fetched(&contents, &account.host, &account.user);
        imported.sources.push(path);
        Ok(())
    }
}

/// The messages that Thunderbird has whole.
///
/// After `*host user` come lines of a letter, an id, and the time in newer versions: `k` is kept, `d` is to be deleted. `b`
/// was too large, and `f` is to be fetched yet: of both it has the header only.
fn fetched(popstate: &[u8], host: &str, user: &str) -> Vec<Known> {
    let lines =
        || popstate.split(|&octet| octet == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let owner = |line: &[u8]| {
        let line = text(line.strip_prefix(b"*")?);
        let (host, user) = line.split_once(' ')?;
        Some((host.to_owned(), user.to_owned()))
    };
    // A server that was renamed keeps its list under the old name; it is the only one then.
    let several = lines().filter(|line| line.starts_with(b"*")).count() > 1;
    let mut ours = !several;
    let mut known = Vec::new();
    for line in lines() {
        if let Some((its_host, its_user)) = owner(line) {
            ours = !several || (its_host.eq_ignore_ascii_case(host) && its_user == user);
        } else if ours && let Some(entry) = line.strip_prefix(b"k ").or(line.strip_prefix(b"d ")) {
            let time = |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok();
            let blank = entry.iter().rposition(|&octet| octet == b' ');
            let split = blank.and_then(|blank| Some((entry.get(..blank)?, time(entry.get(blank + 1..)?)?)));
            let (uid, at) = split.map_or((entry, None), |(uid, at)| (uid, Some(at)));
            if !uid.is_empty() {
                known.push(Known { at, ..Known::new(uid) });
            }
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_there_whole_is_known() {
        let state = b"# POP3 State File\r\n# This is a generated file!  Do not edit.\r\n\r\n*pop.h al\r\nk a@b% 1700000000\r\n\
                      d old\r\nb big 1700000000\r\nf half 1700000000\r\n*pop.h bob\r\nk his 1\r\n";
        let at = Some(1_700_000_000);
        assert_eq!(fetched(state, "POP.h", "al"), [Known { at, ..Known::new("a@b%") }, Known::new("old")]);
        assert_eq!(
            fetched(b"*old.name al\nk x 5", "pop.h", "al"),
            [Known { at: Some(5), ..Known::new("x") }]
        );
    }

    #[test]
    fn preferences_are_read_and_comments_passed_over() {
        let prefs = Prefs::parse(
            "// Mozilla User Preferences\nuser_pref(\"a.b\", \"x \\\"y\\\" \\\\ );\");\n// user_pref(\"no\", 1);\n\
             user_pref(\"n\", -1);\nuser_pref(\"t\", true);\n",
        );
        assert_eq!((prefs.text("a.b"), prefs.text("no")), (Some("x \"y\" \\ );"), None));
        assert_eq!((prefs.number("n"), prefs.switch("t")), (None, Some(true)));
    }
}
