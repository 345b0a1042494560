//! `on_error`: a command that tells a person.

use std::fs;
use std::io::Write as _;

use crate::world::{PASSWORD, Run, World, run, world};

/// Writes down what it is told, and what it could see.
const TELL: &str = r#"'printf "%s %s %s: %s\n" "$POPWIRE_ACCOUNT" "$POPWIRE_EXIT" "$POPWIRE_FAILURES" "$1" >> told; env > seen'"#;

/// The account isp at this port, and `more` of it.
fn configure(world: &World, port: u16, more: &str) {
    let mut config = fs::File::create(world.path("config.toml")).unwrap();
    write!(
        config,
        "version = 1\n[account.isp]\nserver = \"localhost:{port}\"\nuser = \"alice\"\ntls = {{ ca = \"ca.pem\" }}\n\
         password = {{ env = \"THE_PASSWORD\" }}\n{more}\n"
    )
    .unwrap();
}

fn fetch(world: &World, password: &str) -> Run {
    run(world.command("fetch").env("POPWIRE_CONFIG", "config.toml").env("THE_PASSWORD", password))
}

/// What was told since this was asked last.
fn told(world: &World) -> String {
    let told = fs::read_to_string(world.path("told")).unwrap_or_default();
    let _ = fs::remove_file(world.path("told"));
    told
}

#[test]
fn a_refused_sign_in_is_told_at_once_and_once() {
    let world = world();
    let port = world.server.tls_addr().port();
    configure(
        &world,
        port,
        &format!("deliver = {{ maildir = \"Mail\" }}\non_error = {{ command = {TELL} }}"),
    );
    assert_eq!(fetch(&world, "wrong").code, 77);
    let line = told(&world);
    assert!(line.starts_with("isp 77 1: isp: localhost: the server refused the login: "), "{line}");
    assert!(line.contains("Nothing was lost or deleted."), "{line}");
    let seen = fs::read_to_string(world.path("seen")).unwrap();
    assert!(!seen.contains("THE_PASSWORD") && !seen.contains("wrong"), "{seen}");
    assert_eq!(fetch(&world, "wrong").code, 77);
    assert_eq!(told(&world), "");
    // Once it went well, the next trouble is news.
    fetch(&world, PASSWORD).good();
    assert_eq!((told(&world).as_str(), fetch(&world, "wrong").code), ("", 77));
    assert!(told(&world).starts_with("isp 77 1: "));
}

#[test]
fn what_may_pass_by_itself_is_told_after_some_runs() {
    let world = world();
    configure(
        &world,
        1,
        &format!("deliver = {{ maildir = \"Mail\" }}\non_error = {{ command = {TELL}, after = 2 }}"),
    );
    let lines: Vec<bool> = (0..4)
        .map(|_| {
            assert_eq!(fetch(&world, PASSWORD).code, 69);
            told(&world).starts_with("isp 69 2: isp: localhost: ")
        })
        .collect();
    assert_eq!(lines, [false, true, false, false]);
}

#[test]
fn a_destination_that_is_gone_is_told_too() {
    let world = world();
    let port = world.server.tls_addr().port();
    fs::write(world.path("file"), "").unwrap();
    let words = TELL.replace('\'', "'''");
    configure(
        &world,
        port,
        &format!(
            "deliver = {{ maildir = \"file/Mail\" }}\non_error = {{ command = [\"sh\", \"-c\", {words}, \"x\"] }}"
        ),
    );
    assert_eq!(fetch(&world, PASSWORD).code, 73);
    let line = told(&world);
    assert!(line.starts_with("isp 73 1: isp: ") && line.contains("file/Mail"), "{line}");
    assert!(run(&mut world.command("status")).out.contains("exit code 73"));
}

#[test]
fn a_command_that_fails_is_told_and_changes_nothing() {
    let world = world();
    configure(
        &world,
        1,
        "deliver = { maildir = \"Mail\" }\non_error = { command = [\"/nonexistent\"], after = 1 }",
    );
    fetch(&world, PASSWORD).failed(69, &["isp: the command of on_error failed: "]);
}
