//! Where mail goes, by the command line.

use std::ffi::OsStr;

use popwire_retriever::maildir::{Maildir, MaildirDestination};
use popwire_retriever::{Destination, LmtpDestination, MboxDestination, ProgramDestination};

use crate::args::DestinationArgs;
use crate::explain::{self, Problem};

/// Destinations that are there, and what people call them.
#[derive(Debug, Default)]
pub(crate) struct Destinations {
    pub(crate) all: Vec<Box<dyn Destination>>,
    places: Vec<String>,
}

impl Destinations {
    /// Opens them, and makes what is missing. Programs do not get the environment variables that hold `secrets`.
    pub(crate) fn open(args: &DestinationArgs, secrets: &[&OsStr]) -> Result<Self, Problem> {
        let mut destinations = Self::default();
        for path in &args.maildir {
            let maildir = Maildir::create(path).map_err(|error| explain::destination(&error))?;
            // What a run that was killed left in tmp/ harms nobody; neither does it if it cannot be removed.
            let _ = maildir.clean_tmp();
            destinations.add(
                maildir.path().display().to_string(),
                MaildirDestination::new(maildir, args.flush.into()),
            );
        }
        for path in &args.mbox {
            let mbox = MboxDestination::new(path).map_err(|error| explain::destination(&error))?;
            destinations.add(path.display().to_string(), mbox);
        }
        for command in &args.pipe {
            let mut program = ProgramDestination::shell(command);
            for name in secrets {
                program = program.without_variable(name);
            }
            destinations.add(command.to_string_lossy().into_owned(), program);
        }
        for (place, recipient) in
            args.lmtp.iter().flat_map(|place| args.recipient.clone().map(|to| (place, to)))
        {
            destinations.add(place.clone(), LmtpDestination::new(place, recipient));
        }
        Ok(destinations)
    }

    fn add(&mut self, place: String, destination: impl Destination + 'static) {
        self.all.push(Box::new(destination));
        self.places.push(place);
    }

    /// Where mail goes, for people.
    pub(crate) fn place(&self) -> String {
        self.places.join(", ")
    }
}
