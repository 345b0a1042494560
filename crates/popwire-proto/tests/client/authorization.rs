//! USER, PASS, APOP, AUTH, and QUIT before a login (RFC 1939 sections 4 and 7, RFC 5034).

use popwire_proto::command::*;
use popwire_proto::{ArgumentError, Error, OutOfOrder, Secret, State, Status, apop};

use crate::talk::{Talk, pass, user};

fn auth(mechanism: &str, initial: Option<&str>) -> AuthCommand {
    AuthCommand { mechanism: mechanism.into(), initial: initial.map(Secret::from) }
}

fn response(line: &str) -> AuthResponseCommand {
    AuthResponseCommand { response: line.into() }
}

const PASS_ALONE: Error = Error::OutOfOrder(OutOfOrder::PassWithoutUser);

#[test]
fn p_037_a_refusal_is_heard_though_the_connection_ends_right_after_it() {
    for cut in 0..3 {
        let mut talk = Talk::greeted();
        talk.ask(&user("alice"), b"+OK\r\n").unwrap();
        talk.send(&pass("wrong")).unwrap();
        let (before, after) = b"-ERR [AUTH] no\r\n".split_at(cut * 8);
        talk.server(before);
        let early = talk.client.reply().unwrap();
        talk.server(after);
        talk.server_closes();
        let reply = early.unwrap_or_else(|| talk.hear().unwrap());
        assert_eq!((reply.status(), reply.text()), (Status::Err, &b"[AUTH] no"[..]));
        assert!(!talk.client.is_broken());
    }
}

#[test]
fn p_038_quit_before_a_login_is_the_end_of_the_session() {
    let mut talk = Talk::greeted();
    assert_eq!(talk.send(&QuitCommand).unwrap(), b"QUIT\r\n");
    assert_eq!(talk.send(&user("alice")), Err(Error::OutOfOrder(OutOfOrder::AfterQuit)));
    assert_eq!(talk.send(&RawCommand::single("NOOP")), Err(Error::OutOfOrder(OutOfOrder::AfterQuit)));
    talk.server(b"+OK bye\r\n");
    talk.server_closes();
    assert_eq!(talk.hear().unwrap().text(), b"bye");
    assert_eq!((talk.client.state(), talk.client.marked()), (State::Update, 0));
}

#[test]
fn p_039_pass_only_directly_after_a_user_that_was_accepted() {
    let mut talk = Talk::greeted();
    assert_eq!(talk.send(&pass("x")), Err(PASS_ALONE), "no USER at all");

    talk.send(&user("alice")).unwrap();
    assert_eq!(talk.send(&pass("x")), Err(PASS_ALONE), "USER is not answered yet");
    talk.server(b"-ERR no such mailbox\r\n");
    talk.hear().unwrap();
    assert_eq!(talk.send(&pass("x")), Err(PASS_ALONE), "USER was refused");

    talk.ask(&user("alice"), b"+OK\r\n").unwrap();
    talk.ask(&NoopCommand, b"+OK\r\n").unwrap();
    assert_eq!(talk.send(&pass("x")), Err(PASS_ALONE), "something stands between");

    talk.ask(&user("alice"), b"+OK\r\n").unwrap();
    assert_eq!(talk.send(&pass("x")).unwrap(), b"PASS x\r\n");
    talk.server(b"-ERR wrong\r\n");
    talk.hear().unwrap();
    assert_eq!(talk.send(&pass("y")), Err(PASS_ALONE), "after a failure it begins again at USER");

    talk.ask(&user("alice"), b"+OK\r\n").unwrap();
    assert_eq!(talk.client.state(), State::Authorization);
    talk.ask(&pass("y"), b"+OK\r\n").unwrap();
    assert_eq!(talk.client.state(), State::Transaction);
}

#[test]
fn p_039_a_user_that_was_accepted_is_spent_by_what_was_sent_before_the_answer_came() {
    let mut talk = Talk::greeted();
    talk.send(&user("alice")).unwrap();
    talk.send(&NoopCommand).unwrap();
    talk.server(b"+OK\r\n+OK\r\n");
    talk.hear().unwrap();
    assert_eq!(talk.send(&pass("x")), Err(PASS_ALONE));
    talk.hear().unwrap();
    assert_eq!(talk.send(&pass("x")), Err(PASS_ALONE));
}

#[test]
fn a_password_is_everything_after_one_blank_and_may_be_empty() {
    for password in ["", " ", " two  blanks ", "q:uo\"te\\s", "p\u{e4}ss\u{2603}", "\t\x7f"] {
        let mut talk = Talk::greeted();
        talk.ask(&user("name with blanks"), b"+OK\r\n").unwrap();
        assert_eq!(talk.send(&pass(password)).unwrap(), format!("PASS {password}\r\n").as_bytes());
    }
}

#[test]
fn q_053_user_itself_may_be_refused_and_another_login_follow() {
    let mut talk = Talk::greeted();
    assert!(!talk.ask_for_reply(&user("alice"), b"-ERR use AUTH\r\n").unwrap().is_ok());
    talk.ask(&auth("PLAIN", Some("AGFsaWNlAHg=")), b"+OK\r\n").unwrap();
    assert_eq!(talk.client.state(), State::Transaction);
}

#[test]
fn p_043_the_apop_digest_of_the_rfc() {
    let timestamp = apop::timestamp(b"+OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>").unwrap();
    let digest = apop::digest(timestamp, &Secret::from("tanstaaf"));
    assert_eq!(digest.expose(), b"c4c9334bac560ecc979e58001b3e22fb");
    let mut talk = Talk::greeted();
    let line = talk.send(&ApopCommand { name: b"mrose".to_vec(), digest }).unwrap();
    assert_eq!(line, b"APOP mrose c4c9334bac560ecc979e58001b3e22fb\r\n");
    talk.server(b"+OK maildrop has 1 message (369 octets)\r\n");
    talk.hear().unwrap();
    assert_eq!(talk.client.state(), State::Transaction);
}

#[test]
fn p_044_a_timestamp_that_is_no_message_id_is_none() {
    for greeting in [
        &b"+OK ready"[..],
        b"+OK <>",
        b"+OK <@>",
        b"+OK <a@>",
        b"+OK <@b>",
        b"+OK <no-at-sign>",
        b"+OK <a b@c>",
        b"+OK <a@b c>",
        b"+OK <a\x01@b>",
        b"+OK <a@b\x7f>",
        b"+OK <a@b\x00>",
        b"+OK <\xff\x80@b>",
        b"+OK <a\xc3\xa4@b>",
        b"+OK <a,b@c>",
        b"+OK <a@b@c>",
        b"+OK <a@b",
        b"+OK a@b>",
        b"+OK <a;b@c>",
        b"+OK <a\\b@c>",
    ] {
        assert_eq!(apop::timestamp(greeting), None, "{}", String::from_utf8_lossy(greeting));
    }
}

#[test]
fn p_046_the_timestamp_may_stand_anywhere_and_the_first_good_one_counts() {
    for (greeting, timestamp) in [
        (&b"+OK <1@h> POP3 server ready"[..], &b"<1@h>"[..]),
        (b"+OK welcome <to> our <2@h> server <3@h>", b"<2@h>"),
        (b"+OK <<4@h>>", b"<4@h>"),
        (b"+OK <5 <6@h>", b"<6@h>"),
        (b"+OK <7@h><8@h>", b"<7@h>"),
        (b"+OK (<9.x_y-z@h-1.example>)", b"<9.x_y-z@h-1.example>"),
        (b"+OK <10@[192.0.2.1]>", b"<10@[192.0.2.1]>"),
        (b"+OK <\"11,a\"@h>", b"<\"11,a\"@h>"),
    ] {
        assert_eq!(apop::timestamp(greeting), Some(timestamp));
    }
}

#[test]
fn a_megabyte_of_brackets_is_answered_at_once() {
    // Each of these makes a careless search read the greeting once per bracket.
    for piece in ["<", "<a", "<a@b", "<a@b <", "<>", "<\"@"] {
        let greeting = format!("+OK {}", piece.repeat((4 << 20) / piece.len()));
        assert_eq!(apop::timestamp(greeting.as_bytes()), None, "{piece}");
    }
    let at_the_end = format!("+OK {}<a@b>", "<".repeat(4 << 20));
    assert_eq!(apop::timestamp(at_the_end.as_bytes()), Some(&b"<a@b>"[..]));
}

#[test]
fn p_090_a_challenge_is_answered_and_nothing_else_stands_in_its_place() {
    let mut talk = Talk::greeted();
    let sasl = Err(Error::OutOfOrder(OutOfOrder::Sasl));
    assert_eq!(talk.send(&response("eA==")), sasl, "no challenge, no response");
    let challenge = talk.ask_for_reply(&auth("LOGIN", None), b"+ VXNlcm5hbWU6\r\n").unwrap();
    assert_eq!((challenge.status(), challenge.text()), (Status::Continue, &b"VXNlcm5hbWU6"[..]));
    assert_eq!(talk.send(&StatCommand), sasl, "the server would read this as SASL data");
    assert_eq!(talk.send(&QuitCommand), sasl);
    assert_eq!(talk.send(&response("YWxpY2U=")).unwrap(), b"YWxpY2U=\r\n");
    assert_eq!(talk.send(&response("eA==")), sasl, "not before the next challenge");
    talk.server(b"+ UGFzc3dvcmQ6\r\n");
    talk.hear().unwrap();
    talk.ask(&response("eA=="), b"+OK\r\n").unwrap();
    assert_eq!(talk.client.state(), State::Transaction);
    assert_eq!(talk.send(&response("eA==")), sasl, "the exchange is over");
    assert!(talk.send(&StatCommand).is_ok());
}

#[test]
fn p_090_nothing_is_sent_behind_an_auth_whose_answer_is_outstanding() {
    let mut talk = Talk::greeted();
    talk.send(&auth("LOGIN", None)).unwrap();
    let early = talk.send(&CapaCommand);
    assert_eq!(early, Err(Error::OutOfOrder(OutOfOrder::Sasl)), "it would be read as SASL data");
}

#[test]
fn p_090_nothing_is_sent_behind_a_login_whose_answer_is_outstanding() {
    let pending = Err(Error::OutOfOrder(OutOfOrder::LoginPending));
    let mut talk = Talk::greeted();
    talk.ask(&user("alice"), b"+OK\r\n").unwrap();
    talk.send(&pass("x")).unwrap();
    assert_eq!(talk.send(&StatCommand), pending);
    talk.server(b"+OK\r\n");
    talk.hear().unwrap();
    assert!(talk.send(&StatCommand).is_ok());
    let mut talk = Talk::greeted();
    talk.send(&ApopCommand { name: b"alice".to_vec(), digest: "0".into() }).unwrap();
    assert_eq!(talk.send(&QuitCommand), pending);
}

#[test]
fn an_exchange_is_cancelled_by_a_star_and_another_login_may_follow() {
    let mut talk = Talk::greeted();
    talk.ask_for_reply(&auth("GSSAPI", None), b"+ \r\n").unwrap();
    assert_eq!(talk.send(&response("*")).unwrap(), b"*\r\n");
    talk.server(b"-ERR cancelled\r\n");
    assert_eq!(talk.hear().unwrap().status(), Status::Err);
    talk.ask(&user("alice"), b"+OK\r\n").unwrap();
    talk.ask(&pass("x"), b"+OK\r\n").unwrap();
}

#[test]
fn the_answer_to_a_challenge_may_be_an_empty_line() {
    let mut talk = Talk::greeted();
    talk.ask_for_reply(&auth("XOAUTH2", Some("eA==")), b"+ eyJzdGF0dXMiOiI0MDAifQ==\r\n").unwrap();
    assert_eq!(talk.send(&response("")).unwrap(), b"\r\n");
}

#[test]
fn an_initial_response_stays_within_255_octets_and_a_line_of_its_own_need_not() {
    let token = "dG9rZW4=".repeat(500);
    let mut talk = Talk::greeted();
    let error = talk.send(&auth("XOAUTH2", Some(&token))).unwrap_err();
    assert_eq!(error, Error::Argument(ArgumentError::LineTooLong { length: 4015, limit: 255 }));
    talk.ask_for_reply(&auth("XOAUTH2", None), b"+ \r\n").unwrap();
    assert_eq!(talk.send(&response(&token)).unwrap().len(), 4002);
}

#[test]
fn p_105_a_challenge_may_be_as_long_as_its_mechanism_needs() {
    let challenge = "YWJj".repeat(2000);
    let mut talk = Talk::greeted();
    let reply = talk.ask_for_reply(&auth("GSSAPI", None), format!("+ {challenge}\r\n").as_bytes());
    assert_eq!(reply.unwrap().text(), challenge.as_bytes());
}

#[test]
fn a_list_of_mechanisms_is_no_login() {
    let mut talk = Talk::greeted();
    let mechanisms = talk.ask(&AuthListCommand, b"+OK\r\nPLAIN\r\n.\r\n").unwrap();
    assert_eq!(mechanisms.list, ["PLAIN".into()]);
    assert_eq!(talk.client.state(), State::Authorization);
    assert!(talk.send(&StlsCommand).is_ok(), "STLS is still to come");
}

#[test]
fn a_login_by_its_other_ways_opens_the_maildrop_too() {
    let mut talk = Talk::greeted();
    talk.ask(&RpopCommand { name: b"alice".to_vec() }, b"+OK\r\n").unwrap();
    assert_eq!(talk.client.state(), State::Transaction);
    let mut talk = Talk::greeted();
    let refused = ApopCommand { name: b"alice".to_vec(), digest: "0".into() };
    talk.ask_for_reply(&refused, b"-ERR no\r\n").unwrap();
    assert_eq!(talk.client.state(), State::Authorization);
}

#[test]
fn names_that_must_not_be_empty_are_not() {
    let mut talk = Talk::greeted();
    let empty = Err(Error::Argument(ArgumentError::Empty));
    assert_eq!(talk.send(&user("")), empty);
    assert_eq!(talk.send(&RpopCommand { name: Vec::new() }), empty);
    assert_eq!(talk.send(&ApopCommand { name: Vec::new(), digest: "0".into() }), empty);
    assert_eq!(talk.send(&auth("", None)), empty);
    assert_eq!(talk.send(&LangCommand { tag: Vec::new() }), empty);
    assert_eq!(talk.send(&RawCommand::single("")), empty, "servers have died of an empty line");
    assert_eq!(talk.client.unsent(), b"");
}
