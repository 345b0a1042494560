//! `popwire ls`.

use crate::world::{MAIL, world, world_of, world_with};

#[test]
fn a_pipe_gets_six_fields_and_nothing_that_runs_a_terminal() {
    let world = world();
    let run = world.run(&format!("ls {} --ca ca.pem", world.url()));
    assert_eq!(run.good().err, "");
    let rows: Vec<Vec<&str>> = run.out.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row.len() == 6 && !row[2].is_empty()), "{rows:?}");
    let size = MAIL[0].len().to_string();
    assert_eq!(rows[0][..2], ["1", size.as_str()]);
    assert_eq!(rows[0][3..], ["2026-02-02T07:14:07Z", "Ann <ann@example.org>", "one"]);
    assert_eq!(rows[1][3..], ["", "bob@example.org", r"\x1b]0;owned\x07two b"]);
    assert_eq!(rows[2][3..], ["", "", ""]);
    assert_eq!(world.left(1), 3);
    let lines = world.server.last_session().unwrap().client_lines();
    assert!(!lines.iter().any(|line| line.starts_with("RETR") || line.starts_with("DELE")), "{lines:?}");
    assert_eq!(lines.last().unwrap(), "QUIT");
}

#[test]
fn json_has_an_object_per_message() {
    let world = world();
    let objects = world.run(&format!("ls {} --ca ca.pem --json", world.url())).good().objects();
    assert_eq!(objects.len(), 3);
    assert_eq!(objects[0]["subject"], "one");
    assert_eq!(objects[0]["from"], "Ann <ann@example.org>");
    assert!(objects[2]["subject"].is_null());
}

#[test]
fn without_top_there_is_number_size_and_id() {
    let capa = |server: popwire_server::Builder| {
        server.capability_lines(["UIDL", "USER"], ["UIDL", "USER"]).script("TOP", "-ERR what?\r\n")
    };
    let old = |server: popwire_server::Builder| server.capa(false).script("TOP", "-ERR what?\r\n");
    for world in [world_with(capa), world_with(old)] {
        let run = world.run(&format!("ls {} --ca ca.pem", world.url()));
        assert!(run.good().err.contains("cannot send headers alone (TOP)"), "{}", run.err);
        assert_eq!(run.out.lines().count(), 3);
        assert!(run.out.lines().all(|line| line.ends_with("\t\t\t")), "{}", run.out);
    }
}

#[test]
fn a_header_that_is_refused_is_one_line_less_known() {
    let world = world_with(|server| server.script("TOP 1", "-ERR broken\r\n"));
    let run = world.run(&format!("ls {} --ca ca.pem --limit 2", world.url()));
    assert!(
        run.good().err.contains("1 message without a header: the server refused TOP: -ERR broken"),
        "{}",
        run.err
    );
    let lines: Vec<_> = run.out.lines().collect();
    assert!(lines[0].ends_with("\t\t\t") && lines[1].contains("bob@example.org"), "{lines:?}");
}

#[test]
fn a_header_without_end_is_cut() {
    let endless = format!("Subject: here\r\nX: {}\r\n\r\n", "x".repeat(600_000));
    let world = world_of(&[endless.as_str(), MAIL[0]], |server| server);
    let run = world.run(&format!("ls {} --ca ca.pem", world.url()));
    let subjects: Vec<_> = run.good().out.lines().map(|line| line.rsplit('\t').next().unwrap()).collect();
    assert_eq!(subjects, ["here", "one"]);
}

#[test]
fn an_empty_mailbox_is_no_line_and_no_error() {
    let world = world_of(&[], |server| server);
    let run = world.run(&format!("ls {} --ca ca.pem", world.url()));
    assert_eq!((run.good().out.as_str(), run.err.as_str()), ("", ""));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let world = world_of(&[MAIL[0]; 200], |server| server);
    let line = format!(
        "{} ls {} --ca ca.pem | true; echo \"${{PIPESTATUS[0]}}\"",
        env!("CARGO_BIN_EXE_popwire"),
        world.url()
    );
    let output = std::process::Command::new("bash")
        .args(["-c", &line])
        .env("POPWIRE_PASSWORD", crate::world::PASSWORD)
        .current_dir(world.home.path())
        .output()
        .unwrap();
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"0\n"[..], &b""[..]));
}

#[test]
fn q_003_a_server_that_does_not_tell_of_its_top_is_asked_for_it() {
    let world = world_with(|server| server.capability_lines(["USER", "UIDL"], ["USER", "UIDL"]));
    let run = world.run(&format!("ls {} --ca ca.pem", world.url()));
    assert_eq!(run.good().err, "");
    assert!(run.out.lines().next().unwrap().split('\t').count() == 6, "{}", run.out);
    let said = world.server.last_session().unwrap().client_lines();
    assert!(said.contains(&"TOP 1 0".to_owned()), "{said:?}");
}
