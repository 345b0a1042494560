//! `popwire fetch --delete` from Dovecot over TLS, killed with SIGKILL at fifty moments: nothing is lost, nothing is in
//! parts, and nothing comes twice.

#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use popwire_interop::corpus::wire_form;
use popwire_interop::dovecot::{Dovecot, Mail, Options};
use popwire_interop::maildir;
use popwire_interop::process::Process;

const TRIES: u32 = 50;

#[test]
fn a_killed_fetch_loses_nothing_and_doubles_nothing() {
    let mail = mail();
    let all: BTreeSet<Vec<u8>> = mail.iter().map(|message| wire_form(message)).collect();

    // Undisturbed, to know how long it takes and that it does the whole work. The shortest of three: on a busy machine the
    // others tell more about the machine.
    let undisturbed = || {
        let (dovecot, folder) = place(&mail);
        let began = Instant::now();
        assert!(fetch(&dovecot, folder.path()).status().unwrap().success());
        let took = began.elapsed();
        assert_eq!((delivered(folder.path()), stored(&dovecot)), (all.clone(), BTreeSet::new()));
        took
    };
    let whole = (0..3).map(|_| undisturbed()).min().unwrap();
    // Beyond the end too, so that the last moments, QUIT and the deletions, have their share.
    let span = whole * 3 / 2;

    let (mut before, mut amid, mut after) = (0, 0, 0);
    for attempt in 0..TRIES {
        let (dovecot, folder) = place(&mail);
        let mut process = Process::spawn(&mut fetch(&dovecot, folder.path())).unwrap();
        if attempt % 2 == 0 {
            sleep(span * (2 * attempt + 1) / (2 * TRIES));
        } else {
            // Many messages are delivered in one moment, which time alone seldom hits.
            let some = 1 + mail.len() * attempt as usize / TRIES as usize;
            while there(folder.path()) < some && process.child().try_wait().unwrap().is_none() {}
        }
        process.kill9().unwrap();
        // What was under way at the server comes to its end: this can only make more of the mail disappear there.
        sleep(Duration::from_millis(100));

        let (here, there) = (delivered(folder.path()), stored(&dovecot));
        assert!(
            here.is_subset(&all),
            "try {attempt}: something is delivered that is no message of the server's"
        );
        let lost = all.iter().filter(|message| !here.contains(*message) && !there.contains(*message)).count();
        assert_eq!(lost, 0, "try {attempt}: lost");
        match here.len() {
            0 => before += 1,
            some if some < all.len() => amid += 1,
            _ => after += 1,
        }

        // The next run finishes what this one began. The server may not have noticed yet that its client is dead, and
        // says then that the mailbox is in use (exit code 75).
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let status = fetch(&dovecot, folder.path()).status().unwrap();
            if status.success() {
                break;
            }
            assert_eq!(status.code(), Some(75), "try {attempt}");
            assert!(Instant::now() < deadline, "try {attempt}: still in use");
        }
        assert_eq!(delivered(folder.path()), all, "try {attempt}: all of it, each whole");
        assert_eq!(files(folder.path()), all.len(), "try {attempt}: each once");
        assert_eq!(stored(&dovecot), BTreeSet::new(), "try {attempt}");
    }
    // The moments were spread well, or the test says little.
    eprintln!(
        "killed before the first delivery: {before}, amid: {amid}, after the last: {after}; undisturbed {whole:?}"
    );
    assert!(amid >= 10, "only {amid} of {TRIES} tries were killed amid the deliveries");
}

/// Messages of all sizes, no two alike.
fn mail() -> Vec<Vec<u8>> {
    (0..60usize)
        .map(|n| {
            let mut message = format!("From: a@example.org\nSubject: message {n}\n\n").into_bytes();
            for line in 0..(n * n * 3) {
                message.extend_from_slice(format!("line {line} of message {n}\n.{line}\n").as_bytes());
            }
            message
        })
        .collect()
}

fn place(mail: &[Vec<u8>]) -> (Dovecot, tempfile::TempDir) {
    let options = Options { alice: Mail::Messages(mail.to_vec()), ..Options::default() };
    (Dovecot::start(&options).unwrap(), tempfile::tempdir().unwrap())
}

fn fetch(dovecot: &Dovecot, folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_popwire"));
    command
        .args(["fetch", "--quiet", "--delete", "--maildir"])
        .arg(folder.join("Maildir"))
        .arg("--ca")
        .arg(dovecot.ca())
        .arg(format!("pops://{}@localhost:{}", Dovecot::ALICE.0, dovecot.tls_port))
        .env("POPWIRE_PASSWORD", Dovecot::ALICE.1)
        .env("POPWIRE_STATE", folder.join("state"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn delivered(folder: &Path) -> BTreeSet<Vec<u8>> {
    let place = folder.join("Maildir");
    if place.join("new").is_dir() && place.join("cur").is_dir() {
        maildir::contents(place).unwrap().into_iter().collect()
    } else {
        BTreeSet::new()
    }
}

/// How many messages there are in `new/`, quickly.
fn there(folder: &Path) -> usize {
    fs::read_dir(folder.join("Maildir/new")).map_or(0, Iterator::count)
}

fn files(folder: &Path) -> usize {
    maildir::contents(folder.join("Maildir")).unwrap().len()
}

fn stored(dovecot: &Dovecot) -> BTreeSet<Vec<u8>> {
    maildir::contents(dovecot.maildir(Dovecot::ALICE.0))
        .unwrap()
        .iter()
        .map(|message| wire_form(message))
        .collect()
}
