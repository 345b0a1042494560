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

/// A session bus with GNOME's keyring on it, which has the password of the account isp; and what then looks for two accounts.
const KEYRING: &str = "
    (printf 'unlocks it' | gnome-keyring-daemon --foreground --unlock --components=secrets >keyring.log 2>&1) &
    tries=0
    until printf %s \"$PASSWORD\" | secret-tool store --label popwire service popwire account isp 2>store.log; do
        tries=$((tries + 1)); [ $tries -lt 50 ] || { cat store.log keyring.log >&2; exit 1; }
        sleep 0.1
    done
    \"$POPWIRE\" ls isp || exit
    \"$POPWIRE\" ls other";

#[test]
fn from_the_keyring() {
    let world = world();
    let port = world.server.tls_addr().port();
    let config = format!(
        "version = 1\n[defaults]\nserver = \"localhost:{port}\"\nuser = \"alice\"\ntls = {{ ca = \"ca.pem\" }}\n\
         password = {{ keyring = true }}\n[account.isp]\n[account.other]\n"
    );
    fs::write(world.path("config.toml"), config).unwrap();
    fs::create_dir(world.path("run")).unwrap();
    fs::set_permissions(world.path("run"), fs::Permissions::from_mode(0o700)).unwrap();
    let mut command = assert_cmd::Command::new("dbus-run-session");
    command.args(["--", "sh", "-c", KEYRING]).current_dir(world.home.path());
    command.env("HOME", world.home.path()).env("XDG_RUNTIME_DIR", world.path("run"));
    command.env("POPWIRE", env!("CARGO_BIN_EXE_popwire")).env("POPWIRE_CONFIG", "config.toml");
    command.env_remove("XDG_DATA_HOME").env_remove("POPWIRE_PASSWORD").env("PASSWORD", PASSWORD);
    let run = run(&mut command);
    run.failed(78, &["the keyring has no password for other", "secret-tool store --label popwire"]);
    assert!(run.out.contains("Ann"), "{}", run.out);

    let mut without = world.command("ls isp");
    without.env("POPWIRE_CONFIG", "config.toml").env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent");
    self::run(&mut without).failed(78, &["the keyring cannot be asked: ", "desktop session"]);
    let mut without = world.command("ls isp");
    without.env("POPWIRE_CONFIG", "config.toml").env("PATH", "/nonexistent");
    self::run(&mut without).failed(78, &["the keyring cannot be asked: secret-tool: ", "libsecret-tools"]);
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
