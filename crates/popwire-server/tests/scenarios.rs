//! Scenarios: the examples are served, mistakes are explained, and the documentation has every key.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "rfc/talk.rs"]
#[allow(dead_code)]
mod talk;

use std::error::Error as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use popwire_server::{Scenario, Server};

use crate::talk::{Talk, tcp, try_handshake};

const DOCUMENTATION: &str = include_str!("../../../docs/scenario.md");

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/scenarios")
}

fn example(name: &str) -> Server {
    Scenario::from_file(examples().join(name)).unwrap().builder().start().unwrap()
}

const LOGIN: &str = "S: +OK *\nC: USER alice\nS: +OK *\nC: PASS secret\nS: +OK *";

#[test]
fn every_example_has_its_test() {
    let here = include_str!("scenarios.rs");
    let names =
        fs::read_dir(examples()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: Vec<_> = names.collect();
    assert!(names.len() >= 6, "{names:?}");
    for name in names {
        assert!(here.contains(&format!("example(\"{name}\")")), "{name} is not served");
    }
}

#[test]
fn a_mailbox() {
    let server = example("mailbox.toml");
    let mut talk = Talk::plain(&server);
    talk.run(LOGIN).run(
        "C: LAST\nS: -ERR *\nC: UIDL 2\nS: +OK 2 forged\nC: UIDL 3\nS: +OK 3 hi\nC: LIST 4\nS: +OK 4 1000000",
    );
    talk.run("C: RETR 3\nS: +OK 22 octets\nS: Subject: hi\nS:\nS: hello\nS: .");
    let mail = fs::read(examples().join("../messages/05-forged-reply.eml")).unwrap();
    assert_eq!(server.maildrop("alice").unwrap().messages().unwrap()[1], mail);
    Talk::plain(&server)
        .run("S: +OK *\nC: USER bob\nS: +OK *\nC: PASS secret\nS: +OK *\nC: STAT\nS: +OK 0 0");
}

#[test]
fn a_bad_network() {
    let server = example("bad-network.toml");
    let mut talk = Talk::plain(&server);
    talk.run(LOGIN);
    let start = Instant::now();
    talk.run("C: RETR 1\nS: +OK 1000 octets").body();
    talk.run("C: RETR 2\nS: +OK 1000 octets").body();
    // Eleven pieces and more.
    assert!(start.elapsed() >= Duration::from_millis(50));
    talk.send("RETR 3\r\n");
    assert_eq!(talk.rest().unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    assert!(server.wait_closed(1, talk::SOON));

    let start = Instant::now();
    let mut talk = Talk::plain(&server);
    talk.run(LOGIN);
    assert!(start.elapsed() >= Duration::from_millis(100));
    for number in 1..=3 {
        talk.run(&format!("C: RETR {number}\nS: +OK 1000 octets")).body();
    }
}

#[test]
fn a_personality_and_more() {
    let server = example("gmail.toml");
    let mut talk = Talk::plain(&server);
    talk.run("S: +OK Gpop ready *\nC: USER alice\nS: +OK *\nC: PASS secret\nS: +OK *\nC: UIDL\nS: +OK *");
    let ids: Vec<_> =
        talk.body().lines().map(|line| line.split(' ').next_back().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 3);
    assert_eq!(ids[1], ids[2]);
}

#[test]
fn by_chance() {
    let server = example("by-chance.toml");
    let seeded = Scenario::from_toml("seed = 42").unwrap().builder();
    let plan = popwire_server::FaultPlan::from_seed(42);
    let said = format!("{:?}", plan.faults().collect::<Vec<_>>());
    assert!(format!("{seeded:?}").contains(&said), "{seeded:?} has not {said}");
    // Whatever the faults are, it is there.
    drop(tcp(server.addr()));
    assert!(server.wait_closed(1, talk::SOON));
}

#[test]
fn an_expired_certificate() {
    let server = example("expired.toml");
    let error = try_handshake(&server, tcp(server.tls_addr())).map(drop).unwrap_err();
    assert!(error.to_string().to_lowercase().contains("expired"), "{error}");
    Talk::plain(&server).run("S: +OK *\nC: USER alice\nS: -ERR *");
}

#[test]
fn dictated_answers() {
    let server = example("dictated.toml");
    let mut talk = Talk::plain(&server);
    talk.run("S: +OK dictated\nC: CAPA\nS: +OK *\nS: USER\nS: X-ODD  blanks\nS: .\nC: USER alice\nS: +OK *");
    talk.run("C: PASS secret\nS: +OK *\nC: CAPA\nS: +OK *\nS: UIDL\nS: .\nC: LAST\nS: +OK 0");
    talk.run("C: RETR 3\nS: -ERR [SYS/TEMP] try again");
    let start = Instant::now();
    talk.run("C: RETR 3\nS: -ERR [SYS/PERM] go away\nS: <EOF>");
    assert!(start.elapsed() >= Duration::from_millis(50));
}

#[test]
fn tokens() {
    let server = example("tokens.toml");
    let mut talk = Talk::plain(&server);
    talk.run("S: +OK *\nC: AUTH\nS: +OK *\nS: OAUTHBEARER\nS: SCRAM-SHA-256\nS: .");
    // user=alice^Aauth=Bearer ya29.token^A^A
    talk.run("C: AUTH XOAUTH2 dXNlcj1hbGljZQFhdXRoPUJlYXJlciB5YTI5LnRva2VuAQE=\nS: +OK *");
}

#[test]
fn a_maildir_is_found_from_the_scenario() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("mail");
    for part in ["cur", "new", "tmp"] {
        fs::create_dir_all(root.join(part)).unwrap();
    }
    fs::write(root.join("new/1700000000.1.example"), "Subject: hi\n\nhello\n").unwrap();
    let path = directory.path().join("scenario.toml");
    let text =
        |maildir| format!("[[user]]\nname = \"alice\"\npassword = \"secret\"\nmaildir = \"{maildir}\"\n");
    fs::write(&path, text("mail")).unwrap();
    let server = Scenario::from_file(&path).unwrap().builder().start().unwrap();
    Talk::plain(&server).run(LOGIN).run("C: LIST 1\nS: +OK 1 22\nC: DELE 1\nS: +OK *\nC: QUIT\nS: +OK *");
    assert!(server.maildrop("alice").unwrap().is_empty().unwrap());

    fs::write(&path, text("male")).unwrap();
    let error = Scenario::from_file(&path).unwrap_err();
    assert_eq!((error.line(), error.column()), (Some(4), Some(11)), "{error}");
    assert!(error.to_string().contains("scenario.toml: line 4") && error.source().is_some(), "{error}");
    let error = Scenario::from_file(directory.path().join("none.toml")).unwrap_err();
    assert!(error.line().is_none() && error.source().is_some(), "{error}");
}

#[test]
fn mistakes_are_explained() {
    let alice = "[[user]]\nname = \"alice\"\npassword = \"secret\"\n";
    for (text, line, column, what) in [
        ("\nqiurks = []", 2, 1, "did you mean `quirks`?"),
        ("[tls]\ncertificate = \"expird\"", 2, 15, "did you mean `expired`?"),
        ("[tls]\n cretificate = \"expired\"", 2, 2, "did you mean `certificate`?"),
        ("colour = 1", 1, 1, "unknown field `colour`"),
        ("listen = 5", 1, 10, "invalid type"),
        ("listen = \"here\"", 1, 10, "socket address"),
        ("seed = -1", 1, 8, "invalid value"),
        ("seed = ", 1, 8, "string values must be quoted"),
        ("quirks = [\"segment=1\", \"segmnt=2\"]", 1, 24, "segment"),
        ("personality = \"gmial\"", 1, 15, "gmail"),
        ("faults = [\n  \"RETR#1:explode\"]", 2, 3, "the effects are"),
        ("[timers]\nidle = \"soon\"", 2, 8, "a time is"),
        ("[sasl]\nmechanisms = [\"PLIAN\"]", 2, 14, "no mechanism"),
        ("[capabilities]\nbefore_login = []", 1, 1, "missing field `after_login`"),
        ("[[user]]\nname = \"alice\"", 1, 1, "missing field `password`"),
        (&format!("{alice}{alice}"), 5, 8, "already"),
        (&format!("{alice}messages = [{{ size = 1, text = \"\" }}]"), 4, 13, "one of file, text and size"),
        (&format!("{alice}messages = [{{ text = \"\", line_len = 1 }}]"), 4, 13, "line_len"),
        (&format!("{alice}messages = [{{ txet = \"\" }}]"), 4, 15, "did you mean `text`?"),
        (&format!("{alice}messages = [5]"), 4, 13, "name of a file"),
        (&format!("{alice}messages = [\"no/such/file\"]"), 4, 13, "cannot be read"),
        (&format!("{alice}messages = []\nmaildir = \".\""), 2, 8, "one of maildir, mbox and messages"),
        ("[[answer]]\ncommand = \"A\"\nsend = \"\"\nnth = 1\nnth_overall = 1", 1, 1, "not both"),
        ("[[answer]]\ncommand = \"A\"\nsend = \"\"\nthen = \"explode\"", 4, 8, "unknown variant"),
    ] {
        let error = Scenario::from_toml(text).map(drop).unwrap_err();
        assert!(error.to_string().contains(what), "{text}\n{error}");
        assert_eq!((error.line(), error.column()), (Some(line), Some(column)), "{text}\n{error}");
    }
}

#[test]
fn the_documentation_has_every_key_and_its_example_works() {
    let mut keys = 0;
    for table in [
        "",
        "[[user]]\n",
        "[[answer]]\n",
        "[tls]\n",
        "[sasl]\n",
        "[capabilities]\n",
        "[limits]\n",
        "[timers]\n",
    ] {
        let error = Scenario::from_toml(&format!("{table}no-such-key-at-all = 1")).unwrap_err().to_string();
        let (_, expected) = error.split_once("expected").expect("what was expected");
        for key in expected.split('`').skip(1).step_by(2) {
            let heading = format!("`[[{key}]]`");
            let documented = [format!("| `{key}` |"), heading, format!("`[{key}]`")];
            assert!(documented.iter().any(|text| DOCUMENTATION.contains(text)), "{key} is not documented");
            keys += 1;
        }
    }
    assert!(keys > 40, "{keys}");
    let example = DOCUMENTATION.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let scenario = Scenario::from_toml(example).unwrap();
    // The port of the example may be taken.
    let server = scenario.builder().listen("127.0.0.1:0".parse().unwrap()).start().unwrap();
    Talk::plain(&server).run(LOGIN).run("C: STAT\nS: +OK 2 5000022\nC: UIDL 1\nS: +OK 1 first");
    assert!(try_handshake(&server, tcp(server.tls_addr())).is_err());
}
