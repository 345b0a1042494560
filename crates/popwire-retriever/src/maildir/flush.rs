//! How what was written gets onto the disk: a file by itself, or many together.

use std::fs::File;
use std::io;
use std::num::NonZero;
use std::thread;
use std::time::{Duration, Instant};

/// How the files of several messages are flushed. The promise is the same with each: a message is reported as delivered
/// once its octets and its name are on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flush {
    /// The file system as a whole, once for many messages, where that is sure: on Linux 5.8 and later, which tells of
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

/// Flushes, and learns from how it goes.
#[derive(Debug)]
pub(super) struct Flusher {
    whole: bool,
}

impl Flusher {
    /// For files of the file system that this folder lies in.
    pub(super) fn new(flush: Flush, folder: &File) -> Self {
        Self { whole: flush == Flush::Auto && tells_errors(folder) }
    }

    /// Flushes files, the one first that was opened first; for each whether it is on the disk.
    pub(super) fn flush(&mut self, files: &[&File]) -> Vec<io::Result<()>> {
        match files {
            [oldest, ..] if self.whole && files.len() >= FEW => {
                let began = Instant::now();
                // The system tells each open file of the errors since it was opened, and of each error once: the file that
                // was opened first, before anything of these messages was written, misses none of them.
                let flushed = flush_file_system(oldest);
                self.whole = began.elapsed() < LONG;
                files.iter().map(|_| flushed.map_err(io::Error::from)).collect()
            }
            _ => flush_files(files),
        }
    }
}

/// Never a second try: after a failed fsync the kernel may have dropped the data and says "ok" the next time.
/// <https://lwn.net/Articles/752063/>
fn flush_files(files: &[&File]) -> Vec<io::Result<()>> {
    if let [file] = files {
        return vec![file.sync_all()];
    }
    let share = files.len().div_ceil(THREADS.get()).max(1);
    thread::scope(|scope| {
        let flushing: Vec<_> = files
            .chunks(share)
            .map(|files| {
                let work = move || files.iter().map(|file| file.sync_all()).collect::<Vec<_>>();
                // Where no thread is to be had, this one does it.
                (files, thread::Builder::new().spawn_scoped(scope, work))
            })
            .collect();
        let results =
            flushing.into_iter().flat_map(|(files, thread)| match thread.map(|thread| thread.join()) {
                Ok(Ok(results)) => results,
                Ok(Err(panic)) => std::panic::resume_unwind(panic),
                Err(_) => files.iter().map(|file| file.sync_all()).collect(),
            });
        results.collect()
    })
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
#[cfg(target_os = "linux")]
fn tells_errors(folder: &File) -> bool {
    /// ext2 to ext4, XFS, Btrfs, F2FS; the numbers are those of `<linux/magic.h>`.
    const KNOWN: [u32; 4] = [0xEF53, 0x5846_5342, 0x9123_683E, 0xF2F5_2010];
    let known = rustix::fs::fstatfs(folder)
        .is_ok_and(|file_system| u32::try_from(file_system.f_type).is_ok_and(|magic| KNOWN.contains(&magic)));
    let system = rustix::system::uname();
    known && system.release().to_str().is_ok_and(is_since_5_8)
}

#[cfg(not(target_os = "linux"))]
fn tells_errors(_: &File) -> bool {
    false
}

/// Whether a kernel's release, such as `6.1.0-18-amd64`, is 5.8 or later.
#[cfg(target_os = "linux")]
fn is_since_5_8(release: &str) -> bool {
    let mut numbers = release.split(|char: char| !char.is_ascii_digit()).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= (5, 8),
        _ => false,
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_number() {
        for (release, since) in [
            ("5.8.0", true),
            ("5.10.0-1-amd64", true),
            ("6.1", true),
            ("10.0-rc1", true),
            ("5.7.99", false),
            ("4.19.0", false),
            ("5", false),
            ("", false),
            ("unknown", false),
        ] {
            assert_eq!(is_since_5_8(release), since, "{release}");
        }
    }

    #[test]
    fn every_file_has_a_result() {
        let folder = tempfile::tempdir().unwrap();
        for count in [1, 2, FEW, 40] {
            let files: Vec<_> =
                (0..count).map(|name| File::create(folder.path().join(name.to_string())).unwrap()).collect();
            let files: Vec<_> = files.iter().collect();
            for flush in [Flush::Auto, Flush::Files] {
                let results = Flusher::new(flush, files[0]).flush(&files);
                assert_eq!(results.len(), count);
                assert!(results.iter().all(Result::is_ok));
            }
        }
        assert!(flush_files(&[]).is_empty());
    }
}
