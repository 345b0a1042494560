//! The maildrop as one session sees it: numbered at login, with marks; and the commands that need no message's octets.

use std::io;

use popwire_proto::ResponseCode;
use popwire_proto::server::answer;

use super::{Connection, with_store};
use crate::answer::Then;
use crate::maildrop::Lock;
use crate::store::{Entry, LineEnds};
use crate::{Maildrop, QuitReply};

/// Messages as they were at login. The lock lives as long as this.
pub(super) struct Mailbox {
    pub(super) maildrop: Maildrop,
    /// Message n is at n - 1, whatever happens to others (RFC 1939 section 4).
    slots: Vec<Slot>,
    /// The highest number retrieved, for LAST; and what it was at login.
    last: u64,
    last_at_login: u64,
    lock: Lock,
}

struct Slot {
    entry: Entry,
    deleted: bool,
}

impl Mailbox {
    /// Numbers the messages. `last`: finds out which have been retrieved, too.
    pub(super) async fn open(maildrop: Maildrop, lock: Lock, ends: LineEnds, last: bool) -> io::Result<Self> {
        let read = move |maildrop: &Maildrop| -> io::Result<_> {
            let entries = maildrop.store().list(ends)?;
            let seen = |entry: &Entry| maildrop.store().is_seen(&entry.key).unwrap_or(false);
            let last = if last { entries.iter().rposition(seen).map_or(0, |at| at as u64 + 1) } else { 0 };
            Ok((entries, last))
        };
        let (entries, last) = with_store(&maildrop, read).await??;
        let slots = entries.into_iter().map(|entry| Slot { entry, deleted: false }).collect();
        Ok(Self { maildrop, slots, last, last_at_login: last, lock })
    }

    /// How many messages are not marked, and how many octets they have together.
    pub(super) fn totals(&self) -> (u64, u64) {
        self.unmarked().fold((0, 0), |(count, octets), (_, entry)| (count + 1, octets + entry.size))
    }

    /// A message by its number.
    pub(super) fn entry(&self, number: u64) -> Result<&Entry, &'static str> {
        let slot = usize::try_from(number).ok().and_then(|number| self.slots.get(number.checked_sub(1)?));
        match slot {
            None => Err("no such message"),
            Some(slot) if slot.deleted => Err("message is deleted"),
            Some(slot) => Ok(&slot.entry),
        }
    }

    /// Remembers that a message was retrieved.
    pub(super) fn accessed(&mut self, number: u64) {
        self.last = self.last.max(number);
    }

    /// Removes marked messages, the first `most` of them, then releases the lock. Says whether all marked messages are
    /// gone.
    pub(super) async fn commit(self, most: usize) -> bool {
        let Self { maildrop, slots, lock, .. } = self;
        let mut marked: Vec<Entry> =
            slots.into_iter().filter(|slot| slot.deleted).map(|slot| slot.entry).collect();
        let all = marked.len() <= most;
        marked.truncate(most);
        let removal = move |maildrop: &Maildrop| {
            let removed = maildrop.remove(&marked);
            // The lock is held until the files are gone, even if the connection is dropped meanwhile.
            drop(lock);
            removed
        };
        with_store(&maildrop, removal).await.unwrap_or(false) && all
    }

    fn unmarked(&self) -> impl Iterator<Item = (u64, &Entry)> {
        let numbered = (1..).zip(&self.slots);
        numbered.filter(|(_, slot)| !slot.deleted).map(|(number, slot)| (number, &slot.entry))
    }
}

impl Connection {
    pub(super) fn stat(&mut self) {
        let (count, octets) = self.mailbox.as_ref().map(Mailbox::totals).unwrap_or_default();
        self.ok(format!("{count} {octets}"));
    }

    pub(super) async fn list(&mut self, message: Option<u64>) -> io::Result<()> {
        let Some(number) = message else {
            return self.listing(|out, number, entry| answer::numbers(out, number, entry.size)).await;
        };
        let Some(entry) = self.find(number) else { return Ok(()) };
        if self.needs_utf8(&entry).await? {
            self.err(Some(ResponseCode::Utf8), "the message needs UTF8");
        } else {
            self.ok(format!("{number} {}", entry.size));
        }
        Ok(())
    }

    pub(super) async fn uidl(&mut self, message: Option<u64>) -> io::Result<()> {
        let Some(number) = message else {
            return self.listing(|out, number, entry| answer::unique_id(out, number, &entry.unique_id)).await;
        };
        if let Some(entry) = self.find(number) {
            // Octets, not text: a test may give messages ids that are no UTF-8.
            let mut text = format!("{number} ").into_bytes();
            text.extend_from_slice(&entry.unique_id);
            self.ok(text);
        }
        Ok(())
    }

    pub(super) fn dele(&mut self, number: u64) {
        if self.find(number).is_none() {
            return;
        }
        let at = usize::try_from(number - 1).unwrap_or(usize::MAX);
        if let Some(slot) = self.mailbox.as_mut().and_then(|mailbox| mailbox.slots.get_mut(at)) {
            slot.deleted = true;
        }
        self.ok("message deleted");
    }

    pub(super) fn rset(&mut self) {
        if let Some(mailbox) = &mut self.mailbox {
            mailbox.slots.iter_mut().for_each(|slot| slot.deleted = false);
            mailbox.last = mailbox.last_at_login;
        }
        self.ok("no messages are deleted");
    }

    pub(super) fn last(&mut self) {
        match &self.mailbox {
            Some(mailbox) if self.shared.options.last => self.ok(mailbox.last.to_string()),
            _ => self.err(None, "unknown command"),
        }
    }

    /// UPDATE (RFC 1939 section 6): the lock is released before the answer goes out.
    pub(super) async fn update(&mut self) -> Then {
        let Some(mailbox) = self.mailbox.take() else { return Then::Close };
        let most = match self.shared.options.quit_reply {
            QuitReply::Normal | QuitReply::CloseAfterCommit => usize::MAX,
            QuitReply::SomeNotRemoved { removed } => removed,
            QuitReply::CloseBeforeCommit => 0,
        };
        let all = mailbox.commit(most).await;
        match self.shared.options.quit_reply {
            QuitReply::CloseAfterCommit | QuitReply::CloseBeforeCommit => {}
            _ if all => self.ok("signing off"),
            _ => self.err(None, "some deleted messages not removed"),
        }
        Then::Close
    }

    /// A message by its number, or `None` and an answer that says why.
    pub(super) fn find(&mut self, number: u64) -> Option<Entry> {
        let found = match &self.mailbox {
            None => Err("no such message"),
            Some(mailbox) => mailbox.entry(number).cloned(),
        };
        found.map_err(|why| self.err(None, why)).ok()
    }

    /// One line for each message that is not marked, written as the client takes them.
    async fn listing(&mut self, write: impl Fn(&mut Vec<u8>, u64, &Entry)) -> io::Result<()> {
        let (count, octets) = self.mailbox.as_ref().map(Mailbox::totals).unwrap_or_default();
        self.ok(format!("{count} messages ({octets} octets)"));
        let Self { mailbox, wire, .. } = self;
        for (number, entry) in mailbox.iter().flat_map(Mailbox::unmarked) {
            write(&mut wire.out, number, entry);
            wire.flush_chunk().await?;
        }
        answer::end(&mut self.wire.out);
        Ok(())
    }
}
