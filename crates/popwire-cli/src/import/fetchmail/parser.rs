//! The run control file, as fetchmail's own grammar has it.

use std::path::Path;

use super::lexer::{self, Kind, Token};
use super::rc::{Entry, Note, RunControl, Server};
use crate::import::{ImportError, text};

/// Reads the file.
pub(super) fn parse(path: &Path, octets: &[u8]) -> Result<RunControl, ImportError> {
    let mut parser =
        Parser { path, tokens: lexer::tokens(octets), at: 0, line: 1, found: RunControl::default() };
    while parser.peek().is_some() {
        parser.statement()?;
    }
    let mut found = parser.found;
    // The defaults count for what follows them, and only where they stand first.
    if let Some((first, rest)) = found.entries.split_first_mut()
        && first.server.name == DEFAULTS
    {
        rest.iter_mut().for_each(|entry| entry.complete(first));
    }
    found.entries.retain(|entry| entry.server.name != DEFAULTS);
    Ok(found)
}

const DEFAULTS: &str = "defaults";

/// Words that mean something where a string may stand, too.
const KEYWORDS: &str = "\
    set logfile idfile pidfile daemon syslog invisible showdots postmaster bouncemail spambounce \
    softbounce warnings tracepolls defaults server poll skip via aka local localdomains proto protocol \
    service port interval auth authenticate preauth preauthenticate timeout envelope qvirtual principal \
    esmtpname esmtppassword bad-header accept reject user username pass password passwordfile passwordfd \
    folder folders smtp smtphost fetchdomains smtpaddress smtpname antispam mda bsmtp lmtp pre preconnect \
    post postconnect interface monitor plugin plugout batchlimit fetchlimit fetchsizelimit fastuidl \
    expunge properties is here there to no keep flush limitflush fetchall rewrite forcecr stripcr pass8 \
    pass8bits dropstatus dropdelivered mimedec mimedecode idle forceidle dns uidl ssl sslkey sslcert \
    sslproto sslcertck sslcertfile sslcertpath sslcommonname sslfingerprint checkalias limit moveto";

/// Options that are switched off by `no` in front, with or without a blank.
const SWITCHES: &str = "\
    bouncemail uidl checkalias dns envelope keep flush limitflush fetchall rewrite forcecr stripcr pass8 \
    pass8bits dropstatus dropdelivered mimedec mimedecode spambounce idle forceidle";

const PROTOCOLS: &str = "\
    auto pop2 sdps pop3 imap apop rpop etrn odmr kpop";

/// Those of fetchmail 6 and 7.
const WAYS_TO_SIGN_IN: &str = "\
    any password gssapi kerberos kerberos4 kerberos_v4 kerberos5 kerberos_v5 ssh implicit external otp \
    opie cram cram-md5 msn ntlm oauthbearer xoauth2";

const UNCHANGED: &str = "popwire delivers messages as they are";
const MULTIDROP: &str = "popwire does not hand out mail by the addresses in it";
const NO_WORD: &str = "popwire has no word for it";

struct Parser<'a> {
    path: &'a Path,
    tokens: Vec<Token>,
    at: usize,
    /// Of the last word that was taken.
    line: usize,
    found: RunControl,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Kind> {
        self.tokens.get(self.at).map(|token| &token.kind)
    }

    fn next(&mut self) -> Option<Kind> {
        let token = self.tokens.get(self.at)?;
        self.line = token.line;
        self.at += 1;
        Some(token.kind.clone())
    }

    /// The keyword that comes next.
    fn keyword(&self) -> Option<&'static str> {
        let Some(Kind::Bare(word)) = self.peek() else { return None };
        let word = std::str::from_utf8(word).ok()?;
        let switched = word.strip_prefix("no").filter(|word| words(SWITCHES).any(|switch| switch == *word));
        if switched.is_some() {
            return Some("no");
        }
        words(KEYWORDS).find(|&keyword| keyword == word)
    }

    fn skip_keyword(&mut self, keyword: &str) -> bool {
        let there = self.keyword() == Some(keyword);
        if there {
            self.next();
        }
        there
    }

    /// The string that comes next, if it is one.
    fn string_if(&mut self) -> Option<Vec<u8>> {
        if self.keyword().is_some() {
            return None;
        }
        match self.peek()? {
            Kind::Equals => return None,
            Kind::Bare(word) if is_number(word) => return None,
            Kind::Bare(_) | Kind::Quoted(_) => {}
        }
        match self.next()? {
            Kind::Equals => None,
            Kind::Quoted(word) => Some(word),
            Kind::Bare(word) => Some(lexer::unescape(&word)),
        }
    }

    fn octets(&mut self) -> Result<Vec<u8>, ImportError> {
        match self.string_if() {
            Some(octets) => Ok(octets),
            None => Err(self.unexpected("a name or a text in quotes")),
        }
    }

    fn string(&mut self) -> Result<String, ImportError> {
        self.octets().map(|octets| text(&octets))
    }

    /// A number. fetchmail takes none in quotes; `set daemon = 300` is written, though.
    fn number(&mut self) -> Result<u64, ImportError> {
        let number = match self.peek() {
            Some(Kind::Bare(word) | Kind::Quoted(word)) => std::str::from_utf8(word).ok(),
            _ => None,
        };
        let number = number.and_then(|number| match number.strip_prefix('-') {
            // Everything below zero means "none".
            Some(negative) => negative.parse::<u64>().ok().map(|_| 0),
            None => number.parse().ok(),
        });
        match number {
            Some(number) => {
                self.next();
                Ok(number)
            }
            None => Err(self.unexpected("a number")),
        }
    }

    fn unexpected(&self, wanted: &str) -> ImportError {
        let (line, found) = match self.tokens.get(self.at) {
            None => (self.line, "the end of the file".to_owned()),
            Some(Token { line, kind: Kind::Equals }) => (*line, "\"=\"".to_owned()),
            // What is in quotes may be a password in the wrong place.
            Some(Token { line, kind: Kind::Quoted(_) }) => (*line, "a text".to_owned()),
            Some(Token { line, kind: Kind::Bare(word) }) => (*line, format!("{:?}", text(word))),
        };
        ImportError::syntax(self.path, line, format!("{wanted} is expected, and not {found}"))
    }

    fn statement(&mut self) -> Result<(), ImportError> {
        match self.keyword() {
            Some("set") => self.global(),
            Some("poll" | "server") => self.entry(false),
            Some("skip") => self.entry(true),
            Some(DEFAULTS) => self.entry(false),
            _ => Err(self.unexpected("poll, skip, defaults or set")),
        }
    }

    /// `set NAME [=] [VALUE]`
    fn global(&mut self) -> Result<(), ImportError> {
        self.next();
        let off = self.no();
        let name = self.keyword().ok_or_else(|| self.unexpected("an option after set"))?;
        self.next();
        let line = self.line;
        if self.peek() == Some(&Kind::Equals) {
            self.next();
        }
        let why = match name {
            "idfile" => {
                self.found.idfile = Some(self.string()?);
                return Ok(());
            }
            "daemon" => {
                self.found.daemon = Some(self.number()?).filter(|&seconds| seconds > 0);
                return Ok(());
            }
            "logfile" | "pidfile" => {
                self.string()?;
                return Ok(());
            }
            "syslog" | "invisible" | "showdots" => return Ok(()),
            "bouncemail" | "spambounce" | "softbounce" if off => return Ok(()),
            "bouncemail" | "spambounce" | "softbounce" => "popwire sends no mail by itself",
            "postmaster" | "properties" => {
                self.string()?;
                NO_WORD
            }
            _ => {
                self.at -= 1;
                return Err(self.unexpected("an option after set"));
            }
        };
        self.found.notes.push(Note { line, option: format!("set {name}"), why });
        Ok(())
    }

    /// Takes a `no`, and the `no` off an option that begins with it.
    fn no(&mut self) -> bool {
        if self.keyword() != Some("no") {
            return false;
        }
        match self.tokens.get_mut(self.at).map(|token| &mut token.kind) {
            Some(Kind::Bare(word)) if word.len() > 2 => drop(word.drain(..2)),
            _ => drop(self.next()),
        }
        true
    }

    fn entry(&mut self, skip: bool) -> Result<(), ImportError> {
        let defaults = self.keyword() == Some(DEFAULTS);
        self.next();
        let line = self.line;
        let name = if defaults { DEFAULTS.to_owned() } else { self.string()? };
        let mut common =
            Entry { line, server: Server { name, skip, ..Server::default() }, ..Entry::default() };
        while self.server_option(&mut common)? {}
        let mut users = 0;
        loop {
            let mut entry = common.clone();
            let named = self.user(&mut entry)?;
            let mut options = 0;
            while self.user_option(&mut entry)? {
                options += 1;
            }
            // Options of a user before the first `user` are those of a user without a name.
            if !named && (options == 0 || users > 0) {
                if users == 0 {
                    self.found.entries.push(entry);
                }
                break;
            }
            users += 1;
            self.found.entries.push(entry);
            if !named {
                break;
            }
        }
        Ok(())
    }

    /// `user NAME [there]`, or `user NAMES here`
    fn user(&mut self, entry: &mut Entry) -> Result<bool, ImportError> {
        if !matches!(self.keyword(), Some("user" | "username")) {
            return Ok(false);
        }
        self.next();
        entry.line = self.line;
        self.names(entry, true)?;
        Ok(true)
    }

    /// Names of people: `NAME there` is the one on the server, all others are here. `alone` is what one name means that
    /// has neither word behind it.
    fn names(&mut self, entry: &mut Entry, alone_is_remote: bool) -> Result<(), ImportError> {
        let mut names = vec![self.string()?];
        let mut mapped = false;
        loop {
            if self.peek() == Some(&Kind::Equals) {
                self.next();
                self.string()?;
                mapped = true;
            } else if let Some(name) = self.string_if() {
                names.push(text(&name));
            } else {
                break;
            }
        }
        let there = self.skip_keyword("there");
        let here = !there && self.skip_keyword("here");
        match names.as_slice() {
            [one] if !mapped && !here && (there || alone_is_remote) => entry.user.remote = Some(one.clone()),
            _ => {
                entry.user.multidrop |= mapped || names.len() > 1 || names.iter().any(|name| name == "*");
                entry.user.locals.extend(names);
            }
        }
        Ok(())
    }

    /// Takes an option of a server. Returns whether there was one.
    fn server_option(&mut self, entry: &mut Entry) -> Result<bool, ImportError> {
        let begin = self.at;
        let Some(keyword) = self.keyword() else { return self.no_keyword() };
        let mut why = None;
        let server = &mut entry.server;
        if keyword == "no" {
            // An option of a user may be switched off, too.
            let Some(name) = self.switched_off() else { return Ok(false) };
            match name {
                "uidl" => why = Some("popwire goes by unique-ids where the server has them"),
                "envelope" => why = Some(MULTIDROP),
                "dns" | "checkalias" | "tracepolls" => {}
                _ => return Ok(false),
            }
            self.no();
            self.next();
        } else {
            self.next();
            match keyword {
                "via" => server.via = Some(self.string()?),
                "aka" => while self.string_if().is_some() {},
                "proto" | "protocol" => server.protocol = Some(self.one_of(PROTOCOLS, "a protocol")?),
                "service" | "port" => server.service = Some(self.service()?),
                "interval" => server.interval = Some(self.number()?),
                "auth" | "authenticate" | "preauth" | "preauthenticate" => {
                    server.auth = Some(self.one_of(WAYS_TO_SIGN_IN, "a way to sign in")?)
                }
                "timeout" => server.timeout = Some(self.number()?),
                "uidl" | "dns" | "checkalias" => {}
                "tracepolls" => why = Some(UNCHANGED),
                "local" | "localdomains" => {
                    while self.string_if().is_some() {}
                    why = Some(MULTIDROP);
                }
                "envelope" => {
                    if matches!(self.peek(), Some(Kind::Bare(word)) if is_number(word)) {
                        self.next();
                    }
                    self.string()?;
                    why = Some(MULTIDROP);
                }
                "qvirtual" => {
                    self.string()?;
                    why = Some(MULTIDROP);
                }
                "plugin" => {
                    self.string()?;
                    why = Some("popwire connects by itself, and not through a program");
                }
                "interface" | "monitor" => {
                    self.string()?;
                    why = Some("popwire connects by whatever interface there is");
                }
                "principal" | "esmtpname" | "esmtppassword" | "plugout" => {
                    self.string()?;
                    why = Some(NO_WORD);
                }
                "bad-header" => {
                    if !self.skip_keyword("accept") && !self.skip_keyword("reject") {
                        return Err(self.unexpected("accept or reject"));
                    }
                }
                _ => {
                    self.at = begin;
                    return Ok(false);
                }
            }
        }
        self.note(entry, begin, why);
        Ok(true)
    }

    /// What follows is no keyword: the end, or something that nobody understands.
    fn no_keyword(&self) -> Result<bool, ImportError> {
        if self.peek().is_some() { Err(self.unexpected("an option")) } else { Ok(false) }
    }

    /// The option behind `no`.
    fn switched_off(&self) -> Option<&'static str> {
        let word = match self.peek()? {
            Kind::Bare(word) if word.len() > 2 => word.get(2..)?,
            _ => match &self.tokens.get(self.at + 1)?.kind {
                Kind::Bare(word) => word,
                _ => return None,
            },
        };
        words(KEYWORDS).find(|keyword| keyword.as_bytes() == word)
    }

    fn note(&self, entry: &mut Entry, begin: usize, why: Option<&'static str>) {
        let Some(why) = why else { return };
        let tokens = self.tokens.get(begin..self.at).unwrap_or_default();
        let Some(first) = tokens.first() else { return };
        // The option, and not its value, which may be secret.
        let option = tokens.iter().map_while(|token| match &token.kind {
            Kind::Bare(word) => {
                std::str::from_utf8(word).ok().filter(|word| words(KEYWORDS).any(|keyword| keyword == *word))
            }
            _ => None,
        });
        let option = option.collect::<Vec<_>>().join(" ");
        entry.notes.push(Note { line: first.line, option, why });
    }

    /// One of these words, all of it in small or in large letters.
    fn one_of(&mut self, among: &'static str, wanted: &str) -> Result<String, ImportError> {
        let found = words(among).find(|word| match self.peek() {
            Some(Kind::Bare(found)) => {
                **found == *word.as_bytes() || **found == *word.to_ascii_uppercase().as_bytes()
            }
            _ => false,
        });
        let Some(found) = found else { return Err(self.unexpected(wanted)) };
        self.next();
        Ok(found.to_owned())
    }

    fn service(&mut self) -> Result<String, ImportError> {
        match self.peek() {
            Some(Kind::Bare(word)) if is_number(word) => self.number().map(|number| number.to_string()),
            _ => self.string(),
        }
    }

    /// Takes an option of a user. Returns whether there was one.
    fn user_option(&mut self, entry: &mut Entry) -> Result<bool, ImportError> {
        let begin = self.at;
        let Some(keyword) = self.keyword() else { return self.no_keyword() };
        let mut why = None;
        if keyword == "no" {
            let Some(name) = self.switched_off() else {
                self.next();
                return Err(self.unexpected("an option after no"));
            };
            self.no();
            self.next();
            let user = &mut entry.user;
            match name {
                "keep" => user.keep = Some(false),
                "flush" => user.flush = Some(false),
                "fetchall" => user.fetchall = Some(false),
                "limitflush" => user.limitflush = Some(false),
                "ssl" => user.ssl = Some(false),
                "sslcertck" => user.sslcertck = Some(false),
                "rewrite" | "forcecr" | "stripcr" | "pass8" | "pass8bits" | "dropstatus"
                | "dropdelivered" | "mimedec" | "mimedecode" | "idle" | "forceidle" => {}
                _ => return Err(self.misplaced(begin)),
            }
            return Ok(true);
        }
        if matches!(keyword, "poll" | "server" | "skip" | DEFAULTS | "set" | "user" | "username") {
            return Ok(false);
        }
        self.next();
        match keyword {
            "is" | "to" => {
                self.names(entry, false)?;
                return Ok(true);
            }
            _ => {}
        }
        let user = &mut entry.user;
        match keyword {
            "pass" | "password" => user.password = Some(self.octets()?),
            "passwordfile" => user.passwordfile = Some(self.string()?),
            "smtp" | "smtphost" => {
                user.smtp.push(self.string()?);
                while let Some(host) = self.string_if() {
                    user.smtp.push(text(&host));
                }
            }
            "lmtp" => user.lmtp = true,
            "smtpname" => user.smtpname = Some(self.string()?),
            "smtpaddress" => user.smtpaddress = Some(self.string()?),
            "mda" => user.mda = Some(self.string()?),
            "bsmtp" => user.bsmtp = Some(self.string()?),
            "keep" => user.keep = Some(true),
            "flush" => user.flush = Some(true),
            "fetchall" => user.fetchall = Some(true),
            "limit" => user.limit = Some(self.number()?),
            "limitflush" => user.limitflush = Some(true),
            "fetchlimit" => user.fetchlimit = Some(self.number()?),
            "expunge" => user.expunge = Some(self.number()?),
            "ssl" => user.ssl = Some(true),
            "sslproto" => user.sslproto = Some(self.string()?),
            "sslcertck" => user.sslcertck = Some(true),
            "sslcertfile" => user.sslcertfile = Some(self.string()?),
            "sslcert" => user.sslcert = Some(self.string()?),
            "sslkey" => user.sslkey = Some(self.string()?),
            "idle" | "forceidle" | "pass8" | "pass8bits" => {}
            "fastuidl" | "batchlimit" | "fetchsizelimit" | "warnings" => drop(self.number()?),
            "rewrite" | "forcecr" | "stripcr" | "dropstatus" | "dropdelivered" | "mimedec" | "mimedecode" => {
                why = Some(UNCHANGED);
            }
            "sslcertpath" => {
                self.string()?;
                why = Some("popwire takes one file: tls = { ca = ... }");
            }
            "sslcommonname" => {
                self.string()?;
                why =
                    Some("popwire wants the certificate to be for the server's name; put that into `server`");
            }
            "sslfingerprint" => {
                self.string()?;
                why = Some("popwire pins the SHA-256 of the key: tls = { pin = [...] }");
            }
            "preconnect" | "pre" | "postconnect" | "post" => {
                self.string()?;
                why = Some("popwire runs no program before or after a session");
            }
            "passwordfd" | "antispam" => {
                while matches!(self.peek(), Some(Kind::Bare(word)) if is_number(word)) {
                    self.next();
                }
                why = Some(NO_WORD);
            }
            "folder" | "folders" | "fetchdomains" => {
                self.string()?;
                while self.string_if().is_some() {}
                why = Some("a POP3 server has nothing of that kind");
            }
            "properties" | "moveto" => {
                self.string()?;
                why = Some(NO_WORD);
            }
            _ => return Err(self.misplaced(begin)),
        }
        self.note(entry, begin, why);
        Ok(true)
    }

    /// An option that stands where fetchmail does not allow it.
    fn misplaced(&mut self, begin: usize) -> ImportError {
        self.at = begin;
        self.unexpected("an option of a user (options of the server come before the first user)")
    }
}

/// The words of one of the lists above.
fn words(list: &'static str) -> impl Iterator<Item = &'static str> {
    list.split_ascii_whitespace()
}

fn is_number(word: &[u8]) -> bool {
    let digits = word.strip_prefix(b"-").unwrap_or(word);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> RunControl {
        parse(Path::new("rc"), text.as_bytes()).unwrap()
    }

    /// The examples of the manual.
    #[test]
    fn the_forms_of_the_manual_are_understood() {
        let found = parsed(
            "defaults proto pop3 user 'jsmith' keep\n\
             poll mail.provider.net proto pop3\n  port 3111\n  user 'jsmith' there with password \"pop_provider_pass\" is \
             'jack' here, fetchall\n\
             skip other.provider.net via localhost user 'John.Smith', with pass \"\\x70ass\" nokeep is jack\n\
             server lists with options no dns: interval 3, timeout 90;\n",
        );
        let [one, two, three] = found.entries.as_slice() else { panic!("{found:?}") };
        assert_eq!(
            (one.server.name.as_str(), one.server.service.as_deref()),
            ("mail.provider.net", Some("3111"))
        );
        assert_eq!(one.user.password.as_deref(), Some(&b"pop_provider_pass"[..]));
        assert_eq!(
            (&*one.user.locals, one.user.fetchall, one.user.keep),
            (&["jack".into()][..], Some(true), Some(true))
        );
        assert_eq!((two.server.skip, two.server.via.as_deref()), (true, Some("localhost")));
        assert_eq!((two.user.remote.as_deref(), two.user.keep), (Some("John.Smith"), Some(false)));
        assert_eq!(two.user.password.as_deref(), Some(&b"pass"[..]));
        assert_eq!((three.user.remote.as_deref(), three.server.interval), (Some("jsmith"), Some(3)));
    }

    #[test]
    fn a_server_has_several_users_and_their_options_are_their_own() {
        let found =
            parsed("poll h proto pop3 user a pass x ssl keep is b user c there pass y user d e here pass z");
        let users: Vec<_> = found
            .entries
            .iter()
            .map(|entry| (entry.user.remote.as_deref(), entry.user.ssl, entry.user.multidrop))
            .collect();
        assert_eq!(users, [(Some("a"), Some(true), false), (Some("c"), None, false), (None, None, true)]);
    }

    #[test]
    fn what_has_no_counterpart_is_noted_with_its_line() {
        let found = parsed(
            "set postmaster root\npoll h proto pop3\n plugin \"nc %h\"\n user a\n no rewrite\n stripcr",
        );
        let notes: Vec<_> =
            found.entries[0].notes.iter().map(|note| (note.line, note.option.as_str())).collect();
        assert_eq!(notes, [(3, "plugin"), (6, "stripcr")]);
        assert_eq!((found.notes[0].line, found.notes[0].option.as_str()), (1, "set postmaster"));
    }

    #[test]
    fn what_fetchmail_refuses_is_refused_with_its_line_and_without_secrets() {
        for (text, line, part) in [
            ("poll h\nprot pop3", 2, "\"prot\""),
            ("poll h user a\npassword s3cret\n's3cret'", 3, "a text"),
            ("poll h user a\nproto pop3", 2, "before the first user"),
            ("user a", 1, "\"user\""),
            ("poll h port x", 1, "x"),
            ("poll", 1, "end of the file"),
            ("set\nnonsense", 2, "nonsense"),
        ] {
            match parse(Path::new("rc"), text.as_bytes()) {
                Err(ImportError::Syntax { line: found, what, .. }) => {
                    assert_eq!(found, line, "{text}: {what}");
                    assert!(what.contains(part) && !what.contains("s3cret"), "{text}: {what}");
                }
                // A service may have a name.
                other => assert!(text.ends_with("port x"), "{text}: {other:?}"),
            }
        }
    }
}
