//! Recorded sessions that the server plays again.

use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::Builder;
use crate::answer::Then;
use crate::quirks::{time, unescape};

/// A session that the server plays: it says what the transcript says, whoever asks.
///
/// # The text
///
/// | line | meaning |
/// |---|---|
/// | `C: RETR 1` | waits for this line; letter case of its first word does not matter |
/// | `C: PASS ****` | stars at the end stand for any rest |
/// | `C: *` | waits for any line |
/// | `S: +OK` | says this line; CRLF is added |
/// | `S: +OK\` | says the same without CRLF |
/// | `S: (1234 octets of the message)` | says a message of this size, made up, dots stuffed; several in a row are one message |
/// | `(wait 2s)` | waits; `150ms` are milliseconds |
/// | `(flush)` | sends what was said so far, in a segment of its own |
/// | `(no end)` | the answer before it is to have no terminator |
/// | `(tls)` | does the TLS handshake; not needed after STLS |
/// | `(close)`, `(half-close)`, `(cut)`, `(reset)`, `(hang)` | as the methods of [`Answer`](crate::Answer) whose names end in these words |
/// | `# text`, or nothing | means nothing |
///
/// In `C:` and `S:` lines, `\r`, `\n`, `\t`, `\0`, `\\`, `\"` and `\xHH` are what they are in Rust, and a CR at the end of a
/// line is dropped.
///
/// This is what a [`Session`](crate::Session) prints and, nearly, what the popwire client traces (`popwire -vv`). The
/// trace leaves out terminators and messages, so they are filled in: an answer of several lines that has no terminator
/// gets one at the next `C:` line and at the end of the text, unless `(no end)` or the end of the connection is there
/// first; a message of which there is no line is made up with the size that its status line says. A challenge of which the
/// trace says only the length (`S: + (a challenge of 24 characters)`) is so many letters `A`. Where a `C:` line ends in the
/// eight stars of a trace, lines that are nobody's mean nothing, because `popwire -vv` says other things too.
///
/// # The session
///
/// Every connection plays it from the start, by a TLS handshake first on [`Server::tls_addr`](crate::Server::tls_addr).
/// A client may send many lines at once. A line that is not the one expected is answered
/// `-ERR transcript expects: ...`, and the connection is closed; both are in the recording. So is every `S:` line. At the
/// end of the text the connection is closed. Users, scripts and quirks have no part in it, nor have faults that are at
/// answers to commands.
///
/// ```
/// use popwire_server::{Server, Transcript};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let transcript = Transcript::parse("S: +OK ready\nC: STAT\nS: +OK 1 \\\n(wait 20ms)\nS: 120\n(cut)\n")?;
/// let server = Server::builder().transcript(transcript).start()?;
/// # drop(server);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Transcript {
    acts: Arc<[Act]>,
}

/// What the client's trace has in place of a secret.
const SECRET: &str = "********";

/// What the server does, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Hear(Expected),
    /// A line with its line end, or a part of one.
    Say(Vec<u8>),
    /// A message of this size.
    Message {
        octets: u64,
        /// With its terminator.
        ended: bool,
    },
    Wait(Duration),
    Flush,
    Tls,
    End(Then),
}

/// A `C:` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    octets: Vec<u8>,
    /// Whether any rest may follow.
    open: bool,
    /// As it is written.
    pub(crate) text: String,
}

impl Transcript {
    /// Reads the text of a transcript.
    ///
    /// # Errors
    ///
    /// [`TranscriptError`], with the number of the first line that is wrong.
    pub fn parse(text: &str) -> Result<Self, TranscriptError> {
        let hides = |line: &str| line.starts_with("C:") && line.trim_end().ends_with(SECRET);
        let mut reader = Reader { is_trace: text.lines().any(hides), ..Reader::default() };
        for (number, line) in (1..).zip(text.lines()) {
            reader.line(line).map_err(|why| TranscriptError { line: number, text: line.to_owned(), why })?;
        }
        reader.finish_answer();
        Ok(Self { acts: reader.acts.into() })
    }

    pub(crate) fn acts(&self) -> Arc<[Act]> {
        Arc::clone(&self.acts)
    }
}

impl FromStr for Transcript {
    type Err = TranscriptError;

    fn from_str(text: &str) -> Result<Self, TranscriptError> {
        Self::parse(text)
    }
}

impl Builder {
    /// Plays a transcript to each client, in place of being a POP3 server.
    pub fn transcript(mut self, transcript: Transcript) -> Self {
        self.options.transcript = Some(transcript);
        self
    }
}

/// A transcript that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TranscriptError {
    line: usize,
    text: String,
    why: &'static str,
}

impl TranscriptError {
    /// The number of the line, counted from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }
}

impl fmt::Display for TranscriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}: \"{}\"", self.line, self.why, self.text.escape_debug())
    }
}

impl Error for TranscriptError {}

impl Expected {
    fn new(text: &str) -> Option<Self> {
        let octets = unescape(text)?;
        let stars = octets.iter().rev().take_while(|octet| **octet == b'*').count();
        let rest = octets.get(..octets.len() - stars).unwrap_or_default();
        // Stars within a word are part of it.
        let open = stars > 0 && rest.last().is_none_or(|octet| *octet == b' ');
        let octets = if open { rest.to_vec() } else { octets.trim_ascii_end().to_vec() };
        Some(Self { octets, open, text: text.to_owned() })
    }

    /// Whether this is the line that was waited for. Blanks at the end do not matter.
    pub(crate) fn is(&self, line: &[u8]) -> bool {
        let line = line.trim_ascii_end();
        let wanted = if self.open { self.octets.trim_ascii_end() } else { &self.octets };
        let Some((same, rest)) = line.split_at_checked(wanted.len()) else { return false };
        let word = wanted.iter().position(|octet| *octet == b' ').unwrap_or(wanted.len());
        let (keyword, arguments) = wanted.split_at_checked(word).unwrap_or((wanted, &[]));
        let (said_keyword, said_arguments) = same.split_at_checked(word).unwrap_or((same, &[]));
        let follows = rest.is_empty() || (self.open && (wanted.is_empty() || rest.starts_with(b" ")));
        keyword.eq_ignore_ascii_case(said_keyword) && arguments == said_arguments && follows
    }

    /// How the answer to it looks, if it is `+OK`.
    fn shape(&self) -> Shape {
        let line = String::from_utf8_lossy(&self.octets).to_ascii_uppercase();
        let mut words = line.split_ascii_whitespace();
        match (words.next(), words.next().is_some() || self.open) {
            (Some("RETR" | "TOP"), _) => Shape::Message,
            (Some("CAPA"), _) | (Some("LIST" | "UIDL" | "LANG" | "AUTH"), false) => Shape::Listing,
            (Some("STLS"), _) => Shape::Tls,
            _ => Shape::Line,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Line,
    Listing,
    Message,
    /// A line, then the handshake.
    Tls,
}

/// Reads line by line, and fills in what a trace leaves out.
#[derive(Debug, Default)]
struct Reader {
    /// Whether there may be lines that are nobody's.
    is_trace: bool,
    acts: Vec<Act>,
    /// Commands whose answers have not begun.
    unanswered: std::collections::VecDeque<Shape>,
    /// The answer of several lines that has begun and not ended.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    shape: Shape,
    /// What the status line says of the size.
    announced: u64,
    /// Whether anything came after the status line.
    has_body: bool,
    /// Octets of the message to be made up.
    made_up: Option<u64>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), &'static str> {
        const ESCAPE: &str = "an escape is \\r, \\n, \\t, \\0, \\\\, \\\" or \\xHH";
        let line = line.strip_suffix('\r').unwrap_or(line);
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            return Ok(());
        }
        if let Some(directive) = trimmed.strip_prefix('(').and_then(|line| line.strip_suffix(')')) {
            return self.directive(directive.trim());
        }
        match said(line) {
            Some(('C', text)) => {
                // With more than one command on its way, the answers to all are still to come.
                self.finish_answer();
                let expected = Expected::new(text).ok_or(ESCAPE)?;
                self.unanswered.push_back(expected.shape());
                self.acts.push(Act::Hear(expected));
                Ok(())
            }
            Some((_, text)) => self.server(text).ok_or(ESCAPE),
            None if self.is_trace => Ok(()),
            None => Err("a line begins with C: or S:, or is (close) or the like"),
        }
    }

    fn directive(&mut self, directive: &str) -> Result<(), &'static str> {
        let then = match directive {
            "close" => Then::Close,
            "half-close" => Then::HalfClose,
            "cut" => Then::Cut,
            "reset" => Then::Reset,
            "hang" => Then::Hang,
            "flush" => return self.push(Act::Flush),
            "no end" => return self.close_open(false),
            "tls" => return self.push(Act::Tls),
            _ => {
                let Some(duration) = directive.strip_prefix("wait ") else {
                    return Err(
                        "the directives are wait, flush, no end, tls, close, half-close, cut, reset and hang",
                    );
                };
                let duration = time(duration.trim()).ok_or("a time is 2s or 150ms")?;
                return self.push(Act::Wait(duration));
            }
        };
        self.close_open(false)?;
        self.push(Act::End(then))
    }

    fn push(&mut self, act: Act) -> Result<(), &'static str> {
        self.acts.push(act);
        Ok(())
    }

    /// `None` if an escape is wrong.
    fn server(&mut self, text: &str) -> Option<()> {
        if let (Some(octets), Some(open)) = (message(text), &mut self.open) {
            open.made_up = Some(open.made_up.unwrap_or(0).saturating_add(octets));
            return Some(());
        }
        let octets = self.octets(text)?;
        let status = octets.starts_with(b"+OK") || octets.starts_with(b"-ERR");
        // Without terminators, the next status line tells that a listing is over.
        if status && !self.unanswered.is_empty() && self.open.as_ref().is_some_and(Open::is_listing) {
            self.finish_answer();
        }
        if let Some(open) = &mut self.open {
            open.has_body = true;
            if octets == b".\r\n" && open.made_up.is_none() {
                self.open = None;
            }
            self.acts.push(Act::Say(octets));
            return Some(());
        }
        let shape = self.unanswered.pop_front().unwrap_or(Shape::Line);
        if octets.starts_with(b"+OK") && shape != Shape::Line {
            if shape == Shape::Tls {
                self.acts.extend([Act::Say(octets), Act::Tls]);
                return Some(());
            }
            let announced = text.split(|c: char| !c.is_ascii_digit()).find_map(|number| number.parse().ok());
            let announced = announced.unwrap_or_default();
            self.open = Some(Open { shape, announced, has_body: false, made_up: None });
        }
        self.acts.push(Act::Say(octets));
        Some(())
    }

    fn octets(&self, text: &str) -> Option<Vec<u8>> {
        let challenge =
            text.strip_prefix("+ (a challenge of ").and_then(|rest| rest.strip_suffix(" characters)"));
        if let Some(length) = challenge.and_then(|length| length.parse().ok()) {
            let length: usize = length;
            // More is not said in a line.
            return Some(format!("+ {}\r\n", "A".repeat(length.min(1 << 16))).into_bytes());
        }
        let ends = text.len() - text.trim_end_matches('\\').len();
        if ends % 2 == 1 {
            return unescape(text.get(..text.len() - 1)?);
        }
        let mut octets = unescape(text)?;
        octets.extend_from_slice(b"\r\n");
        Some(octets)
    }

    fn finish_answer(&mut self) {
        // It cannot fail.
        let _ = self.close_open(true);
    }

    /// Ends the answer that is open, if one is.
    fn close_open(&mut self, ended: bool) -> Result<(), &'static str> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let made_up = match open {
            // What a trace leaves out is whole.
            Open { shape: Shape::Message, has_body: false, made_up, announced } if ended => {
                made_up.or(Some(announced))
            }
            open => open.made_up,
        };
        match made_up {
            Some(octets) => self.acts.push(Act::Message { octets, ended }),
            None if ended => self.acts.push(Act::Say(b".\r\n".to_vec())),
            None => {}
        }
        Ok(())
    }
}

impl Open {
    fn is_listing(&self) -> bool {
        self.shape == Shape::Listing
    }
}

/// Who says what.
fn said(line: &str) -> Option<(char, &str)> {
    let (who, text) = line.split_once(':')?;
    let who = match who {
        "C" => 'C',
        "S" => 'S',
        _ => return None,
    };
    Some((who, text.strip_prefix(' ').unwrap_or(text)))
}

/// How long the message is of which there is only the length.
fn message(text: &str) -> Option<u64> {
    text.strip_prefix('(')?.strip_suffix(" octets of the message)")?.parse().ok()
}

/// Writes a line so that a transcript has the same octets.
pub(crate) fn write_line(f: &mut fmt::Formatter<'_>, line: &[u8]) -> fmt::Result {
    let (content, end) = match line.strip_suffix(b"\r\n") {
        Some(content) => (content, ""),
        None => (line, "\\"),
    };
    for part in content.utf8_chunks() {
        for c in part.valid().chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                c if c.is_control() => write_octets(f, c.encode_utf8(&mut [0; 4]).as_bytes())?,
                c => fmt::Write::write_char(f, c)?,
            }
        }
        write_octets(f, part.invalid())?;
    }
    f.write_str(end)
}

fn write_octets(f: &mut fmt::Formatter<'_>, octets: &[u8]) -> fmt::Result {
    octets.iter().try_for_each(|octet| write!(f, "\\x{octet:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acts(text: &str) -> Vec<Act> {
        let acts = Transcript::parse(text).unwrap().acts();
        acts.iter().filter(|act| !matches!(act, Act::Hear(_))).cloned().collect()
    }

    fn say(text: &str) -> Act {
        Act::Say(text.as_bytes().to_vec())
    }

    #[test]
    fn expected_lines_match() {
        for (expected, line, is) in [
            ("RETR 1", "retr 1", true),
            ("RETR 1", "RETR 10", false),
            ("RETR 1", "RETR 1 ", true),
            ("USER Alice", "USER alice", false),
            ("PASS ****", "pass a b", true),
            ("PASS ****", "PASS", true),
            ("PASS ****", "PASSE", false),
            ("********", "anything", true),
            ("*", "anything", true),
            ("*", "", true),
            ("PASS a*", "PASS ab", false),
            ("PASS a*", "PASS a*", true),
            ("USER \\xff", "USER \u{ff}", false),
        ] {
            assert_eq!(Expected::new(expected).unwrap().is(line.as_bytes()), is, "{expected} {line}");
        }
        assert!(Expected::new("USER \\xff").unwrap().is(b"USER \xff"));
    }

    #[test]
    fn traces_are_filled_in() {
        let trace = "S: +OK\nC: LIST\nC: UIDL\nS: +OK\nS: 1 22\nS: +OK\nS: 1 a\nC: RETR 1\nS: +OK 22 octets\nC: RETR 2\n\
                     S: +OK\nS: (20 octets of the message)\nS: (8 octets of the message)\nC: RETR 3\nS: -ERR\nC: STLS\nS: +OK";
        let message = |octets| Act::Message { octets, ended: true };
        assert_eq!(
            acts(trace),
            [
                say("+OK\r\n"),
                say("+OK\r\n"),
                say("1 22\r\n"),
                say(".\r\n"),
                say("+OK\r\n"),
                say("1 a\r\n"),
                say(".\r\n"),
                say("+OK 22 octets\r\n"),
                message(22),
                say("+OK\r\n"),
                message(28),
                say("-ERR\r\n"),
                say("+OK\r\n"),
                Act::Tls,
            ]
        );
        assert_eq!(acts("C: AUTH CRAM-MD5\nS: + (a challenge of 4 characters)"), [say("+ AAAA\r\n")]);
    }

    #[test]
    fn what_is_there_is_not_filled_in() {
        let bodies = "C: RETR 1\nC: RETR 2\nS: +OK\nS: +OK not a status\nS: .\nS: +OK\nS: x\\\n(no end)\nC: LIST\nS: +OK\n(cut)";
        assert_eq!(
            acts(bodies),
            [
                say("+OK\r\n"),
                say("+OK not a status\r\n"),
                say(".\r\n"),
                say("+OK\r\n"),
                say("x"),
                say("+OK\r\n"),
                Act::End(Then::Cut)
            ]
        );
    }

    #[test]
    fn a_trace_may_have_other_lines() {
        let trace = "S: +OK\nconnected to localhost, port 110\nC: PASS ********\nS: +OK\nsigned in by PASS";
        assert_eq!(acts(trace), [say("+OK\r\n"), say("+OK\r\n")]);
        assert!(Transcript::parse(&trace.replace("********", "****")).is_err());
    }

    #[test]
    fn errors_name_the_line() {
        for (text, line, why) in [
            ("S: +OK\nX: hm", 2, "begins with C: or S:"),
            ("# x\n\nS: \\q", 3, "an escape"),
            ("(explode)", 1, "the directives"),
            ("(wait long)", 1, "a time"),
        ] {
            let error = Transcript::parse(text).unwrap_err();
            assert_eq!(error.line(), line);
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}
