//! The transaction and update states: section 3.

use popwire_server::{Content, Maildrop, Message, Server};

use crate::talk::{ONE, SOON, Talk, alice, server};

#[test]
fn p_050_stat_leaves_marked_messages_out() {
    Talk::alice(&server()).run("C: STAT\nS: +OK 2 50\nC: DELE 2\nS: +OK *\nC: STAT\nS: +OK 1 22");
}

#[test]
fn p_052_list_of_all_and_of_none() {
    let server = server();
    Talk::alice(&server).run(
        "C: LIST
         S: +OK 2 messages (50 octets)
         S: 1 22
         S: 2 28
         S: .
         C: DELE 1
         S: +OK *
         C: DELE 2
         S: +OK *
         C: LIST
         S: +OK 0 messages (0 octets)
         S: .",
    );
    let server = Server::builder().user("alice", "s3cret pass", Maildrop::empty()).start().unwrap();
    Talk::alice(&server).run("C: LIST\nS: +OK *\nS: .\nC: UIDL\nS: +OK *\nS: .\nC: STAT\nS: +OK 0 0");
}

#[test]
fn p_053_p_054_list_of_one() {
    Talk::alice(&server()).run(
        "C: LIST 2
         S: +OK 2 28
         C: LIST 3
         S: -ERR no such message
         C: DELE 2
         S: +OK *
         C: LIST 2
         S: -ERR message is deleted",
    );
}

#[test]
fn p_055_retr_of_a_missing_or_deleted_message() {
    Talk::alice(&server())
        .run("C: RETR 3\nS: -ERR *\nC: DELE 1\nS: +OK *\nC: RETR 1\nS: -ERR *\nC: NOOP\nS: +OK *");
}

#[test]
fn p_056_dele_only_marks() {
    let server = server();
    let maildrop = server.maildrop("alice").unwrap();
    let mut talk = Talk::alice(&server);
    talk.run("C: DELE 1\nS: +OK *");
    for command in ["LIST 1", "RETR 1", "DELE 1", "TOP 1 0", "UIDL 1"] {
        talk.run(&format!("C: {command}\nS: -ERR message is deleted"));
    }
    assert_eq!(maildrop.len().unwrap(), 2);
    assert!(maildrop.removed().is_empty());
}

#[test]
fn p_057_noop_does_nothing() {
    Talk::alice(&server()).run("C: NOOP\nS: +OK *\nC: STAT\nS: +OK 2 50");
}

#[test]
fn p_058_rset_unmarks() {
    let server = server();
    Talk::alice(&server).run(
        "C: DELE 1
         S: +OK *
         C: DELE 2
         S: +OK *
         C: RSET
         S: +OK *
         C: STAT
         S: +OK 2 50
         C: QUIT
         S: +OK *
         S: <EOF>",
    );
    assert_eq!(server.maildrop("alice").unwrap().len().unwrap(), 2);
}

#[test]
fn p_059_quit_removes_marked_messages_before_it_answers() {
    let server = server();
    let maildrop = server.maildrop("alice").unwrap();
    let mut talk = Talk::alice(&server);
    assert!(maildrop.is_locked());
    talk.run("C: DELE 1\nS: +OK *\nC: QUIT\nS: +OK signing off");
    assert_eq!(maildrop.removed(), [b"m0000001"]);
    assert_eq!(maildrop.unique_ids().unwrap(), [b"m0000002"]);
    assert!(!maildrop.is_locked());
    talk.run("S: <EOF>");
}

#[test]
fn p_060_quit_says_if_a_message_could_not_be_removed() {
    use popwire_server::store::{Entry, Key, LineEnds, Memory, Store};

    /// A disk that has become read-only for the first message.
    struct Stuck(Memory);
    impl Store for Stuck {
        fn list(&self, ends: LineEnds) -> std::io::Result<Vec<Entry>> {
            self.0.list(ends)
        }
        fn open(&self, key: &Key) -> std::io::Result<Box<dyn std::io::Read + Send>> {
            self.0.open(key)
        }
        fn remove(&self, key: &Key) -> std::io::Result<()> {
            if key == "1" { Err(std::io::ErrorKind::ReadOnlyFilesystem.into()) } else { self.0.remove(key) }
        }
        fn mark_seen(&self, key: &Key) -> std::io::Result<()> {
            self.0.mark_seen(key)
        }
        fn is_seen(&self, key: &Key) -> std::io::Result<bool> {
            self.0.is_seen(key)
        }
    }

    let maildrop = Maildrop::with_store(Stuck(Memory::new(["one\r\n", "two\r\n", "three\r\n"])));
    let server = Server::builder().user("alice", "s3cret pass", maildrop.clone()).start().unwrap();
    Talk::alice(&server)
        .run("C: DELE 1\nS: +OK *\nC: DELE 2\nS: +OK *\nC: QUIT\nS: -ERR some deleted messages not removed\nS: <EOF>");
    assert_eq!(maildrop.messages().unwrap(), [&b"one\r\n"[..], b"three\r\n"]);
}

#[test]
fn p_061_nothing_is_removed_without_quit() {
    let server = server();
    let mut talk = Talk::alice(&server);
    talk.run("C: DELE 1\nS: +OK *\nC: DELE 2\nS: +OK *");
    // Half a QUIT is no QUIT.
    talk.send("QUIT");
    drop(talk);
    assert!(server.wait_closed(1, SOON));
    assert_eq!(server.maildrop("alice").unwrap().len().unwrap(), 2);
}

#[test]
fn p_064_top_is_exact() {
    let server = server();
    let mut talk = Talk::alice(&server);
    for (lines, body) in [
        ("0", "Subject: two\r\n\r\n"),
        ("1", "Subject: two\r\n\r\n..a\r\n"),
        ("2", "Subject: two\r\n\r\n..a\r\nb\r\n"),
        ("4", "Subject: two\r\n\r\n..a\r\nb\r\nc\r\n\r\n"),
        ("99999999999999999999999", "Subject: two\r\n\r\n..a\r\nb\r\nc\r\n\r\n"),
    ] {
        talk.run(&format!("C: TOP 2 {lines}\nS: +OK *"));
        assert_eq!(talk.body(), body, "TOP 2 {lines}");
    }
    for wrong in ["TOP 2", "TOP", "TOP 2 -1", "TOP 3 0", "TOP 0 0", "TOP 1 1 1"] {
        talk.run(&format!("C: {wrong}\nS: -ERR *"));
    }
    assert_eq!(server.maildrop("alice").unwrap().seen().unwrap(), [false, false]);
}

#[test]
fn p_064_top_of_messages_without_a_body() {
    let messages = ["Subject: none\r\n", "Subject: blank\n\n", ""];
    let server = Server::builder().user("alice", "s3cret pass", Maildrop::memory(messages)).start().unwrap();
    let mut talk = Talk::alice(&server);
    for (number, body) in [(1, "Subject: none\r\n"), (2, "Subject: blank\r\n\r\n"), (3, "")] {
        talk.run(&format!("C: TOP {number} 5\nS: +OK *"));
        assert_eq!(talk.body(), body);
    }
}

#[test]
fn p_066_unique_ids_stay_and_are_never_used_again() {
    let server = server();
    let maildrop = server.maildrop("alice").unwrap();
    Talk::alice(&server)
        .run("C: UIDL\nS: +OK *\nS: 1 m0000001\nS: 2 m0000002\nS: .\nC: DELE 2\nS: +OK *\nC: QUIT\nS: +OK *");
    maildrop.deliver("again\r\n").unwrap();
    Talk::alice(&server).run("C: UIDL\nS: +OK *\nS: 1 m0000001\nS: 2 m0000003\nS: .");
}

#[test]
fn p_067_uidl_of_all_and_of_one() {
    let server = Server::builder()
        .user(
            "alice",
            "s3cret pass",
            Maildrop::memory([
                Message::new(ONE).unique_id("QhdPYR:00WBw1Ph7x7"),
                Message::new(ONE).unique_id("x".repeat(70)),
            ]),
        )
        .start()
        .unwrap();
    Talk::alice(&server).run(&format!(
        "C: UIDL 1
         S: +OK 1 QhdPYR:00WBw1Ph7x7
         C: UIDL 3
         S: -ERR *
         C: DELE 1
         S: +OK *
         C: UIDL 1
         S: -ERR *
         C: UIDL
         S: +OK *
         S: 2 {}
         S: .",
        "x".repeat(70),
    ));
}

#[test]
fn p_074_numbers_that_are_none() {
    let server = server();
    let mut talk = Talk::alice(&server);
    for number in ["0", "-1", "+1", "1x", "4294967297", "18446744073709551617", "1 2", " 1", ""] {
        for command in ["LIST", "RETR", "DELE", "UIDL"] {
            talk.run(&format!("C: {command} {number}\nS: -ERR *"));
        }
    }
    talk.run("C: STAT x\nS: -ERR *\nC: NOOP x\nS: -ERR *\nC: RSET x\nS: -ERR *\nC: QUIT x\nS: -ERR *\nC: STAT\nS: +OK 2 50");
}

#[test]
fn s9_retr_marks_as_seen() {
    let server = server();
    let mut talk = Talk::alice(&server);
    talk.run("C: RETR 2\nS: +OK *");
    talk.body();
    assert_eq!(server.maildrop("alice").unwrap().seen().unwrap(), [false, true]);
}

#[test]
fn p_169_last_is_off_unless_asked_for() {
    Talk::alice(&server()).run("C: LAST\nS: -ERR *");
    let messages = [Message::new(ONE).seen(true), Message::new(ONE), Message::new(ONE)];
    let server = Server::builder()
        .user("alice", "s3cret pass", Maildrop::memory(messages))
        .last(true)
        .start()
        .unwrap();
    let mut talk = Talk::alice(&server);
    talk.run("C: LAST\nS: +OK 1\nC: RETR 3\nS: +OK *");
    talk.body();
    talk.run("C: LAST\nS: +OK 3\nC: RSET\nS: +OK *\nC: LAST\nS: +OK 1");
}

#[test]
fn a_hundred_thousand_messages_are_listed() {
    let messages = (0..100_000).map(|_| ONE);
    let server = Server::builder().user("alice", "s3cret pass", Maildrop::memory(messages)).start().unwrap();
    let mut talk = Talk::alice(&server);
    talk.run("C: LIST\nS: +OK 100000 messages (2200000 octets)");
    assert_eq!(talk.body().lines().last(), Some("100000 22"));
    talk.run("C: UIDL\nS: +OK *");
    assert_eq!(talk.body().lines().count(), 100_000);
}

#[test]
fn generated_messages_need_no_memory() {
    let size = 256 << 20;
    let messages =
        [Content::Generated { size, line_len: 76 }, Content::Generated { size: 64 << 20, line_len: 1 << 30 }];
    let server = alice().user("bob", "b", Maildrop::memory(messages)).start().unwrap();
    let mut talk = Talk::plain(&server);
    talk.run("S: +OK *\nC: USER bob\nS: +OK *\nC: PASS b\nS: +OK *\nC: LIST\nS: +OK *\nS: 1 268435456\nS: 2 67108864\nS: .");
    talk.run("C: RETR 1\nS: +OK *\nS: Subject: generated\nS:\nS: ..xxxx*");
    // One octet more for each line that was stuffed; three lines are gone already.
    let header = 22;
    let lines = (size - header).div_ceil(78);
    talk.skip(size - header - 78 + lines.div_ceil(8) - 1);
    talk.run("S: .\nC: TOP 2 0\nS: +OK *\nS: Subject: generated\nS:\nS: .\nC: QUIT\nS: +OK *");
}
