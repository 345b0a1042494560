// Every mechanism against the embedded server, over each kind of connection: it lets in who is right, turns away who is
// wrong, and leaves the connection good for another try. P-111, P-128.

use popwire::{Connector, Error, Login, Mechanism, Method, Security, State};
use popwire_server::{Builder, Maildrop, Server};

use crate::setting::{MAIL, PASSWORD, ca, ended, on_plain_port, plain, said, tls};

const TOKEN: &str = "ya29.a0AfH6SMBx-right";
const CHANNELS: [Security; 3] = [Security::Plain, Security::Tls, Security::Stls];

/// Alice and a guest, and every way to log in but GSSAPI.
fn everything(password: &str) -> Builder {
    Server::builder()
        .user("alice", password, Maildrop::memory(MAIL))
        .user("guest", "none of yours", Maildrop::memory(MAIL))
        .sasl(Mechanism::ALL.into_iter().filter(|mechanism| *mechanism != Mechanism::Gssapi))
        .token("alice", TOKEN)
        .anonymous("guest")
        .apop(true)
        .utf8(true)
}

/// Every way to log in that the server has.
fn methods() -> Vec<Method> {
    let sasl =
        Mechanism::ALL.into_iter().filter(|mechanism| *mechanism != Mechanism::Gssapi).map(Method::Sasl);
    sasl.chain([Method::UserPass, Method::Apop]).collect()
}

fn by_token(method: Method) -> bool {
    matches!(method, Method::Sasl(Mechanism::OAuthBearer | Mechanism::XOAuth2))
}

fn by_password(method: Method) -> bool {
    !by_token(method) && !matches!(method, Method::Sasl(Mechanism::External | Mechanism::Anonymous))
}

fn binds_channel(method: Method) -> bool {
    matches!(method, Method::Sasl(mechanism) if mechanism.binds_channel())
}

/// Without TLS, logins are allowed in as many words.
fn over(server: &Server, security: Security) -> Connector {
    match security {
        Security::Plain => plain(server),
        Security::Tls => tls(server),
        other => on_plain_port(server, other),
    }
}

/// As [`over`], and a certificate is shown that was made for this user.
fn over_as(server: &Server, security: Security, user: &str) -> Connector {
    let (certificate, key) = server.client_certificate(user).unwrap();
    let settings = ca(server).with_client_certificate(certificate.as_bytes(), key).unwrap();
    over(server, security).tls(settings)
}

/// By this way and with these, where it takes them.
fn login_by(method: Method, user: &str, password: &str, token: &str) -> Login {
    match method {
        Method::Sasl(Mechanism::External) => Login::external(),
        Method::Sasl(Mechanism::Anonymous) => Login::anonymous("somebody@example.org"),
        _ if by_token(method) => Login::token(user, token).methods([method]),
        _ => Login::password(user, password).methods([method]),
    }
}

fn right(method: Method) -> Login {
    login_by(method, "alice", PASSWORD, TOKEN)
}

/// The credentials are what is wrong.
#[track_caller]
fn is_refused(error: &Error, what: &str) {
    assert!(error.is_authentication() && error.is_refused(), "{what}: {error}");
    assert!(
        !error.is_retryable() && !error.is_method_refused() && !error.is_server_untrusted(),
        "{what}: {error}"
    );
}

helper! {
    /// Is in, reads the mail, and leaves.
    fn is_in(client: Client, server: &Server, what: &str) {
        let mut client = client;
        assert_eq!(client.state(), State::Transaction, "{what}");
        let first = go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap();
        assert_eq!(first, MAIL[0].as_bytes(), "{what}");
        assert!(go!(client.quit()).is_committed(), "{what}");
        assert!(ended(server).quit(), "{what}");
    }

    fn gets_in(server: &Server, connector: &Connector, login: &Login, what: &str) {
        let mut client = go!(Client::connect(connector)).unwrap();
        let reply = go!(client.login(login)).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(reply.is_ok(), "{what}");
        go!(is_in(client, server, what));
    }

    /// Turned away by the first, let in by the second, over one connection.
    fn gets_in_at_last(server: &Server, connector: &Connector, wrong: &Login, right: &Login, what: &str) {
        let mut client = go!(Client::connect(connector)).unwrap();
        let error = go!(client.login(wrong)).unwrap_err();
        is_refused(&error, what);
        assert!(!client.is_broken() && client.state() == State::Authorization, "{what}");
        go!(client.login(right)).unwrap_or_else(|error| panic!("{what}, then: {error}"));
        go!(is_in(client, server, what));
    }
}

case! {
    fn p_111_every_mechanism_lets_the_right_ones_in() {
        let server = everything(PASSWORD).start().unwrap();
        for security in CHANNELS {
            let connector = over_as(&server, security, "alice");
            for method in methods() {
                let what = format!("{method} over {security:?}");
                let login = right(method);
                let needs_tls =
                    by_token(method) || binds_channel(method) || method == Method::Sasl(Mechanism::External);
                if security != Security::Plain || !needs_tls {
                    go!(gets_in(&server, &connector, &login, &what));
                    let lines = said(&server);
                    let verb = match method {
                        Method::UserPass => "USER alice".to_owned(),
                        Method::Apop => "APOP alice ".to_owned(),
                        other => format!("AUTH {other}"),
                    };
                    assert!(lines.iter().any(|line| line.starts_with(&verb)), "{what}: {lines:?}");
                    continue;
                }
                let mut client = go!(Client::connect(&connector)).unwrap();
                let error = go!(client.login(&login)).unwrap_err();
                if by_token(method) {
                    assert!(error.is_policy(), "{what}: {error}");
                } else if binds_channel(method) {
                    let no_binding = popwire::proto::sasl::Error::NoChannelBinding;
                    assert_eq!(error.sasl(), Some(&no_binding), "{what}: {error}");
                } else {
                    assert!(error.is_misuse(), "{what}: {error}");
                }
                assert!(said(&server).iter().all(|line| line == "CAPA"), "{what}");
                go!(client.login(&right(Method::Sasl(Mechanism::Plain)))).unwrap();
                go!(is_in(client, &server, &what));
            }
        }
    }

    fn p_111_after_a_wrong_password_the_right_one_may_follow() {
        let server = everything(PASSWORD).start().unwrap();
        for security in CHANNELS {
            let connector = over(&server, security);
            for method in methods().into_iter().filter(|method| by_password(*method)) {
                if security == Security::Plain && binds_channel(method) {
                    continue;
                }
                let what = format!("{method} over {security:?}");
                for (user, password) in
                    [("alice", "s3cret pas"), ("alice", ""), ("alice", "S3CRET PASS"), ("nobody", PASSWORD)]
                {
                    let what = format!("{what} as {user}");
                    let wrong = login_by(method, user, password, TOKEN);
                    go!(gets_in_at_last(&server, &connector, &wrong, &right(method), &what));
                }
            }
        }
    }

    fn p_111_after_a_wrong_password_another_mechanism_may_follow() {
        let server = everything(PASSWORD).start().unwrap();
        let connector = over_as(&server, Security::Tls, "alice");
        let all: Vec<Method> = methods();
        let can_be_wrong = all.iter().filter(|method| by_password(**method) || by_token(**method));
        // Each is followed by the next, so that each is once before and once after another one.
        for (nth, method) in can_be_wrong.enumerate() {
            let next = all[(nth + 1) % all.len()];
            let what = format!("{method}, then {next}");
            let wrong = login_by(*method, "alice", "wrong", "wrong");
            go!(gets_in_at_last(&server, &connector, &wrong, &right(next), &what));
        }
    }

    fn p_111_p_128_after_a_token_that_is_not_taken_the_right_one_may_follow() {
        let server = everything(PASSWORD).token("guest", "guests-token").start().unwrap();
        for security in [Security::Tls, Security::Stls] {
            let connector = over(&server, security);
            for method in methods().into_iter().filter(|method| by_token(*method)) {
                for (user, token) in [("alice", "ya29.expired"), ("nobody", TOKEN), ("alice", "guests-token")] {
                    let what = format!("{method} over {security:?} as {user}");
                    let wrong = login_by(method, user, PASSWORD, token);
                    go!(gets_in_at_last(&server, &connector, &wrong, &right(method), &what));
                    let mut client = go!(Client::connect(&connector)).unwrap();
                    let error = go!(client.login(&wrong)).unwrap_err();
                    let [attempt] = error.attempts() else { panic!("{what}: {error}") };
                    // The server has said in the exchange that it is the token.
                    assert!(attempt.oauth.as_ref().is_some_and(|said| said.status.is_some()), "{what}: {error}");
                    assert_eq!(attempt.token_octets, Some(token.len()), "{what}");
                }
            }
        }
    }

    fn p_111_without_a_certificate_external_sends_nothing() {
        let server = everything(PASSWORD).start().unwrap();
        for security in CHANNELS {
            let mut client = go!(Client::connect(&over(&server, security))).unwrap();
            let before = said(&server);
            let error = go!(client.login(&Login::external())).unwrap_err();
            assert!(error.is_misuse() && !error.is_authentication(), "{security:?}: {error}");
            assert_eq!(said(&server), before);
            go!(client.login(&right(Method::Sasl(Mechanism::ScramSha256)))).unwrap();
            go!(is_in(client, &server, "no certificate"));
        }
    }

    fn p_111_a_certificate_of_somebody_else_is_refused() {
        let server = everything(PASSWORD).start().unwrap();
        for security in [Security::Tls, Security::Stls] {
            // The server's CA signed it, for somebody who has no mailbox.
            let connector = over_as(&server, security, "nobody");
            let next = right(Method::Sasl(Mechanism::ScramSha256));
            go!(gets_in_at_last(&server, &connector, &Login::external(), &next, "nobody's certificate"));
            // Alice's certificate is not the guest's.
            let connector = over_as(&server, security, "alice");
            let wrong = Login::external().acting_as("guest");
            go!(gets_in_at_last(&server, &connector, &wrong, &Login::external(), "alice as guest"));
            go!(gets_in(&server, &connector, &Login::external().acting_as("alice"), "alice as alice"));
        }
    }

    fn p_111_where_nobody_may_be_anonymous_it_is_refused() {
        let server = Server::builder()
            .user("alice", PASSWORD, Maildrop::memory(MAIL))
            .sasl([Mechanism::Anonymous, Mechanism::Plain])
            .start()
            .unwrap();
        for security in CHANNELS {
            let wrong = Login::anonymous("somebody@example.org");
            let next = right(Method::Sasl(Mechanism::Plain));
            go!(gets_in_at_last(&server, &over(&server, security), &wrong, &next, "anonymous"));
        }
    }

    fn p_111_passwords_that_are_not_ascii() {
        for password in ["p\u{e4}ssword", "\u{43f}\u{430}\u{440}\u{43e}\u{43b}\u{44c} 1", "\u{20ac}\u{ff21}", "a\u{308}b"] {
            let server = everything(password).start().unwrap();
            for security in [Security::Plain, Security::Tls] {
                let connector = over(&server, security);
                for method in methods().into_iter().filter(|method| by_password(*method)) {
                    if security == Security::Plain && binds_channel(method) {
                        continue;
                    }
                    let what = format!("{method} over {security:?}");
                    let login = Login::password("alice", password).methods([method]);
                    go!(gets_in(&server, &connector, &login, &what));
                }
            }
        }
    }

    fn p_111_two_ways_to_type_one_password_are_one() {
        // RFC 4013 section 3, and a letter in one piece and in two.
        for (stored, typed) in [("IX", "\u{2168}"), ("\u{2168}", "IX"), ("p\u{e4}ss", "pa\u{308}ss"), ("a b", "a\u{a0}b")] {
            let server = everything(stored).start().unwrap();
            for mechanism in Mechanism::ALL {
                let prepares = by_password(Method::Sasl(mechanism))
                    && !matches!(mechanism, Mechanism::CramMd5 | Mechanism::Ntlm | Mechanism::Gssapi);
                if prepares {
                    let login = Login::password("alice", typed).methods([mechanism]);
                    let what = format!("{mechanism}, {typed:?} for {stored:?}");
                    go!(gets_in(&server, &tls(&server), &login, &what));
                }
            }
        }
    }

    fn p_111_the_bound_ones_are_bound_in_both_versions_of_tls() {
        for (only_1_2, binding) in [(false, "p=tls-exporter,"), (true, "p=tls-server-end-point,")] {
            let server = everything(PASSWORD).tls12_only(only_1_2).start().unwrap();
            for security in [Security::Tls, Security::Stls] {
                for method in methods().into_iter().filter(|method| binds_channel(*method)) {
                    let what = format!("{method} over {security:?}, TLS 1.2 only: {only_1_2}");
                    go!(gets_in(&server, &over(&server, security), &right(method), &what));
                    let lines = said(&server);
                    let auth = format!("AUTH {method} ");
                    let initial = lines.iter().find_map(|line| line.strip_prefix(&auth)).unwrap();
                    let message = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, initial).unwrap();
                    assert!(message.starts_with(binding.as_bytes()), "{what}");
                }
                // Unasked, the strongest of them is taken.
                let login = Login::password("alice", PASSWORD);
                go!(gets_in(&server, &over(&server, security), &login, "unasked"));
                assert!(said(&server).iter().any(|line| line.starts_with("AUTH SCRAM-SHA-512-PLUS ")));
            }
        }
    }

    fn p_111_a_mailbox_in_use_is_no_wrong_password_by_any_mechanism() {
        let server = everything(PASSWORD).start().unwrap();
        let connector = over_as(&server, Security::Tls, "alice");
        let locks = ["alice", "guest"].map(|user| server.maildrop(user).unwrap().lock().unwrap());
        for method in methods() {
            let mut client = go!(Client::connect(&connector)).unwrap();
            let error = go!(client.login(&right(method))).unwrap_err();
            assert!(error.is_in_use() && error.is_retryable() && !error.is_authentication(), "{method}: {error}");
            assert_eq!(error.attempts().len(), 1, "{method}: {error}");
        }
        drop(locks);
    }
}
