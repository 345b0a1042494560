//! Every crash point: `popwire fetch` is killed before each of its system calls that touch the disk or the wire, and so is
//! the power. Nothing is lost, nothing is in parts, and the next run finishes the work.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "in a test, a panic is the answer"
)]
#![allow(clippy::print_stderr, reason = "how many points there were is worth knowing")]

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use popwire_interop::crash::{Outcome, Tracer};
use popwire_interop::maildir;
use popwire_server::{Maildrop, Server};

const MESSAGES: usize = 20;
const PASSWORD: &str = "s3cret pass";

/// What is fetched where, and what is to be true after it.
#[derive(Debug)]
struct Case {
    destinations: &'static [Destination],
    policy: Policy,
    /// What else the program is told.
    options: &'static [&'static str],
}

#[derive(Debug)]
enum Destination {
    Maildir(&'static str),
    Mbox(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    Keep,
    Delete,
}

/// How the program dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    /// By SIGKILL: what it has written is there.
    Killed,
    /// By loss of power: only what it has flushed is there.
    PowerLoss,
    /// By loss of power: all names are there, and the octets that it has flushed.
    OctetsLoss,
}

const MAILDIR: &[Destination] = &[Destination::Maildir("Mail")];
const BOTH: &[Destination] = &[Destination::Maildir("Mail"), Destination::Mbox("mail.mbox")];

const CASES: [Case; 4] = [
    Case { destinations: BOTH, policy: Policy::Delete, options: &[] },
    // Many files are flushed together, or each by itself.
    Case { destinations: MAILDIR, policy: Policy::Delete, options: &["--flush", "auto"] },
    Case { destinations: MAILDIR, policy: Policy::Delete, options: &["--flush", "files"] },
    Case { destinations: MAILDIR, policy: Policy::Keep, options: &[] },
];

impl Destination {
    fn describe(&self, fetch: &mut Command) {
        match self {
            Destination::Maildir(name) => fetch.args(["--maildir", name]),
            Destination::Mbox(name) => fetch.args(["--mbox", name]),
        };
    }

    /// The messages that are delivered, sorted.
    fn messages(&self, root: &Path) -> Vec<Vec<u8>> {
        match self {
            Destination::Maildir(name) => {
                let folder = root.join(name);
                // The crash may have come before there were folders.
                let made = ["new", "cur"].iter().all(|name| folder.join(name).is_dir());
                if made { maildir::contents(folder).unwrap() } else { Vec::new() }
            }
            Destination::Mbox(name) => in_mbox(&fs::read(root.join(name)).unwrap_or_default()),
        }
    }
}

/// What stands in an mbox, sorted; of a message that was not written to its end, what there is.
fn in_mbox(file: &[u8]) -> Vec<Vec<u8>> {
    let mut messages: Vec<Vec<u8>> = Vec::new();
    for line in file.split_inclusive(|&octet| octet == b'\n') {
        if line.starts_with(b"From ") {
            messages.push(Vec::new());
            continue;
        }
        // mboxrd: one > is taken off.
        let marks = line.iter().take_while(|&&octet| octet == b'>').count();
        let quoted = marks > 0 && line[marks..].starts_with(b"From ");
        messages.last_mut().expect("it begins with a From_ line").extend(&line[usize::from(quoted)..]);
    }
    // The empty line that ends each.
    for message in &mut messages {
        if message.ends_with(b"\n\n") || message.ends_with(b"\r\n\n") {
            message.pop();
        }
    }
    messages.sort();
    messages
}

/// Messages of many sizes, no two alike: the first fit one packet, the last is written to the disk in several pieces.
fn mail() -> Vec<Vec<u8>> {
    let message = |n: usize| {
        let lines: String =
            (0..n * n * n / 2).map(|line| format!(".line {line} of message {n}\r\n")).collect();
        format!("From: a@example.org\r\nSubject: message {n}\r\n\r\nFrom here on\r\n>From it\r\n{lines}")
            .into_bytes()
    };
    (1..=MESSAGES).map(message).collect()
}

fn server(mail: &[Vec<u8>]) -> Server {
    Server::builder().user("alice", PASSWORD, Maildrop::memory(mail.iter().cloned())).start().unwrap()
}

/// What the server has, once it has noticed that its client is dead.
fn stored(server: &Server) -> BTreeSet<Vec<u8>> {
    assert!(
        server.wait_for(Duration::from_secs(10), |sessions| sessions.iter().all(|session| session.closed))
    );
    server.maildrop("alice").unwrap().messages().unwrap().into_iter().collect()
}

fn fetch(case: &Case, server: &Server, root: &Path) -> Command {
    let mut fetch = Command::new(env!("CARGO_BIN_EXE_popwire"));
    fetch
        .args(["fetch", "--insecure-plaintext"])
        .arg(format!("pop://alice@127.0.0.1:{}", server.addr().port()));
    fetch.args(case.options).args((case.policy == Policy::Delete).then_some("--delete"));
    for destination in case.destinations {
        destination.describe(&mut fetch);
    }
    fetch.current_dir(root).env("POPWIRE_PASSWORD", PASSWORD);
    // All that the program keeps about itself is on the disk whose power goes.
    fetch.env("HOME", root).env("POPWIRE_STATE", root.join("state")).env_remove("XDG_CONFIG_HOME");
    fetch
}

/// One session that dies before its `n`-th call, and one after it. `None` if there is no such call.
fn attempt(tracer: &Tracer, case: &Case, death: Death, mail: &[Vec<u8>], n: u64) -> Option<String> {
    let all: BTreeSet<_> = mail.iter().cloned().collect();
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (root, left) = (home.path().join("root"), home.path().join("left"));
    fs::create_dir(&root).unwrap();
    let server = server(mail);
    let first = fetch(case, &server, &root);
    let run = match death {
        Death::Killed => tracer.kill_at(n, &first).unwrap(),
        Death::PowerLoss => tracer.power_loss_at(n, &root, &left, &first).unwrap(),
        Death::OctetsLoss => tracer.octets_loss_at(n, &root, &left, &first).unwrap(),
    };
    if death != Death::Killed {
        fs::remove_dir_all(&root).unwrap();
        fs::rename(&left, &root).unwrap();
    }
    let moment = match run.outcome {
        Outcome::Killed { call } => Some(call),
        Outcome::Finished(status) => {
            assert!(status.success(), "undisturbed: {status}, {}", String::from_utf8_lossy(&run.stderr));
            None
        }
    };
    let at = format!("{death:?} before call {n}, {moment:?}");

    let there = stored(&server);
    for destination in case.destinations {
        let mut here: BTreeSet<_> = destination.messages(&root).into_iter().collect();
        if let Destination::Mbox(_) = destination {
            // The next run takes away what was not written to its end.
            here.retain(|message| all.contains(message));
        }
        assert!(here.is_subset(&all), "{at}: something is delivered that is no message of the server's");
        let lost = all.iter().filter(|message| !here.contains(*message) && !there.contains(*message)).count();
        assert_eq!(lost, 0, "{at}: neither here nor there");
    }
    if case.policy == Policy::Keep {
        assert_eq!(there, all, "{at}: nothing is deleted");
    }

    let second = fetch(case, &server, &root).output().unwrap();
    assert!(second.status.success(), "{at}: the next run: {}", String::from_utf8_lossy(&second.stderr));
    for destination in case.destinations {
        let here = destination.messages(&root);
        let mut once = mail.to_vec();
        once.sort();
        assert_eq!(here.len(), once.len(), "{at}: each once in {destination:?}");
        assert!(here == once, "{at}: each once, as it was, in {destination:?}");
    }
    let expected = if case.policy == Policy::Keep { all } else { BTreeSet::new() };
    assert!(stored(&server) == expected, "{at}: the server has what the policy says");
    moment
}

/// Every crash point of one case; gives the calls that were met.
fn every_point(case: &Case, death: Death) -> Vec<String> {
    const THREADS: u64 = 2;
    let (tracer, mail) = (Tracer::build().unwrap(), mail());
    let half = |first: u64| {
        // Until there is no such call: how many there are depends on how the octets come, and is not known before.
        (0..)
            .map_while(|step| attempt(&tracer, case, death, &mail, first + step * THREADS))
            .collect::<Vec<_>>()
    };
    let half = &half;
    thread::scope(|scope| {
        let halves: Vec<_> = (1..=THREADS).map(|first| scope.spawn(move || half(first))).collect();
        halves.into_iter().flat_map(|half| half.join().unwrap()).collect()
    })
}

fn every_case(death: Death) {
    for case in &CASES {
        let began = Instant::now();
        let calls = every_point(case, death);
        eprintln!("{death:?}, {case:?}: {} crash points in {:?}", calls.len(), began.elapsed());
        // It was met where it matters, or the test says little.
        for name in ["connect", "sendto", "openat", "write", "rename", "fsync"] {
            assert!(calls.iter().any(|call| call.starts_with(name)), "no {name} in {calls:?}");
        }
        assert!(calls.len() > 3 * MESSAGES, "{}", calls.len());
    }
}

#[test]
fn killed_at_every_call_nothing_is_lost() {
    every_case(Death::Killed);
}

#[test]
fn with_a_loss_of_power_at_every_call_nothing_is_lost() {
    every_case(Death::PowerLoss);
}

#[test]
fn with_a_loss_of_octets_at_every_call_nothing_is_lost() {
    every_case(Death::OctetsLoss);
}
