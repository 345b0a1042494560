//! What a second run makes of the first: nothing twice, nothing forgotten, whatever the server does to its unique-ids.

use std::collections::BTreeMap;

use popwire_server::Builder;

use super::*;
use crate::destination::Parcel;
use crate::ledger::{Change, Ledger, State};
use crate::policy::{Rule, Test, Then};

/// So many messages, no two alike.
fn mail(count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("Subject: {number:03}\r\nMessage-ID: <{number}@x>\r\n\r\nText {number}.\r\n"))
        .collect()
}

/// A server with so many messages and these quirks.
fn world_of(count: usize, quirks: &[&str]) -> World {
    world(|server| with(server.user("alice", "s3cret", Maildrop::memory(mail(count))), quirks))
}

fn with(server: Builder, quirks: &[&str]) -> Builder {
    quirks.iter().fold(server, |server, quirk| server.quirk(quirk).unwrap())
}

impl World {
    /// Another server with the same mail, and the ledger and the Maildir as they are.
    fn again(self, describe: impl FnOnce(Builder) -> Builder) -> Self {
        let builder = Server::builder().user("alice", "s3cret", self.maildrop());
        World { server: describe(builder).start().unwrap(), ..self }
    }

    fn run(&self, keep: Keep) -> Summary {
        self.fetch().keep(keep).run(&mut self.connect(), &mut Silent).unwrap()
    }

    /// The messages that are here are these, each once.
    #[track_caller]
    fn has_each_once(&self, expected: &[String]) {
        let mut counts = BTreeMap::new();
        for file in self.new_files() {
            *counts.entry(file).or_insert(0) += 1;
        }
        let wanted: BTreeMap<_, _> = expected.iter().map(|mail| (mail.clone(), 1)).collect();
        assert_eq!(counts, wanted);
    }

    fn retrs(&self) -> usize {
        self.lines().iter().filter(|line| line.starts_with("RETR")).count()
    }
}

#[test]
fn what_was_fetched_is_not_fetched_again() {
    let world = world_of(10, &[]);
    assert_eq!(world.run(Keep::forever()).delivered, 10);
    let summary = world.run(Keep::forever());
    assert_eq!((summary.delivered, summary.known, world.retrs()), (0, 10, 0));
    world.server.maildrop("alice").unwrap().deliver(mail(11)[10].clone()).unwrap();
    let summary = world.run(Keep::forever());
    assert_eq!((summary.delivered, summary.known, world.retrs()), (1, 10, 1));
    // And now all of it is deleted, without being fetched again.
    let summary = world.run(Keep::nothing());
    assert_eq!((summary.deleted, world.retrs(), world.left()), (11, 0, 0));
    world.has_each_once(&mail(11));
}

#[test]
fn q_071_where_all_unique_ids_are_new_the_mail_is_recognised() {
    for count in [10, 60] {
        // By its headers; by its contents where the server shows no headers.
        for quirks in [&["uidl_epoch=next"][..], &["uidl_epoch=next", "top=none"]] {
            let world = world_of(count, &["uidl_epoch=next"]);
            assert_eq!(world.run(Keep::forever()).delivered, count as u64);
            let world = world.again(|server| with(server, &[quirks, &["uidl_epoch=next"]].concat()));
            world.server.maildrop("alice").unwrap().deliver(mail(count + 1)[count].clone()).unwrap();
            let mut again = world.fetch();
            let ended = again.run(&mut world.connect(), &mut Silent);
            if count >= 20 && quirks.len() > 1 {
                let stopped = ended.unwrap_err();
                assert!(
                    matches!(stopped.cause, Cause::Renumbered { known: 60, unknown: 61, .. }),
                    "{stopped}"
                );
                assert_eq!(world.retrs(), 0);
                // Somebody has said that it is all right.
                let accepted =
                    world.fetch().accept_new_ids(true).run(&mut world.connect(), &mut Silent).unwrap();
                assert_eq!((accepted.delivered, accepted.recognised), (1, 60));
            } else {
                assert_eq!(ended.unwrap().delivered, 1, "{count} {quirks:?}");
            }
            world.has_each_once(&mail(count + 1));
        }
    }
}

#[test]
fn equal_reports_are_two_messages_though_the_first_was_deleted_by_somebody_else() {
    let report = "Subject: Backup\r\n\r\nAll is well.\r\n".to_owned();
    let world = world(|server| server.user("alice", "s3cret", Maildrop::memory([report.clone()])));
    assert_eq!(world.run(Keep::forever()).delivered, 1);
    let mut other = world.client();
    other.dele(1).unwrap();
    assert!(other.quit().is_committed());
    world.server.maildrop("alice").unwrap().deliver(report.clone()).unwrap();
    assert_eq!(world.run(Keep::forever()).delivered, 1);
    assert_eq!(world.new_files(), [report.clone(), report]);
}

#[test]
fn equal_reports_are_two_messages_on_a_server_without_unique_ids_too() {
    let report = "Subject: Backup\r\n\r\nAll is well.\r\n".to_owned();
    for quirks in [&["uidl=none"][..], &["uidl=none", "top=none"]] {
        let mail = || Maildrop::memory([report.clone()]);
        let world = world(|server| with(server.user("alice", "s3cret", mail()), quirks));
        for day in 1..=3 {
            assert_eq!((world.run(Keep::nothing()).delivered, world.left()), (1, 0), "{quirks:?}, day {day}");
            world.server.maildrop("alice").unwrap().deliver(report.clone()).unwrap();
        }
        assert_eq!(world.new_files(), [(); 3].map(|()| report.clone()));
    }
}

#[test]
fn q_069_equal_unique_ids_are_several_messages() {
    let world = world_of(5, &["uidl_dup=1,3"]);
    assert_eq!(world.run(Keep::forever()).delivered, 5);
    assert_eq!(world.run(Keep::forever()).delivered, 0);
    assert_eq!((world.run(Keep::nothing()).deleted, world.left()), (5, 0));
    world.has_each_once(&mail(5));
}

#[test]
fn q_070_unique_ids_of_any_kind_are_remembered() {
    for quirk in ["uidl_weird=long", "uidl_weird=space", "uidl_weird=8bit", "uidl_weird=control"] {
        let world = world_of(5, &[quirk]);
        assert_eq!(
            (world.run(Keep::forever()).delivered, world.run(Keep::forever()).delivered),
            (5, 0),
            "{quirk}"
        );
        world.has_each_once(&mail(5));
    }
}

#[test]
fn q_068_a_message_without_a_unique_id_is_known_by_its_header() {
    let world = world_of(5, &["uidl_blank=3"]);
    assert_eq!((world.run(Keep::forever()).delivered, world.run(Keep::forever()).delivered), (5, 0));
    world.has_each_once(&mail(5));
}

#[test]
fn q_076_without_unique_ids_messages_are_known_by_their_headers() {
    let world = world_of(5, &["uidl=none"]);
    assert_eq!((world.run(Keep::forever()).delivered, world.run(Keep::forever()).delivered), (5, 0));
    world.has_each_once(&mail(5));
    // The server has learnt UIDL.
    let world = world.again(|server| server);
    assert_eq!(world.run(Keep::forever()).delivered, 0);
    world.has_each_once(&mail(5));
}

#[test]
fn q_075_one_refusal_of_uidl_doubles_nothing() {
    let world = world_of(5, &[]);
    world.run(Keep::forever());
    let world = world.again(|server| with(server, &["uidl=err_transient"]));
    assert_eq!((world.run(Keep::forever()).delivered, world.run(Keep::forever()).delivered), (0, 0));
    world.has_each_once(&mail(5));
}

#[test]
fn without_unique_ids_and_headers_nothing_that_stays_is_fetched() {
    let world = world_of(5, &["uidl=none", "top=none"]);
    let stopped = world.fetch().run(&mut world.connect(), &mut Silent).unwrap_err();
    assert!(matches!(stopped.cause, Cause::Unrecognisable), "{stopped}");
    assert_eq!(world.retrs(), 0);
    // What is deleted at once need not be known again, and a lost answer to QUIT doubles nothing even so.
    let world = world.again(|server| with(server, &["uidl=none", "top=none", "quit=close_before"]));
    assert_eq!(world.run(Keep::nothing()).delivered, 5);
    let world = world.again(|server| with(server, &["uidl=none", "top=none"]));
    let summary = world.run(Keep::nothing());
    assert_eq!((summary.delivered, summary.recognised, world.left()), (0, 5, 0));
    world.has_each_once(&mail(5));
}

#[test]
fn q_078_ids_that_are_missing_once_are_not_forgotten() {
    let world = world_of(10, &[]);
    world.run(Keep::forever());
    let world = world.again(|server| with(server, &["uidl_partial_once=1"]));
    for _ in 0..3 {
        assert_eq!(world.run(Keep::forever()).delivered, 0);
    }
    world.has_each_once(&mail(10));
}

#[test]
fn q_072_a_unique_id_that_is_given_again_is_another_message() {
    let world = world_of(3, &["uidl_reuse=1"]);
    assert_eq!((world.run(Keep::nothing()).delivered, world.left()), (3, 0));
    for mail in &mail(6)[3..] {
        world.server.maildrop("alice").unwrap().deliver(mail.clone()).unwrap();
    }
    assert_eq!((world.run(Keep::nothing()).delivered, world.left()), (3, 0));
    world.has_each_once(&mail(6));
}

#[test]
fn q_132_a_lost_quit_is_settled_by_the_next_listing() {
    // The server had deleted, or had not.
    for (quirk, left) in [("quit=close", 0), ("quit=close_before", 5)] {
        let world = world_of(5, &[quirk]);
        let summary = world.run(Keep::nothing());
        assert!(matches!(summary.deletion, Deletion::Unknown { messages: 5, .. }), "{quirk}");
        assert_eq!(world.left(), left);
        let world = world.again(|server| server);
        let summary = world.run(Keep::nothing());
        assert_eq!((summary.delivered, summary.deleted + summary.settled), (0, 5), "{quirk}");
        assert_eq!((world.retrs(), world.left()), (0, 0));
        world.has_each_once(&mail(5));
    }
}

#[test]
fn q_124_where_dele_does_nothing_nothing_comes_again() {
    let world = world_of(5, &["dele=ignored"]);
    world.run(Keep::nothing());
    for _ in 0..2 {
        let summary = world.run(Keep::nothing());
        assert_eq!((summary.delivered, world.retrs()), (0, 0));
    }
    world.has_each_once(&mail(5));
}

#[test]
fn a_message_that_always_fails_is_left_after_three_times_and_told_every_time() {
    let world = world(|server| server.script("RETR 2", "-ERR internal error\r\n"));
    for tries in 1..=3 {
        let summary = world.run(Keep::nothing().days(1));
        assert_eq!((summary.failures.len(), summary.failures[0].tries), (1, tries));
        assert!(!summary.is_complete() && summary.quarantined.is_empty());
    }
    let summary = world.run(Keep::nothing().days(1));
    assert_eq!((summary.failures.len(), summary.quarantined.len(), world.retrs()), (0, 1, 0));
    assert!(!summary.is_complete());
    assert!(summary.quarantined[0].reason.as_ref().unwrap().contains("-ERR internal error"));
    assert_eq!(world.left(), 3);
    // Somebody has asked for another try, and the server is mended.
    let world = world.again(|server| server);
    let key = summary.quarantined[0].key.clone();
    world.ledger.record(&AccountKey::new("alice", "127.0.0.1", 110), &[Change::Forgiven { key }]).unwrap();
    assert!(world.run(Keep::forever()).is_complete());
    world.has_each_once(&MAIL.map(str::to_owned));
}

#[test]
fn a_message_that_always_breaks_the_connection_is_left_too() {
    let cut = || Answer::raw("+OK\r\nSubject: 2\r\n\r\nhal").then_close();
    let world = world(|server| server.script("RETR 2", cut()));
    let mail = Keep::nothing().days(1);
    assert_eq!(world.run(mail).failures.len(), 1);
    // Alone it is not to blame for certain: the line may be bad.
    let summary = world.run(mail);
    assert_eq!((summary.failures.len(), summary.sessions), (1, 2));
    for number in [4, 5] {
        world.server.maildrop("alice").unwrap().deliver(format!("Subject: {number}\r\n\r\nx\r\n")).unwrap();
        let summary = world.run(mail);
        assert_eq!((summary.delivered, summary.failures.len()), (1, 1), "it comes last");
    }
    let summary = world.run(mail);
    assert_eq!((summary.failures.len(), summary.quarantined.len(), summary.sessions), (0, 1, 1));
}

#[test]
fn q_083_q_084_q_085_where_sizes_are_wrong_all_come_and_none_comes_again() {
    for quirk in ["list_size=lf", "list_size=x0.6", "list_size=const1024"] {
        let world = world_of(200, &[quirk]);
        assert_eq!(
            (world.run(Keep::forever()).delivered, world.run(Keep::forever()).delivered),
            (200, 0),
            "{quirk}"
        );
        assert_eq!(world.retrs(), 0);
        world.has_each_once(&mail(200));
    }
}

#[test]
fn messages_stay_for_the_days_that_they_are_to_and_the_newest_stay() {
    let world = world_of(10, &[]);
    assert_eq!((world.run(Keep::nothing().days(1)).deleted, world.left()), (0, 10));
    assert_eq!((world.run(Keep::nothing().newest(4)).deleted, world.left()), (6, 4));
    assert_eq!(world.run(Keep::nothing().newest(4)).delivered, 0);
    assert_eq!((world.run(Keep::forever().but_nothing_over(1_000_000)).deleted, world.left()), (0, 4));
    assert_eq!((world.run(Keep::forever().but_nothing_over(10)).deleted, world.left()), (4, 0));
    world.has_each_once(&mail(10));
}

#[test]
fn rules_hold_back_shorten_and_delete() {
    let world = world_of(10, &[]);
    let subject =
        |number: &str| Test::HeaderContains { name: "subject".to_owned(), value: number.to_owned() };
    let rules = [
        Rule::new(subject("001"), Then::Skip),
        Rule::new(subject("002"), Then::HeaderOnly),
        Rule::new(subject("003"), Then::Delete),
        Rule::new(Test::Larger(1_000_000), Then::Skip),
    ];
    let run = || world.fetch().rules(rules.clone()).run(&mut world.connect(), &mut Silent).unwrap();
    let summary = run();
    assert_eq!((summary.delivered, summary.skipped, summary.deleted, world.left()), (8, 1, 1, 9));
    let mut expected = mail(10);
    expected[2] = expected[2].split("Text").next().unwrap().to_owned();
    expected.drain(3..4);
    expected.remove(1);
    world.has_each_once(&expected);
    assert_eq!((run().delivered, run().skipped), (0, 1));

    // What is there by its header only is never deleted, and comes whole when the rule is gone.
    let run = |rules: &[Rule]| {
        world
            .fetch()
            .rules(rules.to_vec())
            .keep(Keep::nothing())
            .run(&mut world.connect(), &mut Silent)
            .unwrap()
    };
    assert_eq!((run(&rules).deleted, world.left()), (7, 2));
    assert_eq!((run(&rules[..1]).delivered, world.left()), (1, 1));
    expected.push(mail(10)[2].clone());
    world.has_each_once(&expected);
}

#[test]
fn batches_and_limits_come_to_an_end() {
    let world = world_of(10, &[]);
    let summary =
        world.fetch().keep(Keep::nothing()).batch(Some(3)).run(&mut world.connect(), &mut Silent).unwrap();
    assert_eq!((summary.delivered, summary.deleted, summary.sessions, summary.listed), (10, 10, 4, 10));
    world.has_each_once(&mail(10));

    let world = world_of(10, &[]);
    for left in [7, 4, 1, 0, 0] {
        let summary = world.fetch().limit(Some(3)).run(&mut world.connect(), &mut Silent).unwrap();
        assert_eq!(summary.left_over, left);
    }
    world.has_each_once(&mail(10));
    let world = world_of(10, &[]);
    let summary = world.fetch().limit_octets(Some(1)).run(&mut world.connect(), &mut Silent).unwrap();
    assert_eq!((summary.delivered, summary.left_over), (1, 9));
}

#[test]
fn a_dry_run_changes_nothing() {
    #[derive(Default)]
    struct Planned(Plan);
    impl Observer for Planned {
        fn planned(&mut self, plan: &Plan) {
            self.0 = plan.clone();
        }
    }
    let world = world_of(4, &[]);
    let mut planned = Planned::default();
    let mut dry = world.fetch().keep(Keep::nothing()).limit(Some(3)).dry_run(true);
    dry.run(&mut world.connect(), &mut planned).unwrap();
    assert_eq!((planned.0.count(Action::Fetch), planned.0.count(Action::Later)), (3, 1));
    assert_eq!((world.new_files().len(), world.retrs(), world.left()), (0, 0, 4));
    assert!(world.ledger.accounts().unwrap().is_empty());
}

/// A destination that can be made to fail.
#[derive(Debug)]
struct Fragile {
    delivered: Arc<std::sync::Mutex<Vec<MessageKey>>>,
    fails: bool,
}

impl Destination for Fragile {
    fn name(&self) -> &str {
        "fragile:"
    }

    fn remembers(&self) -> bool {
        false
    }

    fn marks(&mut self) -> Result<HashSet<Mark>, crate::DeliveryError> {
        Ok(HashSet::new())
    }

    fn prepare(&mut self, parcels: &[&Parcel]) -> Vec<Result<(), crate::DeliveryError>> {
        parcels.iter().map(|_| Ok(())).collect()
    }

    fn commit(&mut self, parcels: &[&Parcel]) -> Vec<Result<String, crate::DeliveryError>> {
        let deliver = |parcel: &&Parcel| {
            if self.fails {
                let (destination, said) = ("fragile:".to_owned(), "no".to_owned());
                return Err(crate::DeliveryError::Refused { destination, said, permanent: false });
            }
            self.delivered.lock().unwrap().push(parcel.key.clone());
            Ok("there".to_owned())
        };
        parcels.iter().map(deliver).collect()
    }
}

#[test]
fn of_two_destinations_each_gets_a_message_once_and_both_have_it_before_dele() {
    let world = world_of(5, &[]);
    let delivered = Arc::default();
    let fetch = |fails| {
        let fragile = Fragile { delivered: Arc::clone(&delivered), fails };
        world
            .fetch()
            .to(Box::new(fragile))
            .keep(Keep::nothing())
            .run(&mut world.connect(), &mut Silent)
            .unwrap()
    };
    let summary = fetch(true);
    assert_eq!((summary.delivered, summary.failures.len(), world.left()), (0, 5, 5));
    // The Maildir has them all, and does not get them again.
    world.has_each_once(&mail(5));
    let summary = fetch(false);
    assert_eq!((summary.delivered, summary.deleted, world.left()), (5, 5, 0));
    world.has_each_once(&mail(5));
    assert_eq!(delivered.lock().unwrap().len(), 5);
}

#[test]
fn what_a_crash_left_intended_is_looked_up() {
    let world = world_of(4, &[]);
    world.run(Keep::forever());
    let account = AccountKey::new("alice", "127.0.0.1", 110);
    // As if it had been killed between delivery and note, and for the second before the delivery.
    let mut entries = Vec::new();
    world
        .ledger
        .entries(&account, &mut |entry| {
            entries.push(entry);
            true
        })
        .unwrap();
    for (at, entry) in entries.iter().enumerate() {
        let mut received = crate::Received {
            listed: entry.listed,
            octets: entry.octets.unwrap(),
            content: entry.content.unwrap(),
            header: entry.header.unwrap(),
            whole: true,
        };
        if at == 1 {
            received.content = [0; 32];
        }
        let key = entry.key.clone();
        world.ledger.record(&account, &[Change::Intended { key, received }]).unwrap();
    }
    fs::remove_file(
        fs::read_dir(world.home.path().join("Mail/new"))
            .unwrap()
            .find_map(|file| {
                let path = file.unwrap().path();
                fs::read_to_string(&path).unwrap().contains("Subject: 001").then_some(path)
            })
            .unwrap(),
    )
    .unwrap();
    let summary = world.run(Keep::nothing());
    assert_eq!((summary.recovered, summary.delivered), (Recovered { delivered: 3, undone: 1 }, 1));
    world.has_each_once(&mail(4));
    assert_eq!(world.left(), 0);
}

#[test]
fn without_a_ledger_the_maildir_tells_what_is_here() {
    let mut world = world_of(10, &[]);
    world.run(Keep::forever());
    world.ledger = SqliteLedger::open(world.home.path().join("another.sqlite3")).unwrap();
    let summary = world.run(Keep::forever());
    assert_eq!((summary.delivered, summary.recognised), (0, 10));
    world.has_each_once(&mail(10));
    let summary = world.run(Keep::forever());
    assert_eq!((summary.known, world.retrs()), (10, 0));
}

#[test]
fn only_one_run_of_an_account_at_a_time() {
    let world = world_of(1, &[]);
    let _lock = world.ledger.lock(&AccountKey::new("alice", "127.0.0.1", 110)).unwrap();
    let stopped = world.fetch().run(&mut world.connect(), &mut Silent).unwrap_err();
    assert!(matches!(&stopped.cause, Cause::Ledger(error) if error.is_locked()), "{stopped}");
    assert_eq!(world.server.sessions().len(), 0);
}

#[test]
fn states_follow_the_server() {
    let world = world_of(2, &[]);
    let account = AccountKey::new("alice", "127.0.0.1", 110);
    let states = || {
        let mut states = Vec::new();
        world
            .ledger
            .entries(&account, &mut |entry| {
                states.push((entry.state, entry.present));
                true
            })
            .unwrap();
        states
    };
    world.run(Keep::forever());
    assert_eq!(states(), [(State::Delivered, true); 2]);
    world.run(Keep::nothing());
    assert_eq!(states(), [(State::Gone, false); 2]);
}
