//! A server whose messages have the unique-ids that one wants, a home, and the programs run in it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{self, Output};
use std::time::Duration;

use assert_cmd::Command;
use popwire_server::{Maildrop, Message, Server};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const PASSWORD: &str = "s3\"cr't";

/// Unique-ids as RFC 1939 allows them, ordinary and awkward.
pub(crate) const IDS: [&str; 12] = [
    "1",
    "000000015f3b2c1d",
    "UID42-1700000000",
    "<20260101.1@mail.example.org>",
    "alice@127.0.0.1",
    "Gb+cD/eF==",
    "%41%%U%H",
    "#hash",
    "*star,semi;colon:\"quote'",
    "k",
    "\\x41\\n",
    "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdef",
];

/// Those that RFC 1939 does not allow, and servers give all the same.
pub(crate) const WORSE: [&[u8]; 4] = [b"two words", b"tab\tin it", b"\xe9t\xe9", &[b'x'; 100]];

pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) home: TempDir,
}

/// How a run of popwire ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Who runs the tests: the owner of what they make.
fn geteuid() -> u32 {
    fs::metadata("/proc/self").unwrap().uid()
}

fn message(id: &[u8]) -> Message {
    let id_shown = id.escape_ascii();
    Message::new(format!("From: a@example.org\r\nSubject: {id_shown}\r\n\r\n{id_shown}\r\n")).unique_id(id)
}

impl World {
    pub(crate) fn new<'a>(ids: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let maildrop = Maildrop::memory(ids.into_iter().map(message));
        let home = tempfile::tempdir().unwrap();
        let server = Server::builder().user("alice", PASSWORD, maildrop).start().unwrap();
        Self { server, home }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.addr().port()
    }

    /// A file that only its owner can read: the programs insist.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    pub(crate) fn maildir(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        for folder in ["new", "cur", "tmp"] {
            fs::create_dir_all(path.join(folder)).unwrap();
        }
        path
    }

    /// Runs another program in this home.
    pub(crate) fn tool(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = process::Command::new("setpriv");
        // getmail refuses to deliver as root, so all of them are nobody then.
        if geteuid() == 0 {
            self.give("nobody:nogroup");
            command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]);
        }
        command.arg(program).args(arguments).current_dir(self.home.path()).env("HOME", self.home.path());
        command.env("XDG_CONFIG_HOME", self.path(".config")).env("USER", "me").env("LOGNAME", "me");
        let output = command.output().unwrap_or_else(|error| panic!("{program}: {error}"));
        self.give("root:root");
        output
    }

    /// Gives the home to somebody, if that is ours to do.
    fn give(&self, owner: &str) {
        if geteuid() == 0 {
            let given = process::Command::new("chown").args(["-R", owner]).arg(self.home.path()).status();
            assert!(given.unwrap().success());
        }
    }

    pub(crate) fn popwire(&self, line: &str) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_popwire"));
        command
            .args(line.split_whitespace())
            .current_dir(self.home.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.home.path())
            .env("USER", "me")
            .env("POPWIRE_PASSWORD", PASSWORD)
            .timeout(Duration::from_secs(60));
        let output = command.output().unwrap();
        let run = Run {
            code: output.status.code().expect("ended by itself"),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        };
        assert!(
            !run.out.contains(PASSWORD) && !run.err.contains(PASSWORD),
            "the password was printed: {run:?}"
        );
        run
    }

    /// Imports; the warnings, without the home in them.
    #[track_caller]
    pub(crate) fn import(&self, line: &str) -> (Vec<Value>, String) {
        let run = self.popwire(&format!("import {line} --json"));
        assert_eq!(run.code, 0, "{run:?}");
        let events = run.out.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        (events, run.err.replace(&self.home.path().display().to_string(), "~"))
    }

    /// The configuration that an import has written, with what differs between runs taken out of it.
    pub(crate) fn config(&self) -> String {
        let text = fs::read_to_string(self.path(".config/popwire/config.toml")).unwrap();
        assert!(!text.contains(PASSWORD), "{text}");
        text.replace(&self.home.path().display().to_string(), "~").replace(&self.port().to_string(), "PORT")
    }

    /// The password that was taken over for an account.
    #[track_caller]
    pub(crate) fn secret(&self, account: &str) -> String {
        let path = self.path(".config/popwire/secrets").join(account);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::read_to_string(path).unwrap()
    }

    /// What the next fetch of an account brings, as it was imported: the subjects of the messages, sorted.
    #[track_caller]
    pub(crate) fn fetched(&self, account: &str) -> Vec<String> {
        let run = self.popwire(&format!("fetch {account} --maildir fetched"));
        assert_eq!(run.code, 0, "{run:?}");
        subjects(&self.path("fetched"))
    }

    pub(crate) fn deliver(&self, id: &str) {
        self.server.maildrop("alice").unwrap().deliver(message(id.as_bytes())).unwrap();
    }
}

/// The subjects of the messages in `new/`, sorted.
pub(crate) fn subjects(maildir: &Path) -> Vec<String> {
    let files = fs::read_dir(maildir.join("new")).unwrap().map(|entry| entry.unwrap().path());
    let mut subjects: Vec<_> = files.map(|file| subject(&fs::read(file).unwrap())).collect();
    subjects.sort();
    subjects
}

fn subject(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message).into_owned();
    let subject = text.lines().find_map(|line| line.strip_prefix("Subject: "));
    subject.unwrap_or_default().to_owned()
}

pub(crate) fn octets<'a>(ids: &'a [&'a str]) -> impl Iterator<Item = &'a [u8]> {
    ids.iter().map(|id| id.as_bytes())
}

#[track_caller]
pub(crate) fn ended_well(output: &Output, codes: &[i32]) {
    let shown = String::from_utf8_lossy(&output.stderr);
    let code = output.status.code();
    assert!(
        code.is_some_and(|code| codes.contains(&code)),
        "{code:?}: {shown}{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

/// The contents of a file, or nothing.
pub(crate) fn contents(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// Those of the ids that RFC 1939 does not allow of which the next fetch brings nothing, after a tool has fetched and was
/// imported. Of what the tool itself does not know again nothing is asked.
pub(crate) fn known_of_the_worse(run: impl Fn(&World), kind: &str) -> Vec<String> {
    let known = WORSE.iter().filter(|id| {
        let world = World::new([**id]);
        run(&world);
        run(&world);
        let (events, _) = world.import(kind);
        world.fetched(events[0]["account"].as_str().unwrap()).is_empty()
    });
    known.map(|id| id.escape_ascii().to_string()).collect()
}
