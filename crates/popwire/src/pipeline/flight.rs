//! Several commands in one write, and what became of each.

use popwire_proto::Reply;

use super::Standing;
use crate::conversation::{Conversation, Heard, Next, Say};
use crate::core::Core;
use crate::{Error, Result};

/// Commands that go out together. Which of them a server has lost is found out by a silence, and then by a command that
/// it is sure to refuse: if that is refused where another answer should come, the others will not come any more.
pub(crate) struct Flight {
    commands: Vec<Say>,
    owed: usize,
    replies: Vec<Option<Reply>>,
    stage: Stage,
}

#[derive(Clone, Copy)]
enum Stage {
    Ready,
    Answers,
    /// There was a silence, and [`Say::Unknown`] is out: the server is slow, or has lost what is owed.
    Doubt,
    /// It is only slow.
    Slow,
    /// It has refused [`Say::Unknown`]. NOOP is out, to show that no other answer comes.
    Loss,
}

impl Flight {
    pub(crate) fn new(commands: Vec<Say>) -> Self {
        Self { owed: commands.len(), commands, replies: Vec::new(), stage: Stage::Ready }
    }

    /// What to do next; nothing when all is known.
    pub(crate) fn next(&mut self, core: &mut Core, heard: Heard) -> Result<Option<Next>> {
        Ok(match (self.stage, heard) {
            (Stage::Ready, _) => {
                let commands = std::mem::take(&mut self.commands);
                self.go(Stage::Answers, Next::Together(commands))
            }
            (Stage::Answers, Heard::Reply(_, reply)) => self.answer(reply),
            (Stage::Answers, Heard::Silence) => self.go(Stage::Doubt, Next::Behind(Say::Unknown)),
            (Stage::Doubt, Heard::Reply(_, reply)) if reply.is_ok() => {
                self.stage = Stage::Slow;
                self.replies.push(Some(reply));
                Some(Next::Hear { patience: false })
            }
            (Stage::Doubt, Heard::Reply(..)) => {
                core.machine.write_off();
                self.go(Stage::Loss, Next::Behind(Say::Noop))
            }
            (Stage::Slow, Heard::Reply(_, reply)) if self.replies.len() < self.owed => {
                self.replies.push(Some(reply));
                Some(Next::Hear { patience: false })
            }
            (Stage::Slow, Heard::Reply(..)) => None,
            (Stage::Loss, Heard::Reply(_, reply)) if reply.is_ok() => {
                core.standing = Standing::Refuted;
                self.replies.resize_with(self.owed, || None);
                None
            }
            // A refusal that came late was taken for that of another command.
            (Stage::Loss, Heard::Reply(verb, reply)) => {
                let error = popwire_proto::Error::Malformed { verb, line: reply.line().clone() };
                core.machine.abort(error.clone());
                return Err(error.into());
            }
            _ => Some(Next::Hear { patience: false }),
        })
    }

    /// The replies, in the order of the commands; none where the server has lost one.
    pub(crate) fn into_replies(self) -> impl Iterator<Item = Option<Reply>> {
        self.replies.into_iter()
    }

    fn answer(&mut self, reply: Reply) -> Option<Next> {
        self.replies.push(Some(reply));
        (self.replies.len() < self.owed).then_some(Next::Hear { patience: true })
    }

    fn go(&mut self, stage: Stage, next: Next) -> Option<Next> {
        self.stage = stage;
        Some(next)
    }
}

/// Finds out how a server takes commands that come together, before a message depends on it: one that it is sure to
/// refuse, and NOOP. Servers are known that lose the second, that answer it first, and that forget what comes behind a
/// refusal.
pub(crate) struct Trial(Flight);

impl Trial {
    pub(crate) fn new() -> Self {
        Self(Flight::new(vec![Say::Unknown, Say::Noop]))
    }
}

impl Conversation for Trial {
    type Output = ();

    fn next(&mut self, core: &mut Core, heard: Heard) -> Result<Next> {
        if let Some(next) = self.0.next(core, heard)? {
            return Ok(next);
        }
        let answers: Vec<_> = self.0.replies.iter().map(|reply| reply.as_ref().map(Reply::is_ok)).collect();
        core.standing =
            if answers == [Some(false), Some(true)] { Standing::Proven } else { Standing::Refuted };
        Ok(Next::Done)
    }

    fn failed(&mut self, core: &mut Core, error: Error) -> Error {
        core.standing = Standing::Refuted;
        error
    }

    fn output(self) -> Option<()> {
        Some(())
    }
}
