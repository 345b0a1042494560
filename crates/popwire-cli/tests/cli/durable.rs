//! The promise, counted: what strace saw of `popwire fetch --delete`. Before DELE of a message goes out, its octets were
//! flushed, it was moved into `new/`, and `new/` was flushed.

use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::process::Command;

use popwire_server::{Maildrop, Server};

use crate::world::PASSWORD;

/// How many messages: more than two batches.
const MESSAGES: usize = 250;

/// The size of a message, by which it is known again.
fn size(number: usize) -> usize {
    1000 + number
}

/// A system call: where in the trace it begins and ends, its name and its arguments.
struct Call {
    lines: Range<usize>,
    name: String,
    arguments: String,
}

/// All calls, also those that another thread's calls interrupt in the trace.
fn calls(trace: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut open: HashMap<&str, (usize, String)> = HashMap::new();
    for (at, line) in trace.lines().enumerate() {
        let (process, rest) = line.split_once(' ').unwrap();
        let rest = rest.trim_start();
        let (begin, text) = if let Some(resumed) = rest.strip_prefix("<... ") {
            let (begin, text) = open.remove(process).unwrap();
            (begin, text + resumed.split_once('>').unwrap().1)
        } else if let Some(text) = rest.strip_suffix(" <unfinished ...>") {
            open.insert(process, (at, text.to_owned()));
            continue;
        } else {
            (at, rest.to_owned())
        };
        if let Some((name, arguments)) = text.split_once('(') {
            calls.push(Call { lines: begin..at, name: name.to_owned(), arguments: arguments.to_owned() });
        }
    }
    calls
}

/// Fetches all, and checks the order for each message; gives the number of flushes of files and of file systems.
fn flushes(flush: &str) -> (usize, usize) {
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mail = (1..=MESSAGES).map(|number| {
        let head = format!("Subject: {number}\r\n\r\n");
        format!("{head}{}\r\n", "x".repeat(size(number) - head.len() - 2))
    });
    let server = Server::builder().user("alice", PASSWORD, Maildrop::memory(mail)).start().unwrap();
    let trace = home.path().join("trace");
    let output = Command::new("strace")
        .args(["-f", "-y", "-s", "9000", "-e", "trace=write,sendto,fsync,fdatasync,syncfs,renameat2", "-o"])
        .arg(&trace)
        .arg(env!("CARGO_BIN_EXE_popwire"))
        .args(["fetch", &format!("pop://alice@127.0.0.1:{}", server.addr().port()), "--insecure-plaintext"])
        .args(["--delete", "--flush", flush, "--maildir"])
        .arg(home.path().join("Mail"))
        .env("POPWIRE_PASSWORD", PASSWORD)
        .env("POPWIRE_STATE", home.path().join("state"))
        .output()
        .expect("strace is needed (apt-get install strace)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let trace = fs::read_to_string(trace).unwrap();
    let calls = calls(&trace);
    let named = |name: &str| calls.iter().filter(move |call| call.name == name).collect::<Vec<_>>();
    let (fsyncs, syncfs) = (named("fsync"), named("syncfs"));
    let new = format!("<{}>", home.path().join("Mail/new").display());

    let moves = named("renameat2");
    assert_eq!(moves.len(), MESSAGES);
    for number in 1..=MESSAGES {
        let ending = format!(",S={}\"", size(number));
        let moved = moves.iter().find(|call| call.arguments.contains(&ending)).unwrap();
        let name = moved.arguments.split('"').nth(1).unwrap();
        let file = format!("/tmp/{name}>");

        let written = calls.iter().filter(|call| call.name == "write" && call.arguments.contains(&file));
        let written = written.map(|call| call.lines.end).max().unwrap();
        let flushed = fsyncs.iter().filter(|call| call.arguments.contains(&file)).chain(&syncfs);
        let durable = flushed.filter(|call| call.lines.start > written && call.lines.end < moved.lines.start);
        assert!(durable.count() > 0, "message {number} is not flushed before it is moved");

        let folder = fsyncs.iter().filter(|call| {
            call.arguments.contains(&new)
                && call.lines.start > moved.lines.end
                && call.arguments.ends_with("= 0")
        });
        let named = folder.map(|call| call.lines.end).min().expect("new/ is flushed after the move");

        // Whole lines: "DELE 1" is in "DELE 11" too.
        let command = format!("DELE {number}\\r");
        let marked = calls.iter().find(|call| call.name == "sendto" && call.arguments.contains(&command));
        let marked = marked.expect("each message is marked");
        assert!(named < marked.lines.start, "message {number} is marked before it is durable");
    }
    assert_eq!(server.maildrop("alice").unwrap().len().unwrap(), 0);
    (fsyncs.len(), syncfs.len())
}

#[test]
fn p_061_each_message_is_durable_before_its_dele_one_file_at_a_time() {
    let (files, systems) = flushes("files");
    assert_eq!(systems, 0);
    assert!(files > MESSAGES, "{files}");
}

#[test]
fn p_061_each_message_is_durable_before_its_dele_many_at_a_time() {
    let (files, systems) = flushes("auto");
    // Where the file system is none that can be trusted with it, each file is flushed here too.
    assert!(systems > 0 || files > MESSAGES, "{files} files, {systems} file systems");
    assert!(systems < MESSAGES / 2, "{systems}");
}
