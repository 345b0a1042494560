//! Many messages onto the disk while more of them come.

use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

use super::flush::{Flush, Flusher};
use super::{Delivered, Delivery, DeliveryError, Maildir, batch};

/// Makes messages durable on a thread of its own, while its owner receives the next: what has come in during one flush is
/// flushed together by the next. So a message alone waits for nobody, and of many each costs a fraction of a flush.
///
/// A message is on the disk when its result says so, and not before: with each goes a `T` by which its owner knows it again.
///
/// ```
/// use std::io::Write;
/// use popwire_retriever::maildir::{Committer, Flush, Maildir};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let home = tempfile::tempdir()?;
/// let maildir = Maildir::create(home.path().join("Mail"))?;
/// let mut committer = Committer::new(&maildir, Flush::Auto)?;
/// for number in 1..=100 {
///     let mut delivery = maildir.deliver()?;
///     write!(delivery, "Subject: {number}\r\n\r\nHello.\r\n")?;
///     committer.push(number, delivery)?;
///     for (number, delivered) in committer.finished() {
///         println!("{number} is safe: {}", delivered?.path.display());
///     }
/// }
/// for (number, delivered) in committer.finish() {
///     println!("{number} is safe: {}", delivered?.path.display());
/// }
/// # Ok(()) }
/// ```
///
/// When it is dropped, it commits what it was given; who wants to know waits for [`finish`](Self::finish).
#[derive(Debug)]
pub struct Committer<T: Send + 'static> {
    /// Closed by dropping it, which ends the thread when all is done.
    given: Option<SyncSender<(T, Delivery)>>,
    results: Receiver<(T, Result<Delivered, DeliveryError>)>,
    thread: Option<JoinHandle<()>>,
}

/// Most messages that are flushed together, and that wait for the next flush: beyond this a flush costs less than the rest.
const MESSAGES: usize = 256;

/// Most octets that are flushed together, so that a message does not wait for gigabytes of others.
const OCTETS: u64 = 64 << 20;

impl<T: Send + 'static> Committer<T> {
    /// Starts the thread, for deliveries into this Maildir.
    ///
    /// # Errors
    ///
    /// If the system has no thread left.
    pub fn new(maildir: &Maildir, flush: Flush) -> std::io::Result<Self> {
        let most = batch_size();
        let (given, to_do) = sync_channel::<(T, Delivery)>(most);
        let (done, results) = channel();
        let flusher = Flusher::new(flush, &maildir.inner);
        let thread = thread::Builder::new()
            .name("maildir".to_owned())
            .spawn(move || work(&to_do, &done, most, flusher))?;
        Ok(Self { given: Some(given), results, thread: Some(thread) })
    }

    /// Hands over a message that is written to its end. Waits while a few hundred others wait. It should be one of the
    /// committer's [`Maildir`]: among messages of others each file is flushed by itself.
    ///
    /// # Errors
    ///
    /// If the rest of it cannot be written: then it is not delivered, and no result will come.
    pub fn push(&mut self, tag: T, mut delivery: Delivery) -> Result<(), DeliveryError> {
        delivery.write_out()?;
        // It fails only if the thread has died, and then `finish` tells.
        let _ = self.given.as_ref().map(|given| given.send((tag, delivery)));
        Ok(())
    }

    /// The results that have come since this was called last. Does not wait.
    pub fn finished(&mut self) -> impl Iterator<Item = (T, Result<Delivered, DeliveryError>)> {
        self.results.try_iter()
    }

    /// Waits until all is on the disk, or is known not to be; the results that have not been taken.
    pub fn finish(mut self) -> impl Iterator<Item = (T, Result<Delivered, DeliveryError>)> {
        self.end();
        std::mem::replace(&mut self.results, channel().1).into_iter()
    }

    fn end(&mut self) {
        drop(self.given.take());
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join)
            && !thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

impl<T: Send + 'static> Drop for Committer<T> {
    fn drop(&mut self) {
        self.end();
    }
}

/// Each message has an open file. A quarter of what the process may open for those that are flushed, and another for those
/// that wait, leave half of it to others.
fn batch_size() -> usize {
    let allowed = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let quarter = allowed.map_or(MESSAGES, |files| usize::try_from(files / 4).unwrap_or(MESSAGES));
    quarter.clamp(1, MESSAGES)
}

fn work<T>(
    to_do: &Receiver<(T, Delivery)>,
    done: &std::sync::mpsc::Sender<(T, Result<Delivered, DeliveryError>)>,
    most: usize,
    mut flusher: Flusher,
) {
    while let Ok((tag, delivery)) = to_do.recv() {
        let mut octets = delivery.octets();
        let (mut tags, mut deliveries) = (vec![tag], vec![delivery]);
        while deliveries.len() < most
            && octets < OCTETS
            && let Ok((tag, delivery)) = to_do.try_recv()
        {
            octets = octets.saturating_add(delivery.octets());
            tags.push(tag);
            deliveries.push(delivery);
        }
        for result in tags.into_iter().zip(batch::commit(deliveries, &mut flusher)) {
            // Nobody listens any more; the messages are delivered all the same.
            let _ = done.send(result);
        }
    }
}

#[cfg(test)]
mod tests;
