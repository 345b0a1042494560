use std::fs;
use std::io::Write as _;

use super::*;
use crate::identity::{AccountKey, MessageKey};
use crate::ledger::Received;

fn fresh() -> (tempfile::TempDir, MaildirDestination) {
    let home = tempfile::tempdir().unwrap();
    let maildir = Maildir::create(home.path().join("Mail")).unwrap();
    (home, MaildirDestination::new(maildir, Flush::Auto))
}

fn parcel(number: u8, mut spool: Spool) -> Parcel {
    write!(spool, "message {number}").unwrap();
    spool.finish().unwrap();
    let received = Received {
        listed: None,
        octets: spool.octets(),
        content: [number; 32],
        header: [0; 32],
        whole: true,
    };
    Parcel::new(AccountKey::new("alice", "h", 110), MessageKey::unique_id([number]), received, spool)
}

fn files(destination: &MaildirDestination, folder: &str) -> Vec<String> {
    let folder = fs::read_dir(destination.maildir.path().join(folder)).unwrap();
    folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_message_is_taken_over_where_it_was_received_and_copied_elsewhere() {
    let (_one, mut one) = fresh();
    let (_two, mut two) = fresh();
    let mut spooler = one.spooler().unwrap();
    let parcels: Vec<_> = (0..20).map(|number| parcel(number, spooler().unwrap())).collect();
    let parcels: Vec<_> = parcels.iter().collect();
    for destination in [&mut one, &mut two] {
        assert!(destination.prepare(&parcels).iter().all(Result::is_ok));
        assert_eq!((files(destination, "new").len(), files(destination, "tmp").len()), (0, 20));
    }
    for destination in [&mut one, &mut two] {
        let places: Vec<_> = destination.commit(&parcels).into_iter().map(Result::unwrap).collect();
        for (number, place) in places.iter().enumerate() {
            assert_eq!(fs::read_to_string(place).unwrap(), format!("message {number}"));
        }
        assert_eq!((files(destination, "new").len(), files(destination, "tmp").len()), (20, 0));
        let marks = destination.marks().unwrap();
        assert_eq!(marks, parcels.iter().map(|parcel| parcel.mark).collect());
    }
}

#[test]
fn what_was_prepared_and_not_committed_leaves_nothing() {
    let (_home, mut destination) = fresh();
    let parcels: Vec<_> = (0..5).map(|number| parcel(number, Spool::new())).collect();
    let all: Vec<_> = parcels.iter().collect();
    assert!(destination.prepare(&all).iter().all(Result::is_ok));
    assert!(destination.commit(&all[1..3]).iter().all(Result::is_ok));
    assert_eq!((files(&destination, "new").len(), files(&destination, "tmp").len()), (2, 3));
    assert!(destination.prepare(&[]).is_empty());
    assert_eq!((files(&destination, "new").len(), files(&destination, "tmp").len()), (2, 0));
    assert!(destination.commit(&all[..1])[0].is_err());
}

#[test]
fn a_message_that_a_reader_has_moved_is_known_by_its_mark() {
    let (_home, mut destination) = fresh();
    let one = parcel(1, Spool::new());
    destination.prepare(&[&one]);
    let place = std::path::PathBuf::from(destination.commit(&[&one]).remove(0).unwrap());
    let name = format!("{}:2,S", place.file_name().unwrap().to_str().unwrap());
    fs::rename(&place, destination.maildir.path().join("cur").join(name)).unwrap();
    fs::write(destination.maildir.path().join("new/1.M2P3Q4.other"), "another's").unwrap();
    assert_eq!(destination.marks().unwrap(), HashSet::from([one.mark]));
}

#[test]
fn a_message_that_is_delivered_twice_at_once_is_there_once() {
    let (_home, mut destination) = fresh();
    let deliver = |destination: &mut MaildirDestination| {
        let one = parcel(1, Spool::new());
        destination.prepare(&[&one]);
        destination.commit(&[&one]).remove(0).unwrap()
    };
    // The names have a time in them: again, if a second ended in between.
    let same = (0..10).any(|_| deliver(&mut destination) == deliver(&mut destination));
    assert!(same);
    let names: HashSet<_> = files(&destination, "new").into_iter().collect();
    assert!(names.len() < 10 && files(&destination, "tmp").is_empty());
}
