//! Implicit TLS and STLS: section 6.

use std::io::{Read, Write};
use std::net::TcpStream;

use popwire_server::{Certificate, Direction};

use crate::talk::{SOON, Stream, Talk, alice, server, try_handshake};

#[test]
fn p_135_implicit_tls_then_the_greeting() {
    let server = server();
    Talk::tls(&server).run(
        "S: +OK popwire-server ready
         C: STAT
         S: -ERR not allowed now
         C: USER alice
         S: +OK *
         C: PASS s3cret pass
         S: +OK *
         C: QUIT
         S: +OK *
         S: <EOF>",
    );
    assert!(server.last_session().unwrap().lines.iter().all(|line| line.tls));
}

#[test]
fn p_140_close_notify_is_sent() {
    // rustls reports a connection that ends without it as an error.
    let server = server();
    let mut talk = Talk::tls(&server);
    talk.run("S: +OK *\nC: QUIT\nS: +OK *");
    assert_eq!(talk.rest().unwrap(), b"");

    let cut = alice().script("NOOP", popwire_server::Answer::raw("+OK\r\n").then_cut()).start().unwrap();
    let mut talk = Talk::tls(&cut);
    talk.run("S: +OK *\nC: NOOP\nS: +OK");
    assert!(talk.rest().is_err());
}

#[test]
fn p_143_input_pipelined_behind_stls_is_refused() {
    let server = server();
    let mut talk = Talk::plain(&server);
    talk.run("S: +OK *");
    talk.send("STLS\r\nUSER alice\r\nPASS s3cret pass\r\n");
    talk.run("S: -ERR input was sent after STLS, before the handshake\nS: <EOF>");
    assert_eq!(server.last_session().unwrap().client_lines(), ["STLS"]);
}

#[test]
fn p_143_input_that_comes_before_the_handshake_is_never_a_command() {
    let server = server();
    let mut talk = Talk::plain(&server);
    talk.run("S: +OK *\nC: STLS\nS: +OK begin TLS");
    talk.send("USER alice\r\nPASS s3cret pass\r\nSTAT\r\n");
    let _ = talk.rest();
    assert!(server.wait_closed(1, SOON));
    assert_eq!(server.last_session().unwrap().client_lines(), ["STLS"]);
}

#[test]
fn p_145_stls_once_before_login_and_with_nothing_remembered() {
    let server = server();
    let mut talk = Talk::plain(&server);
    talk.run("S: +OK *\nC: USER alice\nS: +OK *\nC: STLS\nS: +OK begin TLS");
    let mut talk = talk.start_tls(&server);
    talk.run(
        "C: PASS s3cret pass
         S: -ERR USER comes first
         C: STLS
         S: -ERR not allowed now
         C: CAPA
         S: +OK *",
    );
    assert!(!talk.body().contains("STLS"));
    talk.run("C: USER alice\nS: +OK *\nC: PASS s3cret pass\nS: +OK *\nC: STLS\nS: -ERR *\nC: QUIT\nS: +OK *\nS: <EOF>");
    let session = server.last_session().unwrap();
    let over_tls: Vec<bool> = session
        .lines
        .iter()
        .filter(|line| line.direction == Direction::Client)
        .map(|line| line.tls)
        .collect();
    assert_eq!(over_tls[..3], [false, false, true]);
}

#[test]
fn stls_can_be_withheld() {
    let server = alice().stls(false).start().unwrap();
    let mut talk = Talk::plain(&server);
    talk.run("S: +OK *\nC: STLS\nS: -ERR *\nC: CAPA\nS: +OK *");
    assert!(!talk.body().contains("STLS"));
}

#[test]
fn p_142_a_test_can_inject_plaintext_behind_stls() {
    let server = alice().inject_after_stls("+OK injected\r\n").start().unwrap();
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    let mut heard = [0; 512];
    let _greeting = stream.read(&mut heard).unwrap();
    stream.write_all(b"STLS\r\n").unwrap();
    let read = stream.read(&mut heard).unwrap();
    assert_eq!(&heard[..read], b"+OK begin TLS\r\n+OK injected\r\n");
}

#[test]
fn p_137_certificates_that_a_client_must_refuse() {
    for (certificate, reason) in [
        (Certificate::Good, None),
        (Certificate::WrongName, Some("NotValidForName")),
        (Certificate::Expired, Some("Expired")),
        (Certificate::UnknownCa, Some("UnknownIssuer")),
    ] {
        let server = alice().certificate(certificate).start().unwrap();
        let outcome = try_handshake(&server, TcpStream::connect(server.tls_addr()).unwrap());
        match (outcome, reason) {
            (Ok(Stream::Tls(_)), None) => {}
            (Err(error), Some(reason)) => {
                assert!(format!("{error:?}").contains(reason), "{certificate:?}: {error:?}")
            }
            (outcome, _) => panic!("{certificate:?}: {:?}", outcome.err()),
        }
        assert!(server.ca_pem().starts_with("-----BEGIN CERTIFICATE-----"));
        assert!(!server.certificate_der().is_empty());
    }
}
