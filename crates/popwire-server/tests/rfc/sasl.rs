//! AUTH: section 5.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use popwire_proto::sasl::{
    Binding, BindingType, ChannelBinding, ClientMechanism, CramMd5, DigestMd5, Hash, Nonce, Ntlm, Scram,
    Start,
};
use popwire_server::{Builder, Maildrop, Mechanism, Server};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::talk::{ONE, SOON, Stream, Talk, alice, server, tcp};

/// alice and her password, in base64.
pub(crate) const PLAIN: &str = "AGFsaWNlAHMzY3JldCBwYXNz";

fn b64(octets: impl AsRef<[u8]>) -> String {
    STANDARD.encode(octets)
}

pub(crate) fn with(mechanisms: &[Mechanism]) -> Builder {
    alice().sasl(mechanisms.iter().copied())
}

fn plain() -> Server {
    with(&[Mechanism::Plain]).start().unwrap()
}

pub(crate) fn greeted(server: &Server) -> Talk {
    let mut talk = Talk::plain(server);
    talk.run("S: +OK *");
    talk
}

/// Whether CAPA and AUTH list the same, and what that is.
pub(crate) fn announced(talk: &mut Talk) -> String {
    talk.run("C: CAPA\nS: +OK *");
    let capabilities = talk.body();
    let sasl = capabilities.lines().find_map(|line| line.strip_prefix("SASL ")).unwrap_or_default();
    talk.send("AUTH\r\n");
    let listed = if talk.line().starts_with(b"+OK") { talk.body() } else { String::new() };
    assert_eq!(listed.lines().collect::<Vec<_>>().join(" "), sasl);
    sasl.to_owned()
}

/// Logs in from end to end. The last line that the server said.
pub(crate) fn login(talk: &mut Talk, mut client: impl ClientMechanism, in_line: bool) -> String {
    let mut response = match client.start().unwrap() {
        Start::ServerFirst => None,
        Start::ClientFirst(response) => Some(b64(response.expose())),
    };
    match response.take_if(|_| in_line) {
        Some(initial) => talk.send(format!("AUTH {} {initial}\r\n", client.name())),
        None => talk.send(format!("AUTH {}\r\n", client.name())),
    }
    loop {
        let line = String::from_utf8(talk.line()).unwrap();
        let line = line.strip_suffix("\r\n").unwrap().to_owned();
        let Some(challenge) = line.strip_prefix("+ ") else { return line };
        let answer = match response.take() {
            Some(response) => response,
            None => match client.respond(&STANDARD.decode(challenge).unwrap()) {
                Ok(response) => b64(response.expose()),
                Err(_) => "*".to_owned(),
            },
        };
        talk.send(format!("{answer}\r\n"));
    }
}

pub(crate) fn scram(password: &str, binding: Binding) -> Scram {
    Scram::new(Hash::Sha256, "alice", password, binding, Nonce::random().unwrap())
}

#[test]
fn p_100_auth_belongs_before_login_and_to_known_mechanisms() {
    let server = plain();
    let mut talk = greeted(&server);
    talk.run("C: AUTH X-UNKNOWN\nS: -ERR no such mechanism\nC: AUTH LOGIN\nS: -ERR no such mechanism");
    talk.run("C: AUTH PLAIN a b\nS: -ERR wrong arguments");
    talk.run(&format!("C: AUTH PLAIN {PLAIN}\nS: +OK maildrop has 2 messages (50 octets)"));
    talk.run(&format!("C: AUTH PLAIN {PLAIN}\nS: -ERR not allowed now\nC: STAT\nS: +OK 2 50"));
    assert_eq!(server.last_session().unwrap().client_lines()[3], format!("AUTH PLAIN {PLAIN}"));
}

#[test]
fn p_102_p_104_initial_responses_and_challenges() {
    let server = plain();
    greeted(&server).run(&format!("C: AUTH PLAIN\nS: + \nC: {PLAIN}\nS: +OK *\nC: STAT\nS: +OK 2 50"));
    assert_eq!(server.last_session().unwrap().client_lines(), ["AUTH PLAIN", PLAIN, "STAT"]);
    // `=` is a response, and an empty one: ANONYMOUS needs no more.
    let server = with(&[Mechanism::Anonymous]).anonymous("alice").start().unwrap();
    greeted(&server).run("C: AUTH ANONYMOUS =\nS: +OK *\nC: STAT\nS: +OK 2 50\nC: QUIT\nS: +OK *");
    greeted(&server).run("C: AUTH ANONYMOUS\nS: + \nC:  \nS: -ERR this is not base64");
    let mut talk = greeted(&server);
    talk.run("C: AUTH ANONYMOUS\nS: + ");
    talk.send("\r\n");
    talk.run("S: +OK *");
    // In a response it stands for nothing.
    greeted(&plain()).run("C: AUTH PLAIN\nS: + \nC: =\nS: -ERR *\nC: AUTH PLAIN =\nS: -ERR the response *");
}

#[test]
fn p_105_responses_may_be_long_but_not_endless() {
    let server = plain();
    let mut talk = greeted(&server);
    let long = b64([b"\0alice\0".as_slice(), &[b'x'; 40_000]].concat());
    talk.run(&format!("C: AUTH PLAIN\nS: + \nC: {long}\nS: -ERR [AUTH] *"));
    let longer = b64([b"\0alice\0".as_slice(), &[b'x'; 60_000]].concat());
    talk.run(&format!(
        "C: AUTH PLAIN\nS: + \nC: {longer}\nS: -ERR line too long\nC: NOOP\nS: -ERR not allowed now"
    ));
    // Commands are as short as before.
    talk.run(&format!("C: AUTH PLAIN {}\nS: -ERR line too long", &longer[..400]));
    talk.run(&format!("C: AUTH PLAIN {PLAIN}\nS: +OK *"));
}

#[test]
fn p_106_base64_is_strict() {
    let server = plain();
    let mut talk = greeted(&server);
    for wrong in [
        "AGFsaWNl!HMzY3JldCBwYXNz",
        "AGFsaWNlAHMzY3JldCBwYXN",
        "A GFsaWNl",
        "AGFs=aWN",
        "====",
        "AGFsaWNlAHMzY3JldCBwYXN6IA",
    ] {
        talk.run(&format!("C: AUTH PLAIN\nS: + \nC: {wrong}\nS: -ERR this is not base64"));
        if !wrong.contains(' ') {
            talk.run(&format!("C: AUTH PLAIN {wrong}\nS: -ERR this is not base64"));
        }
    }
    talk.run(&format!("C: AUTH PLAIN {PLAIN}\nS: +OK *"));
}

#[test]
fn p_108_a_star_cancels() {
    let server = with(&[Mechanism::Plain, Mechanism::Login, Mechanism::ScramSha256]).start().unwrap();
    let mut talk = greeted(&server);
    talk.run("C: AUTH PLAIN\nS: + \nC: *\nS: -ERR cancelled");
    talk.run("C: AUTH LOGIN\nS: + VXNlcm5hbWU6\nC: YWxpY2U=\nS: + UGFzc3dvcmQ6\nC: *\nS: -ERR cancelled");
    talk.run(&format!("C: AUTH SCRAM-SHA-256 {}\nS: + *\nC: *\nS: -ERR cancelled", b64("n,,n=alice,r=x")));
    // As a command it is none.
    talk.run("C: *\nS: -ERR unknown command\nC: USER alice\nS: +OK *\nC: PASS s3cret pass\nS: +OK *");
}

#[test]
fn p_109_the_last_word_comes_in_a_challenge() {
    let server = with(&[Mechanism::ScramSha256]).start().unwrap();
    for in_line in [true, false] {
        let mut talk = greeted(&server);
        let last = login(&mut talk, scram("s3cret pass", Binding::Unsupported), in_line);
        assert_eq!(last, "+OK maildrop has 2 messages (50 octets)");
        // The server's proof was answered by an empty line.
        let session = server.last_session().unwrap();
        let said: Vec<String> = session.lines.iter().rev().take(3).map(ToString::to_string).collect();
        assert_eq!(said[1], "C: ");
        let proof = STANDARD.decode(said[2].strip_prefix("S: + ").unwrap()).unwrap();
        assert!(proof.starts_with(b"v="), "{session}");
        talk.run("C: QUIT\nS: +OK *");
    }
    let last = login(&mut greeted(&server), scram("wrong", Binding::Unsupported), true);
    assert_eq!(last, "-ERR [AUTH] wrong name or password");
}

#[test]
fn every_mechanism_lets_in_who_is_right() {
    let all = [Mechanism::CramMd5, Mechanism::DigestMd5, Mechanism::Ntlm, Mechanism::Login];
    let server = with(&all).scram_iterations(5000).start().unwrap();
    let nonce = || Nonce::random().unwrap();
    // The timestamp of NTLM comes from the server.
    let now = Duration::from_secs(1_700_000_000);
    for (password, answer) in [("wrong", "-ERR [AUTH] wrong"), ("s3cret pass", "+OK")] {
        for host in ["localhost", "127.0.0.1"] {
            let digest = DigestMd5::new("alice", password, host, nonce());
            assert!(
                login(&mut greeted(&server), digest, true).starts_with(answer),
                "{}",
                server.last_session().unwrap()
            );
            assert!(server.wait_closed(server.sessions().len(), SOON));
        }
        let cram = CramMd5::new("alice", password);
        assert!(login(&mut greeted(&server), cram, true).starts_with(answer));
        assert!(server.wait_closed(server.sessions().len(), SOON));
        let ntlm = Ntlm::new("alice", password, nonce(), now);
        assert!(
            login(&mut greeted(&server), ntlm, true).starts_with(answer),
            "{}",
            server.last_session().unwrap()
        );
        assert!(server.wait_closed(server.sessions().len(), SOON));
        let two_lines = popwire_proto::sasl::Login::new("alice", password);
        assert!(login(&mut greeted(&server), two_lines, true).starts_with(answer));
        assert!(server.wait_closed(server.sessions().len(), SOON));
    }
}

#[test]
fn p_110_no_initial_response_where_the_server_speaks_first() {
    let server = with(&[Mechanism::Login, Mechanism::CramMd5, Mechanism::DigestMd5]).start().unwrap();
    let mut talk = greeted(&server);
    for mechanism in ["LOGIN", "CRAM-MD5", "DIGEST-MD5"] {
        talk.run(&format!("C: AUTH {mechanism} YWxpY2U=\nS: -ERR the server speaks first *"));
        talk.run(&format!("C: AUTH {mechanism} =\nS: -ERR the server speaks first *"));
    }
    talk.run("C: USER alice\nS: +OK *\nC: PASS s3cret pass\nS: +OK *");
}

#[test]
fn p_111_after_a_failure_all_is_as_before() {
    let wrong = b64("\0alice\0wrong");
    let server = with(&[Mechanism::Plain, Mechanism::ScramSha256]).start().unwrap();
    for way in ["PLAIN", "SCRAM", "USER"] {
        let mut talk = greeted(&server);
        // A USER before AUTH is forgotten.
        talk.run("C: USER alice\nS: +OK *");
        talk.run(&format!("C: AUTH PLAIN {wrong}\nS: -ERR [AUTH] wrong name or password"));
        talk.run("C: PASS s3cret pass\nS: -ERR USER comes first");
        assert!(login(&mut talk, scram("wrong", Binding::Unsupported), false).starts_with("-ERR [AUTH]"));
        match way {
            "PLAIN" => _ = talk.run(&format!("C: AUTH PLAIN {PLAIN}\nS: +OK *")),
            "SCRAM" => {
                assert!(
                    login(&mut talk, scram("s3cret pass", Binding::Unsupported), true).starts_with("+OK")
                );
            }
            _ => _ = talk.run("C: USER alice\nS: +OK *\nC: PASS s3cret pass\nS: +OK *"),
        }
        talk.run("C: STAT\nS: +OK 2 50\nC: QUIT\nS: +OK *");
    }
}

#[test]
fn p_112_names_are_prepared() {
    let server = Server::builder()
        .user("IX", "\u{2168}", Maildrop::memory([ONE]))
        .user("\u{aa}", "x", Maildrop::empty())
        .sasl([Mechanism::Plain])
        .start()
        .unwrap();
    for (message, answer) in [
        ("\0IX\0IX", "+OK maildrop has 1"),
        ("\0I\u{ad}X\0I\u{ad}X", "+OK maildrop has 1"),
        ("\0\u{2168}\0\u{2168}", "+OK maildrop has 1"),
        // The account itself has a name that is not prepared.
        ("\0a\0x", "+OK maildrop has 0"),
        ("\0ix\0IX", "-ERR [AUTH]"),
        ("\0\u{ad}\0x", "-ERR the response"),
        ("\0\u{7}\0x", "-ERR the response"),
    ] {
        greeted(&server).run(&format!("C: AUTH PLAIN {}\nS: {answer}*\nC: QUIT\nS: +OK *", b64(message)));
    }
}

#[test]
fn p_092_gssapi_is_there_by_its_feature_only() {
    let server = with(&[Mechanism::Gssapi, Mechanism::Plain]).start().unwrap();
    let mut talk = greeted(&server);
    let (offered, answer) =
        if cfg!(feature = "gssapi") { ("GSSAPI PLAIN", "+ ") } else { ("PLAIN", "-ERR no such mechanism") };
    assert_eq!(announced(&mut talk), offered);
    talk.run(&format!("C: AUTH GSSAPI\nS: {answer}"));
}

#[test]
fn p_113_nothing_in_clear_text_before_tls() {
    let mechanisms = [
        Mechanism::ScramSha256Plus,
        Mechanism::ScramSha256,
        Mechanism::Plain,
        Mechanism::Login,
        Mechanism::OAuthBearer,
        Mechanism::XOAuth2,
        Mechanism::External,
    ];
    let server = with(&mechanisms).require_tls(true).start().unwrap();
    let mut talk = greeted(&server);
    assert_eq!(announced(&mut talk), "SCRAM-SHA-256");
    for mechanism in ["PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2"] {
        talk.run(&format!("C: AUTH {mechanism}\nS: -ERR TLS is required before login"));
    }
    talk.run(&format!("C: AUTH PLAIN {PLAIN}\nS: -ERR TLS is required before login"));
    for mechanism in ["SCRAM-SHA-256-PLUS", "EXTERNAL", "GSSAPI"] {
        talk.run(&format!("C: AUTH {mechanism}\nS: -ERR no such mechanism"));
    }
    talk.run("C: STLS\nS: +OK *");
    let mut talk = talk.start_tls(&server);
    assert_eq!(announced(&mut talk), "SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN OAUTHBEARER XOAUTH2");
    talk.run(&format!("C: AUTH PLAIN {PLAIN}\nS: +OK *"));
    // Where TLS is not required, all that can be used is announced.
    let server = with(&mechanisms).start().unwrap();
    assert_eq!(announced(&mut greeted(&server)), "SCRAM-SHA-256 PLAIN LOGIN OAUTHBEARER XOAUTH2");
}

#[test]
fn p_115_sasl_is_announced_in_both_states() {
    let server = with(&[Mechanism::Login, Mechanism::Plain]).start().unwrap();
    let mut talk = greeted(&server);
    assert_eq!(announced(&mut talk), "LOGIN PLAIN");
    talk.run(&format!("C: AUTH PLAIN {PLAIN}\nS: +OK *\nC: CAPA\nS: +OK *"));
    assert!(talk.body().contains("\r\nSASL LOGIN PLAIN\r\n"));
}

#[test]
fn p_116_letter_case_does_not_matter() {
    greeted(&plain()).run(&format!("C: auth pLaIn {PLAIN}\nS: +OK *"));
}

#[test]
fn p_117_fields_of_255_octets_and_somebody_else() {
    let (name, password) = ("n".repeat(255), "p".repeat(255));
    let server = alice()
        .user(&name, &password, Maildrop::empty())
        .acts_as(&name, "alice")
        .sasl([Mechanism::Plain])
        .start()
        .unwrap();
    let message = |authzid: &str| b64(format!("{authzid}\0{name}\0{password}"));
    greeted(&server).run(&format!("C: AUTH PLAIN\nS: + \nC: {}\nS: +OK maildrop has 0 *", message(&name)));
    greeted(&server).run(&format!("C: AUTH PLAIN\nS: + \nC: {}\nS: +OK maildrop has 2 *", message("alice")));
    greeted(&server).run(&format!("C: AUTH PLAIN\nS: + \nC: {}\nS: -ERR [AUTH] *", message("bob")));
    greeted(&server).run(&format!("C: AUTH PLAIN {}\nS: -ERR [AUTH] *", b64("bob\0alice\0s3cret pass")));
}

#[test]
fn p_123_iterations_are_at_least_4096() {
    let asked = |server: &Server| {
        let mut talk = greeted(server);
        talk.send(format!("AUTH SCRAM-SHA-1 {}\r\n", b64("n,,n=nobody,r=x")));
        let line = String::from_utf8(talk.line()).unwrap();
        String::from_utf8(STANDARD.decode(line.trim().strip_prefix("+ ").unwrap()).unwrap()).unwrap()
    };
    let server = with(&[Mechanism::ScramSha1]).start().unwrap();
    assert!(asked(&server).ends_with(",i=4096"));
    let server = with(&[Mechanism::ScramSha1]).scram_iterations(10_000).start().unwrap();
    assert!(asked(&server).ends_with(",i=10000"));
}

#[test]
fn tokens_are_accepted_and_refused_with_a_reason() {
    let server = with(&[Mechanism::OAuthBearer, Mechanism::XOAuth2])
        .token("alice", "t0ken")
        .acts_as("alice", "shared")
        .start()
        .unwrap();
    let bearer = |user: &str, token: &str| b64(format!("n,a={user},\x01auth=Bearer {token}\x01\x01"));
    let google = |user: &str, token: &str| b64(format!("user={user}\x01auth=Bearer {token}\x01\x01"));
    greeted(&server)
        .run(&format!("C: AUTH OAUTHBEARER {}\nS: +OK *\nC: QUIT\nS: +OK *", bearer("alice", "t0ken")));
    greeted(&server).run(&format!(
        "C: AUTH XOAUTH2\nS: + \nC: {}\nS: +OK *\nC: QUIT\nS: +OK *",
        google("alice", "t0ken")
    ));
    let mut talk = greeted(&server);
    let why = b64(r#"{"status":"invalid_token","scope":"mail"}"#);
    talk.run(&format!(
        "C: AUTH OAUTHBEARER {}\nS: + {why}\nC: AQ==\nS: -ERR [AUTH] *",
        bearer("alice", "old")
    ));
    talk.run(&format!("C: AUTH OAUTHBEARER {}\nS: + {why}\nC: *\nS: -ERR cancelled", bearer("bob", "t0ken")));
    let why = b64(r#"{"status":"401","schemes":"bearer","scope":"mail"}"#);
    talk.run(&format!("C: AUTH XOAUTH2 {}\nS: + {why}", google("alice", "old")));
    talk.send("\r\n");
    talk.run("S: -ERR [AUTH] *\nC: USER alice\nS: +OK *");
    assert_eq!(server.last_session().unwrap().client_lines()[5], "");
}

/// A TLS session with the server, bound to as RFC 9266 has it, and with a client certificate if one is given.
fn tls(server: &Server, certificate: Option<(String, String)>) -> (Talk, Option<Vec<u8>>) {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(server.ca_der().to_vec())).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match certificate {
        None => config.with_no_client_auth(),
        Some((pem, key)) => {
            let chain = vec![CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            config.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let mut stream = tcp(server.tls_addr());
    let name = ServerName::try_from("localhost").unwrap();
    let mut tls = ClientConnection::new(Arc::new(config), name).unwrap();
    tls.complete_io(&mut stream).unwrap();
    let exported = (tls.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3))
        .then(|| tls.export_keying_material(vec![0; 32], b"EXPORTER-Channel-Binding", Some(&[])).unwrap());
    let mut talk = Talk::over(Stream::Tls(Box::new(StreamOwned::new(tls, stream))));
    talk.run("S: +OK *");
    (talk, exported)
}

fn end_point(server: &Server) -> ChannelBinding {
    use sha2::Digest as _;
    let hash = sha2::Sha256::digest(server.certificate_der()).to_vec();
    ChannelBinding::new(BindingType::TlsServerEndPoint, hash)
}

#[test]
fn p_125_p_126_both_bindings_of_tls_1_3() {
    let server = with(&[Mechanism::ScramSha256Plus, Mechanism::ScramSha256]).start().unwrap();
    let (mut talk, exported) = tls(&server, None);
    let exporter = ChannelBinding::new(BindingType::TlsExporter, exported.unwrap());
    assert!(
        login(&mut talk, scram("wrong", Binding::Bound(exporter.clone())), true).starts_with("-ERR [AUTH]")
    );
    let elsewhere = ChannelBinding::new(BindingType::TlsExporter, vec![0; 32]);
    assert_eq!(login(&mut talk, scram("s3cret pass", Binding::Bound(elsewhere)), true), "-ERR cancelled");
    assert!(login(&mut talk, scram("s3cret pass", Binding::Bound(exporter)), true).starts_with("+OK"));
    talk.run("C: QUIT\nS: +OK *");

    let (mut talk, _) = tls(&server, None);
    // Who could bind and does not see the offer has been cheated.
    assert_eq!(login(&mut talk, scram("s3cret pass", Binding::NotOffered), true), "-ERR cancelled");
    let refused = b64("e=server-does-support-channel-binding");
    talk.run(&format!("C: AUTH SCRAM-SHA-256 {}\nS: + {refused}", b64("y,,n=alice,r=x")));
    talk.send("\r\n");
    talk.run("S: -ERR the response makes no sense");
    assert!(
        login(&mut talk, scram("s3cret pass", Binding::Bound(end_point(&server))), true).starts_with("+OK")
    );
    talk.run("C: QUIT\nS: +OK *");
    // Without TLS nothing is offered, and `y` is right.
    assert!(login(&mut greeted(&server), scram("s3cret pass", Binding::NotOffered), true).starts_with("+OK"));
}

#[test]
fn p_126_tls_1_2_binds_to_the_certificate() {
    let server = with(&[Mechanism::ScramSha256Plus]).tls12_only(true).start().unwrap();
    let (mut talk, exported) = tls(&server, None);
    assert_eq!(exported, None);
    let unknown = b64("e=unsupported-channel-binding-type");
    talk.run(&format!(
        "C: AUTH SCRAM-SHA-256-PLUS {}\nS: + {unknown}\nC: *\nS: -ERR *",
        b64("p=tls-exporter,,n=alice,r=x")
    ));
    assert!(
        login(&mut talk, scram("s3cret pass", Binding::Bound(end_point(&server))), true).starts_with("+OK")
    );
}

#[test]
fn external_goes_by_the_certificate() {
    let server = with(&[Mechanism::External, Mechanism::Plain]).start().unwrap();
    let (mut talk, _) = tls(&server, None);
    assert_eq!(announced(&mut talk), "PLAIN");
    talk.run("C: AUTH EXTERNAL =\nS: -ERR no such mechanism");
    let (mut talk, _) = tls(&server, Some(server.client_certificate("alice").unwrap()));
    assert_eq!(announced(&mut talk), "EXTERNAL PLAIN");
    talk.run(&format!("C: AUTH EXTERNAL {}\nS: -ERR [AUTH] *", b64("bob")));
    talk.run("C: AUTH EXTERNAL =\nS: +OK *\nC: STAT\nS: +OK 2 50\nC: QUIT\nS: +OK *");
    // Somebody of whom there is no maildrop.
    let (mut talk, _) = tls(&server, Some(server.client_certificate("bob").unwrap()));
    talk.run("C: AUTH EXTERNAL\nS: + ");
    talk.send("\r\n");
    talk.run("S: -ERR [AUTH] *");
}

#[test]
fn lines_behind_the_exchange_are_carried_out_in_order() {
    let server = with(&[Mechanism::Plain, Mechanism::Login]).start().unwrap();
    let mut talk = greeted(&server);
    let wrong = b64("wrong");
    talk.send(format!("AUTH LOGIN\r\nYWxpY2U=\r\n{wrong}\r\nAUTH PLAIN\r\n{PLAIN}\r\nSTAT\r\nQUIT\r\n"));
    talk.run("S: + *\nS: + *\nS: -ERR [AUTH] *\nS: + \nS: +OK *\nS: +OK 2 50\nS: +OK *\nS: <EOF>");
}

#[test]
fn the_idle_timer_holds_within_an_exchange() {
    let server = with(&[Mechanism::Plain]).idle_timeout(Duration::from_millis(200)).start().unwrap();
    greeted(&server).run("C: AUTH PLAIN\nS: + \nS: <EOF>");
    assert!(server.wait_closed(1, SOON));
}

#[test]
fn a_locked_maildrop_is_no_wrong_password() {
    let server = plain();
    let _first = Talk::alice(&server);
    greeted(&server).run(&format!("C: AUTH PLAIN {PLAIN}\nS: -ERR [IN-USE] *"));
}

#[test]
fn q_039_bare_auth_lists_the_mechanisms() {
    let server = with(&[Mechanism::Plain, Mechanism::Login]).start().unwrap();
    for bare in ["AUTH", "AUTH "] {
        greeted(&server).run(&format!("C: {bare}\nS: +OK *\nS: PLAIN\nS: LOGIN\nS: ."));
        greeted(&crate::talk::server()).run(&format!("C: {bare}\nS: -ERR no mechanism is offered"));
    }
}

#[test]
fn without_mechanisms_auth_is_as_it_was() {
    let server = server();
    let mut talk = greeted(&server);
    assert_eq!(announced(&mut talk), "");
    talk.run(&format!("C: AUTH PLAIN {PLAIN}\nS: -ERR no such mechanism"));
}
