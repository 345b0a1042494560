// Who the server is, and who we are: P-137 to P-139, P-149, P-150, Q-018.

use std::io::Write as _;
use std::process::{Command, Stdio};

use popwire::{Connector, Security, Timeouts, Tls, TlsProblem};
use popwire_interop::dovecot::{Dovecot, Options};
use popwire_server::{Certificate, Server};

use crate::actor::Actor;
use crate::setting::{alice, ca, ended, login, ms, on_plain_port, tls};

helper! {
    /// Connects by both ways to TLS, finds this problem, and that no secret was sent.
    fn finds(server: &Server, settings: &Tls, problem: TlsProblem) {
        for connector in [
            tls(server),
            on_plain_port(server, Security::Stls),
            on_plain_port(server, Security::OpportunisticStls),
        ] {
            let connector = connector.tls(settings.clone()).dangerous_login_without_verified_tls();
            let error = go!(Client::connect(&connector)).unwrap_err();
            assert_eq!(error.tls_problem(), Some(problem), "{error:?}");
            assert!(error.is_tls() && !error.is_retryable() && !error.is_authentication());
            let shown = error.certificate().unwrap();
            assert_eq!(shown.key, format!("sha256//{}", pin_by_openssl(server.certificate_der())));
            let session = ended(server);
            assert!(session.client_lines().iter().all(|line| line == "CAPA" || line == "STLS"), "{session}");
        }
    }

    fn gets_in(connector: Connector) {
        let mut client = go!(Client::connect(&connector)).unwrap();
        assert!(client.tls().unwrap().verified);
        go!(client.login(&login())).unwrap();
        assert_eq!(go!(client.stat()).unwrap().messages, 2);
        assert!(go!(client.quit()).is_committed());
    }
}

/// The SHA-256 of the public key of a certificate (DER) in base64, by another implementation than ours.
fn pin_by_openssl(certificate: &[u8]) -> String {
    let script = "openssl x509 -inform der -noout -pubkey | openssl pkey -pubin -outform der \
        | openssl dgst -sha256 -binary | openssl base64 -A";
    let mut child = Command::new("bash")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(certificate).unwrap();
    let output = child.wait_with_output().unwrap();
    let pin = String::from_utf8(output.stdout).unwrap();
    assert_eq!(pin.len(), 44, "is openssl installed?");
    pin
}

fn known_by(server: &Server) -> Tls {
    Tls::new().with_root_certificates(server.ca_pem().as_bytes()).unwrap()
}

/// The name in the server_name extension of a ClientHello (RFC 6066 section 3).
fn server_name(hello: &[u8]) -> Option<String> {
    hello.windows(2).enumerate().find_map(|(at, kind)| {
        let field = |from: usize| {
            Some(usize::from(u16::from_be_bytes([*hello.get(at + from)?, *hello.get(at + from + 1)?])))
        };
        let (extension, list, name) = (field(2)?, field(4)?, field(7)?);
        let fits =
            kind == [0, 0] && hello.get(at + 6) == Some(&0) && extension == list + 2 && list == name + 3;
        let name = hello.get(at + 9..at + 9 + name)?;
        (fits && name.is_ascii()).then(|| String::from_utf8_lossy(name).into_owned())
    })
}

helper! {
    /// The ClientHello of a connection to this name; the server never answers it.
    fn hello(host: &str, settings: Tls) -> Vec<u8> {
        let actor = Actor::play([]);
        let mut timeouts = Timeouts::default();
        timeouts.tls = ms(150);
        let connector = Connector::new(host).port(actor.addr().port()).tls(settings).timeouts(timeouts);
        assert!(go!(Client::connect(&connector)).unwrap_err().is_timeout());
        actor.octets()
    }
}

case! {
    fn p_137_a_certificate_for_another_name() {
        let server = alice().certificate(Certificate::WrongName).start().unwrap();
        go!(finds(&server, &known_by(&server), TlsProblem::WrongName));
        go!(gets_in(tls(&server).tls(known_by(&server).with_server_name("elsewhere.example"))));
    }

    fn p_137_a_good_certificate_is_not_good_for_other_names() {
        let server = alice().start().unwrap();
        go!(finds(&server, &known_by(&server).with_server_name("mail.example.org"), TlsProblem::WrongName));
        go!(gets_in(tls(&server)));
        go!(gets_in(Connector::new("127.0.0.1").port(server.tls_addr().port()).tls(known_by(&server))));
    }

    fn p_137_a_certificate_that_expired() {
        let server = alice().certificate(Certificate::Expired).start().unwrap();
        go!(finds(&server, &known_by(&server), TlsProblem::Expired));
    }

    fn p_137_a_certificate_of_an_unknown_ca() {
        let server = alice().certificate(Certificate::UnknownCa).start().unwrap();
        go!(finds(&server, &known_by(&server), TlsProblem::UnknownIssuer));
        let server = alice().certificate(Certificate::SelfSigned).start().unwrap();
        go!(finds(&server, &known_by(&server), TlsProblem::UnknownIssuer));
        // What is trusted by default does not include a test's CA either.
        let good = alice().start().unwrap();
        go!(finds(&good, &Tls::new(), TlsProblem::UnknownIssuer));
    }

    fn p_149_a_pinned_key_is_trusted_whoever_signed_it() {
        for certificate in
            [Certificate::Good, Certificate::UnknownCa, Certificate::WrongName, Certificate::Expired]
        {
            let server = alice().certificate(certificate).start().unwrap();
            let pin = pin_by_openssl(server.certificate_der());
            let pinned = Tls::new().with_pinned_key(&pin).unwrap();
            go!(gets_in(tls(&server).tls(pinned)));
            assert!(server.wait_closed(1, ms(5000)));
            let second = Tls::new()
                .with_pinned_key(NO_KEY)
                .unwrap()
                .with_pinned_key(&format!("sha256//{pin}"))
                .unwrap();
            go!(gets_in(on_plain_port(&server, Security::Stls).tls(second)));
        }
    }

    fn p_149_another_key_is_not_trusted_even_if_the_ca_signed_it() {
        let server = alice().start().unwrap();
        go!(finds(&server, &known_by(&server).with_pinned_key(NO_KEY).unwrap(), TlsProblem::WrongKey));
        let other = pin_by_openssl(alice().start().unwrap().certificate_der());
        go!(finds(&server, &Tls::new().with_pinned_key(&other).unwrap(), TlsProblem::WrongKey));
    }

    fn p_149_a_pin_must_be_one() {
        for bad in ["", "sha256//", "AAAA", "md5//AAAAAAAAAAAAAAAAAAAAAA==", "not base64!"] {
            assert!(Tls::new().with_pinned_key(bad).unwrap_err().is_misuse(), "{bad:?}");
        }
        assert!(Tls::new().with_root_certificates(b"no PEM").unwrap_err().is_misuse());
        assert!(Tls::new().with_client_certificate(b"", "key").unwrap_err().is_misuse());
    }

    fn p_150_a_client_certificate_opens_a_server_that_wants_one() {
        let dovecot = Dovecot::start(&Options { require_client_cert: true, ..Options::default() }).unwrap();
        let (user, password) = Dovecot::ALICE;
        let login = popwire::Login::password(user, password);
        let settings = Tls::new().with_root_certificates(&std::fs::read(dovecot.ca()).unwrap()).unwrap();
        let connector = Connector::new(&dovecot.host).port(dovecot.tls_port);

        let certificate = std::fs::read(dovecot.client_cert()).unwrap();
        let key = std::fs::read(dovecot.client_key()).unwrap();
        let ours = settings.clone().with_client_certificate(&certificate, key).unwrap();
        let mut client = go!(Client::connect(&connector.clone().tls(ours))).unwrap();
        go!(client.login(&login)).unwrap();
        assert!(go!(client.quit()).is_committed());

        let refused = match go!(Client::connect(&connector.clone().tls(settings.clone()))) {
            Ok(mut client) => go!(client.login(&login)).unwrap_err(),
            Err(error) => error,
        };
        assert!(refused.is_tls() || refused.is_refused() || refused.is_io(), "{refused:?}");

        // A key that does not belong to it is found before anything is sent.
        let broken = settings.with_client_certificate(&certificate, "no key").unwrap();
        assert!(go!(Client::connect(&connector.tls(broken))).unwrap_err().is_misuse());
    }

    fn p_139_q_018_the_name_is_sent_in_the_handshake() {
        let hello_of_host = go!(hello("localhost", Tls::new().with_pinned_key(NO_KEY).unwrap()));
        assert_eq!(hello_of_host[0], 0x16, "not a handshake record");
        assert_eq!(server_name(&hello_of_host).as_deref(), Some("localhost"));
        let other = Tls::new().with_pinned_key(NO_KEY).unwrap().with_server_name("pop.example.org");
        assert_eq!(server_name(&go!(hello("127.0.0.1", other))).as_deref(), Some("pop.example.org"));
        // An address is no name (RFC 6066 section 3).
        assert_eq!(server_name(&go!(hello("127.0.0.1", Tls::new().with_pinned_key(NO_KEY).unwrap()))), None);
    }

    fn p_138_names_are_those_of_the_extension_and_a_wildcard_is_one_label() {
        let server = alice().certificate(Certificate::Wildcard).start().unwrap();
        let named = |name: &str| {
            Connector::new("localhost").port(server.tls_addr().port()).tls(ca(&server).with_server_name(name))
        };
        assert!(go!(Client::connect(&named("pop.wild.example"))).is_ok());
        for name in ["wild.example", "a.b.wild.example", "pop.tame.example", "localhost"] {
            let error = go!(Client::connect(&named(name))).unwrap_err();
            assert_eq!(error.tls_problem(), Some(TlsProblem::WrongName), "{name}: {error:?}");
        }
        // The common name is not looked at.
        let server = alice().certificate(Certificate::CommonNameOnly).start().unwrap();
        let error = go!(Client::connect(&tls(&server))).unwrap_err();
        assert_eq!(error.tls_problem(), Some(TlsProblem::WrongName), "{error:?}");
    }

    fn p_136_the_session_is_of_tls_1_2_or_later() {
        let server = alice().start().unwrap();
        let client = go!(Client::connect(&tls(&server))).unwrap();
        let info = client.tls().unwrap();
        assert!(["TLSv1_2", "TLSv1_3"].contains(&info.version.as_str()), "{info:?}");
        assert_eq!(info.certificate, server.certificate_der());
        assert!(!info.cipher_suite.is_empty());
    }

    fn p_134_a_plain_server_on_the_port_of_tls() {
        let server = alice().start().unwrap();
        let connector = Connector::new("localhost").port(server.addr().port()).tls(known_by(&server));
        let error = go!(Client::connect(&connector)).unwrap_err();
        assert_eq!(error.tls_problem(), Some(TlsProblem::NotTls), "{error:?}");
        // The ClientHello is all that it got.
        let octets = String::from_utf8_lossy(&ended(&server).client_octets()).into_owned();
        assert!(!octets.contains("USER") && !octets.contains("PASS"), "{octets}");
    }

    fn p_134_a_tls_server_on_the_port_without() {
        let server = alice().start().unwrap();
        for security in [Security::Plain, Security::Stls, Security::OpportunisticStls] {
            let mut timeouts = Timeouts::default();
            timeouts.greeting = ms(200);
            let connector = Connector::new("localhost")
                .port(server.tls_addr().port())
                .security(security)
                .timeouts(timeouts)
                .dangerous_login_without_verified_tls();
            // Both sides wait for the other; the error names the likely reason.
            let error = go!(Client::connect(&connector)).unwrap_err();
            assert!(error.is_timeout() && error.to_string().contains("TLS"), "{error:?}");
            assert_eq!(ended(&server).client_octets(), b"");
        }
    }
}

/// The pin of a key that nobody has.
const NO_KEY: &str = "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
