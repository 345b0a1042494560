//! What a command line asks for.

use std::fmt;

use super::line::content_length;
use crate::Secret;

/// A command, parsed. Message numbers are at least 1; whether such a message exists is for the driver to say.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Request {
    /// `USER name` (RFC 1939 section 7): the name is everything after the space.
    User {
        /// The mailbox, as it came.
        name: Vec<u8>,
    },
    /// `PASS string` (RFC 1939 section 7): the password is everything after the space, further spaces included.
    Pass {
        /// The password, possibly empty.
        password: Secret,
    },
    /// `APOP name digest` (RFC 1939 section 7).
    Apop {
        /// The mailbox.
        name: Vec<u8>,
        /// The digest, as it came.
        digest: Secret,
    },
    /// `RPOP user` (RFC 1225).
    Rpop {
        /// The user at the client's host.
        user: Vec<u8>,
    },
    /// `STAT`.
    Stat,
    /// `LIST [msg]`.
    List {
        /// Only this message.
        message: Option<u64>,
    },
    /// `RETR msg`.
    Retr {
        /// The message.
        message: u64,
    },
    /// `DELE msg`.
    Dele {
        /// The message.
        message: u64,
    },
    /// `RSET`.
    Rset,
    /// `NOOP`.
    Noop,
    /// `QUIT`.
    Quit,
    /// `TOP msg n` (RFC 1939 section 7).
    Top {
        /// The message.
        message: u64,
        /// How many lines of the body; a number too large to hold counts as `u64::MAX`.
        lines: u64,
    },
    /// `UIDL [msg]` (RFC 1939 section 7).
    Uidl {
        /// Only this message.
        message: Option<u64>,
    },
    /// `CAPA` (RFC 2449 section 5).
    Capa,
    /// `STLS` (RFC 2595 section 4).
    Stls,
    /// `UTF8` (RFC 6856 section 2).
    Utf8,
    /// `LANG [tag]` (RFC 6856 section 3).
    Lang {
        /// The language tag, or `*`.
        tag: Option<Vec<u8>>,
    },
    /// `AUTH [mechanism [initial-response]]` (RFC 5034 section 4).
    Auth {
        /// The mechanism as it came; without one, the client asks for the list (which is older than CAPA).
        mechanism: Option<Vec<u8>>,
        /// The initial response, still in base64.
        initial: Option<Secret>,
    },
    /// `LAST` (RFC 1225).
    Last,
}

/// Why a line is answered `-ERR`. The session goes on (RFC 1939 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The line is longer than the limit.
    TooLong,
    /// No such command.
    Unknown,
    /// An argument is missing, or there is one too many.
    Arguments,
    /// A number is not a decimal number of at least 1.
    Number,
    /// Not in this state.
    WrongState,
    /// PASS without USER directly before it.
    UserFirst,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "line too long",
            Self::Unknown => "unknown command",
            Self::Arguments => "wrong arguments",
            Self::Number => "not a message number",
            Self::WrongState => "not allowed now",
            Self::UserFirst => "USER comes first",
        })
    }
}

impl std::error::Error for Fault {}

impl Request {
    /// Parses a line, with or without its line end.
    ///
    /// # Errors
    ///
    /// [`Fault::Unknown`], [`Fault::Arguments`] or [`Fault::Number`].
    pub fn parse(line: &[u8]) -> Result<Self, Fault> {
        let line = line.get(..content_length(line)).unwrap_or_default();
        let (keyword, rest) = match memchr::memchr(b' ', line) {
            Some(space) => (line.get(..space).unwrap_or_default(), line.get(space + 1..)),
            None => (line, None),
        };
        match keyword.to_ascii_uppercase().as_slice() {
            b"USER" => Ok(Self::User { name: text(rest)? }),
            b"PASS" => Ok(Self::Pass { password: rest.ok_or(Fault::Arguments)?.into() }),
            b"APOP" => apop(rest),
            b"RPOP" => Ok(Self::Rpop { user: text(rest)? }),
            b"STAT" => nothing(rest, Self::Stat),
            b"LIST" => Ok(Self::List { message: rest.map(message).transpose()? }),
            b"RETR" => Ok(Self::Retr { message: message(rest.ok_or(Fault::Arguments)?)? }),
            b"DELE" => Ok(Self::Dele { message: message(rest.ok_or(Fault::Arguments)?)? }),
            b"RSET" => nothing(rest, Self::Rset),
            b"NOOP" => nothing(rest, Self::Noop),
            b"QUIT" => nothing(rest, Self::Quit),
            b"TOP" => top(rest),
            b"UIDL" => Ok(Self::Uidl { message: rest.map(message).transpose()? }),
            b"CAPA" => nothing(rest, Self::Capa),
            b"STLS" => nothing(rest, Self::Stls),
            b"UTF8" => nothing(rest, Self::Utf8),
            b"LANG" => Ok(Self::Lang { tag: rest.map(word).transpose()? }),
            b"AUTH" => auth(rest),
            b"LAST" => nothing(rest, Self::Last),
            _ => Err(Fault::Unknown),
        }
    }
}

fn nothing(rest: Option<&[u8]>, request: Request) -> Result<Request, Fault> {
    if rest.is_none() { Ok(request) } else { Err(Fault::Arguments) }
}

/// Everything after the space, which must be something.
fn text(rest: Option<&[u8]>) -> Result<Vec<u8>, Fault> {
    rest.filter(|text| !text.is_empty()).map(<[u8]>::to_vec).ok_or(Fault::Arguments)
}

/// One argument without a space in it.
fn word(rest: &[u8]) -> Result<Vec<u8>, Fault> {
    if rest.is_empty() || rest.contains(&b' ') { Err(Fault::Arguments) } else { Ok(rest.to_vec()) }
}

/// The digest has no space, names may have: the last space divides them.
fn apop(rest: Option<&[u8]>) -> Result<Request, Fault> {
    let rest = rest.ok_or(Fault::Arguments)?;
    let space = memchr::memrchr(b' ', rest).ok_or(Fault::Arguments)?;
    let name = text(rest.get(..space))?;
    let digest = text(rest.get(space + 1..))?;
    Ok(Request::Apop { name, digest: digest.into() })
}

fn top(rest: Option<&[u8]>) -> Result<Request, Fault> {
    let rest = rest.ok_or(Fault::Arguments)?;
    let space = memchr::memchr(b' ', rest).ok_or(Fault::Arguments)?;
    let message = message(rest.get(..space).unwrap_or_default())?;
    let lines = decimal(rest.get(space + 1..).unwrap_or_default())?;
    Ok(Request::Top { message, lines })
}

fn auth(rest: Option<&[u8]>) -> Result<Request, Fault> {
    // `AUTH ` with a trailing space asks for the list too: old Outlook sends it.
    let mut words = rest.unwrap_or_default().split(|octet| *octet == b' ').filter(|word| !word.is_empty());
    let mechanism = words.next().map(<[u8]>::to_vec);
    let initial = words.next().map(Secret::from);
    if words.next().is_some() { Err(Fault::Arguments) } else { Ok(Request::Auth { mechanism, initial }) }
}

/// A message number: decimal digits alone, at least 1. A number too large for 64 bits is no message either, but it is
/// never wrapped round to one.
fn message(argument: &[u8]) -> Result<u64, Fault> {
    if argument.contains(&b' ') {
        return Err(Fault::Arguments);
    }
    match decimal(argument)? {
        0 => Err(Fault::Number),
        number => Ok(number),
    }
}

/// Decimal digits alone, saturating.
fn decimal(argument: &[u8]) -> Result<u64, Fault> {
    if argument.is_empty() {
        return Err(Fault::Arguments);
    }
    argument.iter().try_fold(0u64, |number, octet| match octet {
        b'0'..=b'9' => Ok(number.saturating_mul(10).saturating_add(u64::from(octet - b'0'))),
        b' ' => Err(Fault::Arguments),
        _ => Err(Fault::Number),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_003_keywords_in_any_letter_case() {
        assert!(matches!(Request::parse(b"sTaT\r\n"), Ok(Request::Stat)));
        assert!(matches!(Request::parse(b"retr 2\n"), Ok(Request::Retr { message: 2 })));
    }

    #[test]
    fn p_040_a_password_is_everything_after_one_space() {
        for (line, password) in
            [(&b"PASS a b  c \r\n"[..], &b"a b  c "[..]), (b"PASS  x", b" x"), (b"PASS \r\n", b"")]
        {
            match Request::parse(line) {
                Ok(Request::Pass { password: parsed }) => assert_eq!(parsed.expose(), password),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(Request::parse(b"PASS\r\n").err(), Some(Fault::Arguments));
        assert!(!format!("{:?}", Request::parse(b"PASS tanstaaf")).contains("tanstaaf"));
    }

    #[test]
    fn p_074_numbers_are_strictly_decimal() {
        for wrong in ["0", "-1", "+1", "1x", "0x1", "1.0", "\u{661}"] {
            assert_eq!(
                Request::parse(format!("RETR {wrong}").as_bytes()).err(),
                Some(Fault::Number),
                "{wrong}"
            );
        }
        for wrong in
            ["RETR", "RETR ", "RETR 1 2", "RETR  1", "LIST ", "TOP 1", "TOP 1 2 3", "STAT 1", "NOOP "]
        {
            assert_eq!(Request::parse(wrong.as_bytes()).err(), Some(Fault::Arguments), "{wrong}");
        }
        // Courier and solid-pop3d take 2^32 + 1 for message 1.
        assert!(matches!(Request::parse(b"RETR 4294967297"), Ok(Request::Retr { message: 4_294_967_297 })));
        assert!(matches!(
            Request::parse(b"TOP 1 99999999999999999999"),
            Ok(Request::Top { lines: u64::MAX, .. })
        ));
    }

    #[test]
    fn names_keep_their_spaces() {
        assert!(matches!(Request::parse(b"USER a  b "), Ok(Request::User { name }) if name == b"a  b "));
        match Request::parse(b"APOP a b c4c9") {
            Ok(Request::Apop { name, digest }) => {
                assert_eq!((name.as_slice(), digest.expose()), (&b"a b"[..], &b"c4c9"[..]))
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn p_013_what_is_not_a_command() {
        for line in ["", "XTND", "STATUS", " STAT", "\0"] {
            assert_eq!(Request::parse(line.as_bytes()).err(), Some(Fault::Unknown), "{line:?}");
        }
    }

    #[test]
    fn auth_with_and_without_arguments() {
        for bare in ["AUTH", "AUTH "] {
            assert!(matches!(
                Request::parse(bare.as_bytes()),
                Ok(Request::Auth { mechanism: None, initial: None })
            ));
        }
        let request = Request::parse(b"AUTH PLAIN AGEAYg==").expect("parsed");
        assert!(!format!("{request:?}").contains("AGEAYg"));
    }
}
