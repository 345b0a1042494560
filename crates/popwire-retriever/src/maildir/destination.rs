//! A Maildir as one of the destinations of a retrieval.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Write as _;

use super::batch::{self, Sealed};
use super::flush::Flusher;
use super::{Delivery, DeliveryError, Flush, Maildir, name};
use crate::destination::{Destination, Parcel, Spool, Spooler};
use crate::folder;
use crate::identity::Mark;

/// Delivers into a Maildir, under names that are made from the messages' marks: so what a crash interrupted is found again.
#[derive(Debug)]
pub struct MaildirDestination {
    maildir: Maildir,
    name: String,
    flusher: Flusher,
    prepared: HashMap<Mark, Sealed>,
}

impl MaildirDestination {
    /// Delivers into this Maildir, and flushes so.
    #[must_use]
    pub fn new(maildir: Maildir, flush: Flush) -> Self {
        Self {
            name: format!("maildir:{}", maildir.path().display()),
            flusher: Flusher::new(flush, &maildir.inner),
            prepared: HashMap::new(),
            maildir,
        }
    }

    /// The message in a file in `tmp/`: its own, or a copy.
    fn take_over(&self, parcel: &Parcel) -> Result<Delivery, DeliveryError> {
        if let Some(delivery) =
            parcel.spool().as_maildir().and_then(|spooled| spooled.taken_over_by(&self.maildir))
        {
            return delivery;
        }
        let mut copy = self.maildir.deliver()?;
        match parcel.copy_to(&mut copy) {
            Ok(()) => Ok(copy),
            Err(error) => Err(error.downcast().unwrap_or_else(|reason| copy.failed("copying into", reason))),
        }
    }
}

impl Destination for MaildirDestination {
    fn name(&self) -> &str {
        &self.name
    }

    /// Writes a file in `tmp/`, and removes it.
    fn check(&mut self) -> Result<(), DeliveryError> {
        let mut delivery = self.maildir.deliver()?;
        delivery
            .write_all(b"popwire tries whether it may write here.\r\n")
            .map_err(|error| error.downcast().unwrap_or_else(|reason| delivery.failed("writing", reason)))?;
        delivery.write_out()
    }

    fn remembers(&self) -> bool {
        true
    }

    fn marks(&mut self) -> Result<HashSet<Mark>, DeliveryError> {
        let mut marks = HashSet::new();
        // A reader moves mail from new/ to cur/, so in this order it cannot slip past.
        for folder in ["new", "cur"] {
            let folder = self.maildir.path().join(folder);
            let reading = |reason| DeliveryError::io("reading", &folder, reason);
            for entry in fs::read_dir(&folder).map_err(reading)? {
                marks.extend(entry.map_err(reading)?.file_name().to_str().and_then(name::mark));
            }
            // The files were flushed before they were moved; the crash may have come before the folder was.
            folder::sync(&folder)?;
        }
        Ok(marks)
    }

    fn spooler(&self) -> Option<Spooler> {
        let maildir = self.maildir.clone();
        Some(Box::new(move || maildir.deliver().map(Spool::in_maildir)))
    }

    fn prepare(&mut self, parcels: &[&Parcel]) -> Vec<Result<(), DeliveryError>> {
        self.prepared.clear();
        let mut results = Vec::with_capacity(parcels.len());
        let mut taken = Vec::with_capacity(parcels.len());
        let mut marks = Vec::with_capacity(parcels.len());
        for parcel in parcels {
            results.push(self.take_over(parcel).map(|delivery| {
                taken.push((delivery, name::marked(parcel.mark, &self.maildir.inner.host)));
                marks.push(parcel.mark);
            }));
        }
        let mut sealed = marks.into_iter().zip(batch::prepare(taken, &mut self.flusher));
        for result in results.iter_mut().filter(|result| result.is_ok()) {
            let Some((mark, sealed)) = sealed.next() else { break };
            match sealed.into_ready() {
                Ok(ready) => {
                    self.prepared.insert(mark, ready);
                }
                Err(error) => *result = Err(error),
            }
        }
        results
    }

    fn commit(&mut self, parcels: &[&Parcel]) -> Vec<Result<String, DeliveryError>> {
        let sealed: Vec<_> = parcels.iter().map(|parcel| self.prepared.remove(&parcel.mark)).collect();
        let prepared = sealed.iter().map(Option::is_some).collect::<Vec<_>>();
        let mut delivered = batch::commit(sealed.into_iter().flatten().collect()).into_iter();
        let path = self.maildir.path().join("new");
        let unprepared = || DeliveryError::Spoiled { path: path.clone() };
        prepared
            .into_iter()
            .map(|prepared| {
                let result = delivered.next().filter(|_| prepared).unwrap_or_else(|| Err(unprepared()));
                result.map(|delivered| delivered.path.display().to_string())
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
