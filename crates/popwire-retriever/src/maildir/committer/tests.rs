use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use super::*;

const BOTH: [Flush; 2] = [Flush::Auto, Flush::Files];

fn fresh() -> (tempfile::TempDir, Maildir) {
    let home = tempfile::tempdir().unwrap();
    let maildir = Maildir::create(home.path().join("Mail")).unwrap();
    (home, maildir)
}

fn written(maildir: &Maildir, text: &str) -> Delivery {
    let mut delivery = maildir.deliver().unwrap();
    delivery.write_all(text.as_bytes()).unwrap();
    delivery
}

fn count(maildir: &Maildir, folder: &str) -> usize {
    fs::read_dir(maildir.path().join(folder)).unwrap().count()
}

#[test]
fn every_message_has_one_result_with_its_own_tag() {
    for flush in BOTH {
        let (_home, maildir) = fresh();
        let mut committer = Committer::new(&maildir, flush).unwrap();
        let mut results = Vec::new();
        for number in 0..700 {
            committer.push(number, written(&maildir, &format!("message {number}"))).unwrap();
            results.extend(committer.finished());
        }
        assert!(!results.is_empty(), "nothing was committed while more came");
        results.extend(committer.finish());
        assert_eq!(results.len(), 700);
        for (at, (number, delivered)) in results.into_iter().enumerate() {
            assert_eq!(number, at, "in the order in which they were handed over");
            assert_eq!(fs::read_to_string(delivered.unwrap().path).unwrap(), format!("message {number}"));
        }
        assert_eq!((count(&maildir, "tmp"), count(&maildir, "new")), (0, 700));
    }
}

#[test]
fn a_message_alone_waits_for_no_other() {
    let (_home, maildir) = fresh();
    let mut committer = Committer::new(&maildir, Flush::Auto).unwrap();
    for number in 0..3 {
        committer.push(number, written(&maildir, "alone")).unwrap();
        let began = Instant::now();
        while committer.finished().next().is_none() {
            assert!(began.elapsed() < Duration::from_secs(10), "it waits for more");
            thread::yield_now();
        }
    }
}

#[test]
fn a_message_that_fails_costs_itself() {
    for flush in BOTH {
        let (_home, maildir) = fresh();
        let mut committer = Committer::new(&maildir, flush).unwrap();
        for number in 0..50 {
            let delivery = written(&maildir, "text");
            if number % 10 == 3 {
                let taken = maildir.path().join("new").join(format!("{},S=4", delivery.name()));
                fs::write(taken, "another").unwrap();
            }
            committer.push(number, delivery).unwrap();
        }
        let results: BTreeMap<_, _> = committer.finish().collect();
        assert_eq!(results.len(), 50);
        for (number, result) in &results {
            assert_eq!(result.is_err(), number % 10 == 3, "{number}: {result:?}");
        }
        assert_eq!((count(&maildir, "tmp"), count(&maildir, "new")), (0, 50));
    }
}

#[test]
fn what_cannot_be_written_out_is_not_handed_over() {
    let (_home, maildir) = fresh();
    let mut committer = Committer::new(&maildir, Flush::Auto).unwrap();
    let mut spoiled = written(&maildir, "half");
    spoiled.spoiled = true;
    assert!(matches!(committer.push(1, spoiled), Err(DeliveryError::Spoiled { .. })));
    committer.push(2, written(&maildir, "whole")).unwrap();
    assert_eq!(
        committer.finish().map(|(number, result)| (number, result.is_ok())).collect::<Vec<_>>(),
        [(2, true)]
    );
    assert_eq!((count(&maildir, "tmp"), count(&maildir, "new")), (0, 1));
}

#[test]
fn dropped_it_commits_what_it_was_given() {
    let (_home, maildir) = fresh();
    let mut committer = Committer::new(&maildir, Flush::Auto).unwrap();
    for number in 0..30 {
        committer.push(number, written(&maildir, "text")).unwrap();
    }
    let under_way = written(&maildir, "not handed over");
    drop(committer);
    assert_eq!((count(&maildir, "tmp"), count(&maildir, "new")), (1, 30));
    drop(under_way);
    assert_eq!(count(&maildir, "tmp"), 0);
}

#[test]
fn deliveries_for_another_maildir_are_delivered_there() {
    let (_home, maildir) = fresh();
    let (_other, other) = fresh();
    let mut committer = Committer::new(&maildir, Flush::Auto).unwrap();
    for number in 0..40 {
        let to = if number % 2 == 0 { &maildir } else { &other };
        committer.push(number, written(to, "text")).unwrap();
    }
    assert!(committer.finish().all(|(_, result)| result.is_ok()));
    assert_eq!((count(&maildir, "new"), count(&other, "new")), (20, 20));
}
