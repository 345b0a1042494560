//! `popwire status`: how the last run of each account ended.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use popwire_retriever::{AccountKey, LastRun, Ledger as _, SqliteLedger, State};
use serde::Serialize;

use crate::args::{ConnectArgs, StatusArgs};
use crate::config::Config;
use crate::explain::{self, Exit, Problem};
use crate::output::Output;
use crate::settings::Account;
use crate::state;
use crate::text;

/// What is told of an account.
struct Status {
    account: AccountKey,
    /// Its name in the configuration.
    name: Option<String>,
    last: LastRun,
    /// How many messages are in which state.
    counts: [(State, u64); State::ALL.len()],
}

pub(super) fn run(args: &StatusArgs, output: &mut Output) -> Result<Exit, Problem> {
    let ledger = state::open(&args.state, output)?;
    let all = all(&ledger, &names(output))?;
    if let Some(path) = &args.prometheus {
        write(path, &metrics(&all)).map_err(|error| {
            let what = format!("{} cannot be written: {error}", path.display());
            Problem::new(Exit::CannotCreate, what, "Name another file.")
        })?;
    }
    let mut worst = Exit::Ok;
    for status in &all {
        worst = worst.worse(Exit::from_code(status.last.run.exit));
        output.report(&status.line());
        output.event(&status.event());
    }
    if all.is_empty() {
        output.report("nothing was fetched yet");
    }
    Ok(worst)
}

/// What the accounts of the configuration are called, as far as there is one that can be read.
fn names(output: &Output) -> Vec<(AccountKey, String)> {
    let Ok(config) = Config::load() else { return Vec::new() };
    let name = |name: &String| {
        let account = Account::configured(&config, name, &ConnectArgs::default(), output).ok()?;
        Some((account.key(), name.clone()))
    };
    config.accounts.keys().filter_map(name).collect()
}

fn all(ledger: &SqliteLedger, names: &[(AccountKey, String)]) -> Result<Vec<Status>, Problem> {
    let failed = |error| explain::ledger(&error);
    let mut all = Vec::new();
    for account in ledger.accounts().map_err(failed)? {
        let Some(last) = ledger.last_run(&account).map_err(failed)? else { continue };
        let mut counts = State::ALL.map(|state| (state, 0));
        let mut count = |state| {
            if let Some((_, count)) = counts.iter_mut().find(|(one, _)| *one == state) {
                *count += 1;
            }
        };
        ledger
            .entries(&account, &mut |entry| {
                count(entry.state);
                true
            })
            .map_err(failed)?;
        let name = names.iter().find(|(key, _)| *key == account).map(|(_, name)| name.clone());
        all.push(Status { account, name, last, counts });
    }
    Ok(all)
}

impl Status {
    /// `isp (alice@pop.example.org): ok 5 min ago; 1284 messages here`
    fn line(&self) -> String {
        let Self { account, last, .. } = self;
        let mut line = match &self.name {
            Some(name) => format!("{name} ({account}): "),
            None => format!("{account}: "),
        };
        if last.run.exit == 0 {
            line.push_str(&format!("ok {}", ago(last.at)));
        } else {
            let reason = last.run.reason.as_deref().map(text::field).unwrap_or_default();
            line.push_str(&format!("failed {} (exit code {}): {reason}", ago(last.at), last.run.exit));
            let good = last.good.map_or("never".to_owned(), ago);
            line.push_str(&format!("; last all right {good}"));
        }
        line.push_str(&format!("; {} here", text::messages(self.here())));
        if last.run.failed > 0 {
            line.push_str(&format!(", {} left on the server", last.run.failed));
        }
        line
    }

    /// How many were delivered.
    fn here(&self) -> u64 {
        self.counts.iter().filter(|(state, _)| state.is_delivered()).map(|(_, count)| count).sum()
    }

    fn event(&self) -> Event<'_> {
        let LastRun { at, good, run, .. } = &self.last;
        Event {
            event: "status",
            account: self.account.as_str(),
            name: self.name.as_deref(),
            at: seconds(*at),
            good: good.map(seconds),
            exit: run.exit,
            delivered: run.delivered,
            failed: run.failed,
            here: self.here(),
            reason: run.reason.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct Event<'a> {
    event: &'static str,
    account: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    at: u64,
    good: Option<u64>,
    exit: u8,
    delivered: u64,
    failed: u64,
    here: u64,
    reason: Option<&'a str>,
}

fn ago(time: SystemTime) -> String {
    match time.elapsed() {
        Ok(passed) if passed < Duration::from_secs(2) => "just now".to_owned(),
        Ok(passed) => format!("{} ago", text::duration(Duration::from_secs(passed.as_secs()))),
        Err(_) => "in the future, by this machine's clock".to_owned(),
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// The text format of Prometheus.
fn metrics(all: &[Status]) -> String {
    let mut text = String::new();
    let mut metric = |name: &str, help: &str, value: &dyn Fn(&Status) -> Option<u64>| {
        let _ = writeln!(text, "# HELP popwire_{name} {help}\n# TYPE popwire_{name} gauge");
        for status in all {
            if let Some(value) = value(status) {
                let _ = writeln!(
                    text,
                    "popwire_{name}{{account=\"{}\"}} {value}",
                    label(status.account.as_str())
                );
            }
        }
    };
    metric("last_run_timestamp_seconds", "When the last run ended.", &|status| Some(seconds(status.last.at)));
    metric("last_success_timestamp_seconds", "When the last run that did everything ended.", &|status| {
        status.last.good.map(seconds)
    });
    metric("last_exit_code", "The exit code of the last run.", &|status| Some(status.last.run.exit.into()));
    metric("last_delivered_messages", "What the last run delivered.", &|status| {
        Some(status.last.run.delivered)
    });
    metric("last_failed_messages", "What the last run left on the server, since it failed.", &|status| {
        Some(status.last.run.failed)
    });
    metric("delivered_messages", "What was delivered altogether, as far as it is remembered.", &|status| {
        Some(status.here())
    });
    text
}

fn label(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

/// Whoever reads the file finds the old one or the new one, and never a part.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    fs::write(&fresh, text)?;
    fs::rename(fresh, path)
}
