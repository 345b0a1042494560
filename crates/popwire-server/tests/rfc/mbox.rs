//! The mbox store.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use popwire_interop::rss;
use popwire_server::{Maildrop, Server};
use tempfile::TempDir;

use crate::talk::{SOON, Talk};

/// A folder with an mbox in it, served for alice.
struct Place {
    folder: TempDir,
    maildrop: Maildrop,
    server: Server,
}

const MAIL: &str = "From ann@example.org Mon Feb  2 08:14:07 2026\nSubject: one\n\nfirst\n\n\
                    From bob@example.org Mon Feb  2 08:15:00 2026\nSubject: two\n\n>From here on\n>>From there\n> x\n\n\n\
                    From cat@example.org Mon Feb  2 08:16:00 2026\nSubject: three\n\nthird\n\n";

fn place(mail: &str) -> Place {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("mbox"), mail).unwrap();
    let maildrop = Maildrop::mbox(folder.path().join("mbox"));
    let server = Server::builder().user("alice", "s3cret pass", maildrop.clone()).start().unwrap();
    Place { folder, maildrop, server }
}

impl Place {
    fn path(&self) -> PathBuf {
        self.folder.path().join("mbox")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    fn append(&self, text: &str) {
        append(&self.path(), text);
    }

    fn messages(&self) -> Vec<String> {
        let messages = self.maildrop.messages().unwrap();
        messages.into_iter().map(|message| String::from_utf8(message).unwrap()).collect()
    }

    fn session(&self, commands: &str) {
        let mut talk = Talk::alice(&self.server);
        for command in commands.split_whitespace() {
            talk.run(&format!("C: DELE {command}\nS: +OK *"));
        }
        talk.run("C: QUIT\nS: +OK *\nS: <EOF>");
    }

    /// There is nothing but the mbox: no lock, no half of a new file.
    fn tidy(&self) {
        assert_eq!(fs::read_dir(self.folder.path()).unwrap().count(), 1);
    }
}

fn append(path: &Path, text: &str) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

#[test]
fn p_025_p_055_messages_of_an_mbox() {
    let place = place(MAIL);
    let mut talk = Talk::alice(&place.server);
    talk.run(
        "C: STAT
         S: +OK 3 98
         C: LIST
         S: +OK *
         S: 1 23
         S: 2 50
         S: 3 25
         S: .
         C: RETR 1
         S: +OK *
         S: Subject: one
         S:
         S: first
         S: .
         C: RETR 2
         S: +OK *
         S: Subject: two
         S:
         S: From here on
         S: >From there
         S: > x
         S:
         S: .
         C: TOP 3 0
         S: +OK *
         S: Subject: three
         S:
         S: .
         C: QUIT
         S: +OK *",
    );
    assert_eq!(place.text(), MAIL, "reading changes nothing");
    place.tidy();
}

#[test]
fn line_ends_and_ends_of_files() {
    for (mail, messages) in [
        ("", vec![]),
        ("From a\n", vec![""]),
        ("From a\n\n", vec![""]),
        ("From a", vec![""]),
        ("From a\nno end", vec!["no end"]),
        ("From a\n\nFrom b\n\n\n", vec!["", "\n"]),
        ("From a\nx\nFrom b\ny\n", vec!["x\n", "y\n"]),
        ("From a\r\nx\r\n\r\nFrom b\r\n>From y\r\n\r\n", vec!["x\r\n", "From y\r\n"]),
        ("From a\n>", vec![">"]),
        ("From a\n>From", vec![">From"]),
        ("From a\nFro\nFromage\n From b\n", vec!["Fro\nFromage\n From b\n"]),
    ] {
        let place = place(mail);
        assert_eq!(place.messages(), messages, "{mail:?}");
        // LIST says what RETR sends.
        let mut talk = Talk::alice(&place.server);
        for number in 1..=messages.len() {
            talk.run(&format!("C: LIST {number}"));
            let size = String::from_utf8(talk.line()).unwrap();
            talk.run(&format!("C: RETR {number}\nS: +OK *"));
            let body = talk.body().replace("\r\n.", "\r\n");
            assert_eq!(size, format!("+OK {number} {}\r\n", body.len()), "{mail:?}");
        }
    }
}

#[test]
fn a_file_that_is_no_mbox_is_refused_and_left_alone() {
    for text in ["\nFrom a\n\nx\n", "Subject: x\n\nFrom a\n", "\0\0\0"] {
        let place = place(text);
        Talk::plain(&place.server)
            .run("S: +OK *\nC: USER alice\nS: +OK *\nC: PASS s3cret pass\nS: -ERR [SYS/TEMP] *");
        assert_eq!(place.text(), text);
        place.tidy();
    }
    // None at all is an empty one, and stays away.
    let place = place("");
    fs::remove_file(place.path()).unwrap();
    place.session("");
    assert!(!place.path().exists());
}

#[test]
fn p_059_what_is_marked_is_removed_and_nothing_else_is_changed() {
    let place = place(MAIL);
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o640)).unwrap();
    place.session("2");
    let second = MAIL.find("From bob").unwrap()..MAIL.find("From cat").unwrap();
    let mut expected = MAIL.to_owned();
    expected.replace_range(second, "");
    assert_eq!(place.text(), expected);
    assert_eq!(fs::metadata(place.path()).unwrap().mode() & 0o777, 0o640);
    place.session("1 2");
    assert_eq!((place.text(), place.maildrop.len().unwrap()), (String::new(), 0));
    place.tidy();
}

#[test]
fn p_066_unique_ids_stay_whatever_happens_to_others() {
    let twice = "From a\nSubject: x\n\nsame\n\n";
    let place = place(&format!("{twice}{MAIL}{twice}"));
    let ids = place.maildrop.unique_ids().unwrap();
    assert_eq!(ids.len(), 5);
    assert!(ids.iter().enumerate().all(|(at, id)| !ids[..at].contains(id) && id.len() <= 70));
    place.session("2");
    assert_eq!(place.maildrop.unique_ids().unwrap(), [&ids[..1], &ids[2..]].concat());
    // What other programs note of a message is no part of its name. In the body it is text.
    let noted = place.text().replace("Subject: three\n", "Status: RO\nSubject: three\nX-Status: F\n");
    fs::write(place.path(), noted).unwrap();
    assert_eq!(place.maildrop.unique_ids().unwrap(), [&ids[..1], &ids[2..]].concat());
    assert_eq!(place.maildrop.seen().unwrap(), [false, false, true, false]);
    fs::write(place.path(), place.text().replace("third\n", "Status: RO\n")).unwrap();
    assert_ne!(place.maildrop.unique_ids().unwrap()[2], ids[3]);
    // A store that knows nothing yet finds the same.
    let anew = Maildrop::mbox(place.path());
    assert_eq!(anew.unique_ids().unwrap(), place.maildrop.unique_ids().unwrap());
}

#[test]
fn p_034_mail_that_comes_during_a_session_is_for_the_next() {
    let place = place(MAIL);
    let mut talk = Talk::alice(&place.server);
    place.append("From dan@example.org\nSubject: four\n\nfourth\n\n");
    // Numbers and messages are what they were.
    talk.run("C: STAT\nS: +OK 3 98\nC: RETR 3\nS: +OK *");
    assert_eq!(talk.body(), "Subject: three\r\n\r\nthird\r\n");
    talk.run("C: RETR 4\nS: -ERR *\nC: DELE 1\nS: +OK *\nC: DELE 3\nS: +OK *\nC: QUIT\nS: +OK *");
    let left = place.messages();
    assert_eq!(left.len(), 2);
    assert!(left[0].starts_with("Subject: two") && left[1] == "Subject: four\n\nfourth\n", "{left:?}");
}

#[test]
fn mail_that_comes_just_before_quit_stays() {
    let place = place(MAIL);
    let mut talk = Talk::alice(&place.server);
    talk.run("C: DELE 1\nS: +OK *\nC: DELE 3\nS: +OK *");
    // Nothing looks at the file between this and the removal.
    place.append("From dan@example.org\nSubject: four\n\nfourth\n\n");
    talk.run("C: QUIT\nS: +OK *");
    let left = place.messages();
    assert!(left.len() == 2 && left[1] == "Subject: four\n\nfourth\n", "{left:?}");
}

#[test]
fn other_programs_rewrite_the_file() {
    let place = place(MAIL);
    let mut talk = Talk::alice(&place.server);
    let without_first = MAIL[MAIL.find("From bob").unwrap()..].to_owned();
    // In place, as some do, and then as a new file.
    fs::write(place.path(), &without_first).unwrap();
    talk.run("C: RETR 1\nS: -ERR the message cannot be read\nC: RETR 3\nS: +OK *");
    assert_eq!(talk.body(), "Subject: three\r\n\r\nthird\r\n");
    let other = place.folder.path().join("other");
    fs::write(&other, &without_first).unwrap();
    fs::rename(other, place.path()).unwrap();
    talk.run("C: RETR 3\nS: +OK *");
    assert_eq!(talk.body(), "Subject: three\r\n\r\nthird\r\n");
    // One has gone already, and counts as removed.
    talk.run("C: DELE 1\nS: +OK *\nC: DELE 2\nS: +OK *\nC: QUIT\nS: +OK *");
    assert_eq!(place.messages(), ["Subject: three\n\nthird\n"]);
}

#[test]
fn p_033_other_programs_locks_are_kept() {
    let place = place(MAIL);
    // By a file beside it, for a moment.
    let lock = place.folder.path().join("mbox.lock");
    File::create_new(&lock).unwrap();
    let began = Instant::now();
    let release = thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        fs::remove_file(lock).unwrap();
    });
    place.session("1");
    release.join().unwrap();
    assert!(began.elapsed() >= Duration::from_millis(200));

    // By fcntl, which only another process can show.
    let script = "import fcntl, sys, time\nf = open(sys.argv[1], 'r+b')\nfcntl.lockf(f, fcntl.LOCK_EX)\n\
                  print(flush=True)\ntime.sleep(0.3)";
    let mut python = Command::new("python3");
    let mut other =
        python.arg("-c").arg(script).arg(place.path()).stdout(Stdio::piped()).spawn().expect("python3");
    std::io::Read::read_exact(&mut other.stdout.take().unwrap(), &mut [0]).unwrap();
    let began = Instant::now();
    place.session("1");
    assert!(began.elapsed() >= Duration::from_millis(250), "{:?}", began.elapsed());
    assert!(other.wait().unwrap().success());
    assert_eq!(place.messages(), ["Subject: three\n\nthird\n"]);
    place.tidy();
}

#[test]
fn what_a_crash_left_behind_is_in_nobodys_way() {
    let place = place(MAIL);
    let lock = File::create_new(place.folder.path().join("mbox.lock")).unwrap();
    lock.set_modified(SystemTime::now() - Duration::from_secs(301)).unwrap();
    fs::write(place.folder.path().join("mbox.popwire-new"), "From a\nhalf of it").unwrap();
    place.session("1 2");
    assert_eq!(place.messages(), ["Subject: three\n\nthird\n"]);
    place.tidy();
}

#[test]
fn p_060_a_removal_that_cannot_be_done_is_told_and_changes_nothing() {
    let place = place(MAIL);
    let mut talk = Talk::alice(&place.server);
    talk.run("C: DELE 1\nS: +OK *");
    // A folder of that name, with something in it, is no file that could be replaced.
    fs::create_dir(place.folder.path().join("mbox.popwire-new")).unwrap();
    talk.run("C: QUIT\nS: -ERR some deleted messages not removed");
    assert_eq!(place.text(), MAIL);
    assert!(place.maildrop.removed().is_empty());
}

#[test]
fn a_link_stays_one() {
    let place = place(MAIL);
    let link = place.folder.path().join("link");
    std::os::unix::fs::symlink(place.path(), &link).unwrap();
    let server = Server::builder().user("alice", "s3cret pass", Maildrop::mbox(&link)).start().unwrap();
    Talk::alice(&server).run("C: DELE 1\nS: +OK *\nC: QUIT\nS: +OK *");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(place.messages().len(), 2);
}

#[test]
fn deliveries_and_sessions_at_once_lose_nothing() {
    let place = place("");
    let (path, lock) = (place.path(), place.folder.path().join("mbox.lock"));
    let done = AtomicBool::new(false);
    const COUNT: usize = 150;
    thread::scope(|scope| {
        // As a delivery agent does: lock, open, append, unlock.
        scope.spawn(|| {
            for number in 0..COUNT {
                while File::create_new(&lock).is_err() {
                    thread::yield_now();
                }
                append(&path, &format!("From a\nSubject: {number}\n\n{}\n", "text\n".repeat(number * 20)));
                fs::remove_file(&lock).unwrap();
                // Sessions are to see some of it.
                thread::sleep(Duration::from_millis(2));
            }
            done.store(true, Ordering::Release);
        });
        loop {
            let last = done.load(Ordering::Acquire);
            let mut talk = Talk::alice(&place.server);
            talk.run("C: STAT");
            let count: usize =
                String::from_utf8(talk.line()).unwrap().split(' ').nth(1).unwrap().parse().unwrap();
            // Every other one, or all that are left.
            for number in (1..=count).step_by(if last { 1 } else { 2 }) {
                talk.run(&format!("C: DELE {number}\nS: +OK *"));
            }
            talk.run("C: QUIT\nS: +OK *\nS: <EOF>");
            if last {
                break;
            }
        }
    });
    assert_eq!(place.maildrop.removed().len(), COUNT, "each was there to be removed, once");
    assert_eq!(place.text(), "");
}

#[test]
fn a_large_mbox_is_never_in_memory() {
    let place = place("");
    const MESSAGES: usize = 6;
    let mut file = File::create(place.path()).unwrap();
    let megabyte = "all work and no play makes jack a dull boy\n".repeat((1 << 20) / 43);
    for number in 0..MESSAGES {
        write!(file, "From a\nSubject: {number}\n\n").unwrap();
        (0..16).for_each(|_| file.write_all(megabyte.as_bytes()).unwrap());
        file.write_all(b"\n").unwrap();
    }
    drop(file);
    let size = fs::metadata(place.path()).unwrap().len();
    rss::reset_peak().unwrap();
    let before = rss::peak_kib().unwrap();
    let mut talk = Talk::alice(&place.server);
    talk.run("C: LIST 3");
    let listed = String::from_utf8(talk.line()).unwrap();
    let octets: u64 = listed.trim_end().rsplit(' ').next().unwrap().parse().unwrap();
    talk.run("C: RETR 3\nS: +OK *");
    talk.skip(octets);
    talk.run("S: .\nC: DELE 1\nS: +OK *\nC: QUIT\nS: +OK *");
    let cost = rss::peak_kib().unwrap().saturating_sub(before);
    // Other tests run beside this one.
    assert!(cost < 40 << 10, "{cost} KiB for a file of {size} octets");
    assert_eq!(place.maildrop.len().unwrap(), MESSAGES - 1);
    assert!(place.server.wait_closed(1, SOON));
}
