//! The removal of messages: a new file in the place of the old one.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::ops::Range;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::lock::Locked;
use super::text::read_at;
use super::{Index, Key, Stamp, State};

/// How often it is tried again if a program that keeps to no lock has changed the file meanwhile.
const TRIES: usize = 3;

/// What is copied at a time.
const CHUNK: usize = 1 << 20;

/// How often others are shown that the lock is not stale.
const HOLD_ON: Duration = Duration::from_secs(30);

/// Removes messages from the file. Those that have gone already count as removed.
pub(super) fn without(path: &Path, state: &mut State, keys: &[&Key]) -> io::Result<()> {
    let known = state.index.as_ref().map(|index| (index.stamp, Arc::clone(&index.file)));
    let Some(locked) = Locked::to_replace(path, known)? else {
        state.index = None;
        return Ok(());
    };
    for _ in 0..TRIES {
        let now = Stamp::of(&locked.file().metadata()?);
        if state.index.as_ref().is_none_or(|index| index.stamp != now) {
            // Mail has come, or another program has removed some: what is to stay is what is there now.
            state.index = None;
            state.index = Some(Index::read(&locked)?);
        }
        let Some(index) = &state.index else { break };
        let gone: HashSet<&Key> =
            keys.iter().copied().filter(|key| index.by_key.contains_key(*key)).collect();
        if gone.is_empty() {
            return Ok(());
        }
        let new = NewFile::create(&locked)?;
        new.fill(&locked, &kept(index, &gone))?;
        if Stamp::of(&locked.file().metadata()?) == index.stamp {
            new.take_the_place(locked.path())?;
            for key in gone {
                state.seen.remove(key);
            }
            state.index = None;
            return Ok(());
        }
    }
    let what = "another program keeps changing the mbox";
    Err(io::Error::new(io::ErrorKind::ResourceBusy, what))
}

/// What stays, as few parts of the file as there can be.
fn kept(index: &Index, gone: &HashSet<&Key>) -> Vec<Range<u64>> {
    let mut kept: Vec<Range<u64>> = Vec::new();
    for place in index.places.iter().filter(|place| !gone.contains(&place.key)) {
        match kept.last_mut() {
            Some(last) if last.end == place.whole.start => last.end = place.whole.end,
            _ => kept.push(place.whole.clone()),
        }
    }
    kept
}

/// A file beside the mbox; removed when dropped, unless it has taken the mbox's place.
struct NewFile {
    path: PathBuf,
    file: File,
}

impl NewFile {
    /// With the owner and the permissions of the mbox.
    fn create(locked: &Locked) -> io::Result<Self> {
        let mut path = OsString::from(locked.path());
        path.push(".popwire-new");
        let path = PathBuf::from(path);
        // Whoever has the lock is alone with this name: what is there was left behind by a crash.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let new = Self { path, file };
        let (old, own) = (locked.file().metadata()?, new.file.metadata()?);
        if (old.uid(), old.gid()) != (own.uid(), own.gid()) {
            // If it must not be given to its owner, it must not take the place of what is his.
            fchown(&new.file, Some(old.uid()), Some(old.gid()))?;
        }
        new.file.set_permissions(old.permissions())?;
        Ok(new)
    }

    /// Copies these parts of the mbox, and flushes them to the disk.
    fn fill(&self, locked: &Locked, parts: &[Range<u64>]) -> io::Result<()> {
        let mut buffer = vec![0; CHUNK];
        let mut held = Instant::now();
        for part in parts {
            let mut position = part.start;
            while position < part.end {
                let read = read_at(locked.file(), &mut buffer, position, part.end)?;
                if read == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                (&self.file).write_all(buffer.get(..read).unwrap_or_default())?;
                position += read as u64;
                if held.elapsed() > HOLD_ON {
                    locked.hold_on()?;
                    held = Instant::now();
                }
            }
        }
        self.file.sync_all()
    }

    fn take_the_place(&self, mbox: &Path) -> io::Result<()> {
        fs::rename(&self.path, mbox)?;
        // The name has to be on the disk too, or a crash brings the old file back after QUIT was answered.
        let directory = mbox.parent().unwrap_or(Path::new("/"));
        File::open(directory)?.sync_all()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // After the rename there is nothing of this name.
        let _ = fs::remove_file(&self.path);
    }
}
