//! What becomes of each message that the server lists.

use std::collections::HashMap;
use std::io;
use std::time::SystemTime;

use popwire::MessageNumber;
use popwire::blocking::Client;

use super::{Cause, Fetch, Listed, Listing, Notice, Observer, QUARANTINE, Run};
use crate::identity::{AccountKey, Hash, HeaderHash, Identity, MessageKey};
use crate::ledger::{Entry, Known, Ledger, LedgerError, State};
use crate::policy::{Then, Verdict, judge};

/// What is to become of the messages of a mailbox, one action for each, in the order of the listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// The messages, and what becomes of each.
    pub messages: Vec<(Listed, Action)>,
}

impl Plan {
    /// How many messages something becomes of.
    #[must_use]
    pub fn count(&self, action: Action) -> usize {
        self.messages.iter().filter(|(_, one)| *one == action).count()
    }
}

/// What is to become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// It is fetched and delivered.
    Fetch,
    /// Its header is fetched and delivered.
    FetchHeader,
    /// It is fetched to find out whether it is the one that was delivered under its unique-id: the server lists it with
    /// another size, or had deleted it.
    Compare,
    /// It was delivered, and stays on the server.
    Keep,
    /// It was delivered, and is deleted.
    Delete,
    /// A rule leaves it on the server.
    Skip,
    /// A rule deletes it without fetching it.
    Discard,
    /// A limit leaves it for another session or run.
    Later,
    /// It failed too often, or in this run already.
    Leave,
}

/// A message of the listing, with all that is known of it.
pub(super) struct Item {
    pub(super) listed: Listed,
    /// None where only its contents can tell.
    pub(super) key: Option<MessageKey>,
    pub(super) known: Option<Known>,
    pub(super) action: Action,
}

impl Item {
    pub(super) fn is_wanted(&self) -> bool {
        matches!(self.action, Action::Fetch | Action::FetchHeader | Action::Compare)
    }
}

/// The items of a session, and what is not listed any more.
pub(super) struct Items {
    pub(super) all: Vec<Item>,
    pub(super) vanished: Vec<Entry>,
    /// A limit of the session leaves messages for the next one of this run.
    pub(super) more: bool,
}

impl Fetch<'_> {
    pub(super) fn plan(
        &self,
        client: &mut Client,
        listing: Listing,
        run: &mut Run,
        observer: &mut dyn Observer,
    ) -> Result<Items, Cause> {
        let messages = listing.messages;
        let keys = self.identify(client, &messages, observer)?;
        let mut items = self.recall(messages, keys)?;
        if self.recognise(client, &items, observer)? {
            let (messages, keys) = items.all.into_iter().map(|item| (item.listed, item.key)).unzip();
            items = self.recall(messages, keys)?;
        }
        self.decide(client, &mut items, run, observer)?;
        Ok(items)
    }

    /// By what each message is known: its unique-id, or its header where it has none.
    fn identify(
        &self,
        client: &mut Client,
        messages: &[Listed],
        observer: &mut dyn Observer,
    ) -> Result<Vec<Option<MessageKey>>, Cause> {
        let nameless: Vec<MessageNumber> =
            messages.iter().filter(|listed| listed.uid.is_none()).map(|listed| listed.number).collect();
        let mut headers = HashMap::new();
        if !nameless.is_empty() {
            observer.noticed(&Notice::ByHeader { messages: nameless.len() });
            match header_hashes(client, &nameless)? {
                Some(hashes) => headers = hashes,
                // All goes as soon as it is delivered: the contents will tell what was delivered already.
                None if self.keep.is_nothing() => {}
                None => return Err(Cause::Unrecognisable),
            }
        }
        let mut occurrences: HashMap<Identity, u32> = HashMap::new();
        messages
            .iter()
            .map(|listed| {
                if let Some(uid) = &listed.uid {
                    return Ok(Some(next_of(&mut occurrences, Identity::UniqueId(uid.as_bytes().to_vec()))));
                }
                let Some(shown) = headers.get(&listed.number) else { return Ok(None) };
                let key =
                    by_header(self.ledger, &self.account, &mut occurrences, shown.hash, shown.is_its_own);
                Ok(key.map(Some)?)
            })
            .collect()
    }

    fn recall(&self, messages: Vec<Listed>, keys: Vec<Option<MessageKey>>) -> Result<Items, Cause> {
        let asked: Vec<MessageKey> = keys.iter().flatten().cloned().collect();
        let recollection = self.ledger.recall(&self.account, &asked)?;
        let mut known = recollection.known.into_iter();
        let all = messages.into_iter().zip(keys).map(|(listed, key)| {
            let known = key.as_ref().and_then(|_| known.next().flatten());
            Item { listed, key, known, action: Action::Fetch }
        });
        Ok(Items { all: all.collect(), vanished: recollection.vanished, more: false })
    }

    fn decide(
        &self,
        client: &mut Client,
        items: &mut Items,
        run: &mut Run,
        observer: &mut dyn Observer,
    ) -> Result<(), Cause> {
        let now = SystemTime::now();
        let count = items.all.len();
        for (at, item) in items.all.iter_mut().enumerate() {
            item.action = self.action(item, (count - at - 1) as u64, now, run);
        }
        self.compare_headers(client, &mut items.all, now)?;
        self.apply_rules(client, &mut items.all, observer)?;
        for item in items.all.iter_mut().filter(|item| item.action == Action::FetchHeader) {
            let has = |known: &Known| known.state == State::Delivered && !known.whole;
            // What is there already; the message itself stays on the server.
            if item.known.as_ref().is_some_and(has) {
                item.action = Action::Keep;
            }
        }
        self.apply_limits(items, run);
        Ok(())
    }

    /// What its history says. `newer` messages have higher numbers.
    fn action(&self, item: &Item, newer: u64, now: SystemTime, run: &Run) -> Action {
        if item.key.as_ref().is_some_and(|key| run.tried.contains(key)) {
            return Action::Leave;
        }
        let Some(known) = &item.known else { return Action::Fetch };
        match known.state {
            State::Seen | State::Intended if known.failures >= QUARANTINE => Action::Leave,
            State::Seen | State::Intended => Action::Fetch,
            State::Gone => Action::Compare,
            // Its header alone was delivered, since a rule said so: the rules are asked again.
            State::Delivered if !known.whole => Action::Fetch,
            State::Delivered | State::DeletePending => {
                let other = known.listed.zip(item.listed.octets).is_some_and(|(then, now)| then != now);
                if other { Action::Compare } else { self.afterwards(item, newer, now) }
            }
        }
    }

    /// What becomes of a message once it is delivered.
    pub(super) fn afterwards(&self, item: &Item, newer: u64, now: SystemTime) -> Action {
        // A clock that was set back makes a message younger, and never older.
        let age = item.known.as_ref().map(|known| now.duration_since(known.seen).unwrap_or_default());
        if self.keep.is_over_for(age.unwrap_or_default(), newer, item.listed.octets) {
            Action::Delete
        } else {
            Action::Keep
        }
    }

    /// Looks at the headers of known messages before they are deleted, and of those that were deleted and are listed again:
    /// servers are known that give a unique-id to another message. One with the same size and the same header is the same
    /// message; any other is fetched and compared. Where the server shows no headers, unique-id and size have to do.
    fn compare_headers(&self, client: &mut Client, items: &mut [Item], now: SystemTime) -> Result<(), Cause> {
        let count = items.len();
        let mut doubtful = Vec::new();
        for (at, item) in items.iter_mut().enumerate() {
            let (Some(known), Some(key)) = (&item.known, &item.key) else { continue };
            let again = item.action == Action::Compare
                && known.state == State::Gone
                && known.listed.is_some()
                && known.listed == item.listed.octets;
            // What is known by its header has been looked at already, and that does not tell enough.
            let by_id = matches!(key.identity, Identity::UniqueId(_));
            if by_id && (again || item.action == Action::Delete) {
                let header = self.ledger.entry(&self.account, key)?.and_then(|entry| entry.header);
                doubtful.extend(header.map(|header| ((count - at - 1) as u64, header, item)));
            }
        }
        if doubtful.is_empty() {
            return Ok(());
        }
        let numbers: Vec<MessageNumber> = doubtful.iter().map(|(_, _, item)| item.listed.number).collect();
        let Some(shown) = header_hashes(client, &numbers)? else { return Ok(()) };
        for (newer, header, item) in doubtful {
            item.action = match shown.get(&item.listed.number) {
                Some(same) if same.hash == header => self.afterwards(item, newer, now),
                Some(_) => Action::Compare,
                None => item.action,
            };
        }
        Ok(())
    }

    fn apply_rules(
        &self,
        client: &mut Client,
        items: &mut [Item],
        observer: &mut dyn Observer,
    ) -> Result<(), Cause> {
        if self.rules.is_empty() {
            return Ok(());
        }
        let mut open = Vec::new();
        for item in items.iter_mut().filter(|item| item.action == Action::Fetch) {
            match judge(&self.rules, item.listed.octets, None) {
                Verdict::Then(then) => item.action = then.into(),
                Verdict::AskHeader => open.push(item),
            }
        }
        if open.is_empty() {
            return Ok(());
        }
        let numbers: Vec<MessageNumber> = open.iter().map(|item| item.listed.number).collect();
        let mut open = open.into_iter();
        let shown = each_header(client, &numbers, &mut |_, header| {
            if let (Some(item), Some(header)) = (open.next(), header)
                && let Verdict::Then(then) = judge(&self.rules, item.listed.octets, Some(&header.octets))
            {
                item.action = then.into();
            }
        })?;
        if !shown {
            observer.noticed(&Notice::RulesWithoutTop);
        }
        Ok(())
    }

    fn apply_limits(&self, items: &mut Items, run: &Run) {
        let (mut asked, mut octets, mut session) = (run.asked, run.asked_octets, 0);
        for item in items.all.iter_mut().filter(|item| item.is_wanted()) {
            let size = item.listed.octets.unwrap_or(0);
            let beyond = self.limit.is_some_and(|limit| asked >= limit)
                || self.limit_octets.is_some_and(|limit| asked > 0 && octets.saturating_add(size) > limit);
            let full = self.batch.is_some_and(|batch| session >= batch);
            if beyond || full {
                item.action = Action::Later;
                items.more |= !beyond;
                continue;
            }
            asked += 1;
            session += 1;
            octets = octets.saturating_add(size);
        }
    }
}

impl From<Then> for Action {
    fn from(then: Then) -> Self {
        match then {
            Then::Fetch => Self::Fetch,
            Then::Skip => Self::Skip,
            Then::HeaderOnly => Self::FetchHeader,
            Then::Delete => Self::Discard,
        }
    }
}

/// The key of the next message with this header. One whose header another may have too is none of those that the server has
/// confirmed as deleted: a report that says the same every day.
pub(super) fn by_header(
    ledger: &dyn Ledger,
    account: &AccountKey,
    occurrences: &mut HashMap<Identity, u32>,
    header: Hash,
    is_its_own: bool,
) -> Result<MessageKey, LedgerError> {
    loop {
        let key = next_of(occurrences, Identity::Header(header));
        let gone = |entry: Entry| entry.state == State::Gone;
        if is_its_own || !ledger.entry(account, &key)?.is_some_and(gone) {
            return Ok(key);
        }
    }
}

/// The key of the next message with this identity.
fn next_of(occurrences: &mut HashMap<Identity, u32>, identity: Identity) -> MessageKey {
    let seen = occurrences.entry(identity.clone()).or_default();
    let key = MessageKey::new(identity, *seen);
    *seen = seen.saturating_add(1);
    key
}

/// Most octets of a header that rules look at.
const HEADER: usize = 256 * 1024;

/// Asks for headers by TOP, and hands over each as it comes; none where the server refuses that one. False, and nothing is
/// handed over any more, once it is clear that the server does not know TOP.
fn each_header(
    client: &mut Client,
    numbers: &[MessageNumber],
    each: &mut dyn FnMut(MessageNumber, Option<Header>),
) -> Result<bool, Cause> {
    let mut known = false;
    let mut messages = client.top_many(numbers.iter().copied(), 0);
    while let Some((number, message)) = messages.next() {
        let mut header = Header::default();
        match message.and_then(|mut message| message.copy_to(&mut header)) {
            Ok(_) => {
                known = true;
                each(number, Some(header));
            }
            Err(error) if error.is_refused() && known => each(number, None),
            Err(error) if error.is_refused() => {
                messages.stop();
                while let Some((_, message)) = messages.next() {
                    if let Err(error) = message.and_then(|mut message| message.copy_to(&mut io::sink()))
                        && !error.is_refused()
                    {
                        return Err(error.into());
                    }
                }
                return Ok(false);
            }
            Err(error) if error.is_irregular_end() => each(number, None),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

/// What TOP tells of a message.
pub(super) struct Shown {
    pub(super) hash: Hash,
    /// Whether no other message has this header.
    pub(super) is_its_own: bool,
}

/// The hashes of headers, by number, as far as the server shows them; none if it does not know TOP.
pub(super) fn header_hashes(
    client: &mut Client,
    numbers: &[MessageNumber],
) -> Result<Option<HashMap<MessageNumber, Shown>>, Cause> {
    let mut hashes = HashMap::with_capacity(numbers.len());
    let shown = each_header(client, numbers, &mut |number, header| {
        if let Some(header) = header {
            let is_its_own = header.hash.has_message_id();
            hashes.insert(number, Shown { hash: header.hash.finish(), is_its_own });
        }
    })?;
    Ok(shown.then_some(hashes))
}

/// What TOP brings: the hash of all of it, and its beginning.
#[derive(Default)]
struct Header {
    octets: Vec<u8>,
    hash: HeaderHash,
}

impl io::Write for Header {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.hash.update(octets);
        let room = HEADER.saturating_sub(self.octets.len());
        self.octets.extend_from_slice(octets.get(..room.min(octets.len())).unwrap_or_default());
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
