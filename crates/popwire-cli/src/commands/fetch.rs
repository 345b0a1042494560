//! `popwire fetch`: what is new in mailboxes, into their destinations.

use std::ffi::OsString;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use popwire::Login;
use popwire_retriever::{Fetch, Keep, Rule, RunNote, SqliteLedger};

use crate::alarm::{self, Alarm};
use crate::args::{ConnectArgs, FetchArgs};
use crate::config::Config;
use crate::destinations::Destinations;
use crate::explain::{Exit, Problem};
use crate::output::Output;
use crate::password;
use crate::retrieval::Retrieval;
use crate::settings::{self, Account};
use crate::state;

/// So many accounts are fetched at once.
pub(super) const AT_ONCE: usize = 4;

pub(super) fn run(args: &FetchArgs, output: &mut Output) -> Result<Exit, Problem> {
    let (config, names) = mailboxes(args)?;
    let (mut jobs, mut ready, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for name in &names {
        // Before a server is bothered, and before a password is typed in vain.
        match Job::new(name, config.as_ref(), args, output) {
            Ok(job) => jobs.push((name, job)),
            // The others are fetched all the same.
            Err(problem) => failed.push((name, problem)),
        }
    }
    // Where there is nothing to remember no ledger is made.
    if jobs.is_empty() && config.is_none() {
        failed.iter().for_each(|(_, problem)| output.error(problem));
        return Ok(failed.iter().fold(Exit::Ok, |worst, (_, problem)| worst.worse(problem.exit)));
    }
    let ledger = state::open(&args.state, output)?;
    for (name, job) in jobs {
        match job.account.login(output) {
            Ok(login) => ready.push(Mutex::new(Some((job, login)))),
            Err(problem) => failed.push((name, problem)),
        }
    }
    let mut worst = Exit::Ok;
    for (name, problem) in failed {
        worst = worst.worse(problem.exit);
        // A dry run changes nothing, and nobody is told of it.
        not_begun(name, config.as_ref().filter(|_| !args.dry_run), &ledger, &problem, output);
    }
    output.align(names.iter().map(String::as_str).filter(|name| !settings::is_url(name)));
    let next = AtomicUsize::new(0);
    let ends = thread::scope(|scope| {
        let work = || {
            let mut worst = Exit::Ok;
            while let Some(job) = ready.get(next.fetch_add(1, Ordering::Relaxed)) {
                let taken = job.lock().ok().and_then(|mut job| job.take());
                if let Some((job, login)) = taken {
                    worst = worst.worse(job.run(&ledger, &login, args, output.clone()).0);
                }
            }
            worst
        };
        // A single one is fetched where we are.
        let others: Vec<_> = (1..ready.len().min(AT_ONCE)).map(|_| scope.spawn(work)).collect();
        let mut ends = vec![work()];
        ends.extend(others.into_iter().map(|other| other.join().unwrap_or(Exit::Software)));
        ends
    });
    Ok(ends.into_iter().fold(worst, Exit::worse))
}

/// Tells of a run that did not come as far as the server.
pub(super) fn not_begun(
    name: &str,
    config: Option<&Config>,
    ledger: &SqliteLedger,
    problem: &Problem,
    output: &mut Output,
) {
    output.error(problem);
    let Some(config) = config.filter(|_| !settings::is_url(name)) else { return };
    // Whose mailbox it is may be just what is not known.
    if let Ok(account) = Account::configured(config, name, &ConnectArgs::default(), output) {
        let note =
            RunNote { exit: problem.exit.code(), reason: Some(problem.what.clone()), ..RunNote::default() };
        let told = format!("{} {}", problem.sentence(), problem.advice);
        alarm::ended(&account, ledger, &note, &told, config.alarm(name).as_ref(), output);
    }
}

/// What is to be fetched, by name, and the configuration if that is needed.
fn mailboxes(args: &FetchArgs) -> Result<(Option<Config>, Vec<String>), Problem> {
    let names = &args.mailboxes;
    if !names.is_empty() && names.iter().all(|name| settings::is_url(name)) {
        return Ok((None, names.clone()));
    }
    let config = Config::load()?;
    if !names.is_empty() {
        return Ok((Some(config), names.clone()));
    }
    let all: Vec<String> = config.accounts.keys().cloned().collect();
    if all.is_empty() {
        let what = "the configuration has no account";
        return Err(Problem::configuration(what, "docs/config.md tells how accounts are configured."));
    }
    Ok((Some(config), all))
}

/// A mailbox that is about to be fetched.
pub(super) struct Job {
    pub(super) account: Account,
    pub(super) destinations: Destinations,
    keep: Keep,
    rules: Vec<Rule>,
    limit: Option<usize>,
    max_octets: Option<u64>,
    batch: Option<usize>,
    received: bool,
    delivered_to: Option<String>,
    /// Ends the retrieval when it becomes true.
    stop: Arc<AtomicBool>,
    alarm: Option<Alarm>,
    /// Whether it is one of many looks, of which most find nothing.
    watched: bool,
}

impl Job {
    pub(super) fn new(
        name: &str,
        config: Option<&Config>,
        args: &FetchArgs,
        output: &mut Output,
    ) -> Result<Self, Problem> {
        let mut secrets: Vec<OsString> = vec![password::VARIABLE.into()];
        secrets.extend(args.connect.password_env.clone());
        secrets.extend(config.iter().flat_map(|config| config.secret_variables()));
        let named = args.to.places();
        let said = match args.delete_after {
            Some(days) => Some(Keep::nothing().days(days)),
            None if args.delete => Some(Keep::nothing()),
            None => args.keep.then(Keep::forever),
        };
        let (limit, batch) = (args.limit.map(usize::from), args.batch.map(usize::from));
        let Some(config) = config.filter(|_| !settings::is_url(name)) else {
            if named.is_empty() {
                let what = "it is not said where the mail goes";
                return Err(Problem::usage(
                    what,
                    "Name a Maildir: --maildir DIR. Others: --mbox, --pipe, --lmtp, --smtp",
                ));
            }
            return Ok(Self {
                account: Account::resolve(name, &args.connect, output)?,
                destinations: Destinations::open(&named, &secrets, output)?,
                keep: said.unwrap_or_default(),
                rules: Vec::new(),
                limit,
                max_octets: None,
                batch,
                received: false,
                delivered_to: None,
                stop: Arc::default(),
                alarm: None,
                watched: false,
            });
        };
        let wishes = config.wishes(name)?;
        let account = Account::configured(config, name, &args.connect, output)?;
        // What is said on the command line goes before the configuration.
        let places = if named.is_empty() { &wishes.deliver } else { &named };
        let destinations = Destinations::open(places, &secrets, output);
        Ok(Self {
            destinations: destinations.map_err(|problem| problem.of(account.configured.as_ref()))?,
            account,
            keep: said.unwrap_or(wishes.keep),
            rules: wishes.rules,
            limit: limit.or(wishes.limit),
            max_octets: wishes.max_octets,
            batch: batch.or(wishes.batch),
            received: wishes.received,
            delivered_to: wishes.delivered_to,
            stop: Arc::default(),
            alarm: config.alarm(name),
            watched: false,
        })
    }

    /// As one of many looks, which end when `stop` becomes true.
    pub(super) fn watched(self, stop: Arc<AtomicBool>) -> Self {
        Self { stop, watched: true, ..self }
    }

    /// How it ended, and how long the server wants to be left alone.
    pub(super) fn run(
        self,
        ledger: &SqliteLedger,
        login: &Login,
        args: &FetchArgs,
        mut output: Output,
    ) -> (Exit, Option<Duration>) {
        let retrieval = Retrieval {
            account: &self.account,
            ledger,
            place: self.destinations.place(),
            keeps: self.keep.is_forever(),
            dry_run: args.dry_run,
            alarm: self.alarm,
            watched: self.watched,
        };
        let lines = header_lines(&self.account, self.received, self.delivered_to.as_deref());
        let fetch = Fetch::new(self.account.key(), ledger)
            .to_all(self.destinations.all)
            .keep(self.keep)
            .rules(self.rules)
            .limit(self.limit)
            .limit_octets(self.max_octets)
            .batch(self.batch)
            .add_header_lines(lines)
            .dry_run(args.dry_run)
            .stop_when(self.stop)
            .accept_new_ids(args.accept_new_ids);
        retrieval.run(fetch, login, &mut output)
    }
}

/// The lines that are added in front of each message, if some are wanted (RFC 5321 section 4.4).
fn header_lines(account: &Account, received: bool, delivered_to: Option<&str>) -> Vec<u8> {
    let mut lines = String::new();
    if let Some(address) = delivered_to {
        lines.push_str(&format!("Delivered-To: {}\r\n", address.replace(char::is_control, "")));
    }
    if received {
        let now = jiff::Zoned::now().strftime("%a, %d %b %Y %H:%M:%S %z").to_string();
        lines.push_str(&format!("Received: from {} by popwire with POP3; {now}\r\n", account.host()));
    }
    lines.into_bytes()
}
