//! `popwire demo`: a server, the most awkward mail there is, and a look at every byte.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use popwire::{Connector, Login, Tls, TraceLevel};
use popwire_retriever::maildir::{Flush, Maildir, MaildirDestination};
use popwire_retriever::{Fetch, Keep};
use popwire_server::{Maildrop, Server};
use serde::Serialize;

use crate::args::DemoArgs;
use crate::explain::{self, Exit, Problem};
use crate::output::{Output, Verbosity};
use crate::retrieval::{Progress, connecting};
use crate::settings::Account;
use crate::state;
use crate::text;

mod mail;

const USER: &str = "demo";
const PASSWORD: &str = "not a secret";

/// The folder of the demo's ledger, in its Maildir.
const STATE: &str = ".state";

/// The file that says that a Maildir is the demo's.
const MARK: &str = ".made-by-popwire-demo";

pub(super) fn run(args: &DemoArgs, output: &mut Output) -> Result<Exit, Problem> {
    let stored: Vec<Vec<u8>> = mail::MESSAGES.iter().map(|(_, octets)| mail::as_stored(octets)).collect();
    let maildir = clean_maildir(&args.into)?;

    // Octets as they are stored, bare line feeds and all: a server that tidied them up would spare us the attacks.
    let server = Server::builder()
        .user(USER, PASSWORD, Maildrop::memory(stored.clone()))
        .verbatim(true)
        .start()
        .map_err(|error| broken(format!("the demo's own server did not start: {error}")))?;
    let account = account(&server, output)?;
    let port = account.connector.effective_port();
    output.report(&format!(
        "A mail server runs on 127.0.0.1, port {port}, with {} in its mailbox.",
        text::messages(stored.len() as u64)
    ));

    let begun = Instant::now();
    // Beside the mail: the demo's mail is none of the ledger's of every day.
    let ledger = state::open_in(&args.into.join(STATE), output)?;
    let login = Login::password(USER, PASSWORD);
    let ended = Fetch::new(account.key(), &ledger)
        .to(Box::new(MaildirDestination::new(maildir.clone(), Flush::Auto)))
        .keep(Keep::nothing())
        .run(&mut connecting(&account, &login, output.clone()), &mut Progress::new(&account.name, output));
    let took = begun.elapsed();
    let summary = ended.map_err(|stopped| broken(stopped.to_string()))?;
    if let Some(problem) = explain::deletion(&summary, account.host()) {
        return Err(broken(problem.what));
    }
    output.report(&format!(
        "Fetched {}, {}, over verified TLS in {}.\nEach was flushed to disk before it was deleted on the server.",
        text::messages(summary.delivered),
        text::size(summary.octets),
        text::duration(took),
    ));

    let wrong = compare(&stored, &maildir)?;
    for name in &wrong {
        output.warn(&format!("not what was stored: {name}"));
    }
    if !wrong.is_empty() {
        let what = format!(
            "{} of {} did not arrive as they were stored",
            wrong.len(),
            text::messages(stored.len() as u64)
        );
        return Err(broken(what));
    }
    output.report("Compared every byte: all are what was stored. Among them:");
    output.report(mail::HIGHLIGHTS);

    // The server removes what was marked before it answers QUIT; its session ends a moment later.
    let closed = server.wait_closed(1, Duration::from_secs(5));
    let left = server.maildrop(USER).map(|maildrop| maildrop.len());
    if !closed || !matches!(left, Some(Ok(0))) {
        return Err(broken("the server's mailbox is not empty after all was deleted".to_owned()));
    }
    output.report("The server's mailbox is empty now.");
    output.report(&format!(
        "\nThe mail is in {}. Your own, without deleting anything:\n  popwire ls pops://you@pop.example.org",
        args.into.join("new").display()
    ));
    output.event(&Done { event: "demo", messages: stored.len(), identical: true, left_on_server: 0 });
    Ok(Exit::Ok)
}

#[derive(Serialize)]
struct Done {
    event: &'static str,
    messages: usize,
    identical: bool,
    left_on_server: usize,
}

fn account(server: &Server, output: &Output) -> Result<Account, Problem> {
    let tls = Tls::new()
        .with_root_certificates(server.ca_pem().as_bytes())
        .map_err(|error| broken(error.to_string()))?;
    let address = server.tls_addr();
    let mut connector = Connector::new(address.ip().to_string()).port(address.port()).tls(tls);
    if output.verbosity() >= Verbosity::Conversation {
        connector = connector.trace(TraceLevel::Lines, output.conversation());
    }
    Ok(Account::of(USER, connector))
}

/// The names of the messages that did not arrive octet for octet, and of files that should not be there.
fn compare(stored: &[Vec<u8>], maildir: &Maildir) -> Result<Vec<String>, Problem> {
    let mut arrived = Vec::new();
    for path in files(&maildir.path().join("new"))? {
        let octets = fs::read(&path).map_err(|error| local(&path, &error))?;
        arrived.push((path.display().to_string(), octets));
    }
    let mut wrong = Vec::new();
    for (stored, (name, _)) in stored.iter().zip(mail::MESSAGES) {
        let sent = mail::as_sent(stored);
        match arrived.iter().position(|(_, octets)| *octets == sent) {
            Some(at) => drop(arrived.swap_remove(at)),
            None => wrong.push((*name).to_owned()),
        }
    }
    wrong.extend(arrived.into_iter().map(|(path, _)| path));
    Ok(wrong)
}

/// An empty Maildir with our mark. One of ours is emptied; whatever else is there is left alone.
fn clean_maildir(path: &Path) -> Result<Maildir, Problem> {
    let mark = path.join(MARK);
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(local(path, &error)),
        Ok(metadata) if metadata.is_dir() && is_file(&mark) => {
            for folder in ["new", "cur", "tmp", STATE] {
                empty(&path.join(folder))?;
            }
        }
        Ok(_) => {
            return Err(Problem::new(
                Exit::CannotCreate,
                format!("{} is there already, and no demo made it", path.display()),
                "It was left as it is. Name another place: popwire demo --into DIR",
            ));
        }
    }
    let maildir = Maildir::create(path).map_err(|error| explain::destination(&error))?;
    fs::write(&mark, "popwire demo made this Maildir, and empties it when it runs again.\n")
        .map_err(|error| local(&mark, &error))?;
    Ok(maildir)
}

fn is_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file())
}

/// Removes the files of a folder; not what is in folders below, which no demo made.
fn empty(folder: &Path) -> Result<(), Problem> {
    for file in files(folder)? {
        fs::remove_file(&file).map_err(|error| local(&file, &error))?;
    }
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, Problem> {
    let entries = match fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(local(folder, &error)),
    };
    Ok(entries.into_iter().map(|entry| entry.path()).collect())
}

fn local(path: &Path, error: &io::Error) -> Problem {
    let what = format!("{}: {error}", path.display());
    Problem::new(Exit::CannotCreate, what, "Name another place: popwire demo --into DIR")
}

fn broken(what: String) -> Problem {
    Problem::new(
        Exit::Software,
        what,
        "This should not happen. Please report it, with the output of: popwire demo -vv",
    )
}
