//! Messages to their destinations, many at a time, while the next ones are received.
//!
//! What has come while one batch was delivered makes the next batch. So a message alone waits for nobody, and of many each
//! costs a fraction of what flushing costs. That one batch is delivered is written with the intention to deliver the next.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, Scope, ScopedJoinHandle};

use crate::destination::{Destination, Parcel};
use crate::identity::AccountKey;
use crate::ledger::{Change, Ledger, LedgerError};
use crate::{Cause, DeliveryError};

/// A message to deliver. The `tag` is by what its owner knows it again.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) tag: usize,
    pub(crate) parcel: Parcel,
    /// The destinations that lack it, by their places.
    pub(crate) to: Vec<usize>,
}

/// What became of an order: where the message lies now, or why it does not.
pub(crate) type Report = (usize, Result<Vec<String>, Cause>);

/// Delivers on a thread of its own. Dropped, it delivers what it was given; who wants to know calls
/// [`finish`](Self::finish).
#[derive(Debug)]
pub(crate) struct Courier<'scope> {
    given: SyncSender<Order>,
    reports: Receiver<Report>,
    thread: ScopedJoinHandle<'scope, ()>,
}

/// Most messages that are delivered together, and that wait meanwhile: beyond this a flush costs less than the rest.
const MESSAGES: usize = 256;

/// Most octets that are delivered together, so that a message does not wait for gigabytes of others.
const OCTETS: u64 = 64 << 20;

impl<'scope> Courier<'scope> {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// If the system has no thread left.
    pub(crate) fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        account: &'env AccountKey,
        ledger: &'env dyn Ledger,
        destinations: &'env mut [Box<dyn Destination>],
    ) -> std::io::Result<Self> {
        let most = batch_size(destinations.len());
        let (given, orders) = sync_channel(most);
        let (done, reports) = channel();
        let round = Round { account, ledger, destinations, delivered: Vec::new() };
        let thread = thread::Builder::new()
            .name("courier".to_owned())
            .spawn_scoped(scope, move || work(&orders, &done, most, round))?;
        Ok(Self { given, reports, thread })
    }

    /// Hands over a message. Waits while a few hundred others wait.
    pub(crate) fn push(&self, order: Order) {
        // It fails only if the thread has died, and then `finish` tells.
        let _ = self.given.send(order);
    }

    /// The reports that have come since. Does not wait.
    pub(crate) fn reports(&self) -> impl Iterator<Item = Report> {
        self.reports.try_iter()
    }

    /// Waits for the rest.
    pub(crate) fn finish(self) -> impl Iterator<Item = Report> {
        drop(self.given);
        if let Err(panic) = self.thread.join()
            && !thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
        self.reports.into_iter()
    }
}

/// Each message has an open file, and one for each destination that takes a copy. A quarter of what the process may open for
/// those that are delivered, and another for those that wait, leave half of it to others.
fn batch_size(destinations: usize) -> usize {
    let allowed = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let quarter = allowed.map_or(MESSAGES, |files| usize::try_from(files / 4).unwrap_or(MESSAGES));
    (quarter / destinations.max(1)).clamp(1, MESSAGES)
}

fn work(orders: &Receiver<Order>, done: &Sender<Report>, most: usize, mut round: Round<'_>) {
    loop {
        let batch = gather(orders, most, round.delivered.is_empty());
        if batch.is_empty() && round.delivered.is_empty() {
            return;
        }
        for report in round.deliver(batch) {
            // Nobody listens any more; the messages are delivered all the same.
            let _ = done.send(report);
        }
    }
}

/// What waits, and fits into one batch. Empty if nothing does, or, where it is waited for, if nothing comes any more.
fn gather(orders: &Receiver<Order>, most: usize, wait: bool) -> Vec<Order> {
    let first = if wait { orders.recv().ok() } else { orders.try_recv().ok() };
    let mut batch: Vec<Order> = first.into_iter().collect();
    let mut octets = batch.iter().map(|order| order.parcel.octets()).fold(0, u64::saturating_add);
    while !batch.is_empty()
        && batch.len() < most
        && octets < OCTETS
        && let Ok(order) = orders.try_recv()
    {
        octets = octets.saturating_add(order.parcel.octets());
        batch.push(order);
    }
    batch
}

struct Round<'a> {
    account: &'a AccountKey,
    ledger: &'a dyn Ledger,
    destinations: &'a mut [Box<dyn Destination>],
    /// What was delivered, and is not noted yet.
    delivered: Vec<Stop>,
}

/// An order of a batch, and what came of it so far.
struct Stop {
    order: Order,
    /// The destinations that are ready to deliver it.
    ready: Vec<usize>,
    /// Those that have it, and where.
    done: Vec<(usize, String)>,
    failure: Option<DeliveryError>,
}

impl Round<'_> {
    /// Prepares a batch and notes that it is about to be delivered, both at a time, since either has to be flushed to disk.
    /// Then delivers it. That it is delivered is noted with the next one, which may be empty; then it is reported.
    fn deliver(&mut self, batch: Vec<Order>) -> Vec<Report> {
        let mut stops: Vec<Stop> = batch
            .into_iter()
            .map(|order| Stop { order, ready: Vec::new(), done: Vec::new(), failure: None })
            .collect();
        let delivered = std::mem::take(&mut self.delivered);
        let mut changes: Vec<Change> = delivered.iter().flat_map(|stop| self.outcome(stop)).collect();
        changes.extend(stops.iter().map(|stop| {
            let Parcel { key, received, .. } = &stop.order.parcel;
            Change::Intended { key: key.clone(), received: *received }
        }));
        let (ledger, account) = (self.ledger, self.account);
        let noted = if stops.is_empty() {
            ledger.record(account, &changes)
        } else {
            thread::scope(|scope| {
                let writer = thread::Builder::new().name("ledger".to_owned());
                let Ok(writer) = writer.spawn_scoped(scope, || ledger.record(account, &changes)) else {
                    // No thread is left. One after the other does it too.
                    self.prepare(&mut stops);
                    return ledger.record(account, &changes);
                };
                self.prepare(&mut stops);
                writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
        };
        let mut reports = reports(delivered, noted.as_ref().err());
        match noted.and_then(|()| self.commit(&mut stops)) {
            Ok(()) => self.delivered = stops,
            Err(error) => reports.extend(self::reports(stops, Some(&error))),
        }
        reports
    }

    fn prepare(&mut self, stops: &mut [Stop]) {
        for (at, destination) in self.destinations.iter_mut().enumerate() {
            let mut here: Vec<&mut Stop> =
                stops.iter_mut().filter(|stop| stop.order.to.contains(&at)).collect();
            let parcels: Vec<&Parcel> = here.iter().map(|stop| &stop.order.parcel).collect();
            let prepared = destination.prepare(&parcels);
            for (stop, prepared) in here.iter_mut().zip(prepared) {
                match prepared {
                    Ok(()) => stop.ready.push(at),
                    Err(error) => stop.failed(error),
                }
            }
        }
    }

    fn commit(&mut self, stops: &mut [Stop]) -> Result<(), LedgerError> {
        for at in 0..self.destinations.len() {
            let mut here: Vec<&mut Stop> = stops.iter_mut().filter(|stop| stop.ready.contains(&at)).collect();
            let Some(destination) = self.destinations.get_mut(at) else { continue };
            // What cannot be found again after a crash is noted message by message, so that a crash doubles one at most.
            let most = if destination.remembers() { here.len() } else { 1 };
            for some in here.chunks_mut(most.max(1)) {
                let parcels: Vec<&Parcel> = some.iter().map(|stop| &stop.order.parcel).collect();
                let committed = destination.commit(&parcels);
                let mut has = Vec::new();
                for (stop, committed) in some.iter_mut().zip(committed) {
                    match committed {
                        Ok(place) => {
                            stop.done.push((at, place));
                            has.extend((!destination.remembers()).then(|| Change::Has {
                                key: stop.order.parcel.key.clone(),
                                destination: destination.name().to_owned(),
                            }));
                        }
                        Err(error) => stop.failed(error),
                    }
                }
                self.ledger.record(self.account, &has)?;
            }
        }
        Ok(())
    }

    fn outcome(&self, stop: &Stop) -> Vec<Change> {
        let Parcel { key, received, .. } = &stop.order.parcel;
        if stop.failure.is_none() {
            return vec![Change::Delivered { key: key.clone(), received: Some(*received) }];
        }
        let names = stop.done.iter().filter_map(|(at, _)| self.destinations.get(*at));
        let has = names
            .map(|destination| Change::Has { key: key.clone(), destination: destination.name().to_owned() });
        has.chain([Change::Undelivered { key: key.clone() }]).collect()
    }
}

/// What became of them. What is delivered and could not be noted so is found again by its mark.
fn reports(stops: Vec<Stop>, not_noted: Option<&LedgerError>) -> Vec<Report> {
    let report = |stop: Stop| {
        let failure = not_noted.cloned().map(Cause::Ledger).or(stop.failure.map(Cause::Destination));
        let places = stop.done.into_iter().map(|(_, place)| place).collect();
        (stop.order.tag, failure.map_or(Ok(places), Err))
    };
    stops.into_iter().map(report).collect()
}

impl Stop {
    /// The first failure is the one to tell.
    fn failed(&mut self, error: DeliveryError) {
        self.failure.get_or_insert(error);
    }
}
