//! Delivery into a Maildir that survives loss of power.
//!
//! A message is written into `tmp/`, flushed to the disk with `fsync`, moved into `new/` under a name that was never
//! used before, and `new/` is flushed too. Once [`Delivery::commit`] has returned, the message is on the disk under its
//! name, whole, and may be deleted where it came from. Before that nothing of it is ever seen in `new/`.
//!
//! ```
//! use std::io::Write;
//! use popwire_retriever::maildir::Maildir;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let home = tempfile::tempdir()?;
//! let maildir = Maildir::create(home.path().join("Mail"))?;
//! let mut delivery = maildir.deliver()?;
//! delivery.write_all(b"Subject: hello\r\n\r\nHello Alice.\r\n")?;
//! let delivered = delivery.commit()?;
//! assert_eq!(delivered.octets, 32);
//! assert!(delivered.path.starts_with(home.path().join("Mail/new")));
//! # Ok(())
//! # }
//! ```
//!
//! Many messages are made durable together, by a [`MaildirDestination`]: flushing is what delivery costs, and one flush can
//! serve many.
//!
//! The octets are stored as they were written: line ends are not translated, nothing is added.
//!
//! Out of scope: reading mail, flags, subfolders, quotas.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use crate::folder;

use rustix::fs::{AtFlags, Mode, OFlags};

mod batch;
mod destination;
mod flush;
mod name;

pub use crate::error::DeliveryError;
pub use destination::MaildirDestination;
pub use flush::Flush;

/// A Maildir to deliver into. Clones are cheap and name the same folder; threads may deliver at once.
#[derive(Clone, Debug)]
pub struct Maildir {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    // Open for as long as we deliver: what is flushed is then surely the folder that the message was moved into, even
    // if another was put under its name meanwhile.
    tmp: File,
    new: File,
    host: String,
}

/// A message that is being delivered: write it, then [`commit`](Delivery::commit). Dropped without that, it leaves
/// nothing behind.
#[derive(Debug)]
#[must_use = "a delivery that is not committed is undone"]
pub struct Delivery {
    maildir: Arc<Inner>,
    name: String,
    file: Arc<File>,
    buffer: Vec<u8>,
    octets: u64,
    /// Which of this process's deliveries was opened before which.
    opened: u64,
    spoiled: bool,
    /// The file in `tmp/` is another's to remove, or not there any more.
    moved: AtomicBool,
}

/// A message that lies in `new/` and stays there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivered {
    /// Where it lies, until a reader of the mail moves it into `cur/`.
    pub path: PathBuf,
    /// The unique name, as [`Delivery::name`] gave it.
    pub name: String,
    /// Its size.
    pub octets: u64,
}

/// Small writes are gathered up to this: one system call for most messages, and no more memory for large ones.
const BUFFER: usize = 64 * 1024;

/// The age at which a file in `tmp/` counts as left behind, from the Maildir convention.
const STALE: Duration = Duration::from_secs(36 * 60 * 60);

const FOLDERS: [&str; 3] = ["tmp", "new", "cur"];

impl Maildir {
    /// Open the Maildir at `path`, and create it, and the folders above it, where they are missing. What is created is
    /// for its owner only (0700) and on the disk when this returns.
    ///
    /// # Errors
    ///
    /// [`DeliveryError::NotAMaildir`] where something else is there: a file, or a folder that holds other things and
    /// lacks one of `tmp`, `new` and `cur`. An empty folder becomes a Maildir, and one that a crash left half made is
    /// finished.
    pub fn create(path: impl AsRef<Path>) -> Result<Maildir, DeliveryError> {
        let root = absolute(path.as_ref())?;
        folder::make(&root)?;
        for folder in missing(&root)? {
            folder::make(&root.join(folder))?;
        }
        // Once more than is needed, mostly: an earlier run may have made them and been killed before it could flush.
        folder::sync(&root)?;
        folder::sync_parent(&root, false)?;
        Maildir::open(root)
    }

    /// Open the Maildir at `path`, which must exist.
    ///
    /// # Errors
    ///
    /// [`DeliveryError::NotAMaildir`] where nothing is there, or something else.
    pub fn open(path: impl AsRef<Path>) -> Result<Maildir, DeliveryError> {
        let root = absolute(path.as_ref())?;
        if let Some(missing) = missing(&root)?.first() {
            return Err(DeliveryError::not_a_maildir(&root, format!("it has no folder {missing}")));
        }
        let tmp = folder::open(&root.join("tmp"))?;
        let new = folder::open(&root.join("new"))?;
        Ok(Maildir { inner: Arc::new(Inner { root, tmp, new, host: name::host() }) })
    }

    /// Where it lies, from the root of the file system.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.root
    }

    /// Begin to deliver a message: a new file in `tmp/` that only its owner may read (0600).
    ///
    /// # Errors
    ///
    /// When the file cannot be created.
    pub fn deliver(&self) -> Result<Delivery, DeliveryError> {
        static OPENED: AtomicU64 = AtomicU64::new(0);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut tries = 0;
        loop {
            let name = name::unique(&self.inner.host);
            match rustix::fs::openat(&self.inner.tmp, &name, flags, Mode::RUSR | Mode::WUSR) {
                Ok(file) => {
                    // After the file is open, and before anything is written to it: see `Flusher::flush`.
                    let opened = OPENED.fetch_add(1, Ordering::AcqRel);
                    return Ok(Delivery::new(Arc::clone(&self.inner), name, file.into(), opened));
                }
                // Names are unique by design; a clock that was set back on a machine that reuses process ids is not.
                Err(rustix::io::Errno::EXIST) if tries < 8 => tries += 1,
                Err(reason) => {
                    let path = self.inner.root.join("tmp").join(name);
                    return Err(DeliveryError::io("creating", path, reason.into()));
                }
            }
        }
    }

    /// Remove what deliveries of this host left in `tmp/` when they were killed: files with names of our making that
    /// were not written to for 36 hours. Returns how many.
    ///
    /// # Errors
    ///
    /// When `tmp/` cannot be read, or a file cannot be removed.
    pub fn clean_tmp(&self) -> Result<usize, DeliveryError> {
        self.clean_tmp_at(SystemTime::now())
    }

    fn clean_tmp_at(&self, now: SystemTime) -> Result<usize, DeliveryError> {
        let folder = self.inner.root.join("tmp");
        let reading = |reason| DeliveryError::io("reading", &folder, reason);
        let mut removed = 0;
        for entry in fs::read_dir(&folder).map_err(reading)? {
            let entry = entry.map_err(reading)?;
            if !entry.file_name().to_str().is_some_and(|file| name::is_ours(file, &self.inner.host)) {
                continue;
            }
            let written = entry.metadata().and_then(|metadata| metadata.modified());
            // A file that has vanished was delivered or cleaned away by another; a time in the future is not stale.
            let stale = written.is_ok_and(|time| now.duration_since(time).is_ok_and(|age| age > STALE));
            if stale {
                match fs::remove_file(entry.path()) {
                    Ok(()) => removed += 1,
                    Err(reason) if reason.kind() == io::ErrorKind::NotFound => {}
                    Err(reason) => return Err(DeliveryError::io("removing", entry.path(), reason)),
                }
            }
        }
        Ok(removed)
    }
}

impl Delivery {
    fn new(maildir: Arc<Inner>, name: String, file: File, opened: u64) -> Delivery {
        Delivery {
            maildir,
            name,
            file: Arc::new(file),
            buffer: Vec::new(),
            octets: 0,
            opened,
            spoiled: false,
            moved: AtomicBool::new(false),
        }
    }

    /// The unique name under which the message will lie in `new/`, with `,S=<size>` added to it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The octets written so far.
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// The same delivery for a batch of its Maildir, or none if it is another Maildir's. This one is only read from then on.
    fn taken_over_by(&self, maildir: &Maildir) -> Option<Result<Delivery, DeliveryError>> {
        if !Arc::ptr_eq(&self.maildir, &maildir.inner) || self.moved.swap(true, Ordering::AcqRel) {
            return None;
        }
        Some(Ok(Delivery {
            maildir: Arc::clone(&self.maildir),
            name: self.name.clone(),
            file: Arc::clone(&self.file),
            // All of it was written out, or the length will tell.
            buffer: Vec::new(),
            octets: self.octets,
            opened: self.opened,
            spoiled: self.spoiled,
            moved: AtomicBool::new(false),
        }))
    }

    /// Reads what was written and flushed.
    pub(crate) fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        self.file.read_at(into, at)
    }

    /// Nothing more will come: the system gets the rest, and the memory goes.
    pub(crate) fn write_out(&mut self) -> Result<(), DeliveryError> {
        if self.spoiled {
            return Err(DeliveryError::Spoiled { path: self.tmp_path() });
        }
        self.empty_buffer()?;
        self.buffer = Vec::new();
        Ok(())
    }

    /// Fails if the file is not what was written into it.
    fn seal(&mut self) -> Result<(), DeliveryError> {
        self.write_out()?;
        let length = self.file.metadata().map_err(|reason| self.failed("looking at", reason))?.len();
        if length == self.octets { Ok(()) } else { Err(DeliveryError::Spoiled { path: self.tmp_path() }) }
    }

    fn empty_buffer(&mut self) -> Result<(), DeliveryError> {
        let written = (&*self.file).write_all(&self.buffer);
        self.buffer.clear();
        written.map_err(|reason| self.spoil(reason))
    }

    /// Part of a write may have reached the file, and nobody knows which: this message can no longer become whole.
    fn spoil(&mut self, reason: io::Error) -> DeliveryError {
        self.spoiled = true;
        self.failed("writing", reason)
    }

    fn failed(&self, doing: &'static str, reason: io::Error) -> DeliveryError {
        DeliveryError::io(doing, self.tmp_path(), reason)
    }

    fn tmp_path(&self) -> PathBuf {
        self.maildir.root.join("tmp").join(&self.name)
    }
}

/// Errors hold a [`DeliveryError`], which [`DeliveryError::within`] finds again: `io::copy` mixes the errors of the source
/// with those of the destination. After one error every further call fails, and so does the commit.
impl Write for Delivery {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if self.spoiled {
            return Err(DeliveryError::Spoiled { path: self.tmp_path() }.into());
        }
        if self.buffer.len() + octets.len() > BUFFER {
            self.empty_buffer()?;
        }
        if octets.len() >= BUFFER {
            (&*self.file).write_all(octets).map_err(|reason| self.spoil(reason))?;
        } else {
            self.buffer.extend_from_slice(octets);
        }
        self.octets += octets.len() as u64;
        Ok(octets.len())
    }

    /// Hand what was gathered to the system. It is not on the disk before [`commit`](Delivery::commit).
    fn flush(&mut self) -> io::Result<()> {
        if self.spoiled {
            return Err(DeliveryError::Spoiled { path: self.tmp_path() }.into());
        }
        Ok(self.empty_buffer()?)
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if !*self.moved.get_mut() {
            // If even this fails, `clean_tmp` finds it later.
            let _ = rustix::fs::unlinkat(&self.maildir.tmp, &self.name, AtFlags::empty());
        }
    }
}

/// Move a file between two open folders; whatever has the new name already stays, and is an error.
fn move_without_overwriting(from: &File, name: &str, to: &File, target: &str) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    {
        use rustix::{fs::RenameFlags, io::Errno};
        match rustix::fs::renameat_with(from, name, to, target, RenameFlags::NOREPLACE) {
            // Kernels before 3.15 and some file systems (NFS among them) cannot.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            done => return Ok(done?),
        }
    }
    link_without_overwriting(from, name, to, target)
}

fn link_without_overwriting(from: &File, name: &str, to: &File, target: &str) -> io::Result<()> {
    rustix::fs::linkat(from, name, to, target, AtFlags::empty())?;
    // The message is delivered; a second name in tmp/ does no harm, and `clean_tmp` removes it.
    let _ = rustix::fs::unlinkat(from, name, AtFlags::empty());
    Ok(())
}

/// Which of the three folders `root` has not. An error if it is not, and cannot become, a Maildir.
fn missing(root: &Path) -> Result<Vec<&'static str>, DeliveryError> {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(reason) if reason.kind() == io::ErrorKind::NotFound => {
            return Err(DeliveryError::not_a_maildir(root, "it does not exist"));
        }
        Err(reason) if reason.kind() == io::ErrorKind::NotADirectory => {
            return Err(DeliveryError::not_a_maildir(root, "it is no folder"));
        }
        Err(reason) => return Err(DeliveryError::io("reading", root, reason)),
    };
    let lacking: Vec<_> = FOLDERS.into_iter().filter(|folder| !root.join(folder).is_dir()).collect();
    if let Some(first) = lacking.first() {
        for entry in entries {
            let name = entry.map_err(|reason| DeliveryError::io("reading", root, reason))?.file_name();
            if !FOLDERS.iter().any(|folder| name == *folder && !lacking.contains(folder)) {
                let other = name.to_string_lossy();
                let found = format!("it has no folder {first}, but holds {other}");
                return Err(DeliveryError::not_a_maildir(root, found));
            }
        }
    }
    Ok(lacking)
}

/// A working directory that is left later must not move the mail.
fn absolute(path: &Path) -> Result<PathBuf, DeliveryError> {
    std::path::absolute(path).map_err(|reason| DeliveryError::io("finding", path, reason))
}

#[cfg(test)]
mod tests;
