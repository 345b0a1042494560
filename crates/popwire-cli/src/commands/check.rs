//! `popwire check`: the whole configuration, tried without fetching anything.

use popwire_retriever::Listing;

use super::fetch::Job;
use crate::args::{CheckArgs, FetchArgs};
use crate::config::Config;
use crate::explain::{self, Exit, Problem, Stage};
use crate::output::Output;
use crate::session;
use crate::state;
use crate::text;

pub(super) fn run(args: &CheckArgs, output: &mut Output) -> Result<Exit, Problem> {
    let config = Config::load()?;
    let names: Vec<String> = match args.accounts.as_slice() {
        [] => config.accounts.keys().cloned().collect(),
        names => names.to_vec(),
    };
    let ledger = state::open(&args.state, output)?;
    output.report(&format!("the ledger: {}", ledger.path().display()));
    let mut worst = Exit::Ok;
    for name in &names {
        if let Err(problem) = check(name, &config, output) {
            let problem = problem.of(Some(name));
            output.error(&problem);
            worst = worst.worse(problem.exit);
        }
    }
    if names.is_empty() {
        output.report("the configuration has no account");
    }
    Ok(worst)
}

/// All of one account; destinations first, since a server counts sign-ins.
fn check(name: &str, config: &Config, output: &mut Output) -> Result<(), Problem> {
    let mut job = Job::new(name, Some(config), &FetchArgs::default(), output)?;
    for (destination, place) in job.destinations.each() {
        destination.check().map_err(|error| explain::destination(&error))?;
        output.report(&format!("{name}: delivers to {place}: ok"));
    }
    let login = job.account.login(output)?;
    let mut client = session::open(&job.account, login, output)?;
    let working = |error: popwire::Error| explain::session(&error, job.account.host(), Stage::Working);
    let listing = Listing::ask(&mut client).map_err(working)?;
    let protection = match client.tls() {
        Some(tls) if tls.verified => format!("{}, verified", tls.version),
        Some(tls) => format!("{}, not verified", tls.version),
        None => "no TLS".to_owned(),
    };
    let method = client.logged_in_by().map(|method| format!(", signed in by {method}")).unwrap_or_default();
    let can = |what: bool| if what { "yes" } else { "no" };
    let capabilities = client.capabilities();
    let uidl = listing.messages.iter().any(|listed| listed.uid.is_some()) || capabilities.has("UIDL");
    let (top, pipelining) = (can(capabilities.has("TOP")), can(capabilities.has("PIPELINING")));
    let size = listing.octets().map(|octets| format!(", {}", text::size(octets))).unwrap_or_default();
    output.report(&format!(
        "{name}: {} ({protection}{method}); {}{size}; UIDL {}, TOP {top}, PIPELINING {pipelining}",
        job.account.host(),
        text::messages(listing.messages.len() as u64),
        can(uidl)
    ));
    let _ = client.leave();
    Ok(())
}
