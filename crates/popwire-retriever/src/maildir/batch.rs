//! Messages that become durable together.

use std::fs::File;
use std::io;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

use super::flush::{Flush, Flusher};
use super::{Delivered, Delivery, DeliveryError, Inner, move_without_overwriting, name};

/// Puts messages on the disk, in `tmp/`, each to be called so later. Those that this fails for know it.
pub(super) fn prepare(deliveries: Vec<(Delivery, String)>, flusher: &mut Flusher) -> Vec<Sealed> {
    let mut sealed: Vec<_> =
        deliveries.into_iter().map(|(delivery, name)| Sealed::new(delivery, &name)).collect();
    let mut open: Vec<_> = sealed.iter_mut().filter(|one| one.failure.is_none()).collect();
    open.sort_by_key(|one| one.delivery.opened);
    let flushed = flusher.flush(&open.iter().map(|one| &one.delivery).collect::<Vec<_>>());
    for (one, flushed) in open.into_iter().zip(flushed) {
        one.failure = flushed.err().map(|reason| one.delivery.failed("flushing to disk", reason));
    }
    sealed
}

/// Moves messages that are on the disk into `new/`, and flushes that, once. There is a result for each, in order; an error
/// that concerns one message leaves the others alone.
pub(super) fn commit(mut sealed: Vec<Sealed>) -> Vec<Result<Delivered, DeliveryError>> {
    let mut folders: Vec<Folder> = Vec::new();
    for one in sealed.iter_mut().filter(|one| one.failure.is_none()) {
        let maildir = &one.delivery.maildir;
        if !folders.iter().any(|folder| Arc::ptr_eq(&folder.maildir, maildir)) {
            match Folder::open(maildir) {
                Ok(folder) => folders.push(folder),
                Err(error) => {
                    one.failure = Some(error);
                    continue;
                }
            }
        }
        one.move_to_new();
    }
    for folder in &mut folders {
        folder.failed = folder.new.sync_all().err();
    }
    sealed.into_iter().map(|one| one.result(&folders)).collect()
}

/// The `new/` of the messages of a batch.
struct Folder {
    maildir: Arc<Inner>,
    new: File,
    failed: Option<io::Error>,
}

impl Folder {
    /// Opened for this batch, and before anything is moved into it: the system tells each open folder of an error once, so
    /// that of two batches with one between them the second would not hear of it.
    fn open(maildir: &Arc<Inner>) -> Result<Self, DeliveryError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::openat(&maildir.new, ".", flags, Mode::empty()) {
            Ok(new) => Ok(Self { maildir: Arc::clone(maildir), new: new.into(), failed: None }),
            Err(reason) => Err(DeliveryError::io("opening", maildir.root.join("new"), reason.into())),
        }
    }
}

/// A delivery that nothing more is written to.
#[derive(Debug)]
pub(super) struct Sealed {
    delivery: Delivery,
    target: String,
    failure: Option<DeliveryError>,
}

impl Sealed {
    fn new(mut delivery: Delivery, name: &str) -> Self {
        let failure = delivery.seal().err();
        Self { target: format!("{name},S={}", delivery.octets), delivery, failure }
    }

    /// Itself, if nothing failed so far.
    pub(super) fn into_ready(mut self) -> Result<Self, DeliveryError> {
        self.failure.take().map_or(Ok(self), Err)
    }

    fn move_to_new(&mut self) {
        let Delivery { maildir, name, .. } = &self.delivery;
        match move_without_overwriting(&maildir.tmp, name, &maildir.new, &self.target) {
            Ok(()) => *self.delivery.moved.get_mut() = true,
            // The same message with the same mark, delivered a moment ago: its file is dropped, and that one stays.
            Err(reason)
                if reason.kind() == io::ErrorKind::AlreadyExists && name::mark(&self.target).is_some() => {}
            Err(reason) => {
                let path = maildir.root.join("new").join(&self.target);
                self.failure = Some(DeliveryError::io("moving the message to", path, reason));
            }
        }
    }

    fn result(self, folders: &[Folder]) -> Result<Delivered, DeliveryError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let maildir = Arc::clone(&self.delivery.maildir);
        match folders.iter().find(|folder| Arc::ptr_eq(&folder.maildir, &maildir)) {
            Some(Folder { failed: None, .. }) => Ok(Delivered {
                path: maildir.root.join("new").join(&self.target),
                name: self.target.rsplit_once(",S=").map(|(name, _)| name.to_owned()).unwrap_or_default(),
                octets: self.delivery.octets,
            }),
            Some(Folder { failed: Some(reason), .. }) => {
                let reason =
                    reason.raw_os_error().map_or_else(|| reason.kind().into(), io::Error::from_raw_os_error);
                Err(DeliveryError::io("flushing to disk", maildir.root.join("new"), reason))
            }
            None => Err(DeliveryError::Spoiled { path: self.delivery.tmp_path() }),
        }
    }
}

impl Delivery {
    /// Put the message on the disk and into `new/`. When this returns `Ok`, the message survives loss of power. Many messages
    /// are done quicker together, as a [`MaildirDestination`](super::MaildirDestination) does.
    ///
    /// # Errors
    ///
    /// On an error the message counts as not delivered, and must not be deleted where it came from. Nothing of it is in
    /// `new/`, except where flushing `new/` itself failed: then the message lies there, and may not survive.
    pub fn commit(self) -> Result<Delivered, DeliveryError> {
        let path = self.tmp_path();
        let mut flusher = Flusher::new(Flush::Files, &self.maildir);
        let name = self.name.clone();
        let prepared = prepare(vec![(self, name)], &mut flusher);
        commit(prepared).pop().unwrap_or(Err(DeliveryError::Spoiled { path }))
    }
}

#[cfg(test)]
mod tests;
