//! One session: what is there, what is wanted, what is safe, and the end.

use std::time::SystemTime;

use popwire::blocking::Client;
use popwire::{Farewell, MessageNumber};

use super::plan::{Item, Items};
use super::receive::Outcome;
use super::{Action, Cause, Deletion, Fetch, Listing, Notice, Observer, Plan, QUARANTINE, Run};
use crate::identity::MessageKey;
use crate::ledger::{Change, State};

/// How a session ended that went well.
pub(super) enum End {
    Done,
    /// Messages are left for another session of this run.
    More,
}

impl Fetch<'_> {
    pub(super) fn session(
        &mut self,
        mut client: Client,
        run: &mut Run,
        observer: &mut dyn Observer,
    ) -> Result<End, Cause> {
        let mut marked = Vec::new();
        let worked = self.work(&mut client, run, &mut marked, observer);
        let deletion = end(client, worked.as_ref().err());
        let settled = if let Deletion::Committed { messages } = deletion {
            run.summary.deleted = run.summary.deleted.saturating_add(messages);
            let gone = marked.into_iter().map(|key| Change::Gone { key });
            self.ledger.record(&self.account, &gone.collect::<Vec<_>>())
        } else {
            Ok(())
        };
        // What an earlier session of this run left open, this one has settled.
        run.summary.deletion = deletion;
        let end = worked?;
        settled?;
        Ok(end)
    }

    fn work(
        &mut self,
        client: &mut Client,
        run: &mut Run,
        marked: &mut Vec<MessageKey>,
        observer: &mut dyn Observer,
    ) -> Result<End, Cause> {
        let listing = Listing::ask(client)?;
        observer.opened(&listing);
        if listing.unreadable > 0 {
            observer.noticed(&Notice::Unreadable { lines: listing.unreadable });
        }
        let mut items = self.plan(client, listing, run, observer)?;
        self.count(&items, run)?;
        observer.planned(&Plan {
            messages: items.all.iter().map(|item| (item.listed.clone(), item.action)).collect(),
        });
        if self.dry_run {
            return Ok(End::Done);
        }
        let Outcome { mut delivered, mut stop, doubtful } =
            self.receive(client, &mut items, run, observer)?;
        delivered.sort_unstable();
        // Also where the disk is full: what is safe here need not come again.
        if !doubtful {
            let due = self.due(&items.all, &delivered);
            let deleted = mark(client, &items.all, &due, marked, run, observer);
            let mut changes: Vec<Change> =
                marked.iter().map(|key| Change::DeletePending { key: key.clone() }).collect();
            changes.extend(self.housekeeping(&items, stop.is_none(), run));
            let noted = self.ledger.record(&self.account, &changes);
            stop = stop.or(deleted.err()).or(noted.err().map(Cause::Ledger));
        }
        match stop {
            Some(cause) => Err(cause),
            None if items.more => Ok(End::More),
            None => Ok(End::Done),
        }
    }

    /// The part of the summary that the plan gives; later sessions of a run know what the first one did.
    fn count(&self, items: &Items, run: &mut Run) -> Result<(), Cause> {
        let count = |wanted: &[Action]| items.all.iter().filter(|item| wanted.contains(&item.action)).count();
        let summary = &mut run.summary;
        if summary.sessions <= 1 {
            summary.listed = items.all.len();
            summary.known = count(&[Action::Keep, Action::Delete]);
            summary.skipped = count(&[Action::Skip]);
        }
        summary.left_over = if items.more { 0 } else { count(&[Action::Later]) };
        summary.quarantined.clear();
        for item in &items.all {
            let failed = item.known.as_ref().is_some_and(|known| known.failures >= QUARANTINE);
            if let Some(key) = item.key.as_ref().filter(|_| failed && item.action == Action::Leave) {
                summary.quarantined.extend(self.ledger.entry(&self.account, key)?);
            }
        }
        let pending = items.vanished.iter().filter(|entry| entry.state == State::DeletePending).count();
        summary.settled = summary.settled.saturating_add(pending as u64);
        Ok(())
    }

    /// The messages to delete, by their places: what is delivered and need not stay, and what rules discard.
    fn due(&self, items: &[Item], delivered: &[usize]) -> Vec<usize> {
        let now = SystemTime::now();
        let is_due = |&(at, item): &(usize, &Item)| match item.action {
            Action::Delete | Action::Discard => true,
            // Of a message whose header alone was delivered the rest is nowhere else.
            Action::Fetch | Action::Compare => {
                let newer = (items.len() - at - 1) as u64;
                delivered.binary_search(&at).is_ok() && self.afterwards(item, newer, now) == Action::Delete
            }
            _ => false,
        };
        items.iter().enumerate().filter(is_due).map(|(at, _)| at).collect()
    }

    /// What the ledger should know of the listing: what is there again, and what is there no more.
    fn housekeeping(&self, items: &Items, whole: bool, run: &Run) -> Vec<Change> {
        let mut changes = Vec::new();
        for item in &items.all {
            let (Some(key), Some(known)) = (&item.key, &item.known) else { continue };
            let changed =
                !known.present || (known.listed != item.listed.octets && item.listed.octets.is_some());
            if changed && matches!(item.action, Action::Keep | Action::Delete | Action::Leave) {
                changes.push(Change::Listed { key: key.clone(), octets: item.listed.octets });
            }
        }
        // As long as messages are to come, those that vanished may be among them, under other names.
        if whole && !items.more {
            changes.extend(items.vanished.iter().map(|entry| {
                let key = entry.key.clone();
                match entry.state {
                    // Deleted, as it was to be: only the answer was lost.
                    State::DeletePending => Change::Gone { key },
                    _ => Change::Vanished { key },
                }
            }));
            let summary = &run.summary;
            let all = summary.left_over == 0 && summary.failures.is_empty() && summary.quarantined.is_empty();
            changes.extend((run.marks.is_some() && all).then_some(Change::Complete));
        }
        changes
    }
}

/// DELE for messages that are safe here. A refusal is noted, and the message is deleted another time.
fn mark(
    client: &mut Client,
    items: &[Item],
    due: &[usize],
    marked: &mut Vec<MessageKey>,
    run: &mut Run,
    observer: &mut dyn Observer,
) -> Result<(), Cause> {
    let due: Vec<&Item> = due.iter().filter_map(|at| items.get(*at)).collect();
    let numbers: Vec<MessageNumber> = due.iter().map(|item| item.listed.number).collect();
    for (item, (number, answer)) in due.iter().zip(client.delete_many(numbers)) {
        match answer {
            Ok(_) => {
                observer.marked(&item.listed);
                marked.extend(item.key.clone().filter(|_| item.action != Action::Discard));
            }
            Err(error) if error.is_refused() => {
                observer.not_marked(&item.listed, &error);
                run.summary.not_marked.push((number, error));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// QUIT, and what became of the deletions.
fn end(client: Client, stop: Option<&Cause>) -> Deletion {
    let messages = client.marked();
    let farewell = worth_a_farewell(stop, &client).then(|| client.quit());
    match farewell {
        _ if messages == 0 => Deletion::NoneMarked,
        Some(Farewell::Committed { .. }) => Deletion::Committed { messages },
        Some(Farewell::Refused { reply, .. }) => Deletion::Refused { messages, reply },
        Some(Farewell::Unknown { error, .. }) => Deletion::Unknown { messages, error: Some(error) },
        // The session ended without QUIT. By RFC 1939 nothing is deleted then, but servers differ.
        _ => Deletion::Unknown { messages, error: None },
    }
}

/// Whether QUIT can still be said, and is worth its wait. After a timeout it first waits once more for what the server
/// owes: that is worth it only if there are deletions to save, since without them the next run tells the same.
fn worth_a_farewell(stop: Option<&Cause>, client: &Client) -> bool {
    match stop {
        Some(Cause::Session(_)) if client.is_broken() => false,
        Some(Cause::Session(error)) if error.is_timeout() => client.marked() > 0,
        Some(Cause::Interrupted) => client.marked() > 0,
        _ => true,
    }
}
