//! GSSAPI with a real KDC against a real Dovecot, by hand over a socket.
//!
//! The Kerberos library reads the environment of the process whenever it is called. So each test runs itself again in a
//! child process, with the environment that it needs: see [`child`].

// Clippy knows helpers of integration tests for no tests.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
    sync::OnceLock,
    thread,
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use popwire_gssapi::Gssapi;
use popwire_interop::{
    dovecot::{Dovecot, Mail, Options},
    kerberos::Kerberos,
};
use popwire_proto::sasl::{ClientMechanism, Error, Start};

#[test]
fn a_ticket_logs_in() {
    let Some(server) = child("a_ticket_logs_in", Credentials::Ticket) else { return };
    for mut gssapi in [gssapi("localhost"), gssapi("localhost").acting_as("alice"), gssapi("localhost.")] {
        assert!(gssapi.may_block());
        assert_eq!(gssapi.name(), "GSSAPI");
        let mut session = Session::open(&server);
        assert!(session.ask("CAPA").starts_with("+OK"));
        assert!(session.list().iter().any(|line| line.starts_with("SASL ") && line.contains(" GSSAPI")));
        let reply = session.log_in(&mut gssapi);
        assert!(reply.starts_with("+OK"), "{reply}");
        assert!(gssapi.is_done() && gssapi.has_proved());
        // The mail is alice's.
        assert!(session.ask("STAT").starts_with("+OK 2 "));
        assert!(session.ask("QUIT").starts_with("+OK"));
    }
}

#[test]
fn the_library_gets_its_ticket_by_the_keys_of_a_client_keytab() {
    let name = "the_library_gets_its_ticket_by_the_keys_of_a_client_keytab";
    let Some(server) = child(name, Credentials::Keytab) else { return };
    let reply = Session::open(&server).log_in(&mut gssapi("localhost"));
    assert!(reply.starts_with("+OK"), "{reply}");
}

#[test]
fn each_step_may_be_in_another_thread() {
    let Some(server) = child("each_step_may_be_in_another_thread", Credentials::Ticket) else { return };
    let mut session = Session::open(&server);
    let mut gssapi = gssapi("localhost");
    let (start, moved) = elsewhere(gssapi, |gssapi| gssapi.start());
    gssapi = moved;
    let Ok(Start::ClientFirst(token)) = start else { panic!("{start:?}") };
    let mut response = token;
    assert_eq!(session.ask("AUTH GSSAPI"), "+ ");
    loop {
        let reply = session.ask(&BASE64_STANDARD.encode(response.expose()));
        let Some(challenge) = reply.strip_prefix("+ ") else {
            assert!(reply.starts_with("+OK"), "{reply}");
            break;
        };
        let challenge = BASE64_STANDARD.decode(challenge).unwrap();
        let (answer, moved) = elsewhere(gssapi, move |gssapi| gssapi.respond(&challenge));
        (response, gssapi) = (answer.unwrap(), moved);
    }
    // And the end of it in yet another.
    thread::spawn(move || drop(gssapi)).join().unwrap();
}

#[test]
fn many_at_once_do_not_disturb_each_other() {
    let Some(server) = child("many_at_once_do_not_disturb_each_other", Credentials::Ticket) else { return };
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..4 {
                    let mut session = Session::open(&server);
                    let mut gssapi = gssapi("localhost");
                    // Only as far as the mailbox, which is for one session at a time.
                    let response = session.second_step(&mut gssapi);
                    let challenge = session.ask(&response);
                    gssapi.respond(&decoded(&challenge)).unwrap();
                    assert!(gssapi.is_done());
                    // One of these fails, in its own words, between the others.
                    let why = words_of_failure("nowhere.test");
                    assert!(why.contains("not found"), "{why}");
                    assert!(session.ask("*").starts_with("-ERR"));
                }
            });
        }
    });
}

#[test]
fn q_038_without_a_cache_nothing_is_sent_and_the_next_mechanism_has_its_turn() {
    let name = "q_038_without_a_cache_nothing_is_sent_and_the_next_mechanism_has_its_turn";
    let Some(server) = child(name, Credentials::None) else { return };
    let mut session = Session::open(&server);
    let mut gssapi = gssapi("localhost");
    let why = other(gssapi.start());
    assert!(why.contains("No Kerberos credentials available") || why.contains("No such file"), "{why}");
    assert!(!gssapi.has_proved() && !gssapi.is_done());
    // Nothing went out: the session is where it was.
    session.log_in_by_password();
}

#[test]
fn q_038_with_an_expired_ticket_nothing_is_sent() {
    let Some(server) = child("q_038_with_an_expired_ticket_nothing_is_sent", Credentials::Expired) else {
        return;
    };
    let mut session = Session::open(&server);
    // The ticket was good for a second.
    thread::sleep(Duration::from_millis(2100));
    let mut gssapi = gssapi("localhost");
    let why = other(gssapi.start());
    assert!(why.to_lowercase().contains("expired"), "{why}");
    assert!(!gssapi.has_proved());
    session.log_in_by_password();
}

#[test]
fn q_038_a_service_that_the_kdc_does_not_know_is_an_error_before_anything_is_sent() {
    let name = "q_038_a_service_that_the_kdc_does_not_know_is_an_error_before_anything_is_sent";
    let Some(server) = child(name, Credentials::Ticket) else { return };
    let mut session = Session::open(&server);
    let why = words_of_failure("nowhere.test");
    assert!(why.contains("not found in Kerberos database"), "{why}");
    session.log_in_by_password();
}

#[test]
fn q_038_where_no_kdc_answers_nothing_is_sent() {
    let Some(server) = child("q_038_where_no_kdc_answers_nothing_is_sent", Credentials::NoKdc) else {
        return;
    };
    let mut session = Session::open(&server);
    let why = words_of_failure("third.test");
    assert!(why.contains("Cannot contact any KDC"), "{why}");
    session.log_in_by_password();
}

#[test]
fn q_038_a_server_without_the_key_refuses_and_the_next_mechanism_has_its_turn() {
    let name = "q_038_a_server_without_the_key_refuses_and_the_next_mechanism_has_its_turn";
    let Some(server) = child(name, Credentials::Ticket) else { return };
    let mut session = Session::open(&server);
    // There is a ticket for it, but Dovecot has the key of pop/localhost only.
    let mut gssapi = gssapi("other.test");
    let reply = session.log_in(&mut gssapi);
    assert!(reply.starts_with("-ERR"), "{reply}");
    assert!(gssapi.has_proved(), "the refusal is a verdict");
    assert!(!gssapi.is_done());
    session.log_in_by_password();
}

#[test]
fn acting_as_another_is_the_servers_to_allow() {
    let Some(server) = child("acting_as_another_is_the_servers_to_allow", Credentials::Ticket) else {
        return;
    };
    let mut session = Session::open(&server);
    let mut gssapi = gssapi("localhost").acting_as("bob");
    let reply = session.log_in(&mut gssapi);
    assert!(reply.starts_with("-ERR"), "{reply}");
    assert!(gssapi.is_done() && gssapi.has_proved());
}

#[test]
fn q_038_after_garbage_at_any_step_the_exchange_can_be_cancelled() {
    let name = "q_038_after_garbage_at_any_step_the_exchange_can_be_cancelled";
    let Some(server) = child(name, Credentials::Ticket) else { return };
    for garbage in garbage() {
        // In place of the proof
        let mut session = Session::open(&server);
        let mut first = gssapi("localhost");
        let challenge = session.first_step(&mut first);
        failed(&mut first, &garbage, &challenge);
        session.cancel();
        // In place of the offer of layers; on the same connection
        let mut second = gssapi("localhost");
        let response = session.second_step(&mut second);
        let challenge = decoded(&session.ask(&response));
        failed(&mut second, &garbage, &challenge);
        session.cancel();
        // In place of the verdict
        let mut third = gssapi("localhost");
        let response = session.second_step(&mut third);
        third.respond(&decoded(&session.ask(&response))).unwrap();
        assert_eq!(third.respond(&garbage).unwrap_err(), Error::UnexpectedChallenge);
        session.cancel();
        session.log_in_by_password();
    }
}

#[test]
fn a_server_that_changes_one_bit_proves_nothing() {
    let Some(server) = child("a_server_that_changes_one_bit_proves_nothing", Credentials::Ticket) else {
        return;
    };
    let mut session = Session::open(&server);
    let proof_length = session.first_step(&mut gssapi("localhost")).len();
    session.cancel();
    // The proof is DER around a cipher text: in the cipher text each bit counts. It is the last part.
    for place in (proof_length / 2..proof_length).step_by(7) {
        let mut gssapi = gssapi("localhost");
        let mut proof = session.first_step(&mut gssapi);
        proof[place] ^= 1 << (place % 8);
        other(gssapi.respond(&proof));
        assert!(!gssapi.is_done());
        session.cancel();
    }
    // Of the offer, header, message and sum all count but the filler and the count that is a hint.
    for place in [0, 1, 2, 15, 16, 17, 18, 19, 20, 31] {
        let mut gssapi = gssapi("localhost");
        let response = session.second_step(&mut gssapi);
        let mut offer = decoded(&session.ask(&response));
        offer[place] ^= 0x10;
        other(gssapi.respond(&offer));
        assert!(!gssapi.is_done());
        session.cancel();
    }
    // And no part of a message is a message.
    for length in [1, 4, 15, 16, 20, 31] {
        let mut gssapi = gssapi("localhost");
        let response = session.second_step(&mut gssapi);
        let offer = decoded(&session.ask(&response));
        assert!(gssapi.respond(&offer[..length]).is_err(), "{length} of {}", offer.len());
        session.cancel();
    }
    session.log_in_by_password();
}

#[test]
fn the_proof_of_another_exchange_proves_nothing() {
    let Some(server) = child("the_proof_of_another_exchange_proves_nothing", Credentials::Ticket) else {
        return;
    };
    let (mut one, mut two) = (Session::open(&server), Session::open(&server));
    let (mut first, mut second) = (gssapi("localhost"), gssapi("localhost"));
    let (proof_to_first, _) = (one.first_step(&mut first), two.first_step(&mut second));
    other(second.respond(&proof_to_first));
    assert!(!second.is_done());
    // Nor does the offer, twice: it is no second proof, and no offer either.
    let response = first.respond(&proof_to_first).unwrap();
    assert!(response.is_empty());
    other(first.respond(&proof_to_first));
    assert!(!first.is_done());
}

#[test]
fn a_cancelled_exchange_leaves_the_session_usable() {
    let Some(server) = child("a_cancelled_exchange_leaves_the_session_usable", Credentials::Ticket) else {
        return;
    };
    let mut session = Session::open(&server);
    // Dropped at each stage
    drop(gssapi("localhost"));
    session.first_step(&mut gssapi("localhost"));
    session.cancel();
    session.second_step(&mut gssapi("localhost"));
    session.cancel();
    let reply = session.log_in(&mut gssapi("localhost"));
    assert!(reply.starts_with("+OK"), "{reply}");
}

#[test]
fn debug_shows_neither_tokens_nor_keys() {
    let Some(server) = child("debug_shows_neither_tokens_nor_keys", Credentials::Ticket) else { return };
    let mut session = Session::open(&server);
    let mut gssapi = gssapi("localhost").acting_as("alice");
    let shown = |gssapi: &Gssapi, state: &str| {
        let debug = format!("Gssapi {{ host: \"localhost\", authzid: \"alice\", state: \"{state}\" }}");
        assert_eq!(format!("{gssapi:?}"), debug);
    };
    shown(&gssapi, "fresh");
    let start = gssapi.start().unwrap();
    assert_eq!(format!("{start:?}"), "ClientFirst(Secret(********))");
    shown(&gssapi, "negotiating");
    let Start::ClientFirst(token) = start else { panic!() };
    assert_eq!(session.ask("AUTH GSSAPI"), "+ ");
    let proof = decoded(&session.ask(&BASE64_STANDARD.encode(token.expose())));
    assert!(gssapi.respond(&proof).unwrap().is_empty(), "RFC 4752 section 3.1: nothing is left to say");
    shown(&gssapi, "choosing");
    assert!(!gssapi.is_done(), "no +OK is to be believed before the layers were chosen");
    gssapi.respond(&decoded(&session.ask(""))).unwrap();
    shown(&gssapi, "done");
    gssapi.respond(b"").unwrap_err();
    shown(&gssapi, "failed");
}

// ---- what the tests stand on ------------------------------------------------------------------------

/// What a child has for credentials.
#[derive(Clone, Copy)]
enum Credentials {
    Ticket,
    Expired,
    None,
    Keytab,
    /// A ticket, but the KDC that could give others is gone.
    NoKdc,
}

const SERVER: &str = "POPWIRE_GSSAPI_TEST_SERVER";

/// In the child, the address of the server. Otherwise runs the test called `name` in a child, and there is no more to do.
fn child(name: &str, credentials: Credentials) -> Option<String> {
    if let Ok(server) = env::var(SERVER) {
        return Some(server);
    }
    let (kerberos, dovecot) = realm();
    let nothing = format!("{}.none-{name}", kerberos.ccache());
    let ccache = match credentials {
        Credentials::Ticket | Credentials::NoKdc => kerberos.ccache(),
        Credentials::Expired => kerberos.ccache_expired(),
        Credentials::None | Credentials::Keytab => &nothing,
    };
    let mut again = Command::new(env::current_exe().unwrap());
    again.args(["--exact", name, "--nocapture"]).env(SERVER, dovecot.address()).stdin(Stdio::null());
    again.envs(kerberos.environment(ccache)).env_remove("KRB5_CLIENT_KTNAME").env_remove("KRB5_TRACE");
    if let Credentials::Keytab = credentials {
        again.env("KRB5_CLIENT_KTNAME", kerberos.client_keytab());
    }
    if let Credentials::NoKdc = credentials {
        let conf = fs::read_to_string(kerberos.fact("KRB5_CONFIG")).unwrap();
        let other = format!("{}.none", kerberos.fact("KRB5_CONFIG"));
        fs::write(&other, conf.replace(&format!("127.0.0.1:{}", kerberos.fact("PORT")), "127.0.0.1:1"))
            .unwrap();
        again.env("KRB5_CONFIG", other);
    }
    let ran = again.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    // A test that is not found would be no failure.
    assert!(ran.status.success() && said.contains("1 passed"), "{}\n{said}", ran.status);
    None
}

/// One for all tests of this process.
fn realm() -> &'static (Kerberos, Dovecot) {
    static REALM: OnceLock<(Kerberos, Dovecot)> = OnceLock::new();
    REALM.get_or_init(|| {
        let kerberos = Kerberos::start().unwrap();
        let letter = b"Subject: for alice\r\n\r\n".to_vec();
        // Tests run at the same time, and all of them are alice.
        let extra_conf = format!("{}pop3_lock_session = no\n", kerberos.dovecot_conf());
        let options =
            Options { alice: Mail::Messages(vec![letter.clone(), letter]), extra_conf, ..Options::default() };
        let dovecot = Dovecot::start(&options).unwrap();
        (kerberos, dovecot)
    })
}

fn gssapi(host: &str) -> Gssapi {
    Gssapi::new(host).unwrap()
}

fn words_of_failure(host: &str) -> String {
    let mut gssapi = gssapi(host);
    let why = other(gssapi.start());
    assert!(!gssapi.has_proved());
    why
}

/// The words of an error that leaves the choice of another mechanism.
fn other<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    let error = result.unwrap_err();
    assert!(!error.is_server_untrusted() && !error.is_credentials(), "{error:?}");
    let Error::Other(words) = error else { panic!("{error:?}") };
    assert!(words.starts_with("Kerberos: "), "{words}");
    words
}

/// Whatever comes in place of `challenge` is an error, and what comes after that too.
fn failed(gssapi: &mut Gssapi, garbage: &[u8], challenge: &[u8]) {
    let error = gssapi.respond(garbage).unwrap_err();
    assert!(!error.is_server_untrusted(), "{error:?}");
    assert!(!gssapi.is_done());
    assert_eq!(gssapi.respond(challenge).unwrap_err(), Error::UnexpectedChallenge);
    assert!(!gssapi.is_done());
}

fn garbage() -> Vec<Vec<u8>> {
    // With a frame that is right, so that what is within gets its turn
    let framed = |id: [u8; 2], body: &[u8]| {
        let content = [b"\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02", &id[..], body].concat();
        [&[0x60, 0x82][..], &(content.len() as u16).to_be_bytes(), &content].concat()
    };
    let mut garbage = vec![
        vec![],
        vec![0],
        vec![0x60],
        b"garbage".to_vec(),
        vec![0; 4],
        vec![0xff; 1000],
        vec![0x60; 1 << 20],
        b"\x60\x84\xff\xff\xff\xff\x06".to_vec(),
        // A token of another mechanism, SPNEGO
        b"\x60\x10\x06\x06\x2b\x06\x01\x05\x05\x02\xa0\x06\x30\x04\xa0\x02\x30\x00".to_vec(),
        // The head of a wrapped message, and no more; and with a message that nothing protects
        b"\x05\x04\x01\xff\0\x0c\0\0\0\0\0\0\0\0\0\0".to_vec(),
        b"\x05\x04\x01\xff\xff\xff\xff\xff\0\0\0\0\0\0\0\0\x01\0\0\0".to_vec(),
        b"\x05\x04\x01\xff\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0".to_vec(),
        b"\x05\x04\x03\xff\0\0\0\x1c\0\0\0\0\0\0\0\0\x01\0\0\0".to_vec(),
        // Wrapped in the way of RFC 1964
        framed([2, 1], b""),
        framed([2, 1], b"\0\0\xff\xff\xff\xff"),
        framed([2, 1], &[b"\0\0\xff\xff\xff\xff", &[0; 32][..]].concat()),
    ];
    for id in [2, 3] {
        garbage.extend([
            framed([id, 0], b""),
            framed([id, 0], b"\0"),
            framed([id, 0], &[0xff; 64]),
            framed([id, 0], &[0x6f; 60_000]),
            framed([id, 0], b"\x6f\0"),
            framed([id, 0], b"\x7e\0"),
            framed([id, 0], b"\x6f\x84\xff\xff\xff\xff\x30\x84\xff\xff\xff\xff"),
            framed([id, 0], b"\x7e\x80\x30\x80\xa0\x80\x02\x84\x7f\xff\xff\xff"),
            // As deep as it goes
            framed([id, 0], &b"\x6f\x80\x30\x80\xa2\x80".repeat(5000)),
            framed([id, 0], b"\x6f\x1b\x30\x19\xa0\x03\x02\x01\x05\xa1\x03\x02\x01\x0f\xa2\x0d\x30\x0b\xa0\x03\x02\x01\x12\xa2\x04\x04\x02ab"),
        ]);
    }
    garbage
}

/// Runs a step in a thread of its own.
fn elsewhere<T: Send + 'static>(
    mut gssapi: Gssapi,
    step: impl FnOnce(&mut Gssapi) -> T + Send + 'static,
) -> (T, Gssapi) {
    thread::spawn(move || (step(&mut gssapi), gssapi)).join().unwrap()
}

fn decoded(reply: &str) -> Vec<u8> {
    let challenge = reply.strip_prefix("+ ").unwrap_or_else(|| panic!("{reply}"));
    BASE64_STANDARD.decode(challenge).unwrap()
}

struct Session(BufReader<TcpStream>);

impl Session {
    fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut session = Self(BufReader::new(stream));
        assert!(session.line().starts_with("+OK"));
        session
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.by_ref().take(100_000).read_line(&mut line).unwrap();
        line.strip_suffix("\r\n").unwrap_or_else(|| panic!("no line: {line:?}")).to_owned()
    }

    fn list(&mut self) -> Vec<String> {
        std::iter::from_fn(|| Some(self.line()).filter(|line| line != ".")).collect()
    }

    fn ask(&mut self, line: &str) -> String {
        self.0.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
        self.line()
    }

    /// Sends the first token; what the server answers it with.
    fn first_step(&mut self, gssapi: &mut Gssapi) -> Vec<u8> {
        let Start::ClientFirst(token) = gssapi.start().unwrap() else { panic!() };
        assert!(gssapi.has_proved() && !gssapi.is_done());
        // The token is too long for the line of the command.
        assert_eq!(self.ask("AUTH GSSAPI"), "+ ");
        decoded(&self.ask(&BASE64_STANDARD.encode(token.expose())))
    }

    /// Goes on to the response that ends the negotiation; it is not sent yet.
    fn second_step(&mut self, gssapi: &mut Gssapi) -> String {
        let proof = self.first_step(gssapi);
        let response = gssapi.respond(&proof).unwrap();
        assert!(!gssapi.is_done());
        BASE64_STANDARD.encode(response.expose())
    }

    /// The whole exchange; the server's verdict.
    fn log_in(&mut self, gssapi: &mut Gssapi) -> String {
        let Start::ClientFirst(token) = gssapi.start().unwrap() else { panic!() };
        assert_eq!(self.ask("AUTH GSSAPI"), "+ ");
        let mut reply = self.ask(&BASE64_STANDARD.encode(token.expose()));
        while reply.starts_with("+ ") {
            assert!(!gssapi.is_done());
            let response = gssapi.respond(&decoded(&reply)).unwrap();
            reply = self.ask(&BASE64_STANDARD.encode(response.expose()));
        }
        reply
    }

    fn cancel(&mut self) {
        assert!(self.ask("*").starts_with("-ERR"));
    }

    fn log_in_by_password(&mut self) {
        let (user, password) = Dovecot::ALICE;
        let message = BASE64_STANDARD.encode(format!("\0{user}\0{password}"));
        let reply = self.ask(&format!("AUTH PLAIN {message}"));
        assert!(reply.starts_with("+OK"), "{reply}");
    }
}
