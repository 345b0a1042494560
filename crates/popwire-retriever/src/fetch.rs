//! A retrieval session, in the order that loses nothing.

use std::io::{self, Write};

use popwire::blocking::{Client, Message};
use popwire::{Farewell, MessageNumber};

use crate::maildir::{Committer, Delivered, Delivery, DeliveryError, Flush, Maildir};

mod listing;
mod observer;
mod outcome;
#[cfg(test)]
mod tests;

pub use listing::{Listed, Listing};
pub use observer::{Observer, Silent};
pub use outcome::{Cause, Deletion, Failure, Stopped, Summary};

/// What to fetch, and where to.
#[derive(Clone, Debug)]
#[must_use = "nothing happens before `run`"]
pub struct Fetch<'a> {
    maildir: &'a Maildir,
    delete: bool,
    limit: Option<usize>,
    flush: Flush,
}

impl<'a> Fetch<'a> {
    /// Fetch everything into this Maildir, and keep it on the server.
    pub fn new(maildir: &'a Maildir) -> Self {
        Self { maildir, delete: false, limit: None, flush: Flush::default() }
    }

    /// Whether messages are deleted on the server, each after it is durable here. Default no.
    pub fn delete(mut self, delete: bool) -> Self {
        self.delete = delete;
        self
    }

    /// Fetch so many messages at most, those with the lowest numbers. Default all.
    pub fn limit(mut self, messages: Option<usize>) -> Self {
        self.limit = messages;
        self
    }

    /// How the files are flushed. Default [`Flush::Auto`].
    pub fn flush(mut self, flush: Flush) -> Self {
        self.flush = flush;
        self
    }

    /// Fetch over this session, which must be logged in, and end it.
    ///
    /// Messages that failed alone are in [`Summary::failures`], and what became of the deletions is in
    /// [`Summary::deletion`]: look at both.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if the session broke, or nothing more can be stored; the summary of what was done until then is in it.
    pub fn run(&self, mut client: Client, observer: &mut dyn Observer) -> Result<Summary, Box<Stopped>> {
        let mut summary = Summary::default();
        let stop = self.messages(&mut client, observer, &mut summary).err();
        summary.deletion = end(client, stop.as_ref());
        match stop {
            None => {
                observer.finished(&summary);
                Ok(summary)
            }
            Some(cause) => Err(Box::new(Stopped { cause, summary })),
        }
    }

    fn messages(
        &self,
        client: &mut Client,
        observer: &mut dyn Observer,
        summary: &mut Summary,
    ) -> Result<(), Cause> {
        let listing = Listing::ask(client)?;
        summary.listed = listing.messages.len();
        observer.opened(&listing);
        let count = listing.messages.len().min(self.limit.unwrap_or(usize::MAX));
        let wanted = listing.messages.get(..count).unwrap_or_default();
        if wanted.is_empty() {
            return Ok(());
        }
        let mut received = Received::default();
        self.receive(client, wanted, &mut received, observer, summary)?;
        // Also where the disk is full: what is safe here need not come again.
        if self.delete && !received.doubtful {
            let marked = mark(client, &received.delivered, observer, summary);
            received.stopped_by(marked.err());
        }
        received.stop.map_or(Ok(()), Err)
    }

    /// RETR for all of them, into the Maildir.
    ///
    /// # Errors
    ///
    /// If it cannot begin.
    fn receive<'l>(
        &self,
        client: &mut Client,
        wanted: &'l [Listed],
        received: &mut Received<'l>,
        observer: &mut dyn Observer,
        summary: &mut Summary,
    ) -> Result<(), Cause> {
        // Before RETR: many servers take a message for read once it was sent.
        let mut next = Some(self.maildir.deliver()?);
        let mut committer = Committer::new(self.maildir, self.flush).map_err(|source| DeliveryError::Io {
            doing: "starting a thread for",
            path: self.maildir.path().into(),
            source,
        })?;
        let mut messages = client.retrieve_many(wanted.iter().map(|listed| listed.number));
        for (at, listed) in wanted.iter().enumerate() {
            observer.begun(listed);
            let Some((_, message)) = messages.next() else { break };
            let delivery = next.take().map_or_else(|| self.maildir.deliver(), Ok);
            let taken = take(message, delivery, listed, observer)
                .and_then(|delivery| Ok(committer.push(at, delivery)?));
            received.stopped_by(note(listed, taken.err(), observer, summary));
            for (at, result) in committer.finished() {
                let listed = wanted.get(at).unwrap_or(listed);
                settle(listed, result, received, observer, summary);
            }
            if received.stop.is_some() {
                break;
            }
        }
        if received.stop.is_some() && !received.doubtful {
            // The session is sound, and is wanted for the deletions.
            messages.stop();
            while let Some((_, message)) = messages.next() {
                let skipped = message.and_then(|mut message| message.copy_to(&mut io::sink()));
                let failed = skipped.err().map(Cause::Session).filter(|cause| !cause.is_about_one_message());
                received.stopped_by(failed);
            }
        }
        for (at, result) in committer.finish() {
            if let Some(listed) = wanted.get(at) {
                settle(listed, result, received, observer, summary);
            }
        }
        Ok(())
    }
}

/// What came of asking for messages.
#[derive(Default)]
struct Received<'l> {
    /// The messages that survive loss of power.
    delivered: Vec<&'l Listed>,
    /// Why there are no more of them: the first reason.
    stop: Option<Cause>,
    /// The session failed, be it the first reason or not. Where an answer is missing, another may have been taken for it:
    /// nothing is deleted then.
    doubtful: bool,
}

impl Received<'_> {
    fn stopped_by(&mut self, stop: Option<Cause>) {
        self.doubtful |= matches!(stop, Some(Cause::Session(_)));
        self.stop = self.stop.take().or(stop);
    }
}

/// A message into its file. It is not durable yet.
fn take(
    message: popwire::Result<Message<'_>>,
    delivery: Result<Delivery, DeliveryError>,
    listed: &Listed,
    observer: &mut dyn Observer,
) -> Result<Delivery, Cause> {
    let mut message = message?;
    let mut writer = Writer { delivery: delivery?, failed: None, listed, observer };
    let copied = message.copy_to(&mut writer);
    if let Some(error) = writer.failed {
        return Err(error.into());
    }
    copied?;
    Ok(writer.delivery)
}

/// What became of a message that was handed to the committer.
fn settle<'l>(
    listed: &'l Listed,
    result: Result<Delivered, DeliveryError>,
    received: &mut Received<'l>,
    observer: &mut dyn Observer,
    summary: &mut Summary,
) {
    match result {
        Ok(done) => {
            summary.delivered += 1;
            summary.octets += done.octets;
            observer.delivered(listed, &done);
            received.delivered.push(listed);
        }
        Err(error) => received.stopped_by(note(listed, Some(error.into()), observer, summary)),
    }
}

/// Notes a failure that is about this message alone; gives the cause if it is not.
fn note(
    listed: &Listed,
    cause: Option<Cause>,
    observer: &mut dyn Observer,
    summary: &mut Summary,
) -> Option<Cause> {
    let cause = cause?;
    if !cause.is_about_one_message() {
        return Some(cause);
    }
    let failure = Failure { message: listed.clone(), cause };
    observer.failed(&failure);
    summary.failures.push(failure);
    None
}

/// DELE for messages that are safe here. A refusal is noted, and the message is fetched again next time.
fn mark(
    client: &mut Client,
    delivered: &[&Listed],
    observer: &mut dyn Observer,
    summary: &mut Summary,
) -> Result<(), Cause> {
    let numbers: Vec<MessageNumber> = delivered.iter().map(|listed| listed.number).collect();
    for (listed, (number, answer)) in delivered.iter().zip(client.delete_many(numbers)) {
        match answer {
            Ok(_) => observer.marked(listed),
            Err(error) if error.is_refused() => {
                observer.not_marked(listed, &error);
                summary.not_marked.push((number, error));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Takes a message's octets. It keeps the error of the destination in its own type, so that every other error of the
/// copy is surely the session's.
struct Writer<'a> {
    delivery: Delivery,
    failed: Option<DeliveryError>,
    listed: &'a Listed,
    observer: &'a mut dyn Observer,
}

impl Write for Writer<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self.delivery.write(octets) {
            Ok(written) => {
                self.observer.progress(self.listed, self.delivery.octets());
                Ok(written)
            }
            Err(error) => {
                self.failed = Some(error.downcast::<DeliveryError>().unwrap_or_else(|source| {
                    let path = self.delivery.name().into();
                    DeliveryError::Io { doing: "writing", path, source }
                }));
                Err(io::ErrorKind::Other.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.delivery.flush()
    }
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
/// owes: that is worth it only if there are deletions to save, since without them the next run fetches all of it again.
fn worth_a_farewell(stop: Option<&Cause>, client: &Client) -> bool {
    match stop {
        Some(Cause::Session(_)) if client.is_broken() => false,
        Some(Cause::Session(error)) if error.is_timeout() => client.marked() > 0,
        _ => true,
    }
}

impl From<popwire::Error> for Cause {
    fn from(error: popwire::Error) -> Self {
        Self::Session(error)
    }
}

impl From<DeliveryError> for Cause {
    fn from(error: DeliveryError) -> Self {
        Self::Destination(error)
    }
}
