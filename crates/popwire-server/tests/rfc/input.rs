//! The knobs for timers and for how input is taken in, where what they do shows on the wire only.

use std::thread::sleep;
use std::time::Duration;

use popwire_server::{Content, Maildrop, Server};

use crate::talk::{SOON, Talk, alice};

const MOMENT: Duration = Duration::from_millis(80);

fn with(quirk: &str) -> Server {
    alice().quirk(quirk).unwrap().start().unwrap()
}

#[test]
fn q_118_the_last_word_of_the_idle_timer() {
    for (say, word) in
        [("say=1", "Disconnected for inactivity."), ("say=hmailserver", "Autologout; idle too long")]
    {
        let server = alice().quirk("idle_timeout=100ms").unwrap().quirk(say).unwrap().start().unwrap();
        Talk::alice(&server).run(&format!("C: DELE 1\nS: +OK *\nS: -ERR {word}\nS: <EOF>"));
        assert!(server.wait_closed(1, SOON));
        assert_eq!(server.maildrop("alice").unwrap().len().unwrap(), 2);
    }
}

#[test]
fn q_119_only_bad_commands_in_a_row_are_too_many() {
    let server = with("bad_cmd_max=2");
    Talk::alice(&server).run(
        "C: X
         S: -ERR unknown command
         C: X
         S: -ERR unknown command
         C: RETR 9
         S: -ERR no such message
         C: X
         S: -ERR unknown command
         C: X
         S: -ERR unknown command
         C: X
         S: -ERR unknown command
         S: -ERR Too many bad commands.
         S: <EOF>",
    );
}

#[test]
fn q_120_lines_of_500_octets() {
    let server = with("line_max=500");
    let mut talk = Talk::alice(&server);
    for (length, answer) in [(498, "-ERR unknown command"), (499, "-ERR Line too long.")] {
        talk.run(&format!("C: {}\nS: {answer}", "x".repeat(length)));
    }
    talk.send("x".repeat(70_000));
    talk.run("S: -ERR Excessive amount of data sent to server.\nS: <EOF>");
}

#[test]
fn q_135_pieces_of_a_command_are_refused_each() {
    let server = with("cmd_split=err");
    let mut talk = Talk::alice(&server);
    talk.send("STAT\r\nNO");
    talk.run("S: +OK 2 *\nS: -ERR incomplete command");
    talk.send("OP\r\n");
    talk.run("S: -ERR unknown command\nC: NOOP\nS: +OK *");
}

#[test]
fn q_136_commands_that_come_together() {
    let server = with("pipeline=drop");
    let mut talk = Talk::alice(&server);
    talk.send("STAT\r\nNOOP\r\nDELE 1\r\n");
    talk.run("S: +OK 2 *");
    sleep(MOMENT);
    talk.run("C: LIST 1\nS: +OK 1 *");

    let server = with("pipeline=reorder");
    let mut talk = Talk::alice(&server);
    talk.send("STAT\r\nDELE 1\r\nDELE 2\r\n");
    talk.run("S: +OK message deleted\nS: +OK message deleted\nS: +OK 0 0");

    let server = with("pipeline=flush_on_error");
    let mut talk = Talk::alice(&server);
    talk.send("STAT\r\nDELE 9\r\nDELE 1\r\nNO");
    talk.run("S: +OK 2 *\nS: -ERR no such message");
    sleep(MOMENT);
    talk.run("C: STAT\nS: +OK 2 *");
}

#[test]
fn q_137_the_server_stalls_while_nobody_reads() {
    // An ordinary send buffer and what the client's side takes in unread would hold all of it.
    let long = Content::Generated { size: 1 << 20, line_len: 70 };
    let server = Server::builder().user("alice", "s3cret pass", Maildrop::memory([long]));
    let server = server.quirk("small_sndbuf=1").unwrap().start().unwrap();
    let mut talk = Talk::alice(&server);
    talk.send("RETR 1\r\n");
    sleep(MOMENT);
    talk.send("NOOP\r\n");
    sleep(MOMENT);
    let heard = || server.last_session().unwrap().client_lines().pop();
    assert_eq!(heard().as_deref(), Some("RETR 1"));
    talk.run("S: +OK *");
    talk.body();
    talk.run("S: +OK *");
    assert_eq!(heard().as_deref(), Some("NOOP"));
}
