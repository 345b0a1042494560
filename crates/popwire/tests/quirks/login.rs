// Signing in: Q-027 to Q-060, and Q-129, Q-130, Q-143, Q-146, Q-154.

use std::time::Duration;

use popwire::{Ask, Error, Login, Mechanism, Method, ResponseCode, State, Timeouts};
use popwire_server::{Builder, Maildrop, Server};

use crate::setting::{PASSWORD, ended, login, ms, plain, said, shown, tls};
use crate::stage::{MESSAGES, start, with};

/// Alice with messages, a token, and these mechanisms.
fn offering(mechanisms: impl IntoIterator<Item = Mechanism>) -> Builder {
    let alice = Server::builder().user("alice", PASSWORD, Maildrop::memory(MESSAGES));
    alice.token("alice", "t0ken").sasl(mechanisms)
}

/// The ways to log in that the last session began, and PASS.
fn ways(server: &Server) -> Vec<String> {
    let way = |line: &String| match line.split_once(' ') {
        Some(("AUTH", rest)) => rest.split(' ').next().map(str::to_owned),
        Some((word @ ("USER" | "APOP" | "PASS"), _)) => Some(word.to_owned()),
        _ => None,
    };
    said(server).iter().filter_map(way).collect()
}

helper! {
    /// A session from the login to the end: every command, every message.
    fn all_is_well(server: &Server, login: &Login) {
        let mut client = go!(Client::connect(&tls(server))).unwrap();
        go!(client.login(login)).unwrap_or_else(|error| panic!("{login:?}: {error}"));
        assert_eq!(go!(client.stat()).unwrap().messages, 3);
        assert_eq!(go!(client.list()).unwrap().iter().count(), 3);
        assert_eq!(go!(client.uidl()).unwrap().iter().count(), 3);
        go!(client.noop()).unwrap();
        assert_eq!(go!(go!(client.retr(3)).unwrap().read_to_vec()).unwrap(), MESSAGES[2].as_bytes());
        go!(go!(client.top(1, 0)).unwrap().read_to_vec()).unwrap();
        go!(client.dele(1)).unwrap();
        go!(client.rset()).unwrap();
        assert!(go!(client.quit()).is_committed());
    }

    /// The error of a login, after which the session can go on.
    fn refused(server: &Server, login: &Login) -> Error {
        let mut client = go!(Client::connect(&tls(server))).unwrap();
        let error = go!(client.login(login)).unwrap_err();
        assert!(error.is_refused() && !client.is_broken(), "{error}");
        assert_eq!(client.state(), State::Authorization);
        assert!(go!(client.quit()).is_committed());
        error
    }

    /// The error of a login that may take as many connections as it wants.
    fn turned_away(server: &Server, login: &Login) -> Error {
        go!(Client::connect_and_login(&tls(server), login)).map(drop).unwrap_err()
    }
}

case! {
    /// unharmed: XOAUTH2 always goes out in two lines.
    fn q_027_tokens_have_a_line_of_their_own() {
        let server = start(offering([Mechanism::XOAuth2]), &["xoauth2=two_line_only"]);
        go!(all_is_well(&server, &Login::token("alice", "t0ken")));
        assert_eq!(said(&server)[1], "AUTH XOAUTH2");
        assert_eq!(server.sessions().len(), 1);
    }

    /// refused: with the token's length and what helps against it.
    fn q_028_the_length_of_a_long_token_is_told() {
        let server = start(offering([Mechanism::XOAuth2]), &["auth_line_max=4096"]);
        let long = "t".repeat(5000);
        let error = go!(turned_away(&server, &Login::token("alice", long.as_str())));
        assert!(error.is_refused() && !error.is_io(), "{error}");
        assert_eq!(error.attempts()[0].token_octets, Some(5000));
        let text = error.to_string();
        assert!(text.contains("5000 octets") && text.contains("4096"), "{text}");
        assert!(!shown(&error).contains("tttt"));
        assert_eq!(server.sessions().len(), 1);
        // A short one that is refused has no such hint.
        let error = go!(turned_away(&server, &Login::token("alice", "old")));
        assert!(!error.to_string().contains("octets"), "{error}");
    }

    /// refused: as temporary; the token is kept, and works a minute later.
    fn q_029_unavailable_now_and_then() {
        let server = start(offering([Mechanism::XOAuth2]), &["auth_fail_text=unavailable21"]);
        // A provider that is asked for another token has none.
        let login = Login::token_from("alice", |ask: &Ask| match ask.refused {
            None => Ok("t0ken"),
            Some(_) => Err("asked again"),
        });
        let error = go!(refused(&server, &login));
        assert!(error.is_temporary() && error.is_retryable() && !error.is_authentication(), "{error}");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
        go!(all_is_well(&server, &login));
    }

    /// refused: told as a token without an explanation, which may be right all the same.
    fn q_030_a_mailbox_without_pop3() {
        // The token is good, and there is no such mailbox.
        let builder = offering([Mechanism::XOAuth2]).token("shared", "t0ken");
        let server = start(builder, &["auth_fail_text=exo", "code=none"]);
        let error = go!(refused(&server, &Login::token("shared", "t0ken")));
        assert!(error.is_authentication() && !error.is_retryable(), "{error}");
        let attempt = &error.attempts()[0];
        assert!(attempt.is_token() && attempt.proved && attempt.oauth.is_none(), "{error}");
        assert!(error.to_string().contains("-ERR Logon failure"), "{error}");
    }

    /// unharmed: passwords and tokens are got before the connection is made; who dawdles is told of the close.
    fn q_031_no_time_to_dawdle_before_the_login() {
        let server = with(&["preauth_timeout=500ms"]);
        let slow = Login::password_from("alice", |_: &Ask| {
            std::thread::sleep(ms(700));
            Ok::<_, std::io::Error>(PASSWORD)
        });
        let mut client = go!(Client::connect_and_login(&plain(&server), &slow)).unwrap();
        // Once logged in, there is time.
        pause!(ms(700));
        assert_eq!(go!(client.stat()).unwrap().messages, 3);
        drop(client);
        let mut client = go!(Client::connect(&plain(&server))).unwrap();
        pause!(ms(700));
        let error = go!(client.login(&login())).unwrap_err();
        assert!(error.is_closed() && error.is_retryable() && !error.is_authentication(), "{error}");
    }

    /// told: the explanation is kept, and a provider is asked once for a new token.
    fn q_032_what_is_wrong_with_the_token() {
        for mechanism in [Mechanism::XOAuth2, Mechanism::OAuthBearer] {
            let server = start(offering([mechanism]), &["oauth_fail=json"]);
            let error = go!(refused(&server, &Login::token("alice", "old")));
            assert!(error.is_authentication(), "{error}");
            let oauth = error.attempts()[0].oauth.clone().expect("an explanation");
            assert!(error.to_string().contains(oauth.status.as_deref().expect("a status")), "{error}");
            let renewing = Login::token_from("alice", |ask: &Ask| {
                Ok::<_, std::io::Error>(if ask.refused.is_some() { "t0ken" } else { "old" })
            });
            go!(all_is_well(&server, &renewing));
            assert_eq!(ways(&server), [mechanism.name(), mechanism.name()]);
        }
    }

    /// unharmed: for NTLM, `+OK` is an empty challenge.
    fn q_033_ntlm_that_begins_with_ok() {
        let server = start(offering([Mechanism::Ntlm]), &["sasl_continue=+OK"]);
        go!(all_is_well(&server, &login().methods([Mechanism::Ntlm])));
    }

    /// unharmed: words and gaps are ignored where no challenge could be, and cancelled elsewhere.
    fn q_034_words_for_a_challenge() {
        for quirk in ["sasl_continue=\"+ go ahead\"", "sasl_continue=\"+\""] {
            for mechanism in [Mechanism::Plain, Mechanism::Login, Mechanism::XOAuth2, Mechanism::OAuthBearer] {
                // Not announced, so the response waits for the challenge.
                let server = start(offering([]).sasl_hidden([mechanism]), &[quirk]);
                let token = matches!(mechanism, Mechanism::XOAuth2 | Mechanism::OAuthBearer);
                let login = if token { Login::token("alice", "t0ken") } else { login() };
                go!(all_is_well(&server, &login.methods([mechanism])));
                assert!(!said(&server).contains(&"*".to_owned()));
            }
        }
        let server = start(offering([Mechanism::CramMd5]), &["sasl_continue=\"+ go ahead\""]);
        let error = go!(Client::connect_and_login(&tls(&server), &login().methods([Mechanism::CramMd5])));
        assert!(error.map(drop).unwrap_err().sasl().is_some());
        assert!(said(&server).contains(&"*".to_owned()));
        // And the session goes on.
        go!(all_is_well(&server, &login().methods([Mechanism::CramMd5.into(), Method::UserPass])));
        assert_eq!(ways(&server), ["CRAM-MD5", "USER", "PASS"]);
    }

    /// unharmed: a wrong password is not tried again; after other refusals the next way gets a new connection.
    fn q_035_a_refusal_closes_the_connection() {
        let server = start(offering([Mechanism::CramMd5, Mechanism::Plain]), &["auth_fail=close"]);
        let wrong = Login::password("alice", "wrong");
        for (sessions, first) in (1..).zip([Method::UserPass, Mechanism::CramMd5.into(), Mechanism::Plain.into()]) {
            let login = wrong.clone().methods([first, Mechanism::Plain.into(), Method::UserPass]);
            let error = go!(turned_away(&server, &login));
            assert!(error.is_authentication() && !error.is_io() && !error.is_retryable(), "{error}");
            assert_eq!((error.attempts().len(), server.sessions().len()), (1, sessions));
        }
        go!(all_is_well(&server, &login()));
        let server = start(offering([Mechanism::Plain]), &["auth_fail=close", "auth_fail=midway"]);
        let login = login().methods([Mechanism::Ntlm, Mechanism::Plain]);
        let client = go!(Client::connect_and_login(&tls(&server), &login)).unwrap();
        assert_eq!(client.logged_in_by(), Some(Mechanism::Plain.into()));
        assert_eq!(server.sessions().len(), 2);
    }

    /// unharmed: APOP is done by name only; who names it is told that it was refused.
    fn q_036_apop_that_does_not_work() {
        let server = with(&["apop=fail_close"]);
        go!(all_is_well(&server, &login()));
        assert_eq!(ways(&server), ["USER", "PASS"]);
        let error = go!(turned_away(&server, &Login::apop("alice", PASSWORD).methods([Method::Apop])));
        assert!(error.is_refused() && !error.is_io() && !error.is_retryable(), "{error}");
        assert_eq!((error.attempts().len(), server.sessions().len()), (1, 2));
    }

    /// refused: the second answer is never taken for the next command's; the session is over.
    fn q_037_a_second_answer_after_apop() {
        let server = with(&["apop=fail_unsolicited_ok"]);
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        assert!(go!(client.login(&Login::apop("alice", PASSWORD))).unwrap_err().is_refused());
        let error = go!(client.login(&login())).unwrap_err();
        assert!(error.is_protocol() || error.is_closed(), "{error}");
        assert!(client.is_broken() && client.state() == State::Authorization);
        drop(client);
        assert_eq!(ended(&server).client_lines().iter().filter(|line| line.starts_with("USER")).count(), 0);
    }

    /// unharmed: the next way that was named is taken, on the same connection.
    fn q_038_a_mechanism_that_fails_midway() {
        let server = start(offering([Mechanism::Plain]), &["auth_fail=midway"]);
        go!(all_is_well(&server, &login().methods([Mechanism::Ntlm, Mechanism::Plain])));
        assert_eq!(ways(&server), ["NTLM", "PLAIN"]);
        // The server refused, so there was nothing to cancel.
        assert!(!said(&server).contains(&"*".to_owned()));
        assert_eq!(server.sessions().len(), 1);
        let error = go!(refused(&server, &login().methods([Mechanism::Ntlm])));
        assert!(!error.is_authentication(), "{error}");
    }

    /// unharmed: AUTH alone is sent only by a call of its own.
    fn q_039_auth_alone() {
        for (quirk, lists) in [("bare_auth=1", true), ("bare_auth=0", false)] {
            let server = start(offering([Mechanism::Plain]), &[quirk]);
            go!(all_is_well(&server, &login()));
            assert!(!said(&server).contains(&"AUTH".to_owned()));
            let mut client = go!(Client::connect(&tls(&server))).unwrap();
            assert_eq!(go!(client.auth_list()).is_ok(), lists);
            go!(client.login(&login())).unwrap();
        }
    }

    /// refused: as an answer that is none, and the session is over.
    fn q_040_err_with_a_plus() {
        let server = with(&["pass_reply=+ERR"]);
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        let error = go!(client.login(&login())).unwrap_err();
        assert!(error.is_protocol() && !error.is_authentication() && client.is_broken(), "{error:?}");
    }

    /// refused: as temporary, by the words.
    fn q_042_a_lock_told_in_words() {
        for quirk in ["lock_text=qpop", "lock_text=intermail"] {
            let server = with(&[quirk]);
            let mut first = go!(Client::connect(&tls(&server))).unwrap();
            go!(first.login(&login())).unwrap();
            let error = go!(refused(&server, &login()));
            assert!(error.is_temporary() && error.is_retryable() && !error.is_authentication(), "{error}");
            assert!(go!(first.quit()).is_committed());
            go!(all_is_well(&server, &login()));
        }
    }

    /// refused: as too soon, with the time to wait.
    fn q_044_too_soon() {
        let server = with(&["login_delay=60"]);
        go!(all_is_well(&server, &login()));
        let error = go!(refused(&server, &login()));
        assert!(error.is_login_delay() && error.is_retryable() && !error.is_authentication(), "{error}");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
        // Whoever waits gets in.
        let server = with(&["login_delay=150ms"]);
        go!(all_is_well(&server, &login()));
        pause!(ms(160));
        go!(all_is_well(&server, &login()));
    }

    /// refused: by the code, before any words.
    fn q_045_a_maildrop_that_cannot_be_opened() {
        let error = go!(refused(&with(&["in_use=1"]), &login()));
        assert!(error.is_in_use() && error.is_temporary() && error.retry_after().is_some(), "{error}");
        let error = go!(refused(&with(&["resp_code=SYS/TEMP"]), &login()));
        assert!(error.is_temporary() && !error.is_in_use(), "{error}");
        let error = go!(refused(&with(&["resp_code=SYS/PERM"]), &login()));
        assert!(error.is_permanent() && !error.is_retryable(), "{error}");
    }

    /// refused: an unknown code is handed on and proves nothing.
    fn q_046_codes_of_its_own() {
        let error = go!(refused(&with(&["resp_code=REFERRAL"]), &login()));
        assert!(!error.is_authentication() && !error.is_retryable() && !error.is_permanent(), "{error}");
        let code = error.reply().and_then(|reply| reply.code().cloned());
        let Some(ResponseCode::Other(code)) = code else { panic!("{code:?}") };
        assert_eq!(code.to_string(), "REFERRAL/pop://alice@other.example");
        assert!(error.to_string().contains("Try this server instead."), "{error}");
        assert!(go!(refused(&with(&["resp_code=AUTH"]), &login())).is_authentication());
        assert!(go!(refused(&with(&["resp_code=IN-USE"]), &login())).is_in_use());
    }

    /// unharmed: a login has 300 s, more than other commands.
    fn q_047_a_slow_answer_to_the_password() {
        assert!(Timeouts::default().login >= Duration::from_secs(300));
        let server = start(offering([Mechanism::Plain]), &["pass_delay=700ms"]);
        let mut timeouts = Timeouts::default();
        timeouts.command = ms(500);
        timeouts.capa = ms(500);
        for method in [Method::UserPass, Mechanism::Plain.into()] {
            let mut client = go!(Client::connect(&plain(&server).timeouts(timeouts.clone()))).unwrap();
            go!(client.login(&login().methods([method]))).unwrap();
            assert!(go!(client.quit()).is_committed());
        }
    }

    /// told: the refusal in the server's words; who has POP3 switched off is for the program to know.
    fn q_048_words_that_say_nothing() {
        let server = with(&["auth_fail_text=generic", "code=none"]);
        let error = go!(refused(&server, &Login::password("alice", "right at the web site")));
        assert!(error.is_authentication() && !error.is_retryable(), "{error}");
        assert_eq!(error.reply().unwrap().text(), b"authentication failed");
    }

    /// told: a refusal like that of a wrong password; the announced pause tells them apart.
    fn q_049_too_soon_told_as_a_wrong_password() {
        let server = with(&["login_delay=900", "code=none", "auth_fail_text=generic"]);
        go!(all_is_well(&server, &login()));
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        let error = go!(client.login(&login())).unwrap_err();
        assert!(error.is_refused() && !error.is_login_delay() && !client.is_broken(), "{error}");
        assert_eq!(client.capabilities().login_delay(), Some(900));
        // The password went out once.
        assert_eq!(ways(&server), ["USER", "PASS"]);
    }

    /// refused: as a closed connection, to be tried again a minute later and not at once.
    fn q_050_too_soon_and_cut_off() {
        let server = start(offering([Mechanism::Plain]), &["login_delay=60", "action=close"]);
        go!(all_is_well(&server, &login()));
        let error = go!(turned_away(&server, &login().methods([Method::UserPass, Mechanism::Plain.into()])));
        assert!(error.is_closed() && error.is_retryable() && !error.is_authentication(), "{error}");
        assert!(error.retry_after() >= Some(Duration::from_secs(60)), "{error}");
        // No other way is tried with a password that the server has seen.
        assert_eq!((ways(&server), server.sessions().len()), (vec!["USER".to_owned(), "PASS".to_owned()], 2));
    }

    /// unharmed: no password follows, and the next way is tried; without one it is the name that was refused.
    fn q_053_user_is_refused() {
        let server = start(offering([Mechanism::Login]), &["user=err"]);
        go!(all_is_well(&server, &login()));
        assert_eq!(ways(&server), ["USER", "LOGIN"]);
        let server = with(&["user=err"]);
        let error = go!(refused(&server, &login()));
        assert!(!error.is_authentication() && !error.attempts()[0].proved, "{error}");
        assert_eq!(ways(&server), ["USER"]);
        assert!(said(&server).iter().all(|line| !line.contains(PASSWORD)));
    }

    /// refused: by the server; the client sends long, empty and spaced arguments as they are.
    fn q_054_arguments_of_any_kind() {
        let long = "x".repeat(41);
        for (name, password) in [("alice", long.as_str()), ("alice", ""), ("alice b", "x"), (long.as_str(), "x")] {
            let server = with(&["args=strict40"]);
            let error = go!(refused(&server, &Login::password(name, password)));
            assert!(!error.is_authentication() && !error.is_retryable(), "{error}");
            assert!(said(&server).contains(&format!("USER {name}")));
            assert_eq!(error.attempts()[0].proved, said(&server).contains(&format!("PASS {password}")));
            go!(all_is_well(&server, &login()));
        }
    }

    /// unharmed: the initial response is sent where PLAIN is announced; where it is not, the refusal is told.
    fn q_058_plain_wants_its_initial_response() {
        for quirk in ["plain_no_ir=err", "plain_no_ir=close"] {
            let server = start(offering([Mechanism::Plain]), &[quirk]);
            go!(all_is_well(&server, &login().methods([Mechanism::Plain])));
            assert_eq!(server.sessions().len(), 1);
            let server = start(offering([]).sasl_hidden([Mechanism::Plain]), &[quirk]);
            let error = go!(turned_away(&server, &login().methods([Mechanism::Plain])));
            assert!(error.is_method_refused() || error.is_closed(), "{error}");
            assert_eq!(said(&server), ["CAPA", "AUTH PLAIN"]);
        }
    }

    /// unharmed: an empty line goes out as a SASL response only.
    fn q_059_an_empty_command_is_deadly() {
        let mechanisms = [Mechanism::Plain, Mechanism::CramMd5, Mechanism::ScramSha256, Mechanism::XOAuth2];
        let server = start(offering(mechanisms), &["empty_cmd=close"]);
        for mechanism in &mechanisms[..3] {
            go!(all_is_well(&server, &login().methods([*mechanism])));
        }
        // The answer to the explanation of a refused token is an empty line.
        let error = go!(refused(&server, &Login::token("alice", "old")));
        assert!(error.is_authentication() && said(&server).contains(&String::new()), "{error}");
        go!(all_is_well(&server, &Login::token("alice", "t0ken")));
    }

    /// unharmed: no command has a blank at its end.
    fn q_060_no_blank_at_the_end() {
        let server = start(offering([Mechanism::Plain, Mechanism::Login]).apop(true), &["trailing_space=err"]);
        for method in [Method::UserPass, Method::Apop, Mechanism::Plain.into(), Mechanism::Login.into()] {
            go!(all_is_well(&server, &login().methods([method])));
        }
    }

    /// refused: as in use, with a time to wait; what was marked in the lost session is still there.
    fn q_129_a_lock_outlives_its_session() {
        let server = with(&["lock_after_drop=60"]);
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        go!(client.login(&login())).unwrap();
        go!(client.dele(1)).unwrap();
        drop(client);
        let _ = ended(&server);
        let error = go!(refused(&server, &login()));
        assert!(error.is_in_use() && error.retry_after() >= Some(Duration::from_secs(60)), "{error}");
        let server = with(&["lock_after_drop=100ms"]);
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        go!(client.login(&login())).unwrap();
        go!(client.dele(1)).unwrap();
        drop(client);
        let _ = ended(&server);
        pause!(ms(500));
        go!(all_is_well(&server, &login()));
        // After QUIT nothing lingers.
        go!(all_is_well(&server, &login()));
    }

    /// refused: as in use; where a server does not lock, what another session removed is missing and nothing else.
    fn q_130_two_sessions() {
        let server = with(&["lock=1"]);
        let mut first = go!(Client::connect(&tls(&server))).unwrap();
        go!(first.login(&login())).unwrap();
        assert!(go!(refused(&server, &login())).is_in_use());
        assert!(go!(first.quit()).is_committed());
        go!(all_is_well(&server, &login()));

        let server = with(&["lock=0"]);
        let mut first = go!(Client::connect(&tls(&server))).unwrap();
        go!(first.login(&login())).unwrap();
        let mut second = go!(Client::connect(&tls(&server))).unwrap();
        go!(second.login(&login())).unwrap();
        go!(first.dele(1)).unwrap();
        assert!(go!(first.quit()).is_committed());
        assert!(go!(second.retr(1)).map(drop).unwrap_err().is_refused());
        assert_eq!(go!(go!(second.retr(2)).unwrap().read_to_vec()).unwrap(), MESSAGES[1].as_bytes());
        assert!(go!(second.quit()).is_committed());
    }

    /// told: the octets as they came; shown escaped.
    fn q_143_a_refusal_in_gbk() {
        let server = with(&["err_text=gbk"]);
        let error = go!(refused(&server, &Login::password("alice", "wrong")));
        assert_eq!(error.reply().unwrap().text(), b"\xb5\xc7\xc2\xbc\xcc\xab\xc6\xb5\xb7\xb1");
        assert!(error.to_string().contains(r"\xb5\xc7"), "{error}");
        assert!(!error.is_login_delay() && !error.is_retryable(), "{error}");
    }

    /// refused: by the code, as temporary or as wrong credentials.
    fn q_146_codes_and_numbers() {
        let server = with(&["auth_fail_text=yahoo"]);
        let error = go!(refused(&server, &login()));
        assert!(error.is_temporary() && error.is_retryable() && !error.is_authentication(), "{error}");
        go!(all_is_well(&server, &login()));
        let error = go!(refused(&server, &Login::password("alice", "wrong")));
        assert!(error.is_authentication() && !error.is_retryable(), "{error}");
        assert!(error.to_string().contains("#MBR1212"), "{error}");
    }

    /// refused: with a word on the APOP that the greeting offers; by name it works.
    fn q_154_apop_and_nothing_else() {
        let server = with(&["apop=required"]);
        let error = go!(refused(&server, &login()));
        assert_eq!(ways(&server), ["USER", "PASS"]);
        assert!(error.attempts()[0].apop_offered && error.to_string().contains("APOP"), "{error}");
        go!(all_is_well(&server, &Login::apop("alice", PASSWORD)));
        // Where there is none on offer, none is spoken of.
        let error = go!(refused(&with(&[]), &Login::password("alice", "wrong")));
        assert!(!error.attempts()[0].apop_offered && !error.to_string().contains("APOP"), "{error}");
    }
}
