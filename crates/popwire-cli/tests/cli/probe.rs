//! `popwire probe`.

use popwire_server::Mechanism;

use crate::world::{world, world_with};

#[test]
fn a_server_in_order_is_told_in_one_screen() {
    let world = world_with(|server| server.sasl([Mechanism::ScramSha256, Mechanism::Plain]));
    let run = world.run(&format!("probe {} --ca ca.pem", world.stls_url()));
    assert_eq!(run.good().err, "");
    for part in [
        "server        localhost, port ",
        ", STLS",
        "greeting      +OK ",
        ", verified",
        "for           localhost",
        "valid         until ",
        "signed in     by SCRAM-SHA-256 in ",
        "mailbox       3 messages, ",
        "round trip    ",
        "always        TOP, UIDL, ",
        "before TLS    STLS",
        "mechanisms    ",
        "UIDL          ok   3 messages, ids of up to 8 octets",
        "sizes         ok   ",
        "Findings\n  nothing found\n",
    ] {
        assert!(run.out.contains(part), "no {part:?} in:\n{}", run.out);
    }
    assert!(run.out.lines().all(|line| line.chars().count() <= 80), "{}", run.out);
    assert!(run.out.lines().count() <= 45, "{}", run.out);
    assert_eq!(world.left(1), 3);
    let lines = world.server.last_session().unwrap().client_lines();
    assert!(!lines.iter().any(|line| line.starts_with("RETR") || line.starts_with("DELE")), "{lines:?}");
}

#[test]
fn what_is_odd_has_its_id_and_what_popwire_does() {
    let world = world_with(|server| server.heading("STAT", "+OK 3 -1\x1b[2J").quirk("quit=close").unwrap());
    let run = world.run(&format!("probe {} --ca ca.pem", world.url()));
    for part in [
        "STAT          odd  3 messages  Q-062",
        "QUIT          odd  ",
        "  Q-062  STAT says \"+OK 3 -1\\x1b[2J\"\n         popwire takes the size for unknown",
        "  Q-132  the connection ends without an answer to QUIT",
    ] {
        assert!(run.good().out.contains(part), "no {part:?} in:\n{}", run.out);
    }
    assert!(!run.out.contains("nothing found") && !run.out.contains('\x1b'), "{}", run.out);
    let coloured = world.run(&format!("probe {} --ca ca.pem --color always", world.url()));
    assert!(coloured.good().out.contains("\x1b[") && !coloured.out.contains("\x1b[2J"), "{}", coloured.out);
}

#[test]
fn json_is_one_object() {
    let world = world_with(|server| server.last(true));
    let objects = world.run(&format!("probe {} --ca ca.pem --json --retr", world.url())).good().objects();
    let [report] = &objects[..] else { panic!("{objects:?}") };
    assert_eq!((&report["event"], &report["account"]), (&"probe".into(), &"alice@localhost".into()));
    assert_eq!(report["findings"][0]["id"], "Q-139");
    assert_eq!(report["findings"].as_array().unwrap().len(), 1);
    assert_eq!((&report["messages"], &report["connections"]), (&3.into(), &2.into()));
    assert!(report["certificate"]["days_left"].as_i64().unwrap() > 0);
    assert!(report["capabilities"]["before_tls"].is_null());
    assert!(report["capabilities"]["after_login"].as_array().unwrap().contains(&"TOP".into()), "{report}");
    assert!(report["error"].is_null());
}

#[test]
fn a_refused_login_is_told_with_what_was_seen_before() {
    let world = world();
    let line = format!("probe {} --ca ca.pem", world.url());
    let run = crate::world::run(world.command(&line).env("POPWIRE_PASSWORD", "another"));
    run.failed(77, &["Check the user name"]);
    for part in
        ["greeting      +OK ", "before login", "login         odd  did not get in", "as far as it went"]
    {
        assert!(run.out.contains(part), "no {part:?} in:\n{}", run.out);
    }
}

#[test]
fn a_port_of_another_protocol_is_named() {
    let world = world_with(|server| server.greeting("* OK IMAP4rev1\r\n"));
    let run = world.run(&format!("probe {} --ca ca.pem", world.url()));
    run.failed(76, &["an IMAP server answers on this port"]);
    assert!(run.out.contains("Q-015  an IMAP server answers"), "{}", run.out);
}

#[test]
fn a_server_that_is_not_there_is_an_error_and_no_report() {
    let world = world();
    let url = world.url();
    drop(world.server);
    let home = world.home;
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_popwire"));
    command.args(["probe", &url, "--ca", "ca.pem"]).current_dir(home.path());
    let run = crate::world::run(command.env("POPWIRE_PASSWORD", crate::world::PASSWORD));
    run.failed(69, &["Check the host, the port and the network."]);
    assert_eq!(run.out, "");
}
