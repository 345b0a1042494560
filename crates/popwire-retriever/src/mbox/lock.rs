//! The locks of an mbox, as mail programs on one machine and over NFS agree on them.
//!
//! First the kernel's lock by `fcntl`, then the dotlock `FILE.lock`; whoever cannot have the second gives the first back and
//! begins anew (Debian Policy 11.6). The kernel's is gone when its owner dies. The dotlock is not; and so ours has our name
//! in it: whoever of us holds the kernel's lock and finds a dotlock of ours from this host has found one whose owner died.
//! Another's is removed when it has not been touched for five minutes, which is when liblockfile removes it too.
//!
//! The kernel's lock is the process's, and lost when any file of the same inode is closed by it. So within this process the
//! file is opened by one at a time.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags};

use crate::DeliveryError;

/// How long another's dotlock may lie untouched.
const STALE: Duration = Duration::from_secs(5 * 60);

/// How long to wait before the next try.
const PAUSE: Duration = Duration::from_millis(50);

/// An mbox that nobody else changes meanwhile.
pub(super) struct Locked {
    // In this order they are let go of.
    _dotlock: Option<Dotlock>,
    pub(super) file: File,
    _turn: Turn,
}

/// Whom a try has to wait for.
enum Attempt {
    Locked(Option<Dotlock>),
    Held { by: String },
}

impl Attempt {
    fn held(dotlock: &Path) -> Self {
        Self::Held { by: format!("{} has been there", dotlock.display()) }
    }
}

impl Locked {
    /// Opens and locks the file at this path, which is no symbolic link; waits for others up to `patience`.
    pub(super) fn open(name: &str, path: &Path, patience: Duration) -> Result<Self, DeliveryError> {
        let begun = Instant::now();
        let unavailable = |by: String| DeliveryError::Unavailable {
            destination: name.into(),
            doing: "locking",
            source: io::Error::new(ErrorKind::TimedOut, format!("{by} for {} s", patience.as_secs())).into(),
        };
        let Some(turn) = Turn::wait(path, patience) else {
            return Err(unavailable("another delivery of this process has it locked".into()));
        };
        loop {
            // Closed before the next try, and the kernel's lock with it.
            let file = open(path)?;
            match attempt(&file, path)? {
                Attempt::Locked(dotlock) => return Ok(Self { _dotlock: dotlock, file, _turn: turn }),
                Attempt::Held { by } if begun.elapsed() >= patience => return Err(unavailable(by)),
                Attempt::Held { .. } => {}
            }
            drop(file);
            thread::sleep(PAUSE);
        }
    }
}

fn attempt(file: &File, path: &Path) -> Result<Attempt, DeliveryError> {
    let locking = |reason| DeliveryError::io("locking", path, reason);
    match rustix::fs::fcntl_lock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS | rustix::io::Errno::INTR) => {
            return Ok(Attempt::Held { by: "another program has it locked".into() });
        }
        Err(reason) => return Err(locking(reason.into())),
    }
    // A mail program may have put another file in its place while we waited.
    let ours = file.metadata().map_err(locking)?;
    match fs::symlink_metadata(path) {
        Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => Dotlock::attempt(path),
        Ok(_) => Ok(Attempt::Held { by: "other programs have been replacing it".into() }),
        Err(reason) => Err(locking(reason)),
    }
}

fn open(path: &Path) -> Result<File, DeliveryError> {
    let opening = |reason| DeliveryError::io("opening", path, reason);
    let mut options = File::options();
    // Without waiting for the other end of a pipe.
    let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY).bits();
    options.read(true).append(true).custom_flags(flags.cast_signed());
    let file = options.open(path).map_err(opening)?;
    if !file.metadata().map_err(opening)?.is_file() {
        return Err(opening(io::Error::new(ErrorKind::InvalidInput, "it is not a regular file")));
    }
    Ok(file)
}

/// The file `FILE.lock`, as long as it is ours.
struct Dotlock {
    path: PathBuf,
    inode: u64,
}

impl Dotlock {
    /// Makes it, or goes without where we may not make files. The kernel's lock must be held.
    fn attempt(mbox: &Path) -> Result<Attempt, DeliveryError> {
        let beside = |ending: &str| {
            let mut path = mbox.as_os_str().to_owned();
            path.push(ending);
            PathBuf::from(path)
        };
        let path = beside(".lock");
        // It is there with our name in it or not at all, whenever we die. Nobody else of us is about this name.
        let draft =
            beside(&format!(".lock.popwire-{}", rustix::system::uname().nodename().to_string_lossy()));
        let locking = |reason| DeliveryError::io("locking", &path, reason);
        let inode = match Self::draft(&draft) {
            Ok(inode) => inode,
            Err(reason) if is_forbidden(&reason) => {
                return Ok(if is_there(&path) { Attempt::held(&path) } else { Attempt::Locked(None) });
            }
            Err(reason) => {
                let _ = fs::remove_file(&draft);
                return Err(locking(reason));
            }
        };
        let mut linked = fs::hard_link(&draft, &path);
        if is_there(&path) && linked.is_err() && is_stale(&path) && fs::remove_file(&path).is_ok() {
            linked = fs::hard_link(&draft, &path);
        }
        let _ = fs::remove_file(&draft);
        match linked {
            Ok(()) => Ok(Attempt::Locked(Some(Self { path, inode }))),
            Err(reason) if reason.kind() == ErrorKind::AlreadyExists => Ok(Attempt::held(&path)),
            // A file system without links.
            Err(reason) if is_forbidden(&reason) || reason.kind() == ErrorKind::Unsupported => {
                Ok(Attempt::Locked(None))
            }
            Err(reason) => Err(locking(reason)),
        }
    }

    fn draft(path: &Path) -> io::Result<u64> {
        match fs::remove_file(path) {
            Err(reason) if reason.kind() != ErrorKind::NotFound => return Err(reason),
            _ => {}
        }
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
        // First the process, as others have it.
        file.write_all(format!("{}\n{}", process::id(), signature()).as_bytes())?;
        // Power may go: an empty one would be nobody's, and in the way for five minutes.
        file.sync_data()?;
        Ok(file.metadata()?.ino())
    }
}

fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn is_forbidden(reason: &io::Error) -> bool {
    matches!(reason.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
}

impl Drop for Dotlock {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|there| there.ino() == self.inode) {
            // Left there, it is found stale by the next of us.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// What stands in our dotlocks behind the process.
fn signature() -> String {
    format!("popwire {}\n", rustix::system::uname().nodename().to_string_lossy())
}

/// Whether the owner of the dotlock has died. The kernel's lock must be held.
fn is_stale(lock: &Path) -> bool {
    let Ok(there) = fs::symlink_metadata(lock) else { return false };
    if !there.is_file() {
        return false;
    }
    let old = there.modified().is_ok_and(|touched| touched.elapsed().is_ok_and(|age| age >= STALE));
    old || there.len() < 1024
        && fs::read_to_string(lock)
            .is_ok_and(|text| text.split_once('\n').is_some_and(|(_, rest)| rest == signature()))
}

/// The right to have this file open, within this process.
struct Turn(PathBuf);

static TAKEN: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
static LET_GO: Condvar = Condvar::new();

impl Turn {
    fn wait(path: &Path, patience: Duration) -> Option<Self> {
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut taken, _) = LET_GO
            .wait_timeout_while(taken, patience, |taken| taken.contains(path))
            .unwrap_or_else(PoisonError::into_inner);
        taken.insert(path.into()).then(|| Self(path.into()))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        TAKEN.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
        LET_GO.notify_all();
    }
}
