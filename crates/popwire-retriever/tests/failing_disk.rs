//! A disk that takes what is written, and fails when the system brings it there. What was reported as delivered must be on
//! it all the same, after it was unmounted and mounted again.
//!
//! The disk is an ext4 on a loop device, whose image lies in a tmpfs that is too small for it. Making one takes root.
#![cfg(target_os = "linux")]
// Clippy knows helpers of integration tests for no tests.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use popwire_retriever::maildir::{Flush, Maildir, MaildirDestination};
use popwire_retriever::{AccountKey, Destination, MessageKey, Parcel, Received, Spool};

const ROLE: &str = "POPWIRE_DISK_ROLE";
const AT: &str = "POPWIRE_DISK_AT";

/// Three times what the disk can hold, and half of what it says that it can.
const MESSAGES: usize = 600;
const SIZE: usize = 100_000;
/// Enough to be flushed together, and few enough that the disk takes the first of them.
const TOGETHER: usize = 5;

/// Makes the disk, lets the child deliver onto it, and lets it look again when nothing is in memory any more.
const SCRIPT: &str = r#"
cd "$POPWIRE_DISK_AT" && mkdir small disk || exit 1
mount -t tmpfs -o size=16m none small || exit 99
truncate -s 120m small/image || exit 1
mkfs.ext4 -q -F -b 4096 -N 2048 -J size=4 -E lazy_itable_init=0,lazy_journal_init=0 small/image || exit 99
# The journal lies where there is room, or its failure would stop everything at once.
fallocate -l 15m small/image || exit 99
device=$(losetup --find --show small/image) || exit 99
# A page at a time: the loop device takes what was written in part for written.
echo 4 > "/sys/block/${device#/dev/}/queue/max_sectors_kb"; one=$?
mount "$device" disk; mounted=$?
losetup --detach "$device"
test "$one$mounted" = 00 || exit 99
"$0" "$@" || exit 1
umount disk || exit 1
# Room for what the journal holds.
mount -o remount,size=150m small && mount -o loop small/image disk || exit 1
POPWIRE_DISK_ROLE=look "$0" "$@"
"#;

/// Not a test of its own: what the children do.
#[test]
fn child() {
    let Ok(role) = env::var(ROLE) else { return };
    let home = PathBuf::from(env::var(AT).unwrap());
    let disk = home.join("disk/Mail");
    match role.as_str() {
        "auto" => lose(&disk, true, Flush::Auto, &home),
        "files" => lose(&disk, true, Flush::Files, &home),
        "copied" => lose(&disk, false, Flush::Auto, &home),
        "look" => look(&home),
        _ => panic!("no role {role}"),
    }
}

fn message(number: usize) -> Vec<u8> {
    let mut message = format!("{number:08}\r\n").into_bytes();
    message.resize(SIZE, b'm');
    message
}

fn parcel(number: usize, mut spool: Spool) -> Option<Parcel> {
    spool.write_all(&message(number)).and_then(|()| spool.finish()).ok()?;
    let mut content = [0; 32];
    content[..8].copy_from_slice(&number.to_be_bytes());
    let received = Received { listed: None, octets: spool.octets(), content, header: [0; 32], whole: true };
    Some(Parcel::new(
        AccountKey::new("a", "h", 110),
        MessageKey::unique_id(number.to_string()),
        received,
        spool,
    ))
}

/// Delivers until the disk has failed, and notes what was reported as delivered. Messages are written into the Maildir, or
/// copied there from elsewhere.
fn lose(disk: &Path, in_place: bool, flush: Flush, home: &Path) {
    let mut destination = MaildirDestination::new(Maildir::create(disk).unwrap(), flush);
    let mut spooler = destination.spooler().unwrap();
    let done = AtomicBool::new(false);
    let mut results = Vec::new();
    thread::scope(|scope| {
        // Another program, which hears of the error too, and maybe first.
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let _ = rustix::fs::syncfs(File::open(disk).unwrap());
            }
        });
        // Many are handed over together, or none would be flushed together.
        'delivering: for batch in (0..MESSAGES).collect::<Vec<_>>().chunks(TOGETHER) {
            let mut parcels = Vec::new();
            for number in batch {
                let spool = if in_place { spooler() } else { Ok(Spool::new()) };
                let Some(parcel) = spool.ok().and_then(|spool| parcel(*number, spool)) else {
                    break 'delivering; // The disk has failed, and the system lets nothing more be written.
                };
                parcels.push((*number, parcel));
            }
            let all: Vec<&Parcel> = parcels.iter().map(|(_, parcel)| parcel).collect();
            let mut ready = Vec::new();
            for ((number, parcel), prepared) in parcels.iter().zip(destination.prepare(&all)) {
                match prepared {
                    Ok(()) => ready.push((*number, parcel)),
                    Err(_) => results.push((*number, None)),
                }
            }
            let committed = destination.commit(&ready.iter().map(|(_, parcel)| *parcel).collect::<Vec<_>>());
            results.extend(ready.iter().zip(committed).map(|((number, _), place)| (*number, place.ok())));
        }
        done.store(true, Ordering::Relaxed);
    });
    let mut safe = File::create(home.join("safe")).unwrap();
    let mut failed = 0;
    for (number, place) in results {
        match place {
            Some(place) => writeln!(safe, "{number} {place}").unwrap(),
            None => failed += 1,
        }
    }
    assert!(failed > 0, "the disk did not fail");
}

fn look(home: &Path) {
    let safe = fs::read_to_string(home.join("safe")).unwrap();
    assert!(!safe.is_empty(), "the disk failed too early");
    for line in safe.lines() {
        let (number, path) = line.split_once(' ').unwrap();
        let stored = fs::read(path).unwrap_or_else(|error| panic!("message {number} is lost: {error}"));
        assert!(stored == message(number.parse().unwrap()), "message {number} is damaged");
    }
}

fn on_a_failing_disk(role: &str) {
    let home = tempfile::tempdir().unwrap();
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", SCRIPT])
        .arg(env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .env(AT, home.path())
        .output()
        .unwrap();
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said);
    match output.status.code() {
        Some(0) => {}
        Some(99) => eprintln!("no disk of our own is allowed here: not tried\n{said}"),
        _ if said.contains("unshare failed") => eprintln!("no mounts are allowed here: not tried\n{said}"),
        _ => panic!("{}\n{said}", output.status),
    }
}

#[test]
fn what_was_flushed_with_the_file_system_is_on_the_disk() {
    on_a_failing_disk("auto");
}

#[test]
fn what_was_flushed_file_by_file_is_on_the_disk() {
    on_a_failing_disk("files");
}

#[test]
fn what_was_copied_from_elsewhere_is_on_the_disk() {
    on_a_failing_disk("copied");
}
