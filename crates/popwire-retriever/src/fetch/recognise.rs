//! A server that calls all its messages by other names than yesterday, after a migration or a repair: what was delivered is
//! recognised by its header, so that it does not come again.

use std::collections::HashMap;

use popwire::MessageNumber;
use popwire::blocking::Client;

use super::plan::{Item, Items, Shown, header_hashes};
use super::{Action, Cause, Fetch, Notice, Observer};
use crate::identity::Hash;
use crate::ledger::{Change, Entry};

/// Of so few messages it is cheaper to fetch them again and compare than to ask a person.
const FEW: usize = 20;

impl Fetch<'_> {
    /// Looks whether messages under new unique-ids are old ones, if more than half of the old ones are not listed any more.
    /// True if some were given new names in the ledger.
    ///
    /// # Errors
    ///
    /// [`Cause::Renumbered`] if many messages are new and the server does not show whether they are.
    pub(super) fn recognise(
        &self,
        client: &mut Client,
        items: &Items,
        observer: &mut dyn Observer,
    ) -> Result<bool, Cause> {
        let old: Vec<&Entry> = items.vanished.iter().filter(|entry| entry.state.is_delivered()).collect();
        let left =
            items.all.iter().filter(|item| item.known.as_ref().is_some_and(|known| known.present)).count();
        let new: Vec<&Item> = items.all.iter().filter(|item| is_new(item)).collect();
        if old.len() <= left {
            return Ok(false);
        }
        if new.is_empty() {
            if old.len() >= FEW {
                observer.noticed(&Notice::Shrunk { before: old.len() + left, now: left });
            }
            return Ok(false);
        }
        // What was imported from another program has no header to compare with.
        let telling = old.iter().filter(|entry| entry.header.is_some()).count();
        let numbers: Vec<MessageNumber> = new.iter().map(|item| item.listed.number).collect();
        let shown = if telling > 0 { header_hashes(client, &numbers)? } else { None };
        let conclusive = shown.is_some() && telling * 10 >= old.len() * 9;
        let renamed = shown.map(|headers| pair(&old, &new, &headers)).unwrap_or_default();
        let recognised = renamed.iter().filter(|change| matches!(change, Change::Renamed { .. })).count();
        let unknown = new.len().saturating_sub(recognised);
        if !conclusive && !self.accept_new_ids && old.len() >= FEW && unknown * 10 > new.len() * 9 {
            let octets =
                new.iter().try_fold(0_u64, |sum, item| Some(sum.saturating_add(item.listed.octets?)));
            return Err(Cause::Renumbered { known: old.len(), unknown: new.len(), octets });
        }
        if renamed.is_empty() {
            return Ok(false);
        }
        observer.noticed(&Notice::Renumbered { known: old.len(), recognised });
        if self.dry_run {
            return Ok(false);
        }
        self.ledger.record(&self.account, &renamed)?;
        Ok(true)
    }
}

fn is_new(item: &Item) -> bool {
    item.action == Action::Fetch && item.known.is_none() && item.key.is_some()
}

/// Old messages and new names for them: those with the same header, and of several such those with the same size first.
fn pair(old: &[&Entry], new: &[&Item], headers: &HashMap<MessageNumber, Shown>) -> Vec<Change> {
    let mut by_header: HashMap<Hash, Vec<&Entry>> = HashMap::new();
    for entry in old.iter().rev() {
        if let Some(header) = entry.header {
            by_header.entry(header).or_default().push(entry);
        }
    }
    let mut changes = Vec::new();
    for item in new {
        // Equal headers without a Message-ID may be those of two messages.
        let shown = headers.get(&item.listed.number).filter(|shown| shown.is_its_own);
        let Some(candidates) = shown.and_then(|shown| by_header.get_mut(&shown.hash)) else {
            continue;
        };
        let same_size = candidates.iter().rposition(|entry| entry.listed == item.listed.octets);
        // Another server may count the size otherwise.
        let at = same_size.or(candidates.len().checked_sub(1));
        if let (Some(at), Some(to)) = (at, &item.key) {
            let entry = candidates.remove(at);
            changes.push(Change::Renamed { key: entry.key.clone(), to: to.clone() });
            changes.push(Change::Listed { key: to.clone(), octets: item.listed.octets });
        }
    }
    changes
}
