//! getmail 4 to 6: the rc files, and the `oldmail-*` files beside them.

use std::fs;
use std::path::{Path, PathBuf};

use super::account::{Deliver, Imported, ImportedAccount, Keep, Known, Secret, Security, Skip, Tls};
use super::ini::{self, Section};
use super::{ImportError, Places, Request, first_there, netrc, read_file, read_if_there, text};

pub(super) fn read(request: Request<'_>) -> Result<Imported, ImportError> {
    let places = request.places;
    let place = match request.path {
        Some(path) => path.to_owned(),
        None => first_there(vec![places.config.join("getmail"), places.home.join(".getmail")])?,
    };
    let mut imported = Imported::default();
    if place.is_dir() {
        let files = rc_files(&place)?;
        if files.is_empty() {
            return Err(ImportError::NotFound { tried: vec![place.join("getmailrc")] });
        }
        for path in files {
            // Others may lie there, too: what is no rc file is passed over.
            Reader { path: &path, folder: &place, request }.read(&mut imported)?;
        }
    } else {
        let folder = place.parent().unwrap_or(Path::new(""));
        Reader { path: &place, folder, request }.read(&mut imported)?;
    }
    Ok(imported)
}

/// The files of the folder that have a retriever, by name.
fn rc_files(folder: &Path) -> Result<Vec<PathBuf>, ImportError> {
    let failed = |source| ImportError::Read { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_file() && !name.starts_with("oldmail-") && !name.starts_with('.') && !name.ends_with('~') {
            let contents = text(&read_file(&path)?);
            if contents.lines().any(|line| line.trim_end() == "[retriever]") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Most sections that say where the mail of one account goes.
const MOST_DESTINATIONS: usize = 50;

struct Reader<'a> {
    path: &'a Path,
    /// What getmail calls `getmaildir`.
    folder: &'a Path,
    request: Request<'a>,
}

/// What the type of a retriever says.
struct Retriever {
    tls: bool,
    multidrop: bool,
    broken_uidl: bool,
}

fn retriever(name: &str) -> Option<Retriever> {
    let kind = |tls, multidrop, broken_uidl| Some(Retriever { tls, multidrop, broken_uidl });
    match name {
        "SimplePOP3Retriever" => kind(false, false, false),
        "SimplePOP3SSLRetriever" => kind(true, false, false),
        "MultidropPOP3Retriever" | "MultidropSDPSRetriever" => kind(false, true, false),
        "MultidropPOP3SSLRetriever" => kind(true, true, false),
        "BrokenUIDLPOP3Retriever" => kind(false, false, true),
        "BrokenUIDLPOP3SSLRetriever" => kind(true, false, true),
        _ => None,
    }
}

impl Reader<'_> {
    fn read(&self, imported: &mut Imported) -> Result<(), ImportError> {
        let path = self.path;
        let contents = text(&read_file(path)?);
        let sections = ini::sections(&contents)
            .map_err(|line| ImportError::syntax(path, line, "this is no `name = value`"))?;
        let empty = Section::default();
        let section = |name: &str| sections.iter().find(|section| section.name == name);
        let Some(from) = section("retriever") else {
            return Err(ImportError::syntax(
                path,
                1,
                "there is no section [retriever]: this is no getmailrc",
            ));
        };
        imported.sources.push(path.to_owned());
        let kind = from.get("type").unwrap_or_default();
        let Some(retriever) = retriever(kind) else {
            imported.warn(
                path,
                from.line_of("type"),
                format!("`type = {kind}` is left out: it does not speak POP3"),
            );
            return Ok(());
        };
        let (Some(host), Some(user)) = (from.get("server"), from.get("username")) else {
            imported.warn(path, from.line, "it is left out: `server` and `username` are needed");
            return Ok(());
        };
        let mode = if retriever.tls { Security::Implicit } else { Security::None };
        let port = match from.get("port").map(str::parse::<u16>) {
            None => None,
            Some(Ok(port)) => Some(port),
            Some(Err(_)) => return Err(ImportError::syntax(path, from.line_of("port"), "this is no port")),
        };
        let mut account = ImportedAccount {
            name: self.name(host),
            host: host.to_owned(),
            user: user.to_owned(),
            port,
            ..ImportedAccount::default()
        };
        account.comments.push(format!("From {}.", self.places().tilde(path)));
        self.tls(from, mode, &mut account, imported);
        self.sign_in(from, section("options").unwrap_or(&empty), &mut account, imported)?;
        self.retriever_options(from, &mut account, imported);
        self.options(section("options").unwrap_or(&empty), &mut account, imported);
        if retriever.multidrop {
            imported.warn(
                path,
                from.line_of("type"),
                "getmail hands this mail out to several people, which popwire does not do: `deliver` has to be written",
            );
        } else {
            self.destination("destination", &sections, &mut account, imported, &mut { MOST_DESTINATIONS });
        }
        for filter in sections.iter().filter(|section| section.name.starts_with("filter")) {
            imported.warn(
                path,
                filter.line,
                format!("[{}] is left out: popwire passes mail through no filters", filter.name),
            );
        }
        if retriever.broken_uidl {
            imported.warn(
                path,
                from.line_of("type"),
                "getmail's list goes by message numbers and headers here, not by unique-ids: what it has fetched is not known",
            );
        } else {
            self.known(&mut account, imported)?;
        }
        imported.accounts.push(account);
        Ok(())
    }

    fn places(&self) -> &Places {
        self.request.places
    }

    /// The name of the file, or the server's where that says nothing.
    fn name(&self, host: &str) -> String {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let told = name.trim_start_matches('.').trim_end_matches(".conf").trim_end_matches(".rc");
        let told = told.trim_start_matches("getmailrc").trim_start_matches(['-', '.', '_']);
        if told.is_empty() { host.to_owned() } else { told.to_owned() }
    }

    fn tls(&self, from: &Section, mode: Security, account: &mut ImportedAccount, imported: &mut Imported) {
        let file = |name| {
            from.get(name)
                .filter(|file| !file.is_empty())
                .map(|file| self.places().absolute(file, self.folder))
        };
        account.tls = Tls {
            mode,
            ca: file("ca_certs"),
            cert: file("certfile"),
            key: file("keyfile").or(file("certfile")),
            any_certificate: false,
        };
        let line = from.line_of("type");
        if mode == Security::None {
            let what =
                "password and mail go in the clear, as with getmail. Try tls = \"starttls\", or \"implicit\"";
            imported.warn(self.path, line, what);
        } else if account.tls.ca.is_none() {
            let what = "getmail does not look at the server's certificate without `ca_certs`; popwire does, and stops if it is no \
                        good";
            imported.warn(self.path, line, what);
        }
    }

    fn sign_in(
        &self,
        from: &Section,
        options: &Section,
        account: &mut ImportedAccount,
        imported: &mut Imported,
    ) -> Result<(), ImportError> {
        if from.get("use_apop").is_some_and(truth) {
            account.auth = vec!["APOP".to_owned()];
        }
        let command =
            from.get("password_command").map(|value| (from.line_of("password_command"), tuple(value)));
        let command = match command {
            Some((line, None)) => {
                return Err(ImportError::syntax(self.path, line, "this is no list of texts in quotes"));
            }
            Some((_, Some(words))) => words,
            None => Vec::new(),
        };
        let token = from.get("use_xoauth2").is_some_and(truth);
        account.secret = match from.get("password") {
            Some(password) if !token => Secret::Clear(password.as_bytes().to_vec()),
            _ if !command.is_empty() => {
                let mut command = command;
                // Without a path it is looked for where programs are.
                if let Some(program) = command.first_mut().filter(|program| program.contains('/')) {
                    *program = self.places().absolute(program, self.folder).to_string_lossy().into_owned();
                }
                if token { Secret::Token(command) } else { Secret::Command(command) }
            }
            _ if options.get("use_netrc").is_some_and(truth) => {
                let file = options.get("netrc_file").unwrap_or("~/.netrc");
                let netrc = read_if_there(&self.places().absolute(file, self.folder))?.unwrap_or_default();
                netrc::password(&netrc, &account.host, &account.user).map_or(Secret::Unknown, Secret::Clear)
            }
            _ => Secret::Unknown,
        };
        if token && !matches!(account.secret, Secret::Token(_)) {
            imported.warn(self.path, from.line, "`use_xoauth2`: write token = { command = ... }");
        }
        Ok(())
    }

    fn retriever_options(&self, from: &Section, account: &mut ImportedAccount, imported: &mut Imported) {
        for value in &from.values {
            let why = match value.name.as_str() {
                "timeout" => {
                    account.timeout = value.value.parse().ok().filter(|&timeout| timeout > 0);
                    continue;
                }
                "ssl_fingerprints" => "popwire pins the SHA-256 of the key: tls = { pin = [...] }",
                "ssl_version" | "ssl_ciphers" => "popwire speaks TLS 1.2 and 1.3 with what is safe",
                "ssl_cert_hostname" => {
                    "popwire wants the certificate to be for the server's name; put that into `server`"
                }
                "delete_dup_msgids" => "popwire tells messages apart that have the same unique-id",
                "envelope_recipient" => "popwire does not hand out mail by the addresses in it",
                "type" | "server" | "port" | "username" | "password" | "password_command" | "use_apop"
                | "use_xoauth2" | "ca_certs" | "certfile" | "keyfile" => continue,
                _ => "popwire has no word for it",
            };
            imported.warn(self.path, value.line, format!("`{}` is left out: {why}", value.name));
        }
    }

    fn options(&self, options: &Section, account: &mut ImportedAccount, imported: &mut Imported) {
        let number =
            |name| options.get(name).and_then(|value| value.parse().ok()).filter(|&number: &u64| number > 0);
        let switch = |name| options.get(name).map(truth);
        let days = number("delete_after");
        account.keep = match (switch("delete"), days, number("delete_bigger_than")) {
            (Some(true), ..) => Keep::No,
            (_, Some(days), None) => Keep::Days(days),
            (_, days, Some(over)) => Keep::Unless { days, over },
            (_, None, None) => Keep::Forever,
        };
        account.skip.extend(number("max_message_size").map(|larger| Skip { larger, delete: false }));
        account.limit = number("max_messages_per_session");
        account.max_octets = number("max_bytes_per_session");
        // getmail adds both without being asked; popwire does if somebody wrote it down.
        account.received = switch("received") == Some(true);
        for value in &options.values {
            let why = match value.name.as_str() {
                "read_all" if truth(&value.value) => "popwire fetches each message once",
                "delivered_to" if truth(&value.value) => "write delivered_to = \"your address\"",
                "message_log" | "logfile" | "message_log_syslog" if truth(&value.value) => {
                    "popwire logs to stderr"
                }
                "delete"
                | "delete_after"
                | "delete_bigger_than"
                | "max_message_size"
                | "max_messages_per_session"
                | "max_bytes_per_session"
                | "received"
                | "delivered_to"
                | "read_all"
                | "verbose"
                | "use_netrc"
                | "netrc_file"
                | "to_oldmail_on_each_mail"
                | "message_log"
                | "logfile"
                | "message_log_syslog"
                | "message_log_verbose"
                | "fingerprint"
                | "skip_imap_fetch_size" => continue,
                _ => "popwire has no word for it",
            };
            imported.warn(self.path, value.line, format!("`{}` is left out: {why}", value.name));
        }
    }

    /// Where the mail of a section goes. Sections may name others, and even themselves; `left` is how many may.
    fn destination(
        &self,
        name: &str,
        sections: &[Section],
        account: &mut ImportedAccount,
        imported: &mut Imported,
        left: &mut usize,
    ) {
        let Some(section) = sections.iter().find(|section| section.name == name) else {
            let what = format!("there is no section [{name}]: `deliver` has to be written");
            imported.warnings.push(format!("{}: {what}", self.path.display()));
            return;
        };
        match left.checked_sub(1) {
            Some(fewer) => *left = fewer,
            None => {
                return imported.warn(
                    self.path,
                    section.line,
                    "there are too many destinations: look at `deliver`",
                );
            }
        }
        let path = section.get("path").unwrap_or_default();
        let kind = section.get("type").unwrap_or_default();
        match kind {
            "Maildir" => account.deliver.push(Deliver::Maildir(self.places().absolute(path, self.folder))),
            "Mboxrd" => account.deliver.push(Deliver::Mbox(self.places().absolute(path, self.folder))),
            "MDA_external" => self.program(section, account, imported),
            "MDA_lmtp" => {
                let host = section.get("host").unwrap_or("localhost");
                let to = match section.get("port") {
                    _ if host.starts_with('/') => host.to_owned(),
                    Some(port) => format!("{host}:{port}"),
                    None => format!("{host}:2003"),
                };
                let recipient = section.get("override").or(section.get("fallback"));
                if section.get("override").is_none() {
                    let what =
                        "getmail takes the recipients from the message; popwire has one: look at `recipient`";
                    imported.warn(self.path, section.line, what);
                }
                let recipient = recipient.unwrap_or(&account.user).to_owned();
                account.deliver.push(Deliver::Lmtp { to, recipient });
            }
            "MultiDestination" => {
                for to in section.get("destinations").and_then(tuple).unwrap_or_default() {
                    match to.strip_prefix('[').and_then(|to| to.strip_suffix(']')) {
                        Some(name) => self.destination(name, sections, account, imported, left),
                        None if to.ends_with('/') => {
                            account.deliver.push(Deliver::Maildir(self.places().absolute(&to, self.folder)));
                        }
                        None => account.deliver.push(Deliver::Mbox(self.places().absolute(&to, self.folder))),
                    }
                }
            }
            other => {
                let what = format!(
                    "`type = {other}` is left out: popwire has no such destination. `deliver` has to be written"
                );
                imported.warn(self.path, section.line_of("type"), what);
            }
        }
        for value in &section.values {
            let (name, why) = match (kind, value.name.as_str()) {
                ("Maildir" | "Mboxrd" | "MDA_external", "user" | "group") => {
                    (&value.name, "popwire delivers as the user who runs it")
                }
                ("Maildir", "filemode") if value.value != "0600" => {
                    (&value.name, "popwire makes files with 0600")
                }
                ("MDA_external", "unixfrom") if truth(&value.value) => {
                    (&value.name, "popwire delivers messages as they are")
                }
                ("Mboxrd", "locktype") if value.value != "lockf" => {
                    (&value.name, "popwire locks as mail programs do: fcntl and a lock file")
                }
                _ => continue,
            };
            imported.warn(self.path, value.line, format!("`{name}` is left out: {why}"));
        }
    }

    fn program(&self, section: &Section, account: &mut ImportedAccount, imported: &mut Imported) {
        let path = self.places().absolute(section.get("path").unwrap_or_default(), self.folder);
        let mut words = vec![path.to_string_lossy().into_owned()];
        let arguments = section.get("arguments").map(tuple);
        if arguments == Some(None) {
            imported.warn(
                self.path,
                section.line_of("arguments"),
                "`arguments` is no list of texts in quotes",
            );
        }
        words.extend(arguments.flatten().unwrap_or_default());
        if words.iter().any(|word| word.contains("%(")) {
            let what = "in `arguments`, %(...) stands for parts of the message: popwire puts nothing there";
            imported.warn(self.path, section.line_of("arguments"), what);
        }
        account.deliver.push(Deliver::Pipe(words));
    }

    /// What is in the file that getmail keeps for this account.
    fn known(&self, account: &mut ImportedAccount, imported: &mut Imported) -> Result<(), ImportError> {
        let port = account.port.unwrap_or(account.tls.mode.port());
        let name = oldmail(&account.host, port, &account.user);
        let places = self.places();
        let path = match self.request.ids {
            Some(path) => path.to_owned(),
            // An rc file that was copied elsewhere left its list where getmail has its own.
            None => {
                let folders =
                    [self.folder.to_owned(), places.config.join("getmail"), places.home.join(".getmail")];
                let candidates: Vec<_> = folders.iter().map(|folder| folder.join(&name)).collect();
                match first_there(candidates) {
                    Ok(path) => path,
                    Err(_) => {
                        let path = self.folder.join(name);
                        let what = "is not there: which messages getmail has fetched is not known";
                        imported.warnings.push(format!("{} {what}", path.display()));
                        return Ok(());
                    }
                }
            }
        };
        let contents = read_file(&path)?;
        for line in contents.split(|&octet| octet == b'\n').map(<[u8]>::trim_ascii) {
            let Some((uid, at)) = line.iter().position(|&octet| octet == 0).map(|nul| line.split_at(nul))
            else {
                continue;
            };
            let at = at.get(1..).and_then(|at| std::str::from_utf8(at).ok()).and_then(|at| at.parse().ok());
            let or = with_slashes(uid);
            if !uid.is_empty() {
                account.known.push(Known { uid: uid.to_vec(), or, at });
            }
        }
        imported.sources.push(path);
        Ok(())
    }
}

/// What the server may have said: getmail writes `-` where there is `/`. Up to two of them are put back in every way. More
/// are put back all together: ids in base64 have no `-` of their own, and those of other kinds hardly have both.
fn with_slashes(uid: &[u8]) -> Vec<Vec<u8>> {
    let dashes: Vec<_> =
        (0..).zip(uid).filter(|(_, octet)| **octet == b'-').map(|(at, _): (usize, _)| at).collect();
    let with = |slashes: &[usize]| -> Vec<u8> {
        let octets = uid.iter().enumerate();
        octets.map(|(at, &octet)| if slashes.contains(&at) { b'/' } else { octet }).collect()
    };
    match *dashes {
        [] => Vec::new(),
        [first, second] => vec![with(&[first]), with(&[second]), with(&[first, second])],
        _ => vec![with(&dashes)],
    }
}

/// The name of the file with the unique-ids.
fn oldmail(host: &str, port: u16, user: &str) -> String {
    let mut name = String::new();
    let mut stripped = false;
    for char in format!("oldmail-{host}-{port}-{user}").chars() {
        let strip = matches!(char, '/' | ':' | ';' | '<' | '>' | '|');
        match (strip, stripped) {
            (true, true) => {}
            (true, false) => name.push('-'),
            (false, _) => name.push(char),
        }
        stripped = strip;
    }
    name
}

/// What Python's configparser takes for true; `message_log` and the like are paths.
fn truth(value: &str) -> bool {
    !matches!(value.to_ascii_lowercase().as_str(), "" | "0" | "no" | "false" | "off" | "none")
}

/// The texts of a tuple of Python's: `("a", 'b',)`. A text alone is a tuple of one. Nothing if it is neither.
fn tuple(value: &str) -> Option<Vec<String>> {
    let mut texts = Vec::new();
    let mut rest = value.trim();
    if let Some(inner) = rest.strip_prefix('(') {
        rest = inner.strip_suffix(')')?.trim();
    }
    while !rest.is_empty() {
        let quote = rest.chars().next().filter(|char| matches!(char, '"' | '\''))?;
        let mut text = String::new();
        let mut chars = rest.chars();
        chars.next();
        loop {
            match chars.next()? {
                '\\' => text.push(match chars.next()? {
                    'n' => '\n',
                    't' => '\t',
                    other => other,
                }),
                char if char == quote => break,
                char => text.push(char),
            }
        }
        texts.push(text);
        rest = chars.as_str().trim_start();
        if !rest.is_empty() {
            rest = rest.strip_prefix(',')?.trim_start();
        }
    }
    Some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tuples_of_python() {
        for (written, meant) in [
            (r#"("a b", 'c"d', "e\"f",)"#, Some(vec!["a b", "c\"d", "e\"f"])),
            ("()", Some(vec![])),
            ("'one'", Some(vec!["one"])),
            ("('a',\n'b')", Some(vec!["a", "b"])),
            ("('a' 'b')", None),
            ("('a'", None),
            ("a", None),
        ] {
            let meant = meant.map(|texts| texts.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(tuple(written), meant, "{written}");
        }
    }

    #[test]
    fn a_destination_that_names_itself_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("getmailrc");
        let rc = "[retriever]\ntype = SimplePOP3SSLRetriever\nserver = h\nusername = u\npassword_command = ('pass', 'h')\n\
                  [destination]\ntype = MultiDestination\ndestinations = ('~/a/', '[destination]', '~al/b')\n";
        fs::write(&path, rc).unwrap();
        let places = Places { home: "/home/me".into(), config: "/home/me/.config".into(), login: None };
        let imported = read(Request { path: Some(&path), ids: None, places: &places }).unwrap();
        let account = &imported.accounts[0];
        assert_eq!(account.deliver.len(), 2 * MOST_DESTINATIONS);
        assert_eq!(account.deliver[0], Deliver::Maildir("/home/me/a/".into()));
        assert_eq!(account.deliver[99], Deliver::Mbox("~al/b".into()));
        assert_eq!(account.secret, Secret::Command(vec!["pass".into(), "h".into()]));
        assert!(
            imported.warnings.iter().any(|warning| warning.contains("too many")),
            "{:?}",
            imported.warnings
        );
    }

    #[test]
    fn slashes_are_put_back() {
        assert_eq!(with_slashes(b"a"), Vec::<Vec<u8>>::new());
        assert_eq!(with_slashes(b"a-b-"), [b"a/b-", b"a-b/", b"a/b/"]);
        assert_eq!(with_slashes(b"-a-b-"), [b"/a/b/"]);
    }

    #[test]
    fn the_list_has_the_name_that_getmail_gives_it() {
        assert_eq!(oldmail("pop.example.org", 995, "al/be:;x@y"), "oldmail-pop.example.org-995-al-be-x@y");
    }
}
