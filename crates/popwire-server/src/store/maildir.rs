//! Messages in a Maildir: one file each, in `new` and `cur`.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use md5::{Digest, Md5};
use popwire_proto::stuff::WireSize;

use super::{Entry, Key, LineEnds, Message, Store};

/// A Maildir (<https://cr.yp.to/proto/maildir.html>).
///
/// Messages are numbered by the time in their file names, then by name. The unique-id is the file name up to the colon
/// if it makes a legal one, else a hash of it; moving a message from `new` to `cur` changes neither. A retrieved
/// message is moved to `cur` with the flag `S`. QUIT removes the files of marked messages.
#[derive(Debug)]
pub struct Maildir {
    root: PathBuf,
    known: Mutex<HashMap<Key, Known>>,
}

/// What is remembered of a file between calls. Its octets never change: that is Maildir's promise.
#[derive(Debug)]
struct Known {
    path: PathBuf,
    sizes: [Option<u64>; 2],
}

impl Maildir {
    /// The Maildir at `root`. Nothing is read or created before it is needed; a missing `new` or `cur` counts as empty.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Key, Known>> {
        // No step below leaves the table half changed.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the table up to date with the directories.
    fn scan(&self, known: &mut HashMap<Key, Known>) -> io::Result<()> {
        let mut found = HashMap::new();
        for directory in ["new", "cur"] {
            let entries = match fs::read_dir(self.root.join(directory)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => entries?,
            };
            for entry in entries {
                let entry = entry?;
                let name = entry.file_name();
                if name.as_encoded_bytes().starts_with(b".") || !entry.file_type()?.is_file() {
                    continue;
                }
                let key = base_name(&name);
                let sizes = known.get(&key).map_or([None; 2], |known| known.sizes);
                found.insert(key, Known { path: entry.path(), sizes });
            }
        }
        *known = found;
        Ok(())
    }

    /// Does `work` with the path of a message; once more with a fresh path if another program has renamed the file.
    fn with_path<T>(&self, key: &Key, mut work: impl FnMut(&Path) -> io::Result<T>) -> io::Result<T> {
        let mut known = self.known();
        if let Some(message) = known.get(key) {
            match work(&message.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                done => return done,
            }
        }
        self.scan(&mut known)?;
        let message = known.get(key).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        work(&message.path)
    }
}

impl Store for Maildir {
    fn list(&self, ends: LineEnds) -> io::Result<Vec<Entry>> {
        let mut known = self.known();
        self.scan(&mut known)?;
        let mut entries = Vec::with_capacity(known.len());
        for (key, message) in known.iter_mut() {
            let [crlf, as_stored] = &mut message.sizes;
            let remembered = if ends == LineEnds::Crlf { crlf } else { as_stored };
            let size = match *remembered {
                Some(size) => size,
                None => match measure(&message.path, ends) {
                    // Removed or renamed by another program a moment ago: next time.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    size => *remembered.insert(size?),
                },
            };
            entries.push(Entry { key: key.clone(), size, unique_id: unique_id(key) });
        }
        entries.sort_by_cached_key(|entry| (delivery_time(&entry.key), entry.key.clone()));
        Ok(entries)
    }

    fn open(&self, key: &Key) -> io::Result<Box<dyn Read + Send>> {
        self.with_path(key, |path| File::open(path).map(|file| Box::new(file) as _))
    }

    fn remove(&self, key: &Key) -> io::Result<()> {
        match self.with_path(key, |path| fs::remove_file(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => done?,
        }
        self.known().remove(key);
        Ok(())
    }

    fn mark_seen(&self, key: &Key) -> io::Result<()> {
        let cur = self.root.join("cur");
        let moved = self.with_path(key, |path| {
            let mut flags = flags(path);
            if !flags.contains(&b'S') {
                flags.push(b'S');
                flags.sort_unstable();
            }
            let mut name = key.clone();
            name.push(":2,");
            name.push(String::from_utf8_lossy(&flags).as_ref());
            let target = cur.join(name);
            fs::rename(path, &target).map(|()| target)
        })?;
        if let Some(message) = self.known().get_mut(key) {
            message.path = moved;
        }
        Ok(())
    }

    fn is_seen(&self, key: &Key) -> io::Result<bool> {
        self.with_path(key, |path| {
            path.try_exists().map(|exists| exists.then(|| flags(path).contains(&b'S')))
        })
        .and_then(|seen| seen.ok_or_else(|| io::ErrorKind::NotFound.into()))
    }

    fn deliver(&self, message: Message) -> io::Result<()> {
        static DELIVERED: AtomicU64 = AtomicU64::new(0);
        for directory in ["tmp", "new", "cur"] {
            fs::create_dir_all(self.root.join(directory))?;
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let count = DELIVERED.fetch_add(1, Ordering::Relaxed);
        let name =
            format!("{}.M{}P{}Q{count}.localhost", now.as_secs(), now.subsec_micros(), std::process::id());
        let partial = self.root.join("tmp").join(&name);
        let mut file = File::create_new(&partial)?;
        io::copy(&mut message.content.reader(), &mut file)?;
        file.flush()?;
        match message.seen {
            false => fs::rename(partial, self.root.join("new").join(name)),
            true => fs::rename(partial, self.root.join("cur").join(name + ":2,S")),
        }
    }
}

/// The file name without its flags.
fn base_name(name: &OsStr) -> Key {
    let octets = name.as_encoded_bytes();
    match octets.iter().position(|octet| *octet == b':') {
        None => name.to_os_string(),
        Some(colon) => text(octets.get(..colon).unwrap_or_default()),
    }
}

#[cfg(unix)]
fn text(octets: &[u8]) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(octets.to_vec())
}

#[cfg(not(unix))]
fn text(octets: &[u8]) -> OsString {
    String::from_utf8_lossy(octets).into_owned().into()
}

/// The letters behind `:2,`.
fn flags(path: &Path) -> Vec<u8> {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let info = name.iter().position(|octet| *octet == b':').and_then(|colon| name.get(colon..));
    info.and_then(|info| info.strip_prefix(b":2,")).unwrap_or_default().to_vec()
}

/// The number that the name begins with: seconds since 1970 where programs follow the rules.
fn delivery_time(key: &Key) -> u64 {
    let digits = key.as_encoded_bytes().iter().take_while(|octet| octet.is_ascii_digit());
    digits.fold(0u64, |time, digit| time.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
}

/// The base name, or its MD5 in hexadecimal if it is no legal unique-id (RFC 1939 section 7: 1 to 70 octets from 0x21
/// to 0x7E).
fn unique_id(key: &Key) -> Vec<u8> {
    let name = key.as_encoded_bytes();
    if (1..=70).contains(&name.len()) && name.iter().all(|octet| (0x21..=0x7e).contains(octet)) {
        return name.to_vec();
    }
    Md5::digest(name).iter().flat_map(|octet| format!("{octet:02x}").into_bytes()).collect()
}

fn measure(path: &Path, ends: LineEnds) -> io::Result<u64> {
    let (mut file, mut size, mut buffer) = (File::open(path)?, WireSize::new(ends), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(size.finish()),
            Ok(read) => size.push(buffer.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_066_unique_ids_are_legal_whatever_the_file_name() {
        assert_eq!(unique_id(&"1700000001.M1P1.host".into()), b"1700000001.M1P1.host");
        for odd in ["a b", "caf\u{e9}", &"x".repeat(71)] {
            let id = unique_id(&odd.into());
            assert!(id.len() == 32 && id.iter().all(u8::is_ascii_hexdigit), "{odd}");
        }
    }

    #[test]
    fn names_and_flags() {
        assert_eq!(base_name(OsStr::new("1.host,S=3:2,FS")), "1.host,S=3");
        assert_eq!(flags(Path::new("/m/cur/1.host:2,FS")), b"FS");
        assert_eq!(flags(Path::new("/m/new/1.host")), b"");
        assert_eq!(delivery_time(&"17x".into()), 17);
    }
}
