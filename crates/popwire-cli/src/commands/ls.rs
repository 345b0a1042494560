//! `popwire ls`: what is in a mailbox.

use std::io::{self, Write};

use anstyle::Style;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use mail_parser::MessageParser;
use popwire::blocking::Client;
use popwire_retriever::{Listed, Listing};
use serde::Serialize;

use crate::args::LsArgs;
use crate::explain::{self, Exit, Problem, Stage};
use crate::output::Output;
use crate::session;
use crate::settings::Account;
use crate::text::{self, field, fit};

/// More of a header than this is not looked at: some servers send the whole message for TOP n 0.
const HEADER: usize = 256 * 1024;

const BOLD: Style = Style::new().bold();

pub(super) fn run(args: &LsArgs, output: &mut Output) -> Result<Exit, Problem> {
    let account = Account::of_mailbox(&args.mailbox, output)?;
    let login = account.login(output)?;
    let mut client = session::open(&account, login, output)?;
    let working = |error: popwire::Error| explain::session(&error, account.host(), Stage::Working);

    let listing = Listing::ask(&mut client).map_err(working)?;
    if listing.unreadable > 0 {
        let lines = listing.unreadable;
        output
            .warn(&format!("{lines} lines of the server's listing make no sense; a message may be missing"));
    }
    let limit = args.limit.map_or(usize::MAX, usize::from);
    let wanted = listing.messages.get(..limit).unwrap_or(&listing.messages);
    let mut headers =
        Headers { available: has_top(&mut client, wanted).map_err(working)?, missing: 0, reason: None };
    let table = Table::new(output, wanted, headers.available);

    if table.is_some() && wanted.is_empty() {
        output.report(&format!("{}: no mail", account.name));
    }
    if let Some(table) = &table
        && !wanted.is_empty()
    {
        output.report(&table.heading());
    }
    for listed in wanted {
        let row = Row { listed, header: headers.next(&mut client, listed).map_err(working)? };
        match &table {
            _ if output.json() => output.event(&row.object()),
            Some(table) => output.line(&table.row(&row)),
            None => output.line(&row.fields()),
        }
        if !output.takes_more() {
            break;
        }
    }
    if let Some(reason) = headers.trouble() {
        output.warn(&reason);
    }
    if table.is_some() && !wanted.is_empty() {
        output.report(&total(&listing, wanted.len()));
    }
    // Nothing was marked: there is nothing to learn from the answer.
    let _ = client.quit();
    Ok(Exit::Ok)
}

fn total(listing: &Listing, shown: usize) -> String {
    let all = listing.messages.len() as u64;
    let octets = listing.octets().map(|octets| format!(", {}", text::size(octets))).unwrap_or_default();
    let shown = if shown as u64 == all { String::new() } else { format!("; the first {shown} are shown") };
    format!("{}{octets}{shown}", text::messages(all))
}

/// What a list wants to know of a message, fit to print.
#[derive(Clone, Debug, Default)]
struct Header {
    date: Option<Timestamp>,
    name: Option<String>,
    address: Option<String>,
    subject: Option<String>,
}

/// Asks for the headers, where the server has a way to send them alone.
#[derive(Debug)]
struct Headers {
    available: bool,
    missing: u64,
    /// Why the first missing one is missing.
    reason: Option<popwire::Error>,
}

impl Headers {
    /// The header of a message; `None` if the server does not give it.
    fn next(&mut self, client: &mut Client, listed: &Listed) -> popwire::Result<Option<Header>> {
        if !self.available {
            return Ok(None);
        }
        match header(client, listed.number) {
            Ok(header) => Ok(Some(header)),
            Err(error) if error.is_refused() || error.is_irregular_end() => {
                self.missing += 1;
                self.reason.get_or_insert(error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// What has to be said about the headers that are missing.
    fn trouble(&self) -> Option<String> {
        match &self.reason {
            _ if !self.available => Some(
                "this server cannot send headers alone (TOP): number, size and unique-id are all there is"
                    .to_owned(),
            ),
            Some(error) => Some(format!("{} without a header: {error}", text::messages(self.missing))),
            None => None,
        }
    }
}

/// Whether the server has TOP. Where it does not say so it is tried: some servers have more than they say.
fn has_top(client: &mut Client, wanted: &[Listed]) -> popwire::Result<bool> {
    match wanted.first() {
        None => Ok(true),
        Some(_) if client.capabilities().has("TOP") => Ok(true),
        Some(first) => match header(client, first.number) {
            Ok(_) => Ok(true),
            Err(error) if error.is_refused() => Ok(false),
            Err(error) => Err(error),
        },
    }
}

fn header(client: &mut Client, number: u32) -> popwire::Result<Header> {
    let mut bounded = Bounded::default();
    match client.top(number, 0)?.copy_to(&mut bounded) {
        Err(error) if !bounded.full => Err(error),
        _ => Ok(parse(&bounded.octets)),
    }
}

/// Takes so many octets and no more.
#[derive(Debug, Default)]
struct Bounded {
    octets: Vec<u8>,
    full: bool,
}

impl Write for Bounded {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if self.octets.len() >= HEADER {
            self.full = true;
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.octets.extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn parse(octets: &[u8]) -> Header {
    let Some(mail) = MessageParser::new().with_minimal_headers().parse_headers(octets) else {
        return Header::default();
    };
    let said = |text: &str| Some(field(text)).filter(|text| !text.is_empty());
    let sender = mail.from().and_then(|from| from.first());
    Header {
        date: mail
            .date()
            .filter(|date| date.is_valid())
            .and_then(|date| Timestamp::from_second(date.to_timestamp()).ok()),
        name: sender.and_then(|sender| sender.name()).and_then(said),
        address: sender.and_then(|sender| sender.address()).and_then(said),
        subject: mail.subject().and_then(said),
    }
}

/// A message in the list. All of its text is fit to print.
struct Row<'a> {
    listed: &'a Listed,
    header: Option<Header>,
}

impl Row<'_> {
    /// Six fields with a TAB between them.
    fn fields(&self) -> String {
        let object = self.object();
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        [
            object.number.to_string(),
            object.size.map(|size| size.to_string()).unwrap_or_default(),
            text(&object.uid),
            text(&object.date),
            text(&object.from),
            text(&object.subject),
        ]
        .join("\t")
    }

    fn object(&self) -> Object {
        let Header { date, name, address, subject } = self.header.clone().unwrap_or_default();
        Object {
            number: self.listed.number,
            size: self.listed.octets,
            uid: self.uid(),
            date: date.map(|date| date.to_string()),
            from: match (name, address) {
                (Some(name), Some(address)) => Some(format!("{name} <{address}>")),
                (name, address) => name.or(address),
            },
            subject,
        }
    }

    fn uid(&self) -> Option<String> {
        // A TAB in an id, against the RFC, must not begin another field.
        self.listed.uid.as_ref().map(|uid| field(&uid.to_string()))
    }
}

#[derive(Serialize)]
struct Object {
    number: u32,
    size: Option<u64>,
    uid: Option<String>,
    date: Option<String>,
    from: Option<String>,
    subject: Option<String>,
}

/// The columns for a terminal.
#[derive(Debug)]
struct Table {
    number: usize,
    size: usize,
    /// The last columns: sender and subject, or the unique-id alone.
    rest: usize,
    headers: bool,
    zone: TimeZone,
}

/// `2026-11-02 14:03`.
const DATE: usize = 16;
const GAP: &str = "  ";

impl Table {
    /// `None` where stdout is no terminal.
    fn new(output: &Output, wanted: &[Listed], headers: bool) -> Option<Self> {
        if !output.stdout_is_terminal() || output.json() {
            return None;
        }
        let columns = text::columns(&io::stdout());
        let widest = |text: fn(&Listed) -> String, heading: &str| {
            wanted.iter().map(|listed| text(listed).len()).fold(heading.len(), usize::max)
        };
        let number = widest(|listed| listed.number.to_string(), "No");
        let size = widest(|listed| listed.octets.map(text::size).unwrap_or_default(), "Size");
        let used = number + size + GAP.len() * 2 + if headers { DATE + GAP.len() * 2 } else { 0 };
        let rest = columns.saturating_sub(used).max(20);
        Some(Self { number, size, rest, headers, zone: TimeZone::system() })
    }

    fn heading(&self) -> String {
        let line = if self.headers {
            self.with_header("No", "Size", "Date", "From", "Subject")
        } else {
            self.line("No", "Size", "Unique-id")
        };
        format!("{BOLD}{}{BOLD:#}", line.trim_end())
    }

    fn row(&self, row: &Row<'_>) -> String {
        let number = row.listed.number.to_string();
        let size = row.listed.octets.map(text::size).unwrap_or_default();
        let line = if self.headers {
            let Header { date, name, address, subject } = row.header.clone().unwrap_or_default();
            let date =
                date.map(|date| date.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M").to_string());
            let [date, from, subject] =
                [date, name.or(address), subject].map(|text| text.unwrap_or_else(|| "-".to_owned()));
            self.with_header(&number, &size, &date, &from, &subject)
        } else {
            self.line(&number, &size, &row.uid().unwrap_or_else(|| "-".to_owned()))
        };
        line.trim_end().to_owned()
    }

    fn with_header(&self, number: &str, size: &str, date: &str, from: &str, subject: &str) -> String {
        let sender = (self.rest * 2 / 5).min(30);
        let rest = format!("{}{GAP}{}", fit(from, sender), fit(subject, self.rest - sender));
        format!("{}{GAP}{}{GAP}{rest}", self.start(number, size), fit(date, DATE))
    }

    fn line(&self, number: &str, size: &str, rest: &str) -> String {
        format!("{}{GAP}{}", self.start(number, size), fit(rest, self.rest))
    }

    fn start(&self, number: &str, size: &str) -> String {
        format!("{number:>0$}{GAP}{size:>1$}", self.number, self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_cannot_write_to_the_terminal() {
        let header = parse(b"From: \x1b]0;owned\x07 <eve@example.org>\r\nSubject: =?utf-8?q?=1B[2J=0D=0Afake?=\r\n\tline\r\n\r\n");
        let shown = format!("{:?} {:?}", header.name.unwrap(), header.subject.unwrap());
        assert!(!shown.contains(|c: char| c.is_control()), "{shown}");
        assert!(shown.contains("x1b[2J fake line"), "{shown}");
    }
}
