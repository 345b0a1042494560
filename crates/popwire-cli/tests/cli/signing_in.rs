//! Who signs in, and by what: mechanisms, tokens, certificates. That no secret is printed, every run checks.

use std::fs;

use popwire_server::{Answer, Builder, Mechanism, SaslFault};

use crate::world::{PASSWORD, Run, World, run, world_with};

const TOKEN: &str = "ya29.a0AfH6SMBx-right";
const EXPIRED: &str = "ya29.a0AfH6SMBx-expired";
const PASSWORDS: [Mechanism; 11] = [
    Mechanism::Plain,
    Mechanism::Login,
    Mechanism::CramMd5,
    Mechanism::DigestMd5,
    Mechanism::ScramSha1,
    Mechanism::ScramSha1Plus,
    Mechanism::ScramSha256,
    Mechanism::ScramSha256Plus,
    Mechanism::ScramSha512,
    Mechanism::ScramSha512Plus,
    Mechanism::Ntlm,
];

fn everything(server: Builder) -> Builder {
    server
        .sasl(Mechanism::ALL.into_iter().filter(|mechanism| *mechanism != Mechanism::Gssapi))
        .token("alice", TOKEN)
        .anonymous("alice")
        .apop(true)
}

/// As [`World::run`], with these words after the line, such as a command that has blanks in it.
fn run_with(world: &World, line: &str, words: &[&str]) -> Run {
    checked(run(world.command(line).args(words).env("POPWIRE_PASSWORD", PASSWORD)))
}

/// `ls` over TLS, with these options.
fn ls(world: &World, options: &str) -> Run {
    run_with(world, &format!("ls {} --ca ca.pem {options}", world.url()), &[])
}

/// `ls` over TLS, with a token that this command prints.
fn ls_by_token(world: &World, options: &str, command: &str) -> Run {
    let line = format!("ls {} --ca ca.pem {options} --oauth-token-command", world.url());
    run_with(world, &line, &[command])
}

/// No token was printed, nor a password or a token in base64; and an error has all of its parts.
#[track_caller]
fn checked(run: Run) -> Run {
    for secret in [TOKEN, EXPIRED, "a0AfH6SMBx", "czNjcmV0IHBhc3M", "AGFsaWNlAHMzY3JldCBwYXNz", "ya29"] {
        assert!(!run.out.contains(secret) && !run.err.contains(secret), "{secret} was printed");
    }
    let lines: Vec<&str> = run.err.lines().skip_while(|line| !line.starts_with("error: ")).collect();
    // What the command line alone makes wrong is told by another hand, which quotes the words.
    if run.code != 0 && run.code != 64 {
        let [what, advice] =
            <[&str; 2]>::try_from(lines).expect("what happened, and what now, each on a line");
        assert!(what.ends_with('.'), "no sentence: {what}");
        let safe = ["Nothing was sent.", "Nothing was lost or deleted.", "Password not sent.", "not sent"];
        assert!(safe.iter().any(|safe| advice.contains(safe)), "what is safe is not told: {advice}");
        assert!(advice.matches(['.', '?']).count() >= 2, "what to do next is not told: {advice}");
    }
    assert!(!run.err.chars().any(|char| char.is_control() && char != '\n'), "{:?}", run.err);
    run
}

/// The client's lines of the last session.
fn said(world: &World) -> Vec<String> {
    assert!(world.server.wait_closed(world.server.sessions().len(), std::time::Duration::from_secs(5)));
    world.server.last_session().map(|session| session.client_lines()).unwrap_or_default()
}

#[test]
fn unasked_the_strongest_is_taken() {
    let world = world_with(everything);
    let run = ls(&world, "-vv");
    assert!(run.good().err.contains("C: AUTH SCRAM-SHA-512-PLUS ********\n"), "{}", run.err);
    assert!(run.err.contains("S: + (a challenge of ") && run.err.contains("S: +OK "), "{}", run.err);

    let world = world_with(|server| {
        server.sasl([Mechanism::Plain, Mechanism::ScramSha256, Mechanism::ScramSha256Plus])
    });
    let run = ls(&world, "-vv");
    assert!(run.good().err.contains("C: AUTH SCRAM-SHA-256-PLUS ********\n"), "{}", run.err);
    // By STLS as well, and without TLS what can be had without it.
    let line = format!("ls {} --ca ca.pem -vv", world.stls_url());
    assert!(run_with(&world, &line, &[]).good().err.contains("C: AUTH SCRAM-SHA-256-PLUS ********\n"));
    let line = format!("ls {} --insecure-plaintext -vv", world.stls_url());
    assert!(run_with(&world, &line, &[]).good().err.contains("C: AUTH SCRAM-SHA-256 ********\n"));
}

#[test]
fn every_mechanism_has_its_name_in_any_letter_case() {
    let world = world_with(everything);
    for mechanism in PASSWORDS {
        let name = mechanism.name();
        let mixed: String = name
            .char_indices()
            .map(|(at, char)| if at % 2 == 0 { char } else { char.to_ascii_lowercase() })
            .collect();
        for name in [name.to_owned(), name.to_lowercase(), mixed] {
            let run = ls(&world, &format!("-vv --auth {name}"));
            assert!(run.good().err.contains(&format!("C: AUTH {mechanism}")), "{name}: {}", run.err);
        }
    }
    for (name, line) in [
        ("user", "C: USER alice\n"),
        ("USER", "C: PASS ********\n"),
        ("apop", "C: APOP alice ********\n"),
        ("+Apop", "C: APOP alice ********\n"),
    ] {
        assert!(ls(&world, &format!("-vv --auth {name}")).good().err.contains(line), "{name}");
    }
    for name in ["anonymous", "ANONYMOUS"] {
        let run = ls(&world, &format!("-vv --auth {name}"));
        assert!(run.good().err.contains("C: AUTH ANONYMOUS ********\n"), "{}", run.err);
    }
    for name in ["oauthbearer", "XOAuth2"] {
        let run = ls_by_token(&world, &format!("-vv --auth {name}"), &format!("echo {TOKEN}"));
        let line = format!("C: AUTH {}", name.to_uppercase());
        assert!(run.good().err.contains(&line), "{}", run.err);
    }
}

#[test]
fn of_several_the_first_that_the_server_offers_is_taken() {
    let world = world_with(|server| server.sasl([Mechanism::Plain, Mechanism::CramMd5]));
    let run = ls(&world, "-vv --auth SCRAM-SHA-256 --auth CRAM-MD5 --auth PLAIN");
    assert!(run.good().err.contains("C: AUTH CRAM-MD5\n"), "{}", run.err);
    assert!(!run.err.contains("AUTH PLAIN") && !run.err.contains("AUTH SCRAM"), "{}", run.err);
}

#[test]
fn a_name_that_is_none_is_answered_by_those_that_are() {
    let world = world_with(everything);
    let run = ls(&world, "--auth SCRAM-MD5");
    run.failed(64, &["SCRAM-MD5", "--auth", "SCRAM-SHA-256-PLUS", "XOAUTH2", "USER", "APOP", "GSSAPI"]);
    assert_eq!(world.server.sessions().len(), 0);
}

#[test]
fn a_token_is_taken_over_tls_and_never_without() {
    let world = world_with(everything);
    let run = ls_by_token(&world, "-vv", &format!("printf '{TOKEN}\\nand more\\n'"));
    assert!(run.good().err.contains("C: AUTH OAUTHBEARER"), "{}", run.err);

    let sessions = world.server.sessions().len();
    for options in ["", "--auth XOAUTH2"] {
        let line = format!("ls {} --insecure-plaintext {options} --oauth-token-command", world.stls_url());
        let run = run_with(&world, &line, &[&format!("echo {TOKEN}")]);
        run.failed(77, &["a token may go out over TLS only", "nothing was sent", "pops://"]);
    }
    for session in world.server.sessions().iter().skip(sessions) {
        assert!(!String::from_utf8_lossy(&session.client_octets()).contains("AUTH"), "{session}");
    }
}

#[test]
fn a_token_that_is_refused_is_asked_for_once_more() {
    let world = world_with(everything);
    let renewing = format!(
        "echo \"$POPWIRE_TOKEN_REFUSED\" >> calls; if [ -n \"$POPWIRE_TOKEN_REFUSED\" ]; then echo {TOKEN}; \
         else echo {EXPIRED}; fi"
    );
    for mechanism in ["OAUTHBEARER", "XOAUTH2"] {
        let run = ls_by_token(&world, &format!("-vv --auth {mechanism}"), &renewing);
        assert_eq!(run.good().err.matches(&format!("C: AUTH {mechanism}")).count(), 2, "{}", run.err);
        let calls = fs::read_to_string(world.path("calls")).unwrap();
        let [first, second] = calls.lines().collect::<Vec<_>>()[..] else { panic!("{calls}") };
        assert_eq!(first, "");
        assert!(second.starts_with('{') && second.contains("status"), "{second}");
        fs::remove_file(world.path("calls")).unwrap();
    }
}

#[test]
fn a_token_that_is_refused_twice_is_told_with_the_words_of_the_server() {
    let world = world_with(everything);
    for mechanism in ["OAUTHBEARER", "XOAUTH2"] {
        // Another one each time, and none of them is good.
        let run = ls_by_token(
            &world,
            &format!("--auth {mechanism}"),
            &format!("echo {EXPIRED}$(date +%N); echo x >> calls"),
        );
        run.failed(77, &["refused the login", "status", "has it expired", "Nothing was lost or deleted."]);
        assert_eq!(fs::read_to_string(world.path("calls")).unwrap(), "x\nx\n");
        fs::remove_file(world.path("calls")).unwrap();
        // The same one again is not shown twice.
        let run = ls_by_token(&world, &format!("-vv --auth {mechanism}"), &format!("echo {EXPIRED}"));
        run.failed(77, &["refused the login", "has it expired"]);
        assert_eq!(run.err.matches(&format!("C: AUTH {mechanism}")).count(), 1, "{}", run.err);
    }
}

#[test]
fn a_token_command_that_has_no_token_to_give() {
    let world = world_with(everything);
    for (command, code, words) in [
        (format!("echo {TOKEN}; exit 3"), 78, "exit status: 3"),
        ("exit 127".to_owned(), 78, "exit status: 127"),
        ("kill -9 $$".to_owned(), 78, "signal: 9"),
        ("true".to_owned(), 78, "printed nothing"),
        (format!("echo; echo {TOKEN}"), 78, "printed nothing"),
        (format!("printf '\\033[31m{TOKEN}\\n'"), 78, "character"),
        (format!("printf '{TOKEN}\\001auth=Bearer other\\n'"), 78, "character"),
        (format!("echo '{TOKEN} {TOKEN}'"), 78, "character"),
    ] {
        for mechanism in ["OAUTHBEARER", "XOAUTH2"] {
            let run = ls_by_token(&world, &format!("--auth {mechanism}"), &command);
            run.failed(code, &[words]);
            assert!(said(&world).iter().all(|line| !line.starts_with("AUTH")), "{command}");
        }
    }
}

#[test]
fn a_token_of_100_kilobytes_is_refused_in_words_that_help() {
    let world = world_with(everything);
    for mechanism in ["OAUTHBEARER", "XOAUTH2"] {
        let command = "head -c 100000 /dev/zero | tr '\\0' A";
        let run = ls_by_token(&world, &format!("--auth {mechanism}"), command);
        assert!(matches!(run.code, 75 | 77 | 78), "{}", run.err.chars().take(500).collect::<String>());
        assert!(run.err.len() < 2000 && !run.err.contains("AAAAAAAA"), "{} octets of stderr", run.err.len());
        assert!(run.err.contains("token"), "{}", run.err);
    }
}

#[test]
fn a_certificate_is_who_it_was_made_for() {
    let world = world_with(everything);
    let (certificate, key) = world.server.client_certificate("alice").unwrap();
    fs::write(world.path("alice.pem"), certificate).unwrap();
    fs::write(world.path("alice.key"), &key).unwrap();
    let options = "--client-cert alice.pem --client-key alice.key --auth EXTERNAL";
    // The user's name in the URL is one that the certificate has to allow; without it, the certificate says it.
    for url in [world.url(), world.url().replace("alice@", "")] {
        let run = run_with(&world, &format!("ls {url} --ca ca.pem -vv {options}"), &[]);
        assert!(run.good().err.contains("C: AUTH EXTERNAL ********\n"), "{}", run.err);
        assert!(!key.lines().any(|line| run.err.contains(line)), "the key was printed");
    }
    let url = world.url().replace("alice@", "bob@");
    let run = run_with(&world, &format!("ls {url} --ca ca.pem {options}"), &[]);
    run.failed(77, &["refused the login"]);
    // Without --auth the certificate is shown, and the password is what signs in.
    let run = ls(&world, "-vv --client-cert alice.pem --client-key alice.key");
    assert!(run.good().err.contains("C: AUTH SCRAM-SHA-512-PLUS ********\n"), "{}", run.err);
}

#[test]
fn anonymous_needs_neither_name_nor_password() {
    let world = world_with(everything);
    let url = world.url().replace("alice@", "");
    let line = format!("ls {url} --ca ca.pem --auth ANONYMOUS");
    checked(run(&mut world.command(&line))).good();
    assert!(said(&world).contains(&"AUTH ANONYMOUS =".to_owned()), "{:?}", said(&world));
    let line = format!("ls {} --ca ca.pem --auth ANONYMOUS", world.url());
    checked(run(&mut world.command(&line))).good();
}

#[test]
fn the_url_may_name_the_mechanism() {
    let world = world_with(everything);
    for (auth, line) in [
        (";AUTH=SCRAM-SHA-256", "C: AUTH SCRAM-SHA-256 ********\n"),
        (";auth=cram-md5", "C: AUTH CRAM-MD5\n"),
        (";AUTH=+APOP", "C: APOP alice ********\n"),
        (";AUTH=*", "C: AUTH SCRAM-SHA-512-PLUS ********\n"),
    ] {
        let url = world.url().replace("alice@", &format!("alice{auth}@"));
        let run = run_with(&world, &format!("ls {url} --ca ca.pem -vv"), &[]);
        assert!(run.good().err.contains(line), "{auth}: {}", run.err);
    }
    let url = world.url().replace("alice@", "alice;AUTH=X-OWN@");
    run_with(&world, &format!("ls {url} --ca ca.pem"), &[]).failed(64, &["X-OWN", "is not known", "--help"]);
}

#[test]
fn a_password_in_latin_1() {
    let latin1 = b"p\xe4ssword";
    let world = world_with(|server| {
        let server = server.user("bob", latin1, popwire_server::Maildrop::memory(["\r\n\r\n"]));
        server.sasl([Mechanism::Plain, Mechanism::Login, Mechanism::CramMd5])
    });
    let url = world.url().replace("alice", "bob");
    let with = |options: &str, password: &str| {
        let line = format!("ls {url} --ca ca.pem {options}");
        let run = checked(run(world.command(&line).env("POPWIRE_PASSWORD", password)));
        for part in ["p\u{e4}ss", "p\u{20ac}ss", "p\\xe4", "\\xa4ss"] {
            assert!(!run.err.contains(part) && !run.out.contains(part), "the password was printed");
        }
        run
    };
    for auth in ["", "--auth PLAIN", "--auth LOGIN", "--auth CRAM-MD5", "--auth USER"] {
        with(&format!("--latin1-password {auth}"), "p\u{e4}ssword").good();
    }
    with("--auth PLAIN", "p\u{e4}ssword").failed(77, &["refused the login"]);
    with("--latin1-password", "p\u{20ac}ssword").failed(77, &["Latin-1", "nothing was sent"]);
    // Not even the name was sent.
    assert!(said(&world).iter().all(|line| line == "CAPA"), "{:?}", said(&world));
}

#[test]
fn combinations_that_make_no_sense() {
    let world = world_with(everything);
    let url = world.url();
    for (options, words) in [
        ("--auth PLAIN --oauth-token-command true", "--oauth-token-command"),
        ("--auth XOAUTH2", "--oauth-token-command CMD"),
        ("--auth OAUTHBEARER --password-env X", "wants a token"),
        ("--auth EXTERNAL", "--client-cert FILE"),
        ("--auth PLAIN --auth XOAUTH2 --oauth-token-command true", "brings a token"),
        ("--auth PLAIN --auth ANONYMOUS", "want different things"),
        ("--oauth-token-command true --password-env X", "cannot be used with"),
        ("--auth EXTERNAL --client-cert ca.pem", "--client-key"),
        ("--auth PLAIN --user bob", "named both in the URL"),
        ("--auth", "--auth"),
    ] {
        run_with(&world, &format!("ls {url} --ca ca.pem {options}"), &[]).failed(64, &[words]);
    }
    let line = format!("ls {} --ca ca.pem --auth PLAIN", url.replace("alice@", "alice;AUTH=LOGIN@"));
    run_with(&world, &line, &[]).failed(64, &["name different mechanisms"]);
    // What signs in without a password or a token has no use for one, and who brings it means something else.
    let (certificate, key) = world.server.client_certificate("alice").unwrap();
    fs::write(world.path("alice.pem"), certificate).unwrap();
    fs::write(world.path("alice.key"), key).unwrap();
    for options in [
        "--auth ANONYMOUS --oauth-token-command true",
        "--auth ANONYMOUS --password-env X",
        "--auth EXTERNAL --client-cert alice.pem --client-key alice.key --oauth-token-command true",
        "--auth EXTERNAL --client-cert alice.pem --client-key alice.key --password-file X",
    ] {
        let run = ls(&world, options);
        assert_eq!(run.code, 64, "{options}: {}", run.err);
    }
    assert_eq!(world.server.sessions().len(), 0, "the server was bothered");
}

#[test]
fn a_server_that_does_not_know_the_password_is_not_the_server() {
    for fault in [
        SaslFault::ForgedProof,
        SaslFault::MissingProof,
        SaslFault::ShortNonce,
        SaslFault::OkEarly,
        SaslFault::Iterations(1),
    ] {
        let world = world_with(|server| everything(server).sasl_fault(fault.clone()));
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"] {
            let run = ls(&world, &format!("-vv --auth {mechanism}"));
            run.failed(
                69,
                &["The password itself was not sent.", "not the server that it should be", "operator"],
            );
            // Nothing else is said to whoever it is.
            let after = run.err.split("S: +OK mail").nth(1).unwrap_or_default();
            assert!(!after.contains("C: "), "{fault:?}: {}", run.err);
        }
        ls(&world, "").failed(69, &["somebody stands in between"]);
        assert!(said(&world).iter().all(|line| !line.starts_with("PASS") && !line.starts_with("AUTH PLAIN")));
    }
}

#[test]
fn a_server_that_refuses_before_it_has_seen_a_proof() {
    // Dovecot does so where it keeps passwords as hashes of another kind.
    let world = world_with(|server| {
        server
            .sasl([Mechanism::ScramSha256, Mechanism::Plain])
            .script("AUTH SCRAM-SHA-256", "-ERR [AUTH] Authentication failed.\r\n")
    });
    ls(&world, "").failed(77, &["Authentication failed", "The password was not looked at.", "--auth PLAIN"]);
    assert!(!said(&world).iter().any(|line| line.starts_with("AUTH PLAIN")), "a verdict is a verdict");
    assert_eq!(ls(&world, "--auth PLAIN").code, 0);
}

#[test]
fn a_method_that_is_refused_and_no_method_at_all() {
    let world = world_with(|server| server.sasl([Mechanism::ScramSha256]));
    let run = ls(&world, "--auth CRAM-MD5");
    run.failed(77, &["does not take this way to log in", "The password was not looked at.", "--auth"]);

    let world = world_with(|server| {
        let lines = ["SASL X-OWN GSSAPI", "RESP-CODES"];
        server.capability_lines(lines, lines).script("USER", "-ERR no\r\n")
    });
    ls(&world, "").failed(77, &["Nothing was lost or deleted."]);
    let run = ls_by_token(&world, "", &format!("echo {TOKEN}"));
    run.failed(
        77,
        &["no way to log in that is allowed; it has X-OWN GSSAPI", "nothing was sent", "--auth MECH"],
    );
    assert!(!run.err.contains("the password"), "there was none: {}", run.err);
}

#[test]
fn a_wrong_password_by_every_mechanism() {
    let world = world_with(everything);
    for auth in PASSWORDS.map(Mechanism::name).into_iter().chain(["USER", "APOP"]) {
        let line = format!("ls {} --ca ca.pem -vv --auth {auth}", world.url());
        let run = checked(run(world.command(&line).env("POPWIRE_PASSWORD", "wr0ng password")));
        run.failed(
            77,
            &[
                "error: localhost: the server refused the login: -ERR [AUTH] wrong name or password",
                "Nothing was lost or deleted.",
                "app password",
            ],
        );
        assert!(!run.err.contains("wr0ng"), "{auth}");
    }
}

#[test]
fn a_mailbox_in_use_is_no_matter_of_the_mechanism() {
    let world = world_with(everything);
    let lock = world.server.maildrop("alice").unwrap().lock().unwrap();
    for auth in ["", "--auth SCRAM-SHA-256-PLUS", "--auth PLAIN", "--auth NTLM", "--auth ANONYMOUS"] {
        let run = ls(&world, auth);
        run.failed(75, &["another program is reading this mailbox", "not a password problem"]);
    }
    drop(lock);
}

#[test]
fn a_server_that_hangs_up_over_a_mechanism_is_tried_by_the_next() {
    let world = world_with(|server| {
        let server = server.sasl([Mechanism::Plain, Mechanism::ScramSha256]);
        server.script("AUTH SCRAM-SHA-256", Answer::raw("").then_close())
    });
    let run = ls(&world, "-vv");
    assert!(run.good().err.contains("C: AUTH PLAIN ********"), "{}", run.err);
    assert_eq!(world.server.sessions().len(), 2);
    // Asked for by name, no other is taken.
    let run = ls(&world, "-vv --auth SCRAM-SHA-256");
    run.failed(75, &["Nothing was lost or deleted."]);
    assert!(!run.err.contains("AUTH PLAIN"), "{}", run.err);
}

#[test]
fn a_server_that_repeats_what_it_refuses_is_not_quoted() {
    let world = world_with(|server| {
        server.sasl([Mechanism::Plain]).script(
            "AUTH PLAIN",
            "-ERR [AUTH] AUTH PLAIN AGFsaWNlAHMzY3JldCBwYXNz: alice/s3cret pass is wrong\r\n",
        )
    });
    ls(&world, "-vv").failed(77, &["refused the login", "withheld"]);
    ls(&world, "--json").failed(77, &["withheld"]);
}

#[test]
fn help_has_what_signs_in() {
    let world = world_with(everything);
    for command in ["ls", "fetch"] {
        for help in ["-h", "--help"] {
            let run = world.run(&format!("{command} {help}"));
            for option in [
                "--auth <MECH>",
                "--oauth-token-command <CMD>",
                "--client-cert <FILE>",
                "--client-key <FILE>",
                "--latin1-password",
                "--utf8-login",
            ] {
                assert!(run.good().out.contains(option), "{command} {help}: {option}");
            }
        }
        let long = world.run(&format!("{command} --help"));
        for word in ["SCRAM", "EXTERNAL", "ANONYMOUS", "GSSAPI", "APOP", "POPWIRE_TOKEN_REFUSED"] {
            assert!(long.out.contains(word), "{command}: {word}");
        }
    }
}
