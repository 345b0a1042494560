//! What the machine knows of the session's past, and the RFCs' rules on what may follow.

use super::owed::Owed;
use crate::error::OutOfOrder;
use crate::{Status, Verb};

/// The session's state (RFC 1939 section 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// The client has to tell who it is.
    #[default]
    Authorization,
    /// The maildrop is open and locked.
    Transaction,
    /// QUIT has been sent.
    Update,
}

/// What the machine has to know of the session's past to keep the RFCs' MUSTs.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) state: State,
    pub(super) tls: Tls,
    /// A challenge has come and is not answered yet.
    pub(super) challenged: bool,
    pub(super) response_codes: bool,
    /// How many messages are marked deleted.
    pub(super) marked: u64,
    /// How many of the replies that are owed end a login, and how many of those belong to AUTH.
    logins: usize,
    exchanges: usize,
    greeted: bool,
    user_accepted: bool,
    /// The last reply was the `+OK` that ended an AUTH exchange.
    accepted_by_sasl: bool,
    utf8: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tls {
    #[default]
    No,
    /// STLS is sent, or accepted and the handshake is not over.
    Pending,
    Active,
}

impl Facts {
    /// Whether this may be sent. A raw line is its sender's own affair, except after QUIT and within STLS, where nobody
    /// would read it.
    pub(super) fn check(&self, verb: Verb, settled: bool) -> Result<(), OutOfOrder> {
        let authorized = self.state != State::Authorization;
        Err(match verb {
            _ if !self.greeted => OutOfOrder::BeforeGreeting,
            _ if self.state == State::Update => OutOfOrder::AfterQuit,
            _ if self.tls == Tls::Pending => OutOfOrder::StlsPending,
            Verb::Raw => return Ok(()),
            // Within AUTH it would be read as SASL data; after the last line of a login real servers lose it.
            _ if self.exchanges > 0 => OutOfOrder::Sasl,
            _ if self.logins > 0 => OutOfOrder::LoginPending,
            _ if self.challenged != (verb == Verb::AuthResponse) => OutOfOrder::Sasl,
            Verb::Pass if !self.user_accepted => OutOfOrder::PassWithoutUser,
            Verb::Utf8 if authorized => OutOfOrder::Utf8AfterLogin,
            Verb::Stls if self.tls == Tls::Active => OutOfOrder::TlsActive,
            Verb::Stls if authorized => OutOfOrder::StlsAfterLogin,
            Verb::Stls if self.utf8 => OutOfOrder::StlsAfterUtf8,
            Verb::Stls if !settled => OutOfOrder::StlsPending,
            _ => return Ok(()),
        })
    }

    /// A command goes out.
    pub(super) fn sent(&mut self, owed: &Owed) {
        self.user_accepted = false;
        self.accepted_by_sasl = false;
        self.challenged = false;
        self.logins += usize::from(owed.is_login());
        self.exchanges += usize::from(owed.is_sasl());
        match owed.verb {
            Verb::Stls => self.tls = Tls::Pending,
            Verb::Quit => self.state = State::Update,
            _ => {}
        }
    }

    /// A reply came; `last` tells whether it is the last that is owed.
    pub(super) fn heard(&mut self, owed: &Owed, status: Status, last: bool) {
        let ok = status == Status::Ok;
        self.forget(owed);
        match owed.verb {
            Verb::Greeting => self.greeted = ok,
            Verb::User => self.user_accepted = ok && last,
            _ if status == Status::Continue => self.challenged = last,
            _ if ok && owed.is_login() && self.state == State::Authorization => {
                self.state = State::Transaction;
                self.accepted_by_sasl = owed.is_sasl();
            }
            Verb::Utf8 => self.utf8 |= ok,
            Verb::Stls if !ok => self.tls = Tls::No,
            Verb::Dele => self.marked += u64::from(ok),
            Verb::Rset if ok => self.marked = 0,
            _ => {}
        }
    }

    /// A reply is not owed any more.
    pub(super) fn forget(&mut self, owed: &Owed) {
        self.logins = self.logins.saturating_sub(usize::from(owed.is_login()));
        self.exchanges = self.exchanges.saturating_sub(usize::from(owed.is_sasl()));
    }

    /// The `+OK` to a line of an AUTH exchange did not end it. False if there was none just now.
    pub(super) fn challenged_after_all(&mut self) -> bool {
        let accepted = std::mem::take(&mut self.accepted_by_sasl);
        if accepted {
            (self.state, self.challenged) = (State::Authorization, true);
        }
        accepted
    }

    /// The TLS session is there; what was announced before it does not count any more.
    pub(super) fn tls_started(&mut self) {
        self.tls = Tls::Active;
        self.response_codes = false;
    }
}
