// Secrets go out over verified TLS only, unless the caller says so: P-049, P-147, P-045, P-148, P-113, P-128.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use popwire::proto::sasl::Plain;
use popwire::{Ask, Connector, Error, Login, Mechanism, Method, Security, Tls};
use popwire_server::{Answer, Certificate};

use crate::setting::{PASSWORD, alice, ca, ended, login, on_plain_port, plain, said, tls};

#[track_caller]
fn is_forbidden<T: std::fmt::Debug>(answer: Result<T, Error>) {
    let error = answer.unwrap_err();
    assert!(error.is_policy() && error.is_login_in_the_clear(), "{error:?}");
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

// Every way to log in, by every way to configure a connection, with and without the switch.

const TOKEN: &str = "ya29.a0AfH6SMBx-token";

/// Where a connection goes, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Channel {
    Plain,
    /// STLS if it is offered; and what becomes of it.
    Opportunistic(Offer),
    Stls(Offer),
    Tls,
}

/// What becomes of STLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Offer {
    Taken,
    Absent,
    /// Somebody took it out of the capabilities; the server has it.
    Stripped,
    Refused,
    /// `+OK`, and the connection is closed.
    Failed,
    /// `+OK`, and then words in the clear.
    Injected,
}

/// What the server shows, and what the client thinks of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    Good,
    AnyAccepted,
    UnknownCa,
    WrongName,
    Expired,
    PinnedRight,
    PinnedWrong,
}

/// What comes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Safety {
    /// Verified TLS.
    Verified,
    /// TLS with nobody knows whom.
    Unverified,
    Clear,
    /// There is none.
    None,
}

const TRUST: [Trust; 7] = [
    Trust::Good,
    Trust::AnyAccepted,
    Trust::UnknownCa,
    Trust::WrongName,
    Trust::Expired,
    Trust::PinnedRight,
    Trust::PinnedWrong,
];

fn channels() -> Vec<(Channel, Trust)> {
    let offers = [Offer::Absent, Offer::Stripped, Offer::Refused, Offer::Failed, Offer::Injected];
    let to_tls = [Channel::Tls, Channel::Stls(Offer::Taken), Channel::Opportunistic(Offer::Taken)];
    let mut all = vec![(Channel::Plain, Trust::Good)];
    all.extend(to_tls.iter().flat_map(|channel| TRUST.map(|trust| (*channel, trust))));
    for offer in offers {
        all.extend(
            [Channel::Stls(offer), Channel::Opportunistic(offer)].map(|channel| (channel, Trust::Good)),
        );
    }
    all
}

fn safety(channel: Channel, trust: Trust) -> Safety {
    match channel {
        Channel::Plain => Safety::Clear,
        // Required STLS is tried whatever the capabilities say.
        Channel::Tls
        | Channel::Stls(Offer::Taken | Offer::Stripped)
        | Channel::Opportunistic(Offer::Taken) => match trust {
            Trust::Good | Trust::PinnedRight => Safety::Verified,
            Trust::AnyAccepted => Safety::Unverified,
            _ => Safety::None,
        },
        Channel::Opportunistic(Offer::Failed | Offer::Injected) | Channel::Stls(_) => Safety::None,
        Channel::Opportunistic(_) => Safety::Clear,
    }
}

/// A server that takes every way to log in, over everything.
fn server_for(channel: Channel, trust: Trust) -> popwire_server::Server {
    let server = alice()
        .apop(true)
        .rpop(["alice"])
        .utf8(true)
        .sasl(Mechanism::ALL.into_iter().filter(|mechanism| *mechanism != Mechanism::Gssapi))
        .token("alice", TOKEN)
        .anonymous("alice")
        .certificate(match trust {
            Trust::UnknownCa | Trust::PinnedRight | Trust::PinnedWrong => Certificate::UnknownCa,
            Trust::WrongName => Certificate::WrongName,
            Trust::Expired => Certificate::Expired,
            Trust::Good | Trust::AnyAccepted => Certificate::Good,
        });
    let names = Mechanism::ALL.map(Mechanism::name).join(" ");
    let capabilities = ["USER", "UTF8 USER", &format!("SASL {names}")];
    let server = match channel {
        Channel::Opportunistic(offer) | Channel::Stls(offer) => match offer {
            Offer::Taken => server,
            Offer::Absent => server.stls(false),
            Offer::Stripped => server.capability_lines(capabilities, capabilities),
            Offer::Refused => server.script("STLS", "-ERR not now\r\n"),
            Offer::Failed => server.script("STLS", Answer::raw("+OK begin\r\n").then_close()),
            Offer::Injected => server.inject_after_stls("+OK logged in\r\n"),
        },
        Channel::Plain | Channel::Tls => server,
    };
    server.start().unwrap()
}

/// The pin of the key in this certificate, as `openssl` has it.
fn pin(certificate: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cert.der");
    std::fs::write(&path, certificate).unwrap();
    let output = std::process::Command::new("sh")
        .arg("-c")
        .arg(
            "openssl x509 -inform der -in \"$0\" -pubkey -noout | openssl pkey -pubin -outform der | \
             openssl dgst -sha256 -binary | base64",
        )
        .arg(&path)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn connector_for(server: &popwire_server::Server, channel: Channel, trust: Trust) -> Connector {
    let settings = match trust {
        Trust::AnyAccepted => Tls::new().dangerous_accept_any_certificate(),
        Trust::PinnedRight => Tls::new().with_pinned_key(&pin(server.certificate_der())).unwrap(),
        Trust::PinnedWrong => {
            Tls::new().with_pinned_key("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap()
        }
        _ => ca(server),
    };
    let (certificate, key) = server.client_certificate("alice").unwrap();
    let settings = settings.with_client_certificate(certificate.as_bytes(), key).unwrap();
    match channel {
        Channel::Plain => on_plain_port(server, Security::Plain),
        Channel::Tls => tls(server),
        Channel::Stls(_) => on_plain_port(server, Security::Stls),
        Channel::Opportunistic(_) => on_plain_port(server, Security::OpportunisticStls),
    }
    .tls(settings)
}

/// Every login that can be described: its name, whether it carries a token, itself. Providers count how often they are
/// asked.
fn every_login(asked: &Arc<AtomicUsize>) -> Vec<(String, bool, Login)> {
    let count = |secret: &'static str| {
        let asked = Arc::clone(asked);
        move |_: &Ask| {
            asked.fetch_add(1, Ordering::SeqCst);
            Ok::<_, std::io::Error>(secret)
        }
    };
    let mut all = vec![
        ("a password".to_owned(), false, Login::password("alice", PASSWORD)),
        ("a password of a provider".to_owned(), false, Login::password_from("alice", count(PASSWORD))),
        ("a token".to_owned(), true, Login::token("alice", TOKEN)),
        ("a token of a provider".to_owned(), true, Login::token_from("alice", count(TOKEN))),
        ("external".to_owned(), false, Login::external()),
        ("anonymous".to_owned(), false, Login::anonymous("somebody@example.org")),
        ("apop".to_owned(), false, Login::apop("alice", PASSWORD)),
        ("rpop".to_owned(), false, Login::rpop("alice")),
        ("one of the caller's".to_owned(), false, Login::custom(|| Box::new(Plain::new("alice", PASSWORD)))),
        ("in Latin-1".to_owned(), false, Login::password("alice", PASSWORD).latin1_password()),
        ("whatever is announced".to_owned(), false, Login::password("alice", PASSWORD).unannounced_utf8()),
        ("as somebody".to_owned(), false, Login::password("alice", PASSWORD).acting_as("alice")),
    ];
    for mechanism in Mechanism::ALL {
        let by_token = matches!(mechanism, Mechanism::OAuthBearer | Mechanism::XOAuth2);
        let login = match mechanism {
            Mechanism::Gssapi | Mechanism::External | Mechanism::Anonymous => continue,
            _ if by_token => Login::token("alice", TOKEN),
            _ => Login::password("alice", PASSWORD),
        };
        all.push((mechanism.name().to_owned(), by_token, login.methods([mechanism])));
        // A token that is said to be a password is a token all the same.
        if by_token {
            let login = Login::password("alice", TOKEN).methods([mechanism]);
            all.push((format!("{mechanism} as a password"), true, login));
        }
    }
    all.push((
        "USER by name".to_owned(),
        false,
        Login::password("alice", PASSWORD).methods([Method::UserPass]),
    ));
    all
}

/// There is nobody to log in to, for a reason that is no rule of ours.
#[track_caller]
fn is_no_connection(error: &Error, what: &str) {
    assert!(error.is_tls() || error.is_io() || error.is_protocol(), "{what}: {error}");
    assert!(!error.is_policy() && error.attempts().is_empty(), "{what}: {error}");
}

/// Nothing of a login went to the server but, at most, a user's name.
#[track_caller]
fn heard_no_login(server: &popwire_server::Server, what: &str) {
    let sessions = server.sessions().len();
    assert!(server.wait_closed(sessions, std::time::Duration::from_secs(10)), "{what}");
    for session in server.sessions() {
        let octets = String::from_utf8_lossy(&session.client_octets()).to_ascii_uppercase();
        for part in ["PASS", "APOP", "RPOP", "AUTH", "S3CRET", "AGFS", "CZNJ", "YA29", "EWEYOS", "SOMEBODY"] {
            assert!(!octets.contains(part), "{what}: {part} in {octets:?}");
        }
    }
}

helper! {
    /// The ways that need no [`Login`]. Each on its own line, and none may reach the server.
    fn by_hand(client: &mut Client, what: &str) {
        is_forbidden(go!(client.apop("alice", PASSWORD)));
        for line in [
            format!("PASS {PASSWORD}"),
            format!("APOP alice {PASSWORD}"),
            "AUTH PLAIN AGFsaWNlAHMzY3JldCBwYXNz".to_owned(),
            format!("AUTH XOAUTH2 {TOKEN}"),
            "auth login".to_owned(),
        ] {
            is_forbidden(go!(client.raw(&line)));
            is_forbidden(go!(client.raw_multi(&line)));
        }
        for mechanism in ["PLAIN", "XOAUTH2", "EXTERNAL", "X-OWN"] {
            is_forbidden(go!(client.auth(mechanism, None)));
            is_forbidden(go!(client.auth(mechanism, Some("AGFsaWNlAHMzY3JldCBwYXNz".into()))));
        }
        is_forbidden(go!(client.auth_response("czNjcmV0IHBhc3M=")));
        go!(client.user("alice")).unwrap_or_else(|error| panic!("{what}: {error}"));
        is_forbidden(go!(client.pass(PASSWORD)));
    }

    /// This login over this connection, which may or may not come to be.
    fn tried(connector: &Connector, login: &Login, at_once: bool) -> Result<(), Error> {
        if at_once {
            let client = go!(Client::connect_and_login(connector, login))?;
            assert!(go!(client.quit()).is_committed());
        } else {
            let mut client = go!(Client::connect(connector))?;
            go!(client.login(login))?;
            assert!(go!(client.quit()).is_committed());
        }
        Ok(())
    }
}

case! {
    fn p_049_p_113_p_128_p_147_nothing_secret_goes_where_it_may_not_whatever_the_configuration() {
        for (channel, trust) in channels() {
            let server = server_for(channel, trust);
            let connector = connector_for(&server, channel, trust);
            let safety = safety(channel, trust);
            if safety == Safety::Verified {
                continue;
            }
            let what = format!("{channel:?}, {trust:?}");
            let asked = Arc::new(AtomicUsize::new(0));
            for (name, _, login) in every_login(&asked) {
                let what = format!("{name}: {what}");
                for at_once in [false, true] {
                    let error = go!(tried(&connector, &login, at_once)).unwrap_err();
                    match safety {
                        Safety::None => is_no_connection(&error, &what),
                        _ => is_forbidden(Err::<(), _>(error)),
                    }
                    // Who asks for a login at once is asked before there is a connection; nobody else is.
                    let asking = name.ends_with("of a provider") && at_once;
                    assert_eq!(asked.swap(0, Ordering::SeqCst), usize::from(asking), "{what}");
                }
            }
            if safety == Safety::None {
                let connector = connector.dangerous_login_without_verified_tls();
                for (_, _, login) in every_login(&asked) {
                    let error = go!(tried(&connector, &login, false)).unwrap_err();
                    is_no_connection(&error, &what);
                }
            } else {
                let mut client = go!(Client::connect(&connector)).unwrap();
                go!(by_hand(&mut client, &what));
                assert!(!client.is_broken() && go!(client.quit()).is_committed(), "{what}");
            }
            heard_no_login(&server, &what);
        }
    }

    fn p_049_where_a_login_may_go_every_one_gets_in() {
        for (channel, trust) in channels() {
            let safety = safety(channel, trust);
            if safety == Safety::None {
                continue;
            }
            let server = server_for(channel, trust);
            let connector = connector_for(&server, channel, trust);
            let connector = match safety {
                Safety::Verified => connector,
                _ => connector.dangerous_login_without_verified_tls(),
            };
            let asked = Arc::new(AtomicUsize::new(0));
            for (name, is_token, login) in every_login(&asked) {
                let what = format!("{name}: {channel:?}, {trust:?}");
                let needs_tls = is_token || name.ends_with("-PLUS") || name == "external";
                for at_once in [false, true] {
                    match go!(tried(&connector, &login, at_once)) {
                        Ok(()) => assert!(safety != Safety::Clear || !needs_tls, "{what}"),
                        Err(error) => assert!(safety == Safety::Clear && needs_tls, "{what}: {error}"),
                    }
                }
            }
        }
    }

    fn p_128_a_token_never_goes_in_the_clear_whatever_is_allowed() {
        for (channel, trust) in channels() {
            if safety(channel, trust) != Safety::Clear {
                continue;
            }
            let server = server_for(channel, trust);
            let connector = connector_for(&server, channel, trust).dangerous_login_without_verified_tls();
            let asked = Arc::new(AtomicUsize::new(0));
            for (name, is_token, login) in every_login(&asked) {
                if !is_token {
                    continue;
                }
                for at_once in [false, true] {
                    let what = format!("{name}: {channel:?}");
                    let error = go!(tried(&connector, &login, at_once)).unwrap_err();
                    assert!(error.is_policy() && !error.is_no_method(), "{what}: {error}");
                    assert_eq!(asked.swap(0, Ordering::SeqCst), usize::from(at_once && name.contains("provider")));
                }
            }
            heard_no_login(&server, &format!("{channel:?}"));
        }
    }

    fn p_128_a_token_never_goes_in_the_clear_by_a_mechanism_of_the_callers() {
        let server = server_for(Channel::Plain, Trust::Good);
        let connector = plain(&server);
        for login in [
            Login::custom(|| Box::new(popwire::proto::sasl::XOAuth2::new("alice", TOKEN))),
            Login::custom(|| Box::new(popwire::proto::sasl::OAuthBearer::new("alice", TOKEN))),
        ] {
            is_forbidden(go!(tried(&connector, &login, false)));
        }
        heard_no_login(&server, "a mechanism of the caller's");
    }

    fn p_049_a_connection_that_becomes_worse_takes_no_login_that_was_begun_before() {
        // What was learnt in the clear, the ways to log in among it, is forgotten under TLS.
        let server = server_for(Channel::Opportunistic(Offer::Taken), Trust::AnyAccepted);
        let connector = connector_for(&server, Channel::Plain, Trust::AnyAccepted);
        let mut client = go!(Client::connect(&connector)).unwrap();
        is_forbidden(go!(client.login(&login())));
        go!(client.stls()).unwrap();
        assert!(client.tls().is_some_and(|tls| !tls.verified));
        go!(by_hand(&mut client, "after STLS to anybody"));
        is_forbidden(go!(client.login(&login())));
        assert!(go!(client.quit()).is_committed());
        heard_no_login(&server, "after STLS to anybody");
    }

    fn p_113_a_server_that_wants_tls_gets_no_password_before_it_even_where_it_may_go() {
        let server = alice()
            .require_tls(true)
            .sasl([Mechanism::Plain, Mechanism::Login, Mechanism::XOAuth2])
            .start()
            .unwrap();
        let error = go!(tried(&plain(&server), &login(), false)).unwrap_err();
        assert!(error.is_tls_required(), "{error}");
        let octets = String::from_utf8_lossy(&ended(&server).client_octets()).to_ascii_uppercase();
        assert!(!octets.contains("PASS") && !octets.contains("AGFS"), "{octets:?}");
        go!(tried(&on_plain_port(&server, Security::Stls), &login(), false)).unwrap();
    }
}
