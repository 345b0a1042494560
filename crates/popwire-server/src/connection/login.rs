//! USER, PASS, APOP and RPOP.

use std::io;

use popwire_proto::{ResponseCode, Secret, apop};

use super::{Connection, Mailbox};
use crate::Maildrop;

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

    pub(super) async fn pass(&mut self, password: &Secret) -> io::Result<()> {
        let name = self.machine.take_user().unwrap_or_default();
        if !self.may_log_in() {
            return Ok(());
        }
        if self.shared.options.utf8 && std::str::from_utf8(password.expose()).is_err() {
            self.err(Some(ResponseCode::Auth), "the password is not UTF-8");
            return Ok(());
        }
        let account = self.shared.options.accounts.get(&name);
        let maildrop =
            account.filter(|account| equal(&account.password, password)).map(|account| &account.maildrop);
        let maildrop = maildrop.cloned();
        self.enter(maildrop).await
    }

    pub(super) async fn apop(&mut self, name: &[u8], digest: &Secret) -> io::Result<()> {
        if !self.may_log_in() {
            return Ok(());
        }
        let Some(timestamp) = &self.timestamp else {
            self.err(None, "APOP is not offered");
            return Ok(());
        };
        let account = self.shared.options.accounts.get(name);
        let right = account.filter(|account| equal(&apop::digest(timestamp, &account.password), digest));
        let maildrop = right.map(|account| account.maildrop.clone());
        self.enter(maildrop).await
    }

    pub(super) async fn rpop(&mut self, user: Vec<u8>) -> io::Result<()> {
        let name = self.machine.take_user();
        if !self.may_log_in() {
            return Ok(());
        }
        if self.shared.options.login.rpop.is_empty() {
            self.err(None, "RPOP is not honoured");
            return Ok(());
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
    pub(super) async fn enter(&mut self, maildrop: Option<Maildrop>) -> io::Result<()> {
        let Some(maildrop) = maildrop else {
            self.err(Some(ResponseCode::Auth), "wrong name or password");
            return Ok(());
        };
        let Some(lock) = maildrop.lock() else {
            self.err(Some(ResponseCode::InUse), "another session has this maildrop open");
            return Ok(());
        };
        // On failure the lock is released before the answer goes out.
        match Mailbox::open(maildrop, lock, self.shared.options.line_ends, self.shared.options.last).await {
            Err(_) => self.err(Some(ResponseCode::SysTemp), "the maildrop cannot be read"),
            Ok(mailbox) => {
                let (count, octets) = mailbox.totals();
                self.mailbox = Some(mailbox);
                self.machine.logged_in();
                self.ok(format!("maildrop has {count} messages ({octets} octets)"));
            }
        }
        Ok(())
    }
}

/// Compares without telling by the time it takes how much was right.
pub(super) fn equal(a: &Secret, b: &Secret) -> bool {
    let (a, b) = (a.expose(), b.expose());
    a.len() == b.len() && a.iter().zip(b).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}
