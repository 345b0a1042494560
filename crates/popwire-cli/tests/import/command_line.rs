//! What the command line says, and what it leaves alone.

use std::fs;

use crate::world::{World, contents};

const RC: &str = "poll pop.example.org proto pop3 user al password abc ssl keep mda \"/usr/bin/procmail -d %T\"\n\
                  poll imap.example.org proto imap user al\n\
                  skip old.example.org proto pop3 plugin \"nc %h %p\" user al ssl\n";
const IDS: &str =
    "al@pop.example.org one\nAL@POP.example.org two\nal@other.example 3\nal@old.example.org four\n";

fn world() -> World {
    let world = World::new([]);
    world.write(".fetchmailrc", RC);
    world.write(".fetchids", IDS);
    world
}

#[test]
fn what_is_left_out_is_named_with_its_line() {
    let world = world();
    let (events, warnings) = world.import("fetchmailrc");
    let fates: Vec<_> = events
        .iter()
        .map(|event| (event["key"].as_str(), event["fate"].as_str(), event["known"].as_u64()))
        .collect();
    assert_eq!(
        fates,
        [
            (Some("al@pop.example.org"), Some("added"), Some(2)),
            (Some("al@old.example.org"), Some("commented"), Some(1))
        ]
    );
    for part in [
        "line 2: al at imap.example.org is left out: it is fetched by IMAP",
        "line 3: `plugin` is left out",
        "ids of al@other.example are left out",
    ] {
        assert!(warnings.contains(part), "{part} in {warnings}");
    }
    let config = world.config();
    assert!(config.contains("deliver = [{ pipe = [\"/usr/bin/procmail\", \"-d\", \"me\"] }]"), "{config}");
    assert!(config.contains("\n# [account.old-example-org]\n# server"), "{config}");
}

#[test]
fn a_second_import_changes_nothing() {
    let world = world();
    world.import("fetchmailrc");
    let before = world.config();
    let (events, _) = world.import("fetchmailrc");
    assert!(events.iter().all(|event| event["fate"] == "there" && event["remembered"] == 0), "{events:?}");
    assert_eq!(world.config(), before);
}

#[test]
fn a_configuration_that_is_there_is_added_to() {
    let world = world();
    let old = "# mine\nversion = 1\n[account.pop-example-org]\nserver = \"x.example\"\nuser = \"me\"";
    let path = world.write("mine.toml", old);
    let run = world.popwire("import fetchmailrc --config mine.toml");
    assert_eq!(run.code, 0, "{run:?}");
    assert!(
        run.out.contains("pop-example-org-2: al at pop.example.org; 2 known to be fetched; password in "),
        "{run:?}"
    );
    let new = contents(&path);
    assert!(new.starts_with(old) && new.contains("\n[account.pop-example-org-2]\n"), "{new}");
}

#[test]
fn a_dry_run_writes_nothing() {
    let world = world();
    let run = world.popwire("import fetchmailrc --dry-run");
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.out.contains("[account.pop-example-org]") && !run.out.contains("abc"), "{run:?}");
    assert!(!world.path(".config").exists() && !world.path(".local").exists());
}

#[test]
fn what_cannot_be_read_is_told_and_changes_nothing() {
    let world = world();
    world.write("broken", "poll h proto pop3 user al password abc\n'abc' there");
    world.write("imap", "poll h proto imap user al");
    fs::create_dir(world.path("empty")).unwrap();
    for (line, code, part) in [
        ("fetchmailrc broken", 65, "broken, line 2: an option is expected, and not a text"),
        ("fetchmailrc imap", 78, "no POP3 account"),
        ("fetchmailrc none", 74, "none cannot be read"),
        ("fetchmailrc --ids none", 74, "none cannot be read"),
        ("mpoprc", 78, ".mpoprc"),
        ("getmailrc empty", 78, "getmailrc"),
        ("thunderbird empty", 78, "profiles.ini"),
        ("fdm", 64, "fdm"),
    ] {
        let run = world.popwire(&format!("import {line}"));
        assert_eq!(run.code, code, "{line}: {run:?}");
        assert!(run.err.contains(part) && !run.err.contains("abc"), "{line}: {run:?}");
        assert!(!world.path(".config").exists(), "{line}");
    }
}
