//! Messages to their destinations, many at a time, while the next ones are received.
//!
//! What has come while one batch was delivered makes the next batch. So a message alone waits for nobody, and of many each
//! costs a fraction of what flushing costs.

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
        let round = Round { account, ledger, destinations };
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
    while let Ok(order) = orders.recv() {
        let mut octets = order.parcel.octets();
        let mut batch = vec![order];
        while batch.len() < most
            && octets < OCTETS
            && let Ok(order) = orders.try_recv()
        {
            octets = octets.saturating_add(order.parcel.octets());
            batch.push(order);
        }
        for report in round.deliver(batch) {
            // Nobody listens any more; the messages are delivered all the same.
            let _ = done.send(report);
        }
    }
}

struct Round<'a> {
    account: &'a AccountKey,
    ledger: &'a dyn Ledger,
    destinations: &'a mut [Box<dyn Destination>],
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
    /// Prepares all, notes the intention, delivers all, notes the deliveries.
    fn deliver(&mut self, batch: Vec<Order>) -> Vec<Report> {
        let mut stops: Vec<Stop> = batch
            .into_iter()
            .map(|order| Stop { order, ready: Vec::new(), done: Vec::new(), failure: None })
            .collect();
        self.prepare(&mut stops);
        let noted = self.intend(&stops).and_then(|()| self.commit(&mut stops)).and_then(|()| {
            let changes: Vec<Change> = stops.iter().flat_map(|stop| self.outcome(stop)).collect();
            self.ledger.record(self.account, &changes)
        });
        let not_noted = noted.err();
        stops
            .into_iter()
            .map(|stop| {
                let tag = stop.order.tag;
                // What is delivered and not noted so is found again by its mark.
                let failure = not_noted.clone().map(Cause::Ledger).or(stop.failure.map(Cause::Destination));
                (
                    tag,
                    failure.map_or_else(|| Ok(stop.done.into_iter().map(|(_, place)| place).collect()), Err),
                )
            })
            .collect()
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

    fn intend(&self, stops: &[Stop]) -> Result<(), LedgerError> {
        let intended = stops.iter().filter(|stop| !stop.ready.is_empty()).map(|stop| Change::Intended {
            key: stop.order.parcel.key.clone(),
            received: stop.order.parcel.received,
            destinations: stop.ready.iter().filter_map(|at| self.name(*at)).collect(),
        });
        self.ledger.record(self.account, &intended.collect::<Vec<_>>())
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
        let Order { parcel, to, .. } = &stop.order;
        let key = &parcel.key;
        if stop.failure.is_none() {
            return vec![Change::Delivered { key: key.clone(), received: Some(parcel.received) }];
        }
        let mut changes = Vec::new();
        for at in to {
            let Some(destination) = self.name(*at) else { continue };
            let key = key.clone();
            changes.push(if stop.done.iter().any(|(done, _)| done == at) {
                Change::Has { key, destination }
            } else {
                Change::HasNot { key, destination }
            });
        }
        changes.push(Change::Undelivered { key: key.clone() });
        changes
    }

    fn name(&self, at: usize) -> Option<String> {
        self.destinations.get(at).map(|destination| destination.name().to_owned())
    }
}

impl Stop {
    /// The first failure is the one to tell.
    fn failed(&mut self, error: DeliveryError) {
        self.failure.get_or_insert(error);
    }
}
