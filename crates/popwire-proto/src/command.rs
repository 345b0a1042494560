//! One type per command: how its line is written, and what its reply means.
//!
//! A command has two halves. [`Command::encode`] writes the arguments of its line; [`Command::decode`] turns a positive
//! reply into the command's own answer. In between, [`Command::shape`] tells the machine whether the reply has one line
//! or many: the same keyword has both forms (`LIST` and `LIST 1`), so only the sender can know.

use std::fmt;

use zeroize::Zeroize;

use crate::listing::{
    Capabilities, Languages, LastAccessed, Mechanisms, OneScan, OneUniqueId, ScanListing, Stat, UniqueIds,
};
use crate::{ArgumentError, Error, Limits, Reply, Secret};

/// A message's number within the session: 1 and up (RFC 1939 section 4).
pub type MessageNumber = u32;

/// A command of POP3.
pub trait Command {
    /// What a positive reply means.
    type Answer;

    /// The keyword.
    fn verb(&self) -> Verb;

    /// Whether one line or many answer it.
    fn shape(&self) -> Shape {
        Shape::SingleLine
    }

    /// Whether the line has a password, a digest or a token in it.
    fn carries_secret(&self) -> bool {
        match self.verb() {
            Verb::Pass | Verb::Apop | Verb::AuthResponse => true,
            // Bare AUTH, which has many lines for an answer, only lists mechanisms.
            Verb::Auth => self.shape() == Shape::SingleLine,
            _ => false,
        }
    }

    /// Writes the arguments.
    ///
    /// # Errors
    ///
    /// [`ArgumentError`] if an argument may not be sent; then nothing of the line is.
    fn encode(&self, line: &mut Line<'_>) -> Result<(), ArgumentError>;

    /// Reads a positive reply.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] if the reply does not have the form that the RFC gives it, or a limit's error.
    fn decode(&self, reply: Reply, limits: &Limits) -> Result<Self::Answer, Error>;
}

/// The form of a command's positive reply. A negative one always has a single line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shape {
    /// The status line is all.
    SingleLine,
    /// Lines follow, up to a lone dot; they are collected, within limits.
    MultiLine,
    /// A message follows, up to a lone dot; it is streamed.
    Message,
}

/// The keyword of a command; it also names the waits for an answer, so the greeting is one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verb {
    /// Not a command: the line with which the server begins.
    Greeting,
    /// USER (RFC 1939 section 7).
    User,
    /// PASS (RFC 1939 section 7).
    Pass,
    /// APOP (RFC 1939 section 7).
    Apop,
    /// RPOP (RFC 1081), of historic interest.
    Rpop,
    /// AUTH (RFC 5034).
    Auth,
    /// Not a keyword: a line of the client within an AUTH exchange.
    AuthResponse,
    /// STAT (RFC 1939 section 5).
    Stat,
    /// LIST (RFC 1939 section 5).
    List,
    /// RETR (RFC 1939 section 5).
    Retr,
    /// DELE (RFC 1939 section 5).
    Dele,
    /// NOOP (RFC 1939 section 5).
    Noop,
    /// RSET (RFC 1939 section 5).
    Rset,
    /// QUIT (RFC 1939 sections 4 and 6).
    Quit,
    /// TOP (RFC 1939 section 7).
    Top,
    /// UIDL (RFC 1939 section 7).
    Uidl,
    /// CAPA (RFC 2449 section 5).
    Capa,
    /// STLS (RFC 2595 section 4).
    Stls,
    /// UTF8 (RFC 6856 section 2).
    Utf8,
    /// LANG (RFC 6856 section 3).
    Lang,
    /// LAST (RFC 1225), of historic interest.
    Last,
    /// A line of the caller's own.
    Raw,
}

impl Verb {
    /// The keyword as it is written on the wire; empty where there is none.
    #[must_use]
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Greeting | Self::AuthResponse | Self::Raw => "",
            Self::User => "USER",
            Self::Pass => "PASS",
            Self::Apop => "APOP",
            Self::Rpop => "RPOP",
            Self::Auth => "AUTH",
            Self::Stat => "STAT",
            Self::List => "LIST",
            Self::Retr => "RETR",
            Self::Dele => "DELE",
            Self::Noop => "NOOP",
            Self::Rset => "RSET",
            Self::Quit => "QUIT",
            Self::Top => "TOP",
            Self::Uidl => "UIDL",
            Self::Capa => "CAPA",
            Self::Stls => "STLS",
            Self::Utf8 => "UTF8",
            Self::Lang => "LANG",
            Self::Last => "LAST",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Greeting => "the greeting",
            Self::AuthResponse => "AUTH",
            Self::Raw => "the command",
            known => known.keyword(),
        })
    }
}

/// A command line being written: the place where arguments are checked, so that none can smuggle a second command.
pub struct Line<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    secret: Option<Secret>,
    public: usize,
}

impl<'a> Line<'a> {
    /// Writes one whole line at the end of `out`; on an error `out` is left as it was.
    ///
    /// Returns how many octets of the line may be shown, and the secret that the line ends with.
    pub(crate) fn write<C: Command>(
        out: &'a mut Vec<u8>,
        command: &C,
        limits: &Limits,
    ) -> Result<(usize, Option<Secret>), ArgumentError> {
        let start = out.len();
        // Room for the whole line at once: growing later would leave a copy of a password behind.
        out.reserve(limits.command_line.max(512));
        out.extend_from_slice(command.verb().keyword().as_bytes());
        let mut line = Line { out, start, secret: None, public: 0 };
        let mut written = command.encode(&mut line);
        let length = line.out.len() - start + 2;
        if written.is_ok() && length > limits.command_line && command.verb() != Verb::AuthResponse {
            written = Err(ArgumentError::LineTooLong { length, limit: limits.command_line });
        }
        let Line { out, secret, public, .. } = line;
        match written {
            Ok(()) => {
                out.extend_from_slice(b"\r\n");
                Ok((if secret.is_some() { public } else { length - 2 }, secret))
            }
            Err(e) => {
                if let Some(unsent) = out.get_mut(start..) {
                    unsent.zeroize();
                }
                out.truncate(start);
                Err(e)
            }
        }
    }

    /// Adds one argument: a blank and the octets.
    ///
    /// # Errors
    ///
    /// [`ArgumentError::ControlCharacter`] if it has a CR, LF or NUL.
    pub fn argument(&mut self, octets: impl AsRef<[u8]>) -> Result<(), ArgumentError> {
        self.blank();
        self.octets(octets.as_ref())
    }

    /// Adds one argument that must not be empty.
    fn name(&mut self, octets: &[u8]) -> Result<(), ArgumentError> {
        if octets.is_empty() {
            return Err(ArgumentError::Empty);
        }
        self.argument(octets)
    }

    /// Adds one argument that is never to be shown. It must be the last.
    ///
    /// # Errors
    ///
    /// [`ArgumentError::ControlCharacter`] if it has a CR, LF or NUL.
    pub fn secret(&mut self, secret: &Secret) -> Result<(), ArgumentError> {
        self.blank();
        self.secret_here(secret)
    }

    fn secret_here(&mut self, secret: &Secret) -> Result<(), ArgumentError> {
        self.public = self.out.len() - self.start;
        self.secret = Some(secret.clone());
        self.octets(secret.expose())
    }

    /// Adds a message number.
    ///
    /// # Errors
    ///
    /// [`ArgumentError::Zero`]: they begin at 1, and servers have died of `RETR 0`.
    pub fn number(&mut self, number: MessageNumber) -> Result<(), ArgumentError> {
        if number == 0 {
            return Err(ArgumentError::Zero);
        }
        self.argument(number.to_string())
    }

    /// No blank at the beginning of a line: a raw line, and the answer to a SASL challenge.
    fn blank(&mut self) {
        if self.out.len() > self.start {
            self.out.push(b' ');
        }
    }

    fn octets(&mut self, octets: &[u8]) -> Result<(), ArgumentError> {
        if octets.iter().any(|octet| matches!(octet, b'\r' | b'\n' | b'\0')) {
            return Err(ArgumentError::ControlCharacter);
        }
        self.out.extend_from_slice(octets);
        Ok(())
    }
}

/// Without the octets: a secret may be among them.
impl fmt::Debug for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line({} octets)", self.out.len() - self.start)
    }
}

/// The largest line count that TOP is given: a server is known that refuses larger ones.
const TOP_MAX: u32 = 99_999_999;

/// Commands that consist of their keyword alone.
macro_rules! bare {
    ($($(#[$doc:meta])* $name:ident($verb:ident, $shape:ident) -> $answer:ty = $decode:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl Command for $name {
            type Answer = $answer;

            fn verb(&self) -> Verb {
                Verb::$verb
            }

            fn shape(&self) -> Shape {
                Shape::$shape
            }

            fn encode(&self, _: &mut Line<'_>) -> Result<(), ArgumentError> {
                Ok(())
            }

            fn decode(&self, reply: Reply, limits: &Limits) -> Result<$answer, Error> {
                let decode: fn(Reply, &Limits) -> Result<$answer, Error> = $decode;
                decode(reply, limits)
            }
        }
    )*};
}

bare! {
    /// `STAT`: how many messages, how many octets.
    StatCommand(Stat, SingleLine) -> Stat = Stat::decode;
    /// `LIST`: the scan listing of the whole maildrop.
    ListCommand(List, MultiLine) -> ScanListing = ScanListing::decode;
    /// `UIDL`: the unique-id listing of the whole maildrop.
    UidlCommand(Uidl, MultiLine) -> UniqueIds = UniqueIds::decode;
    /// `NOOP`: nothing, but it resets the server's timer.
    NoopCommand(Noop, SingleLine) -> Reply = same;
    /// `RSET`: takes the deletion marks back.
    RsetCommand(Rset, SingleLine) -> Reply = same;
    /// `QUIT`: the end, and in the TRANSACTION state the commit of the deletions.
    QuitCommand(Quit, SingleLine) -> Reply = same;
    /// `CAPA`: what the server can do, in its present state.
    CapaCommand(Capa, MultiLine) -> Capabilities = Capabilities::decode;
    /// `STLS`: the request to begin a TLS handshake.
    StlsCommand(Stls, SingleLine) -> Reply = same;
    /// `UTF8`: messages may come with raw UTF-8 in their headers.
    Utf8Command(Utf8, SingleLine) -> Reply = same;
    /// `LANG` alone: the languages in which the server can write its texts.
    LangListCommand(Lang, MultiLine) -> Languages = Languages::decode;
    /// `AUTH` alone: the mechanisms, at servers that answer it (a draft older than CAPA).
    AuthListCommand(Auth, MultiLine) -> Mechanisms = Mechanisms::decode;
    /// `LAST`: the highest message number accessed (RFC 1225, dropped from the standard since).
    LastCommand(Last, SingleLine) -> LastAccessed = LastAccessed::decode;
}

/// Commands with arguments: their fields, how the arguments are written, and how the reply is read.
macro_rules! with_arguments {
    ($(
        $(#[$doc:meta])*
        $name:ident {
            $($(#[$field_doc:meta])* $field:ident: $ty:ty,)*
        }
        $verb:ident, $shape:ident
        encode($this:ident, $line:ident) $encode:block
        decode($that:ident, $reply:ident) -> $answer:ty $decode:block
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $ty,)*
        }

        impl Command for $name {
            type Answer = $answer;

            fn verb(&self) -> Verb {
                Verb::$verb
            }

            fn shape(&self) -> Shape {
                Shape::$shape
            }

            fn encode(&self, $line: &mut Line<'_>) -> Result<(), ArgumentError> {
                let $this = self;
                $encode
            }

            fn decode(&self, $reply: Reply, _: &Limits) -> Result<$answer, Error> {
                let $that = self;
                $decode
            }
        }
    )*};
}

with_arguments! {
    /// `USER name`: the name of the mailbox.
    UserCommand {
        /// The name, as the server knows it.
        name: Vec<u8>,
    }
    User, SingleLine
    encode(this, line) { line.name(&this.name) }
    decode(_this, reply) -> Reply { Ok(reply) }

    /// `PASS string`: the password, all of it, blanks included.
    PassCommand {
        /// The password; it may be empty.
        password: Secret,
    }
    Pass, SingleLine
    encode(this, line) { line.secret(&this.password) }
    decode(_this, reply) -> Reply { Ok(reply) }

    /// `APOP name digest`: see [`apop::digest`](crate::apop::digest).
    ApopCommand {
        /// The name of the mailbox.
        name: Vec<u8>,
        /// The digest, in lower-case hexadecimal.
        digest: Secret,
    }
    Apop, SingleLine
    encode(this, line) {
        line.name(&this.name)?;
        line.secret(&this.digest)
    }
    decode(_this, reply) -> Reply { Ok(reply) }

    /// `RPOP name`: a login by the client host's word alone (RFC 1081); no server of today should accept it.
    RpopCommand {
        /// The name of the mailbox.
        name: Vec<u8>,
    }
    Rpop, SingleLine
    encode(this, line) { line.name(&this.name) }
    decode(_this, reply) -> Reply { Ok(reply) }

    /// `AUTH mechanism [initial-response]`: begins a SASL exchange.
    AuthCommand {
        /// The mechanism's name.
        mechanism: Vec<u8>,
        /// The initial response in base64 (`=` for an empty one), if there is one.
        initial: Option<Secret>,
    }
    Auth, SingleLine
    encode(this, line) {
        line.name(&this.mechanism)?;
        this.initial.as_ref().map_or(Ok(()), |initial| line.secret(initial))
    }
    decode(_this, reply) -> Reply { Ok(reply) }

    /// The client's next line in a SASL exchange: base64, an empty line, or `*` to cancel.
    AuthResponseCommand {
        /// The line.
        response: Secret,
    }
    AuthResponse, SingleLine
    encode(this, line) { line.secret(&this.response) }
    decode(_this, reply) -> Reply { Ok(reply) }

    /// `LIST n`: the scan listing of one message.
    ListOneCommand {
        /// The message.
        number: MessageNumber,
    }
    List, SingleLine
    encode(this, line) { line.number(this.number) }
    decode(this, reply) -> OneScan { OneScan::decode(reply, this.number) }

    /// `UIDL n`: the unique-id of one message.
    UidlOneCommand {
        /// The message.
        number: MessageNumber,
    }
    Uidl, SingleLine
    encode(this, line) { line.number(this.number) }
    decode(this, reply) -> OneUniqueId { OneUniqueId::decode(reply, this.number) }

    /// `RETR n`: the whole message.
    RetrCommand {
        /// The message.
        number: MessageNumber,
    }
    Retr, Message
    encode(this, line) { line.number(this.number) }
    decode(_this, reply) -> Reply { Ok(reply) }

    /// `TOP n k`: the header, the blank line, and `k` lines of the body.
    TopCommand {
        /// The message.
        number: MessageNumber,
        /// How many lines of the body; more than 99,999,999 are asked for as that many.
        lines: u32,
    }
    Top, Message
    encode(this, line) {
        line.number(this.number)?;
        line.argument(this.lines.min(TOP_MAX).to_string())
    }
    decode(_this, reply) -> Reply { Ok(reply) }

    /// `DELE n`: marks the message; QUIT deletes it.
    DeleCommand {
        /// The message.
        number: MessageNumber,
    }
    Dele, SingleLine
    encode(this, line) { line.number(this.number) }
    decode(_this, reply) -> Reply { Ok(reply) }

    /// `LANG tag`: the language of the server's texts from now on; `*` is the server's choice.
    LangCommand {
        /// A language tag (RFC 5646), or `*`.
        tag: Vec<u8>,
    }
    Lang, SingleLine
    encode(this, line) { line.name(&this.tag) }
    decode(_this, reply) -> Reply { Ok(reply) }
}

/// Any line. The caller says whether one line or many answer it; the octets are checked like any argument.
///
/// Since nothing is known about the line, all that follows its first word is kept out of traces if that word is PASS,
/// APOP or AUTH.
#[derive(Clone, Debug)]
pub struct RawCommand {
    line: Secret,
    shape: Shape,
}

impl RawCommand {
    /// A line that one line answers.
    #[must_use]
    pub fn single(line: impl AsRef<[u8]>) -> Self {
        Self { line: line.as_ref().into(), shape: Shape::SingleLine }
    }

    /// A line that many lines answer, if the answer is positive.
    #[must_use]
    pub fn multi(line: impl AsRef<[u8]>) -> Self {
        Self { line: line.as_ref().into(), shape: Shape::MultiLine }
    }
}

impl RawCommand {
    /// The first word, with the blanks around it, and what follows.
    fn split(&self) -> (&[u8], Option<&[u8]>) {
        let octets = self.line.expose();
        let blank = |octet: &u8| matches!(octet, b' ' | b'\t');
        let begin = octets.iter().position(|octet| !blank(octet)).unwrap_or(octets.len());
        let word = octets.iter().skip(begin).position(blank).map_or(octets.len(), |length| begin + length);
        match octets.split_at_checked(word + 1) {
            Some((word, rest)) => (word, Some(rest)),
            None => (octets, None),
        }
    }
}

impl Command for RawCommand {
    type Answer = Reply;

    fn verb(&self) -> Verb {
        Verb::Raw
    }

    fn shape(&self) -> Shape {
        self.shape
    }

    fn carries_secret(&self) -> bool {
        let word = self.split().0.trim_ascii();
        [&b"PASS"[..], b"APOP", b"AUTH"].iter().any(|secret| word.eq_ignore_ascii_case(secret))
    }

    fn encode(&self, line: &mut Line<'_>) -> Result<(), ArgumentError> {
        match self.split() {
            (word, Some(rest)) if self.carries_secret() => {
                line.name(word)?;
                line.secret_here(&rest.into())
            }
            _ => line.name(self.line.expose()),
        }
    }

    fn decode(&self, reply: Reply, _: &Limits) -> Result<Reply, Error> {
        Ok(reply)
    }
}

fn same(reply: Reply, _: &Limits) -> Result<Reply, Error> {
    Ok(reply)
}
