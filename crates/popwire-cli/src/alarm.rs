//! What is done when a run has ended: it is noted for `popwire status`, and a person is told if it went wrong.

use std::ffi::OsString;
use std::io;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use popwire_retriever::{Ledger as _, RunNote, SqliteLedger};

use crate::explain::Exit;
use crate::output::Output;
use crate::settings::Account;

/// The command that tells a person: `on_error` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Alarm {
    pub(crate) command: OnError,
    /// After so many runs in a row that went wrong.
    pub(crate) after: u32,
    /// The environment variables that it does not get.
    pub(crate) secrets: Vec<OsString>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OnError {
    Shell(String),
    Program(Vec<String>),
}

/// How long the command may take. A mail program that hangs must not hold up the mail.
const PATIENCE: Duration = Duration::from_secs(30);

/// Notes how a run of the account ended, and sounds the alarm if it is time. `told` is what the person reads.
pub(crate) fn ended(
    account: &Account,
    ledger: &SqliteLedger,
    note: &RunNote,
    told: &str,
    alarm: Option<&Alarm>,
    output: &mut Output,
) {
    // Neither is worth a run: without the note `popwire status` knows less.
    let before = ledger.last_run(&account.key()).ok().flatten();
    let _ = ledger.note_run(&account.key(), note);
    let Some(alarm) = alarm.filter(|_| note.exit != 0) else { return };
    let in_a_row = before.as_ref().map_or(0, |before| before.bad).saturating_add(1);
    let is_news = before.is_none_or(|before| before.run.exit != note.exit);
    if alarm.is_due(Exit::from_code(note.exit), in_a_row, is_news)
        && let Err(reason) = alarm.sound(account, note.exit, in_a_row, told)
    {
        output.warn(&format!("{}: the command of on_error failed: {reason}", account.name));
    }
}

impl Alarm {
    /// Once for each series. What does not pass by itself is told at once, and again if it becomes something else.
    fn is_due(&self, exit: Exit, in_a_row: u32, is_news: bool) -> bool {
        match exit {
            Exit::NoPermission | Exit::Configuration | Exit::Data | Exit::CannotCreate => is_news,
            _ => in_a_row == self.after,
        }
    }

    fn sound(&self, account: &Account, exit: u8, in_a_row: u32, told: &str) -> io::Result<()> {
        // What a server said may be in it, and a NUL neither an argument nor the environment takes.
        let told = told.replace('\0', "");
        let mut command = match &self.command {
            OnError::Shell(line) => {
                let mut shell = Command::new("/bin/sh");
                shell.args(["-c", line, "popwire"]);
                shell
            }
            OnError::Program(words) => {
                let mut words = words.iter();
                let mut program = Command::new(words.next().map(String::as_str).unwrap_or_default());
                program.args(words);
                program
            }
        };
        command.arg(&told).env("POPWIRE_ACCOUNT", &account.name).env("POPWIRE_ERROR", &told);
        command.env("POPWIRE_EXIT", exit.to_string()).env("POPWIRE_FAILURES", in_a_row.to_string());
        for secret in &self.secrets {
            command.env_remove(secret);
        }
        // Nothing of it comes between the lines of others on stdout.
        let mut child = command.stdin(Stdio::null()).stdout(io::stderr()).spawn()?;
        match wait(&mut child)? {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(io::Error::other(status.to_string())),
            None => Err(io::Error::new(io::ErrorKind::TimedOut, "it took longer than 30 seconds")),
        }
    }
}

fn wait(child: &mut Child) -> io::Result<Option<ExitStatus>> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_pass_by_itself_is_told_at_once_and_once() {
        let alarm = Alarm { command: OnError::Shell("true".to_owned()), after: 3, secrets: Vec::new() };
        for exit in [Exit::NoPermission, Exit::Data, Exit::Configuration, Exit::CannotCreate] {
            assert!(alarm.is_due(exit, 1, true) && !alarm.is_due(exit, 3, false));
        }
        for exit in [Exit::Temporary, Exit::Unavailable, Exit::Protocol, Exit::Io] {
            let due: Vec<u32> = (1..9).filter(|nth| alarm.is_due(exit, *nth, true)).collect();
            assert_eq!(due, [3]);
        }
    }
}
