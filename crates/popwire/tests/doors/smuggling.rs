// No argument smuggles a second command: P-031, P-007, P-034, Q-055.

use popwire::Error;

use crate::setting::{PASSWORD, alice, ended, login, said, tls};

/// Octets that end a line, and what could come after them.
const SMUGGLED: [&str; 5] = ["a\r\nDELE 1", "a\nDELE 1", "a\rDELE 1", "a\0DELE 1", "DELE 1\r\n"];

helper! {
    /// A session before login, in which APOP can be tried.
    fn before_login(server: &popwire_server::Server) -> Client {
        go!(Client::connect(&tls(server))).unwrap()
    }
}

#[track_caller]
fn is_refused_here<T: std::fmt::Debug>(answer: Result<T, Error>) {
    let error = answer.unwrap_err();
    assert!(error.is_misuse(), "{error:?}");
    assert!(!error.is_retryable() && !error.is_refused(), "{error:?}");
}

case! {
    fn p_031_no_argument_before_login_smuggles_a_command() {
        let server = alice().apop(true).lang([("en", "English")]).start().unwrap();
        let mut client = go!(before_login(&server));
        let before = said(&server);
        for bad in SMUGGLED {
            is_refused_here(go!(client.user(bad)));
            is_refused_here(go!(client.rpop(bad)));
            is_refused_here(go!(client.apop(bad, PASSWORD)));
            is_refused_here(go!(client.raw(bad)));
            is_refused_here(go!(client.raw_multi(bad)));
            is_refused_here(go!(client.raw(format!("PASS {bad}"))));
            is_refused_here(go!(client.lang_set(bad)));
            is_refused_here(go!(client.auth(bad, None)));
            is_refused_here(go!(client.auth("PLAIN", Some(bad.into()))));
            is_refused_here(go!(client.login(&popwire::Login::password(bad, PASSWORD))));
            is_refused_here(go!(client.login(&popwire::Login::apop(bad, PASSWORD))));
            is_refused_here(go!(client.login(&popwire::Login::rpop(bad))));
        }
        assert_eq!(said(&server), before, "an octet of it went out");
        go!(client.login(&login())).unwrap();
        assert_eq!(go!(client.stat()).unwrap().messages, 2);
        assert!(go!(client.quit()).is_committed());
        assert_eq!(
            ended(&server).client_lines(),
            ["CAPA", "USER alice", &format!("PASS {PASSWORD}"), "CAPA", "STAT", "QUIT"]
        );
    }

    fn p_031_no_password_smuggles_a_command() {
        let server = alice().start().unwrap();
        let mut client = go!(before_login(&server));
        for bad in SMUGGLED {
            go!(client.user("alice")).unwrap();
            is_refused_here(go!(client.pass(bad)));
            // The refused PASS has not used the USER up.
            go!(client.pass(PASSWORD)).unwrap();
            assert!(go!(client.quit()).is_committed());
            assert!(server.wait_closed(server.sessions().len(), std::time::Duration::from_secs(5)));
            client = go!(before_login(&server));
        }
        is_refused_here(go!(client.login(&popwire::Login::password("alice", SMUGGLED[0]))));
        drop(client);
        for session in {
            let _ = ended(&server);
            server.sessions()
        } {
            let octets = String::from_utf8_lossy(&session.client_octets()).into_owned();
            assert!(!octets.contains("DELE") && !octets.contains('\0'), "{session}");
        }
    }

    fn p_031_a_login_with_a_password_that_cannot_be_sent_sends_nothing() {
        let server = alice().start().unwrap();
        let mut client = go!(before_login(&server));
        for bad in SMUGGLED.into_iter().chain(["x".repeat(250).as_str()]) {
            is_refused_here(go!(client.login(&popwire::Login::password("alice", bad))));
            assert_eq!(said(&server), ["CAPA"]);
        }
        go!(client.login(&login())).unwrap();
    }

    fn p_031_no_sasl_response_smuggles_a_command() {
        let server = alice().script("AUTH", "+ \r\n").script("*", "-ERR cancelled\r\n").start().unwrap();
        let mut client = go!(before_login(&server));
        assert_eq!(go!(client.auth("PLAIN", None)).unwrap().status(), popwire::Status::Continue);
        let before = said(&server);
        for bad in SMUGGLED {
            is_refused_here(go!(client.auth_response(bad)));
        }
        assert_eq!(said(&server), before);
        // The exchange is where it was, and can be ended.
        assert!(go!(client.auth_response("*")).unwrap_err().is_refused());
        go!(client.login(&login())).unwrap();
    }

    fn p_007_a_line_beyond_255_octets_is_not_sent() {
        let server = alice().start().unwrap();
        let mut client = go!(before_login(&server));
        let before = said(&server);
        // "USER " and CRLF are 7 octets.
        is_refused_here(go!(client.user("x".repeat(249))));
        assert_eq!(said(&server), before);
        go!(client.user("x".repeat(248))).unwrap();
        is_refused_here(go!(client.pass("x".repeat(249))));
        is_refused_here(go!(client.raw("x".repeat(254))));
        assert_eq!(said(&server).len(), before.len() + 1);
    }

    fn p_034_there_is_no_message_0() {
        let server = alice().start().unwrap();
        let mut client = go!(before_login(&server));
        go!(client.login(&login())).unwrap();
        let before = said(&server);
        is_refused_here(go!(client.list_one(0)));
        is_refused_here(go!(client.uidl_one(0)));
        is_refused_here(go!(client.dele(0)));
        is_refused_here(go!(client.retr(0)).map(drop));
        is_refused_here(go!(client.top(0, 1)).map(drop));
        assert_eq!(said(&server), before);
        go!(client.noop()).unwrap();
    }

    fn q_055_blanks_in_a_name_or_password_pass_unchanged() {
        let name = "user name/host#x:v=1";
        let server = popwire_server::Server::builder()
            .user(name, " two  blanks ", popwire_server::Maildrop::empty())
            .start()
            .unwrap();
        let mut client = go!(before_login(&server));
        go!(client.login(&popwire::Login::password(name, " two  blanks "))).unwrap();
        assert!(said(&server).contains(&"PASS  two  blanks ".to_owned()));
    }
}
