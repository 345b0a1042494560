//! RETR for what is wanted, and into the hands of the courier.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use popwire::MessageNumber;
use popwire::blocking::{Client, Message, Messages};
use sha2::{Digest as _, Sha256};

use super::plan::{Item, Items, by_header};
use super::{Action, Cause, Delivered, Failure, Fetch, Listed, Observer, Run, Suspect};
use crate::courier::{Courier, Order, Report};
use crate::destination::{Parcel, Spool, Spooler};
use crate::error::DeliveryError;
use crate::identity::{AccountKey, Hash, HeaderHash, Identity, Mark, MessageKey};
use crate::ledger::{Change, Ledger, Received, State};

/// What came of asking for messages.
#[derive(Default)]
pub(super) struct Outcome {
    /// The messages that every destination has, by their places in the plan.
    pub(super) delivered: Vec<usize>,
    /// Why there are no more of them: the first reason.
    pub(super) stop: Option<Cause>,
    /// The session failed, be it the first reason or not. Where an answer is missing, another may have been taken for it:
    /// nothing is deleted then.
    pub(super) doubtful: bool,
}

impl Outcome {
    fn stopped_by(&mut self, stop: Option<Cause>) {
        self.doubtful |= stop.as_ref().is_some_and(Cause::is_broken_session);
        self.stop = self.stop.take().or(stop);
    }
}

impl Fetch<'_> {
    /// Fetches what the plan wants, and delivers it.
    ///
    /// # Errors
    ///
    /// If it cannot begin.
    pub(super) fn receive(
        &mut self,
        client: &mut Client,
        items: &mut Items,
        run: &mut Run,
        observer: &mut dyn Observer,
    ) -> Result<Outcome, Cause> {
        let whole = in_order(&items.all, |action| matches!(action, Action::Fetch | Action::Compare));
        let headers = in_order(&items.all, |action| action == Action::FetchHeader);
        if whole.is_empty() && headers.is_empty() {
            return Ok(Outcome::default());
        }
        let mut spooler = self.destinations.iter().find_map(|destination| destination.spooler());
        // Before RETR: many servers take a message for read once it was sent.
        let first = spooler.as_mut().map_or_else(|| Ok(Spool::new()), |spooler| spooler())?;
        let gone = items.vanished.iter().filter(|entry| entry.state.is_delivered());
        let gone = gone.filter_map(|entry| Some((entry.content?, entry.key.clone()))).collect();
        let destinations = self.destinations.iter().map(|one| one.name().to_owned()).collect();
        let (account, ledger, added, stop) = (&self.account, self.ledger, &*self.added, &*self.stop);
        let mut reception = Reception {
            account,
            ledger,
            destinations,
            added,
            stop,
            spooler,
            next: Some(first),
            gone,
            occurrences: HashMap::new(),
            received: HashMap::new(),
            notes: Vec::new(),
            held: Vec::new(),
            outcome: Outcome::default(),
            run,
            observer,
        };
        let places = &mut *self.destinations;
        thread::scope(|scope| {
            let courier = Courier::start(scope, account, ledger, places).map_err(|source| {
                DeliveryError::Unavailable {
                    destination: account.to_string(),
                    doing: "starting a thread for",
                    source: source.into(),
                }
            })?;
            let numbers: Vec<MessageNumber> = items.all.iter().map(|item| item.listed.number).collect();
            let number = |at: &usize| numbers.get(*at).copied();
            let mut rest = &*whole;
            while !rest.is_empty() && reception.outcome.stop.is_none() {
                let numbers: Vec<MessageNumber> = rest.iter().filter_map(number).collect();
                rest = reception.take_some(client.retrieve_many(numbers), rest, &mut items.all, &courier);
            }
            let mut rest = &*headers;
            while !rest.is_empty() && reception.outcome.stop.is_none() {
                let numbers: Vec<MessageNumber> = rest.iter().filter_map(number).collect();
                rest = reception.take_some(client.top_many(numbers, 0), rest, &mut items.all, &courier);
            }
            for report in courier.finish() {
                reception.settle(report, &items.all);
            }
            reception.write_notes();
            Ok(reception.outcome)
        })
    }
}

/// The places of the items with such an action. What failed before comes last: it may break the connection again.
fn in_order(items: &[Item], only: impl Fn(Action) -> bool) -> Vec<usize> {
    let failures =
        |at: &usize| items.get(*at).and_then(|item| item.known.as_ref()).map_or(0, |known| known.failures);
    let mut places: Vec<usize> =
        items.iter().enumerate().filter(|(_, item)| only(item.action)).map(|(at, _)| at).collect();
    places.sort_by_key(failures);
    places
}

/// Receives the messages of one session.
struct Reception<'a> {
    account: &'a AccountKey,
    ledger: &'a dyn Ledger,
    /// The destinations' names.
    destinations: Vec<String>,
    added: &'a [u8],
    stop: &'a AtomicBool,
    spooler: Option<Spooler>,
    /// The place for the first message.
    next: Option<Spool>,
    /// What was delivered and is not listed any more, by its contents: it may be there under another name.
    gone: HashMap<Hash, MessageKey>,
    /// For messages that only their contents tell apart.
    occurrences: HashMap<Identity, u32>,
    /// What was received of the messages that the courier has.
    received: HashMap<usize, Received>,
    /// Changes that need not be written at once: a crash only leads to another look.
    notes: Vec<Change>,
    /// What has another size than the server lists, until the answers behind it have all come: a message without a proper
    /// end swallows the answer behind it, and that shows only when the last one is missing.
    held: Vec<(usize, Taken)>,
    outcome: Outcome,
    run: &'a mut Run,
    observer: &'a mut dyn Observer,
}

/// So many messages at most are held back. Each has an open file.
const HELD: usize = 64;

/// A message that was received.
struct Taken {
    spool: Spool,
    received: Received,
    /// Whether no other message has its header.
    is_its_own: bool,
}

/// So many notes are written together.
const NOTES: usize = 256;

impl Reception<'_> {
    /// Takes messages until there are no more, or until so many are held back that the answers under way have to be waited
    /// for. Gives those that were not asked for.
    fn take_some<'w, I: Iterator<Item = MessageNumber>>(
        &mut self,
        mut messages: Messages<'_, I>,
        wanted: &'w [usize],
        items: &mut [Item],
        courier: &Courier<'_>,
    ) -> &'w [usize] {
        let mut rest = wanted;
        while let Some((&at, behind)) = rest.split_first() {
            if self.stop.load(Ordering::Relaxed) {
                self.outcome.stopped_by(Some(Cause::Interrupted));
                break;
            }
            let Some((_, message)) = messages.next() else {
                // Never without one, unless we have asked it to stop.
                if rest.len() == wanted.len() {
                    rest = &[];
                }
                break;
            };
            rest = behind;
            let Some(item) = items.get_mut(at) else { continue };
            self.observer.begun(&item.listed);
            self.run.asked += 1;
            self.run.asked_octets = self.run.asked_octets.saturating_add(item.listed.octets.unwrap_or(0));
            match self.take(message, item) {
                Ok(taken) if is_as_listed(item, &taken.received) => self.hand_over(at, item, taken, courier),
                Ok(taken) => self.held.push((at, taken)),
                Err(cause) => self.fail(item, cause),
            }
            if self.held.len() >= HELD {
                messages.stop();
            }
            for report in courier.reports() {
                self.settle(report, items);
            }
            if self.outcome.stop.is_some() {
                break;
            }
        }
        if self.outcome.stop.is_some() && !self.outcome.doubtful {
            self.skip(messages);
        }
        // Each answer has come, so each was taken for what it is.
        for (at, taken) in std::mem::take(&mut self.held) {
            if let Some(item) = items.get_mut(at).filter(|_| !self.outcome.doubtful) {
                self.hand_over(at, item, taken, courier);
            }
        }
        rest
    }

    /// Reads what is under way, and drops it: the session is sound, and is wanted for the deletions.
    fn skip<I: Iterator<Item = MessageNumber>>(&mut self, mut messages: Messages<'_, I>) {
        messages.stop();
        while let Some((_, message)) = messages.next() {
            if self.stop.load(Ordering::Relaxed) {
                self.outcome.doubtful = true;
                break;
            }
            let skipped = message.and_then(|mut message| message.copy_to(&mut io::sink()));
            let failed = skipped.err().map(Cause::Session).filter(|cause| !cause.is_about_one_message());
            self.outcome.stopped_by(failed);
        }
    }

    /// A message into its spool.
    fn take(&mut self, message: popwire::Result<Message<'_>>, item: &Item) -> Result<Taken, Cause> {
        let (mut message, listed) = (message?, &item.listed);
        let mut spool = match (self.next.take(), &mut self.spooler) {
            (Some(spool), _) => spool,
            (None, Some(spooler)) => spooler()?,
            (None, None) => Spool::new(),
        };
        spool.write_all(self.added).map_err(in_spool)?;
        let mut writer = Writer {
            spool,
            content: Sha256::new(),
            header: HeaderHash::default(),
            octets: 0,
            failed: None,
            stop: self.stop,
            listed,
            observer: self.observer,
        };
        let copied = message.copy_to(&mut writer);
        if let Some(cause) = writer.failed {
            return Err(cause);
        }
        copied?;
        let Writer { mut spool, content, header, octets, .. } = writer;
        spool.finish().map_err(in_spool)?;
        let is_its_own = header.has_message_id();
        let (content, header) = (content.finalize().into(), header.finish());
        let whole = item.action != Action::FetchHeader;
        let received = Received { listed: listed.octets, octets, content, header, whole };
        Ok(Taken { spool, received, is_its_own })
    }

    /// Gives a message to the courier, for the destinations that lack it.
    fn hand_over(
        &mut self,
        at: usize,
        item: &mut Item,
        Taken { spool, received, is_its_own }: Taken,
        courier: &Courier<'_>,
    ) {
        self.run.received += 1;
        let by_contents = item.key.is_none();
        let key = match &item.key {
            Some(key) => key.clone(),
            // Only its contents tell which it is.
            None => {
                let occurrences = &mut self.occurrences;
                match by_header(self.ledger, self.account, occurrences, received.header, is_its_own) {
                    Ok(key) => key,
                    Err(error) => return self.outcome.stopped_by(Some(error.into())),
                }
            }
        };
        item.key = Some(key.clone());
        match self.lacking(&key, item, &received, by_contents, is_its_own) {
            Ok(to) if to.is_empty() => {
                self.note(Change::Delivered { key, received: Some(received) });
                self.run.summary.recognised += 1;
                self.outcome.delivered.push(at);
                self.observer.recognised(&item.listed);
            }
            Ok(to) => {
                self.received.insert(at, received);
                let parcel = Parcel::new(self.account.clone(), key, received, spool);
                courier.push(Order { tag: at, parcel, to });
            }
            Err(cause) => self.outcome.stopped_by(Some(cause)),
        }
    }

    /// The places of the destinations that have not got this message yet.
    fn lacking(
        &mut self,
        key: &MessageKey,
        item: &Item,
        received: &Received,
        by_contents: bool,
        is_its_own: bool,
    ) -> Result<Vec<usize>, Cause> {
        if item.action == Action::Compare || by_contents {
            let entry = self.ledger.entry(self.account, key)?;
            let same = |content: Option<Hash>| content.is_none_or(|content| content == received.content);
            if entry.is_some_and(|entry| entry.state.is_delivered() && same(entry.content)) {
                return Ok(Vec::new());
            }
        }
        // The same octets without a Message-ID may be two messages: a report that says the same every day.
        if is_its_own && let Some(old) = self.gone.remove(&received.content) {
            self.note(Change::Renamed { key: old, to: key.clone() });
            return Ok(Vec::new());
        }
        let mut to: Vec<usize> = (0..self.destinations.len()).collect();
        if item.known.as_ref().is_some_and(|known| known.state == State::Seen) {
            let deliveries = self.ledger.deliveries(self.account, key)?;
            to.retain(|at| !self.destinations.get(*at).is_some_and(|name| deliveries.contains(name)));
        }
        if let Some(marks) = &self.run.marks {
            let mark = Mark::new(self.account, key, &received.content);
            to.retain(|at| !marks.get(*at).is_some_and(|marks| marks.contains(&mark)));
        }
        Ok(to)
    }

    /// What became of a message that the courier had.
    fn settle(&mut self, (at, result): Report, items: &[Item]) {
        let (Some(item), Some(received)) = (items.get(at), self.received.remove(&at)) else { return };
        match result {
            Ok(places) => {
                self.run.summary.delivered += 1;
                self.run.summary.octets = self.run.summary.octets.saturating_add(received.octets);
                self.outcome.delivered.push(at);
                let Received { octets, content, .. } = received;
                self.observer.delivered(&item.listed, &Delivered { octets, content, places });
            }
            Err(cause) => self.fail(item, cause),
        }
    }

    /// Notes a failure; one that is not about this message alone ends the reception.
    fn fail(&mut self, item: &Item, cause: Cause) {
        let (alone, broken) = (cause.is_about_one_message(), cause.is_broken_session());
        if !alone && !broken {
            self.outcome.stopped_by(Some(cause));
            return;
        }
        // Not again in this run.
        self.run.tried.extend(item.key.clone());
        let (message, key) = (item.listed.clone(), item.key.clone());
        let tries = item.known.as_ref().map_or(0, |known| known.failures).saturating_add(1);
        if broken {
            self.run.suspect = Some(Suspect { message, key, tries });
            self.outcome.stopped_by(Some(cause));
            return;
        }
        if let Some(key) = key.clone() {
            self.note(Change::Failed { key, reason: cause.to_string() });
        }
        let failure = Failure { message, key, cause, tries };
        self.observer.failed(&failure);
        self.run.summary.failures.push(failure);
    }

    fn note(&mut self, change: Change) {
        self.notes.push(change);
        if self.notes.len() >= NOTES {
            self.write_notes();
        }
    }

    fn write_notes(&mut self) {
        let written = self.ledger.record(self.account, &self.notes);
        self.notes.clear();
        self.outcome.stopped_by(written.err().map(Cause::Ledger));
    }
}

fn is_as_listed(item: &Item, received: &Received) -> bool {
    item.listed.octets == Some(received.octets) && item.action != Action::FetchHeader
}

/// Takes a message's octets. It keeps its own errors apart, so that every other error of the copy is surely the session's.
struct Writer<'a> {
    spool: Spool,
    content: Sha256,
    header: HeaderHash,
    octets: u64,
    failed: Option<Cause>,
    stop: &'a AtomicBool,
    listed: &'a Listed,
    observer: &'a mut dyn Observer,
}

impl Write for Writer<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let written = if self.stop.load(Ordering::Relaxed) {
            Err(Cause::Interrupted)
        } else {
            self.spool.write(octets).map_err(in_spool)
        };
        match written {
            Ok(written) => {
                let octets = octets.get(..written).unwrap_or_default();
                self.content.update(octets);
                self.header.update(octets);
                self.octets = self.octets.saturating_add(written as u64);
                self.observer.progress(self.listed, self.octets);
                Ok(written)
            }
            Err(cause) => {
                self.failed = Some(cause);
                Err(io::ErrorKind::Other.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What went wrong where a message is gathered.
fn in_spool(error: io::Error) -> Cause {
    let error = error.downcast::<DeliveryError>();
    Cause::Destination(
        error.unwrap_or_else(|source| DeliveryError::io("writing into", std::env::temp_dir(), source)),
    )
}
