//! Where the password comes from. That it is never printed, every run checks.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::world::{PASSWORD, run, world};

#[test]
fn from_a_file() {
    let world = world();
    let file = world.path("password");
    let line = format!("ls {} --ca ca.pem --password-file password", world.url());
    fs::write(&file, format!("{PASSWORD}\nsecond line\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let quiet = run(&mut world.command(&line));
    assert_eq!(quiet.good().err, "");

    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let warned = run(&mut world.command(&line));
    assert!(warned.good().err.contains("warning: others on this machine may read"), "{}", warned.err);

    fs::write(&file, "\n").unwrap();
    run(&mut world.command(&line)).failed(78, &["there is no password in password"]);
    fs::remove_file(&file).unwrap();
    run(&mut world.command(&line))
        .failed(78, &["the password file password cannot be read", "Nothing was sent."]);
}

#[test]
fn from_a_command() {
    let world = world();
    let with = |command: &str| {
        let line = format!("ls {} --ca ca.pem -vv --password-command", world.url());
        run(world.command(&line).arg(command))
    };
    with("printf 's3cret pass\\nmore\\n'").good();
    with("echo 's3cret pass'; exit 3").failed(78, &["the password command failed: exit status: 3"]);
    with("true").failed(78, &["no password in what the password command printed"]);
}

#[test]
fn from_a_variable() {
    let world = world();
    let line = format!("ls {} --ca ca.pem --password-env SECRET", world.url());
    run(world.command(&line).env("SECRET", PASSWORD).env("POPWIRE_PASSWORD", "another")).good();
    run(&mut world.command(&line)).failed(78, &["SECRET is not set"]);
    run(world.command(&line).env("SECRET", "")).failed(78, &["no password in the variable SECRET"]);
}

#[test]
fn from_nowhere() {
    let world = world();
    // A session of its own has no terminal, wherever the tests run.
    let mut command = assert_cmd::Command::new("setsid");
    command.arg("--wait").arg(env!("CARGO_BIN_EXE_popwire"));
    command.args(["ls", &world.url(), "--ca", "ca.pem"]).current_dir(world.home.path());
    run(command.env_remove("POPWIRE_PASSWORD")).failed(
        78,
        &[
            "no terminal to ask",
            "POPWIRE_PASSWORD",
            "--password-env",
            "--password-file",
            "--password-command",
        ],
    );
}
