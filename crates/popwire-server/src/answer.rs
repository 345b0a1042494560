//! Raw answers that a test dictates.

use std::time::Duration;

/// Octets to send in place of what the server would say, and what happens then.
///
/// ```
/// use popwire_server::{Answer, Server};
///
/// // The second RETR of every session ends in mid-message.
/// let builder = Server::builder().script("RETR", Answer::raw("+OK\r\nSubject: hi\r\n").then_close().nth(2));
/// # drop(builder);
/// ```
#[derive(Clone, Debug)]
pub struct Answer {
    pub(crate) raw: Vec<u8>,
    pub(crate) then: Then,
    pub(crate) after: Duration,
    pub(crate) nth: Nth,
    pub(crate) effective: bool,
}

/// What follows a raw answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Continue,
    Close,
    HalfClose,
    Cut,
    Reset,
    Hang,
}

/// Which occurrences of a command get a raw answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nth {
    Every,
    InSession(u64),
    /// This one and all that come after it.
    FromInSession(u64),
    InServer(u64),
}

impl Answer {
    /// These octets, exactly: line ends are the caller's to write. The command itself is not carried out, and the
    /// session goes on.
    #[must_use]
    pub fn raw(octets: impl Into<Vec<u8>>) -> Self {
        Self {
            raw: octets.into(),
            then: Then::Continue,
            after: Duration::ZERO,
            nth: Nth::Every,
            effective: false,
        }
    }

    /// Then closes the connection properly, with TLS's close_notify.
    #[must_use]
    pub fn then_close(mut self) -> Self {
        self.then = Then::Close;
        self
    }

    /// Then closes the server's side of the connection, with TLS's close_notify, and goes on reading until the client goes
    /// away or the idle timer runs out.
    #[must_use]
    pub fn then_half_close(mut self) -> Self {
        self.then = Then::HalfClose;
        self
    }

    /// Then drops the connection without TLS's close_notify, as an attacker who truncates would.
    #[must_use]
    pub fn then_cut(mut self) -> Self {
        self.then = Then::Cut;
        self
    }

    /// Then resets the connection (TCP RST). The client may lose what was sent before.
    #[must_use]
    pub fn then_reset(mut self) -> Self {
        self.then = Then::Reset;
        self
    }

    /// Then says nothing more until the client goes away or the idle timer runs out.
    #[must_use]
    pub fn then_hang(mut self) -> Self {
        self.then = Then::Hang;
        self
    }

    /// Waits this long before the octets are sent.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.after = delay;
        self
    }

    /// Only the n-th occurrence of the command in each session, counted from 1.
    #[must_use]
    pub fn nth(mut self, n: u64) -> Self {
        self.nth = Nth::InSession(n);
        self
    }

    /// The n-th occurrence of the command in each session, counted from 1, and all later ones.
    #[must_use]
    pub fn from_nth(mut self, n: u64) -> Self {
        self.nth = Nth::FromInSession(n);
        self
    }

    /// Only the n-th occurrence of the command in the server's life, counted from 1: for clients that connect again.
    #[must_use]
    pub fn nth_overall(mut self, n: u64) -> Self {
        self.nth = Nth::InServer(n);
        self
    }

    /// Carries the command out too, and only its answer is replaced. Not for RETR and TOP, whose answers are not kept
    /// back.
    #[must_use]
    pub fn and_do(mut self) -> Self {
        self.effective = true;
        self
    }
}

impl<T: Into<Vec<u8>>> From<T> for Answer {
    fn from(octets: T) -> Self {
        Self::raw(octets)
    }
}
