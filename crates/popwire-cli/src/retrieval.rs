//! A retrieval as the program runs it: the session, the bar, the summary, the exit code.

use std::cell::Cell;
use std::error::Error;
use std::time::{Duration, Instant};

use popwire::blocking::Client;
use popwire::{Expire, Login};
use popwire_retriever::{Cause, Deletion, Fetch, QUARANTINE, RunNote, SqliteLedger, Summary};
use serde::Serialize;

use crate::alarm::{self, Alarm};
use crate::explain::{self, Exit, Problem};
use crate::output::Output;
use crate::providers;
use crate::session;
use crate::settings::Account;
use crate::text;

mod progress;

pub(crate) use progress::Progress;

/// What a retrieval is about, beside the [`Fetch`] itself.
#[derive(Debug)]
pub(crate) struct Retrieval<'a> {
    pub(crate) account: &'a Account,
    pub(crate) ledger: &'a SqliteLedger,
    /// Where mail goes, for people.
    pub(crate) place: String,
    /// Whether messages stay on the server.
    pub(crate) keeps: bool,
    pub(crate) dry_run: bool,
    pub(crate) alarm: Option<Alarm>,
    /// Whether it is one of many looks: one that finds nothing is not worth a line.
    pub(crate) watched: bool,
}

type Connected = Result<Client, Box<dyn Error + Send + Sync>>;

/// Opens sessions of this account, as many as are asked for.
pub(crate) fn connecting(account: &Account, login: &Login, mut output: Output) -> impl FnMut() -> Connected {
    let begun = Instant::now();
    move || {
        if account.deadline.is_some_and(|deadline| begun.elapsed() >= deadline) {
            let what = format!("{}: it took longer than allowed", account.host());
            return Err(
                Problem::new(Exit::Temporary, what, "Run it again, or allow more: --deadline SECS").into()
            );
        }
        Ok(session::open(account, login.clone(), &mut output)?)
    }
}

impl Retrieval<'_> {
    /// Runs it, and tells how it went, and how long the server wants to be left alone.
    pub(crate) fn run(
        &self,
        mut fetch: Fetch<'_>,
        login: &Login,
        output: &mut Output,
    ) -> (Exit, Option<Duration>) {
        let at_least = Cell::new(providers::pause(self.account.host()));
        let begun = Instant::now();
        let mut warning = output.clone();
        let mut open = connecting(self.account, login, output.clone());
        let mut sessions = 0;
        let mut connect = || -> Connected {
            let client = open()?;
            sessions += 1;
            let announced = client.capabilities().login_delay().map(Duration::from_secs);
            at_least.set(at_least.get().max(announced));
            if sessions == 1 && self.keeps && client.capabilities().expire() == Some(Expire::Days(0)) {
                warning.warn(&format!(
                    "{} says that it may remove what was fetched when the session ends (EXPIRE 0), though nothing is \
                     deleted from here",
                    self.account.host()
                ));
            }
            Ok(client)
        };
        let ended =
            fetch.run(&mut connect, &mut Progress::new(&self.account.name, output).dry_run(self.dry_run));
        let took = begun.elapsed();
        let exit = match ended {
            Ok(summary) => {
                let idle = self.watched && summary.delivered == 0 && summary.deleted == 0;
                if !self.dry_run && !idle {
                    output.report(&self.line(&summary, took));
                }
                self.tell_quarantined(&summary, output);
                let problem = explain::deletion(&summary, self.account.host());
                self.end(&summary, took, problem, output)
            }
            Err(stopped) => {
                let problem = explain::stopped(&stopped, self.account.host(), &self.place);
                self.tell_quarantined(&stopped.summary, output);
                if self.watched && matches!(stopped.cause, Cause::Interrupted) {
                    Exit::Ok
                } else {
                    self.end(&stopped.summary, took, Some(problem), output)
                }
            }
        };
        (exit, at_least.get())
    }

    /// `alice@pop.example.org: 12 messages, 3.4 MB, to /home/alice/Mail in 2.3 s; kept on the server`
    fn line(&self, summary: &Summary, took: Duration) -> String {
        let Summary { listed, delivered, octets, failures, not_marked, deletion, deleted, .. } = summary;
        let name = &self.account.name;
        if *listed == 0 {
            return format!("{name}: no mail");
        }
        let nothing = *delivered == 0 && failures.is_empty() && summary.quarantined.is_empty();
        let mut line = if nothing {
            format!("{name}: nothing new")
        } else if failures.is_empty() {
            format!("{name}: {}", text::messages(*delivered))
        } else {
            format!("{name}: {delivered} of {}", text::messages(*delivered + failures.len() as u64))
        };
        if *delivered > 0 {
            let size = text::size(*octets);
            line.push_str(&format!(", {size}, to {} in {}", self.place, text::duration(took)));
        }
        match deletion {
            Deletion::NoneMarked if *deleted > 0 => {
                line.push_str(&format!("; {deleted} deleted on the server"))
            }
            Deletion::NoneMarked if nothing => {
                line.push_str(&format!("; {} on the server", text::messages(*listed as u64)))
            }
            Deletion::NoneMarked => line.push_str("; kept on the server"),
            Deletion::Committed { .. }
                if *deleted == *delivered && not_marked.is_empty() && failures.is_empty() =>
            {
                line.push_str("; deleted on the server");
            }
            Deletion::Committed { .. } => line.push_str(&format!("; {deleted} deleted on the server")),
            // The error that follows tells.
            _ => {}
        }
        for (count, what) in [
            (failures.len(), "not delivered, left on the server"),
            (summary.skipped, "skipped"),
            (summary.left_over, "left for another run"),
        ] {
            if count > 0 {
                line.push_str(&format!("; {count} {what}"));
            }
        }
        line
    }

    /// What is not tried any more is not forgotten.
    fn tell_quarantined(&self, summary: &Summary, output: &mut Output) {
        for entry in &summary.quarantined {
            let size = entry.listed.map(|octets| format!(", {}", text::size(octets))).unwrap_or_default();
            let reason = entry.reason.as_deref().unwrap_or("the reason is not known");
            output.warn(&format!(
                "{}: uid {}{size}: not tried any more after {QUARANTINE} failures, left on the server: {reason}",
                self.account.name, entry.key
            ));
        }
    }

    /// The last words: the error, and the object that ends `--json`.
    fn end(&self, summary: &Summary, took: Duration, problem: Option<Problem>, output: &mut Output) -> Exit {
        let problem = problem.map(|problem| problem.of(self.account.configured.as_ref()));
        let exit = match &problem {
            Some(problem) => problem.exit,
            None if summary.is_complete() => Exit::Ok,
            None => Exit::Temporary,
        };
        if let Some(problem) = &problem {
            output.error(problem);
        }
        if !self.dry_run {
            let told = problem.as_ref().map(|problem| format!("{} {}", problem.sentence(), problem.advice));
            let reason = problem.map(|problem| problem.what);
            let first = || summary.failures.first().map(|failure| failure.cause.to_string());
            let failed = summary.failures.len() + summary.quarantined.len();
            let (delivered, reason) = (summary.delivered, reason.or_else(first));
            let note = RunNote { exit: exit.code(), delivered, failed: failed as u64, reason };
            let told = told.unwrap_or_else(|| {
                let reason = note.reason.as_deref().unwrap_or("not tried any more");
                format!("{}: {} not delivered: {reason}", self.account.name, text::messages(note.failed))
            });
            alarm::ended(self.account, self.ledger, &note, &told, self.alarm.as_ref(), output);
        }
        let (deletion, marked, reason) = match &summary.deletion {
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
            messages: summary.listed,
            known: summary.known,
            recognised: summary.recognised,
            delivered: summary.delivered,
            size: summary.octets,
            skipped: summary.skipped,
            left_over: summary.left_over,
            failed: summary.failures.len(),
            quarantined: summary.quarantined.len(),
            deletion,
            deleted: summary.deleted,
            marked,
            not_marked: summary.not_marked.len(),
            reason,
            dest: &self.place,
            sessions: summary.sessions,
            ms: took.as_millis(),
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
    known: usize,
    recognised: u64,
    delivered: u64,
    size: u64,
    skipped: usize,
    left_over: usize,
    failed: usize,
    quarantined: usize,
    deletion: &'static str,
    deleted: u64,
    marked: u64,
    not_marked: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    dest: &'a str,
    sessions: u32,
    ms: u128,
    exit: u8,
}
