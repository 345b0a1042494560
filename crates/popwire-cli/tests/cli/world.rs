//! A server, a folder, and the program run between them.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use assert_cmd::Command;
use popwire_server::{Builder, Maildrop, Server};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const PASSWORD: &str = "s3cret pass";

pub(crate) const MAIL: [&str; 3] = [
    "From: Ann <ann@example.org>\r\nDate: Mon, 2 Feb 2026 08:14:07 +0100\r\nSubject: one\r\n\r\n1\r\n",
    "From: bob@example.org\r\nSubject: \x1b]0;owned\x07two\tb\r\n\r\n.2\r\n",
    "\r\nno header\r\n",
];

pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) home: TempDir,
}

/// How a run of the program ended.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn world() -> World {
    world_with(|server| server)
}

pub(crate) fn world_with(describe: impl FnOnce(Builder) -> Builder) -> World {
    world_of(&MAIL, describe)
}

pub(crate) fn world_of(mail: &[&str], describe: impl FnOnce(Builder) -> Builder) -> World {
    let home = tempfile::tempdir().unwrap();
    let server = Server::builder().user("alice", PASSWORD, Maildrop::memory(mail.iter().copied()));
    let server = describe(server).start().unwrap();
    fs::write(home.path().join("ca.pem"), server.ca_pem()).unwrap();
    World { server, home }
}

impl World {
    /// The program with these words, the CA, and the password in the environment.
    pub(crate) fn run(&self, line: &str) -> Run {
        run(self.command(line).env("POPWIRE_PASSWORD", PASSWORD))
    }

    /// `fetch` over TLS into the folder `Mail`.
    pub(crate) fn fetch(&self, options: &str) -> Run {
        self.run(&format!("fetch {} --ca ca.pem --maildir Mail {options}", self.url()))
    }

    /// The program in this world's folder, without a password.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_popwire"));
        command
            .args(line.split_whitespace())
            .current_dir(self.home.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("POPWIRE_STATE", self.path("state"))
            .timeout(Duration::from_secs(60));
        command
    }

    pub(crate) fn url(&self) -> String {
        format!("pops://alice@localhost:{}", self.server.tls_addr().port())
    }

    pub(crate) fn stls_url(&self) -> String {
        format!("pop://alice@localhost:{}", self.server.addr().port())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// What lies in `new/` of the Maildir, sorted.
    pub(crate) fn delivered(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("Mail/new")).unwrap();
        let mut mail: Vec<_> =
            entries.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect();
        mail.sort();
        mail
    }

    /// How many messages the server still has, once so many sessions are over.
    pub(crate) fn left(&self, sessions: usize) -> usize {
        assert!(self.server.wait_closed(sessions, Duration::from_secs(5)));
        self.server.maildrop("alice").unwrap().len().unwrap()
    }
}

pub(crate) fn run(command: &mut Command) -> Run {
    let output = command.output().unwrap();
    let run = Run {
        code: output.status.code().expect("ended by itself"),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    };
    for secret in [PASSWORD, "s3cret"] {
        assert!(!run.out.contains(secret) && !run.err.contains(secret), "the password was printed");
    }
    run
}

impl Run {
    /// The exit code, and a part of stderr.
    #[track_caller]
    pub(crate) fn failed(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        for part in parts {
            assert!(self.err.contains(part), "no {part:?} in: {}", self.err);
        }
    }

    #[track_caller]
    pub(crate) fn good(&self) -> &Self {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self
    }

    pub(crate) fn objects(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }
}

pub(crate) fn sorted(mail: &[&str]) -> Vec<String> {
    let mut mail: Vec<_> = mail.iter().map(ToString::to_string).collect();
    mail.sort();
    mail
}
