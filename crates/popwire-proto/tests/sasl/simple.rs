//! The mechanisms of one or two messages: PLAIN, LOGIN, CRAM-MD5, EXTERNAL, ANONYMOUS; and SASLprep beneath them.

use popwire_proto::sasl::{
    Anonymous, Binding, ClientMechanism, CramMd5, Error, External, Hash, Login, Nonce, OAuthBearer, Plain,
    Scram, Start, XOAuth2, saslprep,
};

use super::exchange::{Said, Talk, challenge, line, says};

/// What the client says first.
fn first(mut mechanism: impl ClientMechanism) -> Result<Vec<u8>, Error> {
    match mechanism.start()? {
        Start::ClientFirst(message) => Ok(message.expose().to_vec()),
        Start::ServerFirst => panic!("the server speaks first"),
    }
}

#[test]
fn p_112_the_examples_of_rfc_4013_section_3_come_out() {
    for (input, output) in [
        ("I\u{ad}X", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u{aa}", "a"),
        ("\u{2168}", "IX"),
        // Section 2.1: blanks of other kinds become the plain one.
        ("a\u{a0}b\u{3000}c", "a b c"),
        // KC normalization puts letter and mark together.
        ("u\u{308}", "\u{fc}"),
        ("", ""),
        ("a,b=c \"d\\", "a,b=c \"d\\"),
    ] {
        assert_eq!(saslprep(input.as_bytes()), Ok(output.into()), "{input:?}");
    }
    for input in
        ["\x07", "\u{627}1", "\0", "\x7f", "a\u{200e}b", "\u{e000}", "\u{fffd}", "\u{2028}", "\u{85}"]
    {
        assert_eq!(saslprep(input.as_bytes()), Err(Error::Unpreparable), "{input:?}");
    }
    for input in [&b"\xff"[..], b"\xed\xa0\x80", b"\xc0\x80", b"a\xc3"] {
        assert_eq!(saslprep(input), Err(Error::Unpreparable), "{input:?}");
    }
}

/// Every half that takes a name, made for this one, with what its start says.
fn starts(user: &[u8]) -> Vec<(&'static str, Result<Start, Error>)> {
    let scram = Scram::new(Hash::Sha1, user, "x", Binding::Unsupported, Nonce::known("n"));
    vec![
        ("PLAIN", Plain::new(user, "x").start()),
        ("LOGIN", Login::new(user, "x").start()),
        ("SCRAM", { scram }.start()),
        ("OAUTHBEARER", OAuthBearer::new(user, "x").start()),
        ("XOAUTH2", XOAuth2::new(user, "x").start()),
    ]
}

/// Every half that takes an authorization identity, with what its start says to this one.
fn acting(authzid: &[u8]) -> Vec<(&'static str, Result<Start, Error>)> {
    let scram = Scram::new(Hash::Sha1, "u", "x", Binding::Unsupported, Nonce::known("n"));
    vec![
        ("EXTERNAL", External::new().acting_as(authzid).start()),
        ("SCRAM", scram.acting_as(authzid).start()),
        ("PLAIN", Plain::new("u", "x").acting_as(authzid).start()),
    ]
}

#[test]
fn p_112_a_name_that_is_empty_after_preparation_names_nobody() {
    for (name, start) in starts("\u{ad}\u{200d}".as_bytes()) {
        assert_eq!(start.err(), Some(Error::EmptyName), "{name}");
    }
    for (name, start) in starts(b"") {
        // A token may name its user itself.
        let expected = if name == "OAUTHBEARER" { None } else { Some(Error::EmptyName) };
        assert_eq!(start.err(), expected, "{name}");
    }
}

#[test]
fn p_112_an_authorization_identity_that_is_empty_after_preparation_is_not_left_out() {
    // It would log in somebody else than was asked for.
    for (name, start) in acting("\u{ad}".as_bytes()) {
        assert_eq!(start.err(), Some(Error::EmptyName), "{name}");
    }
}

#[test]
fn p_112_names_that_cannot_be_prepared_are_not_sent() {
    for bad in [&b"a\x07b"[..], b"a\0b", b"\xff", "\u{627}1".as_bytes()] {
        for (name, start) in starts(bad).into_iter().chain(acting(bad)) {
            let error = start.expect_err(name);
            assert!(error.is_credentials(), "{name}: {error}");
        }
    }
}

#[test]
fn p_117_the_examples_of_rfc_4616_come_out() {
    assert_eq!(first(Plain::new("tim", "tanstaaftanstaaf")).unwrap(), b"\0tim\0tanstaaftanstaaf");
    assert_eq!(first(Plain::new("Kurt", "xipj3plmq").acting_as("Ursel")).unwrap(), b"Ursel\0Kurt\0xipj3plmq");
}

#[test]
fn p_117_no_field_of_plain_has_a_nul() {
    for plain in [
        Plain::new("t\0im", "secret"),
        Plain::new("tim", "sec\0ret"),
        Plain::new("tim", "secret\0"),
        Plain::new("tim", &b"\xff\0\xfe"[..]),
        Plain::new("tim", "secret").acting_as("\0"),
    ] {
        let error = first(plain).unwrap_err();
        assert!(matches!(error, Error::ForbiddenCharacter | Error::Unpreparable), "{error}");
    }
}

#[test]
fn p_117_fields_of_255_octets_pass() {
    let (authzid, user, password) = ("a".repeat(255), "u".repeat(255), "p".repeat(255));
    let mut talk = Talk::announced(Plain::new(&user, password.as_str()).acting_as(&authzid));
    assert_eq!(talk.auth, "AUTH PLAIN");
    assert_eq!(talk.hear("+ "), says(format!("{authzid}\0{user}\0{password}")));
    assert_eq!(talk.hear("+OK"), Said::Accepted);
}

#[test]
fn p_118_ascii_goes_as_it_is() {
    let printable: String = (b' '..=b'~').map(char::from).collect();
    let expected = format!("\0{printable}\0{printable}");
    assert_eq!(first(Plain::new(&printable, printable.as_str())).unwrap(), expected.as_bytes());
}

#[test]
fn p_118_what_is_not_ascii_is_prepared() {
    let plain = Plain::new("u\u{308}", "I\u{ad}X").acting_as("\u{2168}");
    assert_eq!(first(plain).unwrap(), "IX\0\u{fc}\0IX".as_bytes());
    let mut talk = Talk::announced(Login::new("u\u{308}", "\u{2168}"));
    assert_eq!(talk.hear("+"), says("\u{fc}"));
    assert_eq!(talk.hear("+"), says("IX"));
}

#[test]
fn p_118_a_password_in_another_character_set_goes_as_it_is() {
    assert_eq!(first(Plain::new("tim", &b"gr\xf6\xdfe"[..])).unwrap(), b"\0tim\0gr\xf6\xdfe");
}

#[test]
fn p_119_login_answers_two_prompts_whatever_they_say() {
    for (one, two) in [
        (challenge("Username:"), challenge("Password:")),
        (challenge("Password:"), challenge("Username:")),
        (challenge("User Name\0"), challenge("Password\0")),
        ("+".into(), "+".into()),
    ] {
        let mut talk = Talk::announced(Login::new("tim", "tanstaaf"));
        assert_eq!(talk.hear(&one), says("tim"));
        assert_eq!(talk.hear(&two), says("tanstaaf"));
        assert_eq!(talk.hear("+OK"), Said::Accepted);
    }
}

#[test]
fn p_119_a_third_prompt_is_answered_by_a_star() {
    let mut talk = Talk::announced(Login::new("tim", "tanstaaf"));
    assert_eq!(talk.hear("+"), says("tim"));
    assert_eq!(talk.hear("+"), says("tanstaaf"));
    assert_eq!(talk.hear("+"), line("*"));
    assert_eq!(talk.hear("+"), line("*"));
    assert_eq!(talk.hear("-ERR"), Said::Failed(Error::UnexpectedChallenge));
}

#[test]
fn p_119_a_prompt_that_repeats_the_name_is_no_harm() {
    // The machine hides a line that repeats what was sent; the password goes out all the same.
    let mut talk = Talk::announced(Login::new("tim", "tanstaaf"));
    assert_eq!(talk.hear("+"), says("tim"));
    assert_eq!(talk.hear(&challenge("tim")), says("tanstaaf"));
}

#[test]
fn p_119_an_empty_password_is_an_empty_line() {
    let mut talk = Talk::announced(Login::new("tim", ""));
    talk.hear("+");
    assert_eq!(talk.hear("+"), line(""));
    assert_eq!(talk.hear("+OK"), Said::Accepted);
}

#[test]
fn p_120_the_example_of_rfc_2195_comes_out() {
    let mut talk = Talk::announced(CramMd5::new("tim", "tanstaaftanstaaf"));
    assert_eq!(talk.auth, "AUTH CRAM-MD5");
    let said = talk.hear("+ PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+");
    assert_eq!(said, line("dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw"));
    assert_eq!(talk.hear("+OK"), Said::Accepted);
}

#[test]
fn p_120_keys_of_every_length_are_keys() {
    // hmac.new(key, b"<1@x>", "md5").hexdigest() in Python
    for (key, digest) in [
        ("k".repeat(65), "ef11048453b3e504588860b5ef2ef010"),
        (String::new(), "1f38caa9f91a66169c1c7cc6276d601c"),
    ] {
        let mut cram = CramMd5::new("t i m", key);
        cram.start().unwrap();
        let response = cram.respond(b"<1@x>").unwrap();
        assert_eq!(response.expose(), format!("t i m {digest}").as_bytes());
    }
}

#[test]
fn p_120_cram_md5_answers_once() {
    let mut talk = Talk::announced(CramMd5::new("tim", "x"));
    assert!(matches!(talk.hear("+ QUJD"), Said::Line(_)));
    assert_eq!(talk.hear("+ QUJD"), line("*"));
    assert_eq!(talk.hear("-ERR"), Said::Failed(Error::UnexpectedChallenge));
}

#[test]
fn p_132_external_says_who_or_nothing() {
    assert_eq!(Talk::announced(External::new()).auth, "AUTH EXTERNAL =");
    assert_eq!(Talk::announced(External::new().acting_as("tim")).auth, "AUTH EXTERNAL dGlt");
    assert_eq!(first(External::new().acting_as("\u{2168}")).unwrap(), b"IX");
    assert_eq!(first(External::new().acting_as("")).unwrap(), b"");
}

#[test]
fn p_132_external_has_one_message() {
    let mut talk = Talk::announced(External::new());
    assert_eq!(talk.hear("+"), line(""), "the server overlooked it");
    assert_eq!(talk.hear("+"), line("*"));
    assert_eq!(talk.hear("-ERR"), Said::Failed(Error::UnexpectedChallenge));
}

#[test]
fn the_example_of_rfc_4505_comes_out() {
    let mut talk = Talk::unannounced(Anonymous::new("sirhc"));
    assert_eq!(talk.auth, "AUTH ANONYMOUS");
    assert_eq!(talk.hear("+ "), line("c2lyaGM="));
    assert_eq!(talk.hear("+OK"), Said::Accepted);
}

#[test]
fn a_trace_has_at_most_255_characters_and_none_that_control() {
    assert_eq!(first(Anonymous::new("\u{fc}".repeat(255))).unwrap().len(), 510);
    for bad in ["x".repeat(256), "a\0".into(), "a\r\nb".into(), "a\u{7f}".into(), "a\u{85}".into()] {
        assert_eq!(first(Anonymous::new(bad)), Err(Error::ForbiddenCharacter));
    }
}
