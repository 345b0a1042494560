//! Transcripts, played to raw sockets.

use std::io;
use std::time::{Duration, Instant};

use popwire_server::{Direction, Mechanism, Server, Transcript};

use crate::talk::{SOON, Talk, alice, try_handshake};

fn playing(transcript: &str) -> Server {
    Server::builder().idle_timeout(SOON).transcript(Transcript::parse(transcript).unwrap()).start().unwrap()
}

#[test]
fn lines_are_waited_for_and_said() {
    let server = playing(
        "# Any user, with any password.
S: +OK \\xff\\x00 odd
C: USER *
S: +OK
C: PASS ****
S: +OK

C: *
S: +OK 1 22
C: QUIT
S: +OK",
    );
    for _ in 0..2 {
        let mut talk = Talk::plain(&server);
        assert_eq!(talk.line(), b"+OK \xff\0 odd\r\n");
        talk.run("C: user alice\nS: +OK\nC: PASS s3cret pass\nS: +OK\nC: STAT\nS: +OK 1 22\nC: QUIT\nS: +OK\nS: <EOF>");
    }
    // At once, and with implicit TLS.
    for mut talk in [Talk::plain(&server), Talk::tls(&server)] {
        talk.send("USER a\r\nPASS b\r\nSTAT\r\nQUIT\r\n");
        assert_eq!(talk.rest().unwrap(), b"+OK \xff\0 odd\r\n+OK\r\n+OK\r\n+OK 1 22\r\n+OK\r\n");
    }
}

#[test]
fn another_line_ends_the_session() {
    let server = playing("S: +OK\nC: USER alice\nS: +OK\nC: PASS ****\nS: +OK");
    Talk::plain(&server).run("S: +OK\nC: USER bob\nS: -ERR transcript expects: USER alice\nS: <EOF>");
    let mut talk = Talk::plain(&server);
    talk.run("S: +OK\nC: USER alice\nS: +OK\nC: STAT\nS: -ERR transcript expects: PASS ****\nS: <EOF>");
    assert!(server.wait_closed(2, SOON));
    assert_eq!(
        server.last_session().unwrap().to_string(),
        "S: +OK\nC: USER alice\nS: +OK\nC: STAT\nS: -ERR transcript expects: PASS ****\n"
    );
}

#[test]
fn messages_are_made_up_in_their_size() {
    let server = playing(
        "S: +OK
C: RETR 1
S: +OK
S: (60000 octets of the message)
S: (100000 octets of the message)
C: RETR 2
S: +OK 0 octets
C: RETR 3
S: +OK 100 octets
C: TOP 3 0
S: +OK
S: Subject: x
(no end)
C: RETR 4
S: +OK
S: (50 octets of the message)
(close)",
    );
    let mut talk = Talk::plain(&server);
    talk.run("S: +OK");
    for size in [160_000, 0, 100] {
        let number = match size {
            160_000 => 1,
            0 => 2,
            _ => 3,
        };
        talk.send(format!("RETR {number}\r\n"));
        assert!(talk.line().starts_with(b"+OK"));
        let unstuffed: usize =
            talk.body().lines().map(|line| line.strip_prefix('.').unwrap_or(line).len() + 2).sum();
        assert_eq!(unstuffed, size);
    }
    talk.run("C: TOP 3 0\nS: +OK\nS: Subject: x\nC: RETR 4\nS: +OK");
    let rest = talk.rest().unwrap();
    assert!(rest.len() > 50 && !rest.ends_with(b"\r\n.\r\n"), "{}", String::from_utf8_lossy(&rest));
}

#[test]
fn pauses_pieces_and_ends() {
    let start = Instant::now();
    let server = playing("S: +O\\\n(wait 60ms)\nS: K\n(cut)");
    let mut talk = Talk::plain(&server);
    assert_eq!(talk.read().unwrap(), b"+O");
    assert_eq!(talk.rest().unwrap(), b"K\r\n");
    assert!(start.elapsed() >= Duration::from_millis(60));

    let server = playing("S: +OK\nC: NOOP\n(reset)");
    let mut talk = Talk::plain(&server);
    talk.run("S: +OK").send("NOOP\r\n");
    assert_eq!(talk.rest().unwrap_err().kind(), io::ErrorKind::ConnectionReset);

    let error = |end| {
        let server = playing(&format!("S: +OK\n({end})"));
        let mut talk = Talk::tls(&server);
        talk.rest().map(|rest| String::from_utf8(rest).unwrap()).map_err(|error| error.to_string())
    };
    assert_eq!(error("close").unwrap(), "+OK\r\n");
    assert!(error("cut").unwrap_err().contains("close_notify"));

    let server = playing("S: +OK\nC: LIST\nS: +OK\nS: 1 2\\\n(half-close)");
    let mut talk = Talk::plain(&server);
    talk.run("S: +OK\nC: LIST\nS: +OK");
    assert_eq!(talk.rest().unwrap(), b"1 2");
    talk.send("more\r\n");
    assert!(!server.last_session().unwrap().closed);
}

#[test]
fn a_trace_of_the_client_plays() {
    // As `popwire -vv` prints it: secrets and messages are not in it, nor are terminators.
    let server = playing(
        "S: +OK ready
C: CAPA
S: +OK
S: STLS
S: UIDL
C: STLS
S: +OK begin TLS
C: AUTH PLAIN ********
S: +OK
C: LIST
C: UIDL
S: +OK
S: 1 22
S: +OK
S: 1 a
C: RETR 1
S: +OK 22 octets
C: QUIT
S: +OK",
    );
    let mut talk = Talk::plain(&server);
    talk.run("S: +OK ready\nC: CAPA\nS: +OK\nS: STLS\nS: UIDL\nS: .\nC: STLS\nS: +OK begin TLS");
    let mut talk = Talk::over(try_handshake(&server, talk.into_tcp()).unwrap());
    talk.run("C: AUTH PLAIN AGFsaWNlAHMzY3JldA==\nS: +OK\nC: LIST\nC: UIDL\nS: +OK\nS: 1 22\nS: .\nS: +OK\nS: 1 a\nS: .");
    talk.run("C: RETR 1\nS: +OK 22 octets");
    assert_eq!(talk.body().len(), 22);
    talk.run("C: QUIT\nS: +OK\nS: <EOF>");
}

/// A session with everything in it. The octets that the client gets, those of messages left out.
fn session(server: &Server) -> Vec<u8> {
    let mut heard = Vec::new();
    let mut talk = Talk::plain(server);
    let say = |talk: &mut Talk, line: &str, heard: &mut Vec<u8>, listing: bool| {
        talk.send(line);
        heard.extend(talk.line());
        if listing {
            heard.extend(talk.body().into_bytes());
        }
    };
    say(&mut talk, "", &mut heard, false);
    say(&mut talk, "CAPA\r\n", &mut heard, true);
    say(&mut talk, "STLS\r\n", &mut heard, false);
    let mut talk = Talk::over(try_handshake(server, talk.into_tcp()).unwrap());
    for (line, listing) in [
        ("AUTH\r\n", true),
        ("AUTH LOGIN\r\n", false),
        ("YWxpY2U=\r\n", false),
        ("czNjcmV0IHBhc3M=\r\n", false),
        ("LIST\r\n", true),
        ("LIST 2\r\n", false),
        ("UIDL\r\n", true),
        ("XYZ \\ \u{7}\r\n", false),
        ("XTND\r\n", true),
        ("DELE 1\r\n", false),
    ] {
        say(&mut talk, line, &mut heard, listing);
    }
    for (line, octets) in [("RETR 2\r\n", 28), ("TOP 2 1\r\n", 14 + 2 + 4)] {
        say(&mut talk, line, &mut heard, false);
        let body = talk.body();
        let stuffed = body.lines().filter(|line| line.starts_with('.')).count();
        assert_eq!(body.len() - stuffed, octets, "{line}");
    }
    say(&mut talk, "QUIT\r\n", &mut heard, false);
    assert!(talk.rest().unwrap().is_empty());
    heard
}

#[test]
fn what_was_recorded_plays() {
    let server = alice()
        .sasl([Mechanism::Login])
        .script("XTND", b"+OK \xff \\ odd\r\na\tb\\\r\n.\r\n".to_vec())
        .start()
        .unwrap();
    let heard = session(&server);
    assert!(server.wait_closed(1, SOON));
    let recorded = server.last_session().unwrap();
    let again = playing(&recorded.to_string());
    assert_eq!(String::from_utf8_lossy(&session(&again)), String::from_utf8_lossy(&heard));
    assert!(again.wait_closed(1, SOON));
    let played = again.last_session().unwrap();
    assert_eq!(played.client_lines(), recorded.client_lines());
    // And what was played, plays.
    assert_eq!(session(&playing(&played.to_string())), heard, "{played}");
    assert!(played.lines.iter().any(|line| line.direction == Direction::Server && line.tls));
}
