//! OAUTHBEARER and XOAUTH2: the published forms, what must not stand in them, and what servers say of a refused token.

use popwire_proto::sasl::{ClientMechanism, Error, OAuthBearer, OAuthFailure, Start, XOAuth2};
use proptest::prelude::*;

use super::exchange::{Said, Talk, challenge, line, says};

const TOKEN: &str = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==";

fn first(mut mechanism: impl ClientMechanism) -> Result<String, Error> {
    match mechanism.start()? {
        Start::ClientFirst(message) => Ok(String::from_utf8(message.expose().to_vec()).unwrap()),
        Start::ServerFirst => panic!("the server speaks first"),
    }
}

/// What is kept of this failure, by either mechanism.
fn failure_of(token: &str, words: &[u8]) -> OAuthFailure {
    let mut bearer = OAuthBearer::new("tim", token);
    bearer.start().unwrap();
    assert_eq!(bearer.respond(words).unwrap().expose(), b"\x01");
    let mut xoauth2 = XOAuth2::new("tim", token);
    xoauth2.start().unwrap();
    assert_eq!(xoauth2.respond(words).unwrap().expose(), b"");
    assert_eq!(bearer.failure(), xoauth2.failure());
    bearer.failure().unwrap().clone()
}

fn failure(words: impl AsRef<[u8]>) -> OAuthFailure {
    failure_of("ya29.x", words.as_ref())
}

#[test]
fn p_128_the_example_of_rfc_7628_section_4_1_comes_out() {
    let mut talk =
        Talk::unannounced(OAuthBearer::new("user@example.com", TOKEN).at("server.example.com", 143));
    assert_eq!(talk.auth, "AUTH OAUTHBEARER");
    let said = talk.hear("+ ");
    assert_eq!(
        said,
        line(
            "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVyIHZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB"
        )
    );
    assert_eq!(talk.hear("+OK"), Said::Accepted);
}

#[test]
fn p_128_a_name_is_escaped_and_may_be_missing() {
    let named = |user: &str| first(OAuthBearer::new(user, "t")).unwrap();
    assert_eq!(named("a,b=c"), "n,a=a=2Cb=3Dc,\x01auth=Bearer t\x01\x01");
    assert_eq!(named("\u{2168}"), "n,a=IX,\x01auth=Bearer t\x01\x01");
    assert_eq!(named(""), "n,,\x01auth=Bearer t\x01\x01");
    let placed = first(OAuthBearer::new("", "t").at("h", 65_535)).unwrap();
    assert_eq!(placed, "n,,\x01host=h\x01port=65535\x01auth=Bearer t\x01\x01");
}

#[test]
fn p_128_p_130_control_characters_do_not_pass() {
    for control in (0..=0x1f_u8).chain([0x7f]).map(char::from) {
        let bad = format!("a{control}b");
        for (place, start) in [
            ("user", first(OAuthBearer::new(&bad, "t"))),
            ("token", first(OAuthBearer::new("u", bad.as_str()))),
            ("host", first(OAuthBearer::new("u", "t").at(&bad, 1))),
            ("user of XOAUTH2", first(XOAuth2::new(&bad, "t"))),
            ("token of XOAUTH2", first(XOAuth2::new("u", bad.as_str()))),
        ] {
            let error = start.expect_err(place);
            assert!(error.is_credentials(), "{place} with {control:?}: {error}");
        }
    }
}

#[test]
fn p_128_a_token_is_printable_ascii_without_blanks_and_not_empty() {
    for bad in ["", " ", "a b", "Bearer x", "a\u{fc}", "t\r\nQUIT"] {
        assert_eq!(first(OAuthBearer::new("u", bad)), Err(Error::ForbiddenCharacter), "{bad:?}");
        assert_eq!(first(XOAuth2::new("u", bad)), Err(Error::ForbiddenCharacter), "{bad:?}");
    }
    let all: String = ('!'..='~').collect();
    assert!(first(OAuthBearer::new("u", all.as_str())).unwrap().contains(&all));
}

#[test]
fn p_129_the_failure_of_rfc_7628_section_4_3_is_read_answered_and_kept() {
    let mut talk = Talk::announced(OAuthBearer::new("user@example.com", TOKEN));
    assert!(talk.exchange.failure().is_none());
    let words = concat!(
        "+ eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIiwic2NvcGUiOiJleGFtcGxlX3Njb3BlIiwib3BlbmlkLWNvbmZpZ3VyYXRpb24i",
        "OiJodHRwczovL2V4YW1wbGUuY29tLy53ZWxsLWtub3duL29wZW5pZC1jb25maWd1cmF0aW9uIn0="
    );
    assert_eq!(talk.hear(words), line("AQ=="));
    assert_eq!(talk.hear("-ERR [AUTH] no"), Said::Refused);
    let failure = talk.exchange.failure().unwrap();
    assert_eq!(failure.status.as_deref(), Some("invalid_token"));
    assert_eq!(failure.scope.as_deref(), Some("example_scope"));
    assert_eq!(
        failure.openid_configuration.as_deref(),
        Some("https://example.com/.well-known/openid-configuration")
    );
}

#[test]
fn p_130_the_failure_of_google_is_read_answered_by_an_empty_line_and_kept() {
    let mut talk = Talk::announced(XOAuth2::new("someuser@example.com", "ya29.x"));
    assert_eq!(talk.hear("+ "), says("user=someuser@example.com\x01auth=Bearer ya29.x\x01\x01"));
    let words = "+ eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIG1hYyIsInNjb3BlIjoiaHR0cHM6Ly9tYWlsLmdvb2dsZS5jb20vIn0K";
    assert_eq!(talk.hear(words), line(""));
    assert_eq!(talk.hear("-ERR"), Said::Refused);
    let failure = talk.exchange.failure().unwrap();
    assert_eq!(failure.status.as_deref(), Some("401"));
    assert_eq!(failure.scope.as_deref(), Some("https://mail.google.com/"));
}

#[test]
fn p_129_a_second_explanation_ends_it_and_the_first_is_kept() {
    let mut talk = Talk::announced(OAuthBearer::new("u", "token"));
    assert_eq!(talk.hear(&challenge(r#"{"status":"one"}"#)), line("AQ=="));
    assert_eq!(talk.hear(&challenge(r#"{"status":"two"}"#)), line("*"));
    assert_eq!(talk.hear("-ERR"), Said::Failed(Error::UnexpectedChallenge));
    assert_eq!(talk.exchange.failure().unwrap().status.as_deref(), Some("one"));
}

#[test]
fn p_129_what_is_no_json_is_kept_as_it_came() {
    for words in
        [&b"no"[..], b"", b"[\"status\"]", b"\"status\"", b"null", b"7", b"{\"status\":", b"\xff\0\x80"]
    {
        let failure = failure(words);
        assert_eq!((failure.status, failure.scope, failure.openid_configuration), (None, None, None));
        assert_eq!(failure.text.as_bytes(), words);
    }
}

#[test]
fn p_129_fields_of_other_types_are_no_harm() {
    let failure = failure(r#"{"status":401,"scope":["a"],"openid-configuration":{"a":null}}"#);
    assert_eq!(failure.status.as_deref(), Some("401"));
    assert_eq!((failure.scope, failure.openid_configuration), (None, None));
    assert_eq!(self::failure(r#"{"status":true}"#).status, None);
    assert_eq!(self::failure(r#"{"status":null}"#).status, None);
    assert_eq!(self::failure(r#"{"status":1e400}"#).status, None);
}

#[test]
fn p_129_huge_and_deep_failures_are_no_harm() {
    let long = format!(r#"{{"status":"invalid_token","more":"{}"}}"#, "x".repeat(47 << 10));
    let failure = failure(&long);
    assert_eq!(failure.status.as_deref(), Some("invalid_token"));
    assert!(failure.text.as_bytes().len() <= 1000, "a sample is enough");
    assert_eq!(self::failure("[".repeat(60 << 10)).status, None);
    assert_eq!(self::failure(r#"{"status":"#.repeat(6 << 10)).status, None);

    let mut talk = Talk::announced(OAuthBearer::new("u", "token"));
    assert_eq!(talk.hear(&challenge(long)), line("AQ=="));
    assert_eq!(talk.hear("-ERR"), Said::Refused);
}

#[test]
fn p_133_a_failure_that_repeats_the_token_is_withheld() {
    let shown = |words: &str| {
        let failure = failure_of("to/ken+=7", words.as_bytes());
        format!("{failure:?} {}", failure.text)
    };
    for words in [
        "to/ken+=7",
        r#"{"status":"to/ken+=7"}"#,
        r#"{"status":"invalid","scope":"the token to/ken+=7 is bad"}"#,
        "n,a=tim,\x01auth=Bearer to/ken+=7\x01\x01",
    ] {
        let shown = shown(words);
        assert!(!shown.contains("to/ken+=7"), "{words}: {shown}");
        assert!(shown.contains("withheld"), "{words}: {shown}");
    }
}

#[test]
fn p_133_a_failure_that_repeats_the_token_in_the_escapes_of_json_is_withheld() {
    // Many encoders write `\/` for a slash.
    for words in [
        r#"{"status":"to\/ken+=7"}"#,
        r#"{"scope":"bad: \u0074o/ken+=7"}"#,
        r#"{"openid-configuration":"https:\/\/x\/?t=to\/ken+=7"}"#,
    ] {
        let failure = failure_of("to/ken+=7", words.as_bytes());
        let shown = format!("{failure:?} {}", failure.text);
        assert!(!shown.contains("to/ken+=7") && !shown.contains(r"o\/ken+=7"), "{words}: {shown}");
    }
}

#[test]
fn p_129_ok_after_a_failure_is_no_login() {
    for words in ["{}", "x"] {
        let mut talk = Talk::announced(OAuthBearer::new("u", "token"));
        assert_eq!(talk.hear(&challenge(words)), line("AQ=="));
        assert_eq!(talk.hear("+OK"), Said::Failed(Error::EarlySuccess));
    }
}

#[test]
fn p_131_the_token_of_xoauth2_is_never_in_the_auth_line() {
    for mut talk in [Talk::announced(XOAuth2::new("u", "t")), Talk::unannounced(XOAuth2::new("u", "t"))] {
        assert_eq!(talk.auth, "AUTH XOAUTH2");
        assert!(!talk.exchange.has_spoken());
        assert_eq!(talk.hear("+"), says("user=u\x01auth=Bearer t\x01\x01"));
        assert_eq!(talk.hear("+OK"), Said::Accepted);
    }
}

#[test]
fn nothing_is_answered_before_the_start() {
    assert_eq!(OAuthBearer::new("u", "t").respond(b"{}").err(), Some(Error::UnexpectedChallenge));
    assert_eq!(XOAuth2::new("u", "t").respond(b"{}").err(), Some(Error::UnexpectedChallenge));
}

proptest! {
    #[test]
    fn whatever_a_server_says_of_a_token_is_taken_and_ends_the_hope(words in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut bearer = OAuthBearer::new("tim", "token");
        bearer.start().unwrap();
        prop_assert!(bearer.is_done());
        let answer = bearer.respond(&words).unwrap();
        prop_assert_eq!(answer.expose(), b"\x01");
        prop_assert!(!bearer.is_done());
        prop_assert!(bearer.has_proved());
        prop_assert!(bearer.failure().is_some());
        prop_assert!(bearer.respond(&words).is_err());
        prop_assert!(!bearer.is_done());
    }
}
