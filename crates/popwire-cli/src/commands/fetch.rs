//! `popwire fetch`: what is new in a mailbox, into its destinations.

use std::ffi::OsStr;

use popwire_retriever::{Fetch, Keep};

use crate::args::FetchArgs;
use crate::destinations::Destinations;
use crate::explain::{Exit, Problem};
use crate::output::Output;
use crate::password;
use crate::retrieval::Retrieval;
use crate::settings::Account;
use crate::state;

pub(super) fn run(args: &FetchArgs, output: &mut Output) -> Result<Exit, Problem> {
    let account = Account::resolve(&args.connect, output)?;
    // Before the server is bothered, and before a password is typed in vain.
    let secrets: Vec<&OsStr> = [Some(OsStr::new(password::VARIABLE)), args.connect.password_env.as_deref()]
        .into_iter()
        .flatten()
        .collect();
    let destinations = Destinations::open(&args.to, &secrets)?;
    let ledger = state::open(&args.state, output)?;
    let login = account.login(output)?;

    let keep = match args.delete_after {
        Some(days) => Keep::nothing().days(days),
        None if args.delete => Keep::nothing(),
        None => Keep::forever(),
    };
    let place = destinations.place();
    let fetch = Fetch::new(account.key(), &ledger)
        .to_all(destinations.all)
        .keep(keep)
        .limit(args.limit.map(usize::from))
        .batch(args.batch.map(usize::from))
        .dry_run(args.dry_run)
        .accept_new_ids(args.accept_new_ids);
    let retrieval = Retrieval { account: &account, place, keeps: !args.delete, dry_run: args.dry_run };
    Ok(retrieval.run(fetch, &login, output))
}
