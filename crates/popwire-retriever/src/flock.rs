//! Locks that the kernel takes back when their owner dies: nothing stale is left behind.

use std::fs::File;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;

/// Who else may hold the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// All who want it so.
    Shared,
    Alone,
}

/// Locks the open file, or changes the lock that is held on it; waits for others up to `patience`.
///
/// # Errors
///
/// [`io::ErrorKind::WouldBlock`] if others hold it still.
pub(crate) fn take(file: &File, hold: Hold, patience: Duration) -> io::Result<()> {
    let operation = match hold {
        Hold::Shared => FlockOperation::NonBlockingLockShared,
        Hold::Alone => FlockOperation::NonBlockingLockExclusive,
    };
    let begun = Instant::now();
    loop {
        match rustix::fs::flock(file, operation) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::WOULDBLOCK) if begun.elapsed() < patience => {
                thread::sleep(Duration::from_millis(20));
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(reason) => return Err(reason.into()),
        }
    }
}
