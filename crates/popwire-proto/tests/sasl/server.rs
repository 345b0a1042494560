//! The server's halves: the published exchanges, both halves against each other, and clients that are not what they
//! should be.

use std::time::Duration;

use popwire_proto::Secret;
use popwire_proto::sasl::server::{
    self, Directory, Fault, Refusal, ServerMechanism, Setting, Turn, mechanism as half,
};
use popwire_proto::sasl::{
    Binding, BindingType, ChannelBinding, ClientMechanism, Error, Hash, Mechanism, Nonce, Scram, Start,
};

const NOW: Duration = Duration::from_secs(697_170_952);

struct Users;

impl Directory for Users {
    fn password(&self, user: &[u8]) -> Option<Secret> {
        match user {
            b"user" => Some("pencil".into()),
            b"tim" => Some("tanstaaftanstaaf".into()),
            b"a,b=c" => Some("comma".into()),
            b"IX" => Some("Fo\u{2168}".into()),
            _ => None,
        }
    }

    fn user_of_token(&self, token: &[u8], named: &[u8]) -> Option<Vec<u8>> {
        (token == b"t0ken" && (named.is_empty() || named == b"tim")).then(|| b"tim".to_vec())
    }

    fn user_of_certificate(&self) -> Option<Vec<u8>> {
        Some(b"tim".to_vec())
    }

    fn anonymous(&self) -> Option<Vec<u8>> {
        Some(b"guest".to_vec())
    }

    fn may_act_as(&self, user: &[u8], other: &[u8]) -> bool {
        (user, other) == (b"tim", b"user")
    }
}

/// What a half has to say to these responses, one after the other.
fn turns(mut half: impl ServerMechanism, responses: &[&[u8]]) -> Vec<Turn> {
    let begin = half.speaks_first().then(|| half.respond(None, &Users));
    let rest = responses.iter().map(|response| half.respond(Some(response), &Users)).collect::<Vec<_>>();
    begin.into_iter().chain(rest).collect()
}

/// Challenges as they are, `OK name`, `WRONG` or `MALFORMED`.
fn said(half: impl ServerMechanism, responses: &[&str]) -> Vec<String> {
    let responses: Vec<&[u8]> = responses.iter().map(|response| response.as_bytes()).collect();
    let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
    let turns = turns(half, &responses).into_iter().map(|turn| match turn {
        Turn::Challenge(challenge) => text(challenge),
        Turn::Accept(user) => format!("OK {}", text(user)),
        Turn::Refuse(Refusal::Credentials) => "WRONG".to_owned(),
        Turn::Refuse(Refusal::Malformed) => "MALFORMED".to_owned(),
    });
    turns.collect()
}

const FIRST: &str = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";
const PROOF: &str = "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=";

/// The server of RFC 5802 section 5.
fn rfc5802() -> server::Scram {
    let salt = *b"\x41\x25\xc2\x47\xe4\x3a\xb1\xe9\x3c\x6d\xff\x76";
    server::Scram::new(Hash::Sha1, Nonce::known("3rfcNHYJY1ZVvWVs7j"), "key").known_salt(salt)
}

#[test]
fn p_109_the_exchange_of_rfc_5802() {
    assert_eq!(
        said(rfc5802(), &["n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL", PROOF, ""]),
        [FIRST, "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=", "OK user"]
    );
}

#[test]
fn p_109_the_exchange_of_rfc_7677() {
    let salt = *b"\x5b\x6d\x99\x68\x9d\x12\x35\x8e\xec\xa0\x4b\x14\x12\x36\xfa\x81";
    let nonce = Nonce::known("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
    let scram = server::Scram::new(Hash::Sha256, nonce, "key").known_salt(salt);
    let proof = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                 p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    assert_eq!(
        said(scram, &["n,,n=user,r=rOprNGfwEbeRWgbNEkqO", proof, ""]),
        [
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
            "OK user"
        ]
    );
}

#[test]
fn the_first_message_of_scram_is_read_strictly() {
    for wrong in [
        "",
        "n,,",
        "n,,n=user",
        "n,,r=abc,n=user",
        "n,,n=user,r=",
        "n,,n=user,r=a\u{e9}",
        "n,,n=user,r=a b",
        "n,,n=user,r=abc,",
        "n,,n=user,r=abc,xx=1",
        "n,,n=,r=abc",
        "x,,n=user,r=abc",
        "n,b=c,n=user,r=abc",
    ] {
        assert_eq!(said(rfc5802(), &[wrong]), ["MALFORMED"], "{wrong:?}");
    }
    for (wrong, word) in [
        ("n,,m=x,n=user,r=abc", "e=extensions-not-supported"),
        ("n,,n=user,m=x,r=abc", "e=extensions-not-supported"),
        ("n,,n=user,r=abc,m=x", "e=extensions-not-supported"),
        ("n,,n=us=er,r=abc", "e=invalid-username-encoding"),
        ("n,,n=\u{ad},r=abc", "e=invalid-username-encoding"),
        ("n,,n=\u{7},r=abc", "e=invalid-username-encoding"),
        ("p=tls-exporter,,n=user,r=abc", "e=channel-binding-not-supported"),
    ] {
        assert_eq!(said(rfc5802(), &[wrong, ""]), [word, "MALFORMED"], "{wrong:?}");
    }
    assert!(said(rfc5802(), &["n,,n=user,r=abc,x=1,y=2"])[0].starts_with("r=abc3rfc"));
}

#[test]
fn the_proof_of_scram_is_read_strictly() {
    let hello = "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL";
    for (wrong, answer) in [
        (PROOF.replace("p=v0", "p=v1"), "WRONG"),
        (PROOF.replace("p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", "p=AAAA"), "WRONG"),
        (PROOF.replace("Ts=", "Ts"), "MALFORMED"),
        (PROOF.replace(",p=", ",q="), "MALFORMED"),
        (PROOF.replace("c=biws", "c=eSws"), "e=channel-bindings-dont-match"),
        (PROOF.replace("c=biws", "c=b!ws"), "MALFORMED"),
        (PROOF.replace("c=biws", "x=biws"), "MALFORMED"),
        (PROOF.replace("7j,p", "7k,p"), "e=other-error"),
        (PROOF.replace(",p=", ",m=x,p="), "e=extensions-not-supported"),
        // The extension is under the signature.
        (PROOF.replace(",p=", ",x=y,p="), "WRONG"),
        ("c=biws".to_owned(), "MALFORMED"),
        (String::new(), "MALFORMED"),
    ] {
        assert_eq!(said(rfc5802(), &[hello, &wrong])[1], answer, "{wrong}");
    }
    // The server's proof is answered by nothing.
    assert_eq!(said(rfc5802(), &[hello, PROOF, "x"])[2], "MALFORMED");
    assert_eq!(said(rfc5802(), &[hello, PROOF, "", ""])[3], "MALFORMED");
}

#[test]
fn nobody_learns_which_users_there_are() {
    let challenge = |user: &str| {
        let scram = server::Scram::new(Hash::Sha256, Nonce::random().unwrap(), "key");
        said(scram, &[&format!("n,,n={user},r=abc")])[0].clone()
    };
    let salt = |user: &str| challenge(user).split(',').nth(1).unwrap().to_owned();
    assert_eq!(salt("nobody"), salt("nobody"));
    assert_eq!(salt("user"), salt("user"));
    assert_ne!(salt("user"), salt("nobody"));
    assert_eq!(salt("user").len(), salt("nobody").len());
}

fn binding(kind: BindingType) -> ChannelBinding {
    ChannelBinding::new(kind, vec![7; 32])
}

/// A login from end to end: the client's verdict on the server, and the server's on the client.
fn login(
    mechanism: Mechanism,
    setting: &Setting,
    mut client: impl ClientMechanism,
) -> (Result<bool, Error>, Option<Turn>) {
    let mut half = half(mechanism, setting).unwrap().unwrap();
    let mut response = match client.start() {
        Ok(Start::ServerFirst) => None,
        Ok(Start::ClientFirst(response)) => Some(response),
        Err(e) => return (Err(e), None),
    };
    for _ in 0..100 {
        match half.respond(response.as_ref().map(Secret::expose), &Users) {
            Turn::Challenge(challenge) => match client.respond(&challenge) {
                Ok(next) => response = Some(next),
                Err(e) => return (Err(e), None),
            },
            end => return (Ok(client.is_done()), Some(end)),
        }
    }
    panic!("it never ends");
}

fn accepted(outcome: (Result<bool, Error>, Option<Turn>)) -> Vec<u8> {
    match outcome {
        (Ok(true), Some(Turn::Accept(user))) => user,
        other => panic!("{other:?}"),
    }
}

fn scram(hash: Hash, user: &str, password: &str, binding: Binding) -> Scram {
    Scram::new(hash, user, password, binding, Nonce::random().unwrap())
}

fn setting() -> Setting {
    Setting::new("localhost", NOW)
}

#[test]
fn both_halves_of_scram_understand_each_other() {
    for (mechanism, plus, hash) in [
        (Mechanism::ScramSha1, Mechanism::ScramSha1Plus, Hash::Sha1),
        (Mechanism::ScramSha256, Mechanism::ScramSha256Plus, Hash::Sha256),
        (Mechanism::ScramSha512, Mechanism::ScramSha512Plus, Hash::Sha512),
    ] {
        let client = |user, password| scram(hash, user, password, Binding::Unsupported);
        assert_eq!(accepted(login(mechanism, &setting(), client("user", "pencil"))), b"user");
        assert_eq!(accepted(login(mechanism, &setting(), client("a,b=c", "comma"))), b"a,b=c");
        // P-112: prepared, both the name and the password
        assert_eq!(accepted(login(mechanism, &setting(), client("I\u{ad}X", "FoI\u{ad}X"))), b"IX");
        let tim = client("tim", "tanstaaftanstaaf").acting_as("user");
        assert_eq!(accepted(login(mechanism, &setting(), tim)), b"user");
        for refused in
            [client("user", "pen"), client("nobody", ""), client("user", "pencil").acting_as("tim")]
        {
            let (_, end) = login(mechanism, &setting(), refused);
            assert!(matches!(end, Some(Turn::Refuse(Refusal::Credentials))));
        }
        for kind in [BindingType::TlsExporter, BindingType::TlsServerEndPoint] {
            let here = setting().bindings(vec![binding(kind)]).plus_offered(true);
            let bound = |data: u8| {
                let binding = ChannelBinding::new(kind, vec![data; 32]);
                scram(hash, "user", "pencil", Binding::Bound(binding))
            };
            assert_eq!(accepted(login(plus, &here, bound(7))), b"user");
            let somebody_between = login(plus, &here, bound(8)).0;
            assert_eq!(somebody_between, Err(Error::Server("channel-bindings-dont-match".into())));
        }
    }
}

#[test]
fn p_125_binding_cannot_be_taken_away() {
    let here = setting().bindings(vec![binding(BindingType::TlsExporter)]).plus_offered(true);
    let client = |binding| scram(Hash::Sha256, "user", "pencil", binding);
    // Who does not see the offer, and could have taken it up, finds out.
    let (verdict, _) = login(Mechanism::ScramSha256, &here, client(Binding::NotOffered));
    assert_eq!(verdict, Err(Error::Downgrade));
    accepted(login(Mechanism::ScramSha256, &here, client(Binding::Unsupported)));
    accepted(login(Mechanism::ScramSha256, &setting(), client(Binding::NotOffered)));
    // Another type, or none, where one is needed.
    let other = client(Binding::Bound(binding(BindingType::TlsServerEndPoint)));
    let (verdict, _) = login(Mechanism::ScramSha256Plus, &here, other);
    assert_eq!(verdict, Err(Error::Server("unsupported-channel-binding-type".into())));
    for unbound in [Binding::NotOffered, Binding::Unsupported] {
        let (_, end) = login(Mechanism::ScramSha256Plus, &here, client(unbound));
        assert!(matches!(end, Some(Turn::Refuse(Refusal::Malformed))));
    }
}

#[test]
fn faults_are_what_they_say() {
    let verdict = |fault| {
        let client = scram(Hash::Sha256, "user", "pencil", Binding::Unsupported);
        login(Mechanism::ScramSha256, &setting().fault(fault), client)
    };
    assert_eq!(verdict(Fault::ForgedProof).0, Err(Error::WrongServerProof));
    assert_eq!(verdict(Fault::ShortNonce).0, Err(Error::WrongNonce));
    assert_eq!(verdict(Fault::MandatoryExtension).0, Err(Error::MandatoryExtension));
    let asked = verdict(Fault::Iterations(1)).0;
    assert!(matches!(asked, Err(Error::Iterations { asked: 1, .. })));
    let asked = verdict(Fault::Iterations(u32::MAX)).0;
    assert!(matches!(asked, Err(Error::Iterations { asked: 4_294_967_295, .. })));
    let told = verdict(Fault::ServerError("no-resources".to_owned())).0;
    assert_eq!(told, Err(Error::Server("no-resources".into())));
    for early in [Fault::OkEarly, Fault::MissingProof] {
        assert!(matches!(verdict(early), (Ok(false), Some(Turn::Accept(user))) if user == b"user"));
    }
    assert!(verdict(Fault::Endless).0.is_err());
    accepted(verdict(Fault::NotBase64));
}

#[test]
fn faults_are_known_to_digest_md5_too() {
    use popwire_proto::sasl::DigestMd5;
    let verdict = |fault| {
        let client = DigestMd5::new("user", "pencil", "localhost", Nonce::random().unwrap());
        login(Mechanism::DigestMd5, &setting().fault(fault), client)
    };
    assert_eq!(verdict(Fault::ForgedProof).0, Err(Error::WrongServerProof));
    for early in [Fault::OkEarly, Fault::MissingProof] {
        assert!(matches!(verdict(early), (Ok(false), Some(Turn::Accept(user))) if user == b"user"));
    }
}

#[test]
fn cram_md5_of_rfc_2195() {
    let half = || server::CramMd5::new("postoffice.reston.mci.net", &Nonce::known("1896"), NOW);
    let challenge = "<1896.697170952@postoffice.reston.mci.net>";
    for (response, answer) in [
        ("tim b913a602c7eda7a495b4e6e7334d3890", "OK tim"),
        ("tim B913A602C7EDA7A495B4E6E7334D3890", "OK tim"),
        ("tim b913a602c7eda7a495b4e6e7334d3891", "WRONG"),
        ("user b913a602c7eda7a495b4e6e7334d3890", "WRONG"),
        ("nobody b913a602c7eda7a495b4e6e7334d3890", "WRONG"),
        ("tim b913", "MALFORMED"),
        ("tim", "MALFORMED"),
        (" b913a602c7eda7a495b4e6e7334d3890", "MALFORMED"),
    ] {
        assert_eq!(said(half(), &[response]), [challenge, answer], "{response}");
    }
}

#[test]
fn p_117_plain_has_three_fields() {
    let plain = || server::Plain;
    let long = "x".repeat(10_000);
    for (message, answer) in [
        ("\0tim\0tanstaaftanstaaf", "OK tim"),
        ("tim\0tim\0tanstaaftanstaaf", "OK tim"),
        ("user\0tim\0tanstaaftanstaaf", "OK user"),
        ("tim\0user\0pencil", "WRONG"),
        ("\0tim\0wrong", "WRONG"),
        ("\0nobody\0", "WRONG"),
        ("\0I\u{ad}X\0FoIX", "OK IX"),
        ("\0\u{ad}\0x", "MALFORMED"),
        ("\0\0x", "MALFORMED"),
        ("tim\0tanstaaftanstaaf", "MALFORMED"),
        ("\0tim\0tanstaaf\0tanstaaf", "MALFORMED"),
        ("", "MALFORMED"),
        (&format!("\0{long}\0{long}"), "WRONG"),
    ] {
        assert_eq!(said(plain(), &[message]), [answer], "{message:?}");
    }
}

#[test]
fn login_asks_twice() {
    let asked = ["Username:", "Password:"];
    for (name, password, answer) in
        [("tim", "tanstaaftanstaaf", "OK tim"), ("tim", "", "WRONG"), ("x", "y", "WRONG")]
    {
        let heard = said(server::Login::default(), &[name, password]);
        assert_eq!((&heard[..2], heard[2].as_str()), (&asked.map(String::from)[..], answer));
    }
    assert_eq!(said(server::Login::default(), &[""])[1], "MALFORMED");
}

#[test]
fn tokens_of_rfc_7628_and_googles() {
    let bearer = || server::OAuthBearer::default();
    let refused = r#"{"status":"invalid_token","scope":"mail"}"#;
    for right in [
        "n,a=tim,\u{1}host=localhost\u{1}port=110\u{1}auth=Bearer t0ken\u{1}\u{1}",
        "y,,\u{1}auth=bEARER t0ken\u{1}\u{1}",
    ] {
        assert_eq!(said(bearer(), &[right]), ["OK tim"], "{right:?}");
    }
    for wrong in ["n,,\u{1}auth=Bearer other\u{1}\u{1}", "n,a=user,\u{1}auth=Bearer t0ken\u{1}\u{1}"] {
        for answer in ["\u{1}", "", "anything"] {
            assert_eq!(said(bearer(), &[wrong, answer]), [refused, "WRONG"]);
        }
    }
    for malformed in [
        "",
        "\u{1}",
        "n,,\u{1}\u{1}",
        "n,,\u{1}auth=Bearer t0ken\u{1}",
        "n,,auth=Bearer t0ken\u{1}\u{1}",
        "n,,\u{1}auth=Basic t0ken\u{1}\u{1}",
        "n,,\u{1}auth=Bearer \u{1}\u{1}",
        "n,,\u{1}auth=Bearer t0ken\u{1}auth=Bearer t0ken\u{1}\u{1}",
        "n,,\u{1}h0st=x\u{1}auth=Bearer t0ken\u{1}\u{1}",
        "p=tls-exporter,,\u{1}auth=Bearer t0ken\u{1}\u{1}",
    ] {
        assert_eq!(said(bearer(), &[malformed]), ["MALFORMED"], "{malformed:?}");
    }

    let google = || server::XOAuth2::default();
    assert_eq!(said(google(), &["user=tim\u{1}auth=Bearer t0ken\u{1}\u{1}"]), ["OK tim"]);
    let refused = r#"{"status":"401","schemes":"bearer","scope":"mail"}"#;
    assert_eq!(said(google(), &["user=tim\u{1}auth=Bearer x\u{1}\u{1}", ""]), [refused, "WRONG"]);
    for malformed in
        ["", "user=tim", "user=\u{1}auth=Bearer t0ken\u{1}\u{1}", "user=tim\u{1}auth=Bearer t0ken\u{1}"]
    {
        assert_eq!(said(google(), &[malformed]), ["MALFORMED"], "{malformed:?}");
    }
}

#[test]
fn certificates_and_nobody() {
    assert_eq!(said(server::External, &[""]), ["OK tim"]);
    assert_eq!(said(server::External, &["tim"]), ["OK tim"]);
    assert_eq!(said(server::External, &["user"]), ["OK user"]);
    assert_eq!(said(server::External, &["IX"]), ["WRONG"]);
    assert_eq!(said(server::Anonymous, &["sirhc"]), ["OK guest"]);
    assert_eq!(said(server::Anonymous, &[""]), ["OK guest"]);
    assert_eq!(said(server::Anonymous, &[&"\u{e9}".repeat(255)]), ["OK guest"]);
    assert_eq!(said(server::Anonymous, &[&"x".repeat(256)]), ["MALFORMED"]);
    assert_eq!(said(server::Anonymous, &["a\0b"]), ["MALFORMED"]);
}

#[test]
fn every_mechanism_but_gssapi_has_a_half() {
    for mechanism in Mechanism::ALL {
        let made = half(mechanism, &setting()).unwrap();
        assert_eq!(made.is_some(), mechanism != Mechanism::Gssapi, "{mechanism}");
        let faulty = half(mechanism, &setting().fault(Fault::OkEarly)).unwrap();
        assert_eq!(faulty.map(|half| half.speaks_first()), made.map(|half| half.speaks_first()));
    }
}

use proptest::prelude::*;

proptest! {
    #[test]
    fn no_response_makes_a_half_panic(
        responses in prop::collection::vec(
            prop::collection::vec(prop::sample::select(&b"n,y=pam\0\x01r=c:/ \"x9=\xc3\xa4u"[..]), 0..60),
            0..4,
        ),
        fault in prop::sample::select(vec![None, Some(Fault::OkEarly), Some(Fault::ShortNonce), Some(Fault::Endless)]),
    ) {
        for mechanism in Mechanism::ALL {
            let setting = match &fault {
                Some(fault) => setting().fault(fault.clone()),
                None => setting(),
            };
            let Some(mut half) = half(mechanism, &setting).unwrap() else { continue };
            half.respond(None, &Users);
            for response in &responses {
                half.respond(Some(response), &Users);
            }
        }
    }
}
