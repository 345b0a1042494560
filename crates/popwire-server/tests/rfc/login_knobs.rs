//! Logins as some servers have them: what a client that does as it should never meets.

use popwire_server::{Mechanism, Server};

use crate::sasl::{PLAIN, greeted};
use crate::talk::{Talk, alice};

fn with(quirk: &str) -> Server {
    alice().sasl([Mechanism::Plain]).apop(true).quirk(quirk).unwrap().start().unwrap()
}

#[test]
fn q_060_a_blank_at_the_end_is_refused() {
    let server = with("trailing_space=err");
    Talk::alice(&server)
        .run("C: STAT \nS: -ERR unknown command\nC: LIST 1 \nS: -ERR *\nC: STAT\nS: +OK 2 50");
}

#[test]
fn q_059_an_empty_line_is_deadly() {
    let server = with("empty_cmd=close");
    greeted(&server).run(&format!("C: AUTH PLAIN\nS: + \nC: \nS: -ERR *\nC: AUTH PLAIN {PLAIN}\nS: +OK *"));
    let mut talk = greeted(&server);
    talk.send("\r\n");
    talk.run("S: <EOF>");
}

#[test]
fn q_054_arguments_of_forty_octets() {
    let server = with("args=strict40");
    let mut talk = greeted(&server);
    for (octets, answer) in [(40, "+OK *"), (41, "-ERR Protocol error. 14")] {
        talk.run(&format!("C: USER {}\nS: {answer}", "x".repeat(octets)));
    }
    talk.run("C: USER alice b\nS: -ERR *\nC: USER alice\nS: +OK *");
    talk.send("PASS \r\n");
    talk.run("S: -ERR *\nC: PASS x\nS: -ERR USER comes first");
    talk.run("C: USER alice\nS: +OK *\nC: PASS s3cret pass\nS: +OK *");
}

#[test]
fn q_058_plain_without_its_response_is_refused() {
    let server = with("plain_no_ir=err");
    greeted(&server).run(&format!("C: AUTH PLAIN\nS: -ERR *\nC: AUTH PLAIN {PLAIN}\nS: +OK *"));
}

#[test]
fn q_039_auth_alone() {
    greeted(&with("bare_auth=1")).run("C: AUTH\nS: +OK *\nS: PLAIN\nS: .");
    greeted(&with("bare_auth=0")).run("C: AUTH\nS: -ERR *");
}

#[test]
fn q_037_qpopper_has_two_answers() {
    greeted(&with("apop=fail_unsolicited_ok")).run("C: APOP alice x\nS: -ERR *\nS: +OK *\nS: <EOF>");
}

#[test]
fn q_049_without_codes_none_are_announced() {
    let server = with("code=none");
    let mut talk = greeted(&server);
    talk.run("C: USER alice\nS: +OK *\nC: PASS x\nS: -ERR wrong name or password\nC: CAPA\nS: +OK *");
    assert!(!talk.body().contains("RESP-CODE"));
}
