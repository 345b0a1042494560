//! DIGEST-MD5: the example of RFC 2831, both halves against each other, and challenges that are not what they should be.

use popwire_proto::Secret;
use popwire_proto::sasl::server::{Directory, Refusal, ServerMechanism as _, Turn};
use popwire_proto::sasl::{ClientMechanism as _, DigestMd5, Error, Nonce, Start, server};

/// The first challenge of RFC 2831 section 4.
const CHALLENGE: &[u8] =
    br#"realm="elwood.innosoft.com",nonce="OA6MG9tEQGm2hh",qop="auth",algorithm=md5-sess,charset=utf-8"#;

/// The client's answer to it.
const RESPONSE: &[u8] = br#"charset=utf-8,username="chris",realm="elwood.innosoft.com",nonce="OA6MG9tEQGm2hh",nc=00000001,cnonce="OA6MHXh6VqTrRk",digest-uri="imap/elwood.innosoft.com",response=d388dad90d4bbd760a152321f2143af7,qop=auth"#;

/// And what the server says to that.
const PROOF: &[u8] = b"rspauth=ea40f60335c427b5527b84dbabcdfffd";

fn chris() -> DigestMd5 {
    let nonce = Nonce::known(*b"OA6MHXh6VqTrRk");
    let mut digest = DigestMd5::new("chris", "secret", "elwood.innosoft.com", nonce).service("imap");
    assert!(matches!(digest.start(), Ok(Start::ServerFirst)));
    digest
}

/// The answer of `user` to this challenge.
fn answer(user: &str, password: &[u8], challenge: &[u8]) -> Result<String, Error> {
    let mut digest = DigestMd5::new(user, password, "host.example", Nonce::known(*b"client"));
    digest.start()?;
    digest.respond(challenge).map(|response| String::from_utf8_lossy(response.expose()).into_owned())
}

fn field(message: &str, name: &str) -> String {
    let (_, rest) = message.split_once(&format!("{name}=")).unwrap();
    rest.split(',').next().unwrap().to_owned()
}

struct Users(Vec<(&'static str, &'static str)>);

impl Directory for Users {
    fn password(&self, user: &[u8]) -> Option<Secret> {
        self.0.iter().find(|(name, _)| name.as_bytes() == user).map(|(_, password)| Secret::from(*password))
    }

    fn user_of_token(&self, _: &[u8], _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn user_of_certificate(&self) -> Option<Vec<u8>> {
        None
    }

    fn anonymous(&self) -> Option<Vec<u8>> {
        None
    }

    fn may_act_as(&self, user: &[u8], other: &[u8]) -> bool {
        user == b"root" && other == b"tim"
    }
}

fn users() -> Users {
    Users(vec![
        ("tim", "tanstaaf"),
        ("root", "toor"),
        ("jürgen", "größe"),
        ("Ж", "пароль"),
        ("o\"ne\\il", "a\"b\\c"),
    ])
}

fn half(host: &str) -> server::DigestMd5 {
    server::DigestMd5::new(host, Nonce::known(*b"server"))
}

/// Lets both halves talk; the server's last word, and whether the client believed it.
fn talk(mut client: DigestMd5, mut server: server::DigestMd5) -> (Turn, bool) {
    assert!(server.speaks_first());
    assert!(matches!(client.start(), Ok(Start::ServerFirst)));
    let mut turn = server.respond(None, &users());
    while let Turn::Challenge(challenge) = turn {
        let response = client.respond(&challenge).unwrap();
        turn = server.respond(Some(response.expose()), &users());
    }
    (turn, client.is_done())
}

fn client(user: &str, password: &str) -> DigestMd5 {
    DigestMd5::new(user, password, "pop.example.org", Nonce::known(*b"client"))
}

#[test]
fn the_example_of_rfc_2831_octet_by_octet() {
    let mut digest = chris();
    assert_eq!(digest.name(), "DIGEST-MD5");
    assert!(!digest.has_proved() && !digest.is_done());
    assert_eq!(digest.respond(CHALLENGE).unwrap().expose(), RESPONSE);
    assert!(digest.has_proved() && !digest.is_done(), "+OK is not to be believed before rspauth");
    assert!(digest.respond(PROOF).unwrap().is_empty());
    assert!(digest.has_proved() && digest.is_done());
    assert_eq!(digest.respond(b"").unwrap_err(), Error::UnexpectedChallenge);
}

#[test]
fn the_digest_uri_is_of_pop_if_nothing_else_is_said() {
    assert_eq!(field(&answer("tim", b"x", CHALLENGE).unwrap(), "digest-uri"), "\"pop/host.example\"");
}

#[test]
fn a_forged_rspauth_shows_that_the_server_is_none() {
    let mut right = PROOF.to_vec();
    for at in "rspauth=".len()..PROOF.len() {
        right[at] = if PROOF[at] == b'0' { b'1' } else { b'0' };
        let mut digest = chris();
        digest.respond(CHALLENGE).unwrap();
        let error = digest.respond(&right).unwrap_err();
        assert_eq!(error, Error::WrongServerProof);
        assert!(error.is_server_untrusted());
        assert!(!digest.is_done());
        // And it gets no second try.
        assert_eq!(digest.respond(PROOF).unwrap_err(), Error::UnexpectedChallenge);
        assert!(!digest.is_done());
        right[at] = PROOF[at];
    }
}

#[test]
fn a_short_or_empty_rspauth_is_wrong() {
    for length in "rspauth=".len() + 1..PROOF.len() {
        let mut digest = chris();
        digest.respond(CHALLENGE).unwrap();
        assert_eq!(digest.respond(&PROOF[..length]).unwrap_err(), Error::WrongServerProof);
    }
    for proof in [&b"rspauth=\"\""[..], b"rspauth=\"d388dad90d4bbd760a152321f2143af7\""] {
        let mut digest = chris();
        digest.respond(CHALLENGE).unwrap();
        assert_eq!(digest.respond(proof).unwrap_err(), Error::WrongServerProof);
    }
}

#[test]
fn a_missing_or_garbled_rspauth_is_no_proof() {
    let twice = [PROOF, b",", PROOF].concat();
    for said in
        [&b""[..], b"rspauth", b"rspauth=", b"=", b"proof=1", b"\xff", b"rspauth=\"1", CHALLENGE, &twice]
    {
        let mut digest = chris();
        digest.respond(CHALLENGE).unwrap();
        assert!(matches!(digest.respond(said), Err(Error::BadChallenge(_))), "{said:?}");
        assert!(!digest.is_done());
        assert_eq!(digest.respond(PROOF).unwrap_err(), Error::UnexpectedChallenge);
    }
}

#[test]
fn rspauth_may_be_quoted_and_stand_among_others() {
    let mut digest = chris();
    digest.respond(CHALLENGE).unwrap();
    digest.respond(b", x=1 , RSPAUTH = \"ea40f60335c427b5527b84dbabcdfffd\" ,").unwrap();
    assert!(digest.is_done());
}

#[test]
fn a_challenge_cut_anywhere_is_refused_or_harmless() {
    for length in 0..CHALLENGE.len() {
        let mut digest = chris();
        match digest.respond(&CHALLENGE[..length]) {
            // All that is needed is there once the algorithm is.
            Ok(_) => assert!(CHALLENGE[..length].windows(8).any(|part| part == b"md5-sess"), "{length}"),
            Err(error) => assert!(matches!(error, Error::BadChallenge(_)), "{length}: {error:?}"),
        }
        assert!(!digest.is_done());
    }
}

#[test]
fn no_flipped_bit_leads_to_a_login() {
    for at in 0..CHALLENGE.len() {
        for bit in 0..8 {
            let mut flipped = CHALLENGE.to_vec();
            flipped[at] ^= 1 << bit;
            let mut digest = chris();
            let _ = digest.respond(&flipped);
            assert!(!digest.is_done());
        }
    }
    for at in 0..PROOF.len() {
        for bit in 0..8 {
            let mut flipped = PROOF.to_vec();
            flipped[at] ^= 1 << bit;
            let mut digest = chris();
            digest.respond(CHALLENGE).unwrap();
            let said = digest.respond(&flipped);
            // The name of the directive has no case; its value has.
            assert_eq!(
                said.is_ok(),
                flipped[..7].eq_ignore_ascii_case(&PROOF[..7]) && flipped[7..] == PROOF[7..]
            );
            assert_eq!(digest.is_done(), said.is_ok());
        }
    }
}

#[test]
fn directives_that_may_come_once_must_not_come_twice() {
    for again in [
        "nonce=\"x\"",
        "nonce=\"OA6MG9tEQGm2hh\"",
        "qop=\"auth\"",
        "algorithm=md5-sess",
        "CHARSET=utf-8",
        "stale=true,stale=true",
        "maxbuf=1,maxbuf=1",
    ] {
        let challenge = [CHALLENGE, b",", again.as_bytes()].concat();
        assert!(matches!(chris().respond(&challenge), Err(Error::BadChallenge(_))), "{again}");
    }
}

#[test]
fn challenges_without_what_is_needed_are_refused() {
    for challenge in [
        "",
        ",,,",
        "=",
        "nonce",
        "nonce=",
        "nonce=x",
        "algorithm=md5-sess",
        "nonce=x,algorithm=md5",
        "nonce=x,algorithm=md5-sess,qop=\"auth-int,auth-conf\"",
        "nonce=x,algorithm=md5-sess,qop=\"\"",
        "nonce=x,algorithm=md5-sess,charset=iso-8859-1",
        "nonce=x algorithm=md5-sess",
        "nonce=\"x\"y,algorithm=md5-sess",
        "nonce=\"x,algorithm=md5-sess",
        "nonce=\"x\\",
        "nonce=\"\0\",algorithm=md5-sess",
        "nonce=\"\x7f\",algorithm=md5-sess",
        "nonce=@,algorithm=md5-sess",
        "\"nonce\"=x,algorithm=md5-sess",
    ] {
        let answer = answer("tim", b"tanstaaf", challenge.as_bytes());
        assert!(matches!(answer, Err(Error::BadChallenge(_))), "{challenge}");
    }
}

#[test]
fn a_challenge_of_2048_octets_is_too_long() {
    let mut challenge = CHALLENGE.to_vec();
    challenge.resize(2047, b',');
    assert!(chris().respond(&challenge).is_ok());
    challenge.push(b',');
    assert!(matches!(chris().respond(&challenge), Err(Error::BadChallenge(_))));

    let mut proof = PROOF.to_vec();
    proof.resize(2048, b',');
    let mut digest = chris();
    digest.respond(CHALLENGE).unwrap();
    assert!(matches!(digest.respond(&proof), Err(Error::BadChallenge(_))));
}

#[test]
fn what_the_rfc_allows_is_taken() {
    let mut plain = chris();
    let plain = plain.respond(CHALLENGE).unwrap();
    for challenge in [
        // White space and empty elements.
        &b" ,,\trealm = \"elwood.innosoft.com\" ,\r\n nonce=\"OA6MG9tEQGm2hh\",, qop=\"auth\",algorithm=md5-sess , charset=utf-8,"[..],
        // Quotes around everything, other cases, another order.
        b"CHARSET=\"UTF-8\",Algorithm=\"MD5-SESS\",QOP=\"AUTH\",Nonce=\"OA6MG9tEQGm2hh\",Realm=\"elwood.innosoft.com\"",
        // No qop at all; no quotes; escapes that were not needed.
        b"realm=elwood.innosoft.com,nonce=\"OA6MG9\\tEQGm2hh\",algorithm=md5-sess,charset=utf-8",
        // Other options, another realm, and what nobody knows.
        b"realm=\"elwood.innosoft.com\",realm=\"other\",nonce=\"OA6MG9tEQGm2hh\",qop=\"auth-conf , auth,x\",cipher=\"rc4\",maxbuf=9,stale=false,new=1,new=2,algorithm=md5-sess,charset=utf-8",
    ] {
        assert_eq!(chris().respond(challenge).unwrap().expose(), plain.expose());
    }
}

#[test]
fn p_114_no_security_layer_is_ever_chosen() {
    let offering = |qop: &str| {
        answer(
            "chris",
            b"secret",
            format!("nonce=\"x\",qop=\"{qop}\",algorithm=md5-sess,charset=utf-8").as_bytes(),
        )
    };
    for qop in ["auth,auth-int,auth-conf", "auth-conf,auth-int,auth", "auth"] {
        assert!(offering(qop).unwrap().ends_with(",qop=auth"), "{qop}");
    }
    for qop in ["auth-int,auth-conf", "auth-int", "auth-conf"] {
        assert!(matches!(offering(qop), Err(Error::BadChallenge(_))), "{qop}");
    }
}

#[test]
fn without_a_realm_none_is_sent() {
    let response = answer("tim@example.org", b"tanstaaf", b"nonce=abc,algorithm=md5-sess").unwrap();
    assert!(!response.contains("realm") && !response.contains("charset"));
    // The part after the @ is no realm.
    assert_eq!(field(&response, "username"), "\"tim@example.org\"");
    // An empty realm hashes alike, but was offered.
    let empty = answer("tim@example.org", b"tanstaaf", b"realm=\"\",nonce=abc,algorithm=md5-sess").unwrap();
    assert!(empty.contains(",realm=\"\","));
    assert_eq!(field(&empty, "response"), field(&response, "response"));
}

#[test]
fn quotes_and_backslashes_are_taken_off_and_put_on() {
    let challenge = br#"realm="a \"b\" \\c",nonce="n\"\\",algorithm=md5-sess,charset=utf-8"#;
    let response = answer("o\"ne\\il", b"x", challenge).unwrap();
    assert!(response.contains(r#"username="o\"ne\\il",realm="a \"b\" \\c",nonce="n\"\\","#), "{response}");
}

/// The values come from an independent computation with the hash over ISO 8859-1.
#[test]
fn what_has_a_place_in_iso_8859_1_is_hashed_so() {
    let utf8 = b"realm=\"r\",nonce=\"n\",algorithm=md5-sess,charset=utf-8";
    let narrow = b"realm=\"r\",nonce=\"n\",algorithm=md5-sess";
    let response = answer("jürgen", "größe".as_bytes(), utf8).unwrap();
    assert_eq!(field(&response, "username"), "\"jürgen\"");
    assert_eq!(field(&response, "response"), "fa17547216a693acc9e3d231e7fd2257");
    // Without the charset the name is also sent so; the hash stays.
    let mut digest = DigestMd5::new("jürgen", "größe", "host.example", Nonce::known(*b"client"));
    digest.start().unwrap();
    let sent = digest.respond(narrow).unwrap();
    assert!(sent.expose().starts_with(b"username=\"j\xfcrgen\",realm="));
    assert!(String::from_utf8_lossy(sent.expose()).contains("response=fa17547216a693acc9e3d231e7fd2257,"));
    // A password that is no UTF-8 stands for itself.
    assert_eq!(
        field(&answer("jürgen", b"gr\xf6\xdfe", utf8).unwrap(), "response"),
        "fa17547216a693acc9e3d231e7fd2257"
    );
}

#[test]
fn what_has_no_place_in_iso_8859_1_needs_the_charset() {
    let utf8 = b"realm=\"r\",nonce=\"n\",algorithm=md5-sess,charset=utf-8";
    let narrow = b"realm=\"r\",nonce=\"n\",algorithm=md5-sess";
    assert_eq!(
        field(&answer("Ж", "пароль".as_bytes(), utf8).unwrap(), "response"),
        "536a39a87d45863dabc8dbac5b99f70c"
    );
    // Each for itself: here the name is hashed in ISO 8859-1, and the password in UTF-8.
    assert_eq!(
        field(&answer("jürgen", "пароль".as_bytes(), utf8).unwrap(), "response"),
        "43f079634dd95217a713bfaae0e45663"
    );
    assert_eq!(answer("Ж", b"x", narrow).unwrap_err(), Error::Unpreparable);
    assert_eq!(answer("x", "Ж".as_bytes(), narrow).unwrap_err(), Error::Unpreparable);
}

#[test]
fn names_and_passwords_are_prepared() {
    let plain = answer("IX", b"IX", CHALLENGE).unwrap();
    assert_eq!(answer("I\u{ad}X", "\u{2168}".as_bytes(), CHALLENGE).unwrap(), plain);
    for (user, password, error) in
        [("", "x", Error::EmptyName), ("\u{ad}", "x", Error::EmptyName), ("a\0b", "x", Error::Unpreparable)]
    {
        let mut digest = DigestMd5::new(user, password, "h", Nonce::known(*b"n"));
        assert_eq!(digest.start().unwrap_err(), error);
    }
    assert!(DigestMd5::new(b"\xff", "x", "h", Nonce::known(*b"n")).start().is_err());
    assert!(DigestMd5::new("x", "a\x07", "h", Nonce::known(*b"n")).start().is_err());
    assert!(DigestMd5::new("x", "y", "h", Nonce::known(*b"n")).acting_as("a\0").start().is_err());
}

#[test]
fn both_halves_understand_each_other() {
    for (user, password) in users().0 {
        let (turn, believed) = talk(client(user, password), half("pop.example.org"));
        assert!(matches!(turn, Turn::Accept(name) if name == user.as_bytes()), "{user}");
        assert!(believed);
    }
    // Names of hosts have no case.
    assert!(matches!(talk(client("tim", "tanstaaf"), half("POP.example.ORG")).0, Turn::Accept(_)));
}

#[test]
fn wrong_passwords_and_unknown_users_are_refused() {
    for (user, password) in [("tim", "tanstaaff"), ("tim", ""), ("nobody", "tanstaaf"), ("Tim", "tanstaaf")] {
        let (turn, believed) = talk(client(user, password), half("pop.example.org"));
        assert!(matches!(turn, Turn::Refuse(Refusal::Credentials)), "{user}");
        assert!(!believed);
    }
}

#[test]
fn acting_as_somebody_is_up_to_the_directory() {
    let (turn, believed) = talk(client("root", "toor").acting_as("tim"), half("pop.example.org"));
    assert!(matches!(turn, Turn::Accept(name) if name == b"tim"));
    assert!(believed);
    let (turn, believed) = talk(client("tim", "tanstaaf").acting_as("root"), half("pop.example.org"));
    assert!(matches!(turn, Turn::Refuse(Refusal::Credentials)));
    assert!(!believed);
    let (turn, _) = talk(client("tim", "tanstaaf").acting_as("tim"), half("pop.example.org"));
    assert!(matches!(turn, Turn::Accept(name) if name == b"tim"));
}

#[test]
fn a_client_that_means_another_server_is_refused() {
    let refused = |client, server| matches!(talk(client, server).0, Turn::Refuse(Refusal::Credentials));
    assert!(refused(client("tim", "tanstaaf"), half("other.example.org")));
    assert!(refused(client("tim", "tanstaaf").service("imap"), half("pop.example.org")));
    assert!(refused(client("tim", "tanstaaf").service("imap"), half("pop.example.org").any_host()));
    assert!(!refused(client("tim", "tanstaaf"), half("other.example.org").any_host()));
    assert!(!refused(client("tim", "tanstaaf").service("POP"), half("pop.example.org")));
}

/// What the server makes of the right response with one thing in it changed.
fn changed(from: &str, to: &str) -> Turn {
    let mut server = half("pop.example.org");
    let Turn::Challenge(challenge) = server.respond(None, &users()) else { panic!() };
    let mut client = client("tim", "tanstaaf");
    client.start().unwrap();
    let response = client.respond(&challenge).unwrap();
    let response = std::str::from_utf8(response.expose()).unwrap();
    assert!(response.contains(from));
    server.respond(Some(response.replacen(from, to, 1).as_bytes()), &users())
}

#[test]
fn the_server_looks_at_all_that_the_client_says() {
    assert!(matches!(changed("tim", "tim"), Turn::Challenge(_)));
    assert!(matches!(changed(",qop=auth", ""), Turn::Challenge(_)));
    assert!(matches!(changed("charset=utf-8,", ""), Turn::Challenge(_)));
    for (from, to) in [
        ("nonce=\"server\"", "nonce=\"other\""),
        ("cnonce=\"client\"", "cnonce=\"other\""),
        ("realm=\"pop.example.org\"", "realm=\"other\""),
        ("realm=\"pop.example.org\",", ""),
        ("\"pop/pop.example.org\"", "\"pop\""),
        ("response=", "response=0"),
        ("qop=auth", "qop=auth,authzid=\"root\""),
    ] {
        assert!(matches!(changed(from, to), Turn::Refuse(Refusal::Credentials)), "{from} {to}");
    }
    for (from, to) in [
        ("nc=00000001", "nc=00000002"),
        ("nc=00000001,", ""),
        ("qop=auth", "qop=auth-int"),
        ("username=\"tim\"", "username=\"\""),
        ("username=\"tim\"", "username=\"tim"),
        ("username=\"tim\",", ""),
        ("username=\"tim\"", "username=\"tim\",username=\"tim\""),
        ("utf-8", "utf-7"),
        ("response=", "answer="),
        ("cnonce=\"client\",", ""),
        ("digest-uri=\"pop/pop.example.org\",", ""),
    ] {
        assert!(matches!(changed(from, to), Turn::Refuse(Refusal::Malformed)), "{from} {to}");
    }
    let long = ",".repeat(4096);
    assert!(matches!(changed("qop=auth", &long), Turn::Refuse(Refusal::Malformed)));
}

#[test]
fn the_server_takes_nothing_out_of_turn() {
    let malformed = |turn| matches!(turn, Turn::Refuse(Refusal::Malformed));
    assert!(malformed(half("h").respond(Some(b""), &users())));
    let mut server = half("h");
    server.respond(None, &users());
    assert!(malformed(server.respond(None, &users())));

    // Nothing is to be said to the proof.
    let mut server = half("pop.example.org");
    let Turn::Challenge(challenge) = server.respond(None, &users()) else { panic!() };
    let mut client = client("tim", "tanstaaf");
    client.start().unwrap();
    let response = client.respond(&challenge).unwrap();
    assert!(matches!(server.respond(Some(response.expose()), &users()), Turn::Challenge(_)));
    assert!(malformed(server.respond(Some(b"x"), &users())));
    assert!(malformed(server.respond(Some(b""), &users())));
}

#[test]
fn names_in_iso_8859_1_are_understood_by_the_server() {
    let mut server = half("pop.example.org");
    server.respond(None, &users());
    let mut client = client("jürgen", "größe");
    client.start().unwrap();
    let challenge = b"realm=\"pop.example.org\",nonce=\"server\",algorithm=md5-sess";
    let response = client.respond(challenge).unwrap();
    assert!(matches!(server.respond(Some(response.expose()), &users()), Turn::Challenge(_)));
    assert!(matches!(server.respond(Some(b""), &users()), Turn::Accept(name) if name == "jürgen".as_bytes()));
}

#[test]
fn p_133_debug_shows_no_password() {
    let mut digest = DigestMd5::new("chris", "secret-word", "host", Nonce::known(*b"OA6MHXh6VqTrRk"));
    let hex: String = "secret-word".bytes().map(|octet| format!("{octet:02x}")).collect();
    let list = format!("{:?}", "secret-word".as_bytes());
    let look = |digest: &DigestMd5| {
        for shown in [format!("{digest:?}"), format!("{digest:#?}")] {
            assert!(shown.starts_with("DigestMd5"));
            for secret in ["secret-word", &hex, &list[1..list.len() - 1], "115, 101", "OA6MHXh6VqTrRk"] {
                assert!(!shown.contains(secret), "{shown}");
            }
        }
    };
    look(&digest);
    digest.start().unwrap();
    look(&digest);
    digest.respond(CHALLENGE).unwrap();
    look(&digest);
    let response = chris().respond(CHALLENGE).unwrap();
    assert!(!format!("{response:?}").contains("chris"));
}
