//! An mbox: one file with a mailbox in it.
//!
//! # What stands in the file
//!
//! The form is mboxrd. A message stands behind a From_ line and has an empty line behind it; each of its lines that is
//! `From ` behind any number of `>` has one `>` more. Its octets are otherwise what they were, its line ends too; the
//! From_ line and the empty line end in LF.
//!
//! ```text
//! From popwire.<mark>.<octets>.<check>@localhost Mon Nov 23 12:51:07 2026
//! ```
//!
//! The mark is that of the delivery ([`Parcel::mark`]), in 32 hexadecimal digits. The octets, in decimal digits, are those
//! behind the From_ line up to and with the empty line. The check is 16 hexadecimal digits: 8 that the SHA-256 of the header
//! begins with, up to and with the empty line behind it, and 8 that the SHA-256 of all those octets begins with. The time
//! is UTC.
//!
//! To get a message back: take that many octets, take off the LF at the end, and one `>` from each line that is `From `
//! behind at least one. A message that did not end in LF got one: then there is `.unended` before the `@`, and it is to be
//! taken off too.
//!
//! # What a crash leaves
//!
//! Messages that were not written whole. Before anything is appended or counted, they are cut off at the end of the file.
//! A message counts as there if its octets are those of the check; or if it has become longer and ends as messages end: so
//! mail programs leave it that keep its flags in its header. Any other is not counted, so that it comes once more rather
//! than never. And it is left alone, unless it is the last, is too short, and either has the header that it had or does not
//! end as messages end.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use crate::DeliveryError;
use crate::destination::{Destination, Parcel, share};
use crate::folder;
use crate::identity::Mark;

mod frame;
mod lock;
mod scan;

use frame::Frame;
use lock::Locked;

/// Appends to an mbox, which is locked meanwhile by `fcntl` and by a dotlock. The [module](self) describes the file.
///
/// A symbolic link is followed, and the dotlock lies beside what it points to. Where no file can be made there, it is done
/// without the dotlock. A dotlock of another program is taken to be left over when it has not been touched for five
/// minutes.
pub struct MboxDestination {
    path: PathBuf,
    name: String,
    patience: Duration,
    prepared: HashMap<Mark, Frame>,
    /// The file and its length after what we did last, which need not be looked at again.
    sound: Option<(u64, u64, u64)>,
}

/// Octets that are written at once.
const AT_ONCE: usize = 1 << 20;

impl MboxDestination {
    /// Appends to the file at this path. It is made when the first batch comes if it is missing, for its owner only (0600),
    /// and so are the folders above it (0700).
    ///
    /// # Errors
    ///
    /// If the path is not absolute and there is no current folder.
    pub fn new(path: impl AsRef<Path>) -> Result<Self, DeliveryError> {
        let path = path.as_ref();
        let path = std::path::absolute(path).map_err(|reason| DeliveryError::io("opening", path, reason))?;
        Ok(Self {
            name: format!("mbox:{}", path.display()),
            path,
            patience: Duration::from_secs(30),
            prepared: HashMap::new(),
            sound: None,
        })
    }

    /// Waits so long for others that have the file locked; 30 seconds if this is not called.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Makes the file if it is missing, and says where it really is.
    fn place(&self) -> Result<PathBuf, DeliveryError> {
        let resolve = || fs::canonicalize(&self.path);
        match resolve() {
            Err(reason) if reason.kind() == ErrorKind::NotFound => {}
            found => return found.map_err(|reason| DeliveryError::io("opening", &self.path, reason)),
        }
        let creating = |reason| DeliveryError::io("creating", &self.path, reason);
        if let Some(parent) = self.path.parent() {
            folder::make(parent)?;
        }
        // What another delivery has made meanwhile is not opened: closing it would take that one's lock away. What is there
        // and leads nowhere is a symbolic link.
        let leads_nowhere = fs::symlink_metadata(&self.path).is_ok();
        let mut options = File::options();
        options.append(true).create(true).create_new(!leads_nowhere).mode(0o600);
        match options.open(&self.path) {
            Ok(file) => file.sync_all().map_err(creating)?,
            Err(reason) if reason.kind() == ErrorKind::AlreadyExists => {}
            Err(reason) => return Err(creating(reason)),
        }
        let place = resolve().map_err(creating)?;
        folder::sync_parent(&place, true)?;
        Ok(place)
    }

    fn append(&mut self, parcels: &[(&Parcel, Frame)]) -> Result<(), DeliveryError> {
        let path = self.place()?;
        let locked = Locked::open(&self.name, &path, self.patience)?;
        let looking = |reason| DeliveryError::io("reading", &path, reason);
        let sound = |file: &File| file.metadata().map(|data| (data.dev(), data.ino(), data.len()));
        let known = self.sound.take() == Some(sound(&locked.file).map_err(looking)?);
        if !known {
            scan::repair(&locked.file).map_err(looking)?;
        }
        let length = locked.file.metadata().map_err(looking)?.len();
        let separator = separator(&locked.file, length).map_err(looking)?;
        let writing = |reason| DeliveryError::io("writing", &path, reason);
        let done = write(&locked.file, separator, parcels).map_err(writing).and_then(|()| {
            locked.file.sync_data().map_err(|reason| DeliveryError::io("flushing to disk", &path, reason))
        });
        match done {
            Ok(()) => self.sound = sound(&locked.file).ok(),
            // If that fails too, what is left is cut off by whoever comes next.
            Err(_) => {
                let _ = locked.file.set_len(length).and_then(|()| locked.file.sync_all());
            }
        }
        done
    }
}

/// What is missing before the next From_ line.
fn separator(file: &File, length: u64) -> io::Result<&'static [u8]> {
    if scan::ends_in_empty_line(file, length)? {
        return Ok(b"");
    }
    Ok(if scan::ends_in_line_feed(file, length)? { b"\n" } else { b"\n\n" })
}

fn write(file: &File, separator: &[u8], parcels: &[(&Parcel, Frame)]) -> io::Result<()> {
    let mut writer = BufWriter::with_capacity(AT_ONCE, file);
    let done = (|| {
        writer.write_all(separator)?;
        for (parcel, frame) in parcels {
            writer.write_all(frame.line(Timestamp::now()).as_bytes())?;
            if Frame::write(parcel, &mut writer)? != *frame {
                return Err(io::Error::new(ErrorKind::InvalidData, "the message changed on its way"));
            }
        }
        writer.flush()
    })();
    // Dropped, it would write what is left once more.
    let _ = writer.into_parts();
    done
}

impl Destination for MboxDestination {
    fn name(&self) -> &str {
        &self.name
    }

    /// Makes the file if it is missing, and locks it.
    fn check(&mut self) -> Result<(), DeliveryError> {
        let path = self.place()?;
        Locked::open(&self.name, &path, self.patience).map(drop)
    }

    fn remembers(&self) -> bool {
        true
    }

    fn marks(&mut self) -> Result<HashSet<Mark>, DeliveryError> {
        let path = match fs::canonicalize(&self.path) {
            Ok(path) => path,
            Err(reason) if reason.kind() == ErrorKind::NotFound => return Ok(HashSet::new()),
            Err(reason) => return Err(DeliveryError::io("opening", &self.path, reason)),
        };
        let locked = Locked::open(&self.name, &path, self.patience)?;
        let reading = |reason| DeliveryError::io("reading", &path, reason);
        scan::repair(&locked.file).map_err(reading)?;
        let marks = scan::marks(&locked.file).map_err(reading)?;
        // Whoever wrote them may have died before he flushed them.
        let flushing = |reason| DeliveryError::io("flushing to disk", &path, reason);
        locked.file.sync_data().map_err(flushing)?;
        folder::sync_parent(&path, false)?;
        Ok(marks)
    }

    fn prepare(&mut self, parcels: &[&Parcel]) -> Vec<Result<(), DeliveryError>> {
        self.prepared.clear();
        let mut results = Vec::with_capacity(parcels.len());
        for parcel in parcels {
            let frame =
                Frame::measure(parcel).map_err(|reason| DeliveryError::io("writing", &self.path, reason));
            results.push(frame.map(|frame| {
                self.prepared.insert(parcel.mark, frame);
            }));
        }
        results
    }

    fn commit(&mut self, parcels: &[&Parcel]) -> Vec<Result<String, DeliveryError>> {
        let frames: Vec<_> = parcels.iter().map(|parcel| self.prepared.remove(&parcel.mark)).collect();
        let ready: Vec<_> = parcels
            .iter()
            .zip(&frames)
            .filter_map(|(parcel, frame)| Some((*parcel, frame.clone()?)))
            .collect();
        let appended = if ready.is_empty() { Ok(()) } else { self.append(&ready) };
        let result = |frame: &Option<Frame>| match (frame, &appended) {
            (None, _) => Err(DeliveryError::Spoiled { path: self.path.clone() }),
            (Some(_), Ok(())) => Ok(self.path.display().to_string()),
            (Some(_), Err(error)) => Err(share(error)),
        };
        frames.iter().map(result).collect()
    }
}

impl fmt::Debug for MboxDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MboxDestination").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
