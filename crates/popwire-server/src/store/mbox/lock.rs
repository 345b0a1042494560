//! The locks on an mbox: a file beside it, then `fcntl` on itself.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;

use super::Stamp;

/// How long others are waited for: deliveries take less.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is looked whether they are done.
const LOOK: Duration = Duration::from_millis(20);

/// The age at which a lock file was left behind by a crash, as for most programs.
const STALE: Duration = Duration::from_secs(300);

/// An mbox with its locks, which are released when this is dropped.
pub(super) struct Locked {
    /// Declared first: the file's own lock goes before the one beside it, in the reverse order of their taking.
    file: FileLock,
    beside: Option<DotLock>,
    path: PathBuf,
}

impl Locked {
    /// Locks a file so that it does not change; `None` if there is none. `known` is the descriptor that is open already.
    pub(super) fn to_read(path: &Path, known: Option<(Stamp, Arc<File>)>) -> io::Result<Option<Self>> {
        Self::take(path, known, FlockOperation::NonBlockingLockShared)
    }

    /// Locks a file so that it can be replaced; `None` if there is none.
    pub(super) fn to_replace(path: &Path, known: Option<(Stamp, Arc<File>)>) -> io::Result<Option<Self>> {
        Self::take(path, known, FlockOperation::NonBlockingLockExclusive)
    }

    fn take(
        path: &Path,
        known: Option<(Stamp, Arc<File>)>,
        operation: FlockOperation,
    ) -> io::Result<Option<Self>> {
        // Where it is linked to, there the others have their lock.
        let path = match fs::canonicalize(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            path => path?,
        };
        let deadline = Instant::now() + PATIENCE;
        let beside = match DotLock::take(&path, deadline) {
            Ok(lock) => Some(lock),
            Err(error)
                if matches!(operation, FlockOperation::NonBlockingLockShared)
                    && matches!(
                        error.kind(),
                        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
                    ) =>
            {
                None
            }
            Err(error) => return Err(error),
        };
        loop {
            let metadata = match fs::metadata(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                metadata => metadata?,
            };
            if !metadata.is_file() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
            }
            let now = Stamp::of(&metadata);
            let file = match &known {
                Some((stamp, file)) if stamp.same_file(&now) => Arc::clone(file),
                _ => Arc::new(open(&path)?),
            };
            let file = FileLock::take(file, operation, deadline)?;
            // Another program may have put a new file in its place while we waited.
            let name = fs::metadata(&path).map(|metadata| Stamp::of(&metadata)).ok();
            let locked = Stamp::of(&file.file.metadata()?);
            if name.is_some_and(|name| name.same_file(&locked)) {
                return Ok(Some(Self { file, beside, path }));
            }
            wait(deadline)?;
        }
    }

    pub(super) fn file(&self) -> &Arc<File> {
        &self.file.file
    }

    /// The file's name, links resolved.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Shows others that the lock beside it is not stale.
    pub(super) fn hold_on(&self) -> io::Result<()> {
        self.beside.as_ref().map_or(Ok(()), |lock| lock.file.set_modified(SystemTime::now()))
    }
}

/// For an exclusive lock, POSIX wants a descriptor to write with.
fn open(path: &Path) -> io::Result<File> {
    match OpenOptions::new().read(true).write(true).open(path) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            File::open(path)
        }
        file => file,
    }
}

fn wait(deadline: Instant) -> io::Result<()> {
    if Instant::now() >= deadline {
        let what = "another program has the mbox locked";
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, what));
    }
    sleep(LOOK);
    Ok(())
}

/// A lock on the file itself.
struct FileLock {
    file: Arc<File>,
}

impl FileLock {
    fn take(file: Arc<File>, operation: FlockOperation, deadline: Instant) -> io::Result<Self> {
        loop {
            match fcntl_lock(&file, operation) {
                Ok(()) => return Ok(Self { file }),
                Err(Errno::AGAIN | Errno::ACCESS) => wait(deadline)?,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // The descriptor stays open for readers. If this fails, the lock goes when it is closed.
        let _ = fcntl_lock(&self.file, FlockOperation::Unlock);
    }
}

/// A lock file.
struct DotLock {
    path: PathBuf,
    file: File,
}

impl DotLock {
    fn take(mbox: &Path, deadline: Instant) -> io::Result<Self> {
        let mut path = mbox.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        loop {
            match OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path) {
                Ok(mut file) => {
                    // For people who look who it was. Nobody else needs it.
                    let _ = writeln!(file, "{}", std::process::id());
                    return Ok(Self { path, file });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            // Should two break it at once, one may break the other's new lock: there is the second lock for that.
            if is_stale(&path) {
                let _ = fs::remove_file(&path);
            } else {
                wait(deadline)?;
            }
        }
    }
}

impl Drop for DotLock {
    fn drop(&mut self) {
        // One that stays is stale after a while.
        let _ = fs::remove_file(&self.path);
    }
}

fn is_stale(lock: &Path) -> bool {
    let modified = fs::symlink_metadata(lock).and_then(|metadata| metadata.modified());
    let age = modified.ok().and_then(|modified| SystemTime::now().duration_since(modified).ok());
    age.is_some_and(|age| age > STALE)
}
