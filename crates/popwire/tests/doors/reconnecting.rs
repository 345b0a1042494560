// Servers that close the connection over a login.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use popwire::{Error, Login, Mechanism, Method};
use popwire_server::Maildrop;

use crate::actor::{Act, answer, say};
use crate::setting::{PASSWORD, alice, ended, login, tls};
use crate::troupe::Troupe;

/// The greeting, CAPA with these lines, and then these.
fn with<const N: usize>(capa: &str, rest: [Act; N]) -> Vec<Act> {
    [say("+OK <1@x>\r\n")].into_iter().chain(answer(format!("+OK\r\n{capa}.\r\n"))).chain(rest).collect()
}

/// Takes the next line for a login.
fn lets_in(capa: &str) -> Vec<Act> {
    let [hear, ok] = answer("+OK\r\n");
    with(capa, [hear, ok, Act::Hear, say("-ERR\r\n")])
}

/// Hangs up on the next line.
fn hangs_up(capa: &str) -> Vec<Act> {
    with(capa, [Act::Hear, Act::Close])
}

/// Refuses the next line, and hangs up.
fn turns_away(capa: &str, refusal: &str) -> Vec<Act> {
    with(capa, [Act::Hear, say(refusal), Act::Close])
}

const ALL: &str = "SASL SCRAM-SHA-256 PLAIN LOGIN\r\nUSER\r\n";

/// The ways that were begun, on all connections.
fn ways(troupe: &Troupe) -> Vec<String> {
    let lines = troupe.lines().concat();
    let way = |line: &String| match line.split_once(' ') {
        Some(("AUTH", rest)) => rest.split(' ').next().map(str::to_owned),
        Some((word @ ("USER" | "APOP"), _)) => Some(word.to_owned()),
        _ => None,
    };
    lines.iter().filter_map(way).collect()
}

fn tried(error: &Error) -> Vec<Method> {
    error.attempts().iter().map(|attempt| attempt.method).collect()
}

fn plain_response() -> String {
    STANDARD.encode(format!("\0alice\0{PASSWORD}"))
}

case! {
    fn q_035_the_next_way_goes_over_a_new_connection() {
        for refusal in [None, Some("-ERR unsupported mechanism\r\n")] {
            let troupe = Troupe::play(move |nth| match (nth, refusal) {
                (0, None) => hangs_up(ALL),
                (0, Some(refusal)) => turns_away(ALL, refusal),
                _ => lets_in(ALL),
            });
            go!(Client::connect_and_login(&troupe.connector(), &login())).unwrap();
            let lines = troupe.lines();
            assert_eq!(lines.len(), 2);
            assert!(lines[0][1].starts_with("AUTH SCRAM-SHA-256 "));
            assert_eq!(lines[1][..2], ["CAPA".to_owned(), format!("AUTH PLAIN {}", plain_response())]);
        }
    }

    fn q_035_login_after_goes_on_by_hand() {
        let troupe = Troupe::play(|nth| if nth == 0 { hangs_up(ALL) } else { lets_in(ALL) });
        let login = login();
        let mut client = go!(Client::connect(&troupe.connector())).unwrap();
        let error = go!(client.login(&login)).unwrap_err();
        assert!(error.is_closed() && client.is_broken(), "{error}");
        assert_eq!(tried(&error), [Mechanism::ScramSha256.into()]);
        assert!(error.attempts()[0].closed);
        let login = login.after(&error).expect("there is more to try");
        let mut client = go!(Client::connect(&troupe.connector())).unwrap();
        go!(client.login(&login)).unwrap();
        assert_eq!(ways(&troupe), ["SCRAM-SHA-256", "PLAIN"]);
    }

    fn q_035_a_server_that_always_hangs_up_is_left_in_the_end() {
        let capa = "SASL SCRAM-SHA-512 SCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN\r\nUSER\r\n";
        let order = ["SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"];
        for (budget, connections) in [(0, 1), (1, 1), (2, 2), (3, 3), (4, 4)] {
            let troupe = Troupe::play(move |_| hangs_up(capa));
            let login = login().attempts(budget);
            let error = go!(Client::connect_and_login(&troupe.connector(), &login)).map(drop).unwrap_err();
            assert_eq!(troupe.lines().len(), connections);
            assert_eq!(ways(&troupe), order[..connections]);
            assert!(error.is_io() && error.is_retryable() && !error.is_authentication(), "{error}");
            // All that was tried is told.
            assert_eq!(error.attempts().len(), connections);
            assert!(error.attempts().iter().all(|attempt| attempt.closed));
            if connections > 1 {
                let text = error.to_string();
                assert!(order[..connections].iter().all(|way| text.contains(way)), "{text}");
            }
        }
    }

    fn q_035_with_no_end_of_budget_there_is_an_end() {
        for capa in [ALL, "SASL PLAIN\r\n", "USER\r\n", "SASL CRAM-MD5 LOGIN\r\n", ""] {
            for refusal in [None, Some("-ERR no\r\n"), Some("-ERR [AUTH] no\r\n"), Some("-ERR busy\r\n")] {
                let troupe = Troupe::play(move |_| match refusal {
                    Some(refusal) => turns_away(capa, refusal),
                    None => hangs_up(capa),
                });
                let login = login().attempts(u32::MAX);
                let error = go!(Client::connect_and_login(&troupe.connector(), &login)).map(drop).unwrap_err();
                assert!(troupe.lines().len() <= 6, "{} connections", troupe.lines().len());
                assert_eq!(error.is_io(), refusal.is_none(), "{capa} {refusal:?}: {error}");
                assert!(!error.attempts().is_empty(), "{error}");
            }
        }
    }

    fn q_035_a_verdict_and_a_closed_connection_are_a_refused_login() {
        let wrong = Login::password("alice", "wrong");
        for mechanism in [Mechanism::ScramSha256, Mechanism::Plain, Mechanism::Login] {
            let mechanisms = [mechanism, Mechanism::Plain, Mechanism::Login];
            let server = alice().sasl(mechanisms).close_after_refused_auth(true).start().unwrap();
            let wrong = wrong.clone().methods([mechanism, Mechanism::Plain, Mechanism::Login]);
            let error = go!(Client::connect_and_login(&tls(&server), &wrong)).map(drop).unwrap_err();
            assert!(error.is_authentication() && !error.is_io() && !error.is_retryable(), "{error}");
            assert_eq!(tried(&error), [mechanism.into()]);
            let lines = ended(&server).client_lines();
            assert_eq!(lines.iter().filter(|line| line.starts_with("AUTH")).count(), 1, "{lines:?}");
            assert_eq!(server.sessions().len(), 1);
        }
    }

    fn q_035_a_refusal_before_the_close_is_what_the_login_failed_of() {
        // The way that would be next cannot be tried any more, so the refusal is all that there is to say.
        let troupe = Troupe::play(|_| turns_away(ALL, "-ERR no such mechanism\r\n"));
        let mut client = go!(Client::connect(&troupe.connector())).unwrap();
        let error = go!(client.login(&login())).unwrap_err();
        assert!(error.is_method_refused() && !error.is_io() && !error.is_retryable(), "{error}");
        assert_eq!(tried(&error), [Mechanism::ScramSha256.into()]);
        assert!(error.to_string().contains("no such mechanism"), "{error}");
    }

    fn q_035_a_password_over_which_the_server_hangs_up_is_not_shown_by_other_ways() {
        // First the answer to PLAIN is a closed connection, whatever its form.
        let troupe = Troupe::play(|_| hangs_up(ALL));
        let login = login().methods([Method::Sasl(Mechanism::Plain), Method::UserPass, Mechanism::Login.into()]);
        let error = go!(Client::connect_and_login(&troupe.connector(), &login)).map(drop).unwrap_err();
        assert!(error.is_closed(), "{error}");
        assert_eq!(ways(&troupe), ["PLAIN", "PLAIN"]);
        // Then only once the password was there.
        let troupe = Troupe::play(|nth| match nth {
            0 => hangs_up(ALL),
            _ => with(ALL, [Act::Hear, say("+ \r\n"), Act::Hear, Act::Close]),
        });
        let error = go!(Client::connect_and_login(&troupe.connector(), &login)).map(drop).unwrap_err();
        assert!(error.is_closed(), "{error}");
        assert_eq!(ways(&troupe), ["PLAIN", "PLAIN"]);
    }

    fn q_035_a_pass_over_which_the_server_hangs_up_is_sent_once() {
        for capa in ["USER\r\nSASL LOGIN\r\n", "SASL SCRAM-SHA-256 LOGIN\r\nUSER\r\n"] {
            let troupe = Troupe::play(move |_| {
                let refusal = answer("-ERR no such mechanism\r\n").into_iter().filter(|_| capa.contains("SCRAM"));
                let mut script = with(capa, []);
                script.extend(refusal);
                script.extend([Act::Hear, say("+OK\r\n"), Act::Hear, Act::Close]);
                script
            });
            let error = go!(Client::connect_and_login(&troupe.connector(), &login())).map(drop).unwrap_err();
            let lines = troupe.lines().concat();
            let passes = lines.iter().filter(|line| line.starts_with("PASS")).count();
            assert_eq!(passes, 1, "{lines:?}");
            assert!(!lines.iter().any(|line| line.starts_with("AUTH LOGIN")), "{lines:?}");
            assert!(error.is_closed(), "{error}");
            assert_eq!(tried(&error).last(), Some(&Method::UserPass));
        }
    }

    fn q_035_a_way_that_was_not_tried_is_no_refusal() {
        // SCRAM cannot carry this password, which says nothing of the server.
        let troupe = Troupe::play(|_| hangs_up("UTF8 USER\r\nSASL SCRAM-SHA-256\r\nUSER\r\n"));
        let login = Login::password("alice", "p\u{1f600}ss");
        let error = go!(Client::connect_and_login(&troupe.connector(), &login)).map(drop).unwrap_err();
        assert!(error.is_closed() && !error.is_misuse(), "{error}");
        assert_eq!(ways(&troupe), ["USER"]);
    }

    fn q_035_a_digest_over_which_the_server_hangs_up_is_no_verdict() {
        let challenge = format!("+ {}\r\n", STANDARD.encode("<1@x>"));
        let troupe = Troupe::play(move |nth| match nth {
            0 => with("SASL CRAM-MD5 PLAIN\r\n", [Act::Hear, say(&challenge), Act::Hear, Act::Close]),
            _ => lets_in("SASL CRAM-MD5 PLAIN\r\n"),
        });
        let login = login().methods([Mechanism::CramMd5, Mechanism::Plain]);
        go!(Client::connect_and_login(&troupe.connector(), &login)).unwrap();
        assert_eq!(ways(&troupe), ["CRAM-MD5", "PLAIN"]);
        assert_eq!(troupe.lines().len(), 2);
    }

    fn q_035_what_was_tried_is_told_though_the_next_connection_offers_nothing() {
        let troupe =
            Troupe::play(|nth| if nth == 0 { hangs_up(ALL) } else { lets_in("SASL CRAM-MD5\r\n") });
        // Nothing is the last resort of somebody who acts as another.
        let login = login().acting_as("bob");
        let error = go!(Client::connect_and_login(&troupe.connector(), &login)).map(drop).unwrap_err();
        assert_eq!(tried(&error), [Mechanism::ScramSha256.into()], "{error}");
        assert_eq!(troupe.lines().len(), 2);
        assert_eq!(troupe.lines()[1], ["CAPA"]);
    }

    fn q_036_apop_over_which_the_server_hangs_up() {
        let troupe = Troupe::play(|_| hangs_up(ALL));
        let error = go!(Client::connect_and_login(&troupe.connector(), &Login::apop("alice", "x"))).map(drop).unwrap_err();
        assert!(error.is_closed(), "{error}");
        assert_eq!(ways(&troupe), ["APOP"]);
        // Those who name another way as well get it.
        let troupe = Troupe::play(|nth| if nth == 0 { hangs_up(ALL) } else { lets_in(ALL) });
        let login = login().methods([Method::Apop, Mechanism::Plain.into()]);
        go!(Client::connect_and_login(&troupe.connector(), &login)).unwrap();
        assert_eq!(ways(&troupe), ["APOP", "PLAIN"]);
        // A refused digest is a refused password.
        let troupe = Troupe::play(|_| turns_away(ALL, "-ERR wrong\r\n"));
        let error = go!(Client::connect_and_login(&troupe.connector(), &login)).map(drop).unwrap_err();
        assert!(error.is_authentication() && !error.is_io(), "{error}");
        assert_eq!(ways(&troupe), ["APOP"]);
    }

    fn q_058_plain_in_the_other_form_once() {
        let troupe = Troupe::play(|nth| match nth {
            0 => hangs_up("SASL PLAIN\r\n"),
            _ => with("SASL PLAIN\r\n", [Act::Hear, say("+ \r\n"), Act::Hear, say("+OK\r\n"), Act::Hear, say("-ERR\r\n")]),
        });
        go!(Client::connect_and_login(&troupe.connector(), &login())).unwrap();
        let lines = troupe.lines();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0][1], format!("AUTH PLAIN {}", plain_response()));
        assert_eq!(lines[1][1..3], ["AUTH PLAIN".to_owned(), plain_response()]);

        let troupe = Troupe::play(|_| hangs_up("SASL PLAIN\r\n"));
        let error = go!(Client::connect_and_login(&troupe.connector(), &login())).map(drop).unwrap_err();
        assert_eq!(ways(&troupe), ["PLAIN", "PLAIN"]);
        assert!(error.is_closed(), "{error}");
        assert_eq!(error.attempts().len(), 2);
    }

    fn q_058_there_is_no_other_form_where_the_response_had_a_line_of_its_own() {
        // Not announced, so it went in two lines already; once more the same would be no other form.
        let server =
            alice().sasl_hidden([Mechanism::Plain]).plain_only_in_one_line(true).start().unwrap();
        let login = login().methods([Mechanism::Plain]);
        let error = go!(Client::connect_and_login(&tls(&server), &login)).map(drop).unwrap_err();
        assert!(error.is_closed(), "{error}");
        assert_eq!(server.sessions().len(), 1);
        // Announced, it has the form that such a server wants.
        let server = alice().sasl([Mechanism::Plain]).plain_only_in_one_line(true).start().unwrap();
        go!(Client::connect_and_login(&tls(&server), &login)).unwrap();
        assert_eq!(server.sessions().len(), 1);
    }

    fn q_027_an_exchange_that_takes_no_initial_response_is_not_asked_again() {
        // It answers `-ERR` to the password and hangs up: that is a verdict as far as anybody can tell.
        let server = popwire_server::Server::builder()
            .user("alice", PASSWORD, Maildrop::empty())
            .sasl([Mechanism::Plain])
            .one_line_auth(false)
            .start()
            .unwrap();
        let error = go!(Client::connect_and_login(&tls(&server), &login())).map(drop).unwrap_err();
        assert!(error.is_refused() && !error.is_io(), "{error}");
        assert_eq!(server.sessions().len(), 1);
    }

    fn a_server_that_is_gone_before_the_login_is_no_refused_login() {
        let troupe = Troupe::play(|_| with(ALL, [Act::Close]));
        let mut client = go!(Client::connect(&troupe.connector())).unwrap();
        pause!(crate::setting::ms(50));
        let error = go!(client.login(&login())).unwrap_err();
        assert!(error.is_io() && !error.is_refused(), "{error}");
    }
}
