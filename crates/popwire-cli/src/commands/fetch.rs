//! `popwire fetch`: what is new in a mailbox, into a Maildir.

use popwire_retriever::maildir::{Maildir, MaildirDestination};
use popwire_retriever::{Fetch, Keep};

use crate::args::FetchArgs;
use crate::explain::{self, Exit, Problem};
use crate::output::Output;
use crate::retrieval::Retrieval;
use crate::settings::Account;
use crate::state;

pub(super) fn run(args: &FetchArgs, output: &mut Output) -> Result<Exit, Problem> {
    let account = Account::resolve(&args.connect, output)?;
    // Before the server is bothered, and before a password is typed in vain.
    let maildir = Maildir::create(&args.maildir).map_err(|error| explain::destination(&error))?;
    // What a run that was killed left in tmp/ harms nobody; neither does it if it cannot be removed.
    let _ = maildir.clean_tmp();
    let ledger = state::open(&args.state, output)?;
    let login = account.login(output)?;

    let keep = match args.delete_after {
        Some(days) => Keep::nothing().days(days),
        None if args.delete => Keep::nothing(),
        None => Keep::forever(),
    };
    let place = maildir.path().display().to_string();
    let fetch = Fetch::new(account.key(), &ledger)
        .to(Box::new(MaildirDestination::new(maildir, args.flush.into())))
        .keep(keep)
        .limit(args.limit.map(usize::from))
        .batch(args.batch.map(usize::from))
        .dry_run(args.dry_run)
        .accept_new_ids(args.accept_new_ids);
    let retrieval = Retrieval { account: &account, place, keeps: !args.delete, dry_run: args.dry_run };
    Ok(retrieval.run(fetch, &login, output))
}
