//! The Maildir store.

use std::fs;
use std::path::Path;

use popwire_server::{Maildrop, Server};

use crate::talk::{SOON, Talk};

fn maildir() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for directory in ["tmp", "new", "cur"] {
        fs::create_dir(root.path().join(directory)).unwrap();
    }
    fs::write(root.path().join("new/1700000002.M1P1.host"), "Subject: b\n\n.two\n").unwrap();
    fs::write(root.path().join("cur/1700000001.M1P1.host:2,F"), "Subject: a\n\none").unwrap();
    fs::write(root.path().join("new/.hidden"), "no mail").unwrap();
    fs::write(root.path().join("tmp/1700000000.partial"), "no mail").unwrap();
    root
}

fn serve(root: &Path) -> (Server, Maildrop) {
    let maildrop = Maildrop::maildir(root);
    (Server::builder().user("alice", "s3cret pass", maildrop.clone()).start().unwrap(), maildrop)
}

#[test]
fn p_025_p_066_maildir_sizes_and_unique_ids() {
    let root = maildir();
    let (server, _) = serve(root.path());
    Talk::alice(&server).run(
        "C: LIST
         S: +OK *
         S: 1 19
         S: 2 20
         S: .
         C: UIDL
         S: +OK *
         S: 1 1700000001.M1P1.host
         S: 2 1700000002.M1P1.host
         S: .
         C: RETR 2
         S: +OK *
         S: Subject: b
         S:
         S: ..two
         S: .
         C: TOP 1 0
         S: +OK *
         S: Subject: a
         S:
         S: .
         C: QUIT
         S: +OK *",
    );
}

#[test]
fn s9_a_retrieved_message_moves_to_cur() {
    let root = maildir();
    let (server, maildrop) = serve(root.path());
    let mut talk = Talk::alice(&server);
    for number in ["1", "2"] {
        talk.run(&format!("C: RETR {number}\nS: +OK *"));
        talk.body();
    }
    assert!(root.path().join("cur/1700000001.M1P1.host:2,FS").exists());
    assert!(root.path().join("cur/1700000002.M1P1.host:2,S").exists());
    assert_eq!(maildrop.seen().unwrap(), [true, true]);
    // Numbers and unique-ids are the same after the move, in this session and in the next.
    talk.run("C: RETR 2\nS: +OK *");
    talk.body();
    talk.run("C: UIDL 2\nS: +OK 2 1700000002.M1P1.host\nC: QUIT\nS: +OK *");
    Talk::alice(&server).run("C: UIDL 2\nS: +OK 2 1700000002.M1P1.host");
}

#[test]
fn p_059_quit_removes_the_files() {
    let root = maildir();
    let (server, maildrop) = serve(root.path());
    Talk::alice(&server).run("C: DELE 2\nS: +OK *\nC: QUIT\nS: +OK *");
    assert!(!root.path().join("new/1700000002.M1P1.host").exists());
    assert!(root.path().join("cur/1700000001.M1P1.host:2,F").exists());
    assert_eq!(maildrop.removed(), [b"1700000002.M1P1.host"]);
}

#[test]
fn p_061_a_dropped_connection_removes_no_file() {
    let root = maildir();
    let (server, maildrop) = serve(root.path());
    let mut talk = Talk::alice(&server);
    talk.run("C: DELE 1\nS: +OK *");
    drop(talk);
    assert!(server.wait_closed(1, SOON));
    assert_eq!(maildrop.len().unwrap(), 2);
}

#[test]
fn files_moved_or_removed_by_others() {
    let root = maildir();
    let (server, _) = serve(root.path());
    let mut talk = Talk::alice(&server);
    fs::rename(
        root.path().join("new/1700000002.M1P1.host"),
        root.path().join("cur/1700000002.M1P1.host:2,R"),
    )
    .unwrap();
    talk.run("C: RETR 2\nS: +OK *");
    assert_eq!(talk.body(), "Subject: b\r\n\r\n..two\r\n");
    fs::remove_file(root.path().join("cur/1700000001.M1P1.host:2,F")).unwrap();
    talk.run("C: RETR 1\nS: -ERR the message cannot be read\nC: DELE 1\nS: +OK *\nC: QUIT\nS: +OK *");
}

#[test]
fn delivery_goes_through_tmp() {
    let root = tempfile::tempdir().unwrap();
    let (server, maildrop) = serve(root.path());
    assert!(maildrop.is_empty().unwrap());
    maildrop.deliver("one\n").unwrap();
    maildrop.deliver("two\n").unwrap();
    Talk::alice(&server).run("C: STAT\nS: +OK 2 10");
    assert_eq!(fs::read_dir(root.path().join("tmp")).unwrap().count(), 0);
}
