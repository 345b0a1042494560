//! What must hold of an mbox when things go wrong outside it: other programs, a full disk, a killed process.
//!
//! Some tests run this same program again as a child, in the role that the environment names.

// Clippy knows helpers of integration tests for no tests.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use popwire_retriever::MboxDestination;
use popwire_retriever::{AccountKey, DeliveryError, Destination, MessageKey, Parcel, Received, Spool};

const ROLE: &str = "POPWIRE_MBOX_ROLE";
const AT: &str = "POPWIRE_MBOX_AT";

/// Not a test of its own: what the children do.
#[test]
fn child() {
    let Ok(role) = env::var(ROLE) else { return };
    let home = env::var(AT).unwrap();
    match role.as_str() {
        "deliver" => deliver_missing(Path::new(&home)),
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

fn parcel(number: usize, message: &[u8]) -> Parcel {
    let mut spool = Spool::new();
    spool.write_all(message).unwrap();
    spool.finish().unwrap();
    let received =
        Received { listed: None, octets: spool.octets(), content: [7; 32], header: [0; 32], whole: true };
    let key = MessageKey::unique_id(number.to_string());
    Parcel::new(AccountKey::new("alice", "h", 110), key, received, spool)
}

fn deliver(destination: &mut MboxDestination, parcels: &[&Parcel]) -> Vec<Result<String, DeliveryError>> {
    assert!(destination.prepare(parcels).iter().all(Result::is_ok));
    destination.commit(parcels)
}

/// What Python's `mailbox` makes of the file: each message's subject and the octets of its body.
fn read_by_python(path: &Path) -> Vec<(usize, Vec<u8>)> {
    const SCRIPT: &str = "\
import mailbox, sys
for message in mailbox.mbox(sys.argv[1], create=False):
    print(message['Subject'], message.get_payload().encode('latin-1').hex())";
    let output = Command::new("python3").args(["-c", SCRIPT]).arg(path).output().unwrap();
    assert_success(&output);
    let text = String::from_utf8(output.stdout).unwrap();
    let message = |line: &str| {
        let (subject, hex) = line.split_once(' ').unwrap();
        let octet = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (subject.parse().unwrap(), (0..hex.len()).step_by(2).map(octet).collect())
    };
    text.lines().map(message).collect()
}

#[test]
fn python_reads_what_was_delivered() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("mbox");
    fs::write(&path, "From bob Mon Nov 23 12:51:07 2026\nSubject: 99\n\nwithout an empty line\n").unwrap();
    let mut destination = MboxDestination::new(&path).unwrap();
    let mails = [
        "Subject: 0\r\n\r\nplain\r\n",
        "Subject: 1\r\n\r\nFrom a\r\n>From b\r\n\r\nFrom c\r\n",
        "Subject: 2\n\nno line end",
        "Subject: 3\n\nempty lines\n\n\n",
    ];
    let parcels: Vec<_> = mails.iter().enumerate().map(|(n, mail)| parcel(n, mail.as_bytes())).collect();
    assert!(deliver(&mut destination, &parcels.iter().collect::<Vec<_>>()).iter().all(Result::is_ok));
    let bodies: Vec<_> =
        read_by_python(&path).into_iter().map(|(n, body)| (n, String::from_utf8(body).unwrap())).collect();
    let expected = [
        (99, "without an empty line\n"),
        (0, "plain\n"),
        (1, ">From a\n>>From b\n\n>From c\n"),
        (2, "no line end\n"),
        (3, "empty lines\n\n\n"),
    ];
    // Its parser gives line ends as LF, and it leaves the empty line at the end to the last message, or to none.
    let same = |(body, expected): (&(usize, String), &(usize, &str))| {
        body.0 == expected.0 && body.1.replace("\r\n", "\n").trim_end() == expected.1.trim_end()
    };
    assert_eq!(bodies.len(), expected.len());
    assert!(bodies.iter().zip(&expected).all(same), "{bodies:#?}");
}

/// A message that a reader can tell is whole: its size follows from its number.
fn message(number: usize) -> Vec<u8> {
    let mut message = format!("Subject: {number}\r\n\r\n").into_bytes();
    let text = b"a line that goes on\r\n\r\n";
    message.extend(text.iter().cycle().take(text.len() * (1 + number % 7 * 5000)));
    message
}

const MESSAGES: usize = 120;

/// As a retriever does that comes again after a crash: what is not there is delivered, in batches.
fn deliver_missing(home: &Path) {
    let mut destination = MboxDestination::new(home.join("mbox")).unwrap();
    let marks = destination.marks().unwrap();
    let parcels: Vec<_> = (0..MESSAGES).map(|number| parcel(number, &message(number))).collect();
    let missing: Vec<_> = parcels.iter().filter(|parcel| !marks.contains(&parcel.mark)).collect();
    for batch in missing.chunks(6) {
        assert!(deliver(&mut destination, batch).iter().all(Result::is_ok));
    }
}

#[test]
fn a_killed_delivery_is_taken_up_and_each_message_is_there_once() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("mbox");
    let mut interrupted = 0;
    let mut in_parts = 0;
    for round in 0..200 {
        let program = Command::new(env::current_exe().unwrap());
        let mut child = cast(program, "deliver", home.path()).stdout(Stdio::null()).spawn().unwrap();
        // From when it has the file locked on.
        let lock = home.path().join("mbox.lock");
        while !lock.exists() && child.try_wait().unwrap().is_none() {
            thread::yield_now();
        }
        thread::sleep(Duration::from_micros(round % 40 * 300));
        let ended = child.try_wait().unwrap().is_some();
        child.kill().unwrap();
        let status = child.wait().unwrap();
        if ended || status.success() {
            assert!(status.success());
            break;
        }
        interrupted += 1;
        in_parts += usize::from(!fs::read(&path).unwrap_or_default().ends_with(b"\r\n\n"));
    }
    deliver_missing(home.path());
    assert!(interrupted > 5 && in_parts > 0, "{interrupted} interrupted, {in_parts} of them in a message");

    let mut found = BTreeMap::new();
    for (number, body) in read_by_python(&path) {
        assert!(found.insert(number, body).is_none(), "{number} is there twice");
    }
    assert_eq!(found.len(), MESSAGES);
    let text = fs::read(&path).unwrap();
    for (number, body) in found {
        let expected = message(number);
        assert_eq!(body.iter().filter(|&&octet| octet == b'a').count(), number % 7 * 10_000 + 2);
        let at = memchr::memmem::find(&text, format!("Subject: {number}\r\n").as_bytes()).unwrap();
        assert!(text[at..].starts_with(&[&expected[..], b"\n"].concat()), "{number} is not what it was");
    }
    assert!(!home.path().join("mbox.lock").exists());
}

#[test]
fn a_file_that_cannot_grow_is_left_as_it_was() {
    let home = tempfile::tempdir().unwrap();
    let mut limited = Command::new("bash");
    limited.args(["-c", r#"trap "" XFSZ; ulimit -f 200; exec "$0" "$@""#]).arg(env::current_exe().unwrap());
    assert_success(&cast(limited, "fill", home.path()).output().unwrap());
}

#[test]
fn a_full_disk_is_left_as_it_was() {
    let home = tempfile::tempdir().unwrap();
    let mut tiny = Command::new("unshare");
    let mount = r#"mount -t tmpfs -o size=200k none "$POPWIRE_MBOX_AT" || exit 99; exec "$0" "$@""#;
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
    let path = home.join("mbox");
    let mut destination = MboxDestination::new(&path).unwrap();
    let small = parcel(0, b"Subject: 0\n\nsmall\n");
    assert!(deliver(&mut destination, &[&small]).iter().all(Result::is_ok));
    let before = fs::read(&path).unwrap();

    // Small enough to need no file on their way.
    let another = parcel(1, b"Subject: 1\n\nsmall\n");
    let many: Vec<_> = (2..50).map(|number| parcel(number, &[b'x'; 30_000])).collect();
    for result in deliver(&mut destination, &std::iter::once(&another).chain(&many).collect::<Vec<_>>()) {
        let error = result.unwrap_err();
        let is_limit = |error: &DeliveryError| matches!(error, DeliveryError::Io { source, .. } if source.kind() == std::io::ErrorKind::FileTooLarge);
        assert!(
            matches!(error, DeliveryError::DiskFull { doing: "writing", .. }) || is_limit(&error),
            "{error:?}"
        );
    }
    assert_eq!(fs::read(&path).unwrap(), before);
    assert!(!home.join("mbox.lock").exists());

    assert!(deliver(&mut destination, &[&another]).iter().all(Result::is_ok));
    assert_eq!(read_by_python(&path).len(), 2);
}

/// A process that holds a lock until its input ends.
struct Holder(Child);

impl Holder {
    fn new(script: &str, path: &Path) -> Self {
        let mut python = Command::new("python3");
        let script = format!("import fcntl, sys\n{script}\nprint('held', flush=True)\nsys.stdin.read()");
        python.args(["-c", &script]).arg(path).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = python.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "held\n");
        Self(child)
    }

    fn let_go(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

#[test]
fn locks_of_other_programs_are_waited_for() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("mbox");
    let mut destination = MboxDestination::new(&path).unwrap().patience(Duration::from_millis(300));
    let one = parcel(1, b"Subject: 1\n\n");
    assert!(deliver(&mut destination, &[&one])[0].is_ok());
    let kernel = "file = open(sys.argv[1], 'r+'); fcntl.lockf(file, fcntl.LOCK_EX)";
    let dotlock = "import mailbox; import atexit; box = mailbox.mbox(sys.argv[1]); box.lock(); atexit.register(box.unlock)";
    for script in [kernel, dotlock] {
        let holder = Holder::new(script, &path);
        let before = fs::read(&path).unwrap();
        let begun = Instant::now();
        let error = deliver(&mut destination, &[&one]).remove(0).unwrap_err();
        assert!(matches!(error, DeliveryError::Unavailable { doing: "locking", .. }), "{error:?}");
        assert!(begun.elapsed() >= Duration::from_millis(300));
        assert!(destination.marks().is_err());
        assert_eq!(fs::read(&path).unwrap(), before);

        let mut patient = MboxDestination::new(&path).unwrap();
        let waiting =
            thread::spawn(move || deliver(&mut patient, &[&parcel(1, b"Subject: 1\n\n")]).remove(0));
        thread::sleep(Duration::from_millis(200));
        assert!(!waiting.is_finished());
        holder.let_go();
        waiting.join().unwrap().unwrap();
    }
}

#[test]
fn python_waits_for_our_locks() {
    // Python's mailbox refuses a file that is locked in either way. A pipe as the message's source is not to be had, so
    // the delivery is made long by its size, and Python tries all the time.
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("mbox");
    let mut destination = MboxDestination::new(&path).unwrap();
    assert!(deliver(&mut destination, &[&parcel(0, b"Subject: 0\n\n")])[0].is_ok());
    const SCRIPT: &str = "\
import fcntl, sys
refused = 0
print('held', flush=True)
for _ in range(100000):
    file = open(sys.argv[1], 'r+b')
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        text = file.read()
        assert text.endswith(b'\\n\\n'), text[-50:]
    except BlockingIOError:
        refused += 1
    file.close()
    if text.count(b'\\nSubject: 1\\n') == 20:
        sys.exit(0 if refused else 3)
sys.exit(4)";
    let mut python =
        Command::new("python3").args(["-c", SCRIPT]).arg(&path).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(python.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let large = [b"Subject: 1\n\n", &vec![b'x'; 3 << 20][..], b"\n"].concat();
    for _ in 0..20 {
        assert!(deliver(&mut destination, &[&parcel(1, &large)])[0].is_ok());
    }
    assert_eq!(python.wait().unwrap().code(), Some(0));
}

#[test]
fn a_folder_that_is_not_ours_needs_no_dotlock() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("mbox");
    File::create(&path).unwrap();
    let script = r#"chmod 777 "$0"; chmod 666 "$0/mbox"; chmod 555 "$0""#;
    assert!(Command::new("sh").args(["-c", script]).arg(home.path()).status().unwrap().success());
    // Root may write everywhere; another user may not.
    let mut program = Command::new("setpriv");
    program.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(env::current_exe().unwrap());
    let output = cast(program, "deliver", home.path()).output().unwrap();
    if rustix::process::geteuid().is_root() {
        assert_success(&output);
        assert_eq!(read_by_python(&path).len(), MESSAGES);
    }
}
