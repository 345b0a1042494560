//! The server as a service: its limits, its certificate, what it tells, its end.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use popwire_server::store::{Content, Entry, Key, LineEnds, Memory, Store};
use popwire_server::{Builder, CloseReason, EventKind, Maildrop, Mechanism, Server, StartError};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};

use crate::talk::{SOON, Talk, alice, tcp};

/// What a server told, as lines and as it is.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<(String, EventKind)>>>);

impl Heard {
    fn listen(&self, builder: Builder) -> Server {
        let heard = self.clone();
        let hear = move |event: &popwire_server::Event| {
            heard.0.lock().unwrap().push((event.to_string(), event.kind.clone()));
        };
        builder.on_event(hear).start().unwrap()
    }

    /// The lines from the session on, without what differs from run to run.
    fn lines(&self) -> Vec<String> {
        let after_peer = |line: &str| line[line.find(" event=").unwrap() + 1..].to_owned();
        self.0.lock().unwrap().iter().map(|(line, _)| after_peer(line)).collect()
    }

    fn closed(&self) -> Vec<CloseReason> {
        let why = |(_, kind): &(String, EventKind)| match kind {
            EventKind::Closed { why, .. } => Some(*why),
            _ => None,
        };
        self.0.lock().unwrap().iter().filter_map(why).collect()
    }

    #[track_caller]
    fn expect_closed(&self, reasons: &[CloseReason]) {
        let deadline = Instant::now() + SOON;
        while self.closed() != reasons {
            assert!(Instant::now() < deadline, "{:?} is not {reasons:?}", self.closed());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn a_session_is_told_from_its_beginning_to_its_end() {
    let heard = Heard::default();
    let server = heard.listen(alice());
    Talk::plain(&server).run(
        "S: +OK *
         C: USER alice
         S: +OK *
         C: PASS wrong pass
         S: -ERR *
         C: USER alice
         S: +OK *
         C: PASS s3cret pass
         S: +OK *
         C: RETR 3
         S: -ERR *
         C: DELE 2
         S: +OK *
         C: DELE 2
         S: -ERR *",
    );
    heard.expect_closed(&[CloseReason::Client]);
    let mut talk = Talk::alice(&server);
    talk.run("C: RETR 1\nS: +OK *");
    talk.body();
    talk.run("C: DELE 1\nS: +OK *\nC: QUIT\nS: +OK *\nS: <EOF>");
    heard.expect_closed(&[CloseReason::Client, CloseReason::Quit]);

    let mut lines = heard.lines();
    for line in &mut lines {
        // Times and sizes of greetings are not what this is about.
        if let Some(at) = line.find(" received=") {
            line.truncate(at);
        }
    }
    assert_eq!(
        lines,
        [
            "event=accepted tls=false",
            "event=login-refused user=\"alice\" method=USER answer=\"-ERR [AUTH] wrong name or password\"",
            "event=login user=\"alice\" method=USER messages=2 octets=50",
            "event=marked message=2 uid=\"m0000002\"",
            "event=closed why=client",
            "event=accepted tls=false",
            "event=login user=\"alice\" method=USER messages=2 octets=50",
            "event=retrieved message=1 octets=22 uid=\"m0000001\"",
            "event=marked message=1 uid=\"m0000001\"",
            "event=quit removed=1 failed=0",
            "event=closed why=quit",
        ]
    );
    let whole = heard.0.lock().unwrap()[10].clone();
    assert!(whole.0.starts_with("time=20") && whole.0.contains("Z session=2 peer=127.0.0.1:"), "{}", whole.0);
    // USER alice, PASS s3cret pass, RETR 1, DELE 1, QUIT, each with CRLF.
    let EventKind::Closed { received, sent, .. } = whole.1 else { panic!("{whole:?}") };
    assert_eq!(received, 12 + 18 + 8 + 8 + 6);
    assert!(sent > 22 + 6 * 6, "{sent}");
}

#[test]
fn tls_and_mechanisms_are_told_and_no_secret_is() {
    let heard = Heard::default();
    let server = heard.listen(alice().sasl([Mechanism::Plain]).apop(true));
    let mut talk = Talk::tls(&server);
    // "\0alice\0s3cret pass", and then a wrong one.
    talk.run(
        "S: +OK *
         C: AUTH PLAIN AGFsaWNlAHdyMG5nIHBhc3M=
         S: -ERR *
         C: APOP bob d41d8cd98f00b204e9800998ecf8427e
         S: -ERR *
         C: AUTH PLAIN AGFsaWNlAHMzY3JldCBwYXNz
         S: +OK *
         C: QUIT
         S: +OK *",
    );
    heard.expect_closed(&[CloseReason::Quit]);
    let lines = heard.lines();
    assert_eq!(lines[0], "event=accepted tls=true");
    assert!(lines[1].starts_with("event=tls version=TLSv1_3 cipher=TLS13_"), "{}", lines[1]);
    assert!(lines[2].starts_with("event=login-refused method=PLAIN answer="), "{}", lines[2]);
    assert!(lines[3].starts_with("event=login-refused user=\"bob\" method=APOP"), "{}", lines[3]);
    assert!(lines[4].starts_with("event=login user=\"alice\" method=PLAIN messages=2"), "{}", lines[4]);
    let all = lines.join("\n");
    for secret in ["s3cret", "wr0ng", "AGFsaWNl", "d41d8cd9"] {
        assert!(!all.contains(secret), "{all}");
    }
}

#[test]
fn every_end_has_its_reason() {
    let heard = Heard::default();
    let brief = Duration::from_millis(50);
    let big = Maildrop::memory([Content::Generated { size: 1 << 30, line_len: 76 }]);
    let server = heard.listen(
        alice().user("big", "big", big).idle_timeout(Duration::from_millis(300)).write_timeout(brief),
    );
    let mut silent = Talk::alice(&server);
    assert_eq!(silent.line(), b"", "the timer runs out without a word");
    heard.expect_closed(&[CloseReason::Idle]);

    let mut deaf = Talk::plain(&server);
    deaf.run("S: +OK *\nC: USER big\nS: +OK *\nC: PASS big\nS: +OK *\nC: RETR 1");
    heard.expect_closed(&[CloseReason::Idle, CloseReason::Stalled]);
    assert!(!heard.lines().iter().any(|line| line.starts_with("event=retrieved")), "it was not");

    let garbage = tcp(server.tls_addr());
    std::io::Write::write_all(&mut &garbage, b"QUIT\r\n").unwrap();
    heard.expect_closed(&[CloseReason::Idle, CloseReason::Stalled, CloseReason::Handshake]);

    let waiting = Talk::alice(&server);
    assert_eq!(server.stop(Duration::from_secs(5)), 0, "a session that waits is not cut");
    heard.expect_closed(&[
        CloseReason::Idle,
        CloseReason::Stalled,
        CloseReason::Handshake,
        CloseReason::Stopped,
    ]);
    drop(waiting);
}

#[test]
fn one_address_gets_so_many_connections() {
    let heard = Heard::default();
    let server = heard.listen(alice().max_connections_per_address(2));
    let (first, mut second) = (Talk::alice(&server), Talk::plain(&server));
    second.run("S: +OK *");
    Talk::plain(&server).run("S: -ERR [SYS/TEMP] too many connections from your address\nS: <EOF>");
    assert_eq!(heard.lines().last().unwrap(), "event=turned-away limit=address");
    drop(first);
    assert!(server.wait_closed(1, SOON));
    // The place is free a moment after the session is over.
    let deadline = Instant::now() + SOON;
    while !Talk::plain(&server).line().starts_with(b"+OK") {
        assert!(Instant::now() < deadline);
    }
}

#[test]
fn a_read_only_server_keeps_everything() {
    let maildrop = Maildrop::memory(["Subject: a\r\n\r\nb\r\n"]);
    let server =
        Server::builder().user("alice", "s3cret pass", maildrop.clone()).read_only(true).start().unwrap();
    let mut talk = Talk::alice(&server);
    talk.run("C: RETR 1\nS: +OK *");
    talk.body();
    talk.run("C: DELE 1\nS: -ERR this server removes nothing\nC: QUIT\nS: +OK *");
    assert_eq!((maildrop.len().unwrap(), maildrop.seen().unwrap()), (1, vec![false]));
}

/// A maildrop whose disk is slow to remove.
struct Slow(Memory, Duration);

impl Store for Slow {
    fn list(&self, ends: LineEnds) -> std::io::Result<Vec<Entry>> {
        self.0.list(ends)
    }

    fn open(&self, key: &Key) -> std::io::Result<Box<dyn std::io::Read + Send>> {
        self.0.open(key)
    }

    fn remove(&self, key: &Key) -> std::io::Result<()> {
        std::thread::sleep(self.1);
        self.0.remove(key)
    }

    fn mark_seen(&self, key: &Key) -> std::io::Result<()> {
        self.0.mark_seen(key)
    }

    fn is_seen(&self, key: &Key) -> std::io::Result<bool> {
        self.0.is_seen(key)
    }
}

#[test]
fn p_059_a_stop_lets_update_come_to_its_end() {
    let maildrop = Maildrop::with_store(Slow(Memory::new(["a\r\n", "b\r\n"]), Duration::from_millis(200)));
    let big = Maildrop::memory([Content::Generated { size: 1 << 30, line_len: 76 }]);
    let server = Server::builder()
        .user("alice", "s3cret pass", maildrop.clone())
        .user("big", "big", big.clone())
        .start()
        .unwrap();
    let addr = server.addr();

    // One that is in UPDATE, one that is idle with a mark, one that is in the middle of an endless answer.
    let mut updating = Talk::alice(&server);
    updating.run("C: DELE 1\nS: +OK *\nC: QUIT");
    let mut idle = Talk::plain(&server);
    idle.run("S: +OK *");
    let mut busy = Talk::plain(&server);
    busy.run("S: +OK *\nC: USER big\nS: +OK *\nC: PASS big\nS: +OK *\nC: RETR 1\nS: +OK *");
    assert!(server.wait_for(SOON, |sessions| sessions[0].quit()));

    let cut = server.stop(Duration::from_millis(600));
    assert_eq!(cut, 1, "the endless answer");
    updating.run("S: +OK *\nS: <EOF>");
    idle.run("S: <EOF>");
    assert_eq!((maildrop.len().unwrap(), maildrop.is_locked()), (1, false));
    assert!(!big.is_locked());
    TcpListener::bind(addr).expect("the port is free again");
}

#[test]
fn p_061_a_stop_removes_nothing_that_is_only_marked() {
    let maildrop = Maildrop::memory(["a\r\n"]);
    let server = Server::builder().user("alice", "s3cret pass", maildrop.clone()).start().unwrap();
    let mut talk = Talk::alice(&server);
    talk.run("C: DELE 1\nS: +OK *");
    let began = Instant::now();
    assert_eq!(server.stop(Duration::from_secs(30)), 0);
    assert!(began.elapsed() < Duration::from_secs(5), "nobody was waited for");
    talk.run("S: <EOF>");
    assert_eq!((maildrop.len().unwrap(), maildrop.is_locked()), (1, false));
}

#[test]
fn a_certificate_of_ones_own() {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let own = params.self_signed(&key).unwrap();
    let server = alice()
        .sasl([Mechanism::ScramSha256Plus, Mechanism::ScramSha256])
        .certificate_pem(own.pem(), key.serialize_pem())
        .start()
        .unwrap();
    assert_eq!(server.certificate_der(), own.der().as_ref());

    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(own.der().to_vec())).unwrap();
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let mut tls = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let mut stream = tcp(server.tls_addr());
        tls.complete_io(&mut stream).unwrap();
        let stream = crate::talk::Stream::Tls(Box::new(rustls::StreamOwned::new(tls, stream)));
        let mut talk = Talk::over(stream);
        talk.run("S: +OK *\nC: CAPA\nS: +OK *");
        // What cannot be bound to is not offered: who signed the certificate, and how, is not looked at.
        let bound = talk.body().contains("SASL SCRAM-SHA-256-PLUS SCRAM-SHA-256\r\n");
        assert_eq!(bound, version.version == rustls::ProtocolVersion::TLSv1_3);
    }

    let start = |chain: &str, key: &str| alice().certificate_pem(chain, key).start().unwrap_err();
    let other = KeyPair::generate().unwrap().serialize_pem();
    assert!(matches!(start("", &key.serialize_pem()), StartError::CertificatePem(_)));
    assert!(matches!(start(&own.pem(), "no key"), StartError::KeyPem(_)));
    assert!(matches!(start(&own.pem(), &other), StartError::Tls(_)));
}
