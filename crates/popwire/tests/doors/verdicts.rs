// What a refusal of AUTH means, and whether another way may follow: P-095, P-096, P-098, P-100, P-105, P-107, P-108, P-111, Q-026,
//

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use popwire::proto::sasl::server::Fault;
use popwire::{Error, Login, Mechanism, Method, State};
use popwire_server::{Builder, Server};

use crate::actor::{Act, Actor, answer, say};
use crate::setting::{PASSWORD, alice, ended, login, plain, said, tls};

/// Every way unasked, the bound ones aside.
const ALL: &str = "SASL SCRAM-SHA-256 PLAIN LOGIN";

/// Alice, CAPA with these lines, and the mechanisms that work.
fn announces(lines: &[&str]) -> Builder {
    alice().sasl([Mechanism::ScramSha256, Mechanism::Plain, Mechanism::Login]).capability_lines(lines, lines)
}

/// The ways that the last session tried.
fn ways(server: &Server) -> Vec<String> {
    let way = |line: &String| match line.split_once(' ') {
        Some(("AUTH", rest)) => rest.split(' ').next().map(str::to_owned),
        Some((word @ ("USER" | "APOP" | "PASS"), _)) => Some(word.to_owned()),
        _ => None,
    };
    said(server).iter().filter_map(way).collect()
}

fn methods(error: &Error) -> Vec<String> {
    error.attempts().iter().map(|attempt| attempt.method.to_string()).collect()
}

helper! {
    /// The error of a login, over TLS.
    fn refused(server: &Server, login: Login) -> Error {
        let mut client = go!(Client::connect(&tls(server))).unwrap();
        let error = go!(client.login(&login)).unwrap_err();
        assert!(!client.is_broken(), "{error}");
        error
    }
}

case! {
    fn p_111_after_a_proof_was_refused_there_is_no_second_way() {
        let mechanisms = [
            Mechanism::ScramSha512Plus,
            Mechanism::ScramSha256,
            Mechanism::DigestMd5,
            Mechanism::CramMd5,
            Mechanism::Ntlm,
            Mechanism::Plain,
            Mechanism::Login,
        ];
        for (nth, first) in mechanisms.into_iter().enumerate() {
            let server = alice().sasl(mechanisms).start().unwrap();
            let wrong = Login::password("alice", "wrong");
            for login in [
                wrong.clone().methods(mechanisms[nth..].iter().copied()),
                // The first and the last are taken unasked too.
                if nth == 0 { wrong.clone() } else { wrong.clone().methods([first]) },
            ] {
                let error = go!(refused(&server, login));
                assert!(error.is_authentication() && !error.is_method_refused(), "{error}");
                assert!(!error.is_retryable() && error.retry_after().is_none(), "{error}");
                assert_eq!(ways(&server), [first.name()]);
                assert_eq!(methods(&error), [first.name()]);
                assert!(error.attempts()[0].reply.as_ref().is_some_and(|reply| !reply.is_ok()));
                assert!(!error.attempts()[0].closed);
            }
        }
    }

    fn p_111_after_a_failure_another_login_may_follow_on_the_connection() {
        let server = alice().sasl([Mechanism::ScramSha256, Mechanism::Plain]).start().unwrap();
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        for _ in 0..2 {
            assert!(go!(client.login(&Login::password("alice", "wrong"))).unwrap_err().is_authentication());
            assert_eq!(client.state(), State::Authorization);
        }
        go!(client.login(&login().methods([Mechanism::Plain]))).unwrap();
        assert_eq!(ways(&server), ["SCRAM-SHA-256", "SCRAM-SHA-256", "PLAIN"]);
    }

    fn p_100_who_is_logged_in_does_not_show_the_password_again() {
        let server = alice().sasl([Mechanism::Plain]).start().unwrap();
        for login in [login(), login().methods([Method::UserPass])] {
            let mut client = go!(Client::connect(&tls(&server))).unwrap();
            go!(client.login(&login)).unwrap();
            let before = said(&server);
            let error = go!(client.login(&login)).unwrap_err();
            assert_eq!(said(&server), before, "{error}");
            assert!(error.is_misuse(), "{error}");
            assert_eq!(go!(client.stat()).unwrap().messages, 2);
            drop(client);
            let _ = ended(&server);
        }
    }

    fn p_096_auth_at_the_first_message_of_scram_blames_the_name() {
        for lines in [&[ALL][..], &[ALL, "RESP-CODES", "AUTH-RESP-CODE", "USER"]] {
            let server = announces(lines).script("AUTH SCRAM-SHA-256", "-ERR [AUTH] who?\r\n").start().unwrap();
            let error = go!(refused(&server, login()));
            assert!(error.is_authentication() && !error.is_method_refused(), "{error}");
            assert_eq!(ways(&server), ["SCRAM-SHA-256"]);
        }
    }

    fn p_111_without_a_code_the_next_way_follows_on_the_same_connection() {
        for refusal in ["-ERR\r\n", "-ERR unsupported\r\n", "-ERR authentication failed\r\n"] {
            for lines in [&[ALL][..], &[ALL, "RESP-CODES", "AUTH-RESP-CODE", "USER"]] {
                let server = announces(lines).script("AUTH SCRAM-SHA-256", refusal).start().unwrap();
                let mut client = go!(Client::connect(&tls(&server))).unwrap();
                go!(client.login(&login())).unwrap();
                assert_eq!(ways(&server), ["SCRAM-SHA-256", "PLAIN"]);
                assert_eq!(server.sessions().len(), 1);
            }
        }
    }

    fn p_126_auth_at_a_bound_first_message_may_mean_the_binding() {
        let lines = ["SASL SCRAM-SHA-256-PLUS SCRAM-SHA-256", "AUTH-RESP-CODE"];
        let server = announces(&lines).script("AUTH SCRAM-SHA-256-PLUS", "-ERR [AUTH] no\r\n").start().unwrap();
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        go!(client.login(&login())).unwrap();
        assert_eq!(ways(&server), ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]);
    }

    fn p_096_auth_to_a_name_of_a_mechanism_blames_nobody() {
        for refusal in ["-ERR [AUTH] no\r\n", "-ERR no\r\n", "-ERR unknown mechanism\r\n"] {
            for mechanism in
                [Mechanism::CramMd5, Mechanism::Login, Mechanism::DigestMd5, Mechanism::Plain, Mechanism::Ntlm]
            {
                let lines = ["RESP-CODES", "AUTH-RESP-CODE", "SASL CRAM-MD5 LOGIN DIGEST-MD5 NTLM"];
                let server = announces(&lines).script("AUTH", refusal).start().unwrap();
                let error = go!(refused(&server, login().methods([mechanism])));
                assert!(error.is_method_refused() && !error.is_authentication(), "{error}");
                assert!(error.is_refused() && !error.is_retryable(), "{error}");
                assert_eq!(ways(&server), [mechanism.name()]);
            }
            let server = announces(&["SASL XOAUTH2"]).script("AUTH", refusal).start().unwrap();
            let error = go!(refused(&server, Login::token("alice", "t0ken")));
            assert!(error.is_method_refused() && !error.is_authentication(), "{error}");
        }
    }

    fn q_046_an_unknown_code_at_the_name_is_no_word_on_the_credentials() {
        let lines = [ALL, "RESP-CODES"];
        let server = announces(&lines).script("AUTH", "-ERR [REFERRAL/pop://x] go there\r\n").start().unwrap();
        let error = go!(refused(&server, login().methods([Mechanism::ScramSha256])));
        assert!(!error.is_authentication(), "{error}");
    }

    fn p_096_auth_to_user_settles_it() {
        let server = announces(&["USER", "SASL LOGIN"]).script("USER", "-ERR [AUTH] who?\r\n").start().unwrap();
        assert!(go!(refused(&server, login())).is_authentication());
        assert_eq!(ways(&server), ["USER"]);
    }

    fn p_111_there_is_a_budget_of_attempts() {
        let lines = ["SASL SCRAM-SHA-512 SCRAM-SHA-256 SCRAM-SHA-1 SCRAM-SHA-1-PLUS LOGIN", "USER"];
        let order = ["SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1", "USER", "LOGIN"];
        let server = announces(&lines).script("AUTH", "-ERR no\r\n").script("USER", "-ERR no\r\n").start().unwrap();
        for (budget, attempts) in [(Some(0), 1), (Some(1), 1), (Some(2), 2), (None, 4), (Some(9), 6)] {
            let login = budget.map_or(login(), |budget| login().attempts(budget));
            let error = go!(refused(&server, login));
            assert_eq!(ways(&server), order[..attempts]);
            assert_eq!(methods(&error), order[..attempts]);
            assert!(error.is_refused(), "{error}");
        }
    }

    fn p_111_the_error_tells_every_way_and_the_servers_words_in_order() {
        let lines = ["SASL SCRAM-SHA-256 SCRAM-SHA-1 LOGIN", "USER"];
        let server = announces(&lines)
            .script("AUTH SCRAM-SHA-256", "-ERR first words\r\n")
            .script("AUTH SCRAM-SHA-1", "-ERR second words\r\n")
            .script("USER", "-ERR third words\r\n")
            .script("AUTH LOGIN", "-ERR fourth words\r\n")
            .start()
            .unwrap();
        let error = go!(refused(&server, login()));
        let words = ["first words", "second words", "third words", "fourth words"];
        for (attempt, words) in error.attempts().iter().zip(words) {
            assert_eq!(attempt.reply.as_ref().unwrap().text(), words.as_bytes());
            assert!(!attempt.closed && attempt.error.is_none() && !attempt.is_token());
        }
        let text = error.to_string();
        let tried = &text[text.find("tried").expect("it tells what was tried")..];
        let order = [
            "SCRAM-SHA-256", words[0], "SCRAM-SHA-1", words[1], "USER", words[2], "LOGIN", words[3],
        ];
        let places: Vec<_> = order.iter().map(|word| tried.find(word)).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{text}");
        assert_eq!(methods(&error), ["SCRAM-SHA-256", "SCRAM-SHA-1", "USER", "LOGIN"]);
    }

    fn p_095_codes_that_hold_for_every_way_stop_it() {
        const HOUR: u64 = 3600;
        for (code, announced, after) in [
            ("IN-USE", None, Some(60)),
            ("IN-USE", Some(HOUR), Some(HOUR)),
            ("IN-USE", Some(10), Some(60)),
            ("LOGIN-DELAY", None, Some(300)),
            ("LOGIN-DELAY", Some(HOUR), Some(HOUR)),
            ("LOGIN-DELAY", Some(10), Some(10)),
            ("SYS/TEMP", None, Some(60)),
            ("SYS/PERM", None, None),
            ("SYS/PERM", Some(HOUR), None),
        ] {
            let delay = announced.map(|seconds| format!("LOGIN-DELAY {seconds}"));
            let lines: Vec<&str> = [ALL, "USER"].into_iter().chain(delay.as_deref()).collect();
            // Before the proof, and after it.
            for command in ["AUTH SCRAM-SHA-256", "AUTH PLAIN", "USER"] {
                let named: Method = match command {
                    "USER" => Method::UserPass,
                    other => Method::Sasl(other[5..].parse().unwrap()),
                };
                let login = login().methods([named, Mechanism::Login.into()]);
                let refusal = format!("-ERR [{code}] wrong password\r\n");
                let server = announces(&lines).script(command, refusal).start().unwrap();
                let error = go!(refused(&server, login));
                assert_eq!(ways(&server), [named.name()], "{code}");
                assert!(!error.is_authentication() && !error.is_method_refused(), "{error}");
                assert_eq!(error.is_in_use(), code == "IN-USE");
                assert_eq!(error.is_login_delay(), code == "LOGIN-DELAY");
                assert_eq!(error.is_temporary(), code != "SYS/PERM");
                assert_eq!(error.is_retryable(), code != "SYS/PERM");
                assert_eq!(error.is_permanent(), code == "SYS/PERM");
                assert_eq!(error.retry_after(), after.map(Duration::from_secs), "{code} {announced:?}");
            }
        }
    }

    fn p_098_q_029_words_that_hold_for_every_way_stop_it() {
        for words in ["Server Unavailable. 21", "maildrop locked", "too many connections", "please wait"] {
            for command in ["AUTH SCRAM-SHA-256", "AUTH PLAIN"] {
                let refusal = format!("-ERR {words}\r\n");
                let server = announces(&[ALL, "USER"]).script(command, refusal).start().unwrap();
                let first: Mechanism = if command == "AUTH PLAIN" { Mechanism::Plain } else { Mechanism::ScramSha256 };
                let error = go!(refused(&server, login().methods([first, Mechanism::Login])));
                assert!(error.is_temporary() && !error.is_authentication(), "{error}");
                assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
                assert_eq!(ways(&server), [first.name()]);
            }
        }
        let server = announces(&["SASL XOAUTH2 OAUTHBEARER"])
            .script("AUTH OAUTHBEARER", "-ERR Server Unavailable. 21\r\n")
            .start()
            .unwrap();
        let error = go!(refused(&server, Login::token("alice", "t0ken")));
        assert!(error.is_temporary() && !error.is_authentication(), "{error}");
        assert_eq!(ways(&server), ["OAUTHBEARER"]);
    }

    fn q_030_a_refused_token_is_told_from_a_refused_password() {
        let words = "-ERR Logon failure: unknown user name or bad password.\r\n";
        let server = announces(&["SASL OAUTHBEARER PLAIN"]).script("AUTH", words).start().unwrap();
        let error = go!(refused(&server, Login::token("alice", "t0ken")));
        assert!(error.is_authentication() && error.attempts()[0].is_token(), "{error}");
        assert_eq!(error.attempts()[0].token_octets, Some(5));
        let error = go!(refused(&server, login().methods([Mechanism::Plain])));
        assert!(error.is_authentication() && !error.attempts()[0].is_token(), "{error}");
    }

    fn p_096_where_the_code_is_announced_a_refused_proof_without_it_is_final_all_the_same() {
        let lines = [ALL, "USER", "RESP-CODES", "AUTH-RESP-CODE"];
        let server = announces(&lines).script("AUTH PLAIN", "-ERR no\r\n").start().unwrap();
        let error = go!(refused(&server, login().methods([Mechanism::Plain, Mechanism::Login])));
        assert!(error.is_refused() && !error.is_authentication() && !error.is_method_refused(), "{error}");
        assert_eq!(ways(&server), ["PLAIN"]);
    }

    fn q_026_auth_where_only_tls_is_missing_settles_it() {
        let server = announces(&[ALL, "USER"]).script("AUTH", "-ERR [AUTH] encryption needed\r\n").start().unwrap();
        let mut client = go!(Client::connect(&plain(&server))).unwrap();
        let error = go!(client.login(&login())).unwrap_err();
        assert!(error.is_tls_required() && !error.is_authentication(), "{error}");
        assert_eq!(ways(&server), ["SCRAM-SHA-256"]);
    }

    fn q_038_p_108_what_we_give_up_is_cancelled_and_the_refusal_read() {
        let bad = [STANDARD.encode("no such thing"), "words".to_owned(), "=".to_owned(), "AA==x".to_owned()];
        for challenge in bad {
            let actor = Actor::play(
                [say("+OK\r\n")]
                    .into_iter()
                    .chain(answer("+OK\r\nSASL SCRAM-SHA-256 DIGEST-MD5 CRAM-MD5 PLAIN\r\n.\r\n"))
                    .chain(answer(format!("+ {challenge}\r\n")))
                    .chain(answer("-ERR cancelled\r\n"))
                    .chain(answer("+OK\r\n"))
                    .chain(answer("-ERR\r\n")),
            );
            let mut client = go!(Client::connect(&actor.connector())).unwrap();
            let login = login().methods([Mechanism::ScramSha256, Mechanism::Plain]);
            go!(client.login(&login)).unwrap();
            assert_eq!(client.state(), State::Transaction);
            drop(client);
            let heard = actor.heard();
            let lines: Vec<&str> = heard.lines().collect();
            assert!(lines[1].starts_with("AUTH SCRAM-SHA-256 "));
            assert_eq!(lines[2], "*");
            assert_eq!(lines[3], format!("AUTH PLAIN {}", STANDARD.encode(format!("\0alice\0{PASSWORD}"))));
        }
    }

    fn p_107_a_bad_challenge_tells_what_was_wrong() {
        for mechanism in [Mechanism::ScramSha256, Mechanism::CramMd5, Mechanism::DigestMd5] {
            let server = alice().sasl([mechanism]).sasl_fault(Fault::NotBase64).start().unwrap();
            let error = go!(refused(&server, login().methods([mechanism])));
            assert!(error.sasl().is_some() && !error.is_server_untrusted() && !error.is_misuse(), "{error}");
            assert!(error.to_string().contains("base64"), "{error}");
            assert!(error.attempts()[0].error.is_some() && error.attempts()[0].reply.is_some());
            assert!(said(&server).contains(&"*".to_owned()));
        }
    }

    fn q_033_nobody_else_does() {
        for mechanism in [Mechanism::CramMd5, Mechanism::Login, Mechanism::Plain, Mechanism::ScramSha256] {
            let server = announces(&["TOP"]).script("AUTH", "+OK\r\n").start().unwrap();
            let mut client = go!(Client::connect(&tls(&server))).unwrap();
            let error = go!(client.login(&login().methods([mechanism]))).unwrap_err();
            assert!(error.is_server_untrusted() && client.is_broken(), "{mechanism}: {error}");
            drop(client);
            assert_eq!(ended(&server).client_lines(), ["CAPA".to_owned(), format!("AUTH {mechanism}")]);
        }
    }

    fn q_034_words_where_the_first_challenge_belongs_do_no_harm_where_nothing_could_stand_there() {
        for fault in [Fault::NotBase64, Fault::BareContinue, Fault::TrailingBlank] {
            for mechanism in [Mechanism::Plain, Mechanism::Login, Mechanism::XOAuth2, Mechanism::OAuthBearer] {
                // Not announced, the response waits for the challenge.
                let server = alice()
                    .sasl_hidden([mechanism])
                    .token("alice", "t0ken")
                    .sasl_fault(fault.clone())
                    .start()
                    .unwrap();
                let login = match mechanism {
                    Mechanism::Plain | Mechanism::Login => login(),
                    _ => Login::token("alice", "t0ken"),
                };
                let mut client = go!(Client::connect(&tls(&server))).unwrap();
                let outcome = go!(client.login(&login.methods([mechanism])));
                assert!(outcome.is_ok(), "{mechanism} {fault:?}: {}", outcome.unwrap_err());
                assert!(!said(&server).contains(&"*".to_owned()));
            }
        }
    }

    fn p_105_a_server_that_never_stops_asking_is_left() {
        for mechanism in [Mechanism::Plain, Mechanism::Login, Mechanism::ScramSha256] {
            let server = alice().sasl([mechanism]).sasl_fault(Fault::Endless).start().unwrap();
            let error = go!(refused(&server, login().methods([mechanism])));
            assert!(error.sasl().is_some(), "{error}");
            assert!(said(&server).len() < 10, "{} lines", said(&server).len());
        }
        // It goes on after the cancel too.
        let challenges = (0..200).flat_map(|_| answer("+ \r\n"));
        let script: Vec<Act> = [say("+OK\r\n")]
            .into_iter()
            .chain(answer("+OK\r\nSASL LOGIN\r\n.\r\n"))
            .chain(challenges)
            .collect();
        let actor = Actor::play(script);
        let mut client = go!(Client::connect(&actor.connector())).unwrap();
        assert!(go!(client.login(&login())).is_err());
        drop(client);
        assert!(actor.heard().lines().count() < 100);
    }
}
