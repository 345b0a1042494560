//! Messages in one file, one behind the other: mboxrd.

mod lock;
mod rewrite;
mod scan;
mod text;

use std::collections::{HashMap, HashSet};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::lock::Locked;
use self::scan::Place;
use self::text::MessageReader;
use super::{Entry, Key, LineEnds, Store};

/// An mbox file, as mboxrd has it (`mbox(5)` of qmail).
///
/// A message begins behind each line that begins with `From `, and ends before the blank line that precedes the next, or
/// the end of the file. Of lines that begin with `>From `, `>>From ` and so on the first `>` is taken away on the way to
/// the client. Lines may end in LF or CRLF. A file that is missing or empty has no messages; one that begins with
/// anything but `From ` is no mbox, and is refused.
///
/// Messages are numbered by their place. The unique-id is a hash of the `From ` line and of the message without its
/// `Status` and `X-Status` fields, which other programs change; what is there twice has a count behind it. It is the
/// same in every session, wherever the message has moved within the file. Of several messages that are the same octet
/// for octet, `From ` line included, the ids are given by place: if one is removed, the last of their ids is no longer
/// there.
///
/// QUIT writes what stays into a new file beside the old one, flushes it to the disk and renames it: a crash leaves the
/// old or the new file, whole. What was appended during the session stays. Reading never changes the file: that a message
/// was retrieved is remembered for as long as the store lives, and taken from an `R` in its `Status` field.
///
/// # Locks
///
/// The file is locked while it is read at login and while messages are removed, not in between. The lock is a file of the
/// same name with `.lock` behind it, made with `O_EXCL`, and then an `fcntl` lock on the mbox itself, as most programs
/// have it. Whoever has either is waited for, for ten seconds at most; the login is then refused with `[IN-USE]`. A
/// lock file that is older than five minutes was left behind by a crash, and is removed: nobody holds one for so long.
/// Where the directory may not be written to, reading goes on with the second lock alone, and nothing can be removed.
///
/// Since a removal puts a new file in the place of the old one, a program that delivers has to open the file after it has
/// got the lock, or to look after that whether it is still the same file. One that does neither may add to a file that
/// has no name any more.
#[derive(Debug)]
pub struct Mbox {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    index: Option<Index>,
    /// What clients have retrieved.
    seen: HashSet<Key>,
}

/// What is in the file.
#[derive(Debug)]
struct Index {
    /// Held open. POSIX takes a process's `fcntl` lock away when any descriptor of the file is closed; so there is one,
    /// and readers share it.
    file: Arc<File>,
    stamp: Stamp,
    places: Vec<Place>,
    by_key: HashMap<Key, usize>,
}

/// What is different if the file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    fn same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

impl Mbox {
    /// The file at `path`. Nothing is read before it is needed.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No step below leaves it half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stamp of the file that has the name now; `None` if there is none.
    fn stamp(&self) -> io::Result<Option<Stamp>> {
        match std::fs::metadata(&self.path) {
            Ok(metadata) => Ok(Some(Stamp::of(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Brings the index up to date with the file.
    fn refresh(&self, state: &mut State) -> io::Result<()> {
        let Some(now) = self.stamp()? else {
            state.index = None;
            return Ok(());
        };
        if state.index.as_ref().is_some_and(|index| index.stamp == now) {
            return Ok(());
        }
        let known = state.index.take().map(|index| (index.stamp, index.file));
        let Some(locked) = Locked::to_read(&self.path, known)? else { return Ok(()) };
        state.index = Some(Index::read(&locked)?);
        Ok(())
    }

    /// Does `work` with a message, where it is now.
    fn with_place<T>(
        &self,
        key: &Key,
        work: impl FnOnce(&State, &Index, &Place) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.state();
        self.refresh(&mut state)?;
        let found = state.index.as_ref().and_then(|index| Some((index, index.place(key)?)));
        let (index, place) = found.ok_or(io::ErrorKind::NotFound)?;
        work(&state, index, place)
    }
}

impl Index {
    fn read(locked: &Locked) -> io::Result<Self> {
        let file = Arc::clone(locked.file());
        let stamp = Stamp::of(&file.metadata()?);
        let places = scan::scan(&file, stamp.size)?;
        let by_key = (0..).zip(&places).map(|(at, place)| (place.key.clone(), at)).collect();
        Ok(Self { file, stamp, places, by_key })
    }

    fn place(&self, key: &Key) -> Option<&Place> {
        self.places.get(*self.by_key.get(key)?)
    }
}

impl Store for Mbox {
    fn list(&self, ends: LineEnds) -> io::Result<Vec<Entry>> {
        let mut state = self.state();
        self.refresh(&mut state)?;
        let entry = |place: &Place| Entry {
            key: place.key.clone(),
            size: if ends == LineEnds::Crlf { place.size_crlf } else { place.size_as_stored },
            unique_id: place.key.as_encoded_bytes().to_vec(),
        };
        Ok(state.index.iter().flat_map(|index| &index.places).map(entry).collect())
    }

    fn open(&self, key: &Key) -> io::Result<Box<dyn Read + Send>> {
        self.with_place(key, |_, index, place| {
            Ok(Box::new(MessageReader::new(Arc::clone(&index.file), place.content.clone())) as _)
        })
    }

    fn remove(&self, key: &Key) -> io::Result<()> {
        self.remove_all(&[key]).pop().unwrap_or(Ok(()))
    }

    fn remove_all(&self, keys: &[&Key]) -> Vec<io::Result<()>> {
        let mut state = self.state();
        let outcome = rewrite::without(&self.path, &mut state, keys);
        let again = |error: &io::Error| io::Error::new(error.kind(), error.to_string());
        keys.iter().map(|_| outcome.as_ref().map_err(again).copied()).collect()
    }

    fn mark_seen(&self, key: &Key) -> io::Result<()> {
        self.state().seen.insert(key.clone());
        Ok(())
    }

    fn is_seen(&self, key: &Key) -> io::Result<bool> {
        self.with_place(key, |state, _, place| Ok(place.seen || state.seen.contains(key)))
    }
}
