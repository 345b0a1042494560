//! Names that no two deliveries ever share: seconds, then microseconds, process and count, then the host.
//! The convention: <https://cr.yp.to/proto/maildir.html>

use std::{
    fmt::Write as _,
    process,
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::identity::Mark;

/// A name that was never used before on this host.
pub(super) fn unique(host: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    // A clock before 1970 makes a poorer name, not a failure: count and process still tell deliveries apart.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}.M{}P{}Q{count}.{host}", now.as_secs(), now.subsec_micros(), process::id())
}

/// The name of this host as it may stand in a file name.
pub(super) fn host() -> String {
    encode(&rustix::system::uname().nodename().to_string_lossy())
}

/// The name of the message with this mark, delivered now: `1763900000.popwire-<mark>.<host>`.
pub(super) fn marked(mark: Mark, host: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}.{MARKED}{mark}.{host}", now.as_secs())
}

/// What begins the part of a name that holds a mark.
const MARKED: &str = "popwire-";

/// The mark of a message in a file of this name, whatever size and flags were added to it.
pub(super) fn mark(file: &str) -> Option<Mark> {
    let (_, rest) = file.split_once('.')?;
    Mark::parse(rest.strip_prefix(MARKED)?.split('.').next()?)
}

/// Whether a process of this host made `file` with [`unique`].
pub(super) fn is_ours(file: &str, host: &str) -> bool {
    let parts = || {
        let (seconds, rest) = file.split_once('.')?;
        let (middle, end) = rest.split_once('.')?;
        let (microseconds, rest) = middle.strip_prefix('M')?.split_once('P')?;
        let (process, count) = rest.split_once('Q')?;
        Some(([seconds, microseconds, process, count], end))
    };
    parts().is_some_and(|(numbers, end)| {
        end == host && numbers.iter().all(|n| !n.is_empty() && n.bytes().all(|octet| octet.is_ascii_digit()))
    })
}

/// Octal for what has a meaning in file names (`/`), in Maildir names (`:` and `,` begin flags and sizes), or none at all.
fn encode(host: &str) -> String {
    let mut encoded = String::with_capacity(host.len());
    for octet in host.bytes() {
        if octet.is_ascii_alphanumeric() || b".-_".contains(&octet) {
            encoded.push(octet.into());
        } else {
            let _ = write!(encoded, "\\{octet:03o}");
        }
    }
    if encoded.is_empty() { "localhost".to_owned() } else { encoded }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_convention_and_never_come_twice() {
        let names: std::collections::HashSet<_> = (0..10_000).map(|_| unique("mail.example")).collect();
        assert_eq!(names.len(), 10_000);
        assert!(names.iter().all(|name| is_ours(name, "mail.example")));
        assert!(names.iter().all(|name| !is_ours(name, "other.example")));
    }

    #[test]
    fn a_host_name_cannot_leave_the_folder() {
        assert_eq!(encode("a/b:c,d"), r"a\057b\072c\054d");
        assert_eq!(encode("mail-1.example_x"), "mail-1.example_x");
        assert_eq!(encode("ü\n"), r"\303\274\012");
        assert_eq!(encode(""), "localhost");
        assert!(!host().contains(['/', ':', '\0']));
    }

    #[test]
    fn a_mark_is_found_whatever_was_added_to_its_name() {
        let mark = Mark::parse("00112233445566778899aabbccddeeff").unwrap();
        let name = marked(mark, "mail.example");
        for file in [name.clone(), format!("{name},S=12"), format!("{name},S=12:2,FS"), format!("{name}:2,")]
        {
            assert_eq!(super::mark(&file), Some(mark), "{file}");
        }
        for file in [
            "1.M2P3Q4.host",
            "1.popwire-.host",
            "1.popwire-0011.host",
            "popwire-0",
            ".",
            "",
            "1.popwire-00112233445566778899AABBCCDDEEFF.h",
        ] {
            assert_eq!(super::mark(file), None, "{file}");
        }
        assert!(!is_ours(&name, "mail.example"));
    }

    #[test]
    fn names_of_others_are_not_ours() {
        for file in ["1.2_3.host", "1.M2P3.host", "1.MxP3Q4.host", "1.M2P3Q4.host,S=3", ".M2P3Q4.host", "x"] {
            assert!(!is_ours(file, "host"), "{file}");
        }
    }
}
