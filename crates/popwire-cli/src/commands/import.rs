//! `popwire import`: configuration and memory of another program.

use std::env;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use crate::args::ImportArgs;
use crate::explain::{self, Exit, Problem};
use crate::import::{self, Fate, ImportError, ImportedAccount, Kind, Places, Plan, Request, WriteError};
use crate::output::{Output, Verbosity};
use crate::{state, text};

pub(super) fn run(args: &ImportArgs, output: &mut Output) -> Result<Exit, Problem> {
    let places = places()?;
    let config = args.config.clone().unwrap_or_else(|| configuration(&places));
    let request = Request { path: args.path.as_deref(), ids: args.ids.as_deref(), places: &places };
    let imported = import::read(args.kind, request).map_err(|error| unreadable(args.kind, &error))?;
    for source in &imported.sources {
        output.note(Verbosity::Messages, &format!("read {}", source.display()));
    }
    for warning in &imported.warnings {
        output.warn(&text::field(warning));
    }
    if imported.accounts.is_empty() {
        let what = format!("{} has no POP3 account here", args.kind.tool());
        return Err(Problem::configuration(what, "Nothing was changed."));
    }
    let plan = Plan::new(&config, &imported.accounts).map_err(|error| unwritable(&error))?;

    // The ledger comes first: with the configuration alone, the next fetch would fetch everything again.
    let mut remembered = Vec::new();
    if !args.dry_run {
        let ledger = state::open(&args.state, output)?;
        for account in &imported.accounts {
            let new = import::remember(&ledger, &account.key(), &account.known);
            remembered.push(new.map_err(|error| explain::ledger(&error))?);
        }
        plan.write().map_err(|error| unwritable(&error))?;
    }

    let fates = plan.fates.iter().zip(&plan.secret_files);
    for (at, (account, ((name, fate), secret))) in imported.accounts.iter().zip(fates).enumerate() {
        let new = remembered.get(at).copied();
        output.report(&line(account, name, *fate, new, secret.as_deref()));
        output.event(&Event {
            event: "imported",
            account: name,
            key: account.key().as_str(),
            fate: match fate {
                Fate::Added => "added",
                Fate::Commented => "commented",
                Fate::There => "there",
            },
            known: account.known.len(),
            remembered: new,
        });
    }
    let place = config.display();
    if args.dry_run {
        output.report(&format!("\n{place} would be:\n\n{}", plan.text().trim_end()));
    } else if plan.changes() {
        output.report(&format!("Wrote {place}. Nothing was fetched, and {} is as it was.", args.kind.tool()));
    } else {
        output.report(&format!("{place} stays as it is."));
    }
    Ok(Exit::Ok)
}

/// What became of one account.
fn line(
    account: &ImportedAccount,
    name: &str,
    fate: Fate,
    new: Option<usize>,
    secret: Option<&Path>,
) -> String {
    let mut line = format!("{name}: {} at {}", account.user, account.server());
    line.push_str(match fate {
        Fate::Added => "",
        Fate::Commented => ", as a comment",
        Fate::There => ", which is there already",
    });
    let known = account.known.len();
    line.push_str(&match (known, new) {
        (0, _) => "; nothing known to be fetched".to_owned(),
        (_, Some(new)) if new < known => format!("; {known} known to be fetched, {new} of them new here"),
        _ => format!("; {known} known to be fetched"),
    });
    let since = account.known.iter().filter_map(|known| known.at).min();
    if let Some(since) = since.and_then(|at| Timestamp::from_second(at).ok()) {
        line.push_str(&format!(", since {}", since.strftime("%Y-%m-%d")));
    }
    if let Some(secret) = secret {
        line.push_str(&format!("; password in {}", secret.display()));
    }
    text::field(&line)
}

#[derive(Serialize)]
struct Event<'a> {
    event: &'static str,
    account: &'a str,
    /// By what the ledger knows it.
    key: &'a str,
    fate: &'static str,
    known: usize,
    /// How many of them the ledger did not know; not with `--dry-run`.
    remembered: Option<usize>,
}

fn places() -> Result<Places, Problem> {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = variable("HOME").ok_or_else(|| {
        Problem::configuration(
            "HOME is not set, and so nobody knows where your files are",
            "Set it, and try again.",
        )
    })?;
    let config =
        variable("XDG_CONFIG_HOME").filter(|path| path.is_absolute()).unwrap_or(home.join(".config"));
    let login =
        ["LOGNAME", "USER"].into_iter().find_map(|name| env::var(name).ok().filter(|name| !name.is_empty()));
    Ok(Places { home, config, login })
}

fn configuration(places: &Places) -> PathBuf {
    let named = env::var_os("POPWIRE_CONFIG").filter(|value| !value.is_empty()).map(PathBuf::from);
    named.unwrap_or_else(|| places.config.join("popwire").join("config.toml"))
}

const UNCHANGED: &str = "Nothing was changed.";

fn unreadable(kind: Kind, error: &ImportError) -> Problem {
    let what = text::field(&error.to_string());
    match error {
        ImportError::NotFound { .. } => Problem::configuration(
            what,
            format!("{UNCHANGED} If {}'s files are elsewhere, name them.", kind.tool()),
        ),
        ImportError::Read { .. } => {
            Problem::new(Exit::Io, what, format!("{UNCHANGED} Check the path and the permissions."))
        }
        ImportError::Syntax { .. } => {
            Problem::new(Exit::Data, what, format!("{UNCHANGED} Mend that line, or take it out."))
        }
    }
}

fn unwritable(error: &WriteError) -> Problem {
    let what = text::field(&error.to_string());
    match error {
        WriteError::Toml { .. } => {
            Problem::configuration(what, format!("{UNCHANGED} Mend it, and try again."))
        }
        WriteError::Read { .. } | WriteError::Write { .. } => Problem::new(
            Exit::Io,
            what,
            "The configuration is as it was. Check the path and the permissions.",
        ),
    }
}
