//! A maildrop: a store, its lock, and a memory of what was removed.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::quirks::{Memory as SessionMemory, Quirks};
use crate::store::{Entry, Key, LineEnds, Maildir, Memory, Message, Store};

/// A maildrop that one session at a time may open (RFC 1939 section 4).
///
/// Clones are the same maildrop: a test keeps one, gives another to the server, and looks at what is left.
#[derive(Clone)]
pub struct Maildrop {
    inner: Arc<Inner>,
    /// Whether sessions see also what an earlier one has popped.
    all: bool,
}

struct Inner {
    store: Box<dyn Store>,
    locked: AtomicBool,
    removed: Mutex<Vec<Vec<u8>>>,
    last_login: Mutex<Option<Instant>>,
    memory: Mutex<SessionMemory>,
}

impl Maildrop {
    /// Messages in memory: `Vec<u8>`, slices, strings, [`Content`](crate::Content), or [`Message`]s with unique-ids of
    /// their own.
    pub fn memory<I>(messages: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Message>,
    {
        Self::with_store(Memory::new(messages))
    }

    /// No messages, in memory.
    #[must_use]
    pub fn empty() -> Self {
        Self::with_store(Memory::default())
    }

    /// The Maildir at `root`. See [`Maildir`].
    #[must_use]
    pub fn maildir(root: impl Into<PathBuf>) -> Self {
        Self::with_store(Maildir::new(root))
    }

    /// The mbox file at `path`. See [`Mbox`](crate::store::Mbox).
    #[cfg(unix)]
    #[must_use]
    pub fn mbox(path: impl Into<PathBuf>) -> Self {
        Self::with_store(crate::store::Mbox::new(path))
    }

    /// Messages in a store of the caller's own.
    #[must_use]
    pub fn with_store(store: impl Store) -> Self {
        Self {
            inner: Arc::new(Inner {
                store: Box::new(store),
                locked: false.into(),
                removed: Mutex::default(),
                last_login: Mutex::default(),
                memory: Mutex::default(),
            }),
            all: false,
        }
    }

    /// Adds a message. Sessions that are open do not see it.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub fn deliver(&self, message: impl Into<Message>) -> io::Result<()> {
        self.store().deliver(message.into())
    }

    /// How many messages there are.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub fn len(&self) -> io::Result<usize> {
        Ok(self.entries()?.len())
    }

    /// Whether there are no messages.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// The messages as they are stored, in order, each whole in memory.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub fn messages(&self) -> io::Result<Vec<Vec<u8>>> {
        let read = |entry: Entry| {
            let mut octets = Vec::new();
            self.store().open(&entry.key)?.read_to_end(&mut octets).map(|_| octets)
        };
        self.entries()?.into_iter().map(read).collect()
    }

    /// The unique-ids, in order.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub fn unique_ids(&self) -> io::Result<Vec<Vec<u8>>> {
        Ok(self.entries()?.into_iter().map(|entry| entry.unique_id).collect())
    }

    /// For each message in order, whether it has been retrieved.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub fn seen(&self) -> io::Result<Vec<bool>> {
        self.entries()?.into_iter().map(|entry| self.store().is_seen(&entry.key)).collect()
    }

    /// The unique-ids of the messages that were removed through this maildrop, in the order of their removal.
    #[must_use]
    pub fn removed(&self) -> Vec<Vec<u8>> {
        self.inner.removed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a session, or a caller of [`Maildrop::lock`], has it open.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.inner.locked.load(Ordering::Acquire)
    }

    /// Takes the lock, or `None` if somebody has it.
    #[must_use]
    pub fn lock(&self) -> Option<Lock> {
        let taken = self.inner.locked.compare_exchange(false, true, Ordering::AcqRel, Ordering::Acquire);
        taken.ok().map(|_| Lock { maildrop: self.clone(), held: true })
    }

    /// A lock in name only, for a session that is let in though somebody has the lock.
    pub(crate) fn without_lock(&self) -> Lock {
        Lock { maildrop: self.clone(), held: false }
    }

    /// How long ago the last login was, if there was one.
    pub(crate) fn since_login(&self) -> Option<Duration> {
        let last = *self.inner.last_login.lock().unwrap_or_else(PoisonError::into_inner);
        last.map(|last| last.elapsed())
    }

    /// Somebody has logged in just now.
    pub(crate) fn logged_in(&self) {
        *self.inner.last_login.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether both are clones of one.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// The same maildrop, for sessions that see also what an earlier one has popped.
    pub(crate) fn with_popped(&self) -> Self {
        Self { all: true, ..self.clone() }
    }

    /// The messages that a session of now shows.
    pub(crate) fn view(&self, ends: LineEnds, quirks: &Quirks) -> io::Result<Vec<Entry>> {
        let entries = self.store().list(ends)?;
        let mut shown = quirks.view.apply(entries, &mut self.earlier(), self.store(), self.all)?;
        quirks.listing.rewrite(&mut shown, self.store())?;
        Ok(shown)
    }

    /// What is left of earlier sessions.
    pub(crate) fn earlier(&self) -> MutexGuard<'_, SessionMemory> {
        self.inner.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn store(&self) -> &dyn Store {
        self.inner.store.as_ref()
    }

    /// Removes messages, all that can be; says how many are gone.
    pub(crate) fn remove(&self, entries: &[Entry]) -> usize {
        let keys: Vec<&Key> = entries.iter().map(|entry| &entry.key).collect();
        let outcomes = self.store().remove_all(&keys);
        let mut removed = self.inner.removed.lock().unwrap_or_else(PoisonError::into_inner);
        let before = removed.len();
        let gone = entries.iter().zip(outcomes).filter(|(_, outcome)| outcome.is_ok());
        removed.extend(gone.map(|(entry, _)| entry.unique_id.clone()));
        removed.len() - before
    }

    fn entries(&self) -> io::Result<Vec<Entry>> {
        self.store().list(LineEnds::Crlf)
    }
}

impl std::fmt::Debug for Maildrop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Maildrop").field("locked", &self.is_locked()).finish_non_exhaustive()
    }
}

/// The lock on a maildrop, released when dropped.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub struct Lock {
    maildrop: Maildrop,
    held: bool,
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.held {
            self.maildrop.inner.locked.store(false, Ordering::Release);
        }
    }
}
