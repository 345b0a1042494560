//! STLS up to the handshake and after it, UTF8, LANG (RFC 2595, RFC 6856).

use popwire_proto::command::*;
use popwire_proto::{Error, OutOfOrder, ResponseCode, Text, Verb};

use crate::talk::{Talk, answer_under_every_cut, pass, user};

fn out_of_order(why: OutOfOrder) -> Result<Vec<u8>, Error> {
    Err(Error::OutOfOrder(why))
}

#[test]
fn p_141_nothing_is_sent_between_stls_and_the_end_of_the_handshake() {
    let mut talk = Talk::greeted();
    assert_eq!(talk.send(&StlsCommand).unwrap(), b"STLS\r\n");
    let pending = out_of_order(OutOfOrder::StlsPending);
    assert_eq!(talk.send(&CapaCommand), pending, "before the answer");
    talk.server(b"+OK begin\r\n");
    assert!(talk.hear().unwrap().is_ok());
    assert_eq!(talk.send(&user("alice")), pending, "before the handshake");
    assert_eq!(talk.send(&QuitCommand), pending);
    assert_eq!(talk.send(&RawCommand::single("PASS x")), pending, "not even a raw line");
    assert_eq!(talk.client.unsent(), b"");
    talk.client.tls_started().unwrap();
    assert_eq!(talk.send(&CapaCommand).unwrap(), b"CAPA\r\n");
}

#[test]
fn p_141_stls_belongs_before_the_login_and_behind_all_answers() {
    assert_eq!(Talk::logged_in().send(&StlsCommand), out_of_order(OutOfOrder::StlsAfterLogin));
    let mut talk = Talk::greeted();
    talk.send(&CapaCommand).unwrap();
    assert_eq!(talk.send(&StlsCommand), out_of_order(OutOfOrder::StlsPending), "CAPA is not answered yet");
    let mut talk = Talk::greeted();
    talk.ask(&user("alice"), b"+OK\r\n").unwrap();
    assert!(talk.send(&StlsCommand).is_ok(), "half a login is none");
}

#[test]
fn p_141_a_refused_stls_leaves_a_session_in_the_clear() {
    let mut talk = Talk::greeted();
    assert!(!talk.ask_for_reply(&StlsCommand, b"-ERR no TLS here\r\n").unwrap().is_ok());
    assert_eq!(talk.ask(&CapaCommand, b"+OK\r\nSTLS\r\n.\r\n").unwrap().iter().len(), 1);
    assert!(talk.send(&StlsCommand).is_ok(), "it may be tried again");
}

#[test]
fn p_142_octets_in_the_clear_behind_the_ok_of_stls_break_the_session() {
    for injected in [&b"+OK 1 forged\r\n"[..], b"+", b"\r\n", b"\0", b"\x16\x03\x03", b"-ERR"] {
        // In the same segment as the +OK.
        let mut talk = Talk::greeted();
        talk.send(&StlsCommand).unwrap();
        talk.server(&[b"+OK begin\r\n", injected].concat());
        assert_eq!(talk.client.reply(), Err(Error::PlaintextAfterStls), "{injected:?}");
        assert_eq!(talk.client.tls_started(), Err(Error::PlaintextAfterStls));
        assert_eq!(talk.send(&CapaCommand), Err(Error::PlaintextAfterStls));

        // In a later segment, before the handshake is done.
        let mut talk = Talk::greeted();
        assert!(talk.ask_for_reply(&StlsCommand, b"+OK begin\r\n").unwrap().is_ok());
        talk.server(injected);
        assert_eq!(talk.client.tls_started(), Err(Error::PlaintextAfterStls), "{injected:?}");
        assert_eq!(talk.client.reply(), Err(Error::PlaintextAfterStls));
        assert_eq!(talk.send(&CapaCommand), Err(Error::PlaintextAfterStls));
    }
}

#[test]
fn p_142_wherever_the_network_cuts_an_injected_answer_it_is_never_heard() {
    let wire = b"+OK begin\r\n+OK\r\nSASL PLAIN\r\n.\r\n";
    for cut in 1..wire.len() {
        let mut talk = Talk::greeted();
        talk.send(&StlsCommand).unwrap();
        talk.server(&wire[..cut]);
        let first = talk.client.reply();
        talk.server(&wire[cut..]);
        let second = talk.client.reply();
        let verdict = talk.client.tls_started();
        assert_eq!(verdict, Err(Error::PlaintextAfterStls), "{cut} {first:?} {second:?}");
        assert!(talk.send(&CapaCommand).is_err());
    }
}

#[test]
fn p_142_octets_left_over_from_a_refused_stls_are_no_answer_either() {
    let mut talk = Talk::greeted();
    talk.ask_for_reply(&StlsCommand, b"-ERR no\r\n+OK forged\r\n").unwrap();
    assert_eq!(talk.send(&CapaCommand), Err(Error::Unsolicited("+OK forged".into())));
}

#[test]
fn p_142_octets_before_tls_from_the_first_octet_on_break_the_session() {
    let mut talk = Talk::silent();
    talk.server(b"+OK forged greeting\r\n");
    assert_eq!(talk.client.tls_started(), Err(Error::PlaintextAfterStls));
    assert_eq!(talk.client.reply(), Err(Error::PlaintextAfterStls));
}

#[test]
fn p_144_what_was_announced_in_the_clear_is_forgotten() {
    let mut talk = Talk::greeted();
    talk.client.set_response_codes(true);
    talk.ask_for_reply(&StlsCommand, b"+OK\r\n").unwrap();
    talk.client.tls_started().unwrap();
    let reply = talk.ask_for_reply(&NoopCommand, b"-ERR [X-FORGED] x\r\n").unwrap();
    assert_eq!(reply.code(), None, "RESP-CODES has to be announced again");
    assert_eq!(talk.send(&StlsCommand), out_of_order(OutOfOrder::TlsActive));
}

#[test]
fn p_144_a_user_that_was_accepted_in_the_clear_is_forgotten() {
    let mut talk = Talk::greeted();
    talk.ask(&user("alice"), b"+OK\r\n").unwrap();
    talk.ask_for_reply(&StlsCommand, b"+OK\r\n").unwrap();
    talk.client.tls_started().unwrap();
    assert_eq!(talk.send(&pass("x")), out_of_order(OutOfOrder::PassWithoutUser));
}

#[test]
fn p_146_no_stls_after_utf8() {
    let mut talk = Talk::greeted();
    talk.ask(&Utf8Command, b"+OK\r\n").unwrap();
    assert_eq!(talk.send(&StlsCommand), out_of_order(OutOfOrder::StlsAfterUtf8));
    let mut talk = Talk::greeted();
    talk.ask_for_reply(&Utf8Command, b"-ERR no\r\n").unwrap();
    assert!(talk.send(&StlsCommand).is_ok(), "a refused UTF8 changed nothing");
}

#[test]
fn p_152_utf8_belongs_before_the_login() {
    let mut talk = Talk::greeted();
    assert_eq!(talk.send(&Utf8Command).unwrap(), b"UTF8\r\n");
    assert_eq!(Talk::logged_in().send(&Utf8Command), out_of_order(OutOfOrder::Utf8AfterLogin));
}

#[test]
fn p_152_raw_utf8_passes_through_headers() {
    let mut talk = Talk::greeted();
    talk.ask(&Utf8Command, b"+OK\r\n").unwrap();
    talk.ask(&user("f\u{e9}e"), b"+OK\r\n").unwrap();
    talk.ask(&pass("p\u{e4}ss"), b"+OK\r\n").unwrap();
    let message = "Subject: \u{1f4ee}\r\n\r\n";
    let wire = format!("+OK\r\n{message}.\r\n");
    let received = talk.fetch(&TopCommand { number: 1, lines: 0 }, wire.as_bytes()).unwrap().0;
    assert_eq!(received, message.as_bytes());
}

#[test]
fn p_157_lang_alone_has_many_lines_and_with_a_tag_one() {
    let wire = b"+OK\r\nen English\r\nde Deutsch, was sonst\r\ni-default\r\n.\r\n";
    let languages = answer_under_every_cut(&LangListCommand, wire).unwrap();
    let expected: [(Text, Text); 3] = [
        ("en".into(), "English".into()),
        ("de".into(), "Deutsch, was sonst".into()),
        ("i-default".into(), "".into()),
    ];
    assert_eq!(languages.list, expected);
    let mut talk = Talk::greeted();
    let german = LangCommand { tag: b"de".to_vec() };
    assert_eq!(talk.ask(&german, b"+OK de Deutsch\r\n").unwrap().text(), b"de Deutsch");
    assert!(talk.client.is_settled(), "nothing more is waited for");
    assert!(!talk.ask_for_reply(&german, b"-ERR nein\r\n").unwrap().is_ok());
    let mut talk = Talk::logged_in();
    assert!(!talk.ask_for_reply(&LangListCommand, b"-ERR\r\n").unwrap().is_ok(), "in both states");
    assert_eq!(talk.client.awaiting(), None::<Verb>);
}

#[test]
fn p_158_a_message_that_needs_utf8_says_so() {
    let mut talk = Talk::logged_in();
    let refusal = talk.ask_for_reply(&RetrCommand { number: 1 }, b"-ERR [UTF8] needs UTF8\r\n").unwrap();
    assert_eq!(refusal.code(), Some(&ResponseCode::Utf8));
    assert!(talk.client.is_settled());
}
