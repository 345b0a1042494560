// A server that fails to prove itself gets nothing more: P-122 to P-125.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use popwire::proto::sasl::server::Fault;
use popwire::{Connector, Error, Login, Mechanism, Security, Timeouts};
use popwire_server::{Server, Session};

use crate::actor::{Act, Actor, answer, pause, say};
use crate::setting::{PASSWORD, alice, ended, login, ms, on_plain_port, plain, said, tls, took};
use crate::troupe::Troupe;

/// SCRAM, and all by which a password could be had afterwards.
fn faulty(fault: Fault) -> Server {
    alice()
        .sasl([Mechanism::ScramSha256, Mechanism::ScramSha1, Mechanism::Plain, Mechanism::Login])
        .sasl_fault(fault)
        .start()
        .unwrap()
}

/// The client's lines from the first AUTH on, without what belongs to the exchange itself.
fn after_the_exchange(lines: &[String]) -> Vec<&String> {
    let lines = lines.iter().skip_while(|line| !line.starts_with("AUTH ")).skip(1);
    let is_response = |line: &&String| STANDARD.decode(line).is_ok_and(|octets| octets.starts_with(b"c="));
    lines.filter(|line| !is_response(line)).collect()
}

#[track_caller]
fn is_untrusted(error: &Error) {
    assert!(error.is_server_untrusted(), "{error}");
    assert!(!error.is_authentication() && !error.is_refused() && !error.is_retryable(), "{error}");
    assert!(!error.is_io() && !error.is_misuse(), "{error}");
    assert_eq!(error.attempts().len(), 1, "{error}");
    assert!(!error.to_string().contains(PASSWORD) && !format!("{error:?}").contains(PASSWORD));
}

/// Whether the password went out, as it is or in base64.
fn has_password(session: &Session) -> bool {
    session.client_lines().iter().any(|line| {
        let decoded = line.split(' ').next_back().and_then(|word| STANDARD.decode(word).ok());
        let octets = decoded.unwrap_or_default();
        line.contains(PASSWORD) || octets.windows(PASSWORD.len()).any(|part| part == PASSWORD.as_bytes())
    })
}

helper! {
    /// The server is found out and left, step by step and in one go; afterwards it hears this at most.
    fn gets_nothing_more(server: &Server, connector: &Connector, login: &Login, end: &[&str]) {
        let mut client = go!(Client::connect(connector)).unwrap();
        let error = go!(client.login(login)).unwrap_err();
        is_untrusted(&error);
        assert!(login.after(&error).is_none());
        assert!(client.is_broken());
        let plain = login.clone().methods([Mechanism::Plain]);
        assert!(go!(client.login(&plain)).is_err());
        assert!(go!(client.login(login)).is_err());
        assert!(go!(client.noop()).is_err());
        assert!(go!(client.stat()).is_err());
        drop(client);
        let session = ended(server);
        assert_eq!(after_the_exchange(&session.client_lines()), end);
        assert!(!has_password(&session));

        let before = server.sessions().len();
        let error = go!(Client::connect_and_login(connector, login)).map(drop).unwrap_err();
        is_untrusted(&error);
        let session = ended(server);
        assert_eq!(after_the_exchange(&session.client_lines()), end);
        assert!(!has_password(&session));
        assert_eq!(server.sessions().len(), before + 1);
    }

    fn gets_nothing_more_anywhere(fault: Fault, end: &[&str]) {
        let server = faulty(fault);
        for connector in [tls(&server), plain(&server), on_plain_port(&server, Security::Stls)] {
            go!(gets_nothing_more(&server, &connector, &login(), end));
        }
    }
}

/// SCRAM-SHA-256 and everything else.
const CAPA: &str = "+OK\r\nSASL SCRAM-SHA-256 PLAIN LOGIN\r\nUSER\r\n.\r\n";

/// A challenge with a nonce that is not ours.
fn foreign_nonce() -> String {
    format!("+ {}\r\n", STANDARD.encode("r=foreign,s=c2FsdA==,i=4096"))
}

fn begun() -> Vec<Act> {
    [say("+OK\r\n")].into_iter().chain(answer(CAPA)).collect()
}

/// Finds itself cancelled, and hangs up.
fn hangs_up() -> Vec<Act> {
    begun().into_iter().chain(answer(foreign_nonce())).chain([Act::Hear, Act::Close]).collect()
}

/// Lets everybody in, by whatever means.
fn lets_in() -> Vec<Act> {
    begun().into_iter().chain(answer("+OK\r\n")).chain(answer("+OK\r\n")).chain(answer("-ERR\r\n")).collect()
}

case! {
    fn p_124_a_forged_proof() {
        go!(gets_nothing_more_anywhere(Fault::ForgedProof, &["*"]));
    }

    fn p_124_a_missing_proof() {
        go!(gets_nothing_more_anywhere(Fault::MissingProof, &[]));
    }

    fn p_124_an_early_ok() {
        go!(gets_nothing_more_anywhere(Fault::OkEarly, &[]));
    }

    fn p_122_a_foreign_nonce() {
        go!(gets_nothing_more_anywhere(Fault::ShortNonce, &["*"]));
    }

    fn p_122_a_mandatory_extension() {
        go!(gets_nothing_more_anywhere(Fault::MandatoryExtension, &["*"]));
    }

    fn p_123_an_iteration_count_out_of_bounds() {
        for count in [1_000_000_000, u32::MAX, 10_000_001, 4095, 1, 0] {
            let start = Instant::now();
            go!(gets_nothing_more_anywhere(Fault::Iterations(count), &["*"]));
            // Six logins, and nothing is computed in any of them.
            took(start, 0..3000);
        }
        let server = faulty(Fault::Iterations(1_000_000_000));
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        let start = Instant::now();
        let error = go!(client.login(&login())).unwrap_err();
        took(start, 0..1000);
        assert!(error.to_string().contains("1000000000"), "{error}");
    }

    fn p_124_digest_md5_has_a_proof_too() {
        for (fault, end) in
            [(Fault::ForgedProof, &["*"][..]), (Fault::MissingProof, &[]), (Fault::OkEarly, &[])]
        {
            let server = alice()
                .sasl([Mechanism::DigestMd5, Mechanism::Plain])
                .sasl_fault(fault.clone())
                .start()
                .unwrap();
            let login = login().methods([Mechanism::DigestMd5, Mechanism::Plain]);
            for connector in [tls(&server), plain(&server)] {
                let mut client = go!(Client::connect(&connector)).unwrap();
                let error = go!(client.login(&login)).unwrap_err();
                is_untrusted(&error);
                assert!(client.is_broken() && go!(client.login(&login)).is_err());
                drop(client);
                let lines = ended(&server).client_lines();
                // CAPA, AUTH, the response to the challenge, and perhaps the cancel.
                assert_eq!(lines[3.min(lines.len())..], *end, "{fault:?}");
                assert_eq!(lines[1], "AUTH DIGEST-MD5");
            }
        }
    }

    fn p_124_the_servers_own_word_after_the_proof_is_a_verdict() {
        for word in ["invalid-proof", "unknown-user", "other-error", "channel-bindings-dont-match"] {
            let server = faulty(Fault::ServerError(word.into()));
            for connector in [tls(&server), plain(&server)] {
                let before = server.sessions().len();
                let error = go!(Client::connect_and_login(&connector, &login())).map(drop).unwrap_err();
                let session = ended(&server);
                assert_eq!(after_the_exchange(&session.client_lines()), ["*"], "{word}");
                assert!(!has_password(&session));
                assert_eq!(server.sessions().len(), before + 1);
                assert_eq!(error.attempts().len(), 1);
                assert!(!error.is_server_untrusted() && !error.is_retryable(), "{error}");
                // The word is all that the person who asks has.
                assert!(error.to_string().contains(word), "{error}");
            }
        }
    }

    fn p_124_the_servers_own_word_for_a_wrong_proof_is_a_refusal_of_the_credentials() {
        let server = faulty(Fault::ServerError("invalid-proof".into()));
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        let error = go!(client.login(&login())).unwrap_err();
        assert!(error.is_authentication(), "{error}");
        // The server is no enemy: who asks for another password may go on.
        assert!(!client.is_broken());
    }

    fn p_124_no_proof_of_digest_md5_that_can_be_read_is_no_reason_to_go_on() {
        for last in ["rspauth=", "nonsense", "rspauth=00,rspauth=00", ""] {
            let challenge = STANDARD.encode("realm=\"x\",nonce=\"abc\",qop=\"auth\",algorithm=md5-sess,charset=utf-8");
            let script = [say("+OK\r\n")]
                .into_iter()
                .chain(answer("+OK\r\nSASL DIGEST-MD5 PLAIN\r\n.\r\n"))
                .chain(answer(format!("+ {challenge}\r\n")))
                .chain(answer(format!("+ {}\r\n", STANDARD.encode(last))))
                .chain(answer("-ERR cancelled\r\n"))
                .chain(answer("+OK\r\n"))
                .chain(answer("-ERR\r\n"));
            let actor = Actor::play(script);
            let mut client = go!(Client::connect(&actor.connector())).unwrap();
            let login = login().methods([Mechanism::DigestMd5, Mechanism::Plain]);
            let outcome = go!(client.login(&login));
            drop(client);
            assert!(!actor.heard().contains("AUTH PLAIN"), "the password went out after {last:?}");
            assert!(outcome.is_err());
        }
    }

    fn p_124_a_verdict_within_scram_and_a_closed_connection_are_a_verdict() {
        let server = alice()
            .sasl([Mechanism::ScramSha256, Mechanism::Plain])
            .sasl_fault(Fault::ServerError("invalid-proof".into()))
            .close_after_refused_auth(true)
            .start()
            .unwrap();
        let error = go!(Client::connect_and_login(&tls(&server), &login())).map(drop).unwrap_err();
        assert!(!error.is_io() && !error.is_retryable(), "{error}");
        assert!(!has_password(&ended(&server)));
        assert_eq!(server.sessions().len(), 1);
    }

    fn p_125_an_offer_that_was_taken_away_is_noticed() {
        let stripped = ["USER", "SASL SCRAM-SHA-256 PLAIN LOGIN"];
        let server = alice()
            .sasl([Mechanism::ScramSha256Plus, Mechanism::ScramSha256, Mechanism::Plain, Mechanism::Login])
            .capability_lines(stripped, stripped)
            .start()
            .unwrap();
        for connector in [tls(&server), on_plain_port(&server, Security::Stls)] {
            let before = server.sessions().len();
            let error = go!(Client::connect_and_login(&connector, &login())).map(drop).unwrap_err();
            let session = ended(&server);
            assert!(error.is_refused() || error.is_server_untrusted(), "{error}");
            assert!(!has_password(&session), "the password went out by another way");
            assert_eq!(server.sessions().len(), before + 1);
        }
    }

    fn p_124_who_hangs_up_on_the_cancel_gets_nothing_over_a_new_connection() {
        let troupe = Troupe::play(|nth| if nth == 0 { hangs_up() } else { lets_in() });
        let outcome = go!(Client::connect_and_login(&troupe.connector(), &login()));
        let lines = troupe.lines();
        assert_eq!(lines.len(), 1, "{:?}", lines.last());
        assert_eq!(lines[0].last().map(String::as_str), Some("*"));
        is_untrusted(&outcome.map(drop).unwrap_err());
    }

    fn p_124_who_hangs_up_on_the_cancel_is_called_untrusted() {
        let troupe = Troupe::play(|_| hangs_up());
        let mut client = go!(Client::connect(&troupe.connector())).unwrap();
        let error = go!(client.login(&login())).unwrap_err();
        assert!(login().after(&error).is_none());
        is_untrusted(&error);
        assert!(client.is_broken());
    }

    fn p_124_who_is_silent_after_the_cancel_gets_nothing_later() {
        let script = begun()
            .into_iter()
            .chain(answer(foreign_nonce()))
            .chain([Act::Hear, pause(400), say("-ERR cancelled\r\n")])
            .chain(answer("+OK\r\n"))
            .chain(answer("+OK\r\n"));
        let actor = Actor::play(script);
        let mut timeouts = Timeouts::default();
        timeouts.login = ms(150);
        let mut client = go!(Client::connect(&actor.connector().timeouts(timeouts))).unwrap();
        let error = go!(client.login(&login())).unwrap_err();
        assert!(login().after(&error).is_none());
        pause!(ms(500));
        let again = go!(client.login(&login().methods([Mechanism::Plain])));
        drop(client);
        assert!(!actor.heard().contains("AUTH PLAIN"), "the password went out");
        assert!(again.is_err());
        assert!(error.is_server_untrusted(), "{error}");
    }

    fn p_124_ok_to_a_cancel_is_no_login() {
        // A challenge that is no base64 is cancelled; whoever then says +OK lets everybody in.
        let script =
            begun().into_iter().chain(answer("+ ???\r\n")).chain(answer("+OK\r\n")).chain(answer("+OK\r\n"));
        let actor = Actor::play(script);
        let mut client = go!(Client::connect(&actor.connector())).unwrap();
        let error = go!(client.login(&login())).unwrap_err();
        is_untrusted(&error);
        assert!(client.is_broken());
        drop(client);
        assert!(actor.heard().ends_with("\r\n*\r\n"));
    }

    fn p_124_an_ok_that_comes_after_the_deadline_is_no_login_either() {
        let script = begun().into_iter().chain([Act::Hear, pause(400), say("+OK\r\n")]).chain(answer("+OK 0 0\r\n"));
        let actor = Actor::play(script);
        let mut timeouts = Timeouts::default();
        timeouts.login = ms(150);
        let mut client = go!(Client::connect(&actor.connector().timeouts(timeouts))).unwrap();
        assert!(go!(client.login(&login())).unwrap_err().is_timeout());
        pause!(ms(400));
        // SCRAM was at its first message: this server has proved nothing.
        let stat = go!(client.stat());
        assert!(stat.is_err(), "a session with a server that never proved itself");
    }

    fn p_125_the_first_message_is_fresh_every_time() {
        let server = alice().sasl([Mechanism::ScramSha256]).start().unwrap();
        let mut nonces = Vec::new();
        for _ in 0..3 {
            drop(go!(Client::connect_and_login(&tls(&server), &login())).unwrap());
            let _ = ended(&server);
            let line = said(&server)[1].clone();
            let first = String::from_utf8(STANDARD.decode(line.split(' ').nth(2).unwrap()).unwrap()).unwrap();
            nonces.push(first.split("r=").nth(1).unwrap().to_owned());
        }
        nonces.sort();
        nonces.dedup();
        assert_eq!(nonces.len(), 3);
    }
}
