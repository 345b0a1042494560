// Secrets go out over verified TLS only, unless the caller says so: P-049, P-147, P-045, P-148.

use popwire::{Connector, Error, Login, Security};

use crate::setting::{PASSWORD, alice, ca, ended, login, on_plain_port, plain, said, tls};

#[track_caller]
fn is_forbidden<T: std::fmt::Debug>(answer: Result<T, Error>) {
    let error = answer.unwrap_err();
    assert!(error.is_policy(), "{error:?}");
    assert!(!error.is_retryable() && !error.is_misuse() && !error.is_authentication(), "{error:?}");
}

helper! {
    /// Tries every way to get a secret onto this connection, and finds that none was used.
    fn nothing_secret_goes_out(server: &popwire_server::Server, connector: &Connector) {
        let mut client = go!(Client::connect(connector)).unwrap();
        let before = said(server);
        assert!(before.iter().all(|line| line == "CAPA" || line == "STLS"), "{before:?}");
        is_forbidden(go!(client.login(&login())));
        is_forbidden(go!(client.login(&Login::apop("alice", PASSWORD))));
        is_forbidden(go!(client.login(&Login::rpop("alice"))));
        is_forbidden(go!(client.apop("alice", PASSWORD)));
        is_forbidden(go!(client.raw(format!("PASS {PASSWORD}"))));
        is_forbidden(go!(client.raw(format!("pass {PASSWORD}"))));
        is_forbidden(go!(client.raw_multi(format!("PASS {PASSWORD}"))));
        is_forbidden(go!(client.raw("APOP alice c4c9334bac560ecc979e58001b3e22fb")));
        is_forbidden(go!(client.raw("AUTH PLAIN AGFsaWNlAHMzY3JldCBwYXNz")));
        is_forbidden(go!(client.auth("PLAIN", Some("AGFsaWNlAHMzY3JldCBwYXNz".into()))));
        is_forbidden(go!(client.auth("LOGIN", None)));
        is_forbidden(go!(client.auth_response("czNjcmV0IHBhc3M=")));
        assert_eq!(said(server), before, "something went out");
        // The name alone is no secret; the password after it is one.
        go!(client.user("alice")).unwrap();
        is_forbidden(go!(client.pass(PASSWORD)));
        go!(client.raw("NOOP")).map(drop).unwrap_or(());
        assert!(!client.is_broken());
        assert!(go!(client.quit()).is_committed());
        let session = ended(server);
        let octets = String::from_utf8_lossy(&session.client_octets()).to_ascii_uppercase();
        for secret in ["PASS", "APOP", "AUTH", "S3CRET", "AGFS", "CZNJ"] {
            assert!(!octets.contains(secret), "{session}");
        }
    }
}

case! {
    fn p_049_no_login_without_tls() {
        let server = alice().apop(true).start().unwrap();
        go!(nothing_secret_goes_out(&server, &on_plain_port(&server, Security::Plain)));
    }

    fn p_049_no_login_where_opportunistic_tls_was_not_offered() {
        let server = alice().apop(true).stls(false).start().unwrap();
        go!(nothing_secret_goes_out(&server, &on_plain_port(&server, Security::OpportunisticStls)));
    }

    fn p_049_no_login_where_opportunistic_tls_was_refused() {
        let server = alice().apop(true).script("STLS", "-ERR not now\r\n").start().unwrap();
        go!(nothing_secret_goes_out(&server, &on_plain_port(&server, Security::OpportunisticStls)));
        assert!(said(&server).contains(&"STLS".to_owned()));
    }

    fn p_049_no_login_to_somebody_unverified() {
        let server = alice().apop(true).start().unwrap();
        let anybody = popwire::Tls::new().dangerous_accept_any_certificate();
        go!(nothing_secret_goes_out(&server, &tls(&server).tls(anybody.clone())));
        go!(nothing_secret_goes_out(&server, &on_plain_port(&server, Security::Stls).tls(anybody)));
    }

    fn p_049_the_caller_may_say_so_in_as_many_words() {
        let server = alice().apop(true).start().unwrap();
        for connector in [
            plain(&server),
            tls(&server)
                .tls(popwire::Tls::new().dangerous_accept_any_certificate())
                .dangerous_login_without_verified_tls(),
        ] {
            let mut client = go!(Client::connect(&connector)).unwrap();
            assert!(client.tls().is_none_or(|tls| !tls.verified));
            go!(client.login(&login())).unwrap();
            assert!(go!(client.quit()).is_committed());
            assert!(server.wait_closed(server.sessions().len(), std::time::Duration::from_secs(5)));
            let mut client = go!(Client::connect(&connector)).unwrap();
            go!(client.login(&Login::apop("alice", PASSWORD))).unwrap();
            assert!(go!(client.quit()).is_committed());
            assert!(server.wait_closed(server.sessions().len(), std::time::Duration::from_secs(5)));
        }
    }

    fn p_049_verified_tls_needs_no_words() {
        let server = alice().start().unwrap();
        for connector in [
            tls(&server),
            on_plain_port(&server, Security::Stls),
            on_plain_port(&server, Security::OpportunisticStls),
        ] {
            let mut client = go!(Client::connect(&connector)).unwrap();
            assert!(client.tls().unwrap().verified);
            go!(client.login(&login())).unwrap();
            assert!(go!(client.quit()).is_committed());
            let session = ended(&server);
            assert!(
                session.lines.iter().filter(|line| line.text().starts_with("PASS")).all(|line| line.tls),
                "{session}"
            );
        }
    }

    fn p_049_plain_becomes_verified_by_stls() {
        let server = alice().start().unwrap();
        let mut client = go!(Client::connect(&on_plain_port(&server, Security::Plain))).unwrap();
        is_forbidden(go!(client.login(&login())));
        go!(client.stls()).unwrap();
        go!(client.login(&login())).unwrap();
    }

    fn p_049_a_raw_password_is_one_however_it_is_spaced() {
        let server = alice().start().unwrap();
        let mut client = go!(Client::connect(&on_plain_port(&server, Security::Plain))).unwrap();
        for line in ["PASS\ts3cret", " PASS s3cret", "\tAUTH PLAIN AGFsaWNl", "AUTH\tPLAIN AGFsaWNl"] {
            is_forbidden(go!(client.raw(line)));
        }
        assert_eq!(said(&server), ["CAPA"]);
    }

    fn p_147_nothing_but_stls_before_required_tls() {
        let server = alice().start().unwrap();
        let client = go!(Client::connect(&on_plain_port(&server, Security::Stls))).unwrap();
        assert!(go!(client.quit()).is_committed());
        let session = ended(&server);
        let clear: Vec<_> = session
            .lines
            .iter()
            .filter(|line| line.direction == popwire_server::Direction::Client && !line.tls)
            .collect();
        assert_eq!(clear.len(), 1, "{session}");
        assert_eq!(clear[0].text(), "STLS");
    }

    fn p_045_apop_is_never_chosen_unasked() {
        let server = alice().apop(true).start().unwrap();
        let mut client = go!(Client::connect(&tls(&server).tls(ca(&server)))).unwrap();
        go!(client.login(&login())).unwrap();
        assert!(said(&server).iter().all(|line| !line.starts_with("APOP")));
    }
}
