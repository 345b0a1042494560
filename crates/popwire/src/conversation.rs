//! Conversations of several commands, written once for both pumps: the opening of a session, STLS; the login has a
//! folder of its own.
//!
//! A conversation has no socket and does not wait. It is told what was heard and says what comes next; the pump does it.

use popwire_proto::command::{
    ApopCommand, AuthCommand, AuthResponseCommand, Line, ListOneCommand, PassCommand, RpopCommand,
    UserCommand,
};
use popwire_proto::{ArgumentError, Command, Limits, MessageNumber, Reply, Shape, Verb};

use crate::connector::Security;
use crate::core::Core;
use crate::error::{Kind, TlsProblem};
use crate::login::Worked;
use crate::{Error, Result};

/// Several commands that belong together.
pub(crate) trait Conversation {
    /// What comes of it.
    type Output;

    /// What to do next, after what was heard.
    fn next(&mut self, core: &mut Core, heard: Heard) -> Result<Next>;

    /// What it means for the conversation that the connection broke, or that a deadline passed.
    fn failed(&mut self, _: &mut Core, error: Error) -> Error {
        error
    }

    /// The result, after [`Next::Done`].
    fn output(self) -> Option<Self::Output>;
}

/// What came of the last step.
pub(crate) enum Heard {
    /// Nothing: this is the beginning, commands went out, or a handshake was done.
    Nothing,
    /// No answer, for some seconds.
    Silence,
    /// This reply to this command.
    Reply(Verb, Reply),
    /// This result of work.
    Worked(Worked),
}

/// The next step of a conversation.
pub(crate) enum Next {
    /// Send this and hear the reply.
    Say(Say),
    /// Send these in one write.
    Together(Vec<Say>),
    /// Send this, behind others whose answers are owed.
    Behind(Say),
    /// Hear the next reply that is owed; with patience, tell of a silence before the deadline.
    Hear { patience: bool },
    /// Hear the greeting.
    Listen,
    /// Do the TLS handshake.
    Handshake,
    /// Do this, which may take long, where it keeps nobody else waiting.
    Work(Work),
    /// The end.
    Done,
}

/// Something that may compute for seconds, or ask somebody else.
pub(crate) struct Work(Box<dyn FnOnce() -> Worked + Send>);

impl Work {
    pub(crate) fn new(work: impl FnOnce() -> Worked + Send + 'static) -> Self {
        Self(Box::new(work))
    }

    pub(crate) fn run(self) -> Worked {
        (self.0)()
    }
}

/// The message that no maildrop has: to ask for it is a command that every server refuses, and that does nothing.
const NO_MESSAGE: MessageNumber = 2_147_483_647;

/// The commands that conversations consist of.
pub(crate) enum Say {
    /// LIST of a message that there is not.
    Unknown,
    Noop,
    Stat,
    List,
    Uidl,
    Capa,
    Stls,
    User(UserCommand),
    Pass(PassCommand),
    Apop(ApopCommand),
    Rpop(RpopCommand),
    Auth(AuthCommand),
    AuthResponse(AuthResponseCommand),
}

impl Command for Say {
    type Answer = Reply;

    fn verb(&self) -> Verb {
        match self {
            Self::Unknown | Self::List => Verb::List,
            Self::Noop => Verb::Noop,
            Self::Stat => Verb::Stat,
            Self::Uidl => Verb::Uidl,
            Self::Capa => Verb::Capa,
            Self::Stls => Verb::Stls,
            Self::User(_) => Verb::User,
            Self::Pass(_) => Verb::Pass,
            Self::Apop(_) => Verb::Apop,
            Self::Rpop(_) => Verb::Rpop,
            Self::Auth(_) => Verb::Auth,
            Self::AuthResponse(_) => Verb::AuthResponse,
        }
    }

    fn shape(&self) -> Shape {
        match self {
            Self::Capa | Self::List | Self::Uidl => Shape::MultiLine,
            _ => Shape::SingleLine,
        }
    }

    fn encode(&self, line: &mut Line<'_>) -> Result<(), ArgumentError> {
        match self {
            Self::Unknown => ListOneCommand { number: NO_MESSAGE }.encode(line),
            Self::Noop | Self::Stat | Self::List | Self::Uidl | Self::Capa | Self::Stls => Ok(()),
            Self::User(command) => command.encode(line),
            Self::Pass(command) => command.encode(line),
            Self::Apop(command) => command.encode(line),
            Self::Rpop(command) => command.encode(line),
            Self::Auth(command) => command.encode(line),
            Self::AuthResponse(command) => command.encode(line),
        }
    }

    fn decode(&self, reply: Reply, _: &Limits) -> Result<Reply, popwire_proto::Error> {
        Ok(reply)
    }
}

/// From the first octet to a session that can log in: the greeting, STLS where it is wanted, CAPA.
pub(crate) struct Opening {
    security: Security,
    stage: Stage,
}

#[derive(Clone, Copy)]
enum Stage {
    Greeting,
    /// Asking whether STLS is on offer.
    Offer,
    Stls,
    Handshake,
    Capa,
}

impl Opening {
    pub(crate) fn new(security: Security) -> Self {
        Self { security, stage: Stage::Greeting }
    }

    fn go(&mut self, stage: Stage, next: Next) -> Result<Next> {
        self.stage = stage;
        Ok(next)
    }

    fn capa(&mut self, core: &Core) -> Result<Next> {
        if core.asks_capa() { self.go(Stage::Capa, Next::Say(Say::Capa)) } else { Ok(Next::Done) }
    }
}

impl Conversation for Opening {
    type Output = ();

    fn next(&mut self, core: &mut Core, heard: Heard) -> Result<Next> {
        let Heard::Reply(verb, reply) = heard else {
            return match self.stage {
                Stage::Handshake => self.capa(core),
                _ => Ok(Next::Listen),
            };
        };
        match self.stage {
            Stage::Greeting => {
                core.greeted(reply)?;
                match self.security {
                    // Required: nothing else is said before TLS, not even CAPA (RFC 8314 section 5.2).
                    Security::Stls => self.go(Stage::Stls, Next::Say(Say::Stls)),
                    Security::OpportunisticStls => self.go(Stage::Offer, Next::Say(Say::Capa)),
                    Security::Tls | Security::Plain | Security::ProtectedByCaller => self.capa(core),
                }
            }
            Stage::Offer => {
                core.learn_capabilities(reply)?;
                if core.capabilities.has("STLS") {
                    self.go(Stage::Stls, Next::Say(Say::Stls))
                } else {
                    Ok(Next::Done)
                }
            }
            Stage::Stls if reply.is_ok() => self.go(Stage::Handshake, Next::Handshake),
            Stage::Stls if self.security == Security::OpportunisticStls => Ok(Next::Done),
            Stage::Stls => Err(stls_refused(verb, reply)),
            Stage::Handshake => Ok(Next::Done),
            Stage::Capa => {
                core.learn_capabilities(reply)?;
                Ok(Next::Done)
            }
        }
    }

    fn output(self) -> Option<()> {
        Some(())
    }
}

/// STLS on its own, for callers who go step by step; CAPA follows the handshake.
#[derive(Default)]
pub(crate) struct StartTls {
    accepted: Option<Reply>,
}

impl Conversation for StartTls {
    type Output = Reply;

    fn next(&mut self, core: &mut Core, heard: Heard) -> Result<Next> {
        match heard {
            Heard::Reply(Verb::Capa, reply) => {
                core.learn_capabilities(reply)?;
                Ok(Next::Done)
            }
            Heard::Reply(verb, reply) if !reply.is_ok() => Err(stls_refused(verb, reply)),
            Heard::Reply(_, reply) => {
                self.accepted = Some(reply);
                Ok(Next::Handshake)
            }
            _ if self.accepted.is_none() => Ok(Next::Say(Say::Stls)),
            _ if core.asks_capa() => Ok(Next::Say(Say::Capa)),
            _ => Ok(Next::Done),
        }
    }

    fn output(self) -> Option<Reply> {
        self.accepted
    }
}

fn stls_refused(verb: Verb, reply: Reply) -> Error {
    let refused = Error::refused(verb, reply);
    Error::new(Kind::Tls {
        problem: TlsProblem::StlsRefused,
        source: Some(Box::new(refused)),
        certificate: None,
    })
}
