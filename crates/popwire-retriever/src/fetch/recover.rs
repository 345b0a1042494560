//! What a run that was killed left open: it is settled before anything else.

use std::collections::{HashMap, HashSet};

use super::{Cause, Fetch, Run};
use crate::identity::Mark;
use crate::ledger::Change;

impl Fetch<'_> {
    /// Looks up in the destinations what became of each message that was about to be delivered.
    pub(super) fn recover(&mut self, run: &mut Run) -> Result<(), Cause> {
        let unfinished = self.ledger.unfinished(&self.account)?;
        let mut found: HashMap<String, HashSet<Mark>> = HashMap::new();
        let mut changes = Vec::new();
        for (entry, deliveries) in unfinished {
            let key = &entry.key;
            let mark = entry.content.map(|content| Mark::new(&self.account, key, &content));
            let mut missing = false;
            for destination in &mut self.destinations {
                let name = destination.name().to_owned();
                let has = if deliveries.contains(&name) {
                    true
                } else if destination.remembers() {
                    if !found.contains_key(&name) {
                        found.insert(name.clone(), destination.marks()?);
                    }
                    mark.is_some_and(|mark| found.get(&name).is_some_and(|marks| marks.contains(&mark)))
                } else {
                    // Nobody can tell.
                    false
                };
                if has {
                    changes.push(Change::Has { key: key.clone(), destination: name });
                } else {
                    missing = true;
                }
            }
            let key = key.clone();
            if missing {
                run.summary.recovered.undone += 1;
                changes.push(Change::Undelivered { key });
            } else {
                run.summary.recovered.delivered += 1;
                changes.push(Change::Delivered { key, received: None });
            }
        }
        self.ledger.record(&self.account, &changes)?;
        if self.ledger.may_have_forgotten(&self.account)? {
            let marks = self.destinations.iter_mut().map(|destination| {
                if destination.remembers() { destination.marks() } else { Ok(HashSet::new()) }
            });
            run.marks = Some(marks.collect::<Result<_, _>>()?);
        }
        Ok(())
    }
}
