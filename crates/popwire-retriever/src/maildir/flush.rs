//! How what was written gets onto the disk: a file by itself, or many together.

use std::fs::File;
use std::io;
use std::num::NonZero;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{Delivery, Inner};

/// How the files of several messages are flushed. The promise is the same with each: a message is reported as delivered
/// once its octets and its name are on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flush {
    /// The file system as a whole, once for many messages, where that is sure: on Linux 5.17 and later, which tells of all
    /// errors there, with ext4, XFS, Btrfs and F2FS. Elsewhere, and for a few messages, and when it takes long because
    /// other programs write a lot, as [`Files`](Self::Files).
    #[default]
    Auto,
    /// Each file by itself, several at once. Nothing of other programs is flushed.
    Files,
}

/// Fewer files than this are flushed one by one: flushing the whole file system is not quicker then.
const FEW: usize = 4;

/// A flush of the file system that took so long flushed more than ours.
const LONG: Duration = Duration::from_secs(1);

/// How many files are flushed at once. Each waits for the disk and not for a processor, and the file system puts what
/// waits together into one commit; more did not gain anything.
const THREADS: NonZero<usize> = NonZero::new(16).expect("not zero");

/// Flushes deliveries into a Maildir, and learns from how it goes.
#[derive(Debug)]
pub(super) struct Flusher {
    maildir: Arc<Inner>,
    whole: bool,
}

impl Flusher {
    pub(super) fn new(flush: Flush, maildir: &Arc<Inner>) -> Self {
        let whole = flush == Flush::Auto && tells_errors(&maildir.new);
        Self { maildir: Arc::clone(maildir), whole }
    }

    /// Flushes deliveries, the one first that was opened first; for each whether its file is on the disk.
    pub(super) fn flush(&mut self, deliveries: &[&Delivery]) -> Vec<io::Result<()>> {
        let files: Vec<&File> = deliveries.iter().map(|delivery| &*delivery.file).collect();
        // Another Maildir may lie in another file system.
        let together = || deliveries.iter().all(|delivery| Arc::ptr_eq(&delivery.maildir, &self.maildir));
        match files[..] {
            [oldest, ..] if self.whole && files.len() >= FEW && together() => {
                let began = Instant::now();
                // The system tells each open file of the errors since it was opened, and of each error once: the file that
                // was opened first, before anything of these messages was written, misses none of them.
                let flushed = flush_file_system(oldest);
                self.whole = began.elapsed() < LONG;
                files.iter().map(|_| flushed.map_err(io::Error::from)).collect()
            }
            _ => flush_files(&files),
        }
    }
}

/// Never a second try: after a failed fsync the kernel may have dropped the data and says "ok" the next time.
/// <https://lwn.net/Articles/752063/>
fn flush_files(files: &[&File]) -> Vec<io::Result<()>> {
    if let [file] = files {
        return vec![file.sync_all()];
    }
    // Each thread takes the next file when it is done with one: some take much longer than others.
    let results: Vec<OnceLock<io::Result<()>>> = files.iter().map(|_| OnceLock::new()).collect();
    let next = Mutex::new(files.iter().zip(&results));
    let work = || {
        loop {
            let taken = next.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((file, result)) = taken else { break };
            let _ = result.set(file.sync_all());
        }
    };
    thread::scope(|scope| {
        for _ in 1..files.len().min(THREADS.get()) {
            // Where no more threads are to be had, those that there are do it.
            if thread::Builder::new().spawn_scoped(scope, work).is_err() {
                break;
            }
        }
        work();
    });
    results
        .into_iter()
        .map(|result| result.into_inner().unwrap_or_else(|| Err(io::ErrorKind::Other.into())))
        .collect()
}

#[cfg(target_os = "linux")]
fn flush_file_system(file: &File) -> rustix::io::Result<()> {
    rustix::fs::syncfs(file)
}

#[cfg(not(target_os = "linux"))]
fn flush_file_system(_: &File) -> rustix::io::Result<()> {
    Err(rustix::io::Errno::NOSYS)
}

/// Whether a flush of the whole file system tells of the errors that it met. Others are known to say "ok" whatever happens,
/// and file systems that another program or machine provides need not even be asked.
///
/// Linux tells of data that could not be written since 5.8 (commit 735e4ae5ba28), and of what the file system itself
/// failed at, such as its journal, since 5.17 (5679897eb104). Of a file system that became read-only by an error it says
/// "ok" all the same; there the message cannot be moved, and counts as not delivered for that.
#[cfg(target_os = "linux")]
fn tells_errors(folder: &File) -> bool {
    /// ext2 to ext4, XFS, Btrfs, F2FS; the numbers are those of `<linux/magic.h>`.
    const KNOWN: [u32; 4] = [0xEF53, 0x5846_5342, 0x9123_683E, 0xF2F5_2010];
    let known = rustix::fs::fstatfs(folder)
        .is_ok_and(|file_system| u32::try_from(file_system.f_type).is_ok_and(|magic| KNOWN.contains(&magic)));
    let system = rustix::system::uname();
    known && system.release().to_str().is_ok_and(is_since_5_17)
}

#[cfg(not(target_os = "linux"))]
fn tells_errors(_: &File) -> bool {
    false
}

/// Whether a kernel's release, such as `6.1.0-18-amd64`, is 5.17 or later.
#[cfg(target_os = "linux")]
fn is_since_5_17(release: &str) -> bool {
    let mut numbers = release.split(|char: char| !char.is_ascii_digit()).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= (5, 17),
        _ => false,
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_number() {
        for (release, since) in [
            ("5.17.0", true),
            ("5.100.0-1-amd64", true),
            ("6.1", true),
            ("10.0-rc1", true),
            ("5.16.99", false),
            ("5.8.0-1-amd64", false),
            ("4.19.0", false),
            ("5", false),
            ("", false),
            ("unknown", false),
        ] {
            assert_eq!(is_since_5_17(release), since, "{release}");
        }
    }

    #[test]
    fn every_file_has_a_result() {
        let folder = tempfile::tempdir().unwrap();
        for count in [0, 1, 2, 15, 16, 40] {
            let files: Vec<_> =
                (0..count).map(|name| File::create(folder.path().join(name.to_string())).unwrap()).collect();
            let results = flush_files(&files.iter().collect::<Vec<_>>());
            assert_eq!(results.len(), count);
            assert!(results.iter().all(Result::is_ok));
        }
    }

    #[test]
    fn the_error_of_a_file_is_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let mut files: Vec<_> =
            (0..20).map(|name| File::create(folder.path().join(name.to_string())).unwrap()).collect();
        // A pipe is nothing that can be flushed.
        files[7] = File::from(std::os::fd::OwnedFd::from(io::pipe().unwrap().1));
        for (at, result) in flush_files(&files.iter().collect::<Vec<_>>()).iter().enumerate() {
            assert_eq!(result.is_err(), at == 7, "{at}");
        }
    }
}
