// STLS and the way to TLS: P-141, P-142, P-144, P-145, P-146, P-151, Q-019, Q-020, Q-021.

use popwire::proto::{Error as Protocol, Foreign};
use popwire::{Connector, Security, Timeouts, Tls, TlsProblem};
use popwire_server::Answer;

use crate::actor::{Act, Actor, pause, say};
use crate::setting::{alice, ended, login, ms, on_plain_port, plain, said, tls};

/// What an attacker would have the client believe of the session inside TLS.
const INJECTED: [&str; 4] =
    ["+OK fake\r\n", "+OK\r\nSASL PLAIN\r\n.\r\n", "-ERR [SYS/PERM] go away\r\n", "+"];

/// The pin of a key that nobody has.
const NO_KEY: &str = "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// STLS wanted, over a server that plays a script.
fn stls_with(actor: &Actor, security: Security) -> Connector {
    let mut timeouts = Timeouts::default();
    timeouts.tls = ms(2000);
    actor.connector().security(security).timeouts(timeouts)
}

case! {
    fn p_142_plain_text_after_the_ok_of_stls_ends_the_connection() {
        for injected in INJECTED {
            let server = alice().inject_after_stls(injected).start().unwrap();
            for security in [Security::Stls, Security::OpportunisticStls] {
                let error = go!(Client::connect(&on_plain_port(&server, security))).unwrap_err();
                assert_eq!(error.protocol(), Some(&Protocol::PlaintextAfterStls), "{injected:?}");
                assert!(!error.is_retryable(), "{error:?}");
                assert!(ended(&server).client_lines().iter().all(|line| line == "CAPA" || line == "STLS"));
            }
        }
    }

    fn p_142_plain_text_after_the_ok_of_a_later_stls_ends_it_too() {
        for injected in INJECTED {
            let server = alice().inject_after_stls(injected).start().unwrap();
            // It could log in without TLS; but not after this.
            let mut client = go!(Client::connect(&plain(&server))).unwrap();
            let error = go!(client.stls()).unwrap_err();
            assert_eq!(error.protocol(), Some(&Protocol::PlaintextAfterStls), "{injected:?}");
            assert!(client.is_broken() && client.tls().is_none());
            assert!(go!(client.login(&login())).is_err());
            drop(client);
            assert_eq!(ended(&server).client_lines(), ["CAPA", "STLS"]);
        }
    }

    fn p_142_plain_text_in_a_segment_of_its_own_ends_it_too() {
        let actor =
            Actor::play([say("+OK ready\r\n"), Act::Hear, say("+OK\r\n"), pause(50), say("+OK fake\r\n")]);
        let error = go!(Client::connect(&stls_with(&actor, Security::Stls))).unwrap_err();
        assert!(error.tls_problem() == Some(TlsProblem::NotTls) || error.is_protocol(), "{error:?}");
        assert!(actor.heard().starts_with("STLS\r\n\x16\x03"));
    }

    fn p_141_nothing_is_sent_between_stls_and_its_ok() {
        let actor = Actor::play([say("+OK ready\r\n"), Act::Hear, pause(200), say("-ERR no\r\n")]);
        let error = go!(Client::connect(&stls_with(&actor, Security::Stls))).unwrap_err();
        assert_eq!(error.tls_problem(), Some(TlsProblem::StlsRefused));
        assert_eq!(actor.heard(), "STLS\r\n");
    }

    fn p_144_required_tls_that_is_not_offered_or_refused_is_the_end() {
        for server in [
            alice().stls(false).start().unwrap(),
            alice().script("STLS", "-ERR [SYS/TEMP] no certificate\r\n").start().unwrap(),
            alice().script("STLS", "-ERR\r\n").start().unwrap(),
        ] {
            let connector = on_plain_port(&server, Security::Stls).dangerous_login_without_verified_tls();
            let error = go!(Client::connect(&connector)).unwrap_err();
            assert_eq!(error.tls_problem(), Some(TlsProblem::StlsRefused));
            assert!(error.is_tls() && !error.is_refused() && !error.is_authentication());
            // The server's words are kept.
            assert!(std::error::Error::source(&error).unwrap().to_string().contains("-ERR"));
            assert_eq!(ended(&server).client_lines(), ["STLS"]);
        }
    }

    fn p_141_a_refused_stls_leaves_a_plain_session_as_it_was() {
        let server = alice().script("STLS", "-ERR not today\r\n").start().unwrap();
        let mut client = go!(Client::connect(&plain(&server))).unwrap();
        let error = go!(client.stls()).unwrap_err();
        assert_eq!(error.tls_problem(), Some(TlsProblem::StlsRefused));
        assert!(!client.is_broken());
        go!(client.login(&login())).unwrap();
    }

    fn p_151_opportunistic_goes_on_after_a_refusal() {
        for server in [
            alice().stls(false).start().unwrap(),
            alice().script("STLS", "-ERR not now\r\n").start().unwrap(),
            alice().capa(false).start().unwrap(),
        ] {
            let connector =
                on_plain_port(&server, Security::OpportunisticStls).dangerous_login_without_verified_tls();
            let mut client = go!(Client::connect(&connector)).unwrap();
            assert!(client.tls().is_none());
            go!(client.login(&login())).unwrap();
        }
    }

    fn p_151_opportunistic_does_not_go_on_after_a_failed_handshake() {
        let opening =
            || [say("+OK ready\r\n"), Act::Hear, say("+OK\r\nSTLS\r\n.\r\n"), Act::Hear, say("+OK\r\n")];
        for rest in [
            vec![Act::Close],
            vec![pause(20), say("-ERR TLS is broken\r\n")],
            vec![pause(20), say([0x15, 3, 3, 0, 2, 2, 40])],
        ] {
            let actor = Actor::play(opening().into_iter().chain(rest));
            let error = go!(Client::connect(&stls_with(&actor, Security::OpportunisticStls))).unwrap_err();
            assert!(error.is_tls() || error.is_io(), "{error:?}");
            let heard = actor.heard();
            // After STLS nothing but a ClientHello; a server that closed at once did not even see that.
            let rest = heard.strip_prefix("CAPA\r\nSTLS\r\n").unwrap();
            assert!(rest.is_empty() || rest.starts_with("\x16\x03"), "{heard}");
        }
    }

    fn p_151_a_failed_handshake_ends_a_session_for_good() {
        let server = alice().start().unwrap();
        // Nobody signed this server's certificate for the system's roots.
        let mut client =
            go!(Client::connect(&plain(&server).tls(Tls::new().with_pinned_key(NO_KEY).unwrap()))).unwrap();
        assert_eq!(go!(client.stls()).unwrap_err().tls_problem(), Some(TlsProblem::WrongKey));
        assert!(client.is_broken() && client.tls().is_none());
        assert!(go!(client.login(&login())).is_err());
        assert!(go!(client.noop()).is_err());
        assert!(go!(client.stls()).is_err());
        drop(client);
        assert_eq!(ended(&server).client_lines(), ["CAPA", "STLS"]);
    }

    fn p_144_capabilities_are_forgotten_at_stls() {
        let server = alice()
            .script("CAPA", Answer::raw("+OK\r\nX-INJECTED\r\nUTF8 USER\r\nSTLS\r\nSTLS\r\n.\r\n").nth(1))
            .script("CAPA", Answer::raw("-ERR\r\n").nth(2))
            .start()
            .unwrap();
        let mut client = go!(Client::connect(&on_plain_port(&server, Security::OpportunisticStls))).unwrap();
        assert!(client.tls().is_some());
        assert_eq!(client.capabilities().iter().count(), 0);
        assert_eq!(said(&server), ["CAPA", "STLS", "CAPA"]);
        go!(client.login(&login())).unwrap();
    }

    fn p_144_response_codes_of_the_plain_phase_are_forgotten_too() {
        let server = alice()
            .script("CAPA", Answer::raw("+OK\r\nRESP-CODES\r\nSTLS\r\n.\r\n").nth(1))
            .script("CAPA", Answer::raw("+OK\r\nTOP\r\n.\r\n").nth(2))
            .script("NOOP", "+OK [IN-USE] is only text here\r\n")
            .start()
            .unwrap();
        let mut client = go!(Client::connect(&on_plain_port(&server, Security::OpportunisticStls))).unwrap();
        assert_eq!(go!(client.noop()).unwrap().code(), None);
    }

    fn p_144_what_the_plain_phase_said_is_forgotten_even_if_nobody_asks_again() {
        let lines = ["X-PLAIN", "RESP-CODES", "STLS"];
        let server = alice()
            .capability_lines(lines, lines)
            .script("NOOP", "+OK [IN-USE] is only text here\r\n")
            .start()
            .unwrap();
        let mut client = go!(Client::connect(&plain(&server).without_capa())).unwrap();
        assert!(go!(client.capa()).unwrap().has("X-PLAIN"));
        assert_eq!(go!(client.noop()).unwrap().code(), Some(&popwire::ResponseCode::InUse));
        go!(client.stls()).unwrap();
        assert_eq!(client.capabilities().iter().count(), 0);
        assert_eq!(go!(client.noop()).unwrap().code(), None);
        assert_eq!(said(&server), ["CAPA", "NOOP", "STLS", "NOOP"]);
    }

    fn p_145_no_second_stls_and_none_after_login() {
        let server = alice().start().unwrap();
        let mut client = go!(Client::connect(&on_plain_port(&server, Security::Stls))).unwrap();
        assert!(go!(client.stls()).unwrap_err().is_misuse());
        let mut late = go!(Client::connect(&plain(&server))).unwrap();
        go!(late.login(&login())).unwrap();
        assert!(go!(late.stls()).unwrap_err().is_misuse());
        go!(late.noop()).unwrap();
        assert!(!said(&server).contains(&"STLS".to_owned()));
    }

    fn p_146_no_stls_after_utf8() {
        let server = alice().utf8(true).start().unwrap();
        let mut client = go!(Client::connect(&plain(&server))).unwrap();
        go!(client.utf8()).unwrap();
        assert!(go!(client.stls()).unwrap_err().is_misuse());
        assert!(!said(&server).contains(&"STLS".to_owned()));
    }

    fn q_020_stls_is_no_capability_once_tls_is_there() {
        let server = alice().capability_lines(["TOP", "stls", "USER"], ["TOP", "STLS"]).start().unwrap();
        for connector in [
            tls(&server),
            on_plain_port(&server, Security::Stls),
            on_plain_port(&server, Security::OpportunisticStls),
        ] {
            let mut client = go!(Client::connect(&connector)).unwrap();
            // OpportunisticStls has to have seen it all the same, in the plain phase.
            assert!(client.tls().is_some());
            assert!(client.capabilities().has("TOP") && !client.capabilities().has("STLS"));
            assert!(!go!(client.capa()).unwrap().has("STLS"));
            go!(client.login(&login())).unwrap();
            assert!(!client.capabilities().has("STLS"));
            assert!(go!(client.quit()).is_committed());
            assert!(server.wait_closed(server.sessions().len(), ms(5000)));
        }
        let client = go!(Client::connect(&plain(&server))).unwrap();
        assert!(client.capabilities().has("STLS"));
    }

    fn q_015_a_port_that_speaks_something_else_says_so() {
        for (greeting, foreign) in [
            (&b"* OK IMAP4rev1 ready\r\n"[..], Foreign::Imap),
            (b"220 mail.example.org ESMTP\r\n", Foreign::Smtp),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", Foreign::Http),
            (&[0x15, 3, 1, 0, 2, 2, 70], Foreign::Tls),
        ] {
            let actor = Actor::play([say(greeting)]);
            let error = go!(Client::connect(&actor.connector())).unwrap_err();
            assert_eq!(error.protocol(), Some(&Protocol::NotPop3(foreign)));
            assert!(error.is_protocol() && !error.is_retryable());
            assert_eq!(actor.heard(), "", "something was sent to it");
        }
    }

    fn p_002_a_greeting_that_turns_away_is_shown() {
        let actor = Actor::play([say("-ERR [SYS/TEMP] Too many open connections\r\n"), Act::Close]);
        let error = go!(Client::connect(&actor.connector())).unwrap_err();
        assert!(error.is_refused() && error.is_temporary() && error.is_retryable(), "{error:?}");
        assert!(error.to_string().contains("Too many open connections"));
        assert_eq!(actor.heard(), "");
    }

    fn p_002_nothing_is_said_before_the_greeting() {
        let actor = Actor::play([pause(200), Act::Close]);
        let error = go!(Client::connect(&actor.connector())).unwrap_err();
        assert!(error.is_closed(), "{error:?}");
        assert_eq!(actor.heard(), "");
    }
}
