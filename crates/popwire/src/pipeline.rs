//! Commands ahead of their answers: when that is allowed, how many at once, and how a server is found out that loses
//! some of them. Nothing in here waits; the doors do.

mod flight;

use std::collections::VecDeque;
use std::fmt;
use std::iter::Fuse;
use std::time::Duration;

use popwire_proto::command::{DeleCommand, Line, RetrCommand, TopCommand};
use popwire_proto::{ArgumentError, Command, Limits, MessageNumber, Reply, Shape, Verb};

use crate::core::Core;
use crate::{Error, Result};

pub(crate) use flight::{Flight, Trial};

/// Whether commands are sent before the answers to earlier ones are there (RFC 2449 section 6.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pipelining {
    /// Where the server announces PIPELINING in its answer to CAPA.
    #[default]
    WhereAnnounced,
    /// Everywhere, until a server has lost or mixed up something. Most servers can do it, whatever they announce.
    Always,
    /// Nowhere: each command waits for the answer to the one before.
    Never,
}

/// How far commands may run ahead of their answers.
///
/// What lies in the window is on its way whether its caller still wants it or not: one that stops in the middle has to
/// read what was asked for, or give the session up.
///
/// ```
/// let mut window = popwire::Window::default();
/// window.octets = 1 << 20; // a caller who often stops early
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Window {
    /// Most commands whose answers are owed. Default 256: at a round trip of 50 ms more makes no difference any more, and
    /// 128 costs a quarter.
    pub commands: usize,
    /// Most octets that those answers may be expected to have together, by the size of the messages so far; two commands
    /// are under way in any case. Default 16 MiB, which keeps a line of 2.5 Gbit/s busy over 50 ms.
    pub octets: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self { commands: 256, octets: 16 << 20 }
    }
}

impl Window {
    /// Each command waits for the answer to the one before.
    const LOCKSTEP: Self = Self { commands: 1, octets: 0 };
}

/// What is known of the server's way with commands that come together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    #[default]
    Untried,
    /// It has answered some, all of them and in order.
    Proven,
    /// It has not.
    Refuted,
}

/// Most octets of commands whose answers are owed. A server that does not read, because it waits for us to, takes so many
/// without a read: so neither waits for the other for ever (RFC 2449 section 6.6).
const COMMAND_OCTETS: usize = 8 << 10;

/// The size that a message is taken to have before the first one came.
const FIRST_GUESS: u64 = 64 << 10;

/// Commands in order: those under way, and those to come.
pub(crate) struct Queue<I: Iterator> {
    source: Fuse<I>,
    /// Taken from the source, and not to be sent yet.
    held: Option<I::Item>,
    under_way: VecDeque<Sent<I::Item>>,
    window: Window,
    command_octets: usize,
    /// The size of messages, by those that came.
    guess: u64,
    begun: bool,
    stopped: bool,
    over: bool,
}

struct Sent<C> {
    command: C,
    octets: usize,
    /// It could not be sent.
    fault: Option<Error>,
}

impl<I: Iterator<Item: Command>> Queue<I> {
    pub(crate) fn new(source: I) -> Self {
        Self {
            source: source.fuse(),
            held: None,
            under_way: VecDeque::new(),
            window: Window::LOCKSTEP,
            command_octets: 0,
            guess: FIRST_GUESS,
            begun: false,
            stopped: false,
            over: false,
        }
    }

    /// Whether nothing was sent yet.
    pub(crate) fn is_new(&self) -> bool {
        !self.begun
    }

    /// Whether nothing is under way: what comes next may not rely on the session being in step.
    pub(crate) fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Whether there are two commands at least, so that one can be sent ahead.
    pub(crate) fn is_worth_a_trial(&mut self) -> bool {
        let Some(first) = self.take() else { return false };
        // The iterator may be longer than it tells; only one that surely is shorter is not worth it.
        let more = self.source.size_hint().1 != Some(0);
        self.held = Some(first);
        more
    }

    /// The commands begin to go out.
    pub(crate) fn begin(&mut self, window: Option<Window>) {
        (self.begun, self.window) = (true, window.unwrap_or(Window::LOCKSTEP));
    }

    /// Puts commands into the outgoing octets, as far as the window allows.
    ///
    /// # Errors
    ///
    /// Those of a session that is over; what is wrong with a command alone is told in its place.
    pub(crate) fn write_ahead(&mut self, core: &mut Core, now: Duration) -> Result<()> {
        self.learn(core.take_octets());
        // Many commands in one write, when half of the window is free, and not each as soon as it may go.
        const HALF: usize = 2;
        if !self.has_room(HALF) {
            return Ok(());
        }
        while self.has_room(1)
            && let Some(command) = self.take()
        {
            let alone = goes_alone(&command);
            if alone && !self.is_idle() {
                self.held = Some(command);
                break;
            }
            let before = core.machine.unsent().len();
            let fault = core.submit(&command, now).err();
            if core.machine.is_broken()
                && let Some(error) = fault
            {
                self.held = Some(command);
                return Err(error);
            }
            let octets = core.machine.unsent().len().saturating_sub(before);
            self.command_octets += octets;
            self.under_way.push_back(Sent { command, octets, fault });
            if alone {
                break;
            }
        }
        Ok(())
    }

    /// The command whose turn it is: true if its answer is owed, false if it could not be sent; nothing if none is left.
    pub(crate) fn is_owed(&self) -> Option<bool> {
        self.under_way.front().map(|sent| sent.fault.is_none())
    }

    /// The turn of a command is over: gives it, and why it could not be sent.
    pub(crate) fn answered(&mut self) -> Option<(I::Item, Option<Error>)> {
        let Sent { command, octets, fault } = self.under_way.pop_front()?;
        self.command_octets = self.command_octets.saturating_sub(octets);
        Some((command, fault))
    }

    /// The session broke or a deadline passed: gives the command that was affected, and no other after it.
    pub(crate) fn end(&mut self) -> Option<I::Item> {
        let affected = if std::mem::replace(&mut self.over, true) { None } else { self.answered() };
        affected.map(|(command, _)| command).or_else(|| self.take())
    }

    /// Sends no more; what is under way still comes.
    pub(crate) fn stop(&mut self) {
        self.stopped = true;
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// The commands that were not answered: those whose fate is unknown, then those that were not sent.
    pub(crate) fn into_rest(self) -> impl Iterator<Item = I::Item> {
        self.under_way.into_iter().map(|sent| sent.command).chain(self.held).chain(self.source)
    }

    /// Bounds of what is still to come.
    #[cfg(feature = "blocking")]
    pub(crate) fn size_hint(&self) -> (usize, Option<usize>) {
        if self.over {
            return (0, Some(0));
        }
        let here = self.under_way.len() + usize::from(self.held.is_some());
        if self.stopped {
            return (self.under_way.len(), Some(self.under_way.len()));
        }
        let (least, most) = self.source.size_hint();
        (least.saturating_add(here), most.and_then(|most| most.checked_add(here)))
    }

    /// Whether another command fits into the window, or into this part of it.
    fn has_room(&self, part: usize) -> bool {
        let Some(last) = self.under_way.back() else { return true };
        let count = self.under_way.len();
        let expected = self.guess.saturating_mul(u64::try_from(count).unwrap_or(u64::MAX));
        let allowed = u64::try_from(part).map_or(0, |part| self.window.octets / part.max(1));
        !goes_alone(&last.command)
            && count < self.window.commands.div_ceil(part)
            && (count < 2 || expected < allowed)
            && self.command_octets < COMMAND_OCTETS / part
    }

    fn take(&mut self) -> Option<I::Item> {
        if self.stopped {
            return None;
        }
        self.held.take().or_else(|| self.source.next())
    }

    /// A message of so many octets came.
    fn learn(&mut self, octets: Option<u64>) {
        if let Some(octets) = octets {
            // The last eight weigh the most.
            self.guess = self.guess - self.guess / 8 + octets / 8;
        }
    }
}

/// Without the commands: there can be a password among them.
impl<I: Iterator> fmt::Debug for Queue<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Queue({} under way)", self.under_way.len())
    }
}

/// Whether nothing may go out behind a command before its answer is there, nor it behind others. What follows the last
/// line of a login real servers lose, what follows STLS is not for them, and after QUIT nobody reads.
fn goes_alone(command: &impl Command) -> bool {
    matches!(command.verb(), Verb::User | Verb::Stls | Verb::Quit | Verb::Rpop) || command.carries_secret()
}

/// RETR or TOP, for each of these messages.
#[derive(Debug)]
pub(crate) struct Fetches<I> {
    pub(crate) numbers: I,
    pub(crate) lines: Option<u32>,
}

impl<I: Iterator<Item = MessageNumber>> Iterator for Fetches<I> {
    type Item = FetchCommand;

    fn next(&mut self) -> Option<FetchCommand> {
        self.numbers.next().map(|number| FetchCommand { number, lines: self.lines })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.numbers.size_hint()
    }
}

/// DELE, for each of these messages.
#[derive(Debug)]
pub(crate) struct Deletes<I>(pub(crate) I);

impl<I: Iterator<Item = MessageNumber>> Iterator for Deletes<I> {
    type Item = DeleCommand;

    fn next(&mut self) -> Option<DeleCommand> {
        self.0.next().map(|number| DeleCommand { number })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

/// RETR or TOP.
#[derive(Debug)]
pub(crate) struct FetchCommand {
    pub(crate) number: MessageNumber,
    /// So many lines of the body; all of the message without that.
    pub(crate) lines: Option<u32>,
}

impl Command for FetchCommand {
    type Answer = Reply;

    fn verb(&self) -> Verb {
        if self.lines.is_some() { Verb::Top } else { Verb::Retr }
    }

    fn shape(&self) -> Shape {
        Shape::Message
    }

    fn encode(&self, line: &mut Line<'_>) -> std::result::Result<(), ArgumentError> {
        let number = self.number;
        match self.lines {
            Some(lines) => TopCommand { number, lines }.encode(line),
            None => RetrCommand { number }.encode(line),
        }
    }

    fn decode(&self, reply: Reply, _: &Limits) -> std::result::Result<Reply, popwire_proto::Error> {
        Ok(reply)
    }
}
