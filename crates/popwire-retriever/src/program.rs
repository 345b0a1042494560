//! A program that takes messages, as `procmail`, `sendmail` and `dovecot-lda` do.

use std::collections::HashSet;
use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::time::Duration;

use popwire::Text;

use crate::DeliveryError;
use crate::destination::{Destination, Parcel};
use crate::identity::Mark;

mod run;

use run::{Run, RunError};

/// Starts a program for each message, and gives it the message on its standard input.
///
/// The message is delivered when the program ends with exit code 0, whether it read all of it or not. Any other code, a
/// signal, and the time limit are refusals of this message; the code tells by `sysexits.h` whether it is for good. What
/// the program writes to its standard output is thrown away; the first line of its standard error goes into the refusal.
///
/// # Its environment
///
/// | variable | what it holds |
/// |---|---|
/// | `POPWIRE_ACCOUNT` | the account, as `user@host` |
/// | `POPWIRE_UID` | the message's unique-id, with escapes for what is not printable ASCII |
/// | `POPWIRE_MARK` | the delivery's name, 32 hexadecimal digits: the same when this message comes once more |
/// | `POPWIRE_SIZE` | how many octets there are on the standard input |
/// | `POPWIRE_SHA256` | of the message as it came from the server, without header lines that were added |
///
/// # Once more
///
/// A program cannot be asked what it got. A message that it took just before a crash comes again: a program that must not
/// take it twice has to remember the marks.
///
/// # What it may not do
///
/// It runs in a process group of its own, which gets SIGTERM at the time limit and SIGKILL two seconds later. What it
/// started and left running when it ended is not waited for.
#[derive(Debug)]
pub struct ProgramDestination {
    program: OsString,
    arguments: Vec<OsString>,
    name: String,
    time_limit: Duration,
    withheld: Vec<OsString>,
}

/// So many messages in a row at the time limit, and the rest of the batch is not tried.
const HANGS: usize = 2;

impl ProgramDestination {
    /// Starts this program, without a shell. A name without a slash is looked for in `PATH`.
    pub fn new<A: Into<OsString>>(
        program: impl Into<OsString>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        let program = program.into();
        let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
        let mut name = format!("pipe:{}", program.display());
        for argument in &arguments {
            let _ = write!(name, " {}", argument.display());
        }
        Self { program, arguments, name, time_limit: Duration::from_secs(60), withheld: Vec::new() }
    }

    /// Has `/bin/sh` run this command.
    pub fn shell(command: impl AsRef<OsStr>) -> Self {
        let command = command.as_ref();
        let mut destination = Self::new("/bin/sh", [OsStr::new("-c"), command]);
        destination.name = format!("pipe:{}", command.display());
        destination
    }

    /// How long the program may take for a message; a minute if this is not called.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Withholds this environment variable from the program, which otherwise has all of ours: it may hold a secret.
    #[must_use]
    pub fn without_variable(mut self, name: impl Into<OsString>) -> Self {
        self.withheld.push(name.into());
        self
    }

    fn deliver(&self, parcel: &Parcel) -> Result<Run, DeliveryError> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        for name in &self.withheld {
            command.env_remove(name);
        }
        command.env("POPWIRE_ACCOUNT", parcel.account.as_str());
        command.env("POPWIRE_UID", parcel.key.identity.to_string());
        command.env("POPWIRE_MARK", parcel.mark.to_string());
        command.env("POPWIRE_SIZE", parcel.octets().to_string());
        let sha256 = parcel.received.content.iter().map(|octet| format!("{octet:02x}"));
        command.env("POPWIRE_SHA256", sha256.collect::<String>());
        run::run(command, parcel.reader(), self.time_limit)
            .map_err(|RunError { doing, source }| self.unavailable(doing, source))
    }

    /// What the end of a run means for the message.
    fn judge(&self, run: &Run) -> Result<(), DeliveryError> {
        let Some(status) = run.status else {
            return Err(self.refused(&format!("not done after {} s", self.time_limit.as_secs()), run, false));
        };
        match status.code() {
            Some(0) => Ok(()),
            // How shells say that there is no such program, or that it cannot be started.
            Some(code @ (126 | 127)) => {
                Err(self.unavailable("starting", with_said(&format!("exit code {code}"), run)))
            }
            Some(code) => {
                let (meaning, permanent) = sysexit(code);
                Err(self.refused(&format!("exit code {code}{meaning}"), run, permanent))
            }
            None => {
                let signal = status.signal().unwrap_or_default();
                Err(self.refused(&format!("killed by signal {signal}"), run, false))
            }
        }
    }

    fn refused(&self, how: &str, run: &Run, permanent: bool) -> DeliveryError {
        DeliveryError::Refused { destination: self.name.clone(), said: with_said(how, run), permanent }
    }

    fn unavailable(
        &self,
        doing: &'static str,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> DeliveryError {
        DeliveryError::Unavailable { destination: self.name.clone(), doing, source: source.into() }
    }
}

/// The first line that the program wrote to its standard error is put behind what is known otherwise.
fn with_said(how: &str, run: &Run) -> String {
    let line = run.said.trim_ascii_start().split(|&octet| octet == b'\n').next().unwrap_or_default();
    if line.is_empty() { how.to_owned() } else { format!("{how}: {}", Text::from(line.trim_ascii_end())) }
}

/// What `sysexits.h` says of a code, and whether trying again is of no use.
fn sysexit(code: i32) -> (&'static str, bool) {
    match code {
        64 => (" (wrong usage)", true),
        65 => (" (wrong data)", true),
        66 => (" (cannot open input)", true),
        67 => (" (no such user)", true),
        68 => (" (no such host)", true),
        69 => (" (service unavailable)", true),
        70 => (" (internal error)", true),
        71 => (" (system error)", false),
        72 => (" (system file missing)", true),
        73 => (" (cannot create output)", true),
        74 => (" (input/output error)", false),
        75 => (" (temporary failure)", false),
        76 => (" (protocol error)", true),
        77 => (" (not permitted)", true),
        78 => (" (wrong configuration)", true),
        _ => ("", false),
    }
}

impl Destination for ProgramDestination {
    fn name(&self) -> &str {
        &self.name
    }

    fn remembers(&self) -> bool {
        false
    }

    fn marks(&mut self) -> Result<HashSet<Mark>, DeliveryError> {
        Ok(HashSet::new())
    }

    /// There is nothing that could be done ahead.
    fn prepare(&mut self, parcels: &[&Parcel]) -> Vec<Result<(), DeliveryError>> {
        parcels.iter().map(|_| Ok(())).collect()
    }

    fn commit(&mut self, parcels: &[&Parcel]) -> Vec<Result<String, DeliveryError>> {
        let mut hangs = 0;
        let mut deliver = |parcel: &&Parcel| {
            if hangs >= HANGS {
                return Err(self.unavailable("running", "it was not done in time with the messages before"));
            }
            let run = self.deliver(parcel)?;
            hangs = if run.status.is_none() { hangs + 1 } else { 0 };
            self.judge(&run).map(|()| self.name.clone())
        };
        parcels.iter().map(&mut deliver).collect()
    }
}

#[cfg(test)]
mod tests;
