//! What goes wrong: the exit code, what is safe, and what to do next.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use popwire_server::{Answer, Certificate, Server};

use crate::world::{MAIL, run, sorted, world, world_with};

#[test]
fn a_wrong_password() {
    let world = world();
    let line = format!("fetch {} --ca ca.pem --maildir Mail -vv", world.url());
    let run = run(world.command(&line).env("POPWIRE_PASSWORD", "wr0ng"));
    run.failed(
        77,
        &["localhost: the server refused the login: -ERR", "Nothing was lost or deleted.", "app password"],
    );
    assert!(!run.err.contains("wr0ng"));
}

#[test]
fn a_mailbox_in_use_is_not_a_password_problem() {
    let world = world();
    let lock = world.server.maildrop("alice").unwrap().lock().unwrap();
    world.fetch("").failed(
        75,
        &[
            "error: localhost is busy: another program is reading this mailbox (-ERR [IN-USE]",
            "Nothing was lost or deleted. This is not a password problem; try again in a few minutes.",
        ],
    );
    drop(lock);
}

#[test]
fn what_a_server_says_at_the_login() {
    for (answer, code, words) in [
        ("-ERR [LOGIN-DELAY] minimum is 5 minutes\r\n", 75, "the server wants a pause"),
        ("-ERR [SYS/TEMP] try later\r\n", 75, "should pass"),
        ("-ERR [SYS/PERM] disk broken\r\n", 69, "operator"),
        ("-ERR mailbox is being migrated\r\n", 77, "does not say that the password is wrong"),
    ] {
        let world = world_with(|server| server.script("PASS", answer));
        world.fetch("").failed(code, &[words, "Nothing was lost or deleted."]);
    }
}

#[test]
fn certificates_that_are_not_to_be_trusted() {
    for (certificate, words, advice) in [
        (Certificate::UnknownCa, "issued by nobody that is trusted here", "--ca FILE"),
        (Certificate::WrongName, "is for elsewhere.example, issued by ", "elsewhere.example would be taken"),
        (Certificate::Expired, "has expired on 2", "clock"),
    ] {
        let world = world_with(|server| server.certificate(certificate));
        let run = world.fetch("");
        run.failed(69, &[words, "Password not sent.", advice]);
        // The pin that it shows is the right one.
        let err = run.err.replace('\n', " ");
        let pin = err.split_once("--pin ").unwrap().1.trim();
        let url = world.url();
        world.run(&format!("fetch {url} --pin {pin} --maildir Pinned")).good();
        let sent = world.server.sessions().remove(0).client_octets();
        assert!(sent.is_empty(), "{}", String::from_utf8_lossy(&sent));
    }
    // The roots of the system do not know the server's CA either.
    let world = world();
    let run = world.run(&format!("fetch {} --maildir Mail", world.url()));
    run.failed(69, &["issued by nobody that is trusted here", "Password not sent."]);
}

#[test]
fn tls_that_is_not_there() {
    let world = world_with(|server| server.stls(false));
    let line = format!("fetch {} --ca ca.pem --maildir Mail", world.stls_url());
    world.run(&line).failed(69, &["does not offer TLS", "Password not sent.", "pops://"]);
    let line = format!("fetch {} --ca ca.pem --maildir Mail", world.stls_url().replace("pop:", "pops:"));
    world.run(&line).failed(69, &["does not speak TLS on this port", "Password not sent."]);
}

#[test]
fn servers_that_are_not_there() {
    let world = world();
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let line = format!("fetch pops://alice@127.0.0.1:{port} --maildir Mail");
    world.run(&line).failed(69, &["Connection refused", "Password not sent.", "Check the host"]);

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let line = format!("fetch pop://alice@127.0.0.1:{port} --maildir Mail --timeout 1");
    world.run(&line).failed(69, &["no greeting in time", "Password not sent."]);
}

#[test]
fn a_server_that_is_none() {
    let server = Server::builder().greeting("220 mail.example.org ESMTP\r\n");
    let world = world_with(|_| server);
    let line = format!("fetch {} --maildir Mail", world.stls_url());
    world.run(&line).failed(76, &["SMTP", "Check the host and the port."]);
}

#[test]
fn a_server_that_turns_us_away() {
    let world = world_with(|server| server.greeting("-ERR no service for you\r\n"));
    world.fetch("").failed(69, &["turned us away", "Password not sent."]);
}

#[test]
fn a_session_that_breaks_is_replaced_and_the_rest_goes_on() {
    let cut = Answer::raw("+OK\r\nSubject: 2\r\n\r\nhal").then_close();
    let world = world_with(|server| server.script("RETR 2", cut));
    let run = world.fetch("--delete");
    run.failed(
        75,
        &[
            "in the middle of its answer to RETR",
            "going on over a new connection",
            "message 2 (uid ",
            "left on the server",
        ],
    );
    assert!(
        run.out.ends_with("; 2 deleted on the server; 1 not delivered, left on the server\n"),
        "{}",
        run.out
    );
    assert_eq!((world.delivered(), world.left(2)), (sorted(&[MAIL[0], MAIL[2]]), 1));
}

#[test]
fn a_server_that_breaks_every_session_tells_what_is_safe() {
    let cut = || Answer::raw("+OK\r\nSubject: 2\r\n\r\nhal").then_close();
    let world =
        world_with(|server| server.script("RETR 2", cut()).script("RETR 3", cut()).script("RETR 1", cut()));
    let run = world.fetch("--delete --json");
    run.failed(75, &["in the middle of its answer to RETR", "Nothing was lost or deleted"]);
    assert_eq!(world.left(2), 3);
    let objects = run.objects();
    assert_eq!(objects[objects.len() - 2]["event"], "error");
    assert_eq!(objects.last().unwrap()["deletion"], "none");
    assert_eq!(objects.last().unwrap()["exit"], 75);
}

#[test]
fn a_silent_server_is_given_up() {
    let world = world_with(|server| server.script("RETR 2", Answer::raw("+OK\r\nSubj").then_hang()));
    world.fetch("--timeout 1").failed(75, &["took too long", "message 2 (uid "]);
    assert_eq!(world.delivered(), sorted(&[MAIL[0], MAIL[2]]));
    world.fetch("--deadline 1").failed(75, &["longer than allowed"]);
}

#[test]
fn places_that_are_no_maildir() {
    let world = world();
    fs::write(world.path("file"), "x").unwrap();
    fs::create_dir(world.path("full")).unwrap();
    fs::write(world.path("full/letter.txt"), "x").unwrap();
    for place in ["file", "full"] {
        let line = format!("fetch {} --ca ca.pem --maildir {place}", world.url());
        world.run(&line).failed(73, &["is not a Maildir", "Name an empty folder"]);
    }
    let line = format!("fetch {} --ca ca.pem --maildir /proc/Mail", world.url());
    world.run(&line).failed(73, &["/proc/Mail"]);
    assert_eq!(world.server.sessions().len(), 0, "the server was not bothered");
}

#[test]
fn a_folder_that_may_not_be_written_to() {
    let world = world();
    let line = format!("fetch {} --ca ca.pem --maildir locked/Mail", world.url());
    fs::create_dir(world.path("locked")).unwrap();
    fs::set_permissions(world.path("locked"), fs::Permissions::from_mode(0o555)).unwrap();
    // Root may write anywhere.
    if fs::write(world.path("locked/probe"), "").is_err() {
        world.run(&line).failed(73, &["not permitted", "may write"]);
    }
    fs::set_permissions(world.path("locked"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn command_lines_that_make_no_sense() {
    let world = world();
    for line in [
        "fetch pops://alice@localhost",
        "fetch pops://alice@localhost --maildir Mail --keep --delete",
        "fetch pops://alice@localhost --maildir Mail --limit 0",
        "fetch pops://alice@localhost --maildir Mail --timeout 0",
        "ls http://localhost",
        "ls pops://localhost",
        "ls pops://alice@localhost --ca a --pin b",
        "ls pops://alice@localhost --client-cert a",
        "nonsense",
        "",
    ] {
        assert_eq!(world.run(line).code, 64, "{line}");
    }
    for line in ["--help", "-h", "--version", "fetch --help", "ls --help", "demo --help", "help"] {
        let run = world.run(line);
        assert!(!run.good().out.is_empty() && run.err.is_empty(), "{line}");
    }
    // A password in the URL is not repeated: `run` checks.
    world.run("ls pops://alice:s3cret@localhost").failed(64, &["no place for a password"]);
}

#[test]
fn files_that_cannot_be_used() {
    let world = world();
    fs::write(world.path("empty.pem"), "").unwrap();
    for options in
        ["--ca none.pem", "--ca empty.pem", "--pin nonsense", "--client-cert ca.pem --client-key empty.pem"]
    {
        let run = world.run(&format!("ls {} {options}", world.url()));
        assert_eq!(run.code, 78, "{options}: {}", run.err);
    }
}

#[test]
fn q_026_a_server_that_wants_tls_is_no_wrong_password() {
    let world = world_with(|server| {
        server.script("USER", "-ERR [AUTH] USER command only available under a layer\r\n")
    });
    let run = world.run(&format!("fetch {} --maildir Mail --insecure-plaintext", world.stls_url()));
    run.failed(77, &["wants TLS before a login", "pops://"]);
}

#[test]
fn completions_and_man_pages_have_every_command() {
    let world = world();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = world.run(&format!("completions {shell}"));
        assert!(
            ["fetch", "watch", "import", "delete-after"].iter().all(|word| script.good().out.contains(word)),
            "{shell}"
        );
    }
    world.run("man pages").good();
    let page = |name: &str| fs::read_to_string(world.path("pages").join(name)).unwrap();
    assert!(page("popwire.1").contains("popwire\\-fetch(1)"));
    for name in ["popwire-fetch.1", "popwire-state-show.1", "popwire-watch.1", "popwire-rm.1"] {
        assert!(page(name).contains(".SH SYNOPSIS"), "{name}");
    }
}
