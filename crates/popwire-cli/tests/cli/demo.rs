//! `popwire demo`.

use std::fs;

use crate::world::world_of;

#[test]
fn it_works_again_and_again() {
    let world = world_of(&[], |server| server);
    for _ in 0..2 {
        let run = world.run("demo");
        let out = &run.good().out;
        assert!(out.contains("Compared every byte: all are what was stored."), "{out}");
        assert!(out.contains("The server's mailbox is empty now."), "{out}");
        assert_eq!(run.err, "");
        let messages = fs::read_dir(world.path("popwire-demo/new")).unwrap().count();
        assert!(messages > 20 && out.contains(&format!("Fetched {messages} messages")), "{out}");
    }
}

#[test]
fn what_no_demo_made_is_left_alone() {
    let world = world_of(&[], |server| server);
    fs::create_dir_all(world.path("mine/new")).unwrap();
    fs::write(world.path("mine/new/letter"), "dear").unwrap();
    world.run("demo --into mine").failed(73, &["mine is there already", "--into DIR"]);
    assert_eq!(fs::read_to_string(world.path("mine/new/letter")).unwrap(), "dear");

    // What a user put beside the demo's mail stays.
    world.run("demo --into theirs").good();
    fs::write(world.path("theirs/notes"), "keep").unwrap();
    world.run("demo --into theirs").good();
    assert_eq!(fs::read_to_string(world.path("theirs/notes")).unwrap(), "keep");
}

#[test]
fn json_tells_the_result_last() {
    let world = world_of(&[], |server| server);
    let objects = world.run("demo --json").good().objects();
    let last = objects.last().unwrap();
    assert_eq!((&last["event"], &last["identical"]), (&"demo".into(), &true.into()));
}
