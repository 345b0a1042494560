//! CAPA and response codes: section 4.

use popwire_server::Server;

use crate::talk::{Talk, alice, server};

fn capabilities(talk: &mut Talk) -> Vec<String> {
    talk.run("C: CAPA\nS: +OK *");
    talk.body().lines().map(str::to_owned).collect()
}

fn before_login(server: &Server) -> Vec<String> {
    let mut talk = Talk::plain(server);
    talk.run("S: +OK *");
    capabilities(&mut talk)
}

const TRUE: [&str; 9] = [
    "TOP",
    "UIDL",
    "RESP-CODES",
    "AUTH-RESP-CODE",
    "PIPELINING",
    "EXPIRE NEVER",
    "USER",
    "STLS",
    "IMPLEMENTATION popwire-server",
];

#[test]
fn p_075_p_078_capa_in_both_states() {
    let server = server();
    assert_eq!(before_login(&server), TRUE);
    // STLS means "permitted now".
    let after: Vec<&str> = TRUE.into_iter().filter(|line| *line != "STLS").collect();
    assert_eq!(capabilities(&mut Talk::alice(&server)), after);
}

#[test]
fn p_083_no_text_looks_like_a_code() {
    let server = server();
    let mut talk = Talk::plain(&server);
    talk.run("S: +OK *\nC: [AUTH]\nS: -ERR unknown command\nC: USER [AUTH]\nS: +OK send PASS");
}

#[test]
fn p_083_codes_are_sent_only_if_announced() {
    let server = alice().capability_lines(["TOP", "USER"], ["TOP"]).start().unwrap();
    Talk::plain(&server).run("S: +OK *\nC: USER alice\nS: +OK *\nC: PASS x\nS: -ERR wrong name or password");
    let server = alice().capa(false).start().unwrap();
    let mut first = Talk::alice(&server);
    first.run("C: CAPA\nS: -ERR *");
    Talk::plain(&server)
        .run("S: +OK *\nC: USER alice\nS: +OK *\nC: PASS s3cret pass\nS: -ERR another session *");
}

#[test]
fn p_092_user_is_listed_only_where_it_is_accepted() {
    let server = alice().require_tls(true).start().unwrap();
    let plain = before_login(&server);
    assert!(!plain.contains(&"USER".to_owned()) && plain.contains(&"STLS".to_owned()));
    let mut talk = Talk::tls(&server);
    talk.run("S: +OK *");
    let tls = capabilities(&mut talk);
    assert!(tls.contains(&"USER".to_owned()) && !tls.contains(&"STLS".to_owned()));
}

#[test]
fn p_097_no_auth_code_for_user() {
    let server = alice().utf8(true).start().unwrap();
    let mut talk = Talk::plain(&server);
    talk.run("S: +OK *");
    talk.send(b"USER \xff\r\n");
    talk.run("S: -ERR the name is not UTF-8");
}

#[test]
fn p_099_what_is_announced_is_known() {
    let known = [
        "TOP",
        "UIDL",
        "RESP-CODES",
        "AUTH-RESP-CODE",
        "PIPELINING",
        "EXPIRE",
        "USER",
        "STLS",
        "UTF8",
        "LANG",
        "IMPLEMENTATION",
    ];
    let server = alice().utf8(true).lang([("en", "English")]).start().unwrap();
    for line in before_login(&server) {
        let tag = line.split(' ').next().unwrap();
        assert!(known.contains(&tag) || tag.starts_with('X'), "{line}");
    }
}

#[test]
fn p_100_no_mechanism_is_supported() {
    let server = server();
    Talk::plain(&server)
        .run("S: +OK *\nC: AUTH PLAIN AGEAYg==\nS: -ERR *\nC: AUTH\nS: -ERR *\nC: USER alice\nS: +OK *");
}
