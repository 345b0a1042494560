//! The servers come up, serve what they were given, and leave nothing.

// Clippy knows helpers of integration tests for no tests.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{
    env,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use popwire_interop::{
    awkward,
    corpus::{Corpus, wire_form},
    dovecot::{Dovecot, Mail, Options, Variant},
    maildir,
    process::{Process, runs},
};

#[test]
fn it_serves_the_corpus_and_leaves_nothing() {
    let corpus = Corpus::make(1, 60, 300_000).unwrap();
    let server = Dovecot::start(&Options { alice: Mail::from(&corpus), ..Options::default() }).unwrap();
    assert_eq!(server.messages, corpus.messages().len());
    assert_eq!(maildir::read(server.maildir("alice")).unwrap().len(), corpus.messages().len());

    let mut session = Session::open(&server);
    session.login(Dovecot::ALICE);
    let wire_size: u64 = corpus.messages().iter().map(|message| message.wire_size).sum();
    let stat = session.ask("STAT");
    let (count, size) = stat.strip_prefix("+OK ").unwrap().split_once(' ').unwrap();
    assert_eq!(count.parse::<usize>().unwrap(), corpus.messages().len());
    // Dovecot counts a file as it is; the CRLF that it adds to a file that ends without one is not in the sum
    assert!(wire_size - size.parse::<u64>().unwrap() < 10, "{stat}, expected {wire_size}");
    let dots = corpus.messages().iter().position(|message| message.label == "dots-10000-lines").unwrap();
    let received = session.retrieve(dots + 1);
    assert!(corpus.messages()[dots].is_wire_form(&received));
    assert!(session.ask("QUIT").starts_with("+OK"));

    let (pid, address, folder) = (server.pid, server.address(), server.ca());
    drop(server);
    assert!(!runs(pid), "the master still runs");
    assert!(TcpStream::connect(address).is_err(), "something still listens");
    assert!(!folder.exists(), "files are left");
    assert_eq!(with_argument(folder.ancestors().nth(3).unwrap()), "", "processes are left");
}

#[test]
fn bob_has_mail_of_his_own() {
    let letter = b"Subject: for bob\r\n\r\n.\r\n".to_vec();
    let bob = Mail::Messages(vec![letter.clone(), b"Subject: second\n\n".to_vec()]);
    let server = Dovecot::start(&Options { bob, ..Options::default() }).unwrap();
    let mut session = Session::open(&server);
    session.login(Dovecot::BOB);
    assert_eq!(session.ask("STAT").split(' ').nth(1), Some("2"));
    assert_eq!(session.retrieve(1), letter);
    assert_eq!(session.ask("DELE 1").split(' ').next(), Some("+OK"));
    session.ask("QUIT");
    assert_eq!(maildir::read(server.maildir("bob")).unwrap().len(), 1);

    server.add_mail("bob", b"Subject: later\r\n\r\n").unwrap();
    let mut session = Session::open(&server);
    session.login(Dovecot::BOB);
    assert_eq!(session.ask("STAT").split(' ').nth(1), Some("2"));
    assert_eq!(session.retrieve(2), b"Subject: later\r\n\r\n");
    session.ask("QUIT");
    assert_eq!(maildir::read(server.maildir("alice")).unwrap().len(), 0);
    server.stop().unwrap();
}

#[test]
fn the_variants_differ_as_they_say() {
    let alice = Mail::Messages(vec![b"Subject: one\r\n\r\n".to_vec()]);
    let quirks =
        Options { variant: Variant::Quirks, uidl_format: Some("%f%f".into()), alice, ..Options::default() };
    let server = Dovecot::start(&quirks).unwrap();
    let mut session = Session::open(&server);
    session.login(Dovecot::ALICE);
    assert!(session.ask("LAST").starts_with("-ERR"));
    assert!(session.ask("UIDL 1").contains("localhost"), "the UIDL is made of file names");

    let server = Dovecot::start(&Options { variant: Variant::TlsOnly, ..Options::default() }).unwrap();
    assert_eq!(server.host, "127.0.0.2");
    let mut session = Session::open(&server);
    assert!(session.ask("USER alice").starts_with("-ERR"));

    let extra = Options { extra_conf: "login_greeting = Grüße".into(), ..Options::default() };
    let server = Dovecot::start(&extra).unwrap();
    assert!(Session::open(&server).greeting.starts_with("+OK Grüße"));
    assert_eq!(server.token().split('.').count(), 3);
    assert!(server.token_rsa().len() > server.token().len());
    assert!(server.client_cert().exists() && server.client_key().exists() && server.ca().exists());
}

#[test]
fn the_awkward_messages_come_through_or_are_known_to_differ() {
    let server = Dovecot::shared().unwrap();
    let mut session = Session::open(server);
    session.login(Dovecot::ALICE);
    // The standard has no octet NUL, and Dovecot sends 0x80 in its place.
    let unfair = ["nul", "all-bytes"];
    for (n, (name, octets)) in awkward::messages().unwrap().iter().enumerate() {
        let received = session.retrieve(n + 1);
        if !unfair.iter().any(|label| name.ends_with(&format!("-{label}.eml"))) {
            assert_eq!(
                String::from_utf8_lossy(&received),
                String::from_utf8_lossy(&wire_form(octets)),
                "{name}"
            );
        }
    }
    session.ask("QUIT");
}

#[test]
fn many_start_at_once() {
    thread::scope(|scope| {
        let servers: Vec<_> =
            (0..4).map(|_| scope.spawn(|| Dovecot::start(&Options::default()).unwrap())).collect();
        let servers: Vec<_> = servers.into_iter().map(|server| server.join().unwrap()).collect();
        for server in &servers {
            Session::open(server).login(Dovecot::BOB);
        }
    });
}

#[test]
fn a_server_ends_with_the_process_that_is_killed() {
    // This same test, run as a child in which it starts a server, tells its pid and waits to be killed.
    const ROLE: &str = "POPWIRE_INTEROP_START_AND_WAIT";
    if env::var_os(ROLE).is_some() {
        let server = Dovecot::start(&Options::default()).unwrap();
        println!("\npid {}", server.pid);
        thread::sleep(Duration::from_secs(60));
        return;
    }
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "a_server_ends_with_the_process_that_is_killed", "--nocapture"]);
    let mut child = Process::spawn(command.env(ROLE, "1").stdout(Stdio::piped())).unwrap();
    let mut said = BufReader::new(child.child().stdout.take().unwrap()).lines();
    let pid =
        said.find_map(|line| line.unwrap().strip_prefix("pid ").map(|pid| pid.parse().unwrap())).unwrap();
    assert!(runs(pid));
    child.kill9().unwrap();
    let end = Instant::now() + Duration::from_secs(10);
    while runs(pid) {
        assert!(Instant::now() < end, "dovecot {pid} outlived the test");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_goes_wrong_is_told() {
    let wrong = Options { extra_conf: "no_such_setting = 1".into(), ..Options::default() };
    let error = Dovecot::start(&wrong).unwrap_err().to_string();
    assert!(error.contains("no_such_setting"), "{error}");
    let nowhere = Options { alice: Mail::Folder("/nonexistent".into()), ..Options::default() };
    assert!(Dovecot::start(&nowhere).is_err());
}

/// The least client: enough to see that the server is one.
struct Session {
    stream: BufReader<TcpStream>,
    greeting: String,
}

impl Session {
    fn open(server: &Dovecot) -> Session {
        let stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut session = Session { stream: BufReader::new(stream), greeting: String::new() };
        session.greeting = session.line();
        assert!(session.greeting.starts_with("+OK"), "{}", session.greeting);
        session
    }

    fn login(&mut self, (user, password): (&str, &str)) {
        assert!(self.ask(&format!("USER {user}")).starts_with("+OK"));
        let answer = self.ask(&format!("PASS {password}"));
        assert!(answer.starts_with("+OK"), "{answer}");
    }

    fn ask(&mut self, command: &str) -> String {
        self.stream.get_mut().write_all(format!("{command}\r\n").as_bytes()).unwrap();
        self.line()
    }

    fn retrieve(&mut self, number: usize) -> Vec<u8> {
        assert!(self.ask(&format!("RETR {number}")).starts_with("+OK"));
        let mut message = Vec::new();
        loop {
            let start = message.len();
            // Not one line always, but all that is needed: only CRLF.CRLF ends a message.
            self.stream.read_until(b'\n', &mut message).unwrap();
            let begins_line = start == 0 || message[..start].ends_with(b"\r\n");
            if begins_line && message[start..] == *b".\r\n" {
                message.truncate(start);
                return message;
            }
            if begins_line && message[start] == b'.' {
                message.remove(start);
            }
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

/// The command lines of the processes that name `path`.
fn with_argument(path: &Path) -> String {
    let path = path.to_str().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let line = std::fs::read(entry.ok()?.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        line.contains(path).then_some(line)
    });
    processes.collect::<Vec<_>>().join("\n")
}
