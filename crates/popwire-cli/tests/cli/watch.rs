//! `popwire watch`: again and again, until a signal comes.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use popwire_server::Answer;
use rustix::process::{Pid, Signal, kill_process};

use crate::world::{MAIL, PASSWORD, World, sorted, world, world_with};

struct Watching {
    child: Child,
    world: World,
}

fn watch(world: World, accounts: &str) -> Watching {
    configure(&world, accounts);
    let child = Command::new(env!("CARGO_BIN_EXE_popwire"))
        .args(["watch", "--json"])
        .current_dir(world.home.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("POPWIRE_STATE", world.path("state"))
        .env("POPWIRE_CONFIG", "config.toml")
        .env("THE_PASSWORD", PASSWORD)
        .stdin(Stdio::null())
        .stdout(fs::File::create(world.path("out")).unwrap())
        .stderr(fs::File::create(world.path("err")).unwrap())
        .spawn()
        .unwrap();
    Watching { child, world }
}

fn configure(world: &World, accounts: &str) {
    let port = world.server.tls_addr().port();
    let defaults = format!(
        "version = 1\n[defaults]\nserver = \"localhost:{port}\"\ntls = {{ ca = \"ca.pem\" }}\ninterval = \"1s\"\n\
         user = \"alice\"\npassword = {{ env = \"THE_PASSWORD\" }}\n"
    );
    fs::write(world.path("config.toml"), defaults + accounts).unwrap();
}

impl Watching {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap(), signal).unwrap();
    }

    #[track_caller]
    fn until(&self, what: &str, done: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !done() {
            assert!(
                Instant::now() < deadline,
                "{what}: {}",
                fs::read_to_string(self.world.path("err")).unwrap()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn new_files(&self, maildir: &str) -> usize {
        fs::read_dir(self.world.path(maildir).join("new")).map_or(0, Iterator::count)
    }

    /// The exit code, and how long the end took.
    fn end(mut self, signal: Signal) -> (Option<i32>, Duration, World) {
        let began = Instant::now();
        self.signal(signal);
        let status = self.child.wait().unwrap();
        (status.code(), began.elapsed(), self.world)
    }
}

const ALICE: &str = "[account.alice]\ndeliver = { maildir = \"Mail\" }\n";

#[test]
fn new_mail_comes_without_being_asked_for_and_a_signal_ends_it() {
    let watching = watch(world(), ALICE);
    watching.until("the first three", || watching.new_files("Mail") == 3);
    watching.world.server.maildrop("alice").unwrap().deliver("Subject: new\r\n\r\nx\r\n").unwrap();
    watching.until("the new one", || watching.new_files("Mail") == 4);
    let (code, took, world) = watching.end(Signal::TERM);
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(2), "{took:?}");
    let events = fs::read_to_string(world.path("out")).unwrap();
    assert_eq!(
        events.lines().filter(|line| line.contains("\"delivered\"") && line.contains("\"uid\"")).count(),
        4
    );
}

#[test]
fn a_server_that_hangs_does_not_hold_the_end_up() {
    let hang = Answer::raw("+OK\r\nSubj").then_hang();
    let watching = watch(world_with(|server| server.script("RETR 3", hang)), ALICE);
    watching.until("the first two", || watching.new_files("Mail") == 2);
    let (code, took, world) = watching.end(Signal::INT);
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_millis(2500), "{took:?}");
    assert_eq!(world.delivered(), sorted(&MAIL[..2]));
}

#[test]
fn a_hang_up_reads_the_configuration_again_and_a_wrong_one_changes_nothing() {
    let watching = watch(world(), ALICE);
    watching.until("all", || watching.new_files("Mail") == 3);
    configure(&watching.world, "[account.alice]\ndelivr = 1\n");
    watching.signal(Signal::HUP);
    watching
        .until("the mistake", || fs::read_to_string(watching.world.path("err")).unwrap().contains("delivr"));
    watching.world.server.maildrop("alice").unwrap().deliver("Subject: new\r\n\r\nx\r\n").unwrap();
    watching.until("one more", || watching.new_files("Mail") == 4);

    configure(&watching.world, "[account.alice]\ndeliver = { maildir = \"Other\" }\n");
    watching.signal(Signal::HUP);
    watching.until("read again", || watching.world.path("Other/new").is_dir());
    watching.world.server.maildrop("alice").unwrap().deliver("Subject: newer\r\n\r\nx\r\n").unwrap();
    watching.until("elsewhere", || watching.new_files("Other") == 1);
    assert_eq!(watching.end(Signal::TERM).0, Some(0));
}
