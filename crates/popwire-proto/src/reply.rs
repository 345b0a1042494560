//! Status lines, response codes, and the reply that a command gets.
//!
//! A status line is `+OK` or `-ERR`, then nothing or a blank and text for people (RFC 1939 section 3). The text is
//! never read for meaning, except for a response code at its beginning (RFC 2449 section 8, RFC 3206).

use std::fmt;

use crate::Text;

/// Stands for a text that repeats a secret.
pub(crate) const WITHHELD: &str = "(text withheld: it repeats the secret that was sent)";

/// How a reply begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Status {
    /// `+OK`.
    #[default]
    Ok,
    /// `-ERR`.
    Err,
    /// `+` and a challenge: the server wants the next line of a SASL exchange (RFC 5034 section 4).
    Continue,
}

/// A response code: the machine-readable word in brackets at the beginning of a reply's text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResponseCode {
    /// `[IN-USE]`: the credentials were right, but another session has the maildrop locked (RFC 2449 section 8.1.2).
    InUse,
    /// `[LOGIN-DELAY]`: this user logged in too short a time ago (RFC 2449 section 8.1.1).
    LoginDelay,
    /// `[SYS/TEMP]`: the fault is the server's and may pass (RFC 3206 section 4).
    SysTemp,
    /// `[SYS/PERM]`: the fault is the server's and needs a human (RFC 3206 section 4).
    SysPerm,
    /// `[AUTH]`: the credentials are the problem (RFC 3206 section 5).
    Auth,
    /// `[UTF8]`: the message needs UTF8 mode (RFC 6856 section 5).
    Utf8,
    /// Any other code, without its brackets.
    Other(Text),
}

impl ResponseCode {
    /// Reads a code by its longest known prefix: `SYS/TEMP/DISK` is `SYS/TEMP` (RFC 2449 section 8).
    fn parse(code: &[u8]) -> Self {
        let is = |known: &[u8]| {
            code.split_at_checked(known.len()).is_some_and(|(head, rest)| {
                head.eq_ignore_ascii_case(known) && matches!(rest.first(), None | Some(b'/' | b' '))
            })
        };
        match () {
            () if is(b"IN-USE") => Self::InUse,
            () if is(b"LOGIN-DELAY") => Self::LoginDelay,
            () if is(b"SYS/TEMP") => Self::SysTemp,
            () if is(b"SYS/PERM") => Self::SysPerm,
            () if is(b"AUTH") => Self::Auth,
            () if is(b"UTF8") => Self::Utf8,
            () => Self::Other(code.into()),
        }
    }
}

/// What the server answered: the status line, and for a multi-line answer that was collected, its data.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Reply {
    status: Status,
    line: Text,
    text_at: usize,
    code: Option<ResponseCode>,
    data: Vec<u8>,
}

impl Reply {
    /// Reads a status line that has lost its line end; `None` if it is not one.
    ///
    /// Letter case does not matter, and the text may be missing. `+ERR` or `+OKAY` are not status lines. The
    /// continuation form (`+ challenge`, also a bare `+`) is one only where `continuation` says that it can come.
    /// `announced` tells whether the server announced RESP-CODES: if it did not, a code is believed only after `-ERR`
    /// and only if it is a known one, since servers put all sorts of things into brackets.
    pub(crate) fn parse(line: &[u8], continuation: bool, announced: bool) -> Option<Self> {
        let (status, text) = if let Some(text) = after_word(line, b"+OK") {
            (Status::Ok, text)
        } else if let Some(text) = after_word(line, b"-ERR") {
            (Status::Err, text)
        } else if continuation && let Some(text) = after_word(line, b"+") {
            (Status::Continue, text)
        } else {
            return None;
        };
        let code = match text {
            [b'[', rest @ ..] if status != Status::Continue => rest
                .iter()
                .position(|&octet| octet == b']')
                .and_then(|end| rest.get(..end))
                .map(ResponseCode::parse)
                .filter(|code| {
                    announced || (status == Status::Err && !matches!(code, ResponseCode::Other(_)))
                }),
            _ => None,
        };
        Some(Self { status, text_at: line.len() - text.len(), line: line.into(), code, data: Vec::new() })
    }

    pub(crate) fn with_data(mut self, data: Vec<u8>) -> Self {
        self.data = data;
        self
    }

    /// Replaces the text, which repeats a secret: some servers quote the line that they refuse.
    pub(crate) fn withhold(mut self) -> Self {
        let word = match self.status {
            Status::Ok => "+OK ",
            Status::Err => "-ERR ",
            Status::Continue => "+ ",
        };
        self.text_at = word.len();
        self.line = Text::from(&*format!("{word}{WITHHELD}"));
        self.code = self.code.filter(|code| !matches!(code, ResponseCode::Other(_)));
        self
    }

    /// `+OK`, `-ERR` or `+`.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// Whether the reply is `+OK`.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.status == Status::Ok
    }

    /// The whole status line as it came, without its line end.
    #[must_use]
    pub fn line(&self) -> &Text {
        &self.line
    }

    /// The octets after the status word and its blank; the response code is part of them.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        self.line.as_bytes().get(self.text_at..).unwrap_or_default()
    }

    /// The response code, if there is one to be believed.
    #[must_use]
    pub fn code(&self) -> Option<&ResponseCode> {
        self.code.as_ref()
    }

    /// The data of a multi-line answer: unstuffed, with the line ends that the server sent, without the terminator.
    /// Empty for a single-line answer, and for a message, which is streamed instead.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The data, as a vector of its own.
    #[must_use]
    pub fn into_data(self) -> Vec<u8> {
        self.data
    }

    /// The lines of the data, without their line ends.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        lines(&self.data)
    }

    pub(crate) fn take_data(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.data)
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The data of a listing can be megabytes.
        let line = format_args!("\"{self}\"");
        f.debug_struct("Reply").field("line", &line).field("data", &self.data.len()).finish()
    }
}

/// The status line. Of a challenge only its length is shown: a server's proof is made from the password, and whoever has it
/// can try passwords on it.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.status, self.text().len()) {
            (Status::Continue, octets @ 1..) => write!(f, "+ (a challenge of {octets} characters)"),
            _ => self.line.fmt(f),
        }
    }
}

/// The lines of a collected answer: ended by LF, a CR before it dropped.
pub(crate) fn lines(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let end = match memchr::memchr(b'\n', rest) {
            Some(end) => end,
            None if rest.is_empty() => return None,
            None => rest.len(),
        };
        let (line, tail) = rest.split_at_checked(end)?;
        rest = tail.get(1..).unwrap_or_default();
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    })
}

/// What follows the word and one blank, if the line begins with this word in any letter case.
fn after_word<'a>(line: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = line.split_at_checked(word.len())?;
    match rest {
        _ if !head.eq_ignore_ascii_case(word) => None,
        [] => Some(rest),
        [b' ' | b'\t', text @ ..] => Some(text),
        _ => None,
    }
}
