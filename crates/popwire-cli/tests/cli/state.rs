//! `popwire state`: looking at the ledger, and correcting it.

use std::fs;

use crate::world::{MAIL, sorted, world, world_with};

/// The account's name in the ledger of this world.
fn account(world: &crate::world::World) -> String {
    format!("alice@localhost:{}", world.server.tls_addr().port())
}

#[test]
fn what_was_fetched_is_shown_and_exported() {
    let world = world();
    assert_eq!(world.run("state show").good().out, "");
    world.fetch("").good();
    let account = account(&world);
    assert_eq!(world.run("state show").good().out, format!("{account}: 3 delivered\n"));
    let shown = world.run(&format!("state show {account}"));
    let fields: Vec<Vec<&str>> = shown.good().out.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(fields.len(), 3);
    assert_eq!((fields[0][0], fields[0][1]), ("delivered", MAIL[0].len().to_string().as_str()));
    assert!(fields[0][2].ends_with('Z') && fields[0][4].starts_with('m'), "{fields:?}");
    let exported = world.run("state export");
    let objects = exported.good().objects();
    assert_eq!(objects.len(), 3);
    assert_eq!(
        (&objects[0]["account"], &objects[0]["state"]),
        (&account.as_str().into(), &"delivered".into())
    );
    assert_eq!(objects[0]["sha256"].as_str().unwrap().len(), 64);
    world.run("state show bob@localhost").failed(64, &["knows no account bob@localhost", &account]);
}

#[test]
fn a_message_is_marked_forgotten_and_fetched_again() {
    let world = world();
    world.fetch("").good();
    let account = account(&world);
    let uids = world.run(&format!("state show {account}")).out;
    let uid = uids.lines().next().unwrap().split('\t').nth(4).unwrap().to_owned();
    // Somebody has lost his mail, and wants one of them again.
    fs::remove_dir_all(world.path("Mail")).unwrap();
    let forgotten = world.run(&format!("state forget {account} {uid}"));
    assert!(forgotten.good().out.contains("1 message forgotten"), "{}", forgotten.out);
    assert!(world.fetch("").good().out.contains(": 1 message, "));
    assert_eq!(world.delivered().len(), 1);

    world.run(&format!("state forget {account} --all")).good();
    for uid in uids.lines().map(|line| line.split('\t').nth(4).unwrap()) {
        world.run(&format!("state mark {account} {uid}")).good();
    }
    assert!(world.fetch("").good().out.contains("nothing new"));
    world.run(&format!("state forget {account} nonsense")).failed(64, &["has no message nonsense"]);
    assert_eq!(world.run(&format!("state forget {account}")).code, 64);
}

#[test]
fn what_failed_too_often_is_told_and_tried_again_on_request() {
    let world = world_with(|server| server.script("RETR 2", "-ERR internal error\r\n"));
    for _ in 0..3 {
        world.fetch("").failed(75, &["message 2 (uid ", "-ERR internal error"]);
    }
    let run = world.fetch("");
    run.failed(75, &["not tried any more after 3 failures, left on the server", "-ERR internal error"]);
    let account = account(&world);
    assert!(world.run("state show").out.contains("; 1 not tried any more"));
    world.run(&format!("state retry {account}")).good();
    world.fetch("").failed(75, &["message 2 (uid "]);
}

#[test]
fn a_damaged_ledger_is_salvaged_aloud_and_nothing_comes_twice() {
    let world = world();
    world.fetch("").good();
    let ledger = world.path("state/ledger.sqlite3");
    let octets = fs::read(&ledger).unwrap();
    fs::write(&ledger, &octets[..octets.len() / 2]).unwrap();
    let run = world.fetch("");
    assert!(run.good().err.contains("was damaged"), "{}", run.err);
    assert_eq!(world.delivered(), sorted(&MAIL));
    let run = world.fetch("");
    assert_eq!((run.good().err.as_str(), world.delivered().len()), ("", 3));
    // Another program's file is not touched.
    fs::create_dir(world.path("other")).unwrap();
    fs::write(world.path("other/ledger.sqlite3"), "").unwrap();
    world.fetch("--state other").good();
    assert_eq!(world.delivered(), sorted(&MAIL), "the Maildir tells what is here");
}

#[test]
fn rebuild_compares_with_what_is_here() {
    let world = world();
    world.fetch("").good();
    let account = account(&world);
    world.run(&format!("state forget {account} --all")).good();
    world.run(&format!("state rebuild {account}")).good();
    assert!(world.fetch("").good().out.contains("nothing new"));
    assert_eq!(world.delivered(), sorted(&MAIL));
}

#[test]
fn status_tells_how_the_last_run_ended() {
    let world = world_with(|server| server.script("RETR 2", "-ERR internal error\r\n"));
    assert_eq!(world.run("status").good().out, "nothing was fetched yet\n");
    world.fetch("").failed(75, &["message 2"]);
    let run = world.run("status --prometheus popwire.prom");
    let account = account(&world);
    run.failed(75, &[]);
    assert!(run.out.starts_with(&format!("{account}: failed just now (exit code 75): ")), "{}", run.out);
    assert!(
        run.out.contains("-ERR internal error; last all right never; 2 messages here, 1 left on the server"),
        "{}",
        run.out
    );
    let metrics = fs::read_to_string(world.path("popwire.prom")).unwrap();
    assert!(
        metrics.contains(&format!("\npopwire_last_exit_code{{account=\"{account}\"}} 75\n")),
        "{metrics}"
    );
    assert!(
        metrics.contains(&format!("\npopwire_delivered_messages{{account=\"{account}\"}} 2\n")),
        "{metrics}"
    );
    assert!(!metrics.contains("popwire_last_success_timestamp_seconds{"));
    assert_eq!(world.run("status --json").objects()[0]["failed"], 1);
}
