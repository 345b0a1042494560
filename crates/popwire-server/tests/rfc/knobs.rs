//! Departures from the RFCs that tests of clients ask for.

use std::time::Duration;

use popwire_server::{Answer, Direction, Maildrop, QuitReply, Server};

use crate::talk::{SOON, Talk, alice, server};

#[test]
fn scripts_answer_in_place_of_the_server() {
    let server = alice()
        .script("RETR", Answer::raw("+OK\r\nSubject: cut").nth(2).then_close())
        .script("STAT", "+OK 1 5000000000\r\n")
        .script("UIDL 2", "+OK no number\r\n")
        .start()
        .unwrap();
    let mut talk = Talk::alice(&server);
    talk.run("C: STAT\nS: +OK 1 5000000000\nC: UIDL 2\nS: +OK no number\nC: UIDL 1\nS: +OK 1 m0000001\nC: RETR 1\nS: +OK *");
    talk.body();
    talk.run("C: RETR 1\nS: +OK");
    assert_eq!(talk.rest().unwrap(), b"Subject: cut");
}

#[test]
fn scripts_can_count_over_sessions_and_carry_the_command_out() {
    let server = alice()
        .script("NOOP", Answer::raw("").nth_overall(2).then_reset())
        .script("DELE", Answer::raw("+OK dictated\r\n").and_do())
        .start()
        .unwrap();
    Talk::alice(&server).run("C: NOOP\nS: +OK nothing done\nC: DELE 1\nS: +OK dictated\nC: QUIT\nS: +OK *");
    assert_eq!(server.maildrop("alice").unwrap().len().unwrap(), 1);
    let mut talk = Talk::alice(&server);
    talk.send("NOOP\r\n");
    assert!(talk.rest().is_err());
    assert!(server.wait_closed(2, SOON));
    Talk::alice(&server).run("C: NOOP\nS: +OK nothing done");
}

#[test]
fn a_script_can_begin_late_and_stay() {
    let server = alice().script("NOOP", Answer::raw("-ERR enough\r\n").from_nth(2)).start().unwrap();
    for _ in 0..2 {
        Talk::alice(&server)
            .run("C: NOOP\nS: +OK *\nC: NOOP\nS: -ERR enough\nC: NOOP\nS: -ERR enough\nC: QUIT\nS: +OK *");
    }
}

#[test]
fn a_script_can_hang() {
    let server = alice()
        .idle_timeout(Duration::from_millis(300))
        .script("NOOP", Answer::raw("+O").then_hang())
        .start()
        .unwrap();
    let mut talk = Talk::alice(&server);
    talk.send("NOOP\r\nSTAT\r\n");
    assert_eq!(talk.rest().unwrap(), b"+O");
}

#[test]
fn q_110_top_with_too_many_lines_is_refused() {
    let server = alice().quirk("top_arg_max=99999999").unwrap().start().unwrap();
    let mut talk = Talk::alice(&server);
    talk.run("C: TOP 1 100000000\nS: -ERR too many lines\nC: TOP 1 99999999\nS: +OK *");
    talk.body();
    talk.run("C: NOOP\nS: +OK *");
}

#[test]
fn q_095_a_maildrop_of_two_users_gets_a_quirks_messages_once() {
    let maildrop = Maildrop::memory(["a\r\n"]);
    let builder = Server::builder().quirk("msg_corpus=bare_lf_dot").unwrap();
    let server = builder.user("alice", "a", maildrop.clone()).user("bob", "b", maildrop).start().unwrap();
    assert_eq!(server.maildrop("bob").unwrap().len().unwrap(), 2);
}

#[test]
fn headings_replace_first_lines_only() {
    let server = alice().heading("LIST", "+OK 2 320").heading("PASS", "+ERR odd").start().unwrap();
    Talk::plain(&server).run(
        "S: +OK *
         C: USER alice
         S: +OK *
         C: PASS s3cret pass
         S: +ERR odd
         C: LIST
         S: +OK 2 320
         S: 1 22
         S: 2 28
         S: .",
    );
}

#[test]
fn greetings_of_all_kinds() {
    let server = alice().greeting(Answer::raw("-ERR go away\r\n").then_close()).start().unwrap();
    Talk::plain(&server).run("S: -ERR go away\nS: <EOF>");
    let server = alice().greeting("* OK IMAP4rev1\r\n").start().unwrap();
    Talk::plain(&server).run("S: * OK IMAP4rev1\nC: QUIT\nS: +OK *");
}

#[test]
fn p_060_quit_in_all_its_forms() {
    for (reply, answer, left) in [
        (QuitReply::Normal, "S: +OK signing off\nS: <EOF>", 0),
        (QuitReply::SomeNotRemoved { removed: 1 }, "S: -ERR some deleted messages not removed\nS: <EOF>", 1),
        (QuitReply::SomeNotRemoved { removed: 0 }, "S: -ERR some deleted messages not removed\nS: <EOF>", 2),
        (QuitReply::CloseAfterCommit, "S: <EOF>", 0),
        (QuitReply::CloseBeforeCommit, "S: <EOF>", 2),
    ] {
        let server = alice().quit_reply(reply).start().unwrap();
        Talk::alice(&server).run("C: DELE 1\nS: +OK *\nC: DELE 2\nS: +OK *\nC: QUIT").run(answer);
        assert!(server.wait_closed(1, SOON));
        assert_eq!(server.maildrop("alice").unwrap().len().unwrap(), left, "{reply:?}");
    }
}

#[test]
fn s10_qpopper_deletes_at_any_disconnect() {
    let server = alice().delete_at_disconnect(true).start().unwrap();
    let mut talk = Talk::alice(&server);
    talk.run("C: DELE 1\nS: +OK *");
    drop(talk);
    assert!(server.wait_closed(1, SOON));
    let maildrop = server.maildrop("alice").unwrap();
    assert_eq!(maildrop.len().unwrap(), 1);
    assert!(!maildrop.is_locked());
}

#[test]
fn p_020_q_095_verbatim_passes_bare_lf_through() {
    let message = "Subject: x\r\n\r\na\n.\r\n+OK 1 injected\r\n";
    let server = Server::builder()
        .user("alice", "s3cret pass", Maildrop::memory([message]))
        .verbatim(true)
        .start()
        .unwrap();
    let mut talk = Talk::alice(&server);
    talk.run(&format!("C: LIST 1\nS: +OK 1 {}\nC: RETR 1\nC: QUIT\nS: +OK *", message.len()));
    let heard = String::from_utf8(talk.rest().unwrap()).unwrap();
    assert_eq!(heard, format!("{message}.\r\n+OK signing off\r\n"));
}

#[test]
fn segments_arrive_one_by_one() {
    let server = alice().segment(3).segment_pause(Duration::from_millis(2)).start().unwrap();
    Talk::plain(&server).run("S: +OK popwire-server ready\nC: USER alice\nS: +OK send PASS");
}

#[test]
fn sessions_are_recorded() {
    let server = server();
    let mut talk = Talk::alice(&server);
    talk.send("NOOP\nQUIT\r\n");
    talk.run("S: +OK *\nS: +OK *\nS: <EOF>");
    let session = server.last_session().unwrap();
    assert_eq!(session.client_lines(), ["USER alice", "PASS s3cret pass", "NOOP\n", "QUIT"]);
    assert_eq!(session.client_octets(), b"USER alice\r\nPASS s3cret pass\r\nNOOP\nQUIT\r\n");
    assert!(session.quit());
    assert_eq!(session.lines[0].direction, Direction::Server);
    assert!(
        session.to_string().starts_with("S: +OK popwire-server ready\nC: USER alice\nS: +OK send PASS\n")
    );
    assert!(server.wait_closed(1, SOON));
    assert_eq!(server.sessions().len(), 1);
}

#[test]
fn too_many_connections_are_turned_away() {
    let server = alice().max_connections(1).start().unwrap();
    let mut first = Talk::plain(&server);
    first.run("S: +OK *");
    Talk::plain(&server).run("S: -ERR [SYS/TEMP] too many connections\nS: <EOF>");
}

#[test]
fn a_dropped_server_stops_at_once_and_removes_nothing() {
    let server = alice().start().unwrap();
    let (addr, maildrop) = (server.addr(), server.maildrop("alice").unwrap());
    let mut talk = Talk::alice(&server);
    talk.run("C: DELE 1\nS: +OK *");
    let start = std::time::Instant::now();
    drop(server);
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(talk.rest().unwrap(), b"");
    assert!(std::net::TcpStream::connect(addr).is_err());
    assert_eq!(maildrop.len().unwrap(), 2);
    assert!(!maildrop.is_locked());
}

#[test]
fn addresses_in_use_are_a_typed_error() {
    let server = server();
    let error = alice().listen(server.addr()).start().expect_err("taken");
    assert!(matches!(error, popwire_server::StartError::Bind { addr, .. } if addr == server.addr()));
}
