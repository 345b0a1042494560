//! The clients: how each is told to empty a mailbox, and what it changes in a message.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Output};

use popwire_interop::{maildir, testdata};

use crate::{PASSWORD, World};

/// What a client makes of a message.
type Change = fn(&[u8]) -> Vec<u8>;

pub(crate) struct Client {
    pub(crate) name: &'static str,
    run: fn(&World) -> Vec<Vec<u8>>,
    /// What it makes of any message.
    makes: Change,
    /// Messages that it does not survive, by the beginnings of their names, and why.
    cannot: &'static [(&'static str, &'static str)],
    /// Messages that it changes, what it makes of them, and why.
    changes: &'static [(&'static str, Change, &'static str)],
}

impl Client {
    /// Everything that was fetched.
    pub(crate) fn fetch(&self, world: &World) -> Vec<Vec<u8>> {
        (self.run)(world)
    }

    pub(crate) fn cannot(&self, name: &str) -> bool {
        self.cannot.iter().any(|(message, _)| name.starts_with(message))
    }

    /// What it makes of a message.
    pub(crate) fn expected(&self, name: &str, message: &[u8]) -> Vec<u8> {
        let change = self.changes.iter().find(|(message, ..)| name.starts_with(message));
        change.map_or(self.makes, |(_, change, _)| *change)(message)
    }
}

/// The octets that were sent: the client is exact.
use crate::with_crlf as exact;

/// LF for CRLF, as mail is stored on Unix.
fn with_lf(message: &[u8]) -> Vec<u8> {
    // The server leaves no other CR.
    let mut lines = exact(message);
    lines.retain(|octet| *octet != b'\r');
    lines
}

/// Each line up to its first NUL.
fn cut_at_nul(message: &[u8]) -> Vec<u8> {
    let message = with_lf(message);
    let lines = message.split_inclusive(|octet| *octet == b'\n');
    let cut = lines.map(|line| match line.iter().position(|octet| *octet == 0) {
        Some(nul) => [&line[..nul], b"\n"].concat(),
        None => line.to_vec(),
    });
    cut.flatten().collect()
}

/// Runs a program that has to succeed, in an environment of its own.
fn run(world: &World, command: &mut Command) -> Output {
    let output = command.env("HOME", world.folder()).current_dir(world.folder()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", shown(&output));
    output
}

fn shown(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], b"\n", &output.stderr].concat()).into_owned()
}

/// A configuration file that only its owner can read: the programs insist.
fn configure(world: &World, name: &str, text: &str) -> std::path::PathBuf {
    let path = world.folder().join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// The files of a folder, in the order of the numbers that are their names, and the folder empty.
fn taken(folder: &Path) -> Vec<Vec<u8>> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let octets = files.iter().map(|file| fs::read(file).unwrap()).collect();
    files.iter().for_each(|file| fs::remove_file(file).unwrap());
    octets
}

/// A Maildir that is empty.
fn new_maildir(world: &World) -> std::path::PathBuf {
    let root = world.folder().join("Maildir");
    let _ = fs::remove_dir_all(&root);
    for folder in ["new", "cur", "tmp"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    root
}

/// A program of `testdata/clients` that is given where to go, and writes files into a folder.
fn script(world: &World, interpreter: &str, name: &str) -> Vec<Vec<u8>> {
    let folder = world.folder().join("mail");
    fs::create_dir_all(&folder).unwrap();
    let program = testdata().join("clients").join(name);
    let port = world.port().to_string();
    let mut command = Command::new(interpreter);
    command.arg(program).args(["127.0.0.1", &port, "alice", PASSWORD]).arg(&folder);
    run(world, &mut command);
    taken(&folder)
}

pub(crate) fn curl() -> Client {
    fn curl(world: &World, place: &str, arguments: &[&str]) -> Vec<u8> {
        let url = format!("pop3://127.0.0.1:{}/{place}", world.port());
        let user = format!("alice:{PASSWORD}");
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--max-time", "20", "--user", &user, &url]).args(arguments);
        run(world, &mut command).stdout
    }
    Client {
        name: "curl",
        run: |world| {
            let listing = String::from_utf8(curl(world, "", &[])).unwrap();
            let numbers: Vec<_> = listing.lines().filter_map(|line| Some(line.split_once(' ')?.0)).collect();
            // It signs in anew for each, and deletes them one by one: the highest first, since they are renumbered.
            let messages = numbers.iter().map(|number| curl(world, number, &[])).collect();
            for number in numbers.iter().rev() {
                curl(world, number, &["--request", "DELE", "--head"]);
            }
            messages
        },
        makes: exact,
        cannot: &[],
        changes: &[("26-empty", |_| b"\r\n".to_vec(), "it writes a line end before the terminator")],
    }
}

pub(crate) fn poplib() -> Client {
    Client {
        name: "CPython's poplib",
        run: |world| script(world, "python3", "fetch.py"),
        makes: exact,
        cannot: &[],
        changes: &[],
    }
}

pub(crate) fn net_pop3() -> Client {
    Client {
        name: "Perl's Net::POP3",
        run: |world| script(world, "perl", "fetch.pl"),
        makes: with_lf,
        cannot: &[],
        changes: &[],
    }
}

pub(crate) fn net_pop() -> Client {
    Client {
        name: "Ruby's net-pop",
        run: |world| script(world, "ruby", "fetch.rb"),
        makes: exact,
        cannot: &[],
        changes: &[],
    }
}

pub(crate) fn node_pop3() -> Client {
    Client {
        name: "node-pop3",
        run: |world| script(world, "node", "fetch.mjs"),
        // It leaves the stuffed dots, and takes the last line end for a part of the terminator.
        makes: |message| {
            let mut wire = crate::on_the_wire(message);
            wire.truncate(wire.len().saturating_sub(b"\r\n.\r\n".len()));
            wire
        },
        cannot: &[],
        changes: &[],
    }
}

pub(crate) fn mpop() -> Client {
    Client {
        name: "mpop",
        run: |world| {
            let root = new_maildir(world);
            let config = format!(
                "account default\nhost 127.0.0.1\nport {}\nuser alice\npassword {PASSWORD}\nauth user\ntls off\n\
                 keep off\nonly_new off\nreceived_header off\ndelivery maildir {}\nuidls_file {}\n",
                world.port(),
                root.display(),
                world.folder().join("ids").display()
            );
            let config = configure(world, "mpoprc", &config);
            run(world, Command::new("mpop").arg("--file").arg(config).arg("--quiet"));
            maildir::contents(root).unwrap()
        },
        makes: with_lf,
        cannot: &[],
        changes: &[],
    }
}

pub(crate) fn fetchmail() -> Client {
    Client {
        name: "fetchmail",
        run: |world| {
            let folder = world.folder().join("mail");
            fs::create_dir_all(&folder).unwrap();
            let deliver = configure(
                world,
                "deliver",
                &format!("#!/bin/sh\nexec cat > \"$(mktemp {}/XXXXXXXX)\"\n", folder.display()),
            );
            let config = format!(
                "set no bouncemail\nset invisible\npoll 127.0.0.1 service {} protocol POP3 timeout 20\n\
                 user \"alice\" password \"{PASSWORD}\" sslproto \"\" no rewrite no keep fetchall stripcr\n\
                 mda \"/bin/sh {}\"\n",
                world.port(),
                deliver.display()
            );
            let config = configure(world, "fetchmailrc", &config);
            let mut command = Command::new("fetchmail");
            command.arg("--fetchmailrc").arg(config).args(["--nosyslog", "--silent", "--pidfile"]);
            command.arg(world.folder().join("pid")).env("HOME", world.folder());
            let output = command.current_dir(world.folder()).output().unwrap();
            // 1: there was no mail.
            assert!(matches!(output.status.code(), Some(0 | 1)), "{}", shown(&output));
            taken(&folder)
        },
        makes: with_lf,
        cannot: &[
            ("19-no-headers", "it writes a header of its own, with the name of the machine"),
            ("26-empty", "it writes a header of its own, with the name of the machine"),
        ],
        changes: &[(
            "18-headers-only",
            |message| [with_lf(message), b"\n".to_vec()].concat(),
            "it adds the blank line that is missing",
        )],
    }
}

pub(crate) fn getmail() -> Client {
    Client {
        name: "getmail6",
        run: |world| {
            let root = new_maildir(world);
            let config = format!(
                "[retriever]\ntype = SimplePOP3Retriever\nserver = 127.0.0.1\nport = {}\nusername = alice\n\
                 password = {PASSWORD}\n[destination]\ntype = Maildir\npath = {}/\n\
                 [options]\ndelete = true\nread_all = true\ndelivered_to = false\nreceived = false\nverbose = 0\n",
                world.port(),
                root.display()
            );
            let config = configure(world, "getmailrc", &config);
            // It refuses to deliver as root, so it is nobody then, and the folder is his.
            let mut command = Command::new("setpriv");
            if fs::metadata(world.folder()).unwrap().uid() == 0 {
                let given = Command::new("chown").args(["-R", "nobody:nogroup"]).arg(world.folder()).status();
                assert!(given.unwrap().success());
                command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]);
            }
            command.arg("getmail").arg("--getmaildir").arg(world.folder()).arg("--rcfile").arg(config);
            run(world, &mut command);
            maildir::contents(root).unwrap()
        },
        // It makes a header out of the sender that it does not know.
        makes: |message| [b"Return-Path: <unknown>\n".to_vec(), with_lf(message)].concat(),
        cannot: &[("25-folded-header", "it folds long headers anew")],
        changes: &[
            ("18-headers-only", headed, "it adds the blank line that is missing"),
            ("26-empty", headed, "it adds the blank line that is missing"),
        ],
    }
}

/// With getmail's header, and a blank line at the end.
fn headed(message: &[u8]) -> Vec<u8> {
    [b"Return-Path: <unknown>\n".to_vec(), with_lf(message), b"\n".to_vec()].concat()
}

pub(crate) fn fdm() -> Client {
    Client {
        name: "fdm",
        run: |world| {
            let root = new_maildir(world);
            let config = format!(
                "set no-received\nset lock-file \"{}\"\nset allow-multiple\n\
                 account \"alice\" pop3 server \"127.0.0.1\" port {} user \"alice\" pass \"{PASSWORD}\"\n\
                 action \"keep\" maildir \"{}\"\nmatch all action \"keep\"\n",
                world.folder().join("lock").display(),
                world.port(),
                root.display()
            );
            let config = configure(world, "fdm.conf", &config);
            run(world, Command::new("fdm").arg("-f").arg(config).args(["-a", "alice", "fetch"]));
            maildir::contents(root).unwrap()
        },
        makes: with_lf,
        cannot: &[("26-empty", "it does not deliver a message without octets")],
        changes: &[
            ("09-nul", cut_at_nul, "it cuts lines at NUL"),
            ("10-all-bytes", cut_at_nul, "it cuts lines at NUL"),
        ],
    }
}
