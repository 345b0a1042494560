//! Lines, answers and time: section 1.

use std::time::{Duration, Instant};

use popwire_server::{Content, Maildrop, Server};

use crate::talk::{ONE, SOON, TWO, Talk, alice, server};

#[test]
fn p_001_the_server_speaks_first() {
    Talk::plain(&server()).run("S: +OK popwire-server ready");
}

#[test]
fn p_003_keywords_in_any_letter_case() {
    let server = server();
    Talk::plain(&server).run(
        "S: +OK *
         C: uSeR alice
         S: +OK *
         C: pass s3cret pass
         S: +OK *
         C: stat
         S: +OK 2 50",
    );
}

#[test]
fn p_006_command_lines_of_255_octets_and_no_longer() {
    let server = server();
    let mut talk = Talk::plain(&server);
    talk.run("S: +OK *");
    talk.send(format!("USER {}\r\n", "x".repeat(248)));
    talk.run("S: +OK *");
    talk.send(format!("USER {}\r\n", "x".repeat(249)));
    talk.run("S: -ERR line too long");
    // A line without end costs no memory, and the session survives it.
    for _ in 0..300 {
        talk.send([b'x'; 10_000]);
    }
    talk.send("\r\nCAPA\r\n");
    talk.run("S: -ERR line too long\nS: +OK *");
    talk.body();
}

#[test]
fn p_008_no_line_is_longer_than_512_octets() {
    let server = Server::builder()
        .user("alice", "s3cret pass", Maildrop::empty())
        .capability_lines([format!("X-LONG {}", "x".repeat(2000))], ["TOP"])
        .start()
        .unwrap();
    let mut talk = Talk::plain(&server);
    talk.run("S: +OK *\nC: CAPA\nS: +OK *");
    assert_eq!(talk.line().len(), 512);
    talk.run("S: .");
}

#[test]
fn p_010_p_013_anything_wrong_is_answered_err_and_the_session_goes_on() {
    let server = server();
    let mut talk = Talk::plain(&server);
    talk.run("S: +OK *");
    for wrong in
        ["XTND BBOARDS", "", "STAT", "RETR 1", "NOOP", "USER", "PASS x", "+OK", "\u{0}", "USER\talice"]
    {
        talk.send(format!("{wrong}\r\n"));
        talk.run("S: -ERR *");
    }
    talk.run("C: USER alice\nS: +OK *\nC: PASS s3cret pass\nS: +OK *");
    for wrong in ["USER alice", "PASS x", "APOP a b", "AUTH PLAIN", "STLS", "UTF8", "BOGUS", "RETR", "STAT 1"]
    {
        talk.send(format!("{wrong}\r\n"));
        talk.run("S: -ERR *");
    }
    talk.run("C: NOOP\nS: +OK *");
}

#[test]
fn p_015_p_016_p_055_messages_are_stuffed_and_terminated() {
    Talk::alice(&server()).run(
        "C: RETR 2
         S: +OK 28 octets
         S: Subject: two
         S:
         S: ..a
         S: b
         S: c
         S:
         S: .
         C: NOOP
         S: +OK *",
    );
}

#[test]
fn p_016_lines_of_listings_are_stuffed_too() {
    let server = alice().capability_lines([".X-DOT"], [""]).start().unwrap();
    Talk::plain(&server).run("S: +OK *\nC: CAPA\nS: +OK *\nS: ..X-DOT\nS: .");
}

#[test]
fn p_022_p_024_p_025_line_ends_are_crlf_when_sent_and_when_counted() {
    let maildrop = Maildrop::memory(["A: 1\n\n.\nb\rc\r\nno end"]);
    let server = Server::builder().user("alice", "s3cret pass", maildrop).start().unwrap();
    Talk::alice(&server).run(
        "C: LIST 1
         S: +OK 1 25
         C: STAT
         S: +OK 1 25
         C: RETR 1
         S: +OK *
         S: A: 1
         S:
         S: ..
         S: b
         S: c
         S: no end
         S: .
         C: NOOP
         S: +OK *",
    );
}

#[test]
fn p_025_sizes_are_what_arrives() {
    let messages = ["", ".", "a\r\n.b\r\n", "\n\n\n", "\r\r\n\n\r", "x: y\n\n..\n."];
    let server = Server::builder().user("alice", "s3cret pass", Maildrop::memory(messages)).start().unwrap();
    let mut talk = Talk::alice(&server);
    for number in 1..=messages.len() {
        talk.send(format!("RETR {number}\r\n"));
        talk.run("S: +OK *");
        let stuffed = talk.body();
        let arrived: usize =
            stuffed.split_inclusive('\n').map(|line| line.len() - usize::from(line.starts_with('.'))).sum();
        talk.run(&format!("C: LIST {number}\nS: +OK {number} {arrived}"));
    }
}

#[test]
fn p_026_any_command_resets_the_timer() {
    let server = alice().idle_timeout(Duration::from_millis(600)).start().unwrap();
    let mut talk = Talk::alice(&server);
    for _ in 0..4 {
        std::thread::sleep(Duration::from_millis(250));
        talk.run("C: NOOP\nS: +OK *");
    }
}

#[test]
fn p_027_the_timer_runs_out_without_a_word_and_nothing_is_removed() {
    let server = alice().idle_timeout(Duration::from_millis(100)).start().unwrap();
    Talk::alice(&server).run("C: DELE 1\nS: +OK *\nS: <EOF>");
    assert!(server.wait_closed(1, SOON));
    assert_eq!(server.maildrop("alice").unwrap().len().unwrap(), 2);
}

#[test]
fn p_030_p_088_pipelined_commands_are_answered_in_order() {
    let server = server();
    let mut talk = Talk::plain(&server);
    talk.send("USER alice\r\nPASS s3cret pass\r\nSTAT\r\nRETR 1\r\nLIST 9\r\nDELE 1\r\nLIST\r\nQUIT\r\n");
    let heard = String::from_utf8(talk.rest().unwrap()).unwrap();
    let expected = [
        "+OK popwire-server ready\r\n",
        "+OK send PASS\r\n",
        "+OK maildrop has 2 messages (50 octets)\r\n",
        "+OK 2 50\r\n",
        "+OK 22 octets\r\n",
        ONE,
        ".\r\n",
        "-ERR no such message\r\n",
        "+OK message deleted\r\n",
        "+OK 1 messages (28 octets)\r\n2 28\r\n.\r\n",
        "+OK signing off\r\n",
    ];
    assert_eq!(heard, expected.concat());
}

#[test]
fn p_088_commands_in_any_pieces() {
    let server = server();
    let mut talk = Talk::plain(&server);
    talk.run("S: +OK *");
    for octet in b"USER alice\r\nPASS s3cret pass\r\nNOOP\nQUIT\r\n" {
        talk.send([*octet]);
        std::thread::sleep(Duration::from_millis(1));
    }
    talk.run("S: +OK *\nS: +OK *\nS: +OK *\nS: +OK *\nS: <EOF>");
}

#[test]
fn p_088_a_client_that_writes_much_before_it_reads_is_served() {
    // Answers of 10 MB wait for the client; none of them is kept in memory, and none is lost.
    let huge = Content::Generated { size: 100_000, line_len: 76 };
    let server = Server::builder().user("alice", "s3cret pass", Maildrop::memory([huge])).start().unwrap();
    let mut talk = Talk::alice(&server);
    talk.send("RETR 1\r\n".repeat(100));
    for _ in 0..100 {
        talk.run("S: +OK *");
        assert!(talk.body().len() >= 100_000);
    }
}

#[test]
fn a_client_that_does_not_read_is_left() {
    let endless = Content::Generated { size: 1 << 40, line_len: 76 };
    let server = Server::builder()
        .user("alice", "s3cret pass", Maildrop::memory([endless]))
        .write_timeout(Duration::from_millis(300))
        .start()
        .unwrap();
    let mut talk = Talk::alice(&server);
    talk.send("RETR 1\r\n");
    let start = Instant::now();
    assert!(server.wait_closed(1, SOON));
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert!(!server.maildrop("alice").unwrap().is_locked());
}

#[test]
fn messages_are_exact_over_plain_tls_and_small_pieces() {
    for segment in [None, Some(1), Some(7)] {
        let mut builder = alice();
        if let Some(octets) = segment {
            builder = builder.segment(octets);
        }
        let server = builder.start().unwrap();
        for mut talk in [Talk::plain(&server), Talk::tls(&server)] {
            talk.run("S: +OK *\nC: USER alice\nS: +OK *\nC: PASS s3cret pass\nS: +OK *\nC: RETR 2\nS: +OK *");
            assert_eq!(talk.body(), TWO.replace(".a", "..a"));
            talk.run("C: QUIT\nS: +OK *\nS: <EOF>");
        }
    }
}
