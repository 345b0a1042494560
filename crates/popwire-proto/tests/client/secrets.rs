//! What must not be seen is not seen: in no trace, no error, no `Debug`, whatever the server does with it (P-133).

use std::cell::RefCell;
use std::fmt::{Debug, Display};

use popwire_proto::command::*;
use popwire_proto::{ArgumentError, Command, Error, Reply, Secret, Shape, Verb, apop};

use crate::talk::{Talk, pass, user};

const PASSWORD: &str = "hunter2-tanstaaf";
/// The same in base64, alone and as AUTH PLAIN sends it: NUL alice NUL password.
const BASE64: &str = "aHVudGVyMi10YW5zdGFhZg==";
const PLAIN: &str = "AGFsaWNlAGh1bnRlcjItdGFuc3RhYWY=";

/// The ways in which the octets of a secret could show: as they are, in base64, as a list of numbers.
fn forms(secret: &[u8]) -> Vec<String> {
    // A few octets give a secret away as well as all of them.
    let part = secret.get(..6).unwrap_or(secret);
    let decimal: Vec<_> = part.iter().map(ToString::to_string).collect();
    let pretty: Vec<_> = part.iter().map(|octet| format!("    {octet},\n")).collect();
    vec![
        String::from_utf8(part.to_vec()).unwrap(),
        BASE64[..8].to_owned(),
        PLAIN[12..20].to_owned(),
        decimal.join(", "),
        pretty.concat(),
    ]
}

#[track_caller]
fn hidden(secret: &[u8], shown: &str) {
    for form in forms(secret) {
        assert!(!shown.contains(&form), "{form} shows in {shown}");
    }
}

#[track_caller]
fn hidden_in(secret: &[u8], value: &impl Debug) {
    hidden(secret, &format!("{value:?}"));
    hidden(secret, &format!("{value:#?}"));
}

#[track_caller]
fn hidden_in_error(secret: &[u8], error: &(impl Debug + Display)) {
    hidden_in(secret, error);
    hidden(secret, &error.to_string());
}

/// A session in which this command is the next in order.
fn ready_for(verb: Verb) -> Talk {
    let mut talk = Talk::greeted();
    match verb {
        Verb::Pass => {
            talk.ask(&user("alice"), b"+OK\r\n").unwrap();
        }
        Verb::AuthResponse => {
            let auth = AuthCommand { mechanism: b"PLAIN".to_vec(), initial: None };
            talk.ask_for_reply(&auth, b"+ \r\n").unwrap();
        }
        _ => {}
    }
    talk
}

/// Every command that has a secret in it, one after the other, with that secret.
fn each_secret(mut test: impl SecretTest) {
    let digest = apop::digest(b"<1@h>", &Secret::from(PASSWORD));
    test.check(&pass(PASSWORD), PASSWORD.as_bytes());
    test.check(&ApopCommand { name: b"alice".to_vec(), digest: digest.clone() }, digest.expose());
    let initial = Some(PLAIN.into());
    test.check(&AuthCommand { mechanism: b"PLAIN".to_vec(), initial }, PLAIN.as_bytes());
    test.check(&AuthResponseCommand { response: BASE64.into() }, BASE64.as_bytes());
    for word in ["PASS", "pass", "Auth"] {
        test.check(&RawCommand::single(format!("{word} {PASSWORD}")), PASSWORD.as_bytes());
        test.check(&RawCommand::multi(format!("{word} {PASSWORD}")), PASSWORD.as_bytes());
    }
}

/// A test that fits every command.
trait SecretTest {
    fn check<C: Command + Debug>(&mut self, command: &C, secret: &[u8]);
}

#[test]
fn p_133_no_command_and_no_trace_of_one_shows_its_secret() {
    struct Submission;
    impl SecretTest for Submission {
        fn check<C: Command + Debug>(&mut self, command: &C, secret: &[u8]) {
            hidden_in(secret, command);
            let mut talk = ready_for(command.verb());
            let submitted = talk.client.submit(command).unwrap();
            assert!(submitted.is_redacted());
            hidden_in(secret, &submitted);
            hidden(secret, &submitted.to_string());
            hidden(secret, &String::from_utf8_lossy(submitted.public()));
            hidden_in(secret, &talk);
            let wire = String::from_utf8(talk.client.unsent().to_vec()).unwrap();
            assert!(wire.contains(std::str::from_utf8(secret).unwrap()), "it is sent all the same: {wire}");
            talk.client.sent(wire.len());
            hidden_in(secret, &talk);
        }
    }
    each_secret(Submission);
    Submission.check(&RawCommand::single(format!("APOP alice {PASSWORD}")), PASSWORD.as_bytes());
    Submission.check(&RawCommand::multi(format!("AUTH PLAIN {PASSWORD}")), PASSWORD.as_bytes());
}

#[test]
fn p_133_what_may_be_shown_of_a_line_is_shown() {
    let mut talk = Talk::greeted();
    assert_eq!(talk.client.submit(&user("alice")).unwrap().to_string(), "USER alice");
    let mut talk = ready_for(Verb::Pass);
    assert_eq!(talk.client.submit(&pass(PASSWORD)).unwrap().to_string(), "PASS ********");
    let apop = ApopCommand { name: b"alice".to_vec(), digest: "abcdef".into() };
    let mut talk = Talk::greeted();
    assert_eq!(talk.client.submit(&apop).unwrap().to_string(), "APOP alice ********");
    let auth = AuthCommand { mechanism: b"PLAIN".to_vec(), initial: Some(PLAIN.into()) };
    let mut talk = Talk::greeted();
    assert_eq!(talk.client.submit(&auth).unwrap().to_string(), "AUTH PLAIN ********");
    let mut talk = ready_for(Verb::AuthResponse);
    let response = AuthResponseCommand { response: BASE64.into() };
    assert_eq!(talk.client.submit(&response).unwrap().to_string(), "********");
    let mut talk = Talk::logged_in();
    assert_eq!(talk.client.submit(&RetrCommand { number: 5 }).unwrap().to_string(), "RETR 5");
}

#[test]
fn p_133_a_server_that_repeats_a_secret_has_its_text_withheld() {
    struct Echo;
    impl SecretTest for Echo {
        fn check<C: Command + Debug>(&mut self, command: &C, secret: &[u8]) {
            for status in ["-ERR unknown: ", "+OK hello ", "-ERR [AUTH] "] {
                let mut talk = ready_for(command.verb());
                talk.client.submit(command).unwrap();
                talk.server(&[status.as_bytes(), secret, b" was that?\r\n"].concat());
                // The +OK of a raw answer of many lines has its end to come.
                if command.shape() == Shape::MultiLine && status.starts_with('+') {
                    talk.server(b".\r\n");
                }
                let reply = talk.hear().unwrap();
                hidden_in(secret, &reply);
                hidden(secret, &reply.to_string());
                hidden(secret, &String::from_utf8_lossy(reply.text()));
                hidden(secret, &String::from_utf8_lossy(reply.line().as_bytes()));
                assert_eq!(reply.is_ok(), status.starts_with('+'), "the status is not withheld");
                assert!(!reply.text().is_empty(), "and it is said that something is");
            }
        }
    }
    each_secret(Echo);
}

#[test]
fn p_133_a_text_that_repeats_nothing_is_not_withheld() {
    let mut talk = ready_for(Verb::Pass);
    assert_eq!(talk.ask_for_reply(&pass(PASSWORD), b"-ERR wrong\r\n").unwrap().text(), b"wrong");
    let mut talk = ready_for(Verb::Pass);
    assert_eq!(
        talk.ask_for_reply(&pass(""), b"-ERR wrong\r\n").unwrap().text(),
        b"wrong",
        "nor an empty one"
    );
}

#[test]
fn p_133_a_server_that_repeats_the_secret_of_a_raw_line_without_its_name_has_its_text_withheld() {
    for line in [format!("APOP alice {PASSWORD}"), format!("AUTH PLAIN {PASSWORD}")] {
        let echo = format!("-ERR what is {PASSWORD}?\r\n");
        let reply = Talk::greeted().ask_for_reply(&RawCommand::single(line), echo.as_bytes()).unwrap();
        hidden(PASSWORD.as_bytes(), &reply.to_string());
    }
}

#[test]
fn p_133_a_response_code_that_repeats_a_secret_is_withheld() {
    let mut talk = ready_for(Verb::Pass);
    talk.client.set_response_codes(true);
    let echo = format!("-ERR [{PASSWORD}] is not the password\r\n");
    let reply = talk.ask_for_reply(&pass(PASSWORD), echo.as_bytes()).unwrap();
    hidden_in(PASSWORD.as_bytes(), &reply.code());
}

#[test]
fn p_133_an_echo_in_the_place_of_a_status_line_is_withheld() {
    // What a terminal server or an echo service does with a line.
    struct Echo;
    impl SecretTest for Echo {
        fn check<C: Command + Debug>(&mut self, command: &C, secret: &[u8]) {
            let mut talk = ready_for(command.verb());
            let line = talk.send(command).unwrap();
            // Where a continuation may come, a line could begin with a plus; none of these does.
            talk.server(&line);
            let error = talk.hear().unwrap_err();
            assert!(matches!(error, Error::NotAStatusLine(_)), "{error:?}");
            hidden_in_error(secret, &error);
        }
    }
    each_secret(Echo);
}

#[test]
fn p_133_a_server_that_repeats_the_password_out_of_a_sasl_response_has_its_text_withheld() {
    let echo = format!("-ERR wrong password {PASSWORD}\r\n");
    let auth = AuthCommand { mechanism: b"PLAIN".to_vec(), initial: Some(PLAIN.into()) };
    let reply = Talk::greeted().ask_for_reply(&auth, echo.as_bytes()).unwrap();
    hidden(PASSWORD.as_bytes(), &reply.to_string());
    let response = AuthResponseCommand { response: BASE64.into() };
    let reply = ready_for(Verb::AuthResponse).ask_for_reply(&response, echo.as_bytes()).unwrap();
    hidden(PASSWORD.as_bytes(), &reply.to_string());
}

#[test]
fn p_133_the_machine_itself_shows_nothing_that_it_received() {
    let mut talk = ready_for(Verb::Pass);
    let echo = format!("-ERR unknown command PASS {PASSWORD}\r\n");
    talk.ask_for_reply(&pass(PASSWORD), echo.as_bytes()).unwrap();
    hidden_in(PASSWORD.as_bytes(), &talk.client);
    let mut talk = Talk::logged_in();
    let letter = b"+OK\r\nSubject: my diary\r\n";
    talk.ask_for_reply(&RetrCommand { number: 1 }, letter).unwrap();
    hidden_in(b"my diary", &talk.client);
    assert!(format!("{:?}", talk.client).len() < 4096, "a Debug is to be read by people");
}

#[test]
fn p_133_a_line_in_the_making_shows_no_secret() {
    #[derive(Debug)]
    struct Nosy {
        password: Secret,
        seen: RefCell<String>,
    }
    impl Command for Nosy {
        type Answer = Reply;

        fn verb(&self) -> Verb {
            Verb::Apop
        }

        fn encode(&self, line: &mut Line<'_>) -> Result<(), ArgumentError> {
            line.argument("alice")?;
            line.secret(&self.password)?;
            *self.seen.borrow_mut() = format!("{line:?}");
            Ok(())
        }

        fn decode(&self, reply: Reply, _: &popwire_proto::Limits) -> Result<Reply, Error> {
            Ok(reply)
        }
    }
    let nosy = Nosy { password: PASSWORD.into(), seen: RefCell::default() };
    Talk::greeted().send(&nosy).unwrap();
    hidden(PASSWORD.as_bytes(), &nosy.seen.borrow());
}

#[test]
fn p_133_a_raw_line_that_answers_a_challenge_is_a_secret() {
    let mut talk = Talk::greeted();
    talk.ask_for_reply(&RawCommand::single("AUTH PLAIN"), b"+ \r\n").unwrap();
    let line = RawCommand::single(PLAIN);
    let submitted = talk.client.submit(&line).unwrap();
    hidden(PLAIN.as_bytes(), &submitted.to_string());
}

#[test]
fn p_133_a_raw_pass_is_known_however_it_is_spaced() {
    for line in [format!(" PASS {PASSWORD}"), format!("PASS\t{PASSWORD}")] {
        let mut talk = Talk::greeted();
        let shown = talk.client.submit(&RawCommand::single(&line)).unwrap().to_string();
        hidden(PASSWORD.as_bytes(), &shown);
    }
}

#[test]
fn p_133_errors_about_an_argument_do_not_repeat_it() {
    let mut talk = ready_for(Verb::Pass);
    for password in [format!("{PASSWORD}\r\nDELE 1"), PASSWORD.repeat(30)] {
        let error = talk.send(&pass(&password)).unwrap_err();
        hidden_in_error(PASSWORD.as_bytes(), &error);
        hidden_in(PASSWORD.as_bytes(), &talk);
        assert_eq!(talk.client.unsent(), b"");
    }
    let error = Talk::greeted().send(&pass(PASSWORD)).unwrap_err();
    hidden_in_error(PASSWORD.as_bytes(), &error);
}

#[test]
fn p_133_errors_after_a_secret_was_sent_do_not_repeat_it() {
    let mut talk = ready_for(Verb::Pass);
    talk.send(&pass(PASSWORD)).unwrap();
    talk.server(format!("-ERR {PASSWORD}").as_bytes());
    talk.server_closes();
    hidden_in_error(PASSWORD.as_bytes(), &talk.hear().unwrap_err());
    let mut talk = ready_for(Verb::Pass);
    talk.send(&pass(PASSWORD)).unwrap();
    talk.server(format!("-ERR {}", PASSWORD.repeat(200)).as_bytes());
    hidden_in_error(PASSWORD.as_bytes(), &talk.hear().unwrap_err());
}

#[test]
fn a_text_of_the_server_cannot_drive_the_terminal_it_is_shown_on() {
    let mut talk = Talk::logged_in();
    let evil = "\x1b[2J\u{202e}gnp\u{7}\u{feff}\u{9b}31m";
    let reply = talk.ask_for_reply(&NoopCommand, format!("-ERR {evil}\r\n").as_bytes()).unwrap();
    for shown in [reply.to_string(), format!("{reply:?}")] {
        assert!(shown.chars().all(|c| (' '..='~').contains(&c)), "{shown}");
    }
    let error = talk.ask_for_reply(&NoopCommand, format!("{evil}\r\n").as_bytes()).unwrap_err();
    for shown in [error.to_string(), format!("{error:?}")] {
        assert!(shown.chars().all(|c| (' '..='~').contains(&c)), "{shown}");
    }
}
