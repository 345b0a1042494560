//! A retrieval: as many sessions as it takes, in the order that loses nothing and doubles nothing.

use std::collections::HashSet;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use popwire::blocking::Client;

use crate::destination::Destination;
use crate::identity::{AccountKey, Mark, MessageKey};
use crate::ledger::{Change, Ledger};
use crate::policy::{Keep, Rule};

mod listing;
mod observer;
mod outcome;
mod plan;
mod receive;
mod recognise;
mod recover;
mod session;
#[cfg(test)]
mod tests;

pub use listing::{Listed, Listing};
pub use observer::{Delivered, Notice, Observer, Silent};
pub use outcome::{Cause, Deletion, Failure, Recovered, Stopped, Summary};
pub use plan::{Action, Plan};

/// So many failures, and a message is not tried any more: it stays on the server, and every run says so.
pub const QUARANTINE: u32 = 3;

/// How often in a row a connection may break without having brought a message, before the run ends.
const FRUITLESS: u32 = 2;

/// What to fetch of an account, where to, and what to leave on the server.
pub struct Fetch<'a> {
    account: AccountKey,
    ledger: &'a dyn Ledger,
    destinations: Vec<Box<dyn Destination>>,
    keep: Keep,
    rules: Vec<Rule>,
    limit: Option<usize>,
    limit_octets: Option<u64>,
    batch: Option<usize>,
    accept_new_ids: bool,
    dry_run: bool,
    added: Vec<u8>,
    pause: Duration,
    stop: Arc<AtomicBool>,
}

impl<'a> Fetch<'a> {
    /// Fetch what this account has and the ledger does not know as delivered, and keep it on the server.
    #[must_use]
    pub fn new(account: AccountKey, ledger: &'a dyn Ledger) -> Self {
        Self {
            account,
            ledger,
            destinations: Vec::new(),
            keep: Keep::forever(),
            rules: Vec::new(),
            limit: None,
            limit_octets: None,
            batch: None,
            accept_new_ids: false,
            dry_run: false,
            added: Vec::new(),
            pause: Duration::from_secs(1),
            stop: Arc::default(),
        }
    }

    /// Deliver here too. A message counts as delivered when all destinations have it.
    #[must_use]
    pub fn to(mut self, destination: Box<dyn Destination>) -> Self {
        self.destinations.push(destination);
        self
    }

    /// Deliver to all of these too.
    #[must_use]
    pub fn to_all(mut self, destinations: impl IntoIterator<Item = Box<dyn Destination>>) -> Self {
        self.destinations.extend(destinations);
        self
    }

    /// What stays on the server after it was delivered. Default everything.
    #[must_use]
    pub fn keep(mut self, keep: Keep) -> Self {
        self.keep = keep;
        self
    }

    /// What is not fetched, or not whole. Default nothing.
    #[must_use]
    pub fn rules(mut self, rules: impl IntoIterator<Item = Rule>) -> Self {
        self.rules = rules.into_iter().collect();
        self
    }

    /// Fetch so many messages at most. Default all.
    #[must_use]
    pub fn limit(mut self, messages: Option<usize>) -> Self {
        self.limit = messages;
        self
    }

    /// Fetch messages of so many octets together at most, by the server's count; the first one in any case. Default all.
    #[must_use]
    pub fn limit_octets(mut self, octets: Option<u64>) -> Self {
        self.limit_octets = octets;
        self
    }

    /// Say QUIT after so many messages, and go on in another session: over a bad line less is at stake, and some servers list
    /// a part of their messages only. Default never.
    #[must_use]
    pub fn batch(mut self, messages: Option<usize>) -> Self {
        self.batch = messages.filter(|&messages| messages > 0);
        self
    }

    /// Fetch messages as new if the server has renumbered its mail and does not show whether it is the same. Default no: the
    /// run ends with [`Cause::Renumbered`].
    #[must_use]
    pub fn accept_new_ids(mut self, accept: bool) -> Self {
        self.accept_new_ids = accept;
        self
    }

    /// Only find out what would be done: see [`Observer::planned`]. Nothing is fetched, deleted or noted.
    #[must_use]
    pub fn dry_run(mut self, dry: bool) -> Self {
        self.dry_run = dry;
        self
    }

    /// Header lines to put in front of each message, each with its line end. Default none: messages stay what they are.
    #[must_use]
    pub fn add_header_lines(mut self, lines: impl Into<Vec<u8>>) -> Self {
        self.added = lines.into();
        self
    }

    /// How long to wait before a broken connection is replaced. Default a second: a server may need a moment to let go of
    /// the maildrop.
    #[must_use]
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// End as soon as this becomes true: between two messages, or in the middle of one. What was received whole is delivered
    /// and noted; nothing more is deleted.
    #[must_use]
    pub fn stop_when(mut self, stop: Arc<AtomicBool>) -> Self {
        self.stop = stop;
        self
    }

    /// Fetch. `connect` gives a session that is logged in, each time one is needed: once, mostly.
    ///
    /// Messages that failed alone are in [`Summary::failures`], and what became of the deletions is in
    /// [`Summary::deletion`]: look at both.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if no session could be had, connections broke too often, or nothing more can be stored; the summary of
    /// what was done until then is in it.
    pub fn run(
        &mut self,
        connect: &mut dyn FnMut() -> Result<Client, Box<dyn Error + Send + Sync>>,
        observer: &mut dyn Observer,
    ) -> Result<Summary, Box<Stopped>> {
        let mut run = Run::default();
        match self.sessions(&mut run, connect, observer) {
            Ok(()) => Ok(run.summary),
            Err(cause) => {
                Err(Box::new(Stopped { account: self.account.clone(), cause, summary: run.summary }))
            }
        }
    }

    fn sessions(
        &mut self,
        run: &mut Run,
        connect: &mut dyn FnMut() -> Result<Client, Box<dyn Error + Send + Sync>>,
        observer: &mut dyn Observer,
    ) -> Result<(), Cause> {
        let _lock = self.ledger.lock(&self.account)?;
        if !self.dry_run {
            self.recover(run)?;
        }
        let mut fruitless = 0;
        let ended = loop {
            if self.stop.load(Ordering::Relaxed) {
                break Err(Cause::Interrupted);
            }
            let client = match connect() {
                Ok(client) => client,
                Err(error) => break Err(Cause::Connect(error)),
            };
            run.summary.sessions += 1;
            let before = run.summary.delivered;
            match self.session(client, run, observer) {
                Ok(session::End::Done) => break Ok(()),
                Ok(session::End::More) => {}
                Err(cause) if cause.is_broken_session() => {
                    let suspect = run.suspect.take();
                    if let Some(key) = suspect.as_ref().and_then(|suspect| suspect.key.clone()) {
                        run.suspected.push((key, cause.to_string()));
                    }
                    fruitless = if run.summary.delivered > before { 0 } else { fruitless + 1 };
                    if fruitless >= FRUITLESS {
                        break Err(cause);
                    }
                    observer.reconnecting(&cause);
                    if let Some(Suspect { message, key, tries }) = suspect {
                        let failure = Failure { message, key, cause, tries };
                        observer.failed(&failure);
                        run.summary.failures.push(failure);
                    }
                    thread::sleep(self.pause);
                }
                Err(cause) => break Err(cause),
            }
        };
        self.accuse(run)?;
        ended
    }

    /// A message that a connection broke at is counted as failed if others came over: then it was not the line alone.
    fn accuse(&self, run: &mut Run) -> Result<(), Cause> {
        let suspected = std::mem::take(&mut run.suspected);
        if run.received == 0 {
            return Ok(());
        }
        let failed = suspected.into_iter().map(|(key, reason)| Change::Failed { key, reason });
        Ok(self.ledger.record(&self.account, &failed.collect::<Vec<_>>())?)
    }
}

/// What is known across the sessions of a run.
#[derive(Default)]
struct Run {
    summary: Summary,
    /// How many messages came over whole.
    received: u64,
    /// How many were asked for, and their octets, by the server's count.
    asked: usize,
    asked_octets: u64,
    /// The messages that failed in this run, and are not tried again in it.
    tried: HashSet<MessageKey>,
    /// The message that was being received when the connection broke.
    suspect: Option<Suspect>,
    /// All such messages of this run, and what happened.
    suspected: Vec<(MessageKey, String)>,
    /// What is in the destinations, if the ledger may have forgotten something.
    marks: Option<Vec<HashSet<Mark>>>,
}

/// A message at which a connection broke.
struct Suspect {
    message: Listed,
    key: Option<MessageKey>,
    tries: u32,
}
