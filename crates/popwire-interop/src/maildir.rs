//! What lies in a Maildir.

use std::{collections::BTreeMap, fs, io, path::Path};

use crate::{Error, Result};

/// The messages of a Maildir by file name: all of `new/` and `cur/`, nothing of `tmp/`.
///
/// A file that vanishes while the folder is read (a reader moved it from `new/` to `cur/`) is passed over.
///
/// # Errors
///
/// When a folder or a message cannot be read.
pub fn read(maildir: impl AsRef<Path>) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut messages = BTreeMap::new();
    for folder in ["new", "cur"] {
        collect(&maildir.as_ref().join(folder), &mut messages)?;
    }
    Ok(messages)
}

/// The octets of the messages of a Maildir, sorted: for comparing two mailboxes whose file names differ.
///
/// # Errors
///
/// As [`read`].
pub fn contents(maildir: impl AsRef<Path>) -> Result<Vec<Vec<u8>>> {
    let mut contents: Vec<_> = read(maildir)?.into_values().collect();
    contents.sort();
    Ok(contents)
}

/// The names of what lies in `tmp/`: the leavings of deliveries that did not end.
///
/// # Errors
///
/// When the folder cannot be read.
pub fn leavings(maildir: impl AsRef<Path>) -> Result<Vec<String>> {
    let mut files = BTreeMap::new();
    collect(&maildir.as_ref().join("tmp"), &mut files)?;
    Ok(files.into_keys().collect())
}

fn collect(folder: &Path, into: &mut BTreeMap<String, Vec<u8>>) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(Error::io("cannot list", folder))? {
        let entry = entry.map_err(Error::io("cannot list", folder))?;
        let path = entry.path();
        match fs::read(&path) {
            Ok(octets) => into.insert(entry.file_name().to_string_lossy().into_owned(), octets),
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => None,
            Err(other) => return Err(Error::io("cannot read", &path)(other)),
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_and_cur_are_read_and_tmp_is_not() {
        let maildir = tempfile::tempdir().unwrap();
        for (folder, name) in [("new", "1.a.b"), ("cur", "2.a.b:2,S"), ("tmp", "3.a.b")] {
            fs::create_dir(maildir.path().join(folder)).unwrap();
            fs::write(maildir.path().join(folder).join(name), format!("in {folder}\r\n")).unwrap();
        }
        let messages = read(maildir.path()).unwrap();
        assert_eq!(messages.keys().collect::<Vec<_>>(), ["1.a.b", "2.a.b:2,S"]);
        assert_eq!(messages["2.a.b:2,S"], b"in cur\r\n");
        assert_eq!(contents(maildir.path()).unwrap(), [b"in cur\r\n".to_vec(), b"in new\r\n".to_vec()]);
        assert_eq!(leavings(maildir.path()).unwrap(), ["3.a.b"]);
    }

    #[test]
    fn a_folder_that_is_none_is_an_error() {
        assert!(read("/nonexistent").unwrap_err().to_string().contains("/nonexistent/new"));
    }
}
