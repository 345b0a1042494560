//! What can go wrong in the protocol itself: small, comparable values without sockets or clocks in them.

use std::fmt;

use crate::{Text, Verb};

/// A protocol error.
///
/// The first group happens before anything is on the wire and leaves the session as it was. [`Error::Malformed`] and
/// a [`Error::LineTooLong`] inside a listing concern one answer, which has been read to its end: the session goes on.
/// All others break the session; [`Client::is_broken`](crate::Client::is_broken) tells which it was.
///
/// A `-ERR` is no error at this level: it is a [`Reply`](crate::Reply).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// An argument cannot be sent. Nothing was written.
    Argument(ArgumentError),
    /// The command may not be sent at this point of the session. Nothing was written.
    OutOfOrder(OutOfOrder),
    /// The answer to this command does not have the form that the RFC gives it. The session goes on.
    Malformed {
        /// The command that was answered.
        verb: Verb,
        /// The beginning of the line in question.
        line: Text,
    },
    /// A line of an answer is longer than [`Limits::response_line`](crate::Limits::response_line).
    LineTooLong {
        /// The limit, in octets.
        limit: usize,
    },
    /// An answer is larger than the limit for it.
    TooLarge {
        /// What grew too large.
        what: Oversize,
        /// The limit, in octets or entries as the limit says.
        limit: u64,
    },
    /// The connection ended inside an answer, or before it. What came of the answer is not to be used: a message that
    /// ends without its terminator is not a message.
    Closed {
        /// The command that had been sent.
        verb: Verb,
        /// How much of the answer had come, in octets.
        received: u64,
    },
    /// A line that begins with neither `+OK` nor `-ERR` stands where a status line must be (RFC 1939 section 3).
    NotAStatusLine(Text),
    /// The other side does not speak POP3 here.
    NotPop3(Foreign),
    /// The server sent something that nobody asked for: after a message this can be a part of that message, written by
    /// its sender to look like an answer. Nothing of it was believed.
    Unsolicited(Text),
    /// The server said a `-ERR` without having been asked, as servers do before they close an idle session.
    ServerClosing(Text),
    /// Octets came in the clear after the `+OK` of STLS: someone tried to put words into the mouth of the server
    /// behind the TLS session (CVE-2021-22947 and its kin).
    PlaintextAfterStls,
    /// More than [`Limits::discard`](crate::Limits::discard) octets of an abandoned answer stood between the session
    /// and its next command.
    Abandoned,
    /// Within a login the server failed to prove that it is the one it should be. Nothing more is said to it.
    ServerUntrusted(crate::sasl::Error),
}

/// Why an argument cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArgumentError {
    /// It has a CR, an LF or a NUL: it would end the command line and begin another command.
    ControlCharacter,
    /// It is empty and must not be.
    Empty,
    /// A message number is 0. They begin at 1 (RFC 1939 section 4).
    Zero,
    /// The command line would be longer than [`Limits::command_line`](crate::Limits::command_line).
    LineTooLong {
        /// How long the line would be, in octets with its CRLF.
        length: usize,
        /// The limit, in octets.
        limit: usize,
    },
    /// The greeting has no timestamp in the form of a message-id, so APOP cannot be computed safely (RFC 1939 section
    /// 7, CVE-2007-1558).
    NoTimestamp,
}

/// Why a command may not be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutOfOrder {
    /// PASS stands directly after a USER that was answered `+OK`, nowhere else (RFC 1939 section 7).
    PassWithoutUser,
    /// STLS is for the AUTHORIZATION state (RFC 2595 section 4).
    StlsAfterLogin,
    /// STLS may not follow UTF8 (RFC 6856 section 2.1).
    StlsAfterUtf8,
    /// TLS is active already.
    TlsActive,
    /// UTF8 is for the AUTHORIZATION state (RFC 6856 section 2.1).
    Utf8AfterLogin,
    /// Nothing may be sent between STLS and the end of its handshake, and STLS not while answers are outstanding.
    StlsPending,
    /// QUIT has been sent.
    AfterQuit,
    /// There is no positive greeting: it has not come yet, or it was a refusal (RFC 1939 section 3).
    BeforeGreeting,
    /// Nothing may be sent until the answer to a line of a login has come (RFC 5034 section 4, RFC 2449 section 6.6).
    LoginPending,
    /// A login is for the AUTHORIZATION state (RFC 1939 section 3, RFC 5034 section 4).
    LoginAfterLogin,
    /// No message is being read.
    NoMessage,
    /// The server waits for the next line of a SASL exchange, or it does not and this is one (RFC 5034 section 4).
    Sasl,
}

/// What grew beyond its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Oversize {
    /// The octets of a collected multi-line answer.
    Listing,
    /// The entries of LIST or UIDL.
    Entries,
    /// The lines of CAPA.
    Capabilities,
    /// The octets of a message.
    Message,
}

/// What answered instead of a POP3 server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Foreign {
    /// A TLS record: this port wants TLS from the first octet (implicit TLS).
    Tls,
    /// `* OK`: an IMAP server.
    Imap,
    /// `220`: an SMTP server.
    Smtp,
    /// An HTTP response.
    Http,
    /// Something else; the beginning of it.
    Unknown(Text),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument(e) => e.fmt(f),
            Self::OutOfOrder(e) => e.fmt(f),
            Self::Malformed { verb, line } => {
                write!(f, "the server's answer to {verb} makes no sense: {line}")
            }
            Self::LineTooLong { limit } => write!(f, "the server sent a line of more than {limit} octets"),
            Self::TooLarge { what, limit } => {
                let (what, unit) = match what {
                    Oversize::Listing => ("the server's answer", "octets"),
                    Oversize::Entries => ("the server's listing", "entries"),
                    Oversize::Capabilities => ("the server's list of capabilities", "lines"),
                    Oversize::Message => ("the message", "octets"),
                };
                write!(f, "{what} is larger than the limit of {limit} {unit}")
            }
            Self::Closed { verb: Verb::Greeting, .. } => {
                f.write_str("the server closed the connection without a greeting")
            }
            Self::Closed { verb, received: 0 } => {
                write!(f, "the server closed the connection instead of answering {verb}")
            }
            Self::Closed { verb, received } => write!(
                f,
                "the server closed the connection in the middle of its answer to {verb}, after {received} octets"
            ),
            Self::NotAStatusLine(line) => write!(f, "expected +OK or -ERR from the server, got: {line}"),
            Self::NotPop3(foreign) => foreign.fmt(f),
            Self::Unsolicited(line) => write!(f, "the server sent something that was not asked for: {line}"),
            Self::ServerClosing(line) => write!(f, "the server ended the session: {line}"),
            Self::PlaintextAfterStls => f.write_str(
                "someone sent plain text between STLS and the TLS handshake; the connection is not safe",
            ),
            Self::ServerUntrusted(why) => write!(f, "the server is not to be trusted: {why}"),
            Self::Abandoned => f.write_str("an answer was abandoned and too much of it is left to skip"),
        }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for ArgumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ControlCharacter => f.write_str("an argument has a CR, LF or NUL in it; nothing was sent"),
            Self::Empty => f.write_str("an argument is empty; nothing was sent"),
            Self::Zero => f.write_str("message numbers begin at 1; nothing was sent"),
            Self::LineTooLong { length, limit } => write!(
                f,
                "the command would be {length} octets long, the limit is {limit} (RFC 2449); nothing was sent"
            ),
            Self::NoTimestamp => f.write_str(
                "the server's greeting has no valid timestamp, so it does not offer APOP; nothing was sent",
            ),
        }
    }
}

impl fmt::Display for OutOfOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PassWithoutUser => "PASS must directly follow a USER that the server accepted",
            Self::StlsAfterLogin => "STLS is not allowed after login",
            Self::StlsAfterUtf8 => "STLS is not allowed after UTF8",
            Self::TlsActive => "TLS is active already",
            Self::Utf8AfterLogin => "UTF8 is not allowed after login",
            Self::StlsPending => "no command may stand between STLS and its TLS handshake",
            Self::AfterQuit => "QUIT has been sent; the session is over",
            Self::BeforeGreeting => "the server has not greeted us",
            Self::LoginPending => "the answer to the login has not come yet",
            Self::LoginAfterLogin => "the session is logged in already",
            Self::NoMessage => "no message is being read",
            Self::Sasl => "this line does not fit the state of the AUTH exchange",
        })
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls => {
                f.write_str("this port speaks TLS from the start; connect with implicit TLS (pops://)")
            }
            Self::Imap => f.write_str("an IMAP server answers on this port, not a POP3 server"),
            Self::Smtp => f.write_str("an SMTP server answers on this port, not a POP3 server"),
            Self::Http => f.write_str("a web server answers on this port, not a POP3 server"),
            Self::Unknown(line) => write!(f, "no POP3 server answers on this port; it said: {line}"),
        }
    }
}

impl From<ArgumentError> for Error {
    fn from(e: ArgumentError) -> Self {
        Self::Argument(e)
    }
}

impl From<OutOfOrder> for Error {
    fn from(e: OutOfOrder) -> Self {
        Self::OutOfOrder(e)
    }
}
