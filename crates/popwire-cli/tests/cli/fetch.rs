//! `popwire fetch` when all goes well, or nearly.

use popwire_server::QuitReply;

use crate::world::{MAIL, sorted, world, world_of, world_with};

#[test]
fn keep_is_the_default_and_is_said() {
    let world = world();
    let run = world.fetch("");
    run.good();
    assert!(run.out.starts_with("alice@localhost: 3 messages, "), "{}", run.out);
    assert!(run.out.ends_with("; kept on the server\n"), "{}", run.out);
    assert_eq!((run.out.lines().count(), run.err.as_str()), (1, ""));
    assert_eq!(world.delivered(), sorted(&MAIL));
    assert_eq!(world.left(1), 3);
    // The second time there is nothing to fetch.
    let run = world.fetch("--keep");
    assert_eq!(run.good().out, "alice@localhost: nothing new; 3 messages on the server\n");
    assert_eq!((world.left(2), world.delivered().len()), (3, 3));
    assert!(!world.server.last_session().unwrap().client_lines().iter().any(|line| line.starts_with("RETR")));
}

#[test]
fn delete_deletes_after_delivery() {
    let world = world();
    let run = world.fetch("--delete");
    assert!(run.good().out.ends_with("; deleted on the server\n"), "{}", run.out);
    assert_eq!((world.delivered(), world.left(1)), (sorted(&MAIL), 0));

    let run = world.fetch("--delete");
    assert_eq!(run.good().out, "alice@localhost: no mail\n");
}

#[test]
fn a_limit_and_stls_and_quiet() {
    let world = world();
    let url = world.stls_url();
    let run = world.run(&format!("fetch {url} --ca ca.pem --maildir Mail --limit 2 --quiet"));
    assert_eq!((run.good().out.as_str(), run.err.as_str()), ("", ""));
    assert_eq!(world.delivered(), sorted(&MAIL[..2]));
    let session = world.server.last_session().unwrap();
    assert_eq!(session.client_lines()[0], "STLS");
}

#[test]
fn other_ways_in() {
    let world = world_with(|server| server.apop(true));
    world.fetch("--auth APOP --no-capa").good();
    let lines = world.server.last_session().unwrap().client_lines();
    assert!(lines[0].starts_with("APOP alice "), "{lines:?}");
    assert!(!lines.iter().any(|line| line == "CAPA"));

    let plain = format!("fetch {} --maildir Mail --insecure-plaintext", world.stls_url());
    world.run(&plain).good();
    let any = format!("fetch {} --maildir Mail --insecure-any-certificate", world.url());
    world.run(&any).good();
    let port = world.server.tls_addr().port();
    world.run(&format!("fetch pops://localhost:{port} --user alice --ca ca.pem --maildir Mail")).good();
}

#[test]
fn a_bad_message_is_left_and_the_rest_goes_on() {
    let world = world_with(|server| server.script("RETR 2", "-ERR internal error\r\n"));
    let run = world.fetch("--delete");
    run.failed(75, &["warning: message 2 (uid ", "not delivered, left on the server", "-ERR internal error"]);
    assert_eq!(run.err.lines().count(), 1, "{}", run.err);
    assert!(run.out.starts_with("alice@localhost: 2 of 3 messages, "), "{}", run.out);
    assert!(
        run.out.ends_with("; 2 deleted on the server; 1 not delivered, left on the server\n"),
        "{}",
        run.out
    );
    assert_eq!((world.delivered(), world.left(1)), (sorted(&[MAIL[0], MAIL[2]]), 1));
}

#[test]
fn deletions_that_were_not_confirmed_are_told() {
    let world = world_with(|server| server.quit_reply(QuitReply::SomeNotRemoved { removed: 1 }));
    let run = world.fetch("--delete");
    run.failed(75, &["did not delete all of the 3 messages", "-ERR", "All of them are safe here."]);
    assert!(!run.out.contains("deleted"), "{}", run.out);

    let world = world_with(|server| server.quit_reply(QuitReply::CloseBeforeCommit));
    world.fetch("--delete").failed(75, &["is not known", "All of them are safe here."]);
    assert_eq!(world.delivered(), sorted(&MAIL));

    let world = world_with(|server| server.script("DELE 2", "-ERR read-only\r\n"));
    let run = world.fetch("--delete");
    run.failed(75, &["refused to delete 1 of the messages"]);
    assert!(run.out.ends_with("; 2 deleted on the server\n"), "{}", run.out);
}

#[test]
fn json_is_one_object_per_line() {
    let world = world_with(|server| server.script("RETR 2", "-ERR internal error\r\n"));
    let run = world.fetch("--delete --json");
    assert_eq!(run.code, 75);
    let objects = run.objects();
    let events: Vec<_> = objects.iter().map(|object| object["event"].as_str().unwrap()).collect();
    // What is delivered is told when it is on the disk, and that may be after the next has failed.
    assert_eq!(
        (events[0], events[6], sorted(&events[1..4])),
        ("opened", "summary", sorted(&["delivered", "delivered", "failed"]))
    );
    assert_eq!(events[4..6], ["marked", "marked"]);
    let delivered = objects.iter().find(|object| object["event"] == "delivered").unwrap();
    assert_eq!((&delivered["number"], &delivered["account"]), (&1.into(), &"alice@localhost".into()));
    assert_eq!(delivered["size"], MAIL[0].len());
    assert!(delivered["uid"].is_string());
    let stored = std::fs::read_to_string(delivered["dest"][0].as_str().unwrap()).unwrap();
    assert_eq!(stored, MAIL[0]);
    let summary = &objects[6];
    assert_eq!(
        (&summary["delivered"], &summary["failed"], &summary["exit"]),
        (&2.into(), &1.into(), &75.into())
    );
    assert_eq!((&summary["deletion"], &summary["marked"]), (&"committed".into(), &2.into()));
}

#[test]
fn verbose_shows_the_conversation_but_not_the_password() {
    // That the password is nowhere, `run` checks.
    let world = world();
    let run = world.fetch("-vv");
    for line in ["C: USER alice", "C: PASS ****", "C: RETR 3", "message 3 (uid ", "connected to localhost"] {
        assert!(run.good().err.contains(line), "{}", run.err);
    }
    assert!(!run.err.contains("no header"), "contents are left out");
    let run = world.fetch("-v --state another --accept-new-ids").good().clone();
    assert!(run.err.contains("message 3 (uid ") && !run.err.contains("C: "), "{}", run.err);
}

#[test]
fn colours_only_where_they_are_wanted() {
    let world = world_of(&[], |server| server);
    let line = format!("fetch {} --maildir Mail", world.url());
    assert!(!world.run(&line).err.contains('\x1b'));
    assert!(world.run(&format!("{line} --color always")).err.contains("\x1b["));
    assert!(!world.run(&format!("{line} --color never")).err.contains('\x1b'));
}

#[test]
fn p_072_a_server_that_keeps_nothing_is_warned_of() {
    let expire = ["TOP", "UIDL", "USER", "EXPIRE 0"];
    let world = world_with(|server| server.capability_lines(expire, expire));
    let run = world.fetch("--keep");
    assert!(run.good().err.contains("(EXPIRE 0)"), "{}", run.err);
    // Who deletes has nothing to lose by it.
    let run = world.fetch("--delete");
    assert_eq!(run.good().err, "");
}

#[test]
fn several_destinations_get_each_message_once_and_all_of_them_before_it_is_deleted() {
    let world = world();
    std::fs::write(
        world.path("take.sh"),
        "#!/bin/sh\n[ -e broken ] && exit 75\nenv > env.$POPWIRE_MARK; cat >> taken\n",
    )
    .unwrap();
    let line = "--delete --mbox mail.mbox --maildir Other --pipe";
    let run = |world: &crate::world::World| {
        let mut command = world.command(&format!("fetch {} --ca ca.pem --maildir Mail {line}", world.url()));
        crate::world::run(command.arg("sh ./take.sh").env("POPWIRE_PASSWORD", crate::world::PASSWORD))
    };
    std::fs::write(world.path("broken"), "").unwrap();
    run(&world).failed(75, &["message 1 (uid ", "sh ./take.sh refused the message"]);
    assert_eq!(world.left(1), 3);
    std::fs::remove_file(world.path("broken")).unwrap();
    let done = run(&world);
    assert!(done.good().out.ends_with("; deleted on the server\n"), "{}", done.out);
    assert_eq!((world.delivered(), world.left(2)), (sorted(&MAIL), 0));
    assert_eq!(std::fs::read_dir(world.path("Other/new")).unwrap().count(), 3);
    assert_eq!(std::fs::read_to_string(world.path("taken")).unwrap(), MAIL.concat());
    let mbox = std::fs::read_to_string(world.path("mail.mbox")).unwrap();
    assert_eq!(mbox.lines().filter(|line| line.starts_with("From popwire.")).count(), 3);
    // The program that gets the mail does not get the password.
    for file in std::fs::read_dir(world.home.path()).unwrap() {
        let path = file.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("env.") {
            let variables = std::fs::read_to_string(path).unwrap();
            assert!(
                variables.contains("POPWIRE_UID=") && !variables.contains("POPWIRE_PASSWORD"),
                "{variables}"
            );
        }
    }
}

#[test]
fn a_dry_run_shows_and_does_nothing() {
    let world = world();
    let run = world.fetch("--dry-run --delete --limit 2");
    assert_eq!(
        run.good().out.lines().filter(|line| line.ends_with(": would be fetched")).count(),
        2,
        "{}",
        run.out
    );
    assert_eq!(run.out.lines().filter(|line| line.ends_with(": would be left for another run")).count(), 1);
    assert_eq!((world.delivered().len(), world.left(1)), (0, 3));
}

#[test]
fn messages_are_deleted_days_after_they_were_seen() {
    let world = world();
    world.fetch("--delete-after 1").good();
    assert_eq!(world.left(1), 3);
    world.fetch("--delete-after 0").good();
    assert_eq!((world.delivered().len(), world.left(2)), (3, 0));
}
