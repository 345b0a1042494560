//! Messages in memory.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Content, Entry, Key, LineEnds, Message, Store};

/// Messages that live as long as the store.
#[derive(Debug, Default)]
pub struct Memory {
    messages: Mutex<Messages>,
}

#[derive(Debug, Default)]
struct Messages {
    /// How many there have ever been: keys and unique-ids are never used again.
    count: u64,
    /// By key, which is also the order of arrival.
    stored: BTreeMap<u64, Stored>,
}

#[derive(Debug)]
struct Stored {
    content: Content,
    unique_id: Vec<u8>,
    seen: bool,
}

impl Memory {
    /// A store with these messages.
    pub fn new<I>(messages: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Message>,
    {
        let store = Self::default();
        messages.into_iter().for_each(|message| store.messages().add(message.into()));
        store
    }

    fn messages(&self) -> MutexGuard<'_, Messages> {
        // No step below leaves the list half changed.
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Messages {
    fn add(&mut self, message: Message) {
        self.count += 1;
        let unique_id = message.unique_id.unwrap_or_else(|| format!("m{:07}", self.count).into_bytes());
        self.stored.insert(self.count, Stored { content: message.content, unique_id, seen: message.seen });
    }

    fn find(&mut self, key: &Key) -> io::Result<&mut Stored> {
        number(key)
            .and_then(|number| self.stored.get_mut(&number))
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Store for Memory {
    fn list(&self, ends: LineEnds) -> io::Result<Vec<Entry>> {
        let entry = |(number, stored): (&u64, &Stored)| Entry {
            key: number.to_string().into(),
            size: stored.content.wire_size(ends),
            unique_id: stored.unique_id.clone(),
        };
        Ok(self.messages().stored.iter().map(entry).collect())
    }

    fn open(&self, key: &Key) -> io::Result<Box<dyn Read + Send>> {
        Ok(self.messages().find(key)?.content.reader())
    }

    fn remove(&self, key: &Key) -> io::Result<()> {
        if let Some(number) = number(key) {
            self.messages().stored.remove(&number);
        }
        Ok(())
    }

    fn mark_seen(&self, key: &Key) -> io::Result<()> {
        self.messages().find(key)?.seen = true;
        Ok(())
    }

    fn is_seen(&self, key: &Key) -> io::Result<bool> {
        Ok(self.messages().find(key)?.seen)
    }

    fn deliver(&self, message: Message) -> io::Result<()> {
        self.messages().add(message);
        Ok(())
    }

    fn blocks(&self) -> bool {
        false
    }
}

fn number(key: &Key) -> Option<u64> {
    key.to_str()?.parse().ok()
}
