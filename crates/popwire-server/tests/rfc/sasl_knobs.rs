//! AUTH as some servers have it, and as tests of clients ask for it.

use popwire_proto::sasl::{Binding, CramMd5};
use popwire_server::{Mechanism, SaslFault};

use crate::sasl::{PLAIN, announced, greeted, login, scram, with};

#[test]
fn q_007_a_mechanism_may_be_hidden() {
    let server = with(&[Mechanism::Login]).sasl_hidden([Mechanism::Plain]).start().unwrap();
    let mut talk = greeted(&server);
    assert_eq!(announced(&mut talk), "LOGIN");
    talk.run(&format!("C: AUTH PLAIN {PLAIN}\nS: +OK *"));
}

#[test]
fn q_027_q_028_exchange_online() {
    let server = with(&[Mechanism::Plain]).one_line_auth(false).auth_line_max(4096).start().unwrap();
    greeted(&server)
        .run(&format!("C: AUTH PLAIN {PLAIN}\nS: -ERR Protocol error. Connection is closed. 10\nS: <EOF>"));
    let mut talk = greeted(&server);
    talk.run(&format!("C: AUTH PLAIN\nS: + \nC: {}\nS: -ERR this is not base64", "!".repeat(4096)));
    talk.run(&format!("C: AUTH PLAIN\nS: + \nC: {}\nS: -ERR Protocol error. 18\nS: <EOF>", "A".repeat(4097)));
}

#[test]
fn q_033_ntlm_of_exchange_2003() {
    let server = with(&[Mechanism::Ntlm]).ntlm_says_ok(true).start().unwrap();
    greeted(&server).run("C: AUTH NTLM\nS: +OK\nC: *\nS: -ERR cancelled");
}

#[test]
fn q_034_words_or_nothing_in_place_of_a_challenge() {
    for (fault, conversation) in [
        (SaslFault::NotBase64, format!("C: AUTH PLAIN\nS: + go ahead\nC: {PLAIN}\nS: +OK *")),
        (SaslFault::BareContinue, format!("C: AUTH PLAIN\nS: +\nC: {PLAIN}\nS: +OK *")),
        (SaslFault::TrailingBlank, format!("C: AUTH PLAIN\nS: +  \nC: {PLAIN}\nS: +OK *")),
        (SaslFault::OkAfterCancel, "C: AUTH PLAIN\nS: + \nC: *\nS: +OK *\nC: STAT\nS: -ERR *".to_owned()),
        (SaslFault::Endless, format!("C: AUTH PLAIN {PLAIN}\nS: + \nC: {PLAIN}\nS: + \nC: *\nS: -ERR *")),
    ] {
        let server = with(&[Mechanism::Plain]).sasl_fault(fault).start().unwrap();
        greeted(&server).run(&conversation);
    }
}

#[test]
fn q_035_a_refusal_may_end_the_connection() {
    let server = with(&[Mechanism::Plain]).close_after_refused_auth(true).start().unwrap();
    greeted(&server).run("C: AUTH PLAIN AGEAYg==\nS: -ERR [AUTH] *\nS: <EOF>");
    greeted(&server).run(&format!("C: AUTH PLAIN {PLAIN}\nS: +OK *\nC: STAT\nS: +OK 2 50"));
}

#[test]
fn q_038_announced_but_not_set_up() {
    for (mechanism, offered) in [(Mechanism::Gssapi, "PLAIN GSSAPI"), (Mechanism::Ntlm, "PLAIN NTLM")] {
        let server = with(&[Mechanism::Plain]).refuse_auth_midway(mechanism).start().unwrap();
        let mut talk = greeted(&server);
        assert_eq!(announced(&mut talk), offered);
        talk.run(&format!("C: AUTH {mechanism}\nS: + \nC: YWJj\nS: -ERR this mechanism does not work here"));
        talk.run(&format!("C: AUTH PLAIN {PLAIN}\nS: +OK *"));
    }
    let server = with(&[]).refuse_auth_midway(Mechanism::CramMd5).start().unwrap();
    let mut talk = greeted(&server);
    let last = login(&mut talk, CramMd5::new("alice", "s3cret pass"), true);
    assert_eq!(last, "-ERR this mechanism does not work here");
}

#[test]
fn q_058_plain_in_one_line_or_not_at_all() {
    let server = with(&[Mechanism::Plain]).plain_only_in_one_line(true).start().unwrap();
    greeted(&server).run("C: AUTH PLAIN\nS: <EOF>");
    greeted(&server).run(&format!("C: AUTH PLAIN {PLAIN}\nS: +OK *"));
}

#[test]
fn a_server_that_proves_nothing_can_let_in() {
    for fault in [SaslFault::OkEarly, SaslFault::MissingProof, SaslFault::ForgedProof] {
        let server = with(&[Mechanism::ScramSha256]).sasl_fault(fault.clone()).start().unwrap();
        let mut talk = greeted(&server);
        let password = if fault == SaslFault::OkEarly { "wrong" } else { "s3cret pass" };
        let last = login(&mut talk, scram(password, Binding::Unsupported), true);
        match fault {
            SaslFault::ForgedProof => assert_eq!(last, "-ERR cancelled"),
            _ => _ = talk.run("C: STAT\nS: +OK 2 50"),
        }
    }
}
