//! `popwire serve`, with `popwire fetch` as its client.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use popwire_interop::process::Process;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::world::{Run, run};

/// A folder with mail, and the program serving it.
struct Serving {
    process: Process,
    out: BufReader<std::process::ChildStdout>,
    /// The object `serving`.
    began: Value,
    home: TempDir,
}

fn home() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    for folder in ["new", "cur", "tmp"] {
        fs::create_dir_all(home.path().join("Mail").join(folder)).unwrap();
    }
    for number in 1..=3 {
        let message = format!("Subject: {number}\n\n.{number}\n");
        fs::write(home.path().join(format!("Mail/new/{number}.test")), message).unwrap();
    }
    home
}

fn command(home: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_popwire"));
    command
        .args(line.split_whitespace())
        .current_dir(home)
        .env_clear()
        .env("POPWIRE_STATE", home.join("state"))
        .env("PATH", std::env::var_os("PATH").unwrap())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

impl Serving {
    fn start(home: TempDir, options: &str) -> Self {
        let line = format!("serve --json --listen 127.0.0.1:0 --listen-tls 127.0.0.1:0 {options}");
        let mut process = Process::spawn(&mut command(home.path(), &line)).unwrap();
        let mut out = BufReader::new(process.child().stdout.take().unwrap());
        let mut first = String::new();
        out.read_line(&mut first).unwrap();
        let began: Value = serde_json::from_str(&first).expect(&first);
        assert_eq!(began["event"], "serving");
        Self { process, out, began, home }
    }

    /// `popwire fetch` over verified TLS, into the folder `Got`.
    fn fetch(&self, options: &str) -> Run {
        let tls = self.began["tls"].as_str().unwrap();
        let password = self.began["password"].as_str().unwrap();
        let line = format!("fetch pops://alice@{tls} --ca ca.pem --maildir Got {options}");
        let mut fetch = assert_cmd::Command::from_std(command(self.home.path(), &line));
        let done = run(fetch.env("POPWIRE_PASSWORD", password));
        assert!(!done.out.contains(password) && !done.err.contains(password));
        done
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.process.pid().try_into().unwrap()).unwrap(), signal).unwrap();
    }

    /// Ends it by a signal; the objects that it printed.
    fn end(mut self, signal: Signal) -> (Vec<Value>, TempDir) {
        let began = Instant::now();
        self.signal(signal);
        let status = self.process.wait(Duration::from_secs(10)).unwrap();
        assert_eq!(status.code(), Some(0));
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        let password = self.began["password"].as_str().unwrap_or("none was made");
        assert!(!rest.contains(password), "the password is told once");
        (rest.lines().map(|line| serde_json::from_str(line).expect(line)).collect(), self.home)
    }
}

fn in_folder(folder: &Path) -> usize {
    fs::read_dir(folder).map_or(0, Iterator::count)
}

#[test]
fn a_maildir_is_served_and_emptied() {
    let serving = Serving::start(home(), "--maildir Mail --user alice --ca-out ca.pem");
    serving.fetch("--limit 2 --delete").good();
    let mail = serving.home.path().join("Mail");
    assert_eq!(in_folder(&mail.join("new")) + in_folder(&mail.join("cur")), 1);
    assert_eq!(in_folder(&serving.home.path().join("Got/new")), 2);
    let (told, _home) = serving.end(Signal::TERM);
    let events: Vec<_> = told.iter().map(|event| event["event"].as_str().unwrap()).collect();
    let expected = [
        "accepted",
        "tls",
        "login",
        "retrieved",
        "marked",
        "retrieved",
        "marked",
        "quit",
        "closed",
        "stopped",
    ];
    // Whether a message is marked before the next is retrieved is the client's affair.
    let sorted = |events: &[&str]| {
        let mut events = events.iter().map(ToString::to_string).collect::<Vec<_>>();
        events.sort();
        events
    };
    assert_eq!(sorted(&events), sorted(&expected));
    let last = told.last().unwrap();
    assert_eq!((&last["removed"], &last["retrieved"], &last["cut"]), (&2.into(), &2.into(), &0.into()));
    assert!(told.iter().any(|event| event["event"] == "login" && event["method"] == "SCRAM-SHA-256-PLUS"));
}

#[test]
fn an_mbox_is_served_read_only() {
    let home = tempfile::tempdir().unwrap();
    let text = "From a\nSubject: 1\n\n>From me\n\n";
    fs::write(home.path().join("mbox"), text).unwrap();
    let serving =
        Serving::start(home, "--mbox mbox --user alice --ca-out ca.pem --read-only --quirk segment=7");
    serving.fetch("--delete").failed(75, &["refused to delete"]);
    let (_, home) = serving.end(Signal::INT);
    assert_eq!(fs::read_to_string(home.path().join("mbox")).unwrap(), text);
    assert_eq!(in_folder(&home.path().join("Got/new")), 1);
}

#[test]
fn a_signal_ends_it_though_clients_wait() {
    let serving = Serving::start(home(), "--maildir Mail --user alice");
    let mut client = TcpStream::connect(serving.began["plain"].as_str().unwrap()).unwrap();
    client.read_exact(&mut [0; 4]).unwrap();
    let (told, _home) = serving.end(Signal::TERM);
    assert!(told.iter().any(|event| event["event"] == "closed" && event["why"] == "stopped"), "{told:?}");
    client.read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn killed_while_it_removes_it_leaves_the_old_or_the_new_mbox() {
    let message = |number: usize| format!("From a\nSubject: {number}\n\n{}\n", "text\n".repeat(600_000));
    let old: String = (0..4).map(message).collect();
    let new: String = (1..4).map(message).collect();
    let (mut before, mut after) = (0, 0);
    // The last one after the answer to QUIT, the others ever later before it.
    const LAST: u64 = 8;
    for attempt in 0..=LAST {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("mbox"), &old).unwrap();
        let mut serving = Serving::start(folder, "--mbox mbox --user alice");
        let mut client = TcpStream::connect(serving.began["plain"].as_str().unwrap()).unwrap();
        let password = serving.began["password"].as_str().unwrap();
        write!(client, "USER alice\r\nPASS {password}\r\nDELE 1\r\n").unwrap();
        let mut lines = BufReader::new(client.try_clone().unwrap()).lines();
        (0..4).for_each(|_| assert!(lines.next().unwrap().unwrap().starts_with("+OK")));
        client.write_all(b"QUIT\r\n").unwrap();
        if attempt == LAST {
            assert!(lines.next().unwrap().unwrap().starts_with("+OK"));
        } else {
            std::thread::sleep(Duration::from_millis(attempt * attempt));
        }
        serving.process.kill9().unwrap();
        match fs::read_to_string(serving.home.path().join("mbox")).unwrap() {
            text if text == old => before += 1,
            text if text == new => after += 1,
            text => panic!("neither the old nor the new file: {} octets", text.len()),
        }
    }
    eprintln!("killed before the new file was in place: {before}, after: {after}");
    assert!(before > 0 && after > 0);
}

#[test]
fn what_cannot_be_served_is_said() {
    let home = home();
    let serve = |line: &str| {
        let mut command = assert_cmd::Command::from_std(command(home.path(), &format!("serve {line}")));
        run(command.timeout(Duration::from_secs(20)))
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    serve(&format!("--maildir Mail --user alice --listen {taken}"))
        .failed(69, &[&format!("cannot listen on {taken}"), "in use", "port 0 is any that is free"]);
    let mail = "--maildir Mail --user alice --listen 127.0.0.1:0 --listen-tls 127.0.0.1:0";
    for (line, code, words) in [
        ("--user alice", 64, "--maildir DIR or --mbox FILE"),
        ("--maildir Mail", 64, "--user NAME"),
        ("--maildir Nail --user alice", 78, "mkdir -p Nail/new"),
        ("--mbox Mail --user alice", 78, "Mail cannot be served"),
        ("--mbox none --user alice", 78, "none cannot be served"),
        ("--maildir Mail --user alice --listen 0.0.0.0:0", 64, "--allow-plaintext"),
        (&format!("{mail} --quirk quit=no"), 64, "quit takes close"),
        (&format!("{mail} --sasl NONSENSE"), 64, "SCRAM-SHA-256"),
        (&format!("{mail} --quiet"), 64, "password"),
        (&format!("{mail} --ca-out none/ca.pem"), 73, "none/ca.pem"),
        (&format!("{mail} --tls-cert Mail/new/1.test --tls-key Mail/new/1.test"), 78, "certificate"),
    ] {
        serve(line).failed(code, &[words]);
    }
    let help = serve("--quirk help");
    assert!(help.good().out.contains("segment=1 | 7 | random\n    Answers come"), "{}", help.out);
}

#[test]
fn a_personality_a_quirk_and_a_fault_go_together() {
    let options = "--maildir Mail --user alice --ca-out ca.pem --personality gmail --quirk window=2 --fault RETR#2@5:cut";
    let serving = Serving::start(home(), options);
    let fetched = serving.fetch("--delete");
    // The second message broke off: it is not here, and is left there. The first went in a session of its own.
    assert_eq!(fetched.code, 75, "{fetched:?}");
    assert_eq!(popwire_interop::maildir::contents(serving.home.path().join("Got")).unwrap().len(), 1);
    assert_eq!(popwire_interop::maildir::contents(serving.home.path().join("Mail")).unwrap().len(), 2);
    serving.end(Signal::TERM);
}

#[test]
fn a_scenario_is_served() {
    let home = home();
    let scenario = r#"
        personality = "dovecot"
        quirks = ["uidl_dup=1,2"]
        [[user]]
        name = "bob"
        password = "s3cret"
        messages = [{ text = "Subject: one\r\n\r\n1\r\n" }, { text = "Subject: two\r\n\r\n2\r\n" }]
    "#;
    fs::write(home.path().join("it.toml"), scenario).unwrap();
    let serving = Serving::start(home, "--scenario it.toml --ca-out ca.pem");
    let tls = serving.began["tls"].as_str().unwrap();
    let line = format!("ls pops://bob@{tls} --ca ca.pem");
    let mut list = assert_cmd::Command::from_std(command(serving.home.path(), &line));
    let listed = run(list.env("POPWIRE_PASSWORD", "s3cret"));
    let ids: Vec<_> = listed.out.lines().filter_map(|line| line.split('\t').nth(2)).collect();
    assert!(ids.len() == 2 && ids[0] == ids[1], "{listed:?}");
    serving.end(Signal::TERM);

    // What makes no sense is told by line and column, and nothing is served.
    let home = self::home();
    fs::write(home.path().join("it.toml"), "personalty = \"dovecot\"\n").unwrap();
    let refused = run(&mut assert_cmd::Command::from_std(command(home.path(), "serve --scenario it.toml")));
    assert_eq!(refused.code, 78);
    assert!(
        refused.err.contains("line 1, column 1") && refused.err.contains("did you mean `personality`"),
        "{refused:?}"
    );
}

#[test]
fn a_transcript_is_played() {
    let home = home();
    let transcript = "S: +OK ready\nC: CAPA\nS: -ERR what?\nC: USER alice\nS: +OK\nC: PASS ********\n\
                      S: -ERR [AUTH] the account has moved\nC: QUIT\nS: +OK\n";
    fs::write(home.path().join("it.txt"), transcript).unwrap();
    let serving = Serving::start(home, "--transcript it.txt");
    let plain = serving.began["plain"].as_str().unwrap();
    let line = format!("ls pop://alice@{plain} --insecure-plaintext");
    let mut list = assert_cmd::Command::from_std(command(serving.home.path(), &line));
    let listed = run(list.env("POPWIRE_PASSWORD", "s3cret"));
    assert_eq!(listed.code, 77, "{listed:?}");
    assert!(listed.err.contains("the account has moved"), "{listed:?}");
    serving.end(Signal::TERM);
}
