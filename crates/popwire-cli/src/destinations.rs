//! Where mail goes, by the command line or the configuration.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use popwire_retriever::maildir::{Maildir, MaildirDestination};
use popwire_retriever::{
    Destination, LmtpDestination, Mailbox, MboxDestination, ProgramDestination, Sender, SmtpDestination,
    SmtpSecurity,
};

use crate::args::{DestinationArgs, FlushArg};
use crate::explain::{self, Problem};
use crate::output::Output;
use crate::password::Source;

/// A destination as it was named.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Maildir(PathBuf, FlushArg),
    Mbox(PathBuf),
    /// A shell's command, and how long it may take.
    Shell(OsString, Option<Duration>),
    /// A program and its arguments, and how long it may take.
    Program(Vec<OsString>, Option<Duration>),
    Lmtp(MailServer),
    Smtp {
        server: MailServer,
        security: SmtpSecurity,
        /// The certificates to trust, in place of the system's.
        ca: Option<PathBuf>,
        login: Option<(String, Source)>,
    },
}

/// A mail server, and what it is told.
#[derive(Clone, Debug)]
pub(crate) struct MailServer {
    pub(crate) place: String,
    pub(crate) recipient: Mailbox,
    pub(crate) sender: Sender,
    /// How long each answer may take.
    pub(crate) patience: Option<Duration>,
}

impl MailServer {
    fn new(place: &str, recipient: &Mailbox) -> Self {
        let (place, recipient) = (place.to_owned(), recipient.clone());
        Self { place, recipient, sender: Sender::default(), patience: None }
    }

    /// By SMTP, with the protection that goes without saying: TLS from the first octet, and none on this machine.
    pub(crate) fn usual_security(&self) -> SmtpSecurity {
        let place = self.place.as_str();
        let is_port = |rest: &str| rest.is_empty() || rest.starts_with(':');
        let is_here = ["localhost", "127.0.0.1", "[::1]"]
            .iter()
            .any(|host| place.strip_prefix(host).is_some_and(is_port));
        if is_here || place == "::1" { SmtpSecurity::Plain } else { SmtpSecurity::Tls }
    }
}

impl DestinationArgs {
    /// The destinations that the command line names.
    pub(crate) fn places(&self) -> Vec<Place> {
        let maildirs = self.maildir.iter().map(|path| Place::Maildir(path.clone(), self.flush));
        let mboxes = self.mbox.iter().map(|path| Place::Mbox(path.clone()));
        let pipes = self.pipe.iter().map(|command| Place::Shell(command.clone(), None));
        let mut places: Vec<Place> = maildirs.chain(mboxes).chain(pipes).collect();
        if let Some(recipient) = &self.recipient {
            places.extend(self.lmtp.iter().map(|place| Place::Lmtp(MailServer::new(place, recipient))));
            places.extend(self.smtp.iter().map(|place| {
                let server = MailServer::new(place, recipient);
                Place::Smtp { security: server.usual_security(), server, ca: None, login: None }
            }));
        }
        places
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
    pub(crate) fn open(places: &[Place], secrets: &[OsString], output: &mut Output) -> Result<Self, Problem> {
        let mut destinations = Self::default();
        for place in places {
            destinations.open_one(place, secrets, output)?;
        }
        Ok(destinations)
    }

    fn open_one(&mut self, place: &Place, secrets: &[OsString], output: &mut Output) -> Result<(), Problem> {
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
            Place::Lmtp(MailServer { place, recipient, sender, patience }) => {
                let mut lmtp = LmtpDestination::new(place, recipient.clone()).sender(sender.clone());
                if let Some(patience) = patience {
                    lmtp = lmtp.patience(*patience);
                }
                self.add(format!("{recipient} by {place}"), lmtp);
            }
            Place::Smtp { server, security, ca, login } => {
                let MailServer { place, recipient, sender, patience } = server;
                let mut smtp =
                    SmtpDestination::new(place, *security, recipient.clone()).sender(sender.clone());
                if let Some(patience) = patience {
                    smtp = smtp.patience(*patience);
                }
                if let Some(path) = ca {
                    let certificates = fs::read(path).and_then(|pem| smtp.root_certificates(&pem));
                    smtp = certificates.map_err(|error| {
                        let what = format!("{}: {error}", path.display());
                        Problem::configuration(what, "The file of `ca` has certificates in PEM.")
                    })?;
                }
                if let Some((user, source)) = login {
                    let password = source.password(&format!("{user} at {place}"), output)?;
                    smtp = smtp.login(user, password);
                }
                self.add(format!("{recipient} by {place}"), smtp);
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
