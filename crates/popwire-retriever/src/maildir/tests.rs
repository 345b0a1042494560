use std::{
    collections::BTreeSet,
    error::Error as _,
    io,
    os::unix::fs::{PermissionsExt, symlink},
    thread,
};

use super::*;

fn fresh() -> (tempfile::TempDir, Maildir) {
    let home = tempfile::tempdir().unwrap();
    let maildir = Maildir::create(home.path().join("Mail")).unwrap();
    (home, maildir)
}

fn files(maildir: &Maildir, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(maildir.path().join(folder)).unwrap();
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_message_is_seen_in_new_only_once_it_is_committed() {
    let (_home, maildir) = fresh();
    let mut delivery = maildir.deliver().unwrap();
    delivery.write_all(b"Subject: x\r\n\r\n").unwrap();
    delivery.flush().unwrap();
    assert_eq!(files(&maildir, "tmp"), [delivery.name()]);
    assert!(files(&maildir, "new").is_empty());

    let name = delivery.name().to_owned();
    let delivered = delivery.commit().unwrap();
    assert_eq!(delivered.name, name);
    assert_eq!(delivered.octets, 14);
    assert_eq!(files(&maildir, "new"), [format!("{name},S=14")]);
    assert!(files(&maildir, "tmp").is_empty());
    assert_eq!(fs::read(&delivered.path).unwrap(), b"Subject: x\r\n\r\n");
    assert_eq!(mode(&delivered.path), 0o600);
}

#[test]
fn octets_are_stored_as_they_are() {
    let (_home, maildir) = fresh();
    let every: Vec<u8> = (0..=255).collect();
    let messages = [
        Vec::new(),
        b".\n..\r\n\r\r\n\0no end".to_vec(),
        every.repeat(3),
        every.repeat(BUFFER / 256),
        every.repeat(BUFFER / 256 * 3 + 1),
    ];
    for message in &messages {
        for step in [1, 100, BUFFER - 1, BUFFER, BUFFER + 1, usize::MAX] {
            if step == 1 && message.len() > 10_000 {
                continue;
            }
            let mut delivery = maildir.deliver().unwrap();
            message.chunks(step).for_each(|part| delivery.write_all(part).unwrap());
            assert_eq!(delivery.octets(), message.len() as u64);
            let delivered = delivery.commit().unwrap();
            assert!(fs::read(&delivered.path).unwrap() == *message, "{} by {step}", message.len());
        }
    }
}

#[test]
fn an_abandoned_delivery_leaves_nothing() {
    let (_home, maildir) = fresh();
    let mut delivery = maildir.deliver().unwrap();
    delivery.write_all(&vec![b'x'; 3 * BUFFER]).unwrap();
    drop(delivery);
    assert!(files(&maildir, "tmp").is_empty() && files(&maildir, "new").is_empty());
}

#[test]
fn threads_deliver_at_once() {
    let (_home, maildir) = fresh();
    thread::scope(|scope| {
        for worker in 0..4 {
            let maildir = maildir.clone();
            scope.spawn(move || {
                for n in 0..25 {
                    let mut delivery = maildir.deliver().unwrap();
                    write!(delivery, "{worker} {n}").unwrap();
                    delivery.commit().unwrap();
                }
            });
        }
    });
    let stored = files(&maildir, "new");
    let read = |name| fs::read(maildir.path().join("new").join(name)).unwrap();
    assert_eq!(stored.iter().map(read).collect::<BTreeSet<_>>().len(), 100);
}

#[test]
fn what_is_created_is_for_its_owner_only() {
    let home = tempfile::tempdir().unwrap();
    let maildir = Maildir::create(home.path().join("deep/er/Mail")).unwrap();
    for path in
        ["deep", "deep/er", "deep/er/Mail", "deep/er/Mail/tmp", "deep/er/Mail/new", "deep/er/Mail/cur"]
    {
        assert_eq!(mode(&home.path().join(path)), 0o700, "{path}");
    }
    assert_eq!(maildir.path(), home.path().join("deep/er/Mail"));
}

#[test]
fn what_is_there_is_kept() {
    let (home, maildir) = fresh();
    fs::write(maildir.path().join("cur/old:2,S"), "old").unwrap();
    fs::write(maildir.path().join("dovecot.index"), "x").unwrap();
    fs::set_permissions(maildir.path(), fs::Permissions::from_mode(0o750)).unwrap();
    let again = Maildir::create(home.path().join("Mail")).unwrap();
    assert_eq!(files(&again, "cur"), ["old:2,S"]);
    assert_eq!(mode(again.path()), 0o750);
    assert!(Maildir::open(again.path()).is_ok());

    symlink(again.path(), home.path().join("link")).unwrap();
    assert!(Maildir::create(home.path().join("link")).is_ok(), "a link to a Maildir is one");
}

#[test]
fn an_empty_folder_becomes_a_maildir_and_half_of_one_is_finished() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("empty")).unwrap();
    fs::create_dir_all(home.path().join("half/tmp")).unwrap();
    for name in ["empty", "half"] {
        let maildir = Maildir::create(home.path().join(name)).unwrap();
        maildir.deliver().unwrap().commit().unwrap();
    }
}

#[test]
fn what_is_not_a_maildir_is_refused_and_not_touched() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    fs::create_dir_all(path("photos/cur")).unwrap();
    fs::write(path("photos/cat.jpg"), "x").unwrap();
    fs::create_dir(path("file-inside")).unwrap();
    fs::write(path("file-inside/tmp"), "x").unwrap();
    fs::write(path("mbox"), "From me\n").unwrap();
    symlink("nowhere", path("dangling")).unwrap();
    for (name, found) in [
        ("photos", "cat.jpg"),
        ("file-inside", "holds tmp"),
        ("mbox", "no folder"),
        ("dangling", "does not exist"),
    ] {
        let refused = Maildir::create(path(name)).unwrap_err();
        assert!(matches!(refused, DeliveryError::NotAMaildir { .. }), "{name}: {refused:?}");
        assert_eq!(refused.path(), Some(&*path(name)));
        assert!(refused.to_string().contains(found), "{refused}");
    }
    assert_eq!(fs::read_dir(path("photos")).unwrap().count(), 2);
    assert_eq!(fs::read_dir(path("file-inside")).unwrap().count(), 1);

    assert!(matches!(Maildir::open(path("absent")), Err(DeliveryError::NotAMaildir { .. })));
    assert!(!path("absent").exists(), "opening creates nothing");
    fs::create_dir(path("empty")).unwrap();
    assert!(matches!(Maildir::open(path("empty")), Err(DeliveryError::NotAMaildir { .. })));
}

#[test]
fn nothing_is_ever_overwritten() {
    let (_home, maildir) = fresh();
    let mut delivery = maildir.deliver().unwrap();
    delivery.write_all(b"second").unwrap();
    let taken = maildir.path().join("new").join(format!("{},S=6", delivery.name()));
    fs::write(&taken, "first").unwrap();
    let error = delivery.commit().unwrap_err();
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&taken).unwrap(), b"first");
    assert!(files(&maildir, "tmp").is_empty());
}

#[test]
fn without_renameat2_a_link_does_the_same() {
    let (_home, maildir) = fresh();
    let Inner { tmp, new, .. } = &*maildir.inner;
    fs::write(maildir.path().join("tmp/a"), "a").unwrap();
    link_without_overwriting(tmp, "a", new, "b").unwrap();
    assert_eq!((files(&maildir, "tmp"), files(&maildir, "new")), (vec![], vec!["b".to_owned()]));

    fs::write(maildir.path().join("tmp/c"), "c").unwrap();
    let refused = link_without_overwriting(tmp, "c", new, "b").unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(maildir.path().join("new/b")).unwrap(), b"a");
}

#[test]
fn only_old_leavings_of_ours_are_cleaned_away() {
    let (_home, maildir) = fresh();
    let host = &maildir.inner.host;
    let ours = format!("1.M2P3Q4.{host}");
    for name in [ours.as_str(), "1.M2P3Q4.another-host", "notes.txt"] {
        fs::write(maildir.path().join("tmp").join(name), "half").unwrap();
    }
    let under_way = maildir.deliver().unwrap();
    let hours = |n: u64| SystemTime::now() + Duration::from_secs(n * 3600);
    assert_eq!(maildir.clean_tmp().unwrap(), 0);
    assert_eq!(maildir.clean_tmp_at(hours(35)).unwrap(), 0);
    // Only a clock 37 hours ahead makes a delivery that is under way look old.
    let file = File::options().write(true).open(maildir.path().join("tmp").join(under_way.name())).unwrap();
    file.set_modified(hours(36)).unwrap();
    assert_eq!(maildir.clean_tmp_at(hours(37)).unwrap(), 1);
    assert_eq!(files(&maildir, "tmp"), ["1.M2P3Q4.another-host", under_way.name(), "notes.txt"]);
    under_way.commit().unwrap();
}

#[test]
fn a_file_of_another_length_is_not_committed() {
    let (_home, maildir) = fresh();
    let mut delivery = maildir.deliver().unwrap();
    delivery.write_all(b"whole").unwrap();
    delivery.flush().unwrap();
    delivery.file.set_len(3).unwrap();
    assert!(matches!(delivery.commit(), Err(DeliveryError::Spoiled { .. })));
    assert!(files(&maildir, "tmp").is_empty() && files(&maildir, "new").is_empty());
}

#[test]
fn a_maildir_that_is_taken_away_is_an_error() {
    let (_home, maildir) = fresh();
    let mut delivery = maildir.deliver().unwrap();
    delivery.write_all(b"x").unwrap();
    fs::remove_dir_all(maildir.path()).unwrap();
    assert!(matches!(delivery.commit(), Err(DeliveryError::Io { .. })));
    assert!(matches!(maildir.deliver(), Err(DeliveryError::Io { .. })));
}

#[test]
fn errors_say_what_where_and_why() {
    // ENOSPC, EDQUOT, EACCES, EROFS, EIO on Linux
    let of = |errno| DeliveryError::io("writing", "/m/tmp/1", io::Error::from_raw_os_error(errno));
    assert!(matches!(of(28), DeliveryError::DiskFull { .. }));
    assert!(matches!(of(122), DeliveryError::DiskFull { .. }));
    assert!(matches!(of(13), DeliveryError::Permission { .. }));
    assert!(matches!(of(30), DeliveryError::Permission { .. }));
    assert!(matches!(of(5), DeliveryError::Io { .. }));
    assert_eq!(of(28).to_string(), "disk full while writing /m/tmp/1");
    assert!(of(28).source().unwrap().to_string().contains("No space left"));

    let wrapped = io::Error::from(of(28));
    assert_eq!(wrapped.kind(), io::ErrorKind::StorageFull);
    assert!(matches!(DeliveryError::within(&wrapped), Some(DeliveryError::DiskFull { .. })));
    assert!(DeliveryError::within(&io::Error::from_raw_os_error(28)).is_none());
}
