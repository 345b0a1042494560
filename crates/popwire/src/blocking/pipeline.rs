//! Commands ahead of their answers.

use std::iter::FusedIterator;

use popwire_proto::{Command, MessageNumber, Reply};

use super::message::Message;
use super::pump::Pump;
use crate::Result;
use crate::pipeline::{Deletes, Fetches, Queue};

/// Messages that are asked for ahead, by [`Client::retrieve_many`](super::Client::retrieve_many) or
/// [`Client::top_many`](super::Client::top_many).
///
/// Where one is dropped before its end, the rest of it is skipped, as with [`Message`]. To drop all of this before it is
/// through is allowed too, but what is under way has then to be skipped before the next command: beyond
/// [`Limits::discard`](popwire_proto::Limits::discard) octets, that ends the session.
#[derive(Debug)]
#[must_use = "nothing is sent before the first message is asked for"]
pub struct Messages<'c, I: Iterator<Item = MessageNumber>> {
    pump: &'c mut Pump,
    queue: Queue<Fetches<I>>,
}

impl<'c, I: Iterator<Item = MessageNumber>> Messages<'c, I> {
    pub(super) fn new(pump: &'c mut Pump, numbers: I, lines: Option<u32>) -> Self {
        Self { pump, queue: Queue::new(Fetches { numbers, lines }) }
    }

    /// The number of the next message, and its reader or why there is none; nothing after the last.
    ///
    /// A refusal ([`is_refused`](crate::Error::is_refused)) and a number that cannot be asked for
    /// ([`is_misuse`](crate::Error::is_misuse)) concern one message. Any other error is the session's: it stands with the
    /// message that it befell, and after it there is no next; [`into_rest`](Self::into_rest) has those that are left.
    #[allow(clippy::should_implement_trait, reason = "a message borrows this, which no Iterator can say")]
    pub fn next(&mut self) -> Option<(MessageNumber, Result<Message<'_>>)> {
        let (command, reply) = self.pump.next_of(&mut self.queue)?;
        let reply = reply.and_then(|reply| self.pump.core.decode(&command, reply));
        Some((command.number, reply.map(|reply| Message::new(self.pump, command.number, reply))))
    }

    /// Asks for no more messages. Those that are under way still come by [`next`](Self::next), so that the session can go on.
    pub fn stop(&mut self) {
        self.queue.stop();
    }

    /// The messages that were not had: first those that are under way, then those that were not asked for.
    pub fn into_rest(self) -> impl Iterator<Item = MessageNumber> {
        self.queue.into_rest().map(|command| command.number)
    }
}

/// Deletion marks that are set ahead, by [`Client::delete_many`](super::Client::delete_many): for each number the answer
/// to DELE.
///
/// A refusal ([`is_refused`](crate::Error::is_refused)) concerns one message. After an error of the session there is no
/// next.
#[derive(Debug)]
#[must_use = "nothing is sent before the first answer is asked for"]
pub struct Deletions<'c, I: Iterator<Item = MessageNumber>>(Pipeline<'c, Deletes<I>>);

impl<'c, I: Iterator<Item = MessageNumber>> Deletions<'c, I> {
    pub(super) fn new(pump: &'c mut Pump, numbers: I) -> Self {
        Self(Pipeline::new(pump, Deletes(numbers)))
    }
}

impl<I: Iterator<Item = MessageNumber>> Iterator for Deletions<'_, I> {
    type Item = (MessageNumber, Result<Reply>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(command, reply)| (command.number, reply))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<I: Iterator<Item = MessageNumber>> FusedIterator for Deletions<'_, I> {}

/// Commands of any kind, sent ahead by [`Client::pipeline`](super::Client::pipeline): for each the command and its answer.
///
/// A refusal, an argument that may not be sent and an answer that is nonsense concern one command. After an error of the
/// session there is no next; [`into_rest`](Self::into_rest) has the commands that are left.
#[derive(Debug)]
#[must_use = "nothing is sent before the first answer is asked for"]
pub struct Pipeline<'c, I: Iterator<Item: Command>> {
    pump: &'c mut Pump,
    queue: Queue<I>,
}

impl<'c, I: Iterator<Item: Command>> Pipeline<'c, I> {
    pub(super) fn new(pump: &'c mut Pump, commands: I) -> Self {
        Self { pump, queue: Queue::new(commands) }
    }

    /// The commands without an answer: first those that are under way, then those that were not sent.
    pub fn into_rest(self) -> impl Iterator<Item = I::Item> {
        self.queue.into_rest()
    }
}

impl<I: Iterator<Item: Command>> Iterator for Pipeline<'_, I> {
    type Item = (I::Item, Result<<I::Item as Command>::Answer>);

    fn next(&mut self) -> Option<Self::Item> {
        let (command, reply) = self.pump.next_of(&mut self.queue)?;
        let answer = reply.and_then(|reply| self.pump.core.decode(&command, reply));
        Some((command, answer))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.queue.size_hint()
    }
}

impl<I: Iterator<Item: Command>> FusedIterator for Pipeline<'_, I> {}
