//! USER, PASS, APOP and RPOP.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use popwire_proto::server::State;
use popwire_proto::{ResponseCode, Secret, apop};

use super::{Connection, Mailbox};
use crate::Maildrop;
use crate::answer::Then;
use crate::quirks::{LoginQuirks, Often};

/// What is said of wrong credentials, and of the last ones that are looked at.
const WRONG: &str = "wrong name or password";
const WRONG_AGAIN: &str = "wrong name or password; goodbye";

impl Connection {
    pub(super) fn user(&mut self, name: Vec<u8>) {
        if !self.may_log_in() {
            return;
        }
        if self.shared.options.utf8 && std::str::from_utf8(&name).is_err() {
            return self.err(None, "the name is not UTF-8");
        }
        // RFC 1939 section 7: also for names that do not exist, so that they cannot be found out.
        self.machine.user_accepted(name);
        self.ok("send PASS");
    }

    pub(super) async fn pass(&mut self, password: &Secret) -> io::Result<Then> {
        let name = self.machine.take_user().unwrap_or_default();
        if !self.may_log_in() {
            return Ok(Then::Continue);
        }
        if self.shared.options.utf8 && std::str::from_utf8(password.expose()).is_err() {
            return self.fail(Some(ResponseCode::Auth), "the password is not UTF-8").await;
        }
        let account = self.shared.options.accounts.get(&name);
        let maildrop =
            account.filter(|account| equal(&account.password, password)).map(|account| &account.maildrop);
        let maildrop = maildrop.cloned();
        self.enter(maildrop).await
    }

    pub(super) async fn apop(&mut self, name: &[u8], digest: &Secret) -> io::Result<Then> {
        if !self.may_log_in() {
            return Ok(Then::Continue);
        }
        let Some(timestamp) = &self.timestamp else {
            self.err(None, "APOP is not offered");
            return Ok(Then::Continue);
        };
        let account = self.shared.options.accounts.get(name);
        let right = account.filter(|account| equal(&apop::digest(timestamp, &account.password), digest));
        let maildrop = right.map(|account| account.maildrop.clone());
        self.enter(maildrop).await
    }

    pub(super) async fn rpop(&mut self, user: Vec<u8>) -> io::Result<Then> {
        let name = self.machine.take_user();
        if !self.may_log_in() {
            return Ok(Then::Continue);
        }
        if self.shared.options.login.rpop.is_empty() {
            self.err(None, "RPOP is not honoured");
            return Ok(Then::Continue);
        }
        let honoured = self.shared.options.login.rpop.contains(&user);
        let account = self.shared.options.accounts.get(&name.unwrap_or(user)).filter(|_| honoured);
        let maildrop = account.map(|account| account.maildrop.clone());
        self.enter(maildrop).await
    }

    /// Whether TLS, if it is required, is there. If not, all credentials are refused alike (RFC 2595 section 2.3).
    pub(super) fn may_log_in(&mut self) -> bool {
        let may = self.machine.is_tls() || !self.shared.options.login.require_tls;
        if !may {
            self.err(None, "TLS is required before login");
        }
        may
    }

    /// Opens the maildrop, or refuses credentials that had none.
    pub(super) async fn enter(&mut self, maildrop: Option<Maildrop>) -> io::Result<Then> {
        self.pause(self.login_quirks().answer_delay).await?;
        let Some(maildrop) = maildrop else {
            let last = self.failed_logins.saturating_add(1) >= self.shared.options.login.max_failed;
            return self.fail(Some(ResponseCode::Auth), if last { WRONG_AGAIN } else { WRONG }).await;
        };
        if let Some(words) = self.indisposed() {
            self.say_err(words);
            return Ok(Then::Continue);
        }
        let unlocked = self.login_quirks().no_lock.then(|| maildrop.without_lock());
        let Some(lock) = maildrop.lock().or(unlocked) else {
            match self.login_quirks().lock_words {
                Some(words) => self.say_err(words),
                None => self.refuse(Some(ResponseCode::InUse), "another session has this maildrop open"),
            }
            return Ok(Then::Continue);
        };
        let delay = self.shared.options.login.delay;
        if maildrop.since_login().is_some_and(|since| since < delay) {
            if self.login_quirks().close_if_too_soon {
                return Ok(Then::Close);
            }
            let text = format!("too soon: logins must be {} s apart", delay.as_secs_f64());
            self.refuse(Some(ResponseCode::LoginDelay), &text);
            return Ok(Then::Continue);
        }
        // On failure the lock is released before the answer goes out.
        match Mailbox::open(maildrop, lock, &self.shared.options).await {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                self.refuse(Some(ResponseCode::InUse), "another program has this maildrop locked");
            }
            Err(_) => self.refuse(Some(ResponseCode::SysTemp), "the maildrop cannot be read"),
            Ok(mailbox) => {
                let (count, octets) = mailbox.totals();
                mailbox.maildrop.logged_in();
                self.mailbox = Some(mailbox);
                self.machine.logged_in();
                self.ok(format!("maildrop has {count} messages ({octets} octets)"));
            }
        }
        Ok(Then::Continue)
    }

    /// Refuses a login, and ends the session if it was one too many.
    pub(super) async fn fail(&mut self, code: Option<ResponseCode>, text: &str) -> io::Result<Then> {
        self.failed_logins = self.failed_logins.saturating_add(1);
        self.pause(self.shared.options.login.refusal_delay).await?;
        self.refuse(code, text);
        let too_many = self.failed_logins >= self.shared.options.login.max_failed;
        Ok(if too_many { Then::Close } else { Then::Continue })
    }

    /// Says that a login is refused, in these words or in those of a quirk.
    fn refuse(&mut self, code: Option<ResponseCode>, text: &str) {
        match self.login_quirks().words {
            Some(words) => self.say_err(words),
            None => self.err(code, text),
        }
    }

    /// `-ERR` and these octets, a code included.
    fn say_err(&mut self, words: &[u8]) {
        let start = self.wire.out.len();
        for part in [b"-ERR ", words, b"\r\n"] {
            self.wire.out.extend_from_slice(part);
        }
        self.record_answer(start);
    }

    /// What keeps a login out whose credentials are right.
    fn indisposed(&self) -> Option<&'static [u8]> {
        let (often, words) = self.login_quirks().indisposed?;
        let before = self.shared.right_logins.fetch_add(1, Ordering::Relaxed);
        (often == Often::Always || before == 0).then_some(words)
    }

    /// Why a line is refused with which the RFCs find no fault.
    pub(super) fn objection(&mut self, line: &[u8]) -> Option<&'static str> {
        let quirks = self.login_quirks();
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if quirks.no_trailing_space && self.keyword != "PASS" && line.ends_with(b" ") {
            return Some("unknown command");
        }
        if quirks.strict_arguments && is_odd(line) {
            // As after any PASS that failed.
            self.machine.take_user();
            return Some("Protocol error. 14");
        }
        None
    }

    /// How long the client may be silent.
    pub(super) fn patience(&self) -> Duration {
        let idle = self.shared.options.timing.idle;
        match self.login_quirks().login_within {
            Some(limit) if self.machine.state() == State::Authorization => {
                idle.min(limit.saturating_sub(self.since.elapsed()))
            }
            _ => idle,
        }
    }

    pub(super) fn login_quirks(&self) -> &LoginQuirks {
        &self.shared.options.quirks.login
    }
}

/// Whether USER or PASS has an argument that its writer did not think of: none, a long one, a name with blanks.
fn is_odd(line: &[u8]) -> bool {
    let Some((keyword, argument)) = line.split_at_checked("USER ".len()) else { return false };
    let user = keyword.eq_ignore_ascii_case(b"USER ");
    let pass = keyword.eq_ignore_ascii_case(b"PASS ");
    // RFC 1939 section 3: an argument may have 40 octets.
    (user || pass) && (argument.is_empty() || argument.len() > 40 || user && argument.contains(&b' '))
}

/// Compares without telling by the time it takes how much was right.
pub(super) fn equal(a: &Secret, b: &Secret) -> bool {
    let (a, b) = (a.expose(), b.expose());
    a.len() == b.len() && a.iter().zip(b).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}
