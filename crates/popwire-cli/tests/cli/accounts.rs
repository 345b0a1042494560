//! Accounts of the configuration: by name, all of them, and what is wrong with them.

use std::fs;

use popwire_server::{Maildrop, Server};

use crate::world::{MAIL, PASSWORD, Run, World, run, sorted, world};

/// The accounts alice and bob at the same server.
fn configured() -> World {
    let world = world();
    let builder = Server::builder().user("bob", PASSWORD, Maildrop::memory(MAIL)).user(
        "alice",
        PASSWORD,
        Maildrop::memory(MAIL),
    );
    let world = World { server: builder.start().unwrap(), ..world };
    fs::write(world.path("ca.pem"), world.server.ca_pem()).unwrap();
    let port = world.server.tls_addr().port();
    let config = format!(
        "version = 1\n[defaults]\nserver = \"localhost:{port}\"\ntls = {{ ca = \"ca.pem\" }}\n\
         password = {{ env = \"THE_PASSWORD\" }}\n\
         [account.alice]\nuser = \"alice\"\ndeliver = {{ maildir = \"Mail\" }}\n\
         [account.bob]\nuser = \"bob\"\ndeliver = {{ mbox = \"bob.mbox\" }}\nkeep = \"no\"\n"
    );
    fs::write(world.path("config.toml"), config).unwrap();
    world
}

fn with_config(world: &World, line: &str) -> Run {
    run(world.command(line).env("POPWIRE_CONFIG", "config.toml").env("THE_PASSWORD", PASSWORD))
}

#[test]
fn all_accounts_are_fetched_and_each_says_a_line() {
    let world = configured();
    let run = with_config(&world, "fetch");
    let mut lines: Vec<&str> = run.good().out.lines().collect();
    lines.sort_unstable();
    assert!(
        lines[0].starts_with("alice: 3 messages, ") && lines[0].ends_with("; kept on the server"),
        "{lines:?}"
    );
    assert!(
        lines[1].starts_with("bob: 3 messages, ") && lines[1].ends_with("; deleted on the server"),
        "{lines:?}"
    );
    assert_eq!(world.delivered(), sorted(&MAIL));
    assert_eq!(world.server.maildrop("bob").unwrap().len().unwrap(), 0);
    let status = with_config(&world, "status");
    assert!(status.good().out.contains("alice (alice@localhost:"), "{}", status.out);
    assert_eq!(with_config(&world, "fetch --quiet").good().out, "");
}

#[test]
fn one_account_is_fetched_by_name_and_looked_into() {
    let world = configured();
    assert!(with_config(&world, "ls alice").good().out.contains("Ann"));
    let run = with_config(&world, "fetch alice --limit 1 --maildir Other");
    assert!(run.good().out.starts_with("alice: 1 message, "), "{}", run.out);
    assert_eq!(fs::read_dir(world.path("Other/new")).unwrap().count(), 1);
    assert_eq!(world.server.maildrop("bob").unwrap().len().unwrap(), 3);
}

#[test]
fn one_account_that_fails_does_not_hold_the_others_back() {
    let world = configured();
    let config = fs::read_to_string(world.path("config.toml")).unwrap();
    let wrong = "[account.carol]\nuser = \"carol\"\ndeliver = { maildir = \"Carol\" }\n";
    fs::write(world.path("config.toml"), format!("{config}{wrong}")).unwrap();
    let run = with_config(&world, "fetch");
    run.failed(77, &["carol: localhost: the server refused the login"]);
    assert_eq!(run.out.lines().count(), 2, "{}", run.out);
}

#[test]
fn mistakes_are_told_with_their_place() {
    let world = configured();
    with_config(&world, "ls alice --user bob").failed(64, &["alice is an account of the configuration"]);
    with_config(&world, "fetch --timeout 5").failed(64, &["says how it is reached"]);
    with_config(&world, "fetch alic").failed(78, &["has no account alic", "Did you mean alice?"]);
    fs::write(world.path("config.toml"), "version = 1\n[account.x]\nsrver = \"h\"\n").unwrap();
    with_config(&world, "fetch")
        .failed(78, &["config.toml:3:1: unknown field `srver`", "Did you mean server?"]);
    fs::write(world.path("config.toml"), "version = 1\n").unwrap();
    with_config(&world, "fetch").failed(78, &["has no account"]);
    fs::remove_file(world.path("config.toml")).unwrap();
    with_config(&world, "fetch").failed(78, &["there is no configuration", "pops://"]);
}

#[test]
fn header_lines_are_added_on_request_only() {
    let world = configured();
    let config = fs::read_to_string(world.path("config.toml")).unwrap();
    let config =
        config.replace("[account.bob]", "received = true\ndelivered_to = \"al@example.org\"\n[account.bob]");
    fs::write(world.path("config.toml"), config).unwrap();
    with_config(&world, "fetch alice").good();
    for mail in world.delivered() {
        let rest = mail
            .strip_prefix("Delivered-To: al@example.org\r\nReceived: from localhost by popwire with POP3; ")
            .unwrap();
        assert!(MAIL.contains(&rest.split_once("\r\n").unwrap().1), "{mail}");
    }
    // They are not part of what is known of the message.
    assert!(with_config(&world, "fetch alice").good().out.contains("nothing new"));
}

#[test]
fn check_tries_everything_and_fetches_nothing() {
    let world = configured();
    let run = with_config(&world, "check");
    let out = &run.good().out;
    for part in [
        "alice: delivers to ",
        "/Mail: ok",
        "alice: localhost (TLSv1_3, verified, signed in by ",
        "; 3 messages, ",
        "UIDL yes, TOP yes, PIPELINING yes",
        "bob: delivers to ",
    ] {
        assert!(out.contains(part), "no {part} in {out}");
    }
    assert_eq!(world.delivered().len(), 0);
    assert_eq!(fs::read_dir(world.path("Mail/tmp")).unwrap().count(), 0);
    assert!(!world.server.last_session().unwrap().client_lines().iter().any(|line| line.starts_with("RETR")));

    // Everything that is wrong is told, and not the first only.
    let config = fs::read_to_string(world.path("config.toml")).unwrap();
    let config = config.replace("maildir = \"Mail\"", "maildir = \"ca.pem\"");
    fs::write(
        world.path("config.toml"),
        format!("{config}[account.carol]\nuser = \"carol\"\ndeliver = {{ maildir = \"C\" }}\n"),
    )
    .unwrap();
    let run = with_config(&world, "check");
    run.failed(77, &["ca.pem is not a Maildir", "the server refused the login"]);
    assert!(run.out.contains("bob: localhost"));
}

#[test]
fn messages_are_shown_and_deleted_by_number_or_unique_id() {
    let world = configured();
    assert_eq!(with_config(&world, "show alice 1").good().out, MAIL[0]);
    let uid =
        with_config(&world, "ls alice").out.lines().nth(2).unwrap().split('\t').nth(2).unwrap().to_owned();
    assert_eq!(with_config(&world, &format!("show alice {uid} 1")).good().out, [MAIL[2], MAIL[0]].concat());
    with_config(&world, "show alice 9").failed(64, &["has no message 9"]);

    let maildrop = world.server.maildrop("alice").unwrap();
    let run = with_config(&world, &format!("rm alice {uid}"));
    assert!(run.good().out.contains("would be deleted") && run.err.contains("--yes"));
    assert_eq!(maildrop.len().unwrap(), 3);
    with_config(&world, &format!("rm alice {uid} 9 --yes")).failed(64, &["Nothing was done"]);
    assert!(with_config(&world, &format!("rm alice {uid} --yes")).good().out.contains("(uid "));
    assert_eq!(maildrop.messages().unwrap(), [MAIL[0].as_bytes(), MAIL[1].as_bytes()]);
}
