//! What must hold of a delivery when things go wrong outside it: a full disk, a killed process, loss of power.
//!
//! Some tests run this same program again as a child, in the role that the environment names.

// Clippy knows helpers of integration tests for no tests.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

use std::{
    env, fs,
    io::{self, Read, Write},
    path::Path,
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use popwire_retriever::maildir::{DeliveryError, Maildir};

const ROLE: &str = "POPWIRE_MAILDIR_ROLE";
const AT: &str = "POPWIRE_MAILDIR_AT";

/// Not a test of its own: what the children do.
#[test]
fn child() {
    let Ok(role) = env::var(ROLE) else { return };
    let home = env::var(AT).unwrap();
    match role.as_str() {
        "deliver" => deliver_three(Path::new(&home)),
        "deliver for ever" => deliver_for_ever(Path::new(&home)),
        "fill" => fill(Path::new(&home)),
        _ => panic!("no role {role}"),
    }
}

/// Arguments and environment for this program in a role.
fn cast(mut command: Command, role: &str, home: &Path) -> Command {
    command.args(["child", "--exact", "--nocapture", "--test-threads=1"]);
    command.env(ROLE, role).env(AT, home).stdin(Stdio::null());
    command
}

fn assert_success(output: &Output) {
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    assert!(output.status.success(), "{}\n{}", output.status, String::from_utf8_lossy(&said));
}

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn every_message_is_flushed_then_moved_then_its_folder_is_flushed() {
    let home = tempfile::tempdir().unwrap();
    let trace = home.path().join("trace");
    let mut strace = Command::new("strace");
    let calls =
        "trace=write,mkdir,fsync,fdatasync,sync,syncfs,rename,renameat,renameat2,link,linkat,unlink,unlinkat";
    strace.args(["-f", "-y", "-s", "0", "-e", calls, "-o"]).arg(&trace).arg(env::current_exe().unwrap());
    let output = cast(strace, "deliver", home.path()).output();
    assert_success(
        &output.unwrap_or_else(|reason| panic!("strace is needed (apt-get install strace): {reason}")),
    );

    let root = home.path().join("deep/Mail");
    let text = fs::read_to_string(&trace).unwrap();
    let events: Vec<_> = text.lines().filter_map(|line| event(line, home.path())).collect();
    let (made, delivered) = events.split_at(events.iter().position(|e| e.starts_with("write")).unwrap());

    // Each new folder is flushed into its parent before the first message is written
    for folder in ["deep", "deep/Mail", "deep/Mail/tmp", "deep/Mail/new", "deep/Mail/cur"] {
        let at = made.iter().position(|e| *e == format!("mkdir {folder}")).unwrap();
        let parent = Path::new(folder).parent().unwrap().display();
        assert!(made[at..].contains(&format!("fsync {parent}")), "{folder} is not flushed: {made:#?}");
    }

    let mut expected = Vec::new();
    let mut stored: Vec<_> = names(&root.join("new"));
    stored.sort_by_key(|name| name.rsplit_once("S=").unwrap().1.parse::<u64>().unwrap());
    assert_eq!(stored.len(), 3);
    for name in &stored {
        let unique = name.split(',').next().unwrap();
        expected.push(format!("write deep/Mail/tmp/{unique}"));
        expected.push(format!("fsync deep/Mail/tmp/{unique}"));
        expected.push(format!("move deep/Mail/tmp {unique} deep/Mail/new {name}"));
        expected.push("fsync deep/Mail/new".to_owned());
    }
    let mut delivered = delivered.to_vec();
    delivered.dedup(); // a large message is written in more than one piece
    assert_eq!(delivered, expected);
}

/// A line of strace as "call path", if it is about something below `home`.
fn event(line: &str, home: &Path) -> Option<String> {
    let (_, call) = line.split_once(' ')?;
    let (name, rest) = call.trim_start().split_once('(')?;
    let home = format!("{}", home.display());
    if !rest.contains(&home) || name == "write" && !rest.contains(&format!("<{home}/")) {
        return None;
    }
    assert!(!line.contains(" = -1 ") || line.contains("ENOENT"), "failed: {line}");
    let below = |path: &str| path.strip_prefix(&home).map(|p| p.trim_start_matches('/').to_owned());
    let quoted: Vec<_> = rest.split('"').skip(1).step_by(2).collect();
    let opened: Vec<_> = rest.split('<').skip(1).filter_map(|part| below(part.split('>').next()?)).collect();
    match name {
        "mkdir" if line.contains("ENOENT") => None,
        "mkdir" => Some(format!("mkdir {}", below(quoted[0])?)),
        "renameat2" => {
            assert!(rest.contains("RENAME_NOREPLACE"), "may overwrite: {line}");
            Some(format!("move {} {} {} {}", opened[0], quoted[0], opened[1], quoted[1]))
        }
        _ => Some(format!("{name} {}", opened.first()?)),
    }
}

fn deliver_three(home: &Path) {
    let maildir = Maildir::create(home.join("deep/Mail")).unwrap();
    for size in [10, 100_000, 1_000_000] {
        let mut delivery = maildir.deliver().unwrap();
        vec![b'x'; size].chunks(30_000).for_each(|part| delivery.write_all(part).unwrap());
        delivery.commit().unwrap();
    }
}

#[test]
fn a_file_that_cannot_grow_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    let mut limited = Command::new("bash");
    limited.args(["-c", r#"trap "" XFSZ; ulimit -f 100; exec "$0" "$@""#]).arg(env::current_exe().unwrap());
    assert_success(&cast(limited, "fill", home.path()).output().unwrap());
}

#[test]
fn a_full_disk_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    let mut tiny = Command::new("unshare");
    let mount = r#"mount -t tmpfs -o size=200k none "$POPWIRE_MAILDIR_AT" || exit 99; exec "$0" "$@""#;
    tiny.args(["--mount", "--map-root-user", "sh", "-c", mount]).arg(env::current_exe().unwrap());
    match cast(tiny, "fill", home.path()).output() {
        Ok(output) if output.status.code() == Some(99) || !may_unshare() => {
            // A container may forbid mounts. The file size limit above is then the full disk.
            eprintln!("no mounts are allowed here: tried with the file size limit only");
        }
        output => assert_success(&output.unwrap()),
    }
}

fn may_unshare() -> bool {
    let tried = Command::new("unshare").args(["--mount", "--map-root-user", "true"]).output();
    tried.is_ok_and(|output| output.status.success())
}

fn fill(home: &Path) {
    let maildir = Maildir::create(home.join("Mail")).unwrap();
    let small = || {
        let mut delivery = maildir.deliver().unwrap();
        delivery.write_all(b"small").unwrap();
        delivery.commit().unwrap();
    };
    small();

    // Written large, it fails in a write; the error of the disk comes out of io::copy recognisable.
    let mut delivery = maildir.deliver().unwrap();
    let failed = io::copy(&mut io::repeat(b'x').take(1 << 20), &mut delivery).unwrap_err();
    let full = DeliveryError::within(&failed).unwrap();
    assert!(full.path().unwrap().starts_with(maildir.path().join("tmp")));
    assert!(
        matches!(full, DeliveryError::DiskFull { doing: "writing", .. })
            || failed.kind() == io::ErrorKind::FileTooLarge,
        "{full:?}"
    );
    // From then on it stays failed, even if there is room again.
    assert!(delivery.write_all(b"more").is_err());
    assert!(delivery.flush().is_err());
    assert!(matches!(delivery.commit(), Err(DeliveryError::Spoiled { .. })));

    // Dropped after the failure, it leaves nothing either.
    let mut delivery = maildir.deliver().unwrap();
    assert!(delivery.write_all(&vec![b'x'; 1 << 20]).is_err());
    drop(delivery);
    assert!(names(&maildir.path().join("tmp")).is_empty());

    small();
    assert_eq!(names(&maildir.path().join("new")).len(), 2);
}

#[test]
fn nothing_in_new_is_ever_partial() {
    let home = tempfile::tempdir().unwrap();
    let maildir = Maildir::create(home.path()).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                check_whole(maildir.path());
            }
        });
        for n in 0..40 {
            let mut delivery = maildir.deliver().unwrap();
            message(n).chunks(10_000).for_each(|part| delivery.write_all(part).unwrap());
            delivery.commit().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(check_whole(maildir.path()), 40);
}

#[test]
fn a_killed_process_leaves_whole_messages_only() {
    let home = tempfile::tempdir().unwrap();
    let mut whole = 0;
    for round in 0..12 {
        let program = Command::new(env::current_exe().unwrap());
        let mut child = cast(program, "deliver for ever", home.path()).stdout(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(15 + round * 7));
        child.kill().unwrap();
        child.wait().unwrap();
        if home.path().join("new").is_dir() {
            whole = check_whole(home.path());
        }
    }
    assert!(whole > 0, "no message was delivered at all");
    // What was under way is in tmp/ still, for clean_tmp, and the Maildir works on.
    let maildir = Maildir::create(home.path()).unwrap();
    maildir.deliver().unwrap().commit().unwrap();
}

fn deliver_for_ever(home: &Path) {
    let maildir = Maildir::create(home).unwrap();
    for n in 0.. {
        let mut delivery = maildir.deliver().unwrap();
        message(n).chunks(7_000).for_each(|part| delivery.write_all(part).unwrap());
        delivery.commit().unwrap();
    }
}

/// A message that can tell whether it is whole: its size is in its first line.
fn message(n: usize) -> Vec<u8> {
    let size = 1_000 + n % 5 * 50_000;
    let mut message = format!("{size:08}\r\n").into_bytes();
    message.resize(size, b'm');
    message
}

/// Check each message in `new/`; how many there are.
fn check_whole(maildir: &Path) -> usize {
    let stored = names(&maildir.join("new"));
    for name in &stored {
        let octets = fs::read(maildir.join("new").join(name)).unwrap();
        if let Some(size) = name.rsplit_once("S=").map(|(_, size)| size.parse::<usize>().unwrap())
            && size > 0
        {
            assert_eq!(octets.len(), size, "{name} is partial");
            assert_eq!(octets[..8], *format!("{size:08}").as_bytes());
        }
    }
    stored.len()
}
