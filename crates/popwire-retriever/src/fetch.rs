//! A retrieval session, in the order that loses nothing.

use std::io::{self, Write};

use popwire::Farewell;
use popwire::blocking::Client;

use crate::maildir::{Delivered, Delivery, DeliveryError, Maildir};

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
}

impl<'a> Fetch<'a> {
    /// Fetch everything into this Maildir, and keep it on the server.
    pub fn new(maildir: &'a Maildir) -> Self {
        Self { maildir, delete: false, limit: None }
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
        for listed in listing.messages.iter().take(self.limit.unwrap_or(usize::MAX)) {
            observer.begun(listed);
            match receive(client, listed, self.maildir, observer) {
                Ok(delivered) => {
                    summary.delivered += 1;
                    summary.octets += delivered.octets;
                    observer.delivered(listed, &delivered);
                    if self.delete {
                        mark(client, listed, observer, summary)?;
                    }
                }
                Err(cause) if cause.is_about_one_message() => {
                    let failure = Failure { message: listed.clone(), cause };
                    observer.failed(&failure);
                    summary.failures.push(failure);
                }
                Err(cause) => return Err(cause),
            }
        }
        Ok(())
    }
}

/// RETR into the Maildir. When this returns `Ok`, the message survives loss of power.
fn receive(
    client: &mut Client,
    listed: &Listed,
    maildir: &Maildir,
    observer: &mut dyn Observer,
) -> Result<Delivered, Cause> {
    // Before RETR: many servers take a message for read once it was sent.
    let delivery = maildir.deliver()?;
    let mut writer = Writer { delivery, failed: None, listed, observer };
    let copied = client.retr(listed.number).and_then(|mut message| message.copy_to(&mut writer));
    if let Some(error) = writer.failed {
        return Err(error.into());
    }
    copied?;
    Ok(writer.delivery.commit()?)
}

/// DELE for a message that is safe here. A refusal is noted, and the message is fetched again next time.
fn mark(
    client: &mut Client,
    listed: &Listed,
    observer: &mut dyn Observer,
    summary: &mut Summary,
) -> Result<(), Cause> {
    match client.dele(listed.number) {
        Ok(_) => observer.marked(listed),
        Err(error) if error.is_refused() => {
            observer.not_marked(listed, &error);
            summary.not_marked.push((listed.number, error));
        }
        Err(error) => return Err(error.into()),
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
