//! Mailboxes of any size, made by `testdata/make_corpus.py`, with a manifest of what a client must receive.

use std::{
    fmt::Write as _,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::{Error, Result, testdata, tmp};

/// A folder of messages and what is known of them. The same arguments give the same octets, always.
#[derive(Clone, Debug)]
pub struct Corpus {
    folder: PathBuf,
    messages: Vec<Message>,
}

/// One message of a [`Corpus`], as the manifest describes it.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct Message {
    /// The name of its file.
    pub file: String,
    /// What kind of message it is: `dots`, `html`, `attachment`.
    pub label: String,
    /// The octets of the file.
    pub size: u64,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// The octets that a client receives, dots unstuffed: the size of [`wire_form`].
    pub wire_size: u64,
    /// SHA-256 of the wire form, in hexadecimal.
    pub wire_sha256: String,
    /// Whether every server sends the wire form. False where POP3 does not define the octets: lone CR, NUL.
    pub exact: bool,
}

impl Corpus {
    /// Make `count` messages (at least some 40: the edge cases come first, whatever `count` says) of `max_size`
    /// octets at most. What was made before with the same arguments is taken as it is.
    ///
    /// # Errors
    ///
    /// When python3 is missing, or the disk is full.
    pub fn make(seed: u64, count: usize, max_size: u64) -> Result<Corpus> {
        let script = testdata().join("make_corpus.py");
        let text = fs::read(&script).map_err(Error::io("cannot read", &script))?;
        let mut version = DefaultHasher::new();
        text.hash(&mut version);
        // The script is part of the name: a changed script makes another corpus.
        let name = format!("corpus-{seed}-{count}-{max_size}-{:016x}", version.finish());
        let folder = tmp().join(name);
        if !folder.is_dir() {
            make_whole(&script, [seed, count as u64, max_size], &folder)?;
        }
        Corpus::open(folder)
    }

    /// Open a folder that `make_corpus.py` wrote.
    ///
    /// # Errors
    ///
    /// When its manifest cannot be read.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Corpus> {
        #[derive(Deserialize)]
        struct Manifest {
            messages: Vec<Message>,
        }
        let folder = folder.into();
        let file = folder.join("manifest.json");
        let text = fs::read(&file).map_err(Error::io("cannot read", &file))?;
        let manifest: Manifest = serde_json::from_slice(&text)
            .map_err(|reason| Error::new(format!("cannot read {}: {reason}", file.display())))?;
        Ok(Corpus { folder, messages: manifest.messages })
    }

    /// The folder with the messages. Do not write into it: other tests use it too.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The messages in the order of a mailbox filled with them.
    #[must_use]
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// The octets of a message's file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn read(&self, message: &Message) -> Result<Vec<u8>> {
        let path = self.folder.join(&message.file);
        fs::read(&path).map_err(Error::io("cannot read", &path))
    }
}

impl Message {
    /// Whether `received`, dots unstuffed, is this message in its wire form.
    #[must_use]
    pub fn is_wire_form(&self, received: &[u8]) -> bool {
        self.wire_sha256 == sha256(received)
    }
}

/// A message as a server sends it, before dot-stuffing and without the terminator: every LF that has no CR before it
/// becomes CRLF; CRLF is added at the end where there is none. Nothing else changes.
#[must_use]
pub fn wire_form(message: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(message.len() + message.len() / 32 + 2);
    let mut last = 0;
    for &octet in message {
        if octet == b'\n' && last != b'\r' {
            wire.push(b'\r');
        }
        wire.push(octet);
        last = octet;
    }
    if !wire.ends_with(b"\r\n") {
        wire.extend_from_slice(b"\r\n");
    }
    wire
}

/// SHA-256 in hexadecimal, as the manifest has it.
#[must_use]
pub fn sha256(octets: &[u8]) -> String {
    let mut hex = String::with_capacity(64);
    for octet in Sha256::digest(octets) {
        let _ = write!(hex, "{octet:02x}");
    }
    hex
}

/// Make the corpus beside `folder` and move it there when it is whole: another process may make the same now, and a
/// run that is stopped must not leave half a corpus under the name.
fn make_whole(script: &Path, [seed, count, max_size]: [u64; 3], folder: &Path) -> Result<()> {
    let parent = folder.parent().unwrap_or(folder);
    fs::create_dir_all(parent).map_err(Error::io("cannot create", parent))?;
    let half = tempfile::Builder::new().prefix("corpus-half-").tempdir_in(parent);
    let half = half.map_err(Error::io("cannot create a folder in", parent))?;
    let made = Command::new("python3")
        .arg(script)
        .arg(half.path())
        .args([
            "--seed",
            &seed.to_string(),
            "--count",
            &count.to_string(),
            "--max-size",
            &max_size.to_string(),
        ])
        .stdin(Stdio::null())
        .output()
        .map_err(|reason| Error::new(format!("cannot start python3 (apt-get install python3): {reason}")))?;
    if !made.status.success() {
        let said = String::from_utf8_lossy(&made.stderr);
        return Err(Error::new(format!("make_corpus.py failed ({}): {said}", made.status)));
    }
    match fs::rename(half.path(), folder) {
        Ok(()) => {
            let _ = half.keep();
            Ok(())
        }
        Err(_) if folder.is_dir() => Ok(()),
        Err(reason) => Err(Error::io("cannot create", folder)(reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_corpus_is_what_its_manifest_says() {
        let corpus = Corpus::make(7, 50, 200_000).unwrap();
        assert_eq!(corpus.messages().len(), 50);
        for message in corpus.messages() {
            let octets = corpus.read(message).unwrap();
            assert_eq!(octets.len() as u64, message.size, "{}", message.file);
            assert_eq!(sha256(&octets), message.sha256, "{}", message.file);
            let wire = wire_form(&octets);
            assert_eq!(wire.len() as u64, message.wire_size, "{}", message.file);
            assert!(message.is_wire_form(&wire), "{}", message.file);
        }
        assert!(corpus.messages().iter().any(|m| !m.exact) && corpus.messages().iter().any(|m| m.exact));
    }

    #[test]
    fn many_may_ask_for_the_same_at_once() {
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..4).map(|_| scope.spawn(|| Corpus::make(8, 45, 100_000))).collect();
            for corpus in all {
                assert_eq!(corpus.join().unwrap().unwrap().messages().len(), 45);
            }
        });
    }

    #[test]
    fn the_wire_form_has_crlf_and_nothing_else_new() {
        for (file, wire) in [
            (&b""[..], &b"\r\n"[..]),
            (b"a", b"a\r\n"),
            (b"a\n", b"a\r\n"),
            (b"a\r\n", b"a\r\n"),
            (b"a\r", b"a\r\r\n"),
            (b"a\r\r\n\n.\n", b"a\r\r\n\r\n.\r\n"),
        ] {
            assert_eq!(wire_form(file), wire);
        }
    }
}
