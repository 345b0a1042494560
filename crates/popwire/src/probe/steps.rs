//! The single steps of a probe: as the examination names them, and as a door carries them out.

use std::time::Duration;

use popwire_proto::command::Line;
use popwire_proto::{ArgumentError, Command, Error as Proto, Limits, MessageNumber, Reply, Shape, Verb};

use crate::{Connector, Login};

/// How many lines of a body TOP asks for. A message of fewer comes whole.
pub(super) const LINES: u32 = 500;

/// One thing that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// The first connection, up to the greeting; without TLS where STLS comes later.
    Greeting,
    /// Another connection, after one that broke, as any client makes it.
    Rejoin,
    CapaFirst,
    Stls,
    CapaWithTls,
    /// AUTH alone, where there is no CAPA.
    AuthList,
    Login,
    CapaWithin,
    Stat,
    List,
    Uidl,
    /// Once more, after it was refused.
    UidlAgain,
    UidlOne(MessageNumber),
    /// A NOOP, to see whether more came than was asked for.
    Still,
    /// TOP with no line of the body.
    Header(MessageNumber),
    /// TOP with [`LINES`].
    Beginning(MessageNumber),
    Rset,
    Last,
    Noop,
    /// NOOPs in one write.
    Together,
    Quit,
    /// RETR.
    Whole(MessageNumber),
    /// The end of a session without QUIT.
    Leave,
    /// A short connection aside, without a login.
    Aside,
    /// STLS there, with another command in the same write.
    Smuggle,
    /// CAPA there: is it this that is answered?
    CapaAside,
}

impl Item {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Greeting => "connecting",
            Self::Rejoin => "connecting again",
            Self::CapaFirst | Self::CapaWithTls | Self::CapaWithin => "asking for capabilities",
            Self::AuthList => "asking for mechanisms",
            Self::Stls => "starting TLS",
            Self::Login => "signing in",
            Self::Stat | Self::List | Self::Uidl | Self::UidlAgain | Self::UidlOne(_) | Self::Still => {
                "listing the mailbox"
            }
            Self::Header(_) | Self::Beginning(_) => "reading the beginning of a message",
            Self::Whole(_) => "reading a message",
            Self::Rset | Self::Last | Self::Noop => "measuring",
            Self::Together => "sending commands together",
            Self::Quit | Self::Leave => "signing off",
            Self::Aside | Self::Smuggle | Self::CapaAside => "looking at STLS again",
        }
    }
}

/// What a door is to do.
#[derive(Debug)]
pub(crate) enum Step {
    /// Connect, in place of any connection there is.
    Connect(Box<Connector>),
    Stls,
    /// STLS and NOOP in one write, and the handshake.
    Smuggle,
    Capa,
    /// Log in; CAPA is asked afterwards by a step of its own.
    Login(Box<Login>),
    Ask(Question),
    /// Send these in one write, and wait so long for the answers.
    Together(Vec<Question>, Duration),
    /// Read a message by TOP, or without a number of lines by RETR; no more than so many octets.
    Read {
        number: MessageNumber,
        lines: Option<u32>,
        most: u64,
    },
    /// QUIT, and the end of the connection.
    Quit,
    /// The end of the connection.
    Leave,
}

/// A command whose reply is wanted as it came, negative or not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    verb: Verb,
    shape: Shape,
    number: Option<MessageNumber>,
}

impl Question {
    pub(super) fn single(verb: Verb) -> Self {
        Self { verb, shape: Shape::SingleLine, number: None }
    }

    pub(super) fn multi(verb: Verb) -> Self {
        Self { shape: Shape::MultiLine, ..Self::single(verb) }
    }

    /// About one message.
    pub(super) fn about(verb: Verb, number: MessageNumber) -> Self {
        Self { number: Some(number), ..Self::single(verb) }
    }
}

impl Command for Question {
    type Answer = Reply;

    fn verb(&self) -> Verb {
        self.verb
    }

    fn shape(&self) -> Shape {
        self.shape
    }

    fn encode(&self, line: &mut Line<'_>) -> Result<(), ArgumentError> {
        self.number.map_or(Ok(()), |number| line.number(number))
    }

    fn decode(&self, reply: Reply, _: &Limits) -> Result<Reply, Proto> {
        Ok(reply)
    }
}
