//! How a server is described.

mod sasl;
mod service;

use std::net::SocketAddr;
use std::time::Duration;

use popwire_proto::Secret;
use popwire_proto::stuff::LineEnds;

use crate::options::{Account, DictatedCapabilities, Options, QuitReply};
use crate::quirks::Quirks;
use crate::wire::Segment;
use crate::{Answer, Certificate, Maildrop, Server, StartError};

/// Describes a [`Server`]. What is not said is as the RFCs want it.
#[derive(Clone, Debug, Default)]
#[must_use = "nothing happens before `start`"]
pub struct Builder {
    pub(crate) options: Options,
}

/// Users, addresses, and the start.
impl Builder {
    /// Starts the server: its sockets are open when this returns.
    ///
    /// # Errors
    ///
    /// [`StartError`], if an address is taken, a certificate or a thread cannot be made, or a maildrop does not take the
    /// messages of a quirk.
    pub fn start(mut self) -> Result<Server, StartError> {
        Quirks::prepare(&mut self.options).map_err(StartError::Deliver)?;
        Server::start(self.options)
    }

    /// Adds a user. Two names may share a maildrop, and its lock.
    pub fn user(mut self, name: impl AsRef<[u8]>, password: impl AsRef<[u8]>, maildrop: Maildrop) -> Self {
        let account = Account { password: Secret::from(password.as_ref()), maildrop };
        self.options.accounts.insert(name.as_ref().to_vec(), account);
        self
    }

    /// The address of the listener without TLS. Default: a free port of 127.0.0.1.
    pub fn listen(mut self, addr: SocketAddr) -> Self {
        self.options.plain_addr = addr;
        self
    }

    /// The address of the listener with implicit TLS (RFC 8314 section 3). Default: a free port of 127.0.0.1.
    pub fn listen_tls(mut self, addr: SocketAddr) -> Self {
        self.options.tls_addr = addr;
        self
    }

    /// Most connections at a time, at least 1 and at most 2^28; one more is refused in its greeting. Default 500.
    /// Each needs a file descriptor: see that the system allows so many (`ulimit -n`).
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.options.max_connections = connections.clamp(1, 1 << 28);
        self
    }

    /// Whether connections are recorded, passwords included, for as long as the server lives. Default yes; a server
    /// that is to run for long turns it off. [`Server::wait_closed`] then has nothing to wait for.
    pub fn record(mut self, record: bool) -> Self {
        self.options.record = record;
        self
    }
}

/// TLS.
impl Builder {
    /// Which certificate the server shows. Default [`Certificate::Good`].
    pub fn certificate(mut self, certificate: Certificate) -> Self {
        self.options.tls.certificate = certificate;
        self
    }

    /// Whether STLS is offered and accepted (RFC 2595 section 4). Default yes.
    pub fn stls(mut self, offered: bool) -> Self {
        self.options.tls.stls = offered;
        self
    }

    /// Whether the server speaks TLS 1.2 and nothing newer. Such a session has no `tls-exporter` to bind to
    /// (RFC 9266). Default no: TLS 1.3 is preferred.
    pub fn tls12_only(mut self, only: bool) -> Self {
        self.options.tls.only_1_2 = only;
        self
    }

    /// Plaintext to send in the same write as the `+OK` of STLS: what somebody in the middle injects
    /// (CVE-2021-22947).
    pub fn inject_after_stls(mut self, octets: impl Into<Vec<u8>>) -> Self {
        self.options.tls.inject_after_stls = octets.into();
        self
    }

    /// Whether USER, PASS, APOP and RPOP are refused before TLS, all alike (RFC 2595 section 2.3), and with them the
    /// SASL mechanisms that hand over the password or a token as it is: PLAIN, LOGIN, OAUTHBEARER and XOAUTH2. CAPA then
    /// leaves USER and those out before TLS. Default no.
    pub fn require_tls(mut self, required: bool) -> Self {
        self.options.login.require_tls = required;
        self
    }
}

/// The greeting, login and capabilities.
impl Builder {
    /// The greeting: these octets, line end included, and what follows them. An APOP timestamp in it is honoured if
    /// [`Builder::apop`] is on.
    pub fn greeting(mut self, greeting: impl Into<Answer>) -> Self {
        self.options.greeting = Some(greeting.into());
        self
    }

    /// Whether APOP is offered, with a timestamp in the greeting that is different for every connection (RFC 1939
    /// section 7). Default no.
    ///
    /// Users may then log in by PASS as well, which RFC 1939 section 13 advises against: a test needs one account, not
    /// two.
    pub fn apop(mut self, offered: bool) -> Self {
        self.options.login.apop = offered;
        self
    }

    /// For which users RPOP (RFC 1225) is honoured. Default: for none; RPOP is answered `-ERR`.
    ///
    /// RPOP came after USER, in place of PASS, and named the user at the client's host. The server believed it as the
    /// r-commands did: if the host was on a list, and if the connection came from a reserved port (below 1024), which
    /// only that host's administrator could open. Neither proves anything today. A test that wants RPOP to work says
    /// for whom, and no address and no port is looked at. The maildrop is that of the USER command before it, or, if
    /// there was none, of the name itself.
    pub fn rpop<I>(mut self, users: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        self.options.login.rpop = users.into_iter().map(|user| user.as_ref().to_vec()).collect();
        self
    }

    /// The least time between two logins to a maildrop, by whatever connection (RFC 2449 section 6.5), counted from the
    /// last one that succeeded. One that comes too soon is refused with `[LOGIN-DELAY]` though the credentials are right,
    /// and CAPA announces the time, in whole seconds and rounded up. Default zero: as often as a client wants.
    pub fn login_delay(mut self, delay: Duration) -> Self {
        self.options.login.delay = delay;
        self
    }

    /// How many logins may fail in a session: the last one is refused like the others, and the connection is closed.
    /// Refused credentials count, and AUTH exchanges that the client gave up: the challenge may have told it that they are
    /// wrong. 0 counts as 1. Default 10.
    pub fn max_failed_logins(mut self, logins: u32) -> Self {
        self.options.login.max_failed = logins.max(1);
        self
    }

    /// How long the answer to a failed login waits, which makes guessing slow. Default zero, because tests are in a hurry;
    /// a server that strangers reach wants seconds.
    pub fn refusal_delay(mut self, delay: Duration) -> Self {
        self.options.login.refusal_delay = delay;
        self
    }

    /// Whether CAPA is answered (RFC 2449). Without it, no response codes are sent either. Default yes.
    pub fn capa(mut self, answered: bool) -> Self {
        self.options.capabilities.answered = answered;
        self
    }

    /// What CAPA lists before and after login, true or not. Response codes are sent if RESP-CODES and AUTH-RESP-CODE
    /// are among the lines of the state.
    pub fn capability_lines<I, J>(mut self, before_login: I, after_login: J) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
        J: IntoIterator,
        J::Item: AsRef<[u8]>,
    {
        let before_login = before_login.into_iter().map(|line| line.as_ref().to_vec()).collect();
        let after_login = after_login.into_iter().map(|line| line.as_ref().to_vec()).collect();
        self.options.capabilities.dictated =
            Some(DictatedCapabilities { before_login, after_login, stls: false });
        self
    }

    /// Whether UTF8 is offered (RFC 6856 section 2). Messages with raw UTF-8 in their header are then refused with
    /// `[UTF8]` to clients that did not ask for it, and ill-formed UTF-8 in names and passwords is refused. Default no.
    pub fn utf8(mut self, offered: bool) -> Self {
        self.options.utf8 = offered;
        self
    }

    /// The languages that LANG offers (RFC 6856 section 3), each with its tag and description; the first is the
    /// default. The texts of answers do not change. Default none: LANG is answered `-ERR`.
    pub fn lang<'a>(mut self, languages: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let owned = |(tag, description): (&str, &str)| (tag.to_owned(), description.to_owned());
        self.options.languages = languages.into_iter().map(owned).collect();
        self
    }

    /// Whether LAST (RFC 1225) is answered: the highest number retrieved, also in earlier sessions; RSET brings it back
    /// to what it was at login. Default no.
    pub fn last(mut self, answered: bool) -> Self {
        self.options.last = answered;
        self
    }
}

/// Time and octets.
impl Builder {
    /// How long a client may be silent (RFC 1939 section 3 says at least ten minutes). Default ten minutes.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.options.timing.idle = timeout;
        self
    }

    /// How long a client may take no octet of an answer. Default two minutes.
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.options.timing.write = timeout;
        self
    }

    /// Writes answers in pieces of so many octets, each flushed to the network by itself. 0 counts as 1.
    pub fn segment(mut self, octets: usize) -> Self {
        self.options.segment = Some(Segment::Octets(octets.max(1)));
        self
    }

    /// Waits this long between the pieces of [`Builder::segment`], so that they arrive one by one. Default zero.
    pub fn segment_pause(mut self, pause: Duration) -> Self {
        self.options.timing.segment_pause = pause;
        self
    }

    /// Whether messages are sent with their line ends as they are stored, against RFC 1939 section 11: what servers
    /// that pass a bare LF through do to clients. Default no.
    pub fn verbatim(mut self, verbatim: bool) -> Self {
        self.options.line_ends = if verbatim { LineEnds::AsStored } else { LineEnds::Crlf };
        self
    }
}

/// Deletion, and dictated answers.
impl Builder {
    /// How QUIT ends a session. Default [`QuitReply::Normal`].
    pub fn quit_reply(mut self, reply: QuitReply) -> Self {
        self.options.quit_reply = reply;
        self
    }

    /// Whether marked messages are removed however the client ends the session, against RFC 1939 section 6, as Eudora's
    /// qpopper did. (Stopping the server removes nothing.) Default no.
    pub fn delete_at_disconnect(mut self, delete: bool) -> Self {
        self.options.delete_at_disconnect = delete;
        self
    }

    /// Replaces the first line of each successful answer to a command, the rest stays: `("LIST", "+OK 2 320")`,
    /// `("STAT", "+OK 1 5000000000")`, `("PASS", "+ERR hello")`. The line end is added.
    pub fn heading(mut self, keyword: &str, line: impl Into<Vec<u8>>) -> Self {
        self.options.headings.insert(keyword.to_ascii_uppercase(), line.into());
        self
    }

    /// Answers a command with octets of the caller's. `command` is a keyword (`"RETR"`) or the beginning of a line
    /// (`"RETR 3"`, `"UIDL 1"`); letter case does not matter. Which occurrences are meant, and what happens to the
    /// connection then, is for the [`Answer`] to say. If several scripts apply, the one given first is used.
    pub fn script(mut self, command: &str, answer: impl Into<Answer>) -> Self {
        self.options.scripts.push((command.to_ascii_uppercase(), answer.into()));
        self
    }
}
