//! The server machine: command lines in, requests out; and the writers of answers.
//!
//! # Scope
//!
//! The machine knows how a command line is delimited and bounded, how it is parsed, and which command is legal in which
//! state. It owns no socket, no maildrop and no passwords: the driver reads requests from it, does what they ask, tells
//! the machine when the state changes, and writes answers with the functions of [`answer`].
//!
//! ```text
//!   Machine::new ──> AUTHORIZATION ──logged_in()──> TRANSACTION ──quit()──> UPDATE, which ends with the connection
//!                       │     ▲
//!                       └─────┘ begin_tls(), handshake by the driver, tls_started()
//! ```
//!
//! # Example
//!
//! ```
//! use popwire_proto::server::{Fault, Machine, Request, answer};
//!
//! let (mut machine, mut out) = (Machine::new(), Vec::new());
//! machine.receive(b"noop\r\nCAPA\r\n");
//!
//! let first = machine.next_command().expect("a whole line");
//! assert_eq!(first.line(), b"noop\r\n");
//! let fault = first.request().as_ref().err().copied();
//! assert_eq!(fault, Some(Fault::WrongState)); // not before login
//! answer::err(&mut out, None, "log in first");
//!
//! let second = machine.next_command().expect("another");
//! assert!(matches!(second.request(), Ok(Request::Capa)));
//! answer::ok(&mut out, "here is what I can do");
//! answer::line(&mut out, b"TOP");
//! answer::end(&mut out);
//! assert_eq!(out, b"-ERR log in first\r\n+OK here is what I can do\r\nTOP\r\n.\r\n");
//! ```

pub mod answer;
mod line;
mod request;

use std::fmt;

pub use line::COMMAND_LINE;
use line::LineBuffer;
pub use request::{Fault, Request};

/// Where a session is (RFC 1939 section 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum State {
    /// Before login.
    #[default]
    Authorization,
    /// Logged in; the maildrop is locked.
    Transaction,
    /// After QUIT in the transaction state: marked messages are removed, then the connection ends.
    Update,
}

/// One session's input, in order. See the [module](self).
#[derive(Default)]
pub struct Machine {
    state: State,
    lines: LineBuffer,
    /// The name of a USER command that was just accepted: PASS may follow it directly, and nothing else keeps it.
    user: Option<Vec<u8>>,
    tls: bool,
}

impl Machine {
    /// A session at its beginning, without TLS.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes octets that the client sent. Call it when [`Machine::next_command`] has returned `None`: then what is
    /// kept is bounded by [`COMMAND_LINE`] and the octets given here, however long a line the client sends.
    pub fn receive(&mut self, octets: &[u8]) {
        self.lines.push(octets);
    }

    /// The next command, or `None` if no whole line is there. Commands that came in one read are returned one by one,
    /// in order (RFC 2449 section 6.6).
    pub fn next_command(&mut self) -> Option<Incoming> {
        let line = self.lines.next()?;
        let request = if line.overlong { Err(Fault::TooLong) } else { Request::parse(&line.octets) };
        let request = request.and_then(|request| self.admit(request));
        Some(Incoming { line: line.octets, request })
    }

    /// The next line as it is, without its line end, or `None` if no whole line is there: for the answers to SASL
    /// challenges, which are not commands. `Err` if it was longer than the limit.
    pub fn next_line(&mut self) -> Option<Result<Vec<u8>, Fault>> {
        let mut line = self.lines.next()?;
        if line.overlong {
            return Some(Err(Fault::TooLong));
        }
        let end = line::content_length(&line.octets);
        line.octets.truncate(end);
        Some(Ok(line.octets))
    }

    /// Sets the longest line, in octets with its line end. [`COMMAND_LINE`] at first; a SASL exchange needs more
    /// (RFC 5034 section 4).
    pub fn set_line_limit(&mut self, octets: usize) {
        self.lines.set_limit(octets);
    }

    /// Where the session is.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether TLS has been started.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Whether input waits that has not been returned as a command yet, be it a whole line or a part of one.
    #[must_use]
    pub fn has_input(&self) -> bool {
        !self.lines.is_empty()
    }

    /// Takes out the input that [`Machine::has_input`] tells of, as servers do that forget what came behind a command
    /// that they refuse.
    pub fn take_input(&mut self) -> Vec<u8> {
        self.lines.take()
    }

    /// The driver has said `+OK` to USER: PASS may come next.
    pub fn user_accepted(&mut self, name: Vec<u8>) {
        self.user = Some(name);
    }

    /// The name of the USER command that came directly before this command, and forgets it: a failed PASS starts again
    /// at USER (RFC 1939 section 7).
    pub fn take_user(&mut self) -> Option<Vec<u8>> {
        self.user.take()
    }

    /// The driver holds the lock and is about to answer `+OK` to the login.
    pub fn logged_in(&mut self) {
        self.state = State::Transaction;
        self.user = None;
    }

    /// QUIT has come: from the transaction state the session enters UPDATE (RFC 1939 section 6). Returns the new state.
    pub fn quit(&mut self) -> State {
        if self.state == State::Transaction {
            self.state = State::Update;
        }
        self.state
    }

    /// To be called before STLS is answered `+OK`.
    ///
    /// # Errors
    ///
    /// [`PipelinedInput`] if the client sent anything after the STLS line: it may have been put there by somebody in
    /// the middle, to be carried out as if it had come under TLS (RFC 2595 section 4). The connection has to be
    /// closed.
    pub fn begin_tls(&mut self) -> Result<(), PipelinedInput> {
        if self.has_input() { Err(PipelinedInput) } else { Ok(()) }
    }

    /// The handshake is done, or the connection began with one. Nothing said before is remembered.
    pub fn tls_started(&mut self) {
        let limit = self.lines.limit();
        *self = Self { tls: true, ..Self::default() };
        self.lines.set_limit(limit);
    }

    /// Whether `request` is legal now.
    fn admit(&mut self, request: Request) -> Result<Request, Fault> {
        // PASS is legal directly after USER, RPOP may be; any other command in between makes the client start again.
        if !matches!(request, Request::Pass { .. } | Request::Rpop { .. }) {
            self.user = None;
        }
        let legal = match (&request, self.state) {
            (
                Request::Capa | Request::Quit | Request::Lang { .. },
                State::Authorization | State::Transaction,
            ) => true,
            (Request::Stls, State::Authorization) => !self.tls,
            (Request::Pass { .. }, State::Authorization) => {
                if self.user.is_none() {
                    return Err(Fault::UserFirst);
                }
                true
            }
            (
                Request::User { .. }
                | Request::Apop { .. }
                | Request::Rpop { .. }
                | Request::Auth { .. }
                | Request::Utf8,
                State::Authorization,
            ) => true,
            (
                Request::Stat
                | Request::List { .. }
                | Request::Retr { .. }
                | Request::Dele { .. }
                | Request::Noop
                | Request::Rset
                | Request::Top { .. }
                | Request::Uidl { .. }
                | Request::Last,
                State::Transaction,
            ) => true,
            _ => false,
        };
        if legal { Ok(request) } else { Err(Fault::WrongState) }
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The input may hold a password.
        f.debug_struct("Machine").field("state", &self.state).field("tls", &self.tls).finish_non_exhaustive()
    }
}

/// A line that the client sent, and what it asks for.
pub struct Incoming {
    line: Vec<u8>,
    request: Result<Request, Fault>,
}

impl Incoming {
    /// The octets as they came, line end included. Of a line that was too long, its beginning. It may hold a password.
    #[must_use]
    pub fn line(&self) -> &[u8] {
        &self.line
    }

    /// What is asked for, or why it is refused.
    pub fn request(&self) -> &Result<Request, Fault> {
        &self.request
    }

    /// What is asked for, or why it is refused.
    pub fn into_request(self) -> Result<Request, Fault> {
        self.request
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("request", &self.request).finish_non_exhaustive()
    }
}

/// The client sent something between STLS and the handshake (RFC 2595 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PipelinedInput;

impl fmt::Display for PipelinedInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("input was sent after STLS, before the handshake")
    }
}

impl std::error::Error for PipelinedInput {}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(machine: &mut Machine, input: &[u8]) -> Result<Request, Fault> {
        machine.receive(input);
        machine.next_command().expect("a line").into_request()
    }

    #[test]
    fn p_013_each_command_has_its_state() {
        let mut machine = Machine::new();
        for before in ["STAT", "LIST", "RETR 1", "DELE 1", "NOOP", "RSET", "TOP 1 0", "UIDL", "LAST"] {
            let line = format!("{before}\r\n");
            assert_eq!(next(&mut machine, line.as_bytes()).err(), Some(Fault::WrongState), "{before}");
        }
        machine.logged_in();
        for after in ["USER a", "PASS b", "APOP a d", "RPOP a", "AUTH PLAIN", "STLS", "UTF8"] {
            let line = format!("{after}\r\n");
            assert_eq!(next(&mut machine, line.as_bytes()).err(), Some(Fault::WrongState), "{after}");
        }
        for both in ["CAPA\n", "LANG\r\n", "QUIT\r\n"] {
            assert!(next(&mut machine, both.as_bytes()).is_ok(), "{both}");
        }
    }

    #[test]
    fn pass_follows_user_directly() {
        let mut machine = Machine::new();
        assert_eq!(next(&mut machine, b"PASS x\r\n").err(), Some(Fault::UserFirst));
        machine.user_accepted(b"alice".to_vec());
        assert!(next(&mut machine, b"CAPA\r\n").is_ok());
        assert_eq!(next(&mut machine, b"PASS x\r\n").err(), Some(Fault::UserFirst));
    }

    #[test]
    fn p_088_commands_in_one_read_come_out_in_order() {
        let mut machine = Machine::new();
        machine.receive(b"CAPA\r\nUSER a\r\nQU");
        assert!(matches!(machine.next_command().map(Incoming::into_request), Some(Ok(Request::Capa))));
        assert!(matches!(machine.next_command().map(Incoming::into_request), Some(Ok(Request::User { .. }))));
        assert!(machine.next_command().is_none());
        machine.receive(b"IT\r\n");
        assert!(matches!(machine.next_command().map(Incoming::into_request), Some(Ok(Request::Quit))));
    }

    #[test]
    fn discarded_input_is_forgotten_and_what_comes_later_is_not() {
        for behind in ["STAT\r\nNO".to_owned(), "x".repeat(2 * COMMAND_LINE)] {
            let mut machine = Machine::new();
            assert!(next(&mut machine, format!("CAPA\r\n{behind}").as_bytes()).is_ok());
            machine.take_input();
            assert!(!machine.has_input() && machine.next_command().is_none());
            assert!(matches!(next(&mut machine, b"QUIT\r\n"), Ok(Request::Quit)));
        }
    }

    #[test]
    fn p_143_input_behind_stls_is_an_error() {
        let mut machine = Machine::new();
        assert!(matches!(next(&mut machine, b"STLS\r\nUS"), Ok(Request::Stls)));
        assert_eq!(machine.begin_tls(), Err(PipelinedInput));
    }

    #[test]
    fn p_145_tls_starts_from_nothing_and_only_once() {
        let mut machine = Machine::new();
        machine.user_accepted(b"alice".to_vec());
        assert_eq!(machine.begin_tls(), Ok(()));
        machine.tls_started();
        assert_eq!(machine.take_user(), None);
        assert_eq!(next(&mut machine, b"STLS\r\n").err(), Some(Fault::WrongState));
    }

    #[test]
    fn debug_shows_no_password() {
        let mut machine = Machine::new();
        machine.user_accepted(b"alice".to_vec());
        machine.receive(b"PASS tanstaaf\r\n");
        assert!(!format!("{machine:?}").contains("tanstaaf"));
        let incoming = machine.next_command().expect("a line");
        assert!(!format!("{incoming:?}").contains("tanstaaf"));
    }

    use proptest::prelude::*;

    proptest! {
        #[test]
        fn commands_do_not_depend_on_the_reads(
            input in prop::collection::vec(prop::sample::select(&b"STAT 1\r\n\0\xff"[..]), 0..600),
            cuts in prop::collection::vec(0usize..600, 0..5),
        ) {
            let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (input.len() + 1)).collect();
            ends.extend([0, input.len()]);
            ends.sort_unstable();
            let heard = |pieces: Vec<&[u8]>| {
                let (mut machine, mut heard) = (Machine::new(), Vec::new());
                for piece in pieces {
                    machine.receive(piece);
                    while let Some(incoming) = machine.next_command() {
                        prop_assert!(incoming.line().len() <= COMMAND_LINE);
                        heard.push((incoming.line().to_vec(), incoming.into_request().err()));
                    }
                }
                Ok(heard)
            };
            let pieces = ends.windows(2).map(|end| &input[end[0]..end[1]]).collect();
            prop_assert_eq!(heard(pieces)?, heard(vec![&input])?);
        }
    }
}
