//! What was heard, kept as it came; and what it says when it is read as a client reads it.

use std::time::Duration;

use popwire_proto::command::{CapaCommand, ListCommand, StatCommand, UidlCommand};
use popwire_proto::listing::{Capabilities, ScanListing, Stat, UniqueIds};
use popwire_proto::{Command, Error as Proto, IrregularEnd, Leniencies, Limits, MessageNumber, Reply, Text};

use super::steps::Item;
use crate::{Error, Method, Result, TlsInfo};

/// What a step brought.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A connection, and its greeting.
    Connected,
    /// TLS.
    Encrypted,
    /// The login got in.
    LoggedIn(Option<Method>),
    Reply(Reply),
    /// To commands that went out in one write.
    Replies(Vec<Reply>),
    Message(Sample),
    /// The connection was closed on this side.
    Left,
}

/// The beginning of a message, and how it ended.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    /// The answer to the command.
    pub(crate) reply: Reply,
    /// The first octets; no more than [`Sample::KEPT`].
    pub(crate) octets: Vec<u8>,
    /// How many there were.
    pub(crate) total: u64,
    /// It was not read to its end: it is larger than what was wanted of it.
    pub(crate) cut: bool,
    /// The form of its end, if it is no regular one.
    pub(crate) irregular: Option<IrregularEnd>,
}

impl Sample {
    /// More is not kept.
    pub(crate) const KEPT: usize = 256 * 1024;

    pub(crate) fn new(reply: Reply) -> Self {
        Self { reply, ..Self::default() }
    }

    pub(crate) fn add(&mut self, octets: &[u8]) {
        let room = Self::KEPT.saturating_sub(self.octets.len());
        self.octets.extend_from_slice(octets.get(..room).unwrap_or(octets));
        self.total = self.total.saturating_add(octets.len() as u64);
    }

    /// There is more, which is not read.
    pub(crate) fn cut(mut self) -> Self {
        self.cut = true;
        self
    }

    /// It ended by an error; an irregular end is none here.
    pub(crate) fn ended(mut self, error: Error) -> Result<Self> {
        self.irregular = error.irregular_end();
        if self.irregular.is_some() { Ok(self) } else { Err(error) }
    }

    /// Whether all that came is here.
    pub(super) fn is_kept(&self) -> bool {
        !self.cut && self.irregular.is_none() && self.total == self.octets.len() as u64
    }

    /// The lines, each with its line end.
    pub(super) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.octets.split_inclusive(|octet| *octet == b'\n')
    }

    /// The header's lines.
    pub(super) fn header(&self) -> impl Iterator<Item = &[u8]> {
        self.lines().take_while(|line| !is_blank(line))
    }

    /// How many lines the body has; `None` without a blank line before it.
    pub(super) fn body_lines(&self) -> Option<usize> {
        let header = self.header().count();
        self.lines().count().checked_sub(header + 1)
    }

    /// How many lines end in LF without a CR before it, and how many in CRLF.
    pub(super) fn line_ends(&self) -> (u64, u64) {
        self.lines().filter(|line| line.ends_with(b"\n")).fold((0, 0), |(bare, whole), line| {
            if line.ends_with(b"\r\n") { (bare, whole + 1) } else { (bare + 1, whole) }
        })
    }
}

/// Nothing but its line end.
pub(super) fn is_blank(line: &[u8]) -> bool {
    matches!(line, b"\r\n" | b"\n")
}

/// One thing that was done.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) item: Item,
    pub(super) outcome: Result<Answer>,
    pub(super) time: Duration,
    /// Whether the session was over after it.
    pub(super) lost: bool,
}

impl Event {
    /// Whether the server said `-ERR`.
    pub(super) fn refused(&self) -> bool {
        match &self.outcome {
            Ok(Answer::Reply(reply)) => !reply.is_ok(),
            Ok(_) => false,
            Err(error) => error.is_refused(),
        }
    }
}

/// Everything that was heard, in order.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    pub(super) events: Vec<Event>,
    pub(super) greeting: Option<Reply>,
    pub(super) tls: Option<TlsInfo>,
    /// The highest counts of any session.
    pub(super) leniencies: Leniencies,
    pub(super) connections: u32,
    /// What nobody had asked for, and what had been asked before it came.
    pub(super) unasked: Vec<(Item, Text)>,
    /// From which time on an answer is late.
    pub(super) slow: Duration,
    /// What the answers are read with.
    pub(super) limits: Limits,
}

impl Evidence {
    /// The last time that this was done.
    pub(super) fn event(&self, item: Item) -> Option<&Event> {
        self.events.iter().rev().find(|event| event.item == item)
    }

    pub(super) fn reply(&self, item: Item) -> Option<&Reply> {
        match &self.event(item)?.outcome {
            Ok(Answer::Reply(reply)) => Some(reply),
            _ => None,
        }
    }

    /// The reply, if it is `+OK`.
    pub(super) fn ok(&self, item: Item) -> Option<&Reply> {
        self.reply(item).filter(|reply| reply.is_ok())
    }

    /// The reply, if it is `-ERR`.
    pub(super) fn refused(&self, item: Item) -> Option<&Reply> {
        self.reply(item).filter(|reply| !reply.is_ok())
    }

    pub(super) fn error(&self, item: Item) -> Option<&Error> {
        self.event(item)?.outcome.as_ref().err()
    }

    /// The messages that were read, RETR among them.
    pub(super) fn samples(&self) -> impl Iterator<Item = (Item, &Sample)> {
        self.events.iter().filter_map(|event| match &event.outcome {
            Ok(Answer::Message(sample)) => Some((event.item, sample)),
            _ => None,
        })
    }

    /// The logins that failed, in order.
    pub(super) fn failed_logins(&self) -> impl Iterator<Item = &Error> {
        self.events
            .iter()
            .filter(|event| event.item == Item::Login)
            .filter_map(|event| event.outcome.as_ref().err())
    }
}

/// The evidence with the answers read.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    pub(super) evidence: &'a Evidence,
    pub(super) capa_first: Option<Capabilities>,
    pub(super) capa_with_tls: Option<Capabilities>,
    pub(super) capa_within: Option<Capabilities>,
    pub(super) stat: Option<Stat>,
    pub(super) list: Option<ScanListing>,
    pub(super) uidl: Option<UniqueIds>,
}

impl<'a> Seen<'a> {
    pub(super) fn read(evidence: &'a Evidence) -> Self {
        Self {
            evidence,
            capa_first: read(evidence, Item::CapaFirst, &CapaCommand),
            capa_with_tls: read(evidence, Item::CapaWithTls, &CapaCommand),
            capa_within: read(evidence, Item::CapaWithin, &CapaCommand),
            stat: read(evidence, Item::Stat, &StatCommand),
            list: read(evidence, Item::List, &ListCommand),
            uidl: read(evidence, Item::Uidl, &UidlCommand)
                .or_else(|| read(evidence, Item::UidlAgain, &UidlCommand)),
        }
    }

    /// What CAPA told over the connection that the login went out on.
    pub(super) fn capa_before_login(&self) -> Option<&Capabilities> {
        self.capa_with_tls.as_ref().or(self.capa_first.as_ref())
    }

    /// Whether a capability was announced at any stage.
    pub(super) fn announced(&self, tag: &str) -> bool {
        [&self.capa_first, &self.capa_with_tls, &self.capa_within].into_iter().flatten().any(|c| c.has(tag))
    }

    /// Whether CAPA was answered at all.
    pub(super) fn has_capa(&self) -> bool {
        self.capa_before_login().or(self.capa_within.as_ref()).is_some()
    }

    /// The listing's size of a message.
    pub(super) fn listed(&self, number: MessageNumber) -> Option<u64> {
        self.list.as_ref()?.get(number)?.octets
    }
}

fn read<C: Command>(evidence: &Evidence, item: Item, command: &C) -> Option<C::Answer> {
    command.decode(evidence.ok(item)?.clone(), &evidence.limits).ok()
}

/// The protocol error that is behind a failure.
pub(super) fn protocol(error: Option<&Error>) -> Option<&Proto> {
    error?.protocol()
}
