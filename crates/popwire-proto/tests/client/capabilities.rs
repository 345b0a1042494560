//! CAPA, what it announces, response codes, pipelining (RFC 2449, RFC 3206).

use popwire_proto::command::*;
use popwire_proto::listing::{Capabilities, Expire};
use popwire_proto::{Client, Error, Limits, Reply, ResponseCode, State, Status};

use crate::talk::{Talk, answer_under_every_cut, pass, under_every_cut, user};

fn capa(lines: &str) -> Capabilities {
    answer_under_every_cut(&CapaCommand, format!("+OK\r\n{lines}.\r\n").as_bytes()).unwrap()
}

/// The reply to NOOP at a server that announced RESP-CODES, or did not.
fn reply(line: &str, announced: bool) -> Reply {
    under_every_cut(format!("{line}\r\n").as_bytes(), |pieces| {
        let mut talk = Talk::logged_in();
        talk.client.set_response_codes(announced);
        talk.send(&NoopCommand).unwrap();
        pieces.iter().for_each(|piece| talk.server(piece));
        talk.hear().unwrap()
    })
}

fn code(line: &str, announced: bool) -> Option<ResponseCode> {
    reply(line, announced).code().cloned()
}

fn other(code: &str) -> Option<ResponseCode> {
    Some(ResponseCode::Other(code.into()))
}

#[test]
fn p_076_a_server_without_capa_is_a_server_all_the_same() {
    let mut talk = Talk::greeted();
    let refusal = talk.ask_for_reply(&CapaCommand, b"-ERR unknown command\r\n").unwrap();
    assert_eq!((refusal.status(), refusal.data()), (Status::Err, &b""[..]), "one line, not many");
    let none = Capabilities::default();
    assert!(none.reply().is_none() && !none.has("UIDL") && none.iter().len() == 0);
    talk.ask(&user("alice"), b"+OK\r\n").unwrap();
    talk.ask(&pass("x"), b"+OK\r\n").unwrap();
}

#[test]
fn p_077_tags_and_keywords_have_no_case() {
    let capabilities = capa("Uidl\r\nsasl plain\r\nexpire never\r\nutf8 user\r\nlogin-delay 9\r\n");
    for tag in ["UIDL", "uidl", "SASL", "Expire", "UTF8"] {
        assert!(capabilities.has(tag), "{tag}");
    }
    assert_eq!(capabilities.get("uIdL").unwrap().tag, "Uidl".into(), "kept as the server wrote it");
    assert_eq!(capabilities.expire(), Some(Expire::Never));
    assert!(capabilities.utf8_user());
    assert_eq!(capabilities.login_delay(), Some(9));
    assert!(!capabilities.has("UID") && !capabilities.has("UIDLX"));
}

#[test]
fn p_079_the_minimum_of_rfc_1939_is_a_whole_session() {
    let mut talk = Talk::silent();
    talk.server(b"+OK\r\n");
    talk.hear().unwrap();
    talk.ask(&user("alice"), b"+OK\r\n").unwrap();
    talk.ask(&pass("x"), b"+OK\r\n").unwrap();
    assert_eq!(talk.ask(&StatCommand, b"+OK 1 7\r\n").unwrap().messages, 1);
    assert_eq!(talk.ask(&ListCommand, b"+OK\r\n1 7\r\n.\r\n").unwrap().len(), 1);
    assert_eq!(talk.fetch(&RetrCommand { number: 1 }, b"+OK\r\nhello\r\n.\r\n").unwrap().0, b"hello\r\n");
    talk.ask(&DeleCommand { number: 1 }, b"+OK\r\n").unwrap();
    talk.ask(&QuitCommand, b"+OK\r\n").unwrap();
    assert_eq!((talk.client.state(), talk.client.marked()), (State::Update, 1));
}

#[test]
fn p_081_an_announced_code_is_read_from_either_status() {
    use ResponseCode::{Auth, InUse, LoginDelay, SysPerm, SysTemp, Utf8};
    for (line, expected) in [
        ("-ERR [IN-USE] Do you have another POP session running?", Some(InUse)),
        ("-ERR [in-use]", Some(InUse)),
        ("-ERR [LOGIN-DELAY] wait", Some(LoginDelay)),
        ("-ERR [SYS/TEMP] later", Some(SysTemp)),
        ("-ERR [Sys/Temp/Disk/Full] later", Some(SysTemp)),
        ("-ERR [SYS/PERM] ask someone", Some(SysPerm)),
        ("-ERR [AUTH] wrong", Some(Auth)),
        ("-ERR [UTF8] needs UTF8", Some(Utf8)),
        ("+OK [IN-USE] well", Some(InUse)),
        ("+OK [X-OWN/thing] well", other("X-OWN/thing")),
        ("-ERR [AUTHORITY] ", other("AUTHORITY")),
        ("-ERR [SYS] ", other("SYS")),
        ("-ERR [SYS/TEMPORARY] ", other("SYS/TEMPORARY")),
        ("-ERR [] ", other("")),
        ("-ERR [IN-USE", None),
        ("-ERR text [IN-USE]", None),
        ("-ERR  [IN-USE]", None),
        ("-ERR IN-USE]", None),
    ] {
        assert_eq!(code(line, true), expected, "{line}");
    }
}

#[test]
fn p_081_the_code_stays_a_part_of_the_text() {
    let reply = reply("-ERR [IN-USE] locked", true);
    assert_eq!(
        (reply.text(), reply.line().as_bytes()),
        (&b"[IN-USE] locked"[..], &b"-ERR [IN-USE] locked"[..])
    );
}

#[test]
fn p_082_an_unannounced_code_is_believed_after_err_and_if_it_is_known() {
    assert_eq!(code("-ERR [IN-USE] locked", false), Some(ResponseCode::InUse));
    assert_eq!(code("-ERR [sys/temp] later", false), Some(ResponseCode::SysTemp));
    assert_eq!(code("+OK [IN-USE] hm", false), None);
    assert_eq!(code("-ERR [12] x", false), None);
    assert_eq!(reply("-ERR [12] x", false).text(), b"[12] x", "kept as text");
}

#[test]
fn p_084_a_locked_maildrop_is_told_from_a_wrong_password() {
    let mut talk = Talk::greeted();
    talk.ask(&user("alice"), b"+OK\r\n").unwrap();
    let reply = talk.ask_for_reply(&pass("right"), b"-ERR [IN-USE] locked\r\n").unwrap();
    assert_eq!(reply.code(), Some(&ResponseCode::InUse));
    assert_eq!(talk.client.state(), State::Authorization);
    assert!(!talk.client.is_broken());
}

#[test]
fn p_086_login_delay_is_understood_wherever_it_is_said() {
    let delay = b"-ERR [LOGIN-DELAY] 5 minutes\r\n";
    let mut talk = Talk::greeted();
    let apop = ApopCommand { name: b"alice".to_vec(), digest: "0".into() };
    let auth = AuthCommand { mechanism: b"PLAIN".to_vec(), initial: Some("AGEAYg==".into()) };
    let mut replies = vec![talk.ask_for_reply(&user("alice"), delay).unwrap()];
    replies.push(talk.ask_for_reply(&apop, delay).unwrap());
    replies.push(talk.ask_for_reply(&auth, delay).unwrap());
    talk.ask(&user("alice"), b"+OK\r\n").unwrap();
    replies.push(talk.ask_for_reply(&pass("x"), delay).unwrap());
    for reply in replies {
        assert_eq!(reply.code(), Some(&ResponseCode::LoginDelay));
    }
}

#[test]
fn p_085_the_delay_between_logins_is_a_number_of_seconds() {
    assert_eq!(capa("LOGIN-DELAY 300\r\n").login_delay(), Some(300));
    let with_user = capa("LOGIN-DELAY 900 USER\r\n");
    assert_eq!(with_user.login_delay(), Some(900));
    assert_eq!(with_user.get("LOGIN-DELAY").unwrap().arguments, ["900".into(), "USER".into()]);
    for odd in ["", "LOGIN-DELAY\r\n", "LOGIN-DELAY soon\r\n", "LOGIN-DELAY -1\r\n", "LOGIN-DELAY 1e9\r\n"] {
        assert_eq!(capa(odd).login_delay(), None, "{odd}");
    }
}

#[test]
fn p_087_expire_is_never_or_a_number_of_days() {
    assert_eq!(capa("EXPIRE NEVER\r\n").expire(), Some(Expire::Never));
    assert_eq!(capa("EXPIRE 0\r\n").expire(), Some(Expire::Days(0)));
    assert_eq!(capa("EXPIRE 31 USER\r\n").expire(), Some(Expire::Days(31)));
    assert_eq!(capa("EXPIRE\r\n").expire(), None);
    assert_eq!(capa("EXPIRE later\r\n").expire(), None);
    assert_eq!(capa("UIDL\r\n").expire(), None);
}

#[test]
fn p_089_answers_that_came_in_one_piece_keep_their_order_and_one_refusal_spoils_no_other() {
    let mut talk = Talk::logged_in();
    for number in 1..=3 {
        talk.send(&RetrCommand { number }).unwrap();
        talk.send(&UidlOneCommand { number }).unwrap();
    }
    talk.server(b"+OK\r\none\r\n.\r\n+OK 1 a\r\n-ERR gone\r\n-ERR gone\r\n+OK\r\nthree\r\n.\r\n+OK 3 c\r\n");
    let message = |client: &mut Talk| client.read_message(usize::MAX).unwrap().0;
    assert!(talk.hear().unwrap().is_ok());
    assert_eq!(message(&mut talk), b"one\r\n");
    assert_eq!(talk.hear().unwrap().text(), b"1 a");
    assert!(!talk.hear().unwrap().is_ok());
    assert!(!talk.hear().unwrap().is_ok());
    assert!(talk.hear().unwrap().is_ok());
    assert_eq!(message(&mut talk), b"three\r\n");
    assert_eq!(talk.hear().unwrap().text(), b"3 c");
    assert!(talk.client.is_settled());
}

#[test]
fn p_089_commands_wait_in_order_until_they_are_written() {
    let mut client = Client::new(Limits::default());
    client.space()[..5].copy_from_slice(b"+OK\r\n");
    client.filled(5);
    client.reply().unwrap();
    client.submit(&StatCommand).unwrap();
    client.submit(&ListCommand).unwrap();
    assert_eq!(client.unsent(), b"STAT\r\nLIST\r\n");
    client.sent(4);
    client.submit(&NoopCommand).unwrap();
    assert_eq!(client.unsent(), b"\r\nLIST\r\nNOOP\r\n", "a short write loses nothing");
    client.sent(14);
    assert_eq!(client.unsent(), b"");
    // Whoever gives up in the middle of a write may say so: all of it, whatever that was.
    client.submit(&NoopCommand).unwrap();
    client.sent(2);
    client.sent(usize::MAX);
    assert_eq!(client.unsent(), b"");
}

#[test]
fn p_095_a_fault_of_the_system_says_whether_it_may_pass() {
    assert_eq!(code("-ERR [SYS/TEMP] disk full", false), Some(ResponseCode::SysTemp));
    assert_eq!(code("-ERR [SYS/PERM] no such store", false), Some(ResponseCode::SysPerm));
    assert_eq!(code("-ERR [SYS/PERM/x]", true), Some(ResponseCode::SysPerm));
}

#[test]
fn p_096_auth_names_the_credentials_and_silence_does_not() {
    assert_eq!(code("-ERR [AUTH] invalid login", false), Some(ResponseCode::Auth));
    assert_eq!(code("-ERR invalid login", false), None);
    assert_eq!(code("-ERR [AUTH", false), None);
}

#[test]
fn sasl_mechanisms_come_in_the_servers_order() {
    let capabilities = capa("SASL SCRAM-SHA-256 PLAIN X-OWN\r\n");
    let names: Vec<_> = capabilities.sasl_mechanisms().cloned().collect();
    assert_eq!(names, ["SCRAM-SHA-256".into(), "PLAIN".into(), "X-OWN".into()]);
    assert_eq!(capa("UIDL\r\n").sasl_mechanisms().count(), 0);
}

#[test]
fn a_masked_capability_is_as_good_as_not_announced() {
    let mut capabilities = capa("UIDL\r\nPIPELINING\r\nTOP\r\n");
    capabilities.mask(&["pipelining", "NO-SUCH"]);
    assert!(!capabilities.has("PIPELINING") && capabilities.has("UIDL") && capabilities.has("TOP"));
}

#[test]
fn a_capability_list_that_breaks_off_is_none() {
    let error = answer_under_every_cut(&CapaCommand, b"+OK\r\nUIDL\r\nSTL").unwrap_err();
    assert!(matches!(error, Error::Closed { .. }), "{error:?}");
}
