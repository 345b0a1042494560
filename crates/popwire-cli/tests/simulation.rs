//! Random schedules: mail comes in, the server and the network fail, the program and the power die, and all of it again; then
//! a few quiet runs. Every message is here once, as it was, and the server has what the policy says.
//!
//! A schedule is made from its number, and a failure names it: `POPWIRE_SEED=17 cargo test --test simulation`. How many are
//! tried, `POPWIRE_SEEDS` says.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "in a test, a panic is the answer"
)]
#![allow(clippy::print_stderr, reason = "what a schedule was is worth knowing when it fails")]

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use popwire_interop::crash::{Outcome, Tracer};
use popwire_interop::maildir;
use popwire_server::{Builder, FaultPlan, Maildrop, Server};

/// The port of all the servers, each at an address of its own.
const PORT: u16 = 20_110;

const PASSWORD: &str = "s3cret pass";

/// So many schedules unless told otherwise.
const SEEDS: u64 = 1000;

/// What servers are like, beside what fails.
const QUIRKS: &[&str] = &[
    "uidl_dup=1,3",
    "uidl_weird=long",
    "uidl_weird=8bit",
    "uidl_blank=2",
    "uidl=none",
    "uidl_epoch=next",
    "uidl_reuse=1",
    "uidl_partial_once=1",
    "list_size=lf",
    "list_size=x0.6",
    "dele=immediate",
    "dele=ignored",
    "quit=close",
    "quit=close_before",
    "quit=err",
    "window=3",
    "order=shuffle_between_sessions",
    "segment=1",
    "race_new_mail=1",
];

/// With these nothing is ever deleted.
const KEEPING: &[&str] = &["dele=ignored", "quit=err", "quit=close_before"];

/// Numbers from a seed (Vigna's SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

struct Schedule {
    random: Random,
    /// An address of its own: the ledger knows an account by the server's address and port.
    address: SocketAddr,
    maildrop: Maildrop,
    /// All that ever came in.
    mail: Vec<Vec<u8>>,
    quirks: Vec<&'static str>,
    delete: bool,
    mbox: bool,
    options: Vec<&'static str>,
    /// What happened, for the report.
    story: String,
}

impl Schedule {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let mut quirks = Vec::new();
        for _ in 0..random.below(3) {
            quirks.push(QUIRKS[random.below(QUIRKS.len() as u64) as usize]);
        }
        // A server that says that it has deleted, has not, and calls the same mail by other names: nobody could tell.
        if quirks.contains(&"dele=ignored") {
            quirks.retain(|quirk| *quirk != "uidl_epoch=next");
        }
        let delete = random.once_in(2);
        // What such a server hides behind what stays, it shows to nobody.
        if !delete || quirks.iter().any(|quirk| KEEPING.contains(quirk)) {
            quirks.retain(|quirk| *quirk != "window=3");
        }
        let mbox = random.once_in(3);
        let mut options = Vec::new();
        if random.once_in(4) {
            options.extend(["--batch", "2"]);
        }
        if random.once_in(4) {
            options.extend(["--flush", "files"]);
        }
        let story = format!("seed {seed}: quirks {quirks:?}, delete {delete}, mbox {mbox}, {options:?}\n");
        let octet = |number: u64| u8::try_from(number % 250).unwrap_or_default() + 1;
        let address = Ipv4Addr::new(127, 7, octet(seed / 250), octet(seed));
        let address = SocketAddr::from((address, PORT));
        let mut schedule = Self {
            random,
            address,
            maildrop: Maildrop::empty(),
            mail: Vec::new(),
            quirks,
            delete,
            mbox,
            options,
            story,
        };
        let first = 1 + schedule.random.below(8);
        schedule.new_mail(first);
        schedule
    }

    fn new_mail(&mut self, count: u64) {
        for _ in 0..count {
            let number = self.mail.len();
            let lines: String =
                (0..self.random.below(40)).map(|line| format!(".{line}\r\nFrom {number}\r\n")).collect();
            let message = format!("Subject: {number}\r\nMessage-ID: <{number}@example.org>\r\n\r\n{lines}");
            self.maildrop.deliver(message.clone()).unwrap();
            self.mail.push(message.into_bytes());
        }
        let _ = writeln!(self.story, "  {count} new messages, {} in all", self.mail.len());
    }

    fn server(&self, faults: Option<FaultPlan>) -> Server {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match self.describe(faults.clone()).start() {
                Ok(server) => return server,
                // The one before lets go of the address a moment after its end.
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn describe(&self, faults: Option<FaultPlan>) -> Builder {
        let mut server =
            Server::builder().listen(self.address).user("alice", PASSWORD, self.maildrop.clone());
        for quirk in &self.quirks {
            server = server.quirk(quirk).unwrap();
        }
        if let Some(faults) = faults {
            server = server.fault_plan(faults);
        }
        server
    }

    fn fetch(&self, root: &Path) -> Command {
        let mut fetch = Command::new(env!("CARGO_BIN_EXE_popwire"));
        fetch
            .args(["fetch", "--insecure-plaintext", "--timeout", "1", "--maildir", "Mail"])
            .args(&self.options);
        fetch.arg(format!("pop://alice@{}", self.address));
        fetch.args(self.mbox.then_some(["--mbox", "mbox"]).into_iter().flatten());
        fetch.args(self.delete.then_some("--delete"));
        fetch.current_dir(root).env("POPWIRE_PASSWORD", PASSWORD).env("POPWIRE_STATE", root.join("state"));
        fetch
    }

    /// A run in which anything may happen.
    fn rough(&mut self, tracer: &Tracer, root: &Path) {
        let faults = (!self.random.once_in(3)).then(|| FaultPlan::from_seed(self.random.next()));
        let _ = write!(self.story, "  faults {:?}", faults.as_ref().map(ToString::to_string));
        let server = self.server(faults);
        let fetch = self.fetch(root);
        let n = 1 + self.random.below(400);
        let run = match self.random.below(4) {
            0 => tracer.kill_at(n, &fetch).unwrap(),
            1 => {
                let left = root.with_extension("left");
                let run = tracer.power_loss_at(n, root, &left, &fetch).unwrap();
                if let Outcome::Killed { .. } = run.outcome {
                    fs::remove_dir_all(root).unwrap();
                    fs::rename(&left, root).unwrap();
                } else {
                    let _ = fs::remove_dir_all(&left);
                }
                run
            }
            _ => tracer.kill_at(u64::from(u32::MAX), &fetch).unwrap(),
        };
        let _ = writeln!(self.story, " -> {:?} {}", run.outcome, String::from_utf8_lossy(&run.stderr));
        settle(&server);
    }

    /// A run in which nothing fails but what the server always does.
    fn quiet(&mut self, root: &Path) -> Option<i32> {
        let retry = Command::new(env!("CARGO_BIN_EXE_popwire"))
            .args(["state", "retry", &format!("alice@{}", self.address)])
            .env("POPWIRE_STATE", root.join("state"))
            .output()
            .unwrap();
        let server = self.server(None);
        let output = self.fetch(root).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let _ = writeln!(self.story, "  quiet, {:?} -> {} {said}", retry.status.code(), output.status);
        settle(&server);
        output.status.code()
    }

    fn check(&self, root: &Path) -> Result<(), String> {
        let mut places =
            vec![("Maildir", maildir::contents(root.join("Mail")).map_err(|error| error.to_string())?)];
        if self.mbox {
            let mbox = Maildrop::mbox(root.join("mbox")).messages().map_err(|error| error.to_string())?;
            places.push(("mbox", mbox));
        }
        for (place, messages) in places {
            let mut counts: BTreeMap<&[u8], u32> = BTreeMap::new();
            for message in &messages {
                *counts.entry(message).or_default() += 1;
            }
            for (number, message) in self.mail.iter().enumerate() {
                match counts.remove(message.as_slice()) {
                    Some(1) => {}
                    count => {
                        return Err(format!(
                            "{place}: message {number} is there {} times",
                            count.unwrap_or(0)
                        ));
                    }
                }
            }
            if let Some(other) = counts.keys().next() {
                return Err(format!("{place}: this is no message: {}", String::from_utf8_lossy(other)));
            }
        }
        let left = self.maildrop.len().map_err(|error| error.to_string())?;
        let deletes = !self
            .quirks
            .iter()
            .any(|quirk| ["dele=ignored", "quit=err", "quit=close_before"].contains(quirk));
        match left {
            0 if self.delete => Ok(()),
            _ if self.delete && deletes => Err(format!("{left} messages are left on the server")),
            left if !self.delete && left < self.mail.len() => {
                Err(format!("only {left} are left on the server"))
            }
            _ => Ok(()),
        }
    }
}

/// Waits until the server has noticed that its client is gone.
fn settle(server: &Server) {
    assert!(
        server.wait_for(Duration::from_secs(20), |sessions| sessions.iter().all(|session| session.closed))
    );
}

fn play(tracer: &Tracer, seed: u64) -> Result<(), String> {
    let mut schedule = Schedule::new(seed);
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let root = home.path().join("root");
    fs::create_dir(&root).unwrap();
    for _ in 0..1 + schedule.random.below(3) {
        schedule.rough(tracer, &root);
        let new = schedule.random.below(3);
        schedule.new_mail(new);
    }
    // Some servers show a few messages at a time, or forget some once.
    for _ in 0..12 {
        let code = schedule.quiet(&root);
        if code == Some(0) && schedule.check(&root).is_ok() {
            // And the next one changes nothing.
            schedule.quiet(&root);
            break;
        }
    }
    schedule.check(&root).map_err(|failure| format!("{failure}\n{}", schedule.story))
}

#[test]
fn no_schedule_loses_or_doubles_anything() {
    let tracer = Tracer::build().unwrap();
    let number = |name: &str| env::var(name).ok().map(|number| number.parse::<u64>().expect(name));
    let (first, count) = match number("POPWIRE_SEED") {
        Some(seed) => (seed, 1),
        None => (0, number("POPWIRE_SEEDS").unwrap_or(SEEDS)),
    };
    let began = Instant::now();
    let next = AtomicU64::new(first);
    let failures: Vec<String> = thread::scope(|scope| {
        let work = || {
            let mut failures = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= first + count || failures.len() >= 5 {
                    break failures;
                }
                failures.extend(play(&tracer, seed).err());
            }
        };
        // Most of the time all wait for a server that hangs.
        let cores = thread::available_parallelism().map_or(2, usize::from);
        let threads: Vec<_> = (0..4 * cores).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    eprintln!("{count} schedules in {:?}", began.elapsed());
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
