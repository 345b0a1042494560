//! A program killed at its n-th system call, and what the disk holds after a loss of power there.
//!
//! The work is done by a program in C, `crash/tracer.c`, which [`Tracer::build`] compiles: tracing takes calls that no safe
//! Rust has. It counts the calls that touch the disk or the wire, over all threads and all descendants of a command. To
//! meet a program at every one of them, run it with 1, 2, 3 and so on until it finishes:
//!
//! ```
//! use std::process::Command;
//! use popwire_interop::crash::{Outcome, Tracer};
//!
//! # fn main() -> popwire_interop::Result<()> {
//! # let home = tempfile::tempdir().unwrap();
//! let tracer = Tracer::build()?;
//! let mut calls = Vec::new();
//! for n in 1.. {
//!     let (old, new) = (home.path().join("old"), home.path().join("new"));
//!     std::fs::write(&old, "mail").unwrap();
//!     match tracer.kill_at(n, Command::new("mv").arg(&old).arg(&new))?.outcome {
//!         Outcome::Killed { call } => calls.push(call),
//!         Outcome::Finished(status) => {
//!             assert!(status.success());
//!             break;
//!         }
//!     }
//!     assert!(old.exists() && !new.exists(), "killed before it was moved");
//! }
//! assert!(calls[0].starts_with("rename"), "{calls:?}");
//! # Ok(()) }
//! ```
//!
//! A program of several threads, or one that talks over the network, does not make the same calls each time: `n` is then
//! not the same moment in each run, and only the loop's end, not a count from before, tells that all were met.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    os::unix::process::ExitStatusExt,
    path::{self, Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::OnceLock,
    time::Duration,
};

use sha2::{Digest, Sha256};

use crate::{Error, Result, tmp};

const SOURCES: [(&str, &str); 3] = [
    ("tracer.c", include_str!("crash/tracer.c")),
    ("shadow.c", include_str!("crash/shadow.c")),
    ("shadow.h", include_str!("crash/shadow.h")),
];

const FLAGS: [&str; 4] = ["-std=gnu17", "-O2", "-Wall", "-Wextra"];

/// Longer than a command under test takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Kills programs where it is told to. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Tracer {
    program: PathBuf,
    limit: Duration,
}

/// What came of one run.
#[derive(Clone, Debug)]
pub struct Run {
    /// How it ended.
    pub outcome: Outcome,
    /// How many calls that touch the disk or the wire it had begun; with [`Tracer::kill_at`], the last one was not executed.
    pub calls: u64,
    /// What it had written to its standard output.
    pub stdout: Vec<u8>,
    /// What it had written to its standard error.
    pub stderr: Vec<u8>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// By SIGKILL, with all its descendants.
    Killed {
        /// At which call, as in `fsync(/home/alice/Mail/new)`: its name, and the file or path it is about.
        call: String,
    },
    /// By itself: it made fewer calls.
    Finished(ExitStatus),
}

impl Tracer {
    /// Compile the tracer, with `cc` or what `CC` names, unless an earlier run has done so.
    ///
    /// # Errors
    ///
    /// When it cannot be compiled.
    pub fn build() -> Result<Tracer> {
        static BUILT: OnceLock<Result<PathBuf>> = OnceLock::new();
        let program = BUILT.get_or_init(compile).clone()?;
        Ok(Tracer { program, limit: LIMIT })
    }

    /// End a command that takes longer than `limit`, which is an error. Whole seconds, at least one; 60 unless told.
    #[must_use]
    pub fn limit(self, limit: Duration) -> Tracer {
        Tracer { limit, ..self }
    }

    /// Let `command` run to its end, and count the calls that touch the disk or the wire.
    ///
    /// Of `command`, its program, arguments, environment variables and current folder count, here and below: its input is
    /// empty, its output and errors are in the [`Run`].
    ///
    /// # Errors
    ///
    /// When the tracer fails, because the system refuses to trace or the command takes too long, and when the command
    /// fails: its calls up to there are not what was asked for.
    pub fn count(&self, command: &Command) -> Result<u64> {
        let run = self.run(&[], command)?;
        match run.outcome {
            Outcome::Finished(status) if status.success() => Ok(run.calls),
            _ => Err(Error::new(format!("{command:?} failed:\n{}", String::from_utf8_lossy(&run.stderr)))),
        }
    }

    /// Run `command` and kill it, with all its descendants, when one of its threads is about to make the `n`-th call that
    /// touches the disk or the wire, counted from 1. That call is not executed. Those that other threads are inside of
    /// may be.
    ///
    /// # Errors
    ///
    /// When the tracer fails.
    pub fn kill_at(&self, n: u64, command: &Command) -> Result<Run> {
        self.run(&["--kill".as_ref(), OsString::from(n.to_string()).as_ref()], command)
    }

    /// As [`kill_at`](Self::kill_at), but when that call has returned.
    ///
    /// # Errors
    ///
    /// When the tracer fails.
    pub fn kill_after(&self, n: u64, command: &Command) -> Result<Run> {
        self.run(&["--after".as_ref(), "--kill".as_ref(), OsString::from(n.to_string()).as_ref()], command)
    }

    /// As [`kill_at`](Self::kill_at), and makes the folder `into`, which must not exist, with what would be left of the
    /// folder `root` if the power went at that moment; or at the end, if the command finishes before.
    ///
    /// What is left is the least that POSIX promises. Of a file, the octets that it had when the last fsync, fdatasync or
    /// syncfs that has returned without error began; none if there was none. Of a folder, the names that it had then. So
    /// a file that was flushed is gone if its folder was not; one that was moved is under its old name, its new name,
    /// both or none, as the one folder or the other was flushed. What was there before the command began is durable.
    /// Owners and times are not kept.
    ///
    /// # Errors
    ///
    /// When the tracer fails, which includes that `root` is not there or `into` is.
    pub fn power_loss_at(&self, n: u64, root: &Path, into: &Path, command: &Command) -> Result<Run> {
        self.lose(&["--kill".as_ref(), OsString::from(n.to_string()).as_ref()], root, into, command)
    }

    /// As [`power_loss_at`](Self::power_loss_at), but all names are left as they are, and what is lost is the octets that
    /// were not flushed: the other extreme of what a file system may do. A file that was moved to its place too early is
    /// empty there.
    ///
    /// # Errors
    ///
    /// When the tracer fails, which includes that `root` is not there or `into` is.
    pub fn octets_loss_at(&self, n: u64, root: &Path, into: &Path, command: &Command) -> Result<Run> {
        self.lose(
            &["--names".as_ref(), "--kill".as_ref(), OsString::from(n.to_string()).as_ref()],
            root,
            into,
            command,
        )
    }

    fn lose(&self, options: &[&OsStr], root: &Path, into: &Path, command: &Command) -> Result<Run> {
        // Ours, not those of a command that runs in another folder
        let absolute = |path: &Path| path::absolute(path).map_err(Error::io("cannot find", path));
        let (root, into) = (absolute(root)?, absolute(into)?);
        let folders: [&OsStr; 4] = ["--root".as_ref(), root.as_ref(), "--durable".as_ref(), into.as_ref()];
        self.run(&[options, &folders].concat(), command)
    }

    fn run(&self, options: &[&OsStr], command: &Command) -> Result<Run> {
        let folder = tempfile::tempdir().map_err(Error::io("cannot create a folder in", &env::temp_dir()))?;
        let report = folder.path().join("report");
        let mut traced = Command::new(&self.program);
        traced.arg("--report").arg(&report).arg("--limit").arg(self.limit.as_secs().max(1).to_string());
        traced.args(options).arg("--").arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => traced.env(name, value),
                None => traced.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            traced.current_dir(folder);
        }
        let output = traced.stdin(Stdio::null()).output().map_err(Error::io("cannot run", &self.program))?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            let took = if output.status.signal() == Some(SIGALRM) { "it took too long, " } else { "" };
            return Err(Error::new(format!("cannot trace {command:?}: {took}{}\n{said}", output.status)));
        }
        let text = fs::read_to_string(&report).map_err(Error::io("cannot read", &report))?;
        let (calls, outcome) = parse(&text).ok_or_else(|| Error::new(format!("no report: {text:?}")))?;
        Ok(Run { outcome, calls, stdout: output.stdout, stderr: output.stderr })
    }
}

/// The number is the same on all machines that the tracer knows.
const SIGALRM: i32 = 14;

fn parse(report: &str) -> Option<(u64, Outcome)> {
    let (calls, end) = report.split_once('\n')?;
    let calls = calls.strip_prefix("calls ")?.parse().ok()?;
    let outcome = match end.trim_end_matches('\n').split_once(' ')? {
        ("killed", call) => Outcome::Killed { call: call.to_owned() },
        ("ended", status) => Outcome::Finished(ExitStatus::from_raw(status.parse().ok()?)),
        _ => return None,
    };
    Some((calls, outcome))
}

/// Where the tracer is. It is named for its sources, so that what an earlier test has compiled serves this one.
fn compile() -> Result<PathBuf> {
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut hash = Sha256::new();
    for part in SOURCES.iter().flat_map(|(name, text)| [name, text]).chain(&FLAGS) {
        hash.update(part.as_bytes());
    }
    let hash: String = hash.finalize().iter().take(8).map(|octet| format!("{octet:02x}")).collect();
    let folder = tmp();
    let program = folder.join(format!("crash-{hash}"));
    if program.exists() {
        return Ok(program);
    }
    fs::create_dir_all(&folder).map_err(Error::io("cannot create", &folder))?;
    let place = tempfile::tempdir_in(&folder).map_err(Error::io("cannot create a folder in", &folder))?;
    for (name, text) in SOURCES {
        let path = place.path().join(name);
        fs::write(&path, text).map_err(Error::io("cannot write", &path))?;
    }
    let made = place.path().join("crash");
    let output = Command::new(&compiler)
        .current_dir(place.path())
        .args(FLAGS)
        .args(["tracer.c", "shadow.c", "-o"])
        .arg(&made)
        .output()
        .map_err(Error::io("cannot run the C compiler", compiler.as_ref()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Error::new(format!("cannot compile the tracer:\n{said}")));
    }
    // Another test may have made it meanwhile, and may be running it.
    fs::rename(&made, &program).map_err(Error::io("cannot move", &made))?;
    Ok(program)
}
