//! A child process that cannot outlive the test.

use std::{
    io,
    path::PathBuf,
    process::{Child, Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use crate::{Error, Result};

/// A child process; killed and reaped when it is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Start `command`.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn spawn(command: &mut Command) -> Result<Process> {
        let name = PathBuf::from(command.get_program());
        let child = command.spawn().map_err(Error::io("cannot start", &name))?;
        Ok(Process { child })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The child itself, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// `kill -9`: it ends where it stands, with no chance to tidy up. That it has ended already is no error.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn kill9(&mut self) -> Result<ExitStatus> {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        killed.map_err(|reason| Error::new(format!("cannot kill process {}: {reason}", self.pid())))
    }

    /// Wait for its end, `limit` at most.
    ///
    /// # Errors
    ///
    /// When it still runs at the end of `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().map_err(|reason| Error::new(reason.to_string()))? {
                return Ok(status);
            }
            if Instant::now() >= end {
                return Err(Error::new(format!("process {} still runs after {limit:?}", self.pid())));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill9();
    }
}

/// Whether process `pid` runs. One that has ended and only waits to be reaped does not.
#[must_use]
pub fn runs(pid: u32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        // "pid (name) state ...", and the name may hold anything
        Ok(stat) => stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X'])),
        Err(reason) => reason.kind() != io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_process_is_gone() {
        let sleeper = Process::spawn(Command::new("sleep").arg("60")).unwrap();
        let pid = sleeper.pid();
        assert!(runs(pid));
        drop(sleeper);
        assert!(!runs(pid));
    }

    #[test]
    fn waiting_has_an_end() {
        let mut sleeper = Process::spawn(Command::new("sleep").arg("60")).unwrap();
        assert!(sleeper.wait(Duration::from_millis(20)).is_err());
        assert!(!sleeper.kill9().unwrap().success());
        let mut quick = Process::spawn(&mut Command::new("true")).unwrap();
        assert!(quick.wait(Duration::from_secs(10)).unwrap().success());
        assert!(quick.kill9().is_ok(), "killing what has ended is no error");
    }
}
