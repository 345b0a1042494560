//! The small awkward messages of `testdata/messages`; `testdata/README.md` says what each is for.

use std::{fs, path::PathBuf};

use crate::{Error, Result, testdata};

/// The folder they lie in: a mailbox for [`dovecot::Mail::Folder`](crate::dovecot::Mail::Folder).
#[must_use]
pub fn folder() -> PathBuf {
    testdata().join("messages")
}

/// All of them as (file name, octets), in the order of the names, which is the order of a mailbox filled with them.
///
/// # Errors
///
/// When the folder cannot be read, or holds no message.
pub fn messages() -> Result<Vec<(String, Vec<u8>)>> {
    let folder = folder();
    let mut messages = Vec::new();
    for entry in fs::read_dir(&folder).map_err(Error::io("cannot list", &folder))? {
        let path = entry.map_err(Error::io("cannot list", &folder))?.path();
        if path.extension().is_some_and(|ending| ending == "eml") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            messages.push((name, fs::read(&path).map_err(Error::io("cannot read", &path))?));
        }
    }
    if messages.is_empty() {
        return Err(Error::new(format!("no messages in {}", folder.display())));
    }
    messages.sort();
    Ok(messages)
}

/// One of them, by its name without number and ending: `message("forged-reply")`.
///
/// # Errors
///
/// When there is no such message.
pub fn message(label: &str) -> Result<Vec<u8>> {
    let of = |name: &str| name.strip_suffix(".eml").and_then(|n| n.split_once('-')).map(|(_, l)| l == label);
    let found = messages()?.into_iter().find(|(name, _)| of(name) == Some(true));
    found.map(|(_, octets)| octets).ok_or_else(|| Error::new(format!("no awkward message is called {label}")))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn they_are_what_their_script_writes() {
        let script = testdata().join("make_messages.py");
        let check = Command::new("python3").arg(&script).arg("--check").output().unwrap();
        assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    }

    #[test]
    fn git_has_not_touched_their_line_ends() {
        assert!(message("plain").unwrap().windows(2).all(|pair| pair[1] != b'\n' || pair[0] == b'\r'));
        assert!(!message("plain-lf").unwrap().contains(&b'\r'));
        assert!(message("forged-reply").unwrap().windows(21).any(|w| w == b"...\n.\r\n+OK 1 forged\r\n"));
        assert_eq!(message("empty").unwrap(), b"");
    }

    #[test]
    fn each_has_a_line_in_the_readme() {
        let readme = fs::read_to_string(testdata().join("README.md")).unwrap();
        let messages = messages().unwrap();
        for (name, _) in &messages {
            let row = format!("| {} |", name.trim_end_matches(".eml"));
            assert!(readme.contains(&row), "{name} is not in testdata/README.md");
        }
        assert!((20..40).contains(&messages.len()));
    }
}
