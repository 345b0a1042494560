// Logging in, and what the server says it can do: P-037, P-039, P-042 to P-046, P-076, P-080, P-085, P-154,
//

use popwire::{Login, State};
use popwire_server::{Answer, Maildrop, Server};

use crate::actor::{Act, Actor, answer, say};
use crate::setting::{MAIL, PASSWORD, alice, login, ms, plain, said, tls};

const PASS: &str = "PASS s3cret pass";

case! {
    fn p_037_a_connection_closed_after_a_refusal_is_a_refusal() {
        for answer in
            [Answer::raw("-ERR [AUTH] wrong\r\n").then_close(), Answer::raw("-ERR wrong\r\n").then_cut()]
        {
            let server = alice().script("PASS", answer).capability_lines(["USER"], ["USER"]).start().unwrap();
            let mut client = go!(Client::connect(&tls(&server))).unwrap();
            let error = go!(client.login(&login())).unwrap_err();
            assert!(
                error.is_authentication() && error.is_refused() && !error.is_io() && !error.is_retryable(),
                "{error:?}"
            );
            pause!(ms(50));
            // Only the next command finds the connection gone.
            assert!(go!(client.login(&login())).unwrap_err().is_io());
            assert!(client.is_broken());
        }
    }

    fn p_037_a_connection_closed_without_a_word_is_no_refusal() {
        let server = alice().script("PASS", Answer::raw("").then_close()).start().unwrap();
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        let error = go!(client.login(&login())).unwrap_err();
        assert!(error.is_closed() && error.is_retryable() && !error.is_authentication(), "{error:?}");
    }

    fn p_093_without_the_user_tag_stls_comes_first_and_user_only_if_nothing_else_is_possible() {
        // USER is left out before TLS, and there after it.
        let server = alice().require_tls(true).start().unwrap();
        let connector = crate::setting::on_plain_port(&server, popwire::Security::OpportunisticStls);
        let mut client = go!(Client::connect(&connector)).unwrap();
        assert!(client.capabilities().has("USER"));
        go!(client.login(&login())).unwrap();
        assert_eq!(said(&server)[..4], ["CAPA", "STLS", "CAPA", "USER alice"]);

        // No USER, no STLS, no SASL: it is tried where policy allows, and not where it does not.
        let server = alice().stls(false).capability_lines(["TOP"], ["TOP"]).start().unwrap();
        let mut client = go!(Client::connect(&plain(&server))).unwrap();
        go!(client.login(&login())).unwrap();
        let strict = crate::setting::on_plain_port(&server, popwire::Security::Plain);
        let mut client = go!(Client::connect(&strict)).unwrap();
        assert!(go!(client.login(&login())).unwrap_err().is_policy());
    }

    fn p_036_one_may_try_again() {
        let server = alice().capability_lines(["TOP"], ["TOP"]).start().unwrap();
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        let wrong = Login::password("alice", "wrong");
        assert!(go!(client.login(&wrong)).unwrap_err().is_authentication());
        assert_eq!(client.state(), State::Authorization);
        let reply = go!(client.login(&login())).unwrap();
        assert!(reply.is_ok());
        assert_eq!(client.state(), State::Transaction);
        assert_eq!(said(&server), ["CAPA", "USER alice", "PASS wrong", "USER alice", PASS, "CAPA"]);
    }

    fn p_039_pass_only_directly_after_a_user_that_was_taken() {
        let server = alice().script("USER bob", "-ERR never heard of bob\r\n").start().unwrap();
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        assert!(go!(client.pass(PASSWORD)).unwrap_err().is_misuse());
        assert!(go!(client.user("bob")).unwrap_err().is_refused());
        assert!(go!(client.pass(PASSWORD)).unwrap_err().is_misuse());
        go!(client.user("alice")).unwrap();
        // Something in between, and the USER is used up.
        let _ = go!(client.capa()).unwrap();
        assert!(go!(client.pass(PASSWORD)).unwrap_err().is_misuse());
        assert!(said(&server).iter().all(|line| !line.starts_with("PASS")));
        // a refused name is not followed by a password in a login either.
        assert!(go!(client.login(&Login::password("bob", PASSWORD))).unwrap_err().is_refused());
        assert!(said(&server).iter().all(|line| !line.starts_with("PASS")));
    }

    fn p_039_begin_again_at_user() {
        let server = alice().start().unwrap();
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        go!(client.user("alice")).unwrap();
        assert!(go!(client.pass("wrong")).is_err());
        assert!(go!(client.pass(PASSWORD)).unwrap_err().is_misuse());
        go!(client.user("alice")).unwrap();
        go!(client.pass(PASSWORD)).unwrap();
    }

    fn p_043_apop_has_the_digest_of_the_rfc() {
        let server = Server::builder()
            .user("mrose", "tanstaaf", Maildrop::memory(MAIL))
            .apop(true)
            .greeting("+OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>\r\n")
            .start()
            .unwrap();
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        go!(client.login(&Login::apop("mrose", "tanstaaf"))).unwrap();
        assert_eq!(said(&server), ["CAPA", "APOP mrose c4c9334bac560ecc979e58001b3e22fb", "CAPA"]);
        assert_eq!(go!(client.stat()).unwrap().messages, 2);
    }

    fn p_044_q_013_apop_only_with_a_timestamp_that_is_one() {
        for greeting in [
            "+OK ready",
            "+OK <>",
            "+OK <no-at>",
            "+OK <@>",
            "+OK <a b@c>",
            "+OK <a@b",
            "+OK <a@\u{e9}>",
            "+OK < a@b >",
        ] {
            let server = alice().greeting(format!("{greeting}\r\n")).start().unwrap();
            let mut client = go!(Client::connect(&tls(&server))).unwrap();
            assert!(
                go!(client.login(&Login::apop("alice", PASSWORD))).unwrap_err().is_misuse(),
                "{greeting}"
            );
            assert!(go!(client.apop("alice", PASSWORD)).unwrap_err().is_misuse(), "{greeting}");
            // No weaker method in its place.
            assert_eq!(said(&server), ["CAPA"], "{greeting}");
        }
    }

    fn p_046_the_timestamp_may_stand_anywhere() {
        for greeting in ["+OK <1@a> ready", "+OK buy <now> at <1@a>!", "+OK x <<1@a>> y"] {
            let server = alice().apop(true).greeting(format!("{greeting}\r\n")).start().unwrap();
            let mut client = go!(Client::connect(&tls(&server))).unwrap();
            go!(client.login(&Login::apop("alice", PASSWORD))).unwrap();
        }
    }

    fn q_012_brackets_in_a_greeting_are_no_code() {
        let greeting = "+OK The Microsoft Exchange POP3 service is ready. [UwBDADAAUABSADAAMQBDAEEA==]";
        let server = alice().greeting(format!("{greeting}\r\n")).start().unwrap();
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        assert_eq!(client.greeting().line().as_bytes(), greeting.as_bytes());
        assert_eq!(client.greeting().code(), None);
        go!(client.login(&login())).unwrap();
        let server = alice().greeting("+OK [SYS/TEMP] is only a joke\r\n").start().unwrap();
        assert_eq!(go!(Client::connect(&tls(&server))).unwrap().greeting().code(), None);
    }

    fn p_076_without_capa_there_is_the_base() {
        let server = alice().capa(false).start().unwrap();
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        assert_eq!(client.capabilities().iter().count(), 0);
        go!(client.login(&login())).unwrap();
        assert_eq!(go!(client.uidl()).unwrap().len(), 2);
        assert!(go!(client.capa()).unwrap_err().is_refused());
        assert!(go!(client.quit()).is_committed());
    }

    fn p_080_capabilities_are_asked_again_after_the_login_and_replaced() {
        let server = alice()
            .capability_lines(["USER", "SASL X-OWN", "STLS", "X-BEFORE"], ["PIPELINING", "UIDL"])
            .start()
            .unwrap();
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        assert!(client.capabilities().has("x-before") && client.capabilities().has("SASL"));
        go!(client.login(&login())).unwrap();
        let tags: Vec<_> =
            client.capabilities().iter().map(|capability| capability.tag.to_string()).collect();
        assert_eq!(tags, ["PIPELINING", "UIDL"]);
    }

    fn p_080_q_002_a_capa_refused_after_the_login_keeps_what_was_known() {
        let server = alice()
            .capability_lines(["USER", "SASL X-OWN", "TOP", "UIDL"], [""; 0])
            .script("CAPA", Answer::raw("-ERR\r\n").nth(2))
            .start()
            .unwrap();
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        go!(client.login(&login())).unwrap();
        assert!(client.capabilities().has("TOP") && client.capabilities().has("UIDL"));
        assert!(!client.capabilities().has("SASL") && !client.capabilities().has("STLS"));
        go!(client.noop()).unwrap();
    }

    fn p_090_nothing_is_sent_before_the_answer_to_the_login() {
        // Each answer takes its time; a client that sends ahead would have more than one line in a read.
        let slow = |text: &str| [Act::Hear, Act::Pause(ms(60)), say(text)];
        let script = [say("+OK\r\n")].into_iter().chain(
            [
                slow("+OK\r\nUSER\r\nPIPELINING\r\n.\r\n"),
                slow("+OK\r\n"),
                slow("+OK\r\n"),
                slow("+OK\r\nTOP\r\n.\r\n"),
            ]
            .into_iter()
            .flatten(),
        );
        let actor = Actor::play(script);
        let mut client = go!(Client::connect(&actor.connector())).unwrap();
        go!(client.login(&login())).unwrap();
        assert_eq!(
            actor.reads(),
            [&b"CAPA\r\n"[..], b"USER alice\r\n", b"PASS s3cret pass\r\n", b"CAPA\r\n"]
        );
    }

    fn q_001_a_client_may_be_told_not_to_ask() {
        let server = alice().script("CAPA", Answer::raw("").then_close()).start().unwrap();
        assert!(go!(Client::connect(&tls(&server))).unwrap_err().is_closed());
        for connector in
            [tls(&server), plain(&server), crate::setting::on_plain_port(&server, popwire::Security::Stls)]
        {
            let mut client = go!(Client::connect(&connector.without_capa())).unwrap();
            go!(client.login(&login())).unwrap();
            assert!(go!(client.quit()).is_committed());
            assert!(server.wait_closed(server.sessions().len(), ms(5000)));
            assert!(!said(&server).contains(&"CAPA".to_owned()));
        }
    }

    fn a_capability_may_be_masked() {
        let server = alice().start().unwrap();
        let connector = tls(&server).without_capability("uidl").without_capability("PIPELINING");
        let mut client = go!(Client::connect(&connector)).unwrap();
        assert!(client.capabilities().has("TOP") && !client.capabilities().has("UIDL"));
        go!(client.login(&login())).unwrap();
        assert!(!client.capabilities().has("PIPELINING") && !client.capabilities().has("UIDL"));
        assert!(!go!(client.capa()).unwrap().has("UIDL"));
        // It is as if the server had not said so; the command itself is not forbidden.
        assert_eq!(go!(client.uidl()).unwrap().len(), 2);
    }

    fn a_masked_stls_is_not_used() {
        let server = alice().start().unwrap();
        let connector = crate::setting::on_plain_port(&server, popwire::Security::OpportunisticStls)
            .without_capability("STLS");
        let client = go!(Client::connect(&connector)).unwrap();
        assert!(client.tls().is_none());
        assert_eq!(said(&server), ["CAPA"]);
    }

    fn p_077_q_008_q_009_capabilities_are_read_with_tolerance() {
        let lines =
            ["sasl PLAIN", "SASL  login \t", "Login-Delay 300 USER", "expire 0", "utf8 user", "SASL", "CAPA"];
        let server = alice().capability_lines(lines, lines).start().unwrap();
        let client = go!(Client::connect(&tls(&server))).unwrap();
        let capabilities = client.capabilities();
        let mechanisms: Vec<_> = capabilities.sasl_mechanisms().map(ToString::to_string).collect();
        assert_eq!(mechanisms, ["PLAIN", "login"]);
        // P-085, P-087
        assert_eq!(capabilities.login_delay(), Some(300));
        assert_eq!(capabilities.expire(), Some(popwire::Expire::Days(0)));
        assert!(capabilities.utf8_user() && capabilities.has("CAPA"));
    }

    fn q_011_a_capability_may_begin_with_a_dot() {
        let actor = Actor::play([say("+OK\r\n")].into_iter().chain(answer("+OK\r\n..X\r\nTOP\r\n.\r\n")));
        let client = go!(Client::connect(&actor.connector())).unwrap();
        assert!(client.capabilities().has(".X") && client.capabilities().has("TOP"));
    }

    fn p_154_names_and_passwords_that_are_not_ascii_need_the_servers_word() {
        let users = || Server::builder().user("älice", "päss", Maildrop::empty());
        let other = Login::password("alice", "päss");
        for login in
            [Login::password("älice", "päss"), other, Login::apop("älice", "x"), Login::apop("alice", "ä")]
        {
            for server in [
                users().apop(true).start().unwrap(),
                users().apop(true).capability_lines(["UTF8", "USER"], [""; 0]).start().unwrap(),
            ] {
                let mut client = go!(Client::connect(&tls(&server))).unwrap();
                let error = go!(client.login(&login)).unwrap_err();
                assert!(error.is_policy() && error.to_string().contains("UTF8"), "{error:?}");
                assert_eq!(said(&server), ["CAPA"]);
            }
        }
        // RFC 6856 section 2.2: announced as UTF8 USER, before or without the UTF8 command.
        let server = users().utf8(true).start().unwrap();
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        go!(client.login(&Login::password("älice", "päss"))).unwrap();
        // Or the caller knows better.
        let server = users().start().unwrap();
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        go!(client.login(&Login::password("älice", "päss").unannounced_utf8())).unwrap();
        assert!(said(&server).contains(&"USER älice".to_owned()));
    }

    fn q_054_an_empty_password_is_legal() {
        let server =
            Server::builder().user("alice", "", Maildrop::empty()).script("PASS", "+OK\r\n").start().unwrap();
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        go!(client.login(&Login::password("alice", ""))).unwrap();
        let octets = server.last_session().unwrap().client_octets();
        assert!(octets.windows(7).any(|part| part == b"PASS \r\n"), "{}", String::from_utf8_lossy(&octets));
    }

    fn p_170_rpop_is_a_login_too() {
        let server = alice().rpop(["alice"]).start().unwrap();
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        go!(client.login(&Login::rpop("alice"))).unwrap();
        assert_eq!(client.state(), State::Transaction);
        assert_eq!(said(&server), ["CAPA", "RPOP alice", "CAPA"]);
    }

    fn q_001_q_002_a_silent_capa_after_the_login_is_told_from_a_silent_login() {
        let server = alice().script("CAPA", Answer::raw("").nth(2)).start().unwrap();
        let mut timeouts = popwire::Timeouts::default();
        timeouts.capa = ms(150);
        let mut client = go!(Client::connect(&tls(&server).timeouts(timeouts))).unwrap();
        let error = go!(client.login(&login())).unwrap_err();
        assert!(
            error.is_timeout() && !error.is_authentication() && error.to_string().contains("CAPA"),
            "{error:?}"
        );
        assert_eq!(client.state(), State::Transaction);
    }
}
