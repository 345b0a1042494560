//! Where mail goes, by the command line or the configuration.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use popwire_retriever::maildir::{Maildir, MaildirDestination};
use popwire_retriever::{Destination, LmtpDestination, Mailbox, MboxDestination, ProgramDestination, Sender};

use crate::args::{DestinationArgs, FlushArg};
use crate::explain::{self, Problem};

/// A destination as it was named.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) place: Place,
}

#[derive(Clone, Debug)]
pub(crate) enum Place {
    Maildir(PathBuf, FlushArg),
    Mbox(PathBuf),
    /// A shell's command, and how long it may take.
    Shell(OsString, Option<Duration>),
    /// A program and its arguments, and how long it may take.
    Program(Vec<OsString>, Option<Duration>),
    Lmtp {
        place: String,
        recipient: Mailbox,
        sender: Sender,
    },
}

impl DestinationArgs {
    /// The destinations that the command line names.
    pub(crate) fn specs(&self) -> Vec<Spec> {
        let maildirs = self.maildir.iter().map(|path| Place::Maildir(path.clone(), self.flush));
        let mboxes = self.mbox.iter().map(|path| Place::Mbox(path.clone()));
        let pipes = self.pipe.iter().map(|command| Place::Shell(command.clone(), None));
        let lmtp = self.lmtp.iter().zip(self.recipient.iter().cycle()).map(|(place, recipient)| {
            Place::Lmtp { place: place.clone(), recipient: recipient.clone(), sender: Sender::default() }
        });
        maildirs.chain(mboxes).chain(pipes).chain(lmtp).map(|place| Spec { place }).collect()
    }
}

/// Destinations that are there, and what people call them.
#[derive(Debug, Default)]
pub(crate) struct Destinations {
    pub(crate) all: Vec<Box<dyn Destination>>,
    places: Vec<String>,
}

impl Destinations {
    /// Opens them, and makes what is missing. Programs do not get the environment variables that hold `secrets`.
    pub(crate) fn open(specs: &[Spec], secrets: &[OsString]) -> Result<Self, Problem> {
        let mut destinations = Self::default();
        for spec in specs {
            destinations.open_one(&spec.place, secrets)?;
        }
        Ok(destinations)
    }

    fn open_one(&mut self, place: &Place, secrets: &[OsString]) -> Result<(), Problem> {
        match place {
            Place::Maildir(path, flush) => {
                let maildir = Maildir::create(path).map_err(|error| explain::destination(&error))?;
                // What a run that was killed left in tmp/ harms nobody; neither does it if it cannot be removed.
                let _ = maildir.clean_tmp();
                let name = maildir.path().display().to_string();
                self.add(name, MaildirDestination::new(maildir, (*flush).into()));
            }
            Place::Mbox(path) => {
                let mbox = MboxDestination::new(path).map_err(|error| explain::destination(&error))?;
                self.add(path.display().to_string(), mbox);
            }
            Place::Shell(command, limit) => {
                let program = ProgramDestination::shell(command);
                self.add_program(command.to_string_lossy().into_owned(), program, *limit, secrets);
            }
            Place::Program(words, limit) => {
                let mut words = words.iter();
                let program = words.next().map(OsString::as_os_str).unwrap_or(OsStr::new(""));
                let name = program.to_string_lossy().into_owned();
                self.add_program(name, ProgramDestination::new(program, words), *limit, secrets);
            }
            Place::Lmtp { place, recipient, sender } => {
                let lmtp = LmtpDestination::new(place, recipient.clone()).sender(sender.clone());
                self.add(format!("{recipient} by {place}"), lmtp);
            }
        }
        Ok(())
    }

    fn add_program(
        &mut self,
        name: String,
        mut program: ProgramDestination,
        limit: Option<Duration>,
        secrets: &[OsString],
    ) {
        if let Some(limit) = limit {
            program = program.time_limit(limit);
        }
        for secret in secrets {
            program = program.without_variable(secret);
        }
        self.add(name, program);
    }

    fn add(&mut self, place: String, destination: impl Destination + 'static) {
        self.all.push(Box::new(destination));
        self.places.push(place);
    }

    /// Each, and what people call it.
    pub(crate) fn each(&mut self) -> impl Iterator<Item = (&mut Box<dyn Destination>, &String)> {
        self.all.iter_mut().zip(&self.places)
    }

    /// Where mail goes, for people.
    pub(crate) fn place(&self) -> String {
        self.places.join(", ")
    }
}
