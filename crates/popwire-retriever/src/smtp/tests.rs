use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use popwire_interop::smtpd::Smtpd;
use rcgen::{CertifiedKey, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;
use crate::destination::testing::parcel;
use crate::transfer::testing::{Part, Talk, play};
use crate::{DeliveryError, Destination as _, Parcel};

static CERTIFIED: LazyLock<CertifiedKey<KeyPair>> =
    LazyLock::new(|| rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap());

type TlsTalk = Talk<StreamOwned<ServerConnection, TcpStream>>;

/// The same connection with TLS around it.
fn with_tls(talk: Talk) -> TlsTalk {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(CERTIFIED.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CERTIFIED.cert.der().clone()], key)
        .unwrap();
    let connection = ServerConnection::new(Arc::new(config)).unwrap();
    Talk(BufReader::new(StreamOwned::new(connection, talk.0.into_inner())))
}

fn destination(place: &str, security: SmtpSecurity) -> SmtpDestination {
    // The certificate is for a name.
    let place = place.replace("127.0.0.1", "localhost");
    SmtpDestination::new(&place, security, Mailbox::new("bob").unwrap())
        .patience(Duration::from_secs(10))
        .root_certificates(CERTIFIED.cert.pem().as_bytes())
        .unwrap()
}

fn deliver(destination: &mut SmtpDestination, parcels: &[&Parcel]) -> Vec<Result<String, DeliveryError>> {
    assert!(destination.prepare(parcels).iter().all(Result::is_ok));
    destination.commit(parcels)
}

/// What failed, and why, if it is for all messages.
fn unavailable(result: Result<String, DeliveryError>) -> (&'static str, String) {
    match result {
        Err(DeliveryError::Unavailable { doing, source, .. }) => (doing, source.to_string()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_message_goes_out_without_tls() {
    let (place, playing) = play(&[|mut talk: Talk| {
        talk.greet("EHLO", &["AUTH PLAIN"]);
        for expected in [&b"one\r\n.\r\n"[..], b"two\r\n.\r\n"] {
            talk.envelope();
            assert_eq!(talk.message(), expected);
            talk.say(&["250 queued"]);
        }
        talk.hear("QUIT");
    }]);
    let mut destination = destination(&place, SmtpSecurity::Plain);
    let results = deliver(&mut destination, &[&parcel("1", b"one"), &parcel("1", b"two")]);
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    drop(destination);
    playing.join().unwrap();
}

/// Logs in, and takes a large message and a small one.
fn logged_in(mut talk: TlsTalk) {
    talk.say(&["235 welcome"]);
    for expected in [LARGE.len() + 3, 10] {
        talk.envelope();
        assert_eq!(talk.message().len(), expected);
        talk.say(&["250 queued"]);
    }
    talk.hear("QUIT");
}

static LARGE: LazyLock<Vec<u8>> = LazyLock::new(|| b"some line\r\n".repeat(500_000));

#[test]
fn a_message_goes_out_by_tls_with_a_login() {
    let by_starttls: Part = |mut talk| {
        talk.greet("EHLO", &["STARTTLS", "AUTH PLAIN"]);
        talk.hear("STARTTLS");
        talk.say(&["220 go on"]);
        let mut talk = with_tls(talk);
        // What it announced before TLS is forgotten.
        talk.announce("EHLO", &["AUTH CRAM-MD5 LOGIN"]);
        talk.hear("AUTH LOGIN");
        talk.say(&["334 VXNlcm5hbWU6"]);
        talk.hear("YWxpY2U=");
        talk.say(&["334 UGFzc3dvcmQ6"]);
        talk.hear("czNjcmV0");
        logged_in(talk);
    };
    let by_tls: Part = |talk| {
        let mut talk = with_tls(talk);
        talk.greet("EHLO", &["AUTH LOGIN plain"]);
        talk.hear("AUTH PLAIN AGFsaWNlAHMzY3JldA==");
        logged_in(talk);
    };
    for (part, security) in [(by_starttls, SmtpSecurity::StartTls), (by_tls, SmtpSecurity::Tls)] {
        let (place, playing) = play(&[part]);
        let mut destination = destination(&place, security).login("alice", "s3cret");
        let results = deliver(&mut destination, &[&parcel("1", &LARGE), &parcel("1", b"small")]);
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        drop(destination);
        playing.join().unwrap();
    }
}

#[test]
fn no_password_and_no_message_goes_to_the_wrong_server() {
    let one = parcel("1", b"one");
    // Whoever sits in between takes the offer away, or answers ahead what the server is going to be asked behind TLS.
    let stripped: Part = |mut talk| {
        talk.greet("EHLO", &["AUTH PLAIN"]);
        talk.end();
    };
    let injected: Part = |mut talk| {
        talk.greet("EHLO", &["STARTTLS"]);
        talk.hear("STARTTLS");
        talk.say(&["220 go on", "250 peer", "250 ok", "250 ok", "354 go on", "250 queued"]);
        talk.end();
    };
    for (part, said) in [(stripped, "does not offer STARTTLS"), (injected, "before TLS began")] {
        let (place, playing) = play(&[part]);
        let mut destination = destination(&place, SmtpSecurity::StartTls);
        let (doing, reason) = unavailable(deliver(&mut destination, &[&one]).remove(0));
        assert!(doing == "connecting to" && reason.contains(said), "{doing} {reason}");
        drop(destination);
        playing.join().unwrap();
    }

    // A certificate of nobody that we trust, and one for another name.
    let any: Part = |talk| {
        let mut talk = with_tls(talk);
        // The handshake fails, with an alert.
        assert!(std::io::Write::flush(talk.0.get_mut()).is_err() || talk.0.fill_buf().is_err());
    };
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (place, playing) = play(&[any]);
    let mut wrong =
        destination(&place, SmtpSecurity::Tls).root_certificates(other.cert.pem().as_bytes()).unwrap();
    let (_, reason) = unavailable(deliver(&mut wrong, &[&one]).remove(0));
    assert!(reason.contains("certificate"), "{reason}");
    playing.join().unwrap();
    let (place, playing) = play(&[any]);
    let mut wrong = SmtpDestination::new(&place, SmtpSecurity::Tls, Mailbox::new("bob").unwrap());
    wrong = wrong.root_certificates(CERTIFIED.cert.pem().as_bytes()).unwrap();
    let (_, reason) = unavailable(deliver(&mut wrong, &[&one]).remove(0));
    assert!(reason.contains("certificate"), "{reason}");
    playing.join().unwrap();

    // No connection is made at all.
    let mut plain = destination("localhost:1", SmtpSecurity::Plain).login("alice", "s3cret");
    let (doing, _) = unavailable(deliver(&mut plain, &[&one]).remove(0));
    assert_eq!(doing, "logging in to");
    let new = || SmtpDestination::new("localhost", SmtpSecurity::Tls, Mailbox::new("bob").unwrap());
    assert!(new().root_certificates(b"nothing").is_err());
}

#[test]
fn a_refused_login_takes_no_message_at_all() {
    let refused: Part = |talk| {
        let mut talk = with_tls(talk);
        talk.greet("EHLO", &["AUTH PLAIN"]);
        talk.hear_any();
        talk.say(&["535 5.7.8 wrong"]);
    };
    let endless: Part = |talk| {
        let mut talk = with_tls(talk);
        talk.greet("EHLO", &["AUTH LOGIN"]);
        for _ in 0..3 {
            talk.hear_any();
            talk.say(&["334 eA=="]);
        }
    };
    let without: Part = |talk| {
        let mut talk = with_tls(talk);
        talk.greet("EHLO", &["AUTH GSSAPI"]);
    };
    for part in [refused, endless, without] {
        let (place, playing) = play(&[part]);
        let mut destination = destination(&place, SmtpSecurity::Tls).login("alice", "s3cret");
        let results = deliver(&mut destination, &[&parcel("1", b"one"), &parcel("1", b"two")]);
        for result in results {
            let (_, reason) = unavailable(result);
            assert!(!reason.contains("s3cret"));
        }
        playing.join().unwrap();
    }
}

#[test]
fn a_server_that_is_silent_within_tls_is_not_waited_for() {
    let before: Part = |_talk| thread::sleep(Duration::from_millis(1500));
    let within: Part = |talk| {
        let mut talk = with_tls(talk);
        talk.say(&["220 peer"]);
        thread::sleep(Duration::from_millis(1500));
    };
    for part in [before, within] {
        let (place, playing) = play(&[part]);
        let begun = std::time::Instant::now();
        let mut destination = destination(&place, SmtpSecurity::Tls).patience(Duration::from_millis(300));
        let (_, reason) = unavailable(deliver(&mut destination, &[&parcel("1", b"one")]).remove(0));
        assert!(begun.elapsed() < Duration::from_millis(1400), "{reason}");
        playing.join().unwrap();
    }
}

#[test]
fn pythons_server_gets_what_was_received() {
    let smtpd = Smtpd::start().unwrap();
    let mut destination = destination(&format!("127.0.0.1:{}", smtpd.port), SmtpSecurity::Plain);
    destination.check().unwrap();
    let large = b"..\r\n.x\r\n.\r\n\r\n".repeat(100_000);
    let mails = [
        &b"Return-Path: <carol@x>\r\nSubject: 1\r\n\r\n.\r\nFrom a\r\n\xff\r\n"[..],
        b"Return-Path: <eve@x>\r\n\r\n",
        &large,
    ];
    let parcels = mails.map(|mail| parcel("1", mail));
    let results = deliver(&mut destination, &parcels.iter().collect::<Vec<_>>());
    assert!(
        matches!(&results[1], Err(DeliveryError::Refused { permanent: true, said, .. }) if said == "550 not from her")
    );
    let stored = smtpd.stored().unwrap();
    assert_eq!(stored.len(), 2);
    for (octets, mail, sender) in [(&stored[0], 0, "carol@x"), (&stored[1], 2, "<>")] {
        assert!(results[mail].is_ok(), "{:?}", results[mail]);
        let text: Vec<u8> = mails[mail].iter().copied().filter(|octet| *octet != b'\r').collect();
        let text = text.strip_suffix(b"\n").unwrap();
        assert!(*octets == [format!("{sender} ['bob']\n").as_bytes(), text].concat());
    }
}
