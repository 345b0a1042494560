// Providers of passwords and tokens, and tokens that are renewed, P-049, P-129, P-130, P-133.

use std::sync::{Arc, Mutex};

use popwire::{Ask, Login, Mechanism, Security};
use popwire_server::{Answer, Builder, Server};

use crate::setting::{PASSWORD, alice, ended, on_plain_port, plain, said, shown, tls};

/// What a provider was asked.
type Asked = Arc<Mutex<Vec<Ask>>>;

/// Gives these one after the other, and the last of them for ever.
fn gives(
    asked: &Asked,
    given: &'static [&'static str],
) -> impl Fn(&Ask) -> Result<&'static str, Trouble> + use<> {
    let asked = Arc::clone(asked);
    move |ask| {
        let mut asked = asked.lock().unwrap();
        asked.push(ask.clone());
        given.get(asked.len() - 1).or(given.last()).copied().ok_or(Trouble)
    }
}

#[derive(Debug)]
struct Trouble;

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the keyring is locked")
    }
}

impl std::error::Error for Trouble {}

/// By how many AUTH lines the last session was begun.
fn auths(server: &Server) -> usize {
    said(server).iter().filter(|line| line.starts_with("AUTH ")).count()
}

fn times(asked: &Asked) -> usize {
    asked.lock().unwrap().len()
}

/// Takes the token `new`.
fn bearer() -> Builder {
    alice().sasl([Mechanism::OAuthBearer]).token("alice", "new")
}

const BOTH: [Mechanism; 2] = [Mechanism::OAuthBearer, Mechanism::XOAuth2];

case! {
    fn a_provider_is_asked_once_and_told_for_whom() {
        let server = alice().sasl([Mechanism::ScramSha256, Mechanism::OAuthBearer]).token("alice", "new").start().unwrap();
        for one_go in [false, true] {
            for token in [false, true] {
                let asked = Asked::default();
                let login = if token {
                    Login::token_from("alice", gives(&asked, &["new"]))
                } else {
                    Login::password_from("alice", gives(&asked, &[PASSWORD]))
                };
                if one_go {
                    drop(go!(Client::connect_and_login(&tls(&server), &login)).unwrap());
                } else {
                    let mut client = go!(Client::connect(&tls(&server))).unwrap();
                    assert_eq!(times(&asked), 0);
                    go!(client.login(&login)).unwrap();
                }
                let _ = ended(&server);
                let asked = asked.lock().unwrap();
                assert_eq!(asked.len(), 1);
                assert_eq!((asked[0].user.as_slice(), asked[0].host.as_str()), (&b"alice"[..], "localhost"));
                assert_eq!(asked[0].refused, None);
            }
        }
    }

    fn a_provider_is_asked_once_for_several_ways() {
        let lines = ["SASL SCRAM-SHA-512 SCRAM-SHA-256", "USER"];
        let server = alice().capability_lines(lines, lines).script("AUTH", "-ERR no\r\n").start().unwrap();
        let asked = Asked::default();
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        go!(client.login(&Login::password_from("alice", gives(&asked, &[PASSWORD])))).unwrap();
        assert_eq!((times(&asked), auths(&server)), (1, 2));
    }

    fn p_049_a_provider_is_not_asked_before_the_login_is_allowed() {
        let server = alice().sasl(BOTH).token("alice", "new").start().unwrap();
        let asked = Asked::default();
        let token = Login::token_from("alice", gives(&asked, &["new"]));
        let password = Login::password_from("alice", gives(&asked, &[PASSWORD]));
        let strict = on_plain_port(&server, Security::Plain);
        for (connector, login) in [(&strict, &token), (&strict, &password), (&plain(&server), &token)] {
            let mut client = go!(Client::connect(connector)).unwrap();
            assert!(go!(client.login(login)).unwrap_err().is_policy());
            assert_eq!(said(&server), ["CAPA"]);
        }
        // Nor where no way is left.
        let lines = ["SASL CRAM-MD5"];
        let server = alice().capability_lines(lines, lines).start().unwrap();
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        assert!(go!(client.login(&token)).unwrap_err().is_no_method());
        assert!(go!(client.login(&password.acting_as("bob"))).unwrap_err().is_no_method());
        assert_eq!(times(&asked), 0);
    }

    fn p_129_p_130_q_032_a_refused_token_is_renewed_once() {
        for mechanism in BOTH {
            for one_go in [false, true] {
                let server = alice().sasl([mechanism]).token("alice", "new").start().unwrap();
                let asked = Asked::default();
                let login = Login::token_from("alice", gives(&asked, &["old", "new"]));
                if one_go {
                    drop(go!(Client::connect_and_login(&tls(&server), &login)).unwrap());
                } else {
                    let mut client = go!(Client::connect(&tls(&server))).unwrap();
                    go!(client.login(&login)).unwrap();
                }
                assert_eq!((times(&asked), auths(&server), server.sessions().len()), (2, 2, 1));
                let asked = asked.lock().unwrap();
                assert_eq!(asked[0].refused, None);
                let refused = asked[1].refused.as_ref().expect("it is told what the server said");
                assert!(refused.status.is_some(), "{refused:?}");
                assert!(!refused.text.to_string().contains("old"), "{refused:?}");
            }
        }
    }

    fn q_032_what_the_server_says_of_a_token_is_kept() {
        for mechanism in BOTH {
            let server = alice().sasl([mechanism]).token("alice", "new").start().unwrap();
            let mut client = go!(Client::connect(&tls(&server))).unwrap();
            let error = go!(client.login(&Login::token("alice", "0ld-t0ken"))).unwrap_err();
            assert!(error.is_authentication() && !client.is_broken(), "{error}");
            let attempt = &error.attempts()[0];
            let oauth = attempt.oauth.as_ref().expect("an explanation");
            let status = oauth.status.clone().expect("a status");
            assert!(error.to_string().contains(&status), "{error}");
            assert_eq!((error.attempts().len(), auths(&server)), (1, 1));
            assert!(!shown(&error).contains("0ld-t0ken"));
            // The session is in step.
            go!(client.login(&Login::token("alice", "new"))).unwrap();
        }
    }

    fn q_032_a_second_refusal_is_the_last() {
        let server = bearer().sasl(BOTH).start().unwrap();
        let asked = Asked::default();
        let login = Login::token_from("alice", gives(&asked, &["old", "older", "oldest", "new"])).attempts(9);
        for one_go in [false, true] {
            asked.lock().unwrap().clear();
            let error = if one_go {
                go!(Client::connect_and_login(&tls(&server), &login)).map(drop).unwrap_err()
            } else {
                let mut client = go!(Client::connect(&tls(&server))).unwrap();
                go!(client.login(&login)).unwrap_err()
            };
            assert!(error.is_authentication(), "{error}");
            assert_eq!((times(&asked), auths(&server), error.attempts().len()), (2, 2, 2));
        }
    }

    fn q_032_the_same_token_again_is_not_sent_twice() {
        let server = bearer().start().unwrap();
        let asked = Asked::default();
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        let error = go!(client.login(&Login::token_from("alice", gives(&asked, &["old", "old"])))).unwrap_err();
        assert!(error.is_authentication() && error.attempts()[0].oauth.is_some(), "{error}");
        assert_eq!((times(&asked), auths(&server), error.attempts().len()), (2, 1, 1));
        assert!(!client.is_broken());
    }

    fn q_032_there_is_no_renewal_beyond_the_budget() {
        let server = bearer().start().unwrap();
        let asked = Asked::default();
        let login = Login::token_from("alice", gives(&asked, &["old", "new"])).attempts(1);
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        assert!(go!(client.login(&login)).unwrap_err().is_authentication());
        assert_eq!((times(&asked), auths(&server)), (1, 1));
    }

    fn q_032_other_refusals_are_no_reason_to_renew() {
        for refusal in [
            "-ERR [IN-USE] locked",
            "-ERR [SYS/TEMP] later",
            "-ERR [SYS/PERM] never",
            "-ERR [LOGIN-DELAY] soon",
            "-ERR Server Unavailable. 21",
        ] {
            let server = bearer().script("AUTH", format!("{refusal}\r\n")).start().unwrap();
            let asked = Asked::default();
            let login = Login::token_from("alice", gives(&asked, &["old", "new"]));
            let mut client = go!(Client::connect(&tls(&server))).unwrap();
            let error = go!(client.login(&login)).unwrap_err();
            assert!(!error.is_authentication(), "{error}");
            assert_eq!((times(&asked), auths(&server)), (1, 1), "{refusal}");
        }
        // A mechanism that is not there has not looked at the token.
        let server = alice().capability_lines(["SASL XOAUTH2"], [""; 0]).start().unwrap();
        let asked = Asked::default();
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        let login = Login::token_from("alice", gives(&asked, &["old", "new"]));
        assert!(go!(client.login(&login)).unwrap_err().is_method_refused());
        assert_eq!(times(&asked), 1);
    }

    fn a_refused_password_is_not_asked_for_again() {
        let server = alice().sasl([Mechanism::ScramSha256, Mechanism::Plain]).start().unwrap();
        for mechanism in [Mechanism::ScramSha256, Mechanism::Plain] {
            let asked = Asked::default();
            let login = Login::password_from("alice", gives(&asked, &["wrong", PASSWORD])).methods([mechanism]);
            let error = go!(Client::connect_and_login(&tls(&server), &login)).map(drop).unwrap_err();
            assert!(error.is_authentication(), "{error}");
            assert_eq!((times(&asked), auths(&server)), (1, 1));
        }
    }

    fn a_provider_that_fails_says_why() {
        let server = bearer().start().unwrap();
        for login in [
            Login::token_from("alice", gives(&Asked::default(), &[])),
            Login::password_from("alice", gives(&Asked::default(), &[])),
        ] {
            let mut client = go!(Client::connect(&tls(&server))).unwrap();
            let error = go!(client.login(&login)).unwrap_err();
            assert!(error.is_provider() && !error.is_retryable() && !error.is_policy(), "{error}");
            assert!(error.to_string().contains("the keyring is locked"), "{error}");
            assert!(std::error::Error::source(&error).unwrap().is::<Trouble>());
            assert_eq!(said(&server), ["CAPA"]);
            assert!(error.attempts().is_empty() && !client.is_broken());
            // The session is as it was.
            go!(client.login(&Login::token("alice", "new"))).unwrap();
        }
    }

    fn a_provider_that_cannot_renew_says_why_and_the_refusal_is_told_too() {
        let server = bearer().start().unwrap();
        let login = Login::token_from("alice", |ask: &Ask| match &ask.refused {
            None => Ok("0ld-t0ken"),
            Some(_) => Err(Trouble),
        });
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        let error = go!(client.login(&login)).unwrap_err();
        assert!(error.is_provider(), "{error}");
        assert_eq!(error.attempts().len(), 1);
        assert!(error.attempts()[0].reply.is_some() && error.attempts()[0].oauth.is_some());
        assert!(!shown(&error).contains("0ld-t0ken"));
        assert_eq!(auths(&server), 1);
    }

    fn q_031_the_provider_is_asked_before_the_connection_is_made() {
        let server = bearer().start().unwrap();
        let login = Login::token_from("alice", gives(&Asked::default(), &[]));
        let error = go!(Client::connect_and_login(&tls(&server), &login)).map(drop).unwrap_err();
        assert!(error.is_provider() && std::error::Error::source(&error).unwrap().is::<Trouble>(), "{error}");
        assert!(server.sessions().is_empty());
        // By hand it is the same.
        assert!(login.ask("localhost").unwrap_err().is_provider());
        let asked = Asked::default();
        let login = Login::token_from("alice", gives(&asked, &["new"])).ask("elsewhere").unwrap();
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        go!(client.login(&login)).unwrap();
        assert_eq!((times(&asked), asked.lock().unwrap()[0].host.as_str()), (1, "elsewhere"));
    }

    fn q_032_q_035_a_server_that_hangs_up_on_a_refused_token_gets_it_once() {
        for mechanisms in [&BOTH[..1], &BOTH[1..], &BOTH] {
            let server = alice()
                .sasl(mechanisms.iter().copied())
                .token("alice", "new")
                .close_after_refused_auth(true)
                .start()
                .unwrap();
            let asked = Asked::default();
            let login = Login::token_from("alice", gives(&asked, &["0ld-t0ken", "new"]));
            let outcome = go!(Client::connect_and_login(&tls(&server), &login)).map(drop);
            let old = server
                .sessions()
                .iter()
                .flat_map(popwire_server::Session::client_lines)
                .filter(|line| has(line, b"0ld-t0ken"))
                .count();
            assert_eq!(old, 1, "the refused token was shown again");
            assert_eq!(times(&asked), 2);
            assert!(server.sessions().len() <= 2);
            // The new token may go over a new connection; if not, the login failed of the refused one.
            if let Err(error) = outcome {
                assert!(error.is_authentication() && !error.attempts().is_empty(), "{error}");
            }
        }
    }

    fn q_035_a_token_over_which_the_server_hangs_up_is_not_shown_by_other_ways() {
        let server = alice()
            .sasl(BOTH)
            .token("alice", "t0ken")
            .script("AUTH OAUTHBEARER", Answer::raw("").then_close())
            .start()
            .unwrap();
        let error = go!(Client::connect_and_login(&tls(&server), &Login::token("alice", "t0ken"))).map(drop).unwrap_err();
        assert!(error.is_closed() && error.attempts()[0].closed, "{error}");
        assert_eq!(server.sessions().len(), 1);
    }

    fn p_133_a_token_with_a_line_end_is_not_sent() {
        let server = bearer().start().unwrap();
        for bad in ["", "a b", "a\r\nDELE 1", "\u{e4}"] {
            let mut client = go!(Client::connect(&tls(&server))).unwrap();
            let error = go!(client.login(&Login::token("alice", bad))).unwrap_err();
            assert!(error.is_misuse() && !error.is_server_untrusted(), "{error}");
            assert_eq!(said(&server), ["CAPA"]);
            assert!(!client.is_broken());
        }
    }
}

/// Whether these octets are in the line, or in what its last word decodes to.
fn has(line: &str, octets: &[u8]) -> bool {
    use base64::Engine as _;
    let word = line.split(' ').next_back().unwrap_or_default();
    let decoded = base64::engine::general_purpose::STANDARD.decode(word).unwrap_or_default();
    [line.as_bytes(), &decoded].iter().any(|text| text.windows(octets.len()).any(|part| part == octets))
}
