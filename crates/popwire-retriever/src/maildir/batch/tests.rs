use std::fs;
use std::io::{self, Write};

use super::*;
use crate::maildir::Maildir;

const BOTH: [Flush; 2] = [Flush::Auto, Flush::Files];

fn fresh() -> (tempfile::TempDir, Maildir) {
    let home = tempfile::tempdir().unwrap();
    let maildir = Maildir::create(home.path().join("Mail")).unwrap();
    (home, maildir)
}

/// Messages with the numbers from 0 for their texts.
fn written(maildir: &Maildir, count: usize) -> Vec<Delivery> {
    let write = |number| {
        let mut delivery = maildir.deliver().unwrap();
        write!(delivery, "message {number}").unwrap();
        delivery
    };
    (0..count).map(write).collect()
}

fn commit_by(flush: Flush, deliveries: Vec<Delivery>) -> Vec<Result<Delivered, DeliveryError>> {
    let mut flusher = Flusher::new(flush, &deliveries[0].maildir);
    let named = deliveries.into_iter().map(|delivery| {
        let name = delivery.name().to_owned();
        (delivery, name)
    });
    commit(prepare(named.collect(), &mut flusher))
}

fn count(maildir: &Maildir, folder: &str) -> usize {
    fs::read_dir(maildir.path().join(folder)).unwrap().count()
}

#[test]
fn results_come_in_the_order_of_the_messages() {
    for flush in BOTH {
        let (_home, maildir) = fresh();
        let mut deliveries = written(&maildir, 60);
        // Opened in one order, handed over in another.
        deliveries.reverse();
        let names: Vec<_> = deliveries.iter().map(|delivery| delivery.name().to_owned()).collect();
        let results = commit_by(flush, deliveries);
        assert_eq!(results.len(), 60);
        for ((at, name), delivered) in names.iter().enumerate().zip(results) {
            let delivered = delivered.unwrap();
            assert_eq!(delivered.name, *name);
            assert_eq!(fs::read_to_string(&delivered.path).unwrap(), format!("message {}", 59 - at));
            assert_eq!(
                delivered.path.file_name().unwrap().to_str().unwrap().split(",S=").next(),
                Some(name.as_str())
            );
        }
        assert_eq!((count(&maildir, "tmp"), count(&maildir, "new")), (0, 60));
    }
}

#[test]
fn an_error_about_one_message_costs_that_one() {
    for flush in BOTH {
        let (_home, maildir) = fresh();
        let mut deliveries = written(&maildir, 8);
        let path = |folder: &str, name: &str| maildir.path().join(folder).join(name);
        // Spoiled; cut short; gone from tmp/; its name is taken.
        deliveries[1].spoiled = true;
        deliveries[2].flush().unwrap();
        deliveries[2].file.set_len(3).unwrap();
        fs::remove_file(path("tmp", deliveries[4].name())).unwrap();
        let taken = path("new", &format!("{},S=9", deliveries[6].name()));
        fs::write(&taken, "another").unwrap();

        let results = commit_by(flush, deliveries);
        let kinds: Vec<_> = results
            .into_iter()
            .map(|result| {
                result
                    .map(|_| ())
                    .map_err(|error| (error.path().unwrap().to_owned(), io::Error::from(error).kind()))
            })
            .collect();
        for at in [0, 3, 5, 7] {
            assert_eq!(kinds[at], Ok(()), "{at}");
        }
        for (at, kind) in [
            (1, io::ErrorKind::Other),
            (2, io::ErrorKind::Other),
            (4, io::ErrorKind::NotFound),
            (6, io::ErrorKind::AlreadyExists),
        ] {
            assert_eq!(kinds[at].as_ref().unwrap_err().1, kind, "{at}");
        }
        assert_eq!(kinds[6].as_ref().unwrap_err().0, taken);
        assert_eq!(fs::read_to_string(&taken).unwrap(), "another");
        assert_eq!((count(&maildir, "tmp"), count(&maildir, "new")), (0, 5));
    }
}

#[test]
fn two_maildirs_in_one_batch_are_both_served() {
    let (_one, one) = fresh();
    let (_two, two) = fresh();
    let mut deliveries = written(&one, 3);
    deliveries.extend(written(&two, 3));
    deliveries.swap(0, 4);
    assert!(commit_by(Flush::Auto, deliveries).iter().all(Result::is_ok));
    assert_eq!((count(&one, "new"), count(&two, "new")), (3, 3));
}

#[test]
fn where_new_cannot_be_flushed_no_message_counts_as_delivered() {
    let (_home, maildir) = fresh();
    let deliveries = written(&maildir, 5);
    fs::remove_dir(maildir.path().join("new")).unwrap();
    for result in commit_by(Flush::Auto, deliveries) {
        assert!(matches!(result, Err(DeliveryError::Io { .. })));
    }
    assert_eq!(count(&maildir, "tmp"), 0);
}
