//! Planned faults, as they are on the wire.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use popwire_server::{Fault, FaultPlan, Server};
use rustls::StreamOwned;

use crate::talk::{SOON, Talk, alice, client, tcp, try_handshake};

/// Alice's server with these faults.
fn with(plan: &str) -> Server {
    alice().idle_timeout(SOON).fault_plan(plan.parse().unwrap()).start().unwrap()
}

const LOGIN: &str = "C: USER alice\nS: +OK *\nC: PASS s3cret pass\nS: +OK *";
const RETR_1: &[u8] = b"+OK 22 octets\r\nSubject: hi\r\n\r\nhello\r\n.\r\n";
const STATUS: usize = 15;

/// What comes after a RETR up to the end of the connection, and how that ended.
fn retrieved(plan: &str) -> (Vec<u8>, io::Result<()>) {
    let server = with(plan);
    let mut talk = Talk::alice(&server);
    talk.send("RETR 1\r\nQUIT\r\n");
    let mut heard = Vec::new();
    let end = loop {
        match talk.read() {
            Ok(octets) if octets.is_empty() => break Ok(()),
            Ok(octets) => heard.extend(octets),
            Err(error) => break Err(error),
        }
    };
    (heard, end)
}

#[test]
fn answers_end_where_they_are_to_end() {
    let within = STATUS + 10;
    for (plan, heard) in [
        ("RETR@before:close", &b""[..]),
        ("RETR:close", b""),
        ("RETR@10:close", &RETR_1[..within]),
        ("RETR@10:cut", &RETR_1[..within]),
        ("RETR@end:close", &RETR_1[..RETR_1.len() - 3]),
        ("RETR@after:close", RETR_1),
        ("*#3@10:close", &RETR_1[..within]),
        ("RETR#1@10:close; RETR#1@5:cut", &RETR_1[..STATUS + 5]),
    ] {
        let (octets, end) = retrieved(plan);
        assert_eq!(String::from_utf8_lossy(&octets), String::from_utf8_lossy(heard), "{plan}");
        assert!(end.is_ok(), "{plan}: {end:?}");
    }
    let (_, end) = retrieved("RETR@10:reset");
    assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn the_session_ends_after_so_many_octets() {
    let server = with("session@40:cut");
    let mut talk = Talk::plain(&server);
    talk.send("CAPA\r\n");
    assert_eq!(talk.rest().unwrap().len(), 40);
}

#[test]
fn a_connection_can_be_chosen() {
    let server = with("conn#2/GREETING:cut");
    Talk::plain(&server).run("S: +OK *");
    Talk::plain(&server).run("S: <EOF>");
    Talk::plain(&server).run("S: +OK *");
    let server = with("conn#2/STAT#2:refuse");
    let twice = "C: STAT\nS: +OK *\nC: STAT\nS: +OK *";
    Talk::alice(&server).run(twice);
    assert!(server.wait_closed(1, SOON));
    Talk::alice(&server).run("C: STAT\nS: +OK *\nC: STAT\nS: -ERR *\nC: STAT\nS: +OK *");
}

#[test]
fn what_is_refused_is_not_done() {
    let server = with("DELE#1:refuse; RETR#2:refuse");
    Talk::alice(&server).run(
        "C: DELE 1
         S: -ERR *
         C: DELE 2
         S: +OK *
         C: RETR 1
         S: +OK 22 octets
         S: Subject: hi
         S:
         S: hello
         S: .
         C: RETR 1
         S: -ERR *
         C: QUIT
         S: +OK *",
    );
    assert_eq!(server.maildrop("alice").unwrap().messages().unwrap(), [b"Subject: hi\r\n\r\nhello\r\n"]);
}

#[test]
fn the_answer_to_quit_is_lost_before_or_after_the_commit() {
    for (plan, left) in [("QUIT@before:cut", 2), ("QUIT:cut", 1), ("QUIT:reset", 1), ("*#4@after:cut", 1)] {
        let server = with(plan);
        let mut talk = Talk::alice(&server);
        talk.run("C: DELE 1\nS: +OK *");
        talk.send("QUIT\r\n");
        let heard = talk.rest();
        assert_eq!(heard.is_ok_and(|heard| !heard.is_empty()), plan.contains("after"), "{plan}");
        assert!(server.wait_closed(1, SOON));
        assert_eq!(server.maildrop("alice").unwrap().len().unwrap(), left, "{plan}");
    }
}

#[test]
fn terminators_are_left_out_or_doubled() {
    let list = "C: LIST\nS: +OK *\nS: 1 22\nS: 2 28";
    Talk::alice(&with("LIST:no-end")).run(list).run("C: NOOP\nS: +OK nothing done");
    Talk::alice(&with("LIST:end-twice")).run(list).run("S: .\nS: .\nC: NOOP\nS: +OK nothing done");
    let stuffed = "C: RETR 2\nS: +OK *\nS: Subject: two\nS:\nS: ..a\nS: b\nS: c\nS:";
    Talk::alice(&with("RETR:no-end")).run(stuffed).run("C: NOOP\nS: +OK nothing done");
    Talk::alice(&with("RETR@0:bytewise; RETR:end-twice")).run(stuffed).run("S: .\nS: .");
}

#[test]
fn sizes_lie() {
    Talk::alice(&with("LIST:size=+100; STAT#1:size=-3; RETR:size=-1000")).run(
        "C: LIST
         S: +OK 2 messages (150 octets)
         S: 1 122
         S: 2 128
         S: .
         C: LIST 2
         S: +OK 2 128
         C: LIST 3
         S: -ERR no such message
         C: STAT
         S: +OK 2 47
         C: STAT
         S: +OK 2 50
         C: RETR 1
         S: +OK 0 octets
         S: Subject: hi
         S:
         S: hello
         S: .",
    );
}

#[test]
fn garbage_is_no_text() {
    let server = with("NOOP:garbage=5");
    let mut talk = Talk::alice(&server);
    talk.send("NOOP\r\n");
    let line = talk.line();
    assert!(line[..5].iter().all(|octet| *octet >= 0x80), "{line:?}");
    assert_eq!(&line[5..], b"+OK nothing done\r\n");
}

#[test]
fn stalls_and_drips_take_their_time() {
    let server = with("NOOP#1:stall=80ms; NOOP#2@before:stall=80ms; STAT:drip=2/10ms; session@0:stall=80ms");
    let mut start = Instant::now();
    let mut took = move |least: u64| {
        let time = start.elapsed();
        start = Instant::now();
        assert!(time >= Duration::from_millis(least), "{time:?} is less than {least} ms");
        assert!(time < Duration::from_secs(5), "{time:?}");
    };
    let mut talk = Talk::plain(&server);
    talk.run("S: +OK *");
    took(80);
    talk.run(LOGIN);
    took(0);
    talk.run("C: NOOP\nS: +OK *");
    took(80);
    talk.run("C: NOOP\nS: +OK *");
    took(80);
    // Ten octets: five pieces, with four pauses between them.
    talk.run("C: STAT\nS: +OK 2 50");
    took(40);
}

#[test]
fn hanging_lasts_until_the_idle_timer_runs_out() {
    let plan = "NOOP@3:cut; NOOP:hang".parse::<FaultPlan>().unwrap();
    let server = alice().idle_timeout(Duration::from_millis(150)).fault_plan(plan).start().unwrap();
    let mut talk = Talk::alice(&server);
    let start = Instant::now();
    talk.send("NOOP\r\n");
    assert_eq!(talk.rest().unwrap(), b"");
    assert!(start.elapsed() >= Duration::from_millis(150));
}

#[test]
fn a_half_closed_connection_is_still_read() {
    let server = with("NOOP:half-close");
    let mut talk = Talk::alice(&server);
    talk.send("NOOP\r\n");
    assert_eq!(talk.rest().unwrap(), b"");
    // A closed socket would answer the first of these with RST, and the second would fail.
    for _ in 0..5 {
        talk.send("DELE 1\r\n");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(!server.last_session().unwrap().closed);
    drop(talk);
    assert!(server.wait_closed(1, SOON));
    assert_eq!(server.last_session().unwrap().client_lines().last().unwrap(), "NOOP");
}

/// TCP that keeps what it has read.
struct Tap(TcpStream, Vec<u8>);

impl Read for Tap {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buf)?;
        self.1.extend_from_slice(&buf[..read]);
        Ok(read)
    }
}

impl Write for Tap {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Over TLS: what comes up to the end, in how many records after the login, and the octets on the wire.
fn over_tls(plan: &str) -> (io::Result<Vec<u8>>, usize) {
    let server = with(plan);
    let mut tls = StreamOwned::new(client(&server), Tap(tcp(server.tls_addr()), Vec::new()));
    tls.write_all(b"USER alice\r\n").unwrap();
    let line = |tls: &mut StreamOwned<_, Tap>| {
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            let mut octet = [0];
            tls.read_exact(&mut octet).unwrap();
            line.push(octet[0]);
        }
    };
    (0..2).for_each(|_| line(&mut tls));
    tls.write_all(b"PASS s3cret pass\r\n").unwrap();
    line(&mut tls);
    tls.sock.1.clear();
    tls.write_all(b"RETR 1\r\n").unwrap();
    let mut heard = vec![0; RETR_1.len()];
    let heard = match tls.read_exact(&mut heard) {
        Ok(()) => Ok(heard),
        Err(error) => Err(error),
    };
    let (mut records, mut rest) = (0, &tls.sock.1[..]);
    while rest.len() >= 5 {
        let length = usize::from(u16::from_be_bytes([rest[3], rest[4]]));
        rest = rest.get(5 + length..).unwrap_or_default();
        records += 1;
    }
    (heard, records)
}

#[test]
fn splits_make_records_and_segments() {
    for (plan, records) in [
        ("NOOP:split", 1),
        ("RETR@3:split", 2),
        ("RETR@3:split; RETR@9:split", 3),
        ("RETR:bytewise", RETR_1.len()),
        ("RETR@end:bytewise", 1 + 3),
        ("RETR@0:drip=10/1ms", 1 + 3),
        // Below TLS: the same records.
        ("tls@0:bytewise", 1),
        ("handshake@0:bytewise; tls@100:drip=5/1ms", 1),
        ("handshake@100:stall=20ms; tls@50:split", 1),
    ] {
        let (heard, counted) = over_tls(plan);
        assert_eq!(heard.unwrap(), RETR_1, "{plan}");
        assert_eq!(counted, records, "{plan}");
    }
}

#[test]
fn under_tls_close_is_told_from_cut() {
    let (heard, _) = over_tls("RETR@5:close");
    assert!(heard.unwrap_err().to_string().contains("whole buffer"), "a proper end, too early");
    let (heard, _) = over_tls("RETR@5:half-close");
    assert!(heard.unwrap_err().to_string().contains("whole buffer"), "a proper end, too early");
    let (heard, _) = over_tls("RETR@5:cut");
    assert!(heard.unwrap_err().to_string().contains("close_notify"), "no proper end");
    let (heard, _) = over_tls("RETR@5:reset");
    assert_eq!(heard.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn records_are_corrupted_after_the_handshake() {
    // Session tickets, the greeting and two answers come first; each later octet belongs to some record.
    for at in [5, 40, 250] {
        let server = with(&format!("tls@{at}:corrupt"));
        let stream = try_handshake(&server, tcp(server.tls_addr())).unwrap();
        let mut talk = Talk::over(stream);
        let error = loop {
            talk.send("CAPA\r\n");
            match talk.read() {
                Ok(octets) => assert!(!octets.is_empty(), "the connection ended, but nothing was wrong"),
                Err(error) => break error.to_string(),
            }
        };
        assert!(error.contains("decrypt") || error.contains("corrupt"), "{error}");
    }
}

#[test]
fn handshakes_fail_in_every_way() {
    let shaken = |plan: &str| {
        let server = with(plan);
        let error = try_handshake(&server, tcp(server.tls_addr())).err().map(|error| error.to_string());
        // The fault is at the handshake only.
        Talk::plain(&server).run("S: +OK *");
        error.unwrap_or_else(|| panic!("{plan}: nothing was wrong"))
    };
    for plan in ["handshake:cut", "handshake@1:cut", "handshake@100:cut", "handshake@700:cut"] {
        // A client that was about to write finds out by RST.
        let error = shaken(plan);
        assert!(error.contains("end of file") || error.contains("reset"), "{plan}: {error}");
    }
    for plan in ["handshake:reset", "handshake@100:reset"] {
        assert!(shaken(plan).contains("reset"), "{plan}: {}", shaken(plan));
    }
    assert!(shaken("handshake:garbage=64").contains("corrupt message"), "{}", shaken("handshake:garbage=64"));
    assert!(shaken("handshake:alert=40").contains("HandshakeFailure"), "{}", shaken("handshake:alert=40"));
    assert!(shaken("handshake:alert=80").contains("InternalError"), "{}", shaken("handshake:alert=80"));
    // In the ServerHello, and in what is encrypted.
    for plan in ["handshake@11:corrupt", "handshake@400:corrupt"] {
        let _ = shaken(plan);
    }
}

#[test]
fn a_handshake_can_stall_and_hang() {
    let server = with("conn#1/handshake@50:stall=100ms; conn#2/handshake@50:hang");
    let start = Instant::now();
    try_handshake(&server, tcp(server.tls_addr())).map(drop).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(100));
    let mut stream = tcp(server.tls_addr());
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut tls = client(&server);
    let _ = tls.complete_io(&mut stream);
    assert!(tls.is_handshaking());
    assert_eq!(
        stream.read(&mut [0]).unwrap_err().kind(),
        io::ErrorKind::WouldBlock,
        "neither octets nor an end"
    );
}

#[test]
fn stls_has_the_faults_of_the_handshake_too() {
    let server = with("handshake:alert=40");
    let mut talk = Talk::plain(&server);
    talk.run("S: +OK *\nC: STLS\nS: +OK *");
    let error = try_handshake(&server, talk.into_tcp()).map(drop).unwrap_err();
    assert!(error.to_string().contains("HandshakeFailure"), "{error}");
}

#[test]
fn answers_to_pipelined_commands_and_to_auth_are_all_there() {
    // Faults that never happen, and one that looks at the end of every answer.
    let server = alice()
        .sasl([popwire_server::Mechanism::Plain])
        .fault("*#99@end:reset".parse::<Fault>().unwrap())
        .fault("*@end:split".parse().unwrap())
        .start()
        .unwrap();
    Talk::plain(&server).run(
        "S: +OK *
         C: AUTH
         S: +OK *
         S: PLAIN
         S: .
         C: AUTH PLAIN
         S: +\x20
         C: AGFsaWNlAHMzY3JldCBwYXNz
         S: +OK *
         C: LIST
         C: RETR 1
         C: QUIT
         S: +OK *
         S: 1 22
         S: 2 28
         S: .
         S: +OK 22 octets
         S: Subject: hi
         S:
         S: hello
         S: .
         S: +OK *
         S: <EOF>",
    );
}

#[test]
fn the_same_seed_is_the_same_plan() {
    for (seed, plan) in [
        (0, "RETR:no-end; handshake@899:stall=38ms"),
        (1, "RETR#3:size=-46; session@322:hang; RETR#3:refuse"),
        (u64::MAX, "handshake@642:reset; RETR@after:hang; GREETING#3:end-twice"),
    ] {
        assert_eq!(FaultPlan::from_seed(seed).to_string(), plan);
    }
}
