//! The other side of a transfer, as tests play it.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The server's side of a connection, as a test plays it.
pub(crate) struct Talk<S: Read = TcpStream>(pub(crate) BufReader<S>);

impl<S: Read + Write> Talk<S> {
    pub(crate) fn say(&mut self, lines: &[&str]) {
        let text: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn hear(&mut self, expected: &str) {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        assert_eq!(line, format!("{expected}\r\n"));
    }

    pub(crate) fn hear_any(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line).unwrap();
        line
    }

    pub(crate) fn greet(&mut self, hello: &str, announced: &[&str]) {
        self.say(&["220-peer", "220 peer"]);
        self.announce(hello, announced);
    }

    pub(crate) fn announce(&mut self, hello: &str, announced: &[&str]) {
        assert!(self.hear_any().starts_with(format!("{hello} ").as_bytes()));
        let lines: Vec<_> = announced.iter().map(|one| format!("250-{one}")).collect();
        let lines = ["250-peer"].into_iter().chain(lines.iter().map(String::as_str)).chain(["250 HELP"]);
        self.say(&lines.collect::<Vec<_>>());
    }

    /// The envelope of a message without extensions, agreed to line by line.
    pub(crate) fn envelope(&mut self) {
        for (command, answer) in
            [("MAIL FROM:<>", "250 ok"), ("RCPT TO:<bob>", "250 ok"), ("DATA", "354 go on")]
        {
            self.hear(command);
            self.say(&[answer]);
        }
    }

    /// What comes up to and with the dot.
    pub(crate) fn message(&mut self) -> Vec<u8> {
        let mut message = Vec::new();
        while !message.ends_with(b"\r\n.\r\n") && message != b".\r\n" {
            let line = self.hear_any();
            assert!(!line.is_empty(), "ended within a message");
            message.extend(line);
        }
        message
    }

    pub(crate) fn end(mut self) {
        assert_eq!(self.hear_any(), b"");
    }
}

pub(crate) type Part = fn(Talk);

/// Plays these parts, a connection each; where it listens.
pub(crate) fn play(parts: &[Part]) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = listener.local_addr().unwrap().to_string();
    let parts = parts.to_vec();
    let playing = thread::spawn(move || {
        for part in parts {
            let (stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            part(Talk(BufReader::new(stream)));
        }
    });
    (place, playing)
}
