//! CAPA, UTF8 and LANG: what the server says of itself.

use popwire_proto::server::{State, answer};

use super::Connection;

impl Connection {
    pub(super) fn capa(&mut self) {
        let refused = self.shared.options.quirks.capabilities.refused_after_login
            && self.machine.state() == State::Transaction;
        if !self.shared.options.capabilities.answered || refused {
            return self.err(None, "unknown command");
        }
        self.ok("capabilities follow");
        let start = self.wire.out.len();
        for line in self.capabilities() {
            answer::line(&mut self.wire.out, &line);
        }
        answer::end(&mut self.wire.out);
        self.record_rest(start);
    }

    /// Whether CAPA lists this tag now.
    pub(super) fn announces(&self, tag: &str) -> bool {
        self.shared.options.capabilities.answered
            && self.capabilities().iter().any(|line| {
                let word = line.split(|octet| *octet == b' ').next().unwrap_or_default();
                word.eq_ignore_ascii_case(tag.as_bytes())
            })
    }

    /// The lines of CAPA in this state, true or not.
    fn capabilities(&self) -> Vec<Vec<u8>> {
        let mut lines = self.true_capabilities();
        self.shared.options.quirks.capabilities.apply(&mut lines, self.is_other_host, self.machine.is_tls());
        lines
    }

    /// The lines of CAPA in this state (RFC 2449 section 6). Both states have the same, but for STLS (RFC 2595
    /// section 4): RFC 5034 section 3 wants SASL in both.
    fn true_capabilities(&self) -> Vec<Vec<u8>> {
        let options = &self.shared.options;
        let before_login = self.machine.state() == State::Authorization;
        if let Some(dictated) = &options.capabilities.dictated {
            let lines = if before_login { &dictated.before_login } else { &dictated.after_login };
            let stls = dictated.stls && before_login && !self.machine.is_tls();
            return lines.iter().cloned().chain(stls.then(|| b"STLS".to_vec())).collect();
        }
        let mut lines: Vec<&[u8]> = vec![b"TOP", b"UIDL"];
        if !options.quirks.login.no_codes {
            lines.extend([&b"RESP-CODES"[..], b"AUTH-RESP-CODE"]);
        }
        // EXPIRE is true: only clients remove messages here.
        lines.extend([&b"PIPELINING"[..], b"EXPIRE NEVER"]);
        let delay = options.login.delay;
        // Whole seconds are what there is to announce; a client that waits so long must be let in.
        let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
        let login_delay = format!("LOGIN-DELAY {seconds}");
        if seconds > 0 {
            lines.push(login_delay.as_bytes());
        }
        if self.machine.is_tls() || !options.login.require_tls {
            lines.push(b"USER");
        }
        let sasl =
            self.announced().iter().fold("SASL".to_owned(), |line, mechanism| format!("{line} {mechanism}"));
        if sasl != "SASL" {
            lines.push(sasl.as_bytes());
        }
        if options.tls.stls && before_login && !self.machine.is_tls() {
            lines.push(b"STLS");
        }
        if options.utf8 {
            lines.push(b"UTF8 USER");
        }
        if !options.languages.is_empty() {
            lines.push(b"LANG");
        }
        lines.push(b"IMPLEMENTATION popwire-server");
        lines.into_iter().map(<[u8]>::to_vec).collect()
    }

    pub(super) fn utf8(&mut self) {
        if !self.shared.options.utf8 {
            return self.err(None, "unknown command");
        }
        self.utf8 = true;
        self.ok("UTF8 enabled");
    }

    pub(super) fn lang(&mut self, tag: Option<&[u8]>) {
        let shared = std::sync::Arc::clone(&self.shared);
        let languages = &shared.options.languages;
        let Some((default, _)) = languages.first() else { return self.err(None, "unknown command") };
        let Some(tag) = tag else {
            self.ok("languages follow");
            let start = self.wire.out.len();
            for (tag, description) in languages {
                answer::line(&mut self.wire.out, format!("{tag} {description}").as_bytes());
            }
            answer::end(&mut self.wire.out);
            return self.record_rest(start);
        };
        // `*` is the server's own choice.
        let wanted = if tag == b"*" { default.as_bytes() } else { tag };
        match languages.iter().find(|(tag, _)| tag.as_bytes().eq_ignore_ascii_case(wanted)) {
            Some((tag, description)) => self.ok(format!("{tag} {description}")),
            None => self.err(None, "no such language"),
        }
    }
}
