//! What a maildrop holds, asked for with as few round trips as the server allows.

use popwire_proto::command::{ListCommand, StatCommand, UidlCommand};
use popwire_proto::{Command, Reply, Verb};

use crate::conversation::{Conversation, Heard, Next, Say};
use crate::core::Core;
use crate::error::Kind;
use crate::pipeline::{Flight, Standing};
use crate::{Error, Result, ScanListing, Stat, UniqueIds};

/// The answers to STAT, LIST and UIDL; each is an error of its own where the server refuses it or answers nonsense.
///
/// A server without UIDL refuses it ([`Error::is_refused`]); some refuse LIST where there is no message.
#[derive(Debug)]
#[non_exhaustive]
pub struct Inventory {
    /// How many messages, and how many octets they have (RFC 1939 section 5).
    pub stat: Result<Stat>,
    /// The size of every message (RFC 1939 section 5).
    pub scans: Result<ScanListing>,
    /// The unique-id of every message (RFC 1939 section 7).
    pub unique_ids: Result<UniqueIds>,
}

/// CAPA where it is wanted, STAT, LIST and UIDL: in one write, or one by one.
pub(crate) struct TakingStock {
    capa: bool,
    stage: Stage,
    /// The replies to STAT, LIST and UIDL.
    replies: [Option<Reply>; 3],
    inventory: Option<Inventory>,
}

enum Stage {
    Begin,
    Flying(Flight, Flown),
    /// One by one.
    Walking,
}

/// What went out before STAT.
#[derive(Clone, Copy)]
struct Flown {
    trial: bool,
    capa: bool,
}

impl TakingStock {
    /// With `capa`, the capabilities are asked for again first, as they have to be after a login.
    pub(crate) fn new(capa: bool) -> Self {
        Self { capa, stage: Stage::Begin, replies: [None, None, None], inventory: None }
    }

    /// All at once, if the server announces that it can; a server of which nothing is known shows it first.
    fn take_off(&mut self, core: &mut Core) -> Result<Next> {
        let flown = Flown { trial: core.standing == Standing::Untried, capa: std::mem::take(&mut self.capa) };
        let mut commands = Vec::with_capacity(5);
        // Were the answers to come in another order, the first of them would not be a refusal, and what follows would not
        // read like anything: no listing is taken for another.
        commands.extend(flown.trial.then_some(Say::Unknown));
        commands.extend(flown.capa.then_some(Say::Capa));
        commands.extend([Say::Stat, Say::List, Say::Uidl]);
        self.stage = Stage::Flying(Flight::new(commands), flown);
        self.fly(core, Heard::Nothing)
    }

    fn fly(&mut self, core: &mut Core, heard: Heard) -> Result<Next> {
        let Stage::Flying(flight, flown) = &mut self.stage else { return self.walk(core) };
        if let Some(next) = flight.next(core, heard)? {
            return Ok(next);
        }
        let flown = *flown;
        let Stage::Flying(flight, _) = std::mem::replace(&mut self.stage, Stage::Walking) else {
            return self.walk(core);
        };
        let mut replies = flight.into_replies();
        if flown.trial {
            let in_order = replies.next().flatten().is_some_and(|reply| !reply.is_ok());
            if core.standing == Standing::Untried {
                core.standing = if in_order { Standing::Proven } else { Standing::Refuted };
            }
        }
        if flown.capa {
            match replies.next().flatten() {
                Some(reply) => core.learn_capabilities(reply)?,
                None => self.capa = true,
            }
        }
        self.replies.iter_mut().zip(replies).for_each(|(known, reply)| *known = reply);
        self.walk(core)
    }

    /// Asks for the first that is missing.
    fn walk(&mut self, core: &Core) -> Result<Next> {
        if self.capa {
            return Ok(Next::Say(Say::Capa));
        }
        Ok(match &mut self.replies {
            [None, ..] => Next::Say(Say::Stat),
            [_, None, _] => Next::Say(Say::List),
            [.., None] => Next::Say(Say::Uidl),
            [stat, scans, unique_ids] => {
                self.inventory = Some(Inventory {
                    stat: decode(core, &StatCommand, stat),
                    scans: decode(core, &ListCommand, scans),
                    unique_ids: decode(core, &UidlCommand, unique_ids),
                });
                Next::Done
            }
        })
    }
}

impl Conversation for TakingStock {
    type Output = Inventory;

    fn next(&mut self, core: &mut Core, heard: Heard) -> Result<Next> {
        match (&self.stage, heard) {
            (Stage::Flying(..), heard) => return self.fly(core, heard),
            (Stage::Walking, Heard::Reply(Verb::Capa, reply)) => {
                self.capa = false;
                core.learn_capabilities(reply)?;
                // It may have announced only now that it takes several commands at once.
                if core.may_pipeline() && self.replies.iter().all(Option::is_none) {
                    return self.take_off(core);
                }
            }
            (Stage::Walking, Heard::Reply(verb, reply)) => {
                let [stat, scans, unique_ids] = &mut self.replies;
                match verb {
                    Verb::Stat => *stat = Some(reply),
                    Verb::List => *scans = Some(reply),
                    _ => *unique_ids = Some(reply),
                }
            }
            (Stage::Begin, _) if core.may_pipeline() => return self.take_off(core),
            _ => self.stage = Stage::Walking,
        }
        self.walk(core)
    }

    fn failed(&mut self, core: &mut Core, error: Error) -> Error {
        if matches!(self.stage, Stage::Flying(..)) {
            core.standing = Standing::Refuted;
        }
        error
    }

    fn output(self) -> Option<Inventory> {
        self.inventory
    }
}

fn decode<C: Command>(core: &Core, command: &C, reply: &mut Option<Reply>) -> Result<C::Answer> {
    let missing = || Error::new(Kind::Protocol(popwire_proto::OutOfOrder::NoMessage.into()));
    core.decode(command, reply.take().ok_or_else(missing)?)
}
