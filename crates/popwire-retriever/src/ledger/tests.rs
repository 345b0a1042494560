use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::identity::Identity;

fn account() -> AccountKey {
    AccountKey::new("alice", "pop.example.org", 995)
}

fn key(number: usize) -> MessageKey {
    MessageKey::unique_id(format!("uid-{number:05}"))
}

fn received(number: u8) -> Received {
    Received { listed: None, octets: number.into(), content: [number; 32], header: [number; 32], whole: true }
}

fn open(folder: &Path) -> SqliteLedger {
    SqliteLedger::open(folder.join("state/ledger.sqlite3")).unwrap()
}

fn state(ledger: &SqliteLedger, key: &MessageKey) -> Option<State> {
    ledger.entry(&account(), key).unwrap().map(|entry| entry.state)
}

fn delivered(number: usize) -> Change {
    Change::Delivered { key: key(number), received: Some(received(1)) }
}

#[test]
fn a_message_lives_through_its_states_and_survives_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let account = account();
    let one = key(1);
    let step = |changes: &[Change]| {
        // A new process each time.
        let ledger = open(home.path());
        ledger.record(&account, changes).unwrap();
        (state(&ledger, &one), ledger.deliveries(&account, &one).unwrap())
    };
    let a = || "maildir:/a".to_owned();
    let listed = step(&[Change::Listed { key: one.clone(), octets: Some(12) }]);
    assert_eq!(listed, (Some(State::Seen), Vec::new()));
    let intended = Change::Intended { key: one.clone(), received: received(7) };
    assert_eq!(step(std::slice::from_ref(&intended)), (Some(State::Intended), Vec::new()));
    let has = Change::Has { key: one.clone(), destination: a() };
    assert_eq!(step(&[has]), (Some(State::Intended), vec![a()]));
    let undelivered = Change::Undelivered { key: one.clone() };
    assert_eq!(step(&[undelivered]), (Some(State::Seen), vec![a()]));
    // Intended again: what the first destination has, it has.
    assert_eq!(step(&[intended]), (Some(State::Intended), vec![a()]));
    let unfinished = open(home.path()).unfinished(&account).unwrap();
    assert_eq!((unfinished.len(), &unfinished[0].1, &unfinished[0].0.key), (1, &vec![a()], &one));
    let done = Change::Delivered { key: one.clone(), received: None };
    assert_eq!(step(&[done]), (Some(State::Delivered), Vec::new()));
    assert_eq!(step(&[Change::DeletePending { key: one.clone() }]).0, Some(State::DeletePending));
    assert_eq!(step(&[Change::Gone { key: one.clone() }]).0, Some(State::Gone));

    let entry = open(home.path()).entry(&account, &one).unwrap().unwrap();
    assert_eq!((entry.listed, entry.octets, entry.present), (Some(12), Some(7), false));
    assert_eq!((entry.content, entry.header), (Some([7; 32]), Some([7; 32])));
    assert_eq!(step(&[Change::Forgotten { key: one.clone() }]), (None, Vec::new()));
    assert!(open(home.path()).accounts().unwrap() == [account]);
}

#[test]
fn failures_are_counted_until_it_is_delivered() {
    let home = tempfile::tempdir().unwrap();
    let ledger = open(home.path());
    let failed = |reason: &str| Change::Failed { key: key(1), reason: reason.to_owned() };
    ledger.record(&account(), &[failed("-ERR a"), failed("-ERR b")]).unwrap();
    let entry = ledger.entry(&account(), &key(1)).unwrap().unwrap();
    assert_eq!((entry.failures, entry.reason.as_deref(), entry.state), (2, Some("-ERR b"), State::Seen));
    ledger.record(&account(), &[Change::Forgiven { key: key(1) }]).unwrap();
    assert_eq!(ledger.entry(&account(), &key(1)).unwrap().unwrap().failures, 0);
    ledger.record(&account(), &[failed("x"), delivered(1)]).unwrap();
    let entry = ledger.entry(&account(), &key(1)).unwrap().unwrap();
    assert_eq!((entry.failures, entry.reason), (0, None));
}

#[test]
fn what_is_listed_is_recalled_and_what_is_not_has_vanished() {
    let home = tempfile::tempdir().unwrap();
    let ledger = open(home.path());
    let changes: Vec<_> = (0..10).map(delivered).collect();
    ledger.record(&account(), &changes).unwrap();
    let second = MessageKey::new(key(3).identity, 1);
    let recollection = ledger.recall(&account(), &[key(12), key(3), second, key(4)]).unwrap();
    let states: Vec<_> = recollection.known.iter().map(|known| known.as_ref().map(|one| one.state)).collect();
    assert_eq!(states, [None, Some(State::Delivered), None, Some(State::Delivered)]);
    let vanished: Vec<_> = recollection.vanished.iter().map(|entry| entry.key.clone()).collect();
    assert_eq!(vanished, [0, 1, 2, 5, 6, 7, 8, 9].map(key));
    let changes: Vec<_> = vanished.into_iter().map(|key| Change::Vanished { key }).collect();
    ledger.record(&account(), &changes).unwrap();
    let again = ledger.recall(&account(), &[key(1)]).unwrap();
    assert_eq!(again.vanished.len(), 2);
    // Not listed is not forgotten.
    assert_eq!(again.known[0].as_ref().map(|known| known.state), Some(State::Delivered));
    let other = AccountKey::new("bob", "pop.example.org", 995);
    assert_eq!(ledger.recall(&other, &[key(1)]).unwrap().known, [None]);
}

#[test]
fn q_072_awkward_unique_ids_are_keys_like_others() {
    let home = tempfile::tempdir().unwrap();
    let ledger = open(home.path());
    let ids: [&[u8]; 6] = [b"", b"\0", b"a b", b"\xff\xfe", b"'; DROP TABLE message; --", &[b'x'; 100_000]];
    let keys: Vec<_> = ids
        .iter()
        .map(MessageKey::unique_id)
        .chain([MessageKey::new(Identity::Header([0; 32]), 5)])
        .collect();
    let changes: Vec<_> =
        keys.iter().map(|key| Change::Delivered { key: key.clone(), received: None }).collect();
    ledger.record(&account(), &changes).unwrap();
    assert!(ledger.recall(&account(), &keys).unwrap().known.iter().all(Option::is_some));
    let mut found = Vec::new();
    ledger
        .entries(&account(), &mut |entry| {
            found.push(entry.key);
            true
        })
        .unwrap();
    assert_eq!(found.len(), keys.len());
    assert!(found.iter().all(|key| keys.contains(key)));
}

#[test]
fn a_renamed_entry_keeps_what_is_known() {
    let home = tempfile::tempdir().unwrap();
    let ledger = open(home.path());
    ledger.record(&account(), &[delivered(1), Change::Listed { key: key(2), octets: None }]).unwrap();
    ledger.record(&account(), &[Change::Renamed { key: key(1), to: key(2) }]).unwrap();
    assert_eq!((state(&ledger, &key(1)), state(&ledger, &key(2))), (None, Some(State::Delivered)));
}

#[test]
fn a_record_is_whole_or_not_there() {
    let home = tempfile::tempdir().unwrap();
    let ledger = open(home.path());
    ledger.record(&account(), &[delivered(1)]).unwrap();
    // SQLite takes no text with a NUL in the middle amiss, so the failure is made by a trigger.
    let other = rusqlite::Connection::open(ledger.path()).unwrap();
    other
        .execute_batch(
            "CREATE TRIGGER no BEFORE INSERT ON message WHEN NEW.occurrence = 9 BEGIN SELECT RAISE(FAIL, 'no'); END",
        )
        .unwrap();
    let refused = Change::Delivered { key: MessageKey::new(key(3).identity, 9), received: None };
    assert!(ledger.record(&account(), &[delivered(2), refused]).is_err());
    assert_eq!((state(&ledger, &key(1)), state(&ledger, &key(2))), (Some(State::Delivered), None));
}

#[test]
fn several_processes_write_at_once() {
    let home = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let home = home.path();
            scope.spawn(move || {
                let ledger = open(home);
                for number in 0..50 {
                    ledger.record(&account(), &[delivered(writer * 50 + number)]).unwrap();
                }
            });
        }
    });
    let ledger = open(home.path());
    assert!((0..200).all(|number| state(&ledger, &key(number)) == Some(State::Delivered)));
}

#[test]
fn only_its_owner_may_read_it() {
    let home = tempfile::tempdir().unwrap();
    let ledger = open(home.path());
    ledger.record(&account(), &[delivered(1)]).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&home.path().join("state")), 0o700);
    for file in fs::read_dir(home.path().join("state")).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn files_of_others_are_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("other.sqlite3");
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE message (x); INSERT INTO message VALUES (1)").unwrap();
    drop(other);
    let before = fs::read(&path).unwrap();
    let error = SqliteLedger::open(&path).unwrap_err();
    assert!(error.to_string().ends_with("is no ledger of popwire's"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_ledger_of_a_newer_popwire_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let path = open(home.path()).path().to_owned();
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = SqliteLedger::open(&path).unwrap_err();
    assert!(error.is_newer() && error.to_string().contains("its format is 99"), "{error}");
}

/// A ledger with so many entries, closed.
fn full(home: &Path, messages: usize) -> std::path::PathBuf {
    let ledger = open(home);
    let changes: Vec<_> = (0..messages).map(delivered).collect();
    ledger.record(&account(), &changes).unwrap();
    ledger.record(&account(), &[Change::Complete]).unwrap();
    assert!(!ledger.may_have_forgotten(&account()).unwrap());
    ledger.path().to_owned()
}

#[test]
fn a_ledger_cut_in_half_is_salvaged_and_says_so() {
    let home = tempfile::tempdir().unwrap();
    let path = full(home.path(), 20_000);
    let octets = fs::read(&path).unwrap();
    fs::write(&path, &octets[..octets.len() / 2]).unwrap();

    let ledger = open(home.path());
    let salvage = ledger.salvage().unwrap().clone();
    assert_eq!(fs::read(&salvage.damaged).unwrap(), octets[..octets.len() / 2]);
    let found = (0..20_000).filter(|&number| state(&ledger, &key(number)).is_some()).count();
    assert_eq!(found as u64, salvage.saved);
    assert!((8_000..16_000).contains(&found), "{found}");
    assert!(ledger.may_have_forgotten(&account()).unwrap());
    drop(ledger);
    assert_eq!(open(home.path()).salvage(), None);
}

#[test]
fn damage_anywhere_costs_what_it_hits() {
    let home = tempfile::tempdir().unwrap();
    let path = full(home.path(), 20_000);
    let octets = fs::read(&path).unwrap();
    let pages = octets.len() / 4096;
    for hit in (1..pages).step_by(pages / 12) {
        let mut damaged = octets.clone();
        damaged[hit * 4096..(hit + 1) * 4096].fill(0xA5);
        fs::write(&path, &damaged).unwrap();
        let ledger = open(home.path());
        let saved = ledger.salvage().expect("a page of nonsense is seen").saved;
        // What lay in the page, or in those that only this page leads to. The first few lead to all.
        if hit > 8 {
            assert!(saved > 18_500, "page {hit} of {pages}: {saved}");
        }
        drop(ledger);
        for file in fs::read_dir(home.path().join("state")).unwrap() {
            fs::remove_file(file.unwrap().path()).unwrap();
        }
    }
}

#[test]
fn nonsense_instead_of_a_ledger_is_put_aside() {
    let home = tempfile::tempdir().unwrap();
    let path = full(home.path(), 10);
    fs::write(&path, "This is no database at all, it is a letter to my aunt.\n".repeat(500)).unwrap();
    let ledger = open(home.path());
    assert_eq!(ledger.salvage().unwrap().saved, 0);
    assert!(ledger.salvage().unwrap().damaged.exists());
    ledger.record(&account(), &[delivered(1)]).unwrap();
    assert_eq!(state(&ledger, &key(1)), Some(State::Delivered));
}

#[test]
fn a_ledger_of_the_first_version_is_brought_up_to_date() {
    let home = tempfile::tempdir().unwrap();
    let path = full(home.path(), 10);
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch("DROP TABLE run; PRAGMA user_version = 1").unwrap();
    drop(old);
    let ledger = open(home.path());
    assert_eq!(state(&ledger, &key(9)), Some(State::Delivered));
    assert_eq!(ledger.last_run(&account()).unwrap(), None);
}

#[test]
fn a_message_may_be_known_for_longer_than_the_ledger_is() {
    let home = tempfile::tempdir().unwrap();
    let ledger = open(home.path());
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let since = |seconds| Change::Since { key: key(1), seen: at(seconds) };
    let seen = || ledger.entry(&account(), &key(1)).unwrap().map(|entry| entry.seen);
    ledger.record(&account(), &[since(1000)]).unwrap();
    assert_eq!(seen(), None);
    ledger.record(&account(), &[Change::Delivered { key: key(1), received: None }, since(1000)]).unwrap();
    assert_eq!(seen(), Some(at(1000)));
    ledger.record(&account(), &[since(u64::MAX / 4)]).unwrap();
    assert_eq!(seen(), Some(at(1000)));
}

#[test]
fn the_last_run_is_remembered_and_the_last_good_one() {
    let home = tempfile::tempdir().unwrap();
    let ledger = open(home.path());
    let good = RunNote { delivered: 7, ..RunNote::default() };
    let bad = RunNote { exit: 75, failed: 1, reason: Some("-ERR".to_owned()), ..RunNote::default() };
    ledger.note_run(&account(), &good).unwrap();
    let first = ledger.last_run(&account()).unwrap().unwrap();
    assert_eq!((first.good, first.bad, &first.run), (Some(first.at), 0, &good));
    for nth in 1..4 {
        ledger.note_run(&account(), &bad).unwrap();
        let then = ledger.last_run(&account()).unwrap().unwrap();
        assert_eq!((then.good, then.bad, &then.run), (first.good, nth, &bad));
    }
    ledger.note_run(&account(), &good).unwrap();
    assert_eq!(ledger.last_run(&account()).unwrap().unwrap().bad, 0);
}
