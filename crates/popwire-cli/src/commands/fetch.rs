//! `popwire fetch`: a mailbox into a Maildir.

use std::path::Path;
use std::time::{Duration, Instant};

use popwire::Expire;
use popwire_retriever::maildir::Maildir;
use popwire_retriever::{Deletion, Fetch, Summary};
use serde::Serialize;

use super::progress::Progress;
use crate::args::FetchArgs;
use crate::explain::{self, Exit, Problem};
use crate::output::Output;
use crate::session;
use crate::settings::Account;
use crate::text;

pub(super) fn run(args: &FetchArgs, output: &mut Output) -> Result<Exit, Problem> {
    let account = Account::resolve(&args.connect, output)?;
    // Before the server is bothered, and before a password is typed in vain.
    let maildir = Maildir::create(&args.maildir).map_err(|error| explain::destination(&error))?;
    // What a run that was killed left in tmp/ harms nobody; neither does it if it cannot be removed.
    let _ = maildir.clean_tmp();
    let login = account.login(output)?;

    let begun = Instant::now();
    let client = session::open(&account, login, output)?;
    if !args.delete && client.capabilities().expire() == Some(Expire::Days(0)) {
        output.warn(&format!(
            "{} says that it may remove what was fetched when the session ends (EXPIRE 0), though nothing is deleted from here",
            account.host()
        ));
    }
    let limit = args.limit.map(usize::from);
    let fetch = Fetch::new(&maildir).delete(args.delete).limit(limit).flush(args.flush.into());
    let ended = fetch.run(client, &mut Progress::new(&account.name, limit, output));

    let took = begun.elapsed();
    let report = Report { account: &account, maildir: maildir.path(), took };
    match ended {
        Ok(summary) => {
            output.report(&report.line(&summary));
            Ok(report.end(&summary, explain::deletion(&summary, account.host()), output))
        }
        Err(stopped) => {
            let problem = explain::stopped(&stopped, account.host(), maildir.path());
            Ok(report.end(&stopped.summary, Some(problem), output))
        }
    }
}

/// How a run ended, in a line or an object.
struct Report<'a> {
    account: &'a Account,
    maildir: &'a Path,
    took: Duration,
}

impl Report<'_> {
    /// `alice@pop.example.org: 12 messages, 3.4 MB, to /home/alice/Mail in 2.3 s; kept on the server`
    fn line(&self, summary: &Summary) -> String {
        let Summary { listed, delivered, octets, failures, not_marked, deletion, .. } = summary;
        let name = &self.account.name;
        if *listed == 0 {
            return format!("{name}: no mail");
        }
        let count = if failures.is_empty() {
            text::messages(*delivered)
        } else {
            format!("{delivered} of {}", text::messages(*delivered + failures.len() as u64))
        };
        let mut line = format!("{name}: {count}");
        if *delivered > 0 {
            let (size, maildir) = (text::size(*octets), self.maildir.display());
            line.push_str(&format!(", {size}, to {maildir} in {}", text::duration(self.took)));
        }
        match deletion {
            Deletion::NoneMarked => line.push_str("; kept on the server"),
            Deletion::Committed { .. } if not_marked.is_empty() && failures.is_empty() => {
                line.push_str("; deleted on the server");
            }
            Deletion::Committed { messages } => {
                line.push_str(&format!("; {messages} deleted on the server"));
            }
            // The error that follows tells.
            _ => {}
        }
        if !failures.is_empty() {
            line.push_str(&format!("; {} not delivered, left on the server", failures.len()));
        }
        line
    }

    /// The last words: the error, and the object that ends `--json`.
    fn end(&self, summary: &Summary, problem: Option<Problem>, output: &mut Output) -> Exit {
        let exit = match &problem {
            Some(problem) => problem.exit,
            None if summary.is_complete() => Exit::Ok,
            None => Exit::Temporary,
        };
        if let Some(problem) = problem {
            output.error(&problem);
        }
        let Summary { listed, delivered, octets, failures, not_marked, deletion, .. } = summary;
        let (deletion, marked, reason) = match deletion {
            Deletion::NoneMarked => ("none", 0, None),
            Deletion::Committed { messages } => ("committed", *messages, None),
            Deletion::Refused { messages, reply } => ("refused", *messages, Some(reply.to_string())),
            Deletion::Unknown { messages, error } => {
                ("unknown", *messages, error.as_ref().map(ToString::to_string))
            }
            _ => ("unknown", 0, None),
        };
        output.event(&SummaryEvent {
            event: "summary",
            account: &self.account.name,
            messages: *listed,
            delivered: *delivered,
            size: *octets,
            failed: failures.len(),
            deletion,
            marked,
            not_marked: not_marked.len(),
            reason,
            dest: self.maildir,
            ms: self.took.as_millis(),
            exit: exit.code(),
        });
        exit
    }
}

#[derive(Serialize)]
struct SummaryEvent<'a> {
    event: &'static str,
    account: &'a str,
    messages: usize,
    delivered: u64,
    size: u64,
    failed: usize,
    deletion: &'static str,
    marked: u64,
    not_marked: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    dest: &'a Path,
    ms: u128,
    exit: u8,
}
