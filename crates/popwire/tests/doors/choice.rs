// Which way to log in is taken, and what its lines look like: P-093, P-101, P-103, P-116, P-119, P-125 to P-127, P-131,
// P-154, Q-007, Q-027, Q-036, Q-039, Q-056, Q-057, Q-059, Q-060.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use popwire::{Connector, Error, Login, Mechanism, Method, Security};
use popwire_server::{Builder, Maildrop, Server};

use crate::actor::{Actor, answer, say};
use crate::setting::{PASSWORD, alice, ended, login, on_plain_port, plain, said, tls};

/// Every way with a password that is taken unasked, in its order.
const ORDER: [&str; 9] = [
    "SCRAM-SHA-512-PLUS",
    "SCRAM-SHA-512",
    "SCRAM-SHA-256-PLUS",
    "SCRAM-SHA-256",
    "SCRAM-SHA-1-PLUS",
    "SCRAM-SHA-1",
    "PLAIN",
    "USER",
    "LOGIN",
];

/// Those that nobody should get without asking.
const WEAK: &str = "CRAM-MD5 DIGEST-MD5 NTLM ANONYMOUS EXTERNAL GSSAPI X-OWN";

/// A server that announces these ways, and takes none of them.
fn refuses(ways: &[&str]) -> Server {
    announces(ways).script("USER", "-ERR no\r\n").script("APOP", "-ERR no\r\n").start().unwrap()
}

/// Alice, and CAPA with these ways.
fn announces(ways: &[&str]) -> Builder {
    let mechanisms: Vec<&str> = ways.iter().copied().filter(|way| *way != "USER").collect();
    let mut lines = vec!["TOP".to_owned()];
    if !mechanisms.is_empty() {
        lines.push(format!("SASL {}", mechanisms.join(" ")));
    }
    if ways.contains(&"USER") {
        lines.push("USER".to_owned());
    }
    alice().capability_lines(&lines, &lines)
}

/// The ways that the last session tried.
fn tried(server: &Server) -> Vec<String> {
    let lines = said(server);
    assert!(!lines.contains(&"AUTH".to_owned()), "AUTH without a name");
    lines
        .iter()
        .filter_map(|line| match line.split_once(' ') {
            Some(("AUTH", rest)) => rest.split(' ').next().map(str::to_owned),
            Some((word @ ("USER" | "APOP"), _)) => Some(word.to_owned()),
            _ => None,
        })
        .collect()
}

/// What the initial response of the AUTH line was.
fn initial(server: &Server) -> String {
    let lines = said(server);
    let line = lines.iter().find(|line| line.starts_with("AUTH ")).expect("an AUTH line");
    let response = line.split(' ').nth(2).expect("an initial response");
    String::from_utf8(STANDARD.decode(response).unwrap()).unwrap()
}

/// What each read brought, without the one that found the end.
fn writes(actor: &Actor) -> Vec<Vec<u8>> {
    actor.reads().into_iter().filter(|read| !read.is_empty()).collect()
}

helper! {
    /// The error of a login that may try whatever it likes.
    fn refused(connector: &Connector, login: Login) -> Error {
        let mut client = go!(Client::connect(connector)).unwrap();
        go!(client.login(&login.attempts(100))).unwrap_err()
    }

    fn enters(connector: &Connector, login: Login) {
        let mut client = go!(Client::connect(connector)).unwrap();
        go!(client.login(&login)).unwrap();
    }

    /// The same, and the maildrop is free for the next one then.
    fn enters_and_quits(connector: &Connector, login: Login) {
        let mut client = go!(Client::connect(connector)).unwrap();
        go!(client.login(&login)).unwrap();
        assert!(go!(client.quit()).is_committed());
    }
}

case! {
    fn p_127_the_strongest_way_goes_first_and_the_others_follow() {
        let mut ways = ORDER.to_vec();
        ways.reverse();
        ways.extend(WEAK.split(' '));
        ways.extend(["XOAUTH2", "OAUTHBEARER"]);
        let server = refuses(&ways);
        assert!(go!(refused(&tls(&server), login())).is_refused());
        // PLAIN has the password in its first line: the refusal after it is a verdict.
        assert_eq!(tried(&server), ORDER[..7]);
        // There is nothing to be bound to without TLS.
        assert!(go!(refused(&plain(&server), login())).is_refused());
        let unbound: Vec<_> = ORDER[..7].iter().filter(|way| !way.ends_with("-PLUS")).collect();
        assert_eq!(tried(&server).iter().collect::<Vec<_>>(), unbound);
        let server = refuses(&["LOGIN", "CRAM-MD5", "USER"]);
        assert!(go!(refused(&tls(&server), login())).is_method_refused());
        assert_eq!(tried(&server), ["USER", "LOGIN"]);
        assert!(said(&server).iter().all(|line| !line.starts_with("PASS")));
    }

    fn p_127_of_any_two_ways_the_stronger_is_taken() {
        for (nth, stronger) in ORDER.iter().enumerate() {
            for weaker in &ORDER[nth + 1..] {
                let server = refuses(&[weaker, stronger]);
                let mut client = go!(Client::connect(&tls(&server))).unwrap();
                let error = go!(client.login(&login().attempts(1))).unwrap_err();
                assert_eq!(tried(&server), [*stronger], "of {weaker} and {stronger}");
                assert_eq!(error.attempts().len(), 1);
            }
        }
    }

    fn p_127_plus_only_over_tls() {
        let bound = ["SCRAM-SHA-512-PLUS", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"];
        let server = refuses(&bound);
        let mut client = go!(Client::connect(&plain(&server))).unwrap();
        let acting = login().acting_as("bob");
        assert!(go!(client.login(&acting)).unwrap_err().is_no_method());
        let named = login().methods([Mechanism::ScramSha256Plus]);
        let error = go!(client.login(&named)).unwrap_err();
        assert!(error.sasl().is_some() && !error.is_refused(), "{error}");
        assert_eq!(said(&server), ["CAPA"]);
    }

    fn p_127_tokens_go_by_oauthbearer_before_xoauth2() {
        let server = refuses(&["PLAIN", "XOAUTH2", "OAUTHBEARER", "SCRAM-SHA-256", "USER"]);
        assert!(go!(refused(&tls(&server), Login::token("alice", "t0ken"))).is_refused());
        // A token judged by one of them is judged; here the server refuses the second one's name only.
        assert_eq!(tried(&server)[0], "OAUTHBEARER");
        let server = refuses(&["PLAIN", "XOAUTH2", "USER"]);
        assert!(go!(refused(&tls(&server), Login::token("alice", "t0ken"))).is_method_refused());
        assert_eq!(said(&server), ["CAPA", "AUTH XOAUTH2"]);
    }

    fn p_127_weak_ways_are_never_taken_unasked() {
        let ways: Vec<_> = WEAK.split(' ').collect();
        for own in [ways.clone(), ways[..1].to_vec(), ways[2..3].to_vec()] {
            let builder = announces(&own).greeting("+OK <1@x>\r\n").apop(true);
            let server = builder.script("USER", "-ERR no\r\n").start().unwrap();
            let token = Login::token("alice", "t0ken");
            for login in [login().acting_as("bob"), token] {
                let error = go!(refused(&tls(&server), login));
                assert!(error.is_no_method() && error.is_policy(), "{error}");
                assert!(error.to_string().contains(own[0]), "{error}");
                assert!(error.attempts().is_empty());
                assert_eq!(said(&server), ["CAPA"]);
            }
            // A password still has the last resort of P-093.
            assert!(go!(refused(&tls(&server), login())).is_refused());
            assert_eq!(tried(&server), ["USER"]);
        }
    }

    fn p_127_a_password_that_scram_cannot_carry_goes_by_the_next_way() {
        // SCRAM forbids characters that Unicode 3.2 did not know (RFC 5802 section 2.2); USER and PASS have no such rule.
        let password = "p\u{1f600}ss";
        let lines = [
            "USER",
            "UTF8 USER",
            "SASL SCRAM-SHA-512-PLUS SCRAM-SHA-512 SCRAM-SHA-256-PLUS SCRAM-SHA-256 SCRAM-SHA-1",
        ];
        let server = Server::builder()
            .user("alice", password, Maildrop::empty())
            .utf8(true)
            .capability_lines(lines, lines)
            .start()
            .unwrap();
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        let outcome = go!(client.login(&Login::password("alice", password)));
        // Nothing was sent for the others, so they are no attempts.
        assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
        assert_eq!(tried(&server), ["USER"]);
        drop(client);
        // Nor has PLAIN (RFC 4616 section 2).
        let server = Server::builder()
            .user("alice", password, Maildrop::empty())
            .sasl([Mechanism::ScramSha256, Mechanism::Plain])
            .start()
            .unwrap();
        go!(enters_and_quits(&tls(&server), Login::password("alice", password)));
        assert_eq!(tried(&server), ["PLAIN"]);
    }

    fn p_093_user_is_the_last_resort() {
        // Announced or not, anything that is offered goes before it.
        let server = announces(&["SCRAM-SHA-256"]).sasl([Mechanism::ScramSha256]).start().unwrap();
        go!(enters_and_quits(&tls(&server), login()));
        assert_eq!(tried(&server), ["SCRAM-SHA-256"]);
        for server in [announces(&[]).start().unwrap(), alice().capa(false).start().unwrap()] {
            go!(enters_and_quits(&tls(&server), login()));
            assert_eq!(tried(&server), ["USER"]);
        }
        // Policy goes before any of it.
        let server = announces(&[]).start().unwrap();
        let error = go!(refused(&on_plain_port(&server, Security::Plain), login()));
        assert!(error.is_policy() && !error.is_no_method(), "{error}");
        assert_eq!(said(&server), ["CAPA"]);
    }

    fn p_101_no_auth_where_sasl_is_not_announced() {
        for builder in [alice().capa(false), announces(&["USER"])] {
            let server = builder.sasl_hidden([Mechanism::Plain, Mechanism::XOAuth2]).start().unwrap();
            go!(enters_and_quits(&tls(&server), login()));
            assert_eq!(tried(&server), ["USER"]);
            let error = go!(refused(&tls(&server), Login::token("alice", "t0ken")));
            assert!(error.is_no_method(), "{error}");
            assert_eq!(said(&server), ["CAPA"]);
        }
    }

    fn p_101_q_007_what_the_caller_names_is_tried_unannounced_in_two_lines() {
        for builder in [alice().capa(false), announces(&["USER"]), announces(&["SCRAM-SHA-256", "USER"])] {
            let server = builder
                .sasl_hidden([Mechanism::Plain, Mechanism::XOAuth2, Mechanism::OAuthBearer])
                .token("alice", "t0ken")
                .start()
                .unwrap();
            go!(enters_and_quits(&tls(&server), login().methods([Mechanism::Plain])));
            let response = STANDARD.encode(format!("\0alice\0{PASSWORD}"));
            assert_eq!(said(&server)[..3], ["CAPA", "AUTH PLAIN", &response]);
            for mechanism in [Mechanism::XOAuth2, Mechanism::OAuthBearer] {
                go!(enters_and_quits(&tls(&server), Login::token("alice", "t0ken").methods([mechanism])));
                assert_eq!(said(&server)[1], format!("AUTH {mechanism}"));
            }
        }
    }

    fn p_116_the_case_of_a_name_does_not_matter() {
        for (line, mechanism) in
            [("sasl scram-sha-256", Mechanism::ScramSha256), ("Sasl Plain", Mechanism::Plain)]
        {
            let server = alice().sasl([mechanism]).capability_lines([line], [line]).start().unwrap();
            go!(enters_and_quits(&tls(&server), login()));
            // The initial response is there too: the mechanism is announced.
            assert!(said(&server)[1].starts_with(&format!("AUTH {mechanism} ")), "{line}");
        }
    }

    fn p_119_login_only_where_neither_plain_nor_user_is_offered() {
        for (ways, taken) in [
            (&["LOGIN", "PLAIN", "USER"][..], "PLAIN"),
            (&["LOGIN", "USER"], "USER"),
            (&["LOGIN", "PLAIN"], "PLAIN"),
            (&["LOGIN", "CRAM-MD5"], "LOGIN"),
        ] {
            let server = announces(ways).sasl([Mechanism::Login, Mechanism::Plain]).start().unwrap();
            go!(enters_and_quits(&tls(&server), login()));
            assert_eq!(tried(&server), [taken], "{ways:?}");
        }
    }

    fn p_119_the_prompts_of_login_are_not_read() {
        let prompts = ["+ VXNlcm5hbWU6", "+ who goes there?", "+", "+ "];
        for prompt in prompts {
            let actor = Actor::play(
                [say("+OK\r\n")]
                    .into_iter()
                    .chain(answer("+OK\r\nSASL LOGIN\r\n.\r\n"))
                    .chain(answer(format!("{prompt}\r\n")))
                    .chain(answer(format!("{prompt}\r\n")))
                    .chain(answer("+OK\r\n"))
                    .chain(answer("-ERR\r\n")),
            );
            go!(enters(&actor.connector(), login()));
            let (user, password) = (STANDARD.encode("alice"), STANDARD.encode(PASSWORD));
            assert_eq!(
                actor.heard(),
                format!("CAPA\r\nAUTH LOGIN\r\n{user}\r\n{password}\r\nCAPA\r\n"),
                "{prompt}"
            );
        }
    }

    fn p_131_q_027_xoauth2_never_has_its_token_in_the_auth_line() {
        let server =
            alice().sasl([Mechanism::XOAuth2]).token("alice", "t").one_line_auth(false).start().unwrap();
        go!(enters_and_quits(&tls(&server), Login::token("alice", "t")));
        let response = STANDARD.encode("user=alice\x01auth=Bearer t\x01\x01");
        assert_eq!(said(&server)[1..3], ["AUTH XOAUTH2", &response]);
    }

    fn p_103_q_056_the_auth_line_has_at_most_255_octets() {
        // `AUTH PLAIN `, 240 octets of base64 and CRLF are 253; four octets more would be 257.
        for (octets, lines) in [(180, 1), (181, 2), (500, 2)] {
            let (user, password) = ("u".repeat(octets / 3), "p".repeat(octets - 2 - octets / 3));
            let server = Server::builder()
                .user(&user, &password, Maildrop::empty())
                .sasl([Mechanism::Plain])
                .start()
                .unwrap();
            let mut client = go!(Client::connect(&tls(&server))).unwrap();
            // The server takes fields of 255 octets at most (P-117); what was sent is what matters here.
            let _ = go!(client.login(&Login::password(&user, password.as_str())));
            drop(client);
            let said = ended(&server).client_lines();
            let response = STANDARD.encode(format!("\0{user}\0{password}"));
            match lines {
                1 => assert_eq!(said[1], format!("AUTH PLAIN {response}")),
                _ => assert_eq!(said[1..3], ["AUTH PLAIN".to_owned(), response]),
            }
            assert!(said.iter().filter(|line| line.starts_with("AUTH")).all(|line| line.len() <= 253));
        }
    }

    fn q_057_each_line_goes_out_in_one_write() {
        let token = "t".repeat(5000);
        let capa = "+OK\r\nSASL OAUTHBEARER PLAIN\r\n.\r\n";
        let script = || [say("+OK\r\n")].into_iter().chain(answer(capa));
        let actor = Actor::play(script().chain(answer("+ \r\n")).chain(answer("+OK\r\n")).chain(answer("-ERR\r\n")));
        let connector =
            Connector::new("127.0.0.1").port(actor.addr().port()).security(Security::ProtectedByCaller);
        go!(enters(&connector, Login::token("alice", token.as_str())));
        let reads = writes(&actor);
        let lengths: Vec<_> = reads.iter().map(Vec::len).collect();
        let message = format!(
            "n,a=alice,\x01host=127.0.0.1\x01port={}\x01auth=Bearer {token}\x01\x01",
            actor.addr().port()
        );
        let line = format!("{}\r\n", STANDARD.encode(message));
        assert_eq!(lengths, ["CAPA\r\n".len(), "AUTH OAUTHBEARER\r\n".len(), line.len(), "CAPA\r\n".len()]);
        assert!(reads[2] == line.as_bytes());

        let actor = Actor::play(script().chain(answer("+OK\r\n")).chain(answer("-ERR\r\n")));
        go!(enters(&actor.connector(), login()));
        let line = format!("AUTH PLAIN {}\r\n", STANDARD.encode(format!("\0alice\0{PASSWORD}")));
        assert_eq!(writes(&actor), [b"CAPA\r\n", line.as_bytes(), b"CAPA\r\n"]);
    }

    fn q_039_q_059_q_060_no_empty_command_and_no_blank_at_an_end() {
        let all = [
            Mechanism::Plain,
            Mechanism::Login,
            Mechanism::CramMd5,
            Mechanism::DigestMd5,
            Mechanism::ScramSha1,
            Mechanism::ScramSha256Plus,
            Mechanism::ScramSha512,
            Mechanism::OAuthBearer,
            Mechanism::XOAuth2,
            Mechanism::Anonymous,
            Mechanism::Ntlm,
        ];
        for announced in [true, false] {
            let builder = alice().token("alice", "t0ken").anonymous("alice").apop(true);
            let builder = if announced { builder.sasl(all) } else { builder.sasl_hidden(all) };
            let server = builder.start().unwrap();
            let mut logins: Vec<Login> =
                all[..7].iter().chain(&all[10..]).map(|mechanism| login().methods([*mechanism])).collect();
            logins.extend(all[7..9].iter().map(|one| Login::token("alice", "t0ken").methods([*one])));
            logins.extend([
                Login::anonymous(""),
                Login::anonymous("trace"),
                Login::apop("alice", PASSWORD),
                login().methods([Method::UserPass]),
            ]);
            for login in logins {
                let mut client = go!(Client::connect(&tls(&server))).unwrap();
                let outcome = go!(client.login(&login));
                assert!(outcome.is_ok(), "{login:?}: {}", outcome.unwrap_err());
                assert!(go!(client.quit()).is_committed());
                let lines = ended(&server).client_lines();
                assert!(!lines.contains(&"AUTH".to_owned()), "{lines:?}");
                assert!(lines.iter().all(|line| !line.ends_with(' ')), "{lines:?}");
                // An empty line is an empty response, within an AUTH exchange and nowhere else.
                let first = lines.iter().position(String::is_empty).unwrap_or(lines.len());
                assert!(
                    first == lines.len() || lines[..first].iter().any(|line| line.starts_with("AUTH ")),
                    "{lines:?}"
                );
                assert_eq!(lines[lines.len() - 2..], ["CAPA", "QUIT"]);
            }
        }
    }

    fn q_036_a_timestamp_alone_brings_no_apop() {
        for builder in [alice(), announces(&[]), alice().capa(false)] {
            let server = builder.apop(true).start().unwrap();
            go!(enters_and_quits(&tls(&server), login()));
            assert_eq!(tried(&server), ["USER"]);
        }
    }

    fn p_101_named_ways_are_tried_in_the_callers_order_if_they_are_announced() {
        let server = refuses(&["SCRAM-SHA-256", "CRAM-MD5", "LOGIN", "PLAIN", "USER"]);
        let named: [Method; 5] = [
            Mechanism::Login.into(),
            Mechanism::DigestMd5.into(),
            Method::UserPass,
            Mechanism::ScramSha512.into(),
            Mechanism::CramMd5.into(),
        ];
        let error = go!(refused(&tls(&server), login().methods(named)));
        assert!(error.is_refused() && !error.is_no_method(), "{error}");
        assert_eq!(tried(&server), ["LOGIN", "USER", "CRAM-MD5"]);
        assert_eq!(error.attempts().len(), 3);
        // One that works ends it.
        let server = alice().sasl([Mechanism::ScramSha256, Mechanism::Plain]).start().unwrap();
        let named = [Mechanism::CramMd5, Mechanism::Plain, Mechanism::ScramSha256];
        go!(enters_and_quits(&tls(&server), login().methods(named)));
        assert_eq!(tried(&server), ["PLAIN"]);
    }

    fn p_101_no_other_way_than_the_one_that_was_named() {
        let server = refuses(&["SCRAM-SHA-256", "PLAIN", "USER", "LOGIN"]);
        for mechanism in [Mechanism::ScramSha256, Mechanism::CramMd5, Mechanism::ScramSha256Plus] {
            let error = go!(refused(&tls(&server), login().methods([mechanism])));
            assert!(error.is_method_refused(), "{error}");
            assert_eq!(tried(&server), [mechanism.name()]);
            assert_eq!(error.attempts().len(), 1);
        }
    }

    fn acting_as_takes_ways_that_know_the_difference() {
        let server = refuses(&["CRAM-MD5", "LOGIN", "USER", "XOAUTH2", "OAUTHBEARER"]);
        for login in [login().acting_as("bob"), Login::token("alice", "t0ken").acting_as("bob")] {
            assert!(go!(refused(&tls(&server), login)).is_no_method());
            assert_eq!(said(&server), ["CAPA"]);
        }
        for (mechanism, header) in [
            (Mechanism::Plain, "bob\0alice\0"),
            (Mechanism::ScramSha256, "y,a=bob,n=alice,r="),
            (Mechanism::ScramSha512Plus, "p=tls-exporter,a=bob,n=alice,r="),
        ] {
            let server = alice()
                .user("bob", "other", Maildrop::empty())
                .acts_as("alice", "bob")
                .sasl([Mechanism::Login, Mechanism::CramMd5, mechanism])
                .start()
                .unwrap();
            let mut client = go!(Client::connect(&tls(&server))).unwrap();
            go!(client.login(&login().acting_as("bob"))).unwrap();
            assert!(initial(&server).starts_with(header), "{}", initial(&server));
            assert_eq!(go!(client.stat()).unwrap().messages, 0, "it is alice's");
        }
    }

    fn p_154_a_latin_1_password_goes_out_as_it_is() {
        let latin1 = || Login::password("alice", "p\u{e4}ss").latin1_password();
        let user = || Server::builder().user("alice", b"p\xe4ss", Maildrop::empty());
        let server = user().start().unwrap();
        go!(enters_and_quits(&tls(&server), latin1()));
        let octets = server.last_session().unwrap().client_octets();
        assert!(octets.windows(11).any(|part| part == b"PASS p\xe4ss\r\n"));
        for mechanism in [Mechanism::Plain, Mechanism::Login, Mechanism::ScramSha256, Mechanism::CramMd5] {
            let server = user().sasl([mechanism]).start().unwrap();
            let mut client = go!(Client::connect(&tls(&server))).unwrap();
            let outcome = go!(client.login(&latin1().methods([mechanism])));
            assert!(outcome.is_ok(), "{mechanism}: {}", outcome.unwrap_err());
        }
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        let error = go!(client.login(&Login::password("alice", "\u{20ac}uro").latin1_password())).unwrap_err();
        assert!(error.is_policy() && error.to_string().contains("Latin-1"), "{error}");
        assert!(!error.to_string().contains("uro"), "{error}");
        assert_eq!(said(&server), ["CAPA"]);
    }

    fn p_154_utf_8_is_no_trouble_for_sasl() {
        let server = Server::builder()
            .user("\u{e4}lice", "p\u{e4}ss", Maildrop::empty())
            .sasl([Mechanism::Plain, Mechanism::ScramSha256, Mechanism::Login])
            .start()
            .unwrap();
        for mechanism in [Mechanism::Plain, Mechanism::ScramSha256, Mechanism::Login] {
            let login = Login::password("\u{e4}lice", "p\u{e4}ss").methods([mechanism]);
            go!(enters_and_quits(&tls(&server), login));
        }
    }

    fn p_154_where_user_cannot_carry_it_login_can() {
        // USER is announced and UTF8 is not: LOGIN, which comes after it, has no such rule.
        let server = Server::builder()
            .user("alice", "p\u{e4}ss", Maildrop::empty())
            .sasl([Mechanism::Login])
            .start()
            .unwrap();
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        let outcome = go!(client.login(&Login::password("alice", "p\u{e4}ss")));
        assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
        assert_eq!(tried(&server), ["LOGIN"]);
    }

    fn p_125_the_header_says_the_truth_about_binding() {
        use Mechanism::{ScramSha1, ScramSha1Plus, ScramSha256, ScramSha256Plus};
        for (offered, named, header) in [
            (&[ScramSha256][..], None, "y,,"),
            (&[ScramSha256, ScramSha1], Some(ScramSha1), "y,,"),
            (&[ScramSha256, ScramSha256Plus], Some(ScramSha256), "n,,"),
            (&[ScramSha256, ScramSha1Plus], None, "n,,"),
            (&[ScramSha256, ScramSha256Plus], None, "p=tls-exporter,,"),
            (&[ScramSha1, ScramSha1Plus], None, "p=tls-exporter,,"),
        ] {
            let server = alice().sasl(offered.iter().copied()).start().unwrap();
            let way = match named {
                Some(named) => login().methods([named]),
                None => login(),
            };
            for connector in [tls(&server), on_plain_port(&server, Security::Stls)] {
                go!(enters_and_quits(&connector, way.clone()));
                assert!(initial(&server).starts_with(&format!("{header}n=alice,r=")), "{}", initial(&server));
            }
            go!(enters_and_quits(&plain(&server), way));
            assert!(initial(&server).starts_with("n,,n=alice,r="), "{}", initial(&server));
        }
    }

    fn p_125_nothing_is_said_of_an_offer_that_was_not_seen() {
        let server = alice().capa(false).sasl_hidden([Mechanism::ScramSha256]).start().unwrap();
        go!(enters_and_quits(&tls(&server), login().methods([Mechanism::ScramSha256])));
        let first = String::from_utf8(STANDARD.decode(&said(&server)[2]).unwrap()).unwrap();
        assert!(first.starts_with("n,,n=alice,r="), "{first}");
    }

    fn p_126_tls_1_2_logs_in_bound_to_the_certificate() {
        for mechanism in [Mechanism::ScramSha512Plus, Mechanism::ScramSha256Plus, Mechanism::ScramSha1Plus] {
            let server =
                alice().tls12_only(true).sasl([mechanism, Mechanism::Plain]).start().unwrap();
            for connector in [tls(&server), on_plain_port(&server, Security::Stls)] {
                go!(enters_and_quits(&connector, login()));
                assert_eq!(tried(&server), [mechanism.name()]);
                assert!(initial(&server).starts_with("p=tls-server-end-point,,n=alice,r="));
            }
        }
    }
}
