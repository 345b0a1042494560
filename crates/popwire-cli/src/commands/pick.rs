//! `popwire show` and `popwire rm`: messages that a person picks.

use std::io::{self, Write as _};

use popwire::blocking::Client;
use popwire::{Error, Farewell, MessageNumber};
use popwire_retriever::{Listed, Listing};

use crate::args::{MailboxArgs, RmArgs, ShowArgs};
use crate::explain::{self, Exit, Problem, Stage};
use crate::output::Output;
use crate::session;
use crate::settings::Account;
use crate::text;

/// A mailbox, and the messages in it that were picked.
struct Picked {
    account: Account,
    client: Client,
    messages: Vec<Listed>,
}

impl Picked {
    fn open(mailbox: &MailboxArgs, names: &[String], output: &mut Output) -> Result<Self, Problem> {
        let account = Account::of_mailbox(mailbox, output)?;
        let login = account.login(output)?;
        let mut client = session::open(&account, login, output)?;
        let listing = Listing::ask(&mut client).map_err(|error| working(&account, &error))?;
        let messages = names.iter().map(|name| pick(&listing, name, &account)).collect::<Result<_, _>>()?;
        Ok(Self { account, client, messages })
    }
}

/// By unique-id first: some are numbers too.
fn pick(listing: &Listing, name: &str, account: &Account) -> Result<Listed, Problem> {
    let is = |listed: &&Listed| listed.uid.as_ref().is_some_and(|uid| uid.to_string() == name);
    let mut found = listing.messages.iter().filter(is);
    if let Some(listed) = found.next() {
        return match found.next() {
            None => Ok(listed.clone()),
            Some(_) => Err(Problem::usage(
                format!("{} has several messages with the unique-id {name}", account.name),
                "Nothing was done. Name one by its number: popwire ls shows it.",
            )),
        };
    }
    let number: Option<MessageNumber> = name.parse().ok();
    let by_number = listing.messages.iter().find(|listed| Some(listed.number) == number);
    by_number.cloned().ok_or_else(|| {
        let what = format!("{} has no message {name}", account.name);
        Problem::usage(what, "Nothing was done. popwire ls shows numbers and unique-ids.")
    })
}

fn working(account: &Account, error: &Error) -> Problem {
    explain::session(error, account.host(), Stage::Working)
}

pub(super) fn show(args: &ShowArgs, output: &mut Output) -> Result<Exit, Problem> {
    let Picked { account, mut client, messages } = Picked::open(&args.mailbox, &args.messages, output)?;
    let mut out = io::stdout().lock();
    for listed in messages {
        let mut message = client.retr(listed.number).map_err(|error| working(&account, &error))?;
        let mut writer = Writer { out: &mut out, failed: None };
        let copied = message.copy_to(&mut writer);
        match writer.failed {
            // A reader that went away, like `head`, is no error.
            Some(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Exit::Ok),
            Some(error) => {
                let what = format!("stdout cannot be written: {error}");
                return Err(Problem::new(Exit::Io, what, "The mail itself is not concerned."));
            }
            None => copied.map_err(|error| working(&account, &error))?,
        };
    }
    let _ = out.flush();
    let _ = client.leave();
    Ok(Exit::Ok)
}

/// Keeps the errors of stdout apart from those of the session.
struct Writer<'a> {
    out: &'a mut io::StdoutLock<'static>,
    failed: Option<io::Error>,
}

impl io::Write for Writer<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.out.write(octets).map_err(|error| {
            let kind = error.kind();
            self.failed = Some(error);
            kind.into()
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

pub(super) fn rm(args: &RmArgs, output: &mut Output) -> Result<Exit, Problem> {
    let Picked { account, mut client, messages } = Picked::open(&args.mailbox, &args.messages, output)?;
    let title = |listed: &Listed| {
        let uid = listed.uid.as_ref().map(|uid| format!(" (uid {uid})")).unwrap_or_default();
        let size = listed.octets.map(|octets| format!(", {}", text::size(octets))).unwrap_or_default();
        format!("{}: message {}{uid}{size}", account.name, listed.number)
    };
    if !args.yes {
        for listed in &messages {
            output.line(&format!("{}: would be deleted", title(listed)));
        }
        output.warn("nothing was deleted; to do it, say --yes");
        let _ = client.leave();
        return Ok(Exit::Ok);
    }
    for listed in &messages {
        // Without QUIT nothing is deleted.
        client.dele(listed.number).map_err(|error| working(&account, &error))?;
    }
    match client.quit() {
        Farewell::Committed { .. } => {
            for listed in &messages {
                output.report(&format!("{}: deleted", title(listed)));
            }
            Ok(Exit::Ok)
        }
        Farewell::Refused { reply, .. } => {
            let what = format!("{} did not delete all of them: {reply}", account.host());
            Err(Problem::new(Exit::Temporary, what, "popwire ls shows what is left."))
        }
        Farewell::Unknown { error, .. } => {
            let what = format!("whether {} deleted them is not known: {error}", account.host());
            Err(Problem::new(Exit::Temporary, what, "popwire ls shows what is left."))
        }
        _ => Ok(Exit::Ok),
    }
}
