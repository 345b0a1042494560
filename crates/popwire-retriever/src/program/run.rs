//! One run of a program: its input written and its errors read as it goes, and an end to it at the time limit.
//!
//! All of it in one thread that waits for nothing without a limit: a program may leave others running that hold its pipes.

use std::io::{self, ErrorKind, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStderr, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// How a run ended.
pub(super) struct Run {
    /// `None` if it had to be ended.
    pub(super) status: Option<ExitStatus>,
    /// The beginning of what it wrote to its standard error.
    pub(super) said: Vec<u8>,
}

pub(super) struct RunError {
    pub(super) doing: &'static str,
    pub(super) source: io::Error,
}

/// What is kept of the standard error.
const SAID: usize = 1024;

/// Octets that are written and read at once.
const PIECE: usize = 64 * 1024;

/// How long a process group has between SIGTERM and SIGKILL, and how long to be gone after that.
const GRACE: Duration = Duration::from_secs(2);

/// The longest wait for a process that has closed its pipes.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs the program to its end, or until the limit.
pub(super) fn run(mut command: Command, input: impl Read, limit: Duration) -> Result<Run, RunError> {
    let failed = |doing| move |source| RunError { doing, source };
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed("starting"))?;
    let mut errors = Errors { pipe: child.stderr.take(), said: Vec::new() };
    let mut feed = Feed { pipe: child.stdin.take(), input, piece: vec![0; PIECE], from: 0, to: 0 };
    let ended = watch(&mut child, &mut feed, &mut errors, Instant::now() + limit);
    // Input and errors are closed before it is told to end.
    drop(feed);
    if !matches!(ended, Ok(Some(_))) {
        end(&mut child);
    }
    let status = ended.map_err(failed("running"))?;
    Ok(Run { status, said: errors.said })
}

/// `None` if it is still running at the deadline.
fn watch(
    child: &mut Child,
    feed: &mut Feed<impl Read>,
    errors: &mut Errors,
    deadline: Instant,
) -> io::Result<Option<ExitStatus>> {
    if let Some(pipe) = &feed.pipe {
        rustix::io::ioctl_fionbio(pipe, true)?;
    }
    if let Some(pipe) = &errors.pipe {
        rustix::io::ioctl_fionbio(pipe, true)?;
    }
    let mut pause = Duration::from_millis(1);
    loop {
        let ended = child.try_wait()?;
        errors.read()?;
        let now = Instant::now();
        if ended.is_some() || now >= deadline {
            return Ok(ended);
        }
        feed.write()?;
        let mut pipes = Vec::with_capacity(2);
        pipes.extend(feed.pipe.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::OUT)));
        pipes.extend(errors.pipe.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        // A program may end while another one holds its pipes, and its end wakes nobody. Most end soon after they have
        // read their input.
        let wait = Timespec::try_from(pause.min(deadline - now)).map_err(io::Error::other)?;
        match poll(&mut pipes, Some(&wait)) {
            Ok(0) => pause = (pause * 2).min(PAUSE),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(reason) => return Err(reason.into()),
        }
    }
}

/// Ends the process group. The child is not waited for before the last signal, so that its number is nobody else's.
fn end(child: &mut Child) {
    let group = Pid::from_child(child);
    let _ = kill_process_group(group, Signal::TERM);
    let is_gone = || {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(group), options).is_ok_and(|status| status.is_some())
    };
    let gone_within = |limit: Duration| {
        let begun = Instant::now();
        while !is_gone() && begun.elapsed() < limit {
            thread::sleep(PAUSE);
        }
        is_gone()
    };
    gone_within(GRACE);
    let _ = kill_process_group(group, Signal::KILL);
    if gone_within(GRACE) {
        let _ = child.wait();
    }
}

/// The program's standard input, and what it gets there.
struct Feed<R> {
    /// `None` when it has got all, or wants no more.
    pipe: Option<ChildStdin>,
    input: R,
    piece: Vec<u8>,
    from: usize,
    to: usize,
}

impl<R: Read> Feed<R> {
    /// Writes what the pipe takes.
    fn write(&mut self) -> io::Result<()> {
        while let Some(pipe) = &mut self.pipe {
            if self.from == self.to {
                (self.from, self.to) = (0, self.input.read(&mut self.piece)?);
                if self.to == 0 {
                    self.pipe = None;
                    break;
                }
            }
            match pipe.write(self.piece.get(self.from..self.to).unwrap_or_default()) {
                Ok(written) => self.from += written,
                Err(reason) => match reason.kind() {
                    ErrorKind::WouldBlock => break,
                    ErrorKind::Interrupted => {}
                    // It has seen enough. Its exit code tells what came of it.
                    ErrorKind::BrokenPipe => self.pipe = None,
                    _ => return Err(reason),
                },
            }
        }
        Ok(())
    }
}

/// The program's standard error.
struct Errors {
    pipe: Option<ChildStderr>,
    said: Vec<u8>,
}

impl Errors {
    /// Reads what is there, but not for ever.
    fn read(&mut self) -> io::Result<()> {
        let mut piece = [0; 4096];
        for _ in 0..16 {
            let Some(pipe) = &mut self.pipe else { break };
            match pipe.read(&mut piece) {
                Ok(0) => self.pipe = None,
                Ok(read) => {
                    let room = SAID - self.said.len();
                    self.said.extend(piece.iter().take(read.min(room)));
                }
                Err(reason) => match reason.kind() {
                    ErrorKind::WouldBlock => break,
                    ErrorKind::Interrupted => {}
                    _ => return Err(reason),
                },
            }
        }
        Ok(())
    }
}
