//! The maildrop as one session sees it: numbered at login, with marks; and the commands that need no message's octets.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use popwire_proto::ResponseCode;
use popwire_proto::server::answer;

use super::{Connection, with_store};
use crate::answer::Then;
use crate::maildrop::Lock;
use crate::options::Options;
use crate::quirks::{Dele, Listing, One};
use crate::store::Entry;
use crate::{EventKind, Maildrop, QuitReply};

/// Messages as they were at login. The lock lives as long as this.
pub(super) struct Mailbox {
    pub(super) maildrop: Maildrop,
    /// Message n is at n - 1, whatever happens to others (RFC 1939 section 4).
    slots: Vec<Slot>,
    /// The highest number retrieved, for LAST; and what it was at login.
    last: u64,
    last_at_login: u64,
    /// What DELE does, once there was one.
    dele: Dele,
    lock: Lock,
}

struct Slot {
    entry: Entry,
    deleted: bool,
    /// Removed already: no RSET brings it back.
    gone: bool,
    retrieved: bool,
}

impl Slot {
    fn new(entry: Entry) -> Self {
        Self { entry, deleted: false, gone: false, retrieved: false }
    }
}

/// What became of the marked messages.
pub(super) struct Committed {
    pub(super) removed: usize,
    pub(super) failed: usize,
}

impl Mailbox {
    /// Numbers the messages. `last`: finds out which have been retrieved, too.
    pub(super) async fn open(maildrop: Maildrop, lock: Lock, options: &Options) -> io::Result<Self> {
        let (ends, last, quirks) = (options.line_ends, options.last, options.quirks.clone());
        let read = move |maildrop: &Maildrop| -> io::Result<_> {
            let entries = maildrop.view(ends, &quirks)?;
            let seen = |entry: &Entry| maildrop.store().is_seen(&entry.key).unwrap_or(false);
            let last = if last { entries.iter().rposition(seen).map_or(0, |at| at as u64 + 1) } else { 0 };
            Ok((entries, last))
        };
        let (entries, last) = with_store(&maildrop, read).await??;
        let slots = entries.into_iter().map(Slot::new).collect();
        Ok(Self { maildrop, slots, last, last_at_login: last, dele: Dele::Marks, lock })
    }

    /// How many messages are not marked, and how many octets they have together.
    pub(super) fn totals(&self) -> (u64, u64) {
        let add = |(count, octets): (u64, u64), (_, entry): (u64, &Entry)| {
            // What a quirk says of sizes may be anything.
            (count + 1, octets.saturating_add(entry.size))
        };
        self.unmarked().fold((0, 0), add)
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
        if let Some(slot) = self.slot(number) {
            slot.retrieved = true;
        }
    }

    fn slot(&mut self, number: u64) -> Option<&mut Slot> {
        usize::try_from(number).ok().and_then(|number| self.slots.get_mut(number.checked_sub(1)?))
    }

    /// Marks what was retrieved.
    fn mark_retrieved(&mut self) {
        self.slots.iter_mut().filter(|slot| slot.retrieved).for_each(|slot| slot.deleted = true);
    }

    /// Takes the marks back, and what was retrieved is forgotten.
    fn reset(&mut self) {
        for slot in &mut self.slots {
            (slot.deleted, slot.retrieved) = (slot.gone, false);
        }
        self.last = self.last_at_login;
    }

    /// What is to be removed, from where, and the lock that is to be held meanwhile.
    fn into_marked(self) -> (Maildrop, Vec<Entry>, Lock) {
        let Self { maildrop, slots, lock, .. } = self;
        let marked = slots.into_iter().filter(|slot| slot.deleted && !slot.gone).map(|slot| slot.entry);
        (maildrop, marked.collect(), lock)
    }

    /// Releases the lock, and removes marked messages some time after.
    fn commit_later(self, after: Duration) -> Committed {
        let (maildrop, marked, lock) = self.into_marked();
        let committed = Committed { removed: marked.len(), failed: 0 };
        drop(lock);
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            with_store(&maildrop, move |maildrop| maildrop.remove(&marked)).await
        });
        committed
    }

    /// A message by its number, if it is marked.
    pub(super) fn marked(&self, number: u64) -> Option<&Entry> {
        let slot = usize::try_from(number).ok().and_then(|number| self.slots.get(number.checked_sub(1)?));
        slot.filter(|slot| slot.deleted).map(|slot| &slot.entry)
    }

    /// Removes marked messages, the first `most` of them, then releases the lock.
    pub(super) async fn commit(self, most: usize) -> Committed {
        let (maildrop, mut marked, lock) = self.into_marked();
        let all = marked.len();
        marked.truncate(most);
        let removal = move |maildrop: &Maildrop| {
            let removed = maildrop.remove(&marked);
            // The lock is held until the files are gone, even if the connection is dropped meanwhile.
            drop(lock);
            removed
        };
        let removed = with_store(&maildrop, removal).await.unwrap_or(0);
        Committed { removed, failed: all - removed }
    }

    fn unmarked(&self) -> impl Iterator<Item = (u64, &Entry)> {
        let listed = self.dele == Dele::Listed;
        let numbered = (1..).zip(&self.slots).filter(move |(_, slot)| !slot.deleted || listed);
        let renumbered = self.dele == Dele::Renumbers;
        let counted = (1..).zip(numbered);
        counted.map(move |(count, (number, slot))| (if renumbered { count } else { number }, &slot.entry))
    }
}

impl Connection {
    pub(super) fn stat(&mut self) {
        let (count, octets) = self.mailbox.as_ref().map(Mailbox::totals).unwrap_or_default();
        self.ok_with(self.shared.options.quirks.listing.stat(count, octets));
    }

    pub(super) async fn list(&mut self, message: Option<u64>) -> io::Result<Then> {
        let Some(number) = message else { return self.listing(Listing::Scan).await };
        let Some(entry) = self.find(number) else { return Ok(Then::Continue) };
        if self.needs_utf8(&entry).await? {
            self.err(Some(ResponseCode::Utf8), "the message needs UTF8");
        } else {
            self.ok_with(format!("{number} {}", entry.size));
        }
        Ok(Then::Continue)
    }

    pub(super) async fn uidl(&mut self, message: Option<u64>) -> io::Result<Then> {
        let Some(number) = message else { return self.listing(Listing::UniqueIds).await };
        let Some(entry) = self.find(number) else { return Ok(Then::Continue) };
        let one = self.shared.options.quirks.listing.one;
        // Octets, not text: a test may give messages ids that are no UTF-8.
        let number = if one == One::WithoutNumber { String::new() } else { format!("{number} ") };
        self.ok_with([number.as_bytes(), &entry.unique_id].concat());
        if one == One::AsListing {
            answer::end(&mut self.wire.out);
        }
        Ok(Then::Continue)
    }

    pub(super) async fn dele(&mut self, number: u64) -> io::Result<()> {
        if self.shared.options.read_only {
            self.err(None, "this server removes nothing");
            return Ok(());
        }
        let Some(entry) = self.find(number) else { return Ok(()) };
        let dele = self.shared.options.quirks.update.dele;
        if let Some(mailbox) = &mut self.mailbox
            && dele != Dele::Ignored
        {
            mailbox.dele = dele;
            let gone = dele == Dele::Immediate
                && with_store(&mailbox.maildrop, move |maildrop| maildrop.remove(&[entry])).await? == 1;
            if let Some(slot) = mailbox.slot(number) {
                (slot.deleted, slot.gone) = (true, gone);
            }
        }
        self.ok("message deleted");
        Ok(())
    }

    pub(super) fn rset(&mut self) {
        if let Some(mailbox) = &mut self.mailbox
            && !self.shared.options.quirks.update.rset_ignored
        {
            mailbox.reset();
        }
        self.ok("no messages are deleted");
    }

    pub(super) fn last(&mut self) {
        match &self.mailbox {
            Some(mailbox) if self.shared.options.last => self.ok_with(mailbox.last.to_string()),
            _ => self.err(None, "unknown command"),
        }
    }

    /// UPDATE (RFC 1939 section 6): the lock is released before the answer goes out.
    pub(super) async fn update(&mut self) -> io::Result<Then> {
        let reply = self.shared.options.quit_reply;
        if reply == QuitReply::AfterOneMoreLine {
            while self.machine.next_line().is_none() {
                if !self.hear().await? {
                    return Ok(Then::Close);
                }
            }
        }
        let Some(mut mailbox) = self.mailbox.take() else { return Ok(Then::Close) };
        if self.shared.options.quirks.view.pops {
            let retrieved = mailbox.slots.iter().filter(|slot| slot.retrieved);
            mailbox.maildrop.earlier().popped(retrieved.map(|slot| slot.entry.key.clone()));
        }
        if self.shared.options.quirks.update.auto_delete {
            mailbox.mark_retrieved();
        }
        let Committed { removed, failed } = match reply {
            QuitReply::RemovedLater { after } => mailbox.commit_later(after),
            QuitReply::SomeNotRemoved { removed } => mailbox.commit(removed).await,
            QuitReply::CloseBeforeCommit => mailbox.commit(0).await,
            QuitReply::Normal
            | QuitReply::CloseAfterCommit
            | QuitReply::ResetAfterCommit
            | QuitReply::AfterOneMoreLine => mailbox.commit(usize::MAX).await,
        };
        self.wire.teller.tell(EventKind::Quit { removed, failed });
        match reply {
            QuitReply::CloseAfterCommit | QuitReply::CloseBeforeCommit => {}
            QuitReply::ResetAfterCommit => return Ok(Then::Reset),
            _ if failed == 0 => self.ok("signing off"),
            _ => self.err(None, "some deleted messages not removed"),
        }
        Ok(Then::Close)
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
    async fn listing(&mut self, listing: Listing) -> io::Result<Then> {
        let shared = Arc::clone(&self.shared);
        let quirks = &shared.options.quirks;
        let (count, octets) = self.mailbox.as_ref().map(Mailbox::totals).unwrap_or_default();
        if listing == Listing::Scan && count == 0 && quirks.listing.empty_refused {
            self.err(None, "no messages");
            return Ok(Then::Continue);
        }
        self.ok(format!("{count} messages ({octets} octets)"));
        let Self { mailbox, wire, recorder, .. } = self;
        let newest = mailbox.as_ref().map(|mailbox| mailbox.slots.len() as u64);
        let cut_after = quirks.listing.cut_after.filter(|_| listing == Listing::UniqueIds);
        let most = cut_after.and_then(|lines| usize::try_from(lines).ok()).unwrap_or(usize::MAX);
        for (number, entry) in mailbox.iter().flat_map(Mailbox::unmarked).take(most) {
            if listing == Listing::Scan && quirks.view.newest_unlisted && Some(number) == newest {
                continue;
            }
            let start = wire.out.len();
            match listing {
                Listing::Scan => {
                    quirks.listing.line(listing, number, entry.size.to_string().as_bytes(), &mut wire.out);
                }
                Listing::UniqueIds => quirks.listing.line(listing, number, &entry.unique_id, &mut wire.out),
            }
            recorder.more(wire.out.get(start..).unwrap_or_default());
            wire.flush_chunk().await?;
        }
        // Also where all lines were written, and only the dot is missing.
        if cut_after.is_some_and(|lines| lines <= count) {
            return Ok(Then::Close);
        }
        for extra in 1..=quirks.listing.flood(listing) {
            let start = wire.out.len();
            let unique_id = format!("flood-{extra}");
            quirks.listing.line(listing, count + extra, unique_id.as_bytes(), &mut wire.out);
            recorder.more(wire.out.get(start..).unwrap_or_default());
            wire.flush_chunk().await?;
        }
        let start = self.wire.out.len();
        answer::end(&mut self.wire.out);
        self.record_rest(start);
        Ok(Then::Continue)
    }
}
