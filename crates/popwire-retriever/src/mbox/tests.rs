use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;
use crate::destination::testing;

fn parcel(message: &[u8]) -> Parcel {
    testing::parcel("1", message)
}

fn deliver(destination: &mut MboxDestination, parcels: &[&Parcel]) -> Vec<Result<String, DeliveryError>> {
    assert!(destination.prepare(parcels).iter().all(Result::is_ok));
    destination.commit(parcels)
}

fn deliver_all(destination: &mut MboxDestination, parcels: &[&Parcel]) {
    assert!(deliver(destination, parcels).into_iter().all(|result| result.is_ok()));
}

/// Takes the messages out of an mbox by what the documentation of the module says, and by nothing else of the code.
fn messages(mbox: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = mbox;
    let mut messages = Vec::new();
    while let Some(from) = find(rest, b"From popwire.") {
        assert!(from == 0 || rest[..from].ends_with(b"\n\n") || rest[..from].ends_with(b"\n\r\n"));
        let line_end = from + find(&rest[from..], b"\n").unwrap();
        let line = std::str::from_utf8(&rest[from..line_end]).unwrap();
        let address = line.split(' ').nth(1).unwrap().strip_suffix("@localhost").unwrap();
        let octets = address.split('.').nth(2).unwrap().parse::<usize>().unwrap();
        let (framed, behind) = rest[line_end + 1..].split_at(octets);
        let mut quoted = framed.strip_suffix(b"\n").unwrap();
        if address.ends_with(".unended") {
            quoted = quoted.strip_suffix(b"\n").unwrap();
        }
        let lines = quoted.split_inclusive(|&octet| octet == b'\n').map(|line| {
            let quotes = line.iter().take_while(|&&octet| octet == b'>').count();
            if quotes > 0 && line[quotes..].starts_with(b"From ") { &line[1..] } else { line }
        });
        messages.push(lines.flatten().copied().collect());
        rest = behind;
    }
    messages
}

fn find(octets: &[u8], what: &[u8]) -> Option<usize> {
    octets.windows(what.len()).position(|window| window == what)
}

const AWKWARD: [&[u8]; 9] = [
    b"Subject: plain\r\n\r\ntext\r\n",
    b"",
    b"\n",
    b"Subject: a\r\n\r\nFrom a\r\n>From b\r\n>>From c\r\nFrom\r\n",
    b"Subject: unended\n\nFrom",
    b"Subject: empty lines\r\n\r\n\r\n\r\n",
    b"From popwire.00112233445566778899aabbccddeeff.3.0000000000000000@localhost x\n\nforged",
    b"Subject: cr\r\n\r\nthe end\r",
    b"Subject: nul\r\n\r\n\0\0\0",
];

#[test]
fn messages_come_out_as_they_went_in() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("deep/er/mbox");
    let mut destination = MboxDestination::new(&path).unwrap();
    assert_eq!(destination.marks().unwrap(), HashSet::new());
    let large: Vec<u8> = (0..5 << 20).map(|at| b"From \n>x"[at * at / 7 % 8]).collect();
    let parcels: Vec<_> = AWKWARD.iter().copied().chain([&large[..]]).map(parcel).collect();
    for parcels in parcels.iter().collect::<Vec<_>>().chunks(4) {
        deliver_all(&mut destination, parcels);
    }
    let stored = fs::read(&path).unwrap();
    let expected: Vec<_> = AWKWARD.iter().map(|message| message.to_vec()).chain([large]).collect();
    assert!(messages(&stored) == expected);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(destination.marks().unwrap(), parcels.iter().map(|parcel| parcel.mark).collect());
    assert!(!home.path().join("deep/er/mbox.lock").exists());
}

#[test]
fn a_crash_at_any_octet_leaves_what_comes_once_in_the_end() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("mbox");
    let parcels: Vec<_> = AWKWARD.iter().copied().map(parcel).collect();
    let parcels: Vec<_> = parcels.iter().collect();
    for before in ["", "From bob Mon Nov 23 12:51:07 2026\nSubject: b\n\nFrom ours\n\n", "no line end"] {
        fs::write(&path, before).unwrap();
        deliver_all(&mut MboxDestination::new(&path).unwrap(), &parcels);
        let whole = fs::read(&path).unwrap();
        for at in before.len()..whole.len() {
            // Cut off there, or filled with NUL from there on; and whoever comes next looks, or just appends. Each flush to
            // the disk takes its time: not all of that everywhere.
            for (filled, looked) in [(false, true), (true, true), (false, false), (true, false)] {
                if (filled, looked) != (false, true) && at % 23 != 0 {
                    continue;
                }
                let mut left = whole[..at].to_vec();
                left.resize(if filled { whole.len() } else { at }, 0);
                fs::write(&path, &left).unwrap();
                let mut destination = MboxDestination::new(&path).unwrap();
                if !looked {
                    deliver_all(&mut destination, &[&parcel(b"another\n")]);
                }
                let marks = destination.marks().unwrap();
                let missing: Vec<_> =
                    parcels.iter().copied().filter(|parcel| !marks.contains(&parcel.mark)).collect();
                deliver_all(&mut destination, &missing);
                let mut stored = messages(&fs::read(&path).unwrap());
                stored.retain(|message| message != b"another\n");
                stored.sort();
                let mut expected = AWKWARD.map(<[u8]>::to_vec);
                expected.sort();
                assert!(stored == expected, "at {at}, filled {filled}, looked {looked}, before {before:?}");
            }
        }
    }
}

#[test]
fn what_a_mail_program_has_changed_is_neither_cut_off_nor_fetched_again() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("mbox");
    let [one, two] = [parcel(b"Subject: one\r\n\r\ntext\r\n"), parcel(b"Subject: two\r\n\r\ntext\r\n")];
    deliver_all(&mut MboxDestination::new(&path).unwrap(), &[&one, &two]);
    let both = HashSet::from([one.mark, two.mark]);
    let stored = String::from_utf8(fs::read(&path).unwrap()).unwrap();
    let marks = |text: &str| {
        fs::write(&path, text).unwrap();
        let marks = MboxDestination::new(&path).unwrap().marks().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        marks
    };
    assert_eq!(marks(&stored.replace("\r\n\r\ntext", "\r\nStatus: RO\r\n\r\ntext")), both);
    assert_eq!(marks(&stored.replace("\r\n", "\nX-Status:         \n")), both);
    // Something is missing: it may be what a crash left. It stays, and comes once more.
    assert_eq!(marks(&stored.replace("Subject: two", "S: 2")), HashSet::from([one.mark]));
    assert_eq!(marks(&stored.replace("Subject: one", "S: 1")), HashSet::from([two.mark]));
}

#[test]
fn octets_that_loss_of_power_took_are_not_counted() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("mbox");
    let large = [b"Subject: large\r\n\r\n", &b"text\r\n".repeat(3000)[..]].concat();
    let parcels = [parcel(&large), parcel(b"Subject: small\r\n\r\n")];
    deliver_all(&mut MboxDestination::new(&path).unwrap(), &[&parcels[0], &parcels[1]]);
    let mut stored = fs::read(&path).unwrap();
    stored[4096..8192].fill(0);
    fs::write(&path, &stored).unwrap();
    let mut destination = MboxDestination::new(&path).unwrap();
    assert_eq!(destination.marks().unwrap(), HashSet::from([parcels[1].mark]));
    // Also if another program has appended to it since, and something is longer for it.
    stored.splice(60..60, *b"Status: O\n");
    fs::write(&path, &stored).unwrap();
    assert_eq!(destination.marks().unwrap(), HashSet::from([parcels[1].mark]));
}

#[test]
fn from_lines_are_found_across_the_pieces_that_are_read() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("mbox");
    let one = parcel(b"Subject: one\r\n\r\ntext\r\n");
    for short in (1 << 20) - 8..=(1 << 20) + 1 {
        let mut other = b"From bob Mon Nov 23 12:51:07 2026\n\n".to_vec();
        other.resize(short, b'x');
        other.extend_from_slice(b"\n\n");
        fs::write(&path, &other).unwrap();
        let mut destination = MboxDestination::new(&path).unwrap();
        deliver_all(&mut destination, &[&one]);
        assert_eq!(destination.marks().unwrap(), HashSet::from([one.mark]), "{short}");
        let whole = fs::metadata(&path).unwrap().len();
        File::options().write(true).open(&path).unwrap().set_len(whole - 5).unwrap();
        assert!(destination.marks().unwrap().is_empty(), "{short}");
        assert_eq!(fs::metadata(&path).unwrap().len(), other.len() as u64);
    }
}

#[test]
fn a_symbolic_link_is_followed_and_anything_but_a_file_refused() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    symlink("target", at("link")).unwrap();
    let one = parcel(b"one\n");
    for _ in 0..2 {
        deliver_all(&mut MboxDestination::new(at("link")).unwrap(), &[&one]);
    }
    assert_eq!(messages(&fs::read(at("target")).unwrap()).len(), 2);
    assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());

    let pipe = std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap();
    assert!(pipe.success());
    for wrong in [at("pipe"), "/dev/null".into(), home.path().into()] {
        let mut destination = MboxDestination::new(&wrong).unwrap();
        let failed = deliver(&mut destination, &[&one, &parcel(b"two")]);
        assert!(
            failed.iter().all(|result| matches!(result, Err(error) if !error.is_about_one_message())),
            "{failed:?}"
        );
        assert!(destination.marks().is_err());
    }
}

#[test]
fn deliveries_of_one_process_wait_for_each_other() {
    let home = tempfile::tempdir().unwrap();
    let path = &home.path().join("mbox");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                let mut destination = MboxDestination::new(path).unwrap();
                for number in 0..25 {
                    let message = format!("Subject: {thread} {number}\n\n{}\n", "x".repeat(number * 100));
                    deliver_all(&mut destination, &[&parcel(message.as_bytes())]);
                }
            });
        }
    });
    let stored: HashSet<_> = messages(&fs::read(path).unwrap()).into_iter().collect();
    assert_eq!(stored.len(), 100);
}

#[test]
fn a_dotlock_is_waited_for_until_its_owner_is_dead() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("mbox");
    let lock = home.path().join("mbox.lock");
    let one = parcel(b"one\n");
    let mut destination = MboxDestination::new(&path).unwrap().patience(Duration::from_millis(200));
    deliver_all(&mut destination, &[&one]);

    fs::write(&lock, "12345\n").unwrap();
    let failed = deliver(&mut destination, &[&one]).remove(0).unwrap_err();
    let said = std::error::Error::source(&failed).unwrap().to_string();
    assert!(matches!(failed, DeliveryError::Unavailable { doing: "locking", .. }), "{failed:?}");
    assert!(said.contains("mbox.lock"), "{said}");
    assert_eq!(fs::read_to_string(&lock).unwrap(), "12345\n");

    let old = std::time::SystemTime::now() - Duration::from_secs(301);
    File::options().write(true).open(&lock).unwrap().set_modified(old).unwrap();
    deliver_all(&mut destination, &[&one]);
    assert!(!lock.exists());

    // One of ours, from a process that was killed; and one from another machine.
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    fs::write(&lock, format!("12345\npopwire {host}\n")).unwrap();
    deliver_all(&mut destination, &[&one]);
    assert!(!lock.exists());
    fs::write(&lock, format!("12345\npopwire {host}.else\n")).unwrap();
    assert!(deliver(&mut destination, &[&one])[0].is_err());
    assert_eq!(messages(&fs::read(&path).unwrap()).len(), 3);
}

#[test]
fn what_was_not_prepared_is_not_delivered() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("mbox");
    let mut destination = MboxDestination::new(&path).unwrap();
    let [one, two] = [parcel(b"one\n"), parcel(b"two\n")];
    destination.prepare(&[&one]);
    let results = destination.commit(&[&two, &one]);
    assert!(results[0].is_err() && results[1].is_ok());
    assert_eq!(messages(&fs::read(&path).unwrap()), [b"one\n"]);
}
