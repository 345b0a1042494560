//! `popwire state`: what the ledger knows, and how a person corrects it.

use std::collections::BTreeMap;
use std::time::SystemTime;

use jiff::Timestamp;
use popwire_retriever::{
    AccountKey, Change, Entry, Identity, Ledger, LedgerError, MessageKey, QUARANTINE, SqliteLedger, State,
};
use serde::Serialize;

use crate::args::{LedgerArgs, LedgerCommand};
use crate::explain::{self, Exit, Problem};
use crate::output::Output;
use crate::state;
use crate::text;

/// So many changes are noted at once: others may want to write too.
const AT_ONCE: usize = 1000;

pub(super) fn run(args: &LedgerArgs, output: &mut Output) -> Result<Exit, Problem> {
    let ledger = state::open(&args.state, output)?;
    match &args.command {
        LedgerCommand::Show { account: None } => show_accounts(&ledger, output)?,
        LedgerCommand::Show { account: Some(account) } => {
            let account = known(&ledger, account)?;
            each(&ledger, &account, &mut |entry| {
                output.line(&line(entry));
                output.takes_more()
            })?;
        }
        LedgerCommand::Export { account } => {
            let accounts = match account {
                Some(account) => vec![known(&ledger, account)?],
                None => ledger.accounts().map_err(failed)?,
            };
            for account in accounts {
                each(&ledger, &account, &mut |entry| {
                    // Our own structures always serialise.
                    let json = serde_json::to_string(&Exported::new(&account, entry)).unwrap_or_default();
                    output.line(&text::json_for_terminals(&json));
                    output.takes_more()
                })?;
            }
        }
        LedgerCommand::Mark { account, uids } => {
            let account = AccountKey::from_name(account);
            let marked = uids.iter().map(|uid| Change::Delivered { key: key(uid), received: None });
            let count = record(&ledger, &account, marked.collect())?;
            output.report(&format!("{account}: {} will not be fetched", text::messages(count)));
        }
        LedgerCommand::Forget { account, uids, all } => {
            let account = known(&ledger, account)?;
            let keys = matching(&ledger, &account, uids, &|_| *all)?;
            let count =
                record(&ledger, &account, keys.into_iter().map(|key| Change::Forgotten { key }).collect())?;
            output.report(&format!(
                "{account}: {} forgotten; what the server still has is fetched as new",
                text::messages(count)
            ));
        }
        LedgerCommand::Retry { account, uids } => {
            let account = known(&ledger, account)?;
            let keys = matching(&ledger, &account, uids, &|entry| uids.is_empty() && entry.failures > 0)?;
            let count =
                record(&ledger, &account, keys.into_iter().map(|key| Change::Forgiven { key }).collect())?;
            output.report(&format!("{account}: {} will be tried again", text::messages(count)));
        }
        LedgerCommand::Rebuild { account } => {
            let account = known(&ledger, account)?;
            record(&ledger, &account, vec![Change::Incomplete])?;
            output.report(&format!(
                "{account}: the next run compares with its destinations what it does not know"
            ));
        }
    }
    Ok(Exit::Ok)
}

fn failed(error: LedgerError) -> Problem {
    explain::ledger(&error)
}

/// An account of the ledger.
fn known(ledger: &SqliteLedger, name: &str) -> Result<AccountKey, Problem> {
    let accounts = ledger.accounts().map_err(failed)?;
    accounts.iter().find(|account| account.as_str() == name).cloned().ok_or_else(|| {
        let names: Vec<&str> = accounts.iter().map(AccountKey::as_str).collect();
        let next = match names[..] {
            [] => "It knows no account yet: nothing was fetched.".to_owned(),
            _ => format!("It knows: {}", names.join(", ")),
        };
        Problem::usage(format!("the ledger knows no account {name}"), next)
    })
}

/// The unique-id as `show` prints it, or as the server does.
fn key(uid: &str) -> MessageKey {
    MessageKey::unique_id(uid)
}

/// The messages with these unique-ids, however often the server gave them out, and those that `also` picks.
fn matching(
    ledger: &SqliteLedger,
    account: &AccountKey,
    uids: &[String],
    also: &dyn Fn(&Entry) -> bool,
) -> Result<Vec<MessageKey>, Problem> {
    let mut found = Vec::new();
    let mut unknown: Vec<&String> = uids.iter().collect();
    each(ledger, account, &mut |entry| {
        let name = entry.key.identity.to_string();
        let named = |uid: &str| name == uid || key(uid).identity == entry.key.identity;
        if also(entry) || uids.iter().any(|uid| named(uid)) {
            unknown.retain(|uid| !named(uid));
            found.push(entry.key.clone());
        }
        true
    })?;
    match unknown.first() {
        None => Ok(found),
        Some(uid) => {
            let next = format!("Nothing was changed. To see what it knows: popwire state show {account}");
            Err(Problem::usage(format!("{account} has no message {uid}"), next))
        }
    }
}

fn each(
    ledger: &SqliteLedger,
    account: &AccountKey,
    each: &mut dyn FnMut(&Entry) -> bool,
) -> Result<(), Problem> {
    ledger.entries(account, &mut |entry| each(&entry)).map_err(failed)
}

fn record(ledger: &SqliteLedger, account: &AccountKey, changes: Vec<Change>) -> Result<u64, Problem> {
    // Not beneath a run that is under way.
    let _lock = ledger.lock(account).map_err(failed)?;
    for some in changes.chunks(AT_ONCE) {
        ledger.record(account, some).map_err(failed)?;
    }
    Ok(changes.len() as u64)
}

fn show_accounts(ledger: &SqliteLedger, output: &mut Output) -> Result<(), Problem> {
    for account in ledger.accounts().map_err(failed)? {
        let mut counts: BTreeMap<State, u64> = BTreeMap::new();
        let mut quarantined = 0;
        each(ledger, &account, &mut |entry| {
            *counts.entry(entry.state).or_default() += 1;
            quarantined += u64::from(is_quarantined(entry));
            true
        })?;
        let counts: Vec<String> = counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
        let mut line = format!(
            "{account}: {}",
            if counts.is_empty() { "nothing".to_owned() } else { counts.join(", ") }
        );
        if quarantined > 0 {
            line.push_str(&format!("; {quarantined} not tried any more"));
        }
        output.line(&line);
    }
    Ok(())
}

fn is_quarantined(entry: &Entry) -> bool {
    !entry.state.is_delivered() && entry.failures >= QUARANTINE
}

fn line(entry: &Entry) -> String {
    let size = entry.octets.or(entry.listed).map(|octets| octets.to_string()).unwrap_or_default();
    let reason = entry.reason.as_deref().map(text::field).unwrap_or_default();
    let (state, seen, failures, key) = (entry.state, time(entry.seen), entry.failures, &entry.key);
    format!("{state}\t{size}\t{seen}\t{failures}\t{key}\t{reason}")
}

fn time(time: SystemTime) -> String {
    Timestamp::try_from(time).map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()).unwrap_or_default()
}

#[derive(Serialize)]
struct Exported<'a> {
    account: &'a str,
    uid: Option<String>,
    /// Of what is known by its header.
    header: Option<String>,
    occurrence: u32,
    state: &'static str,
    present: bool,
    listed: Option<u64>,
    size: Option<u64>,
    sha256: Option<String>,
    seen: String,
    changed: String,
    failures: u32,
    reason: Option<&'a str>,
}

impl<'a> Exported<'a> {
    fn new(account: &'a AccountKey, entry: &'a Entry) -> Self {
        let hex = |octets: &[u8]| octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>();
        let uid = match &entry.key.identity {
            Identity::UniqueId(id) => Some(popwire::Text::from(id.as_slice()).to_string()),
            _ => None,
        };
        Self {
            account: account.as_str(),
            uid,
            header: entry.header.map(|hash| hex(&hash)),
            occurrence: entry.key.occurrence,
            state: entry.state.name(),
            present: entry.present,
            listed: entry.listed,
            size: entry.octets,
            sha256: entry.content.map(|hash| hex(&hash)),
            seen: time(entry.seen),
            changed: time(entry.changed),
            failures: entry.failures,
            reason: entry.reason.as_deref(),
        }
    }
}
