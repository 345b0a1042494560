//! Which messages a session shows, in which order, and by which unique-ids: decided once, at login, from what is in the
//! maildrop and from what earlier sessions left behind.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{self, Read as _};

use md5::{Digest as _, Md5};

use super::Knob;
use crate::Message;
use crate::options::Account;
use crate::store::{Entry, Key, Store};

/// See the knobs.
#[derive(Clone, Debug, Default)]
pub(crate) struct ViewQuirks {
    window: Window,
    /// What was retrieved in a session that ended with QUIT is shown no more, unless asked for.
    pub(crate) pops: bool,
    unique_ids: UniqueIds,
    reversed_by_turns: bool,
    part_once: bool,
    /// LIST leaves out the message that came last.
    pub(crate) newest_unlisted: bool,
    internal_first: bool,
}

/// How much of a maildrop is shown.
#[derive(Clone, Copy, Debug, Default)]
enum Window {
    #[default]
    All,
    Oldest(usize),
    NewerHalf,
}

/// What becomes of unique-ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum UniqueIds {
    /// They are the store's.
    #[default]
    Kept,
    /// All are others in each session.
    Epoch,
    /// They depend on whether the clock is at summer time, which it is in every other session.
    SummerTime,
    /// A small number, which another message may have had that is gone.
    Reused,
    /// As this server makes them.
    Of(Form),
}

/// The forms that servers give to unique-ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Dovecot,
    Courier,
    Cyrus,
    Mailutils,
    Mailfront,
    Popa3d,
    Twisted,
    WildDuck,
}

/// What is left of earlier sessions. It lives as long as the maildrop.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    sessions: u64,
    popped: BTreeSet<Key>,
    /// The number of each message, in the order in which they were first seen.
    numbers: BTreeMap<Key, u64>,
}

impl Memory {
    /// A session has ended with QUIT, and these were retrieved in it.
    pub(crate) fn popped(&mut self, keys: impl Iterator<Item = Key>) {
        self.popped.extend(keys);
    }

    /// Gives each message that has no number yet the lowest that is free. `reuse`: also those of messages that are gone.
    fn number(&mut self, entries: &[Entry], reuse: bool) {
        if reuse {
            let there: BTreeSet<&Key> = entries.iter().map(|entry| &entry.key).collect();
            self.numbers.retain(|key, _| there.contains(key));
        }
        let taken: BTreeSet<u64> = self.numbers.values().copied().collect();
        let free = (1..).filter(|number| !taken.contains(number));
        let new: Vec<&Key> =
            entries.iter().map(|entry| &entry.key).filter(|key| !self.numbers.contains_key(*key)).collect();
        self.numbers.extend(new.into_iter().cloned().zip(free));
    }
}

/// What `msg1=folder_internal` serves, and the unique-id by which it is known.
const INTERNAL: &[u8] = b"folder-internal-data";
const INTERNAL_TEXT: &str = "From: Mail System Internal Data <MAILER-DAEMON@localhost>\r\n\
    Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\r\nX-IMAP: 1167607227 0000000001\r\nStatus: RO\r\n\r\n\
    This text is part of the internal format of your mail folder, and is not\r\na real message.\r\n";

impl ViewQuirks {
    /// What is delivered when the server starts.
    pub(crate) fn delivered(&self) -> Option<Message> {
        self.internal_first.then(|| Message::new(INTERNAL_TEXT).unique_id(INTERNAL))
    }

    /// Lets everybody in as `recent:NAME` too, if that makes a difference.
    pub(crate) fn add_recent(&self, accounts: &mut BTreeMap<Vec<u8>, Account>) {
        if self.pops {
            let recent = |(name, account): (&Vec<u8>, &Account)| {
                let maildrop = account.maildrop.with_popped();
                ([b"recent:", name.as_slice()].concat(), Account { maildrop, ..account.clone() })
            };
            let aliases: Vec<_> = accounts.iter().map(recent).collect();
            accounts.extend(aliases);
        }
    }

    /// What this session shows of the messages that there are. `all`: also what was popped.
    pub(crate) fn apply(
        &self,
        entries: Vec<Entry>,
        memory: &mut Memory,
        store: &dyn Store,
        all: bool,
    ) -> io::Result<Vec<Entry>> {
        let mut shown = entries;
        memory.sessions += 1;
        if matches!(self.unique_ids, UniqueIds::Reused | UniqueIds::Of(_)) {
            memory.number(&shown, self.unique_ids == UniqueIds::Reused);
        }
        if self.pops && !all {
            shown.retain(|entry| !memory.popped.contains(&entry.key));
        }
        if self.internal_first {
            shown.sort_by_key(|entry| entry.unique_id != INTERNAL);
        }
        match self.window {
            Window::All => {}
            Window::Oldest(most) => shown.truncate(most),
            Window::NewerHalf => drop(shown.drain(..shown.len() / 2)),
        }
        if self.part_once && memory.sessions == 2 {
            shown.truncate(shown.len() / 2);
        }
        if self.reversed_by_turns && memory.sessions.is_multiple_of(2) {
            shown.reverse();
        }
        for entry in &mut shown {
            self.name(entry, memory, store)?;
        }
        Ok(shown)
    }

    /// Gives a message the unique-id that this session shows.
    fn name(&self, entry: &mut Entry, memory: &Memory, store: &dyn Store) -> io::Result<()> {
        let number = memory.numbers.get(&entry.key).copied().unwrap_or_default();
        let stored = String::from_utf8_lossy(&entry.unique_id).into_owned();
        let shown = match self.unique_ids {
            UniqueIds::Kept => return Ok(()),
            UniqueIds::Epoch => format!("{}-{stored}", memory.sessions),
            UniqueIds::SummerTime => format!("{stored}.{}", 3600 * (memory.sessions % 2)),
            UniqueIds::Reused => number.to_string(),
            UniqueIds::Of(form) => match form {
                Form::Dovecot => format!("{number:08x}6b033e2d"),
                Form::Courier => format!("UID{number}-1795375165"),
                Form::Cyrus => format!("1795376180.{number}"),
                Form::Mailutils => format!("{}.1795376462.{number}", hex(&entry.unique_id, 32)),
                Form::Mailfront => format!("1795376462.M{number:06}P1.localhost"),
                Form::Popa3d => hex(&header(entry, store)?, 16),
                Form::Twisted => hex(&entry.unique_id, 32),
                Form::WildDuck => hex(&entry.unique_id, 24),
            },
        };
        entry.unique_id = shown.into_bytes();
        Ok(())
    }
}

/// So many digits of the MD5.
fn hex(octets: &[u8], digits: usize) -> String {
    let mut text = String::new();
    for octet in Md5::digest(octets) {
        let _ = write!(text, "{octet:02x}");
    }
    text.truncate(digits);
    text
}

/// The header of a message, or its first 64 kilobytes.
fn header(entry: &Entry, store: &dyn Store) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    store.open(&entry.key)?.take(64 << 10).read_to_end(&mut octets)?;
    let lines = octets.split_inclusive(|octet| *octet == b'\n');
    Ok(lines.take_while(|line| !line.trim_ascii().is_empty()).flatten().copied().collect())
}

pub(super) const KNOBS: &[Knob] = &[
    Knob {
        name: "window",
        values: &["250", "45", "500", "days"],
        about: "A session shows so many of the oldest messages only (Gmail 250, Geocities 45, NetEase 500), or those of \
                the last days, which is the newer half of them here (GroupWise).",
        deviations: &[89, 122, 145, 152],
        set: |mut builder, value| {
            builder.options.quirks.view.window = match value.word() {
                "days" => Window::NewerHalf,
                _ => Window::Oldest(usize::try_from(value.number()?).ok()?),
            };
            Some(builder)
        },
    },
    Knob {
        name: "popped",
        values: &["on_quit"],
        about: "What was retrieved in a session that ended with QUIT is not shown any more, deleted or not; who signs in \
                as recent:NAME sees it: Gmail.",
        deviations: &[121, 123],
        set: |mut builder, value| {
            builder.options.quirks.view.pops = value.word() == "on_quit";
            builder.options.quirks.view.pops.then_some(builder)
        },
    },
    Knob {
        name: "uidl_epoch",
        values: &["next", "dst"],
        about: "All unique-ids are others in each session (a migration: Zimbra, Dovecot), or in every other one (Mercury, \
                which made them of a local time).",
        deviations: &[71, 73],
        set: |mut builder, value| {
            builder.options.quirks.view.unique_ids = match value.word() {
                "next" => UniqueIds::Epoch,
                "dst" => UniqueIds::SummerTime,
                _ => return None,
            };
            Some(builder)
        },
    },
    Knob {
        name: "uidl_reuse",
        values: &["1"],
        about: "Unique-ids are small numbers, and new messages get those of deleted ones: Cyrus, VPOP3, hMailServer.",
        deviations: &[72],
        set: |mut builder, value| {
            let reused = value.flag()?;
            builder.options.quirks.view.unique_ids = if reused { UniqueIds::Reused } else { UniqueIds::Kept };
            Some(builder)
        },
    },
    Knob {
        name: "uidl_format",
        values: &["dovecot", "courier", "cyrus", "mailutils", "mailfront", "popa3d", "twisted", "wildduck"],
        about: "Unique-ids look as this server makes them; those of popa3d are the same for equal headers.",
        deviations: &[74],
        set: |mut builder, value| {
            builder.options.quirks.view.unique_ids = UniqueIds::Of(match value.word() {
                "dovecot" => Form::Dovecot,
                "courier" => Form::Courier,
                "cyrus" => Form::Cyrus,
                "mailutils" => Form::Mailutils,
                "mailfront" => Form::Mailfront,
                "popa3d" => Form::Popa3d,
                "twisted" => Form::Twisted,
                "wildduck" => Form::WildDuck,
                _ => return None,
            });
            Some(builder)
        },
    },
    Knob {
        name: "uidl_partial_once",
        values: &["1"],
        about: "The second session shows the first half of the messages only, and the third all again.",
        deviations: &[78],
        set: |mut builder, value| {
            builder.options.quirks.view.part_once = value.flag()?;
            Some(builder)
        },
    },
    Knob {
        name: "race_new_mail",
        values: &["1"],
        about: "LIST does not have the message that came last, and UIDL has it: it arrived between the two.",
        deviations: &[77],
        set: |mut builder, value| {
            builder.options.quirks.view.newest_unlisted = value.flag()?;
            Some(builder)
        },
    },
    Knob {
        name: "order",
        values: &["shuffle_between_sessions"],
        about: "Every other session numbers the messages from the last to the first: MDaemon.",
        deviations: &[153],
        set: |mut builder, value| {
            builder.options.quirks.view.reversed_by_turns = value.word() == "shuffle_between_sessions";
            builder.options.quirks.view.reversed_by_turns.then_some(builder)
        },
    },
    Knob {
        name: "msg1",
        values: &["folder_internal"],
        about: "The first message is none, but what the server keeps in its mailbox file: UW-IMAP and others with mbox.",
        deviations: &[113],
        set: |mut builder, value| {
            builder.options.quirks.view.internal_first = value.word() == "folder_internal";
            builder.options.quirks.view.internal_first.then_some(builder)
        },
    },
];
