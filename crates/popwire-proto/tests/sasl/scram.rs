//! SCRAM: the published conversations, servers that do not know the password, and everything that a server can twist.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use popwire_proto::sasl::{
    Binding, BindingType, ChannelBinding, ClientMechanism, Error, Hash, Iterations, Nonce, Scram, Start,
};
use proptest::prelude::*;
use sha2::Sha256;

use super::exchange::{Said, Talk, challenge, line, says};

const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
const FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const SERVER_FIRST: &str =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const PROOF: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

fn made(hash: Hash, binding: Binding) -> Scram {
    Scram::new(hash, "user", "pencil", binding, Nonce::known(NONCE))
}

fn scram() -> Scram {
    made(Hash::Sha256, Binding::Unsupported)
}

/// One whose first message is out.
fn started() -> Scram {
    let mut scram = scram();
    scram.start().unwrap();
    scram
}

/// One whose proof is out.
fn proved() -> Scram {
    let mut scram = started();
    scram.respond(SERVER_FIRST.as_bytes()).unwrap();
    scram
}

/// A few iterations, for tests with many conversations.
fn few() -> Iterations {
    Iterations { least: 1, ..Iterations::default() }
}

fn start(mut scram: Scram) -> Result<String, Error> {
    match scram.start()? {
        Start::ClientFirst(message) => Ok(String::from_utf8(message.expose().to_vec()).unwrap()),
        Start::ServerFirst => panic!("the client speaks first"),
    }
}

/// What the server's first message comes to.
fn answer(server_first: impl AsRef<[u8]>) -> Result<String, Error> {
    let mut scram = started();
    let response = scram.respond(server_first.as_ref());
    assert!(!scram.is_done());
    assert_eq!(scram.has_proved(), response.is_ok());
    response.map(|response| String::from_utf8_lossy(response.expose()).into_owned())
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

/// The server's signature, computed here for itself.
fn signature(password: &str, salt: &[u8], iterations: u32, auth_message: &str) -> Vec<u8> {
    let mut salted = [0; 32];
    pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), salt, iterations, &mut salted);
    hmac(&hmac(&salted, b"Server Key"), auth_message.as_bytes())
}

/// Plays a whole conversation, line by line.
fn converse(scram: Scram, first: &str, server_first: &str, proof: &str, server_final: &str) {
    let name = scram.name().to_owned();
    let mut talk = Talk::announced(scram);
    assert_eq!(talk.auth, format!("AUTH {name} {}", STANDARD.encode(first)));
    assert_eq!(talk.hear(&challenge(server_first)), says(proof));
    assert_eq!(talk.hear(&challenge(server_final)), line(""));
    assert_eq!(talk.hear("+OK"), Said::Accepted);
}

#[test]
fn p_127_the_conversation_of_rfc_5802_section_5() {
    let nonce = Nonce::known("fyko+d2lbbFgONRv9qkxdawL");
    converse(
        Scram::new(Hash::Sha1, "user", "pencil", Binding::Unsupported, nonce),
        "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
        "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    );
}

#[test]
fn p_127_the_conversation_of_rfc_7677_section_3() {
    converse(scram(), FIRST, SERVER_FIRST, PROOF, SERVER_FINAL);
}

// Where no RFC has values, these were made with hashlib.pbkdf2_hmac and hmac of Python, by the formulas of RFC 5802 section
// 3; the same few lines give the two conversations above.

#[test]
fn p_127_a_conversation_with_sha_512() {
    converse(
        made(Hash::Sha512, Binding::Unsupported),
        FIRST,
        SERVER_FIRST,
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ==",
        "v=ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw==",
    );
}

#[test]
fn p_125_p_126_a_conversation_bound_by_the_exporter_in_another_name() {
    let data: Vec<u8> = (0..32).collect();
    let binding = Binding::Bound(ChannelBinding::new(BindingType::TlsExporter, data));
    converse(
        made(Hash::Sha256, binding).acting_as("root"),
        "p=tls-exporter,a=root,n=user,r=rOprNGfwEbeRWgbNEkqO",
        "r=rOprNGfwEbeRWgbNEkqOserver,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        "c=cD10bHMtZXhwb3J0ZXIsYT1yb290LAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f,r=rOprNGfwEbeRWgbNEkqOserver,p=lxKc0YQPfWsSMu0Uacu2EVu79DM16Nhi2C6UAObGmeM=",
        "v=uN4jpLMVo06AHWIwqgk0EtWTFR0no54WTCP0+R7sYk4=",
    );
}

#[test]
fn p_125_p_126_a_conversation_bound_by_the_certificate() {
    let binding = Binding::Bound(ChannelBinding::new(BindingType::TlsServerEndPoint, vec![7; 32]));
    converse(
        made(Hash::Sha1, binding),
        "p=tls-server-end-point,,n=user,r=rOprNGfwEbeRWgbNEkqO",
        "r=rOprNGfwEbeRWgbNEkqOserver,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=,r=rOprNGfwEbeRWgbNEkqOserver,p=Fy9ezeBOQ1bcffgoTWTWf1bru+g=",
        "v=ZkbGfDQCxRmNXjEBsir6Kr1FCko=",
    );
}

#[test]
fn p_125_a_conversation_that_could_have_been_bound() {
    converse(
        made(Hash::Sha256, Binding::NotOffered),
        "y,,n=user,r=rOprNGfwEbeRWgbNEkqO",
        "r=rOprNGfwEbeRWgbNEkqOserver,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        "c=eSws,r=rOprNGfwEbeRWgbNEkqOserver,p=fu3VOOi4nZaNvU929I24lf4X36NeuDKnq2ddnbIzk+c=",
        "v=BhFoDgQu/sfdVSrsc7YALW71jySwznoGs4h4atmUyDM=",
    );
}

#[test]
fn p_125_only_a_bound_one_is_plus() {
    for (hash, name) in
        [(Hash::Sha1, "SCRAM-SHA-1"), (Hash::Sha256, "SCRAM-SHA-256"), (Hash::Sha512, "SCRAM-SHA-512")]
    {
        assert_eq!(made(hash, Binding::Unsupported).name(), name);
        assert_eq!(made(hash, Binding::NotOffered).name(), name);
        let bound = Binding::Bound(ChannelBinding::new(BindingType::TlsExporter, vec![0; 32]));
        assert_eq!(made(hash, bound).name(), format!("{name}-PLUS"));
    }
}

#[test]
fn p_121_names_are_escaped_and_prepared() {
    for (user, authzid, message) in [
        ("a,b=c", "", "n,,n=a=2Cb=3Dc,r=x"),
        ("=2C", "", "n,,n==3D2C,r=x"),
        ("a", "b,=d", "n,a=b=2C=3Dd,n=a,r=x"),
        ("\u{2168}\u{ad}", "u\u{308}", "n,a=\u{fc},n=IX,r=x"),
        ("a b", "", "n,,n=a b,r=x"),
    ] {
        let scram = Scram::new(Hash::Sha1, user, "pencil", Binding::Unsupported, Nonce::known("x"));
        assert_eq!(start(scram.acting_as(authzid)).unwrap(), message);
    }
}

#[test]
fn p_121_a_nonce_has_enough_of_chance_and_never_comes_twice() {
    let mut seen = HashSet::new();
    for _ in 0..2000 {
        let nonce = Nonce::random().unwrap();
        let octets = nonce.as_bytes().to_vec();
        assert!(STANDARD.decode(&octets).unwrap().len() >= 18);
        assert!(octets.iter().all(|octet| octet.is_ascii_graphic() && *octet != b','));
        assert!(seen.insert(octets), "the same nonce again");
    }
    // Every place in it varies.
    for at in 0..24 {
        let distinct: HashSet<u8> = seen.iter().map(|octets| octets[at]).collect();
        assert!(distinct.len() > 32, "place {at}");
    }
}

#[test]
fn p_118_a_password_that_is_not_ascii_is_prepared() {
    let server_first = format!("r={NONCE}x,s=QUJD,i=1");
    let password = |password: &str| {
        let nonce = Nonce::known(NONCE);
        let mut scram =
            Scram::new(Hash::Sha256, "u", password, Binding::Unsupported, nonce).iterations(few());
        scram.start().unwrap();
        scram.respond(server_first.as_bytes()).unwrap().expose().to_vec()
    };
    assert_eq!(password("I\u{ad}X"), password("IX"));
    assert_eq!(password("\u{2168}"), password("IX"));
    assert_ne!(password("ix"), password("IX"));
}

#[test]
fn a_password_that_cannot_be_prepared_is_found_before_anything_is_sent() {
    let nonce = Nonce::known(NONCE);
    let scram = Scram::new(Hash::Sha1, "user", "a\x07b", Binding::Unsupported, nonce);
    assert_eq!(start(scram), Err(Error::Unpreparable));
}

#[test]
fn p_122_the_nonce_of_the_server_continues_ours() {
    for nonce in [
        "",
        "x",
        NONCE,
        "rOprNGfwEbeRWgbNEkq",
        "rOprNGfwEbeRWgbNEkqo%hvYDp",
        "ROprNGfwEbeRWgbNEkqO%hvYDp",
        " rOprNGfwEbeRWgbNEkqO%hvYDp",
        "%hvYDprOprNGfwEbeRWgbNEkqO",
    ] {
        let error = answer(format!("r={nonce},s=QUJD,i=4096")).unwrap_err();
        assert_eq!(error, Error::WrongNonce, "{nonce}");
        assert!(error.is_server_untrusted());
    }
    assert!(answer(format!("r={NONCE}0,s=QUJD,i=4096")).is_ok());
}

#[test]
fn p_122_a_mandatory_extension_ends_it() {
    for message in [
        format!("m=x,{SERVER_FIRST}"),
        format!("r={NONCE}x,m=x,s=QUJD,i=4096"),
        format!("r={NONCE}x,s=QUJD,m=,i=4096"),
        format!("{SERVER_FIRST},m=x"),
        format!("{SERVER_FIRST},x=1,m=x"),
    ] {
        assert_eq!(answer(&message), Err(Error::MandatoryExtension), "{message}");
    }
}

#[test]
fn p_122_an_unknown_optional_attribute_is_ignored_but_signed() {
    let server_first = format!("{SERVER_FIRST},x=1,Z=,q=a=b=c");
    let mut scram = started();
    let proof = scram.respond(server_first.as_bytes()).unwrap();
    let proof = String::from_utf8(proof.expose().to_vec()).unwrap();
    let (without, proof) = proof.rsplit_once(",p=").unwrap();
    assert!(!PROOF.ends_with(proof), "the attribute is part of what is signed");
    let bare = FIRST.strip_prefix("n,,").unwrap();
    let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    let signature = signature("pencil", &salt, 4096, &format!("{bare},{server_first},{without}"));
    let server_final = format!("v={},x=more", STANDARD.encode(signature));
    assert_eq!(scram.respond(server_final.as_bytes()).map(|last| last.is_empty()), Ok(true));
    assert!(scram.is_done());
}

#[test]
fn a_first_message_that_is_none_is_refused() {
    for message in [
        "",
        ",",
        "r",
        "=",
        "r=",
        "s=QUJD,r=rOprNGfwEbeRWgbNEkqOx,i=4096",
        "r=rOprNGfwEbeRWgbNEkqOx",
        "r=rOprNGfwEbeRWgbNEkqOx,s=QUJD",
        "r=rOprNGfwEbeRWgbNEkqOx,i=4096,s=QUJD",
        "r=rOprNGfwEbeRWgbNEkqOx,s=,i=4096",
        "r=rOprNGfwEbeRWgbNEkqOx,s=QUJ,i=4096",
        "r=rOprNGfwEbeRWgbNEkqOx,s=QU D,i=4096",
        "r=rOprNGfwEbeRWgbNEkqOx,s=QR==,i=4096",
        "r=rOprNGfwEbeRWgbNEkqOx,s=QUJD,i=",
        "r=rOprNGfwEbeRWgbNEkqOx,s=QUJD,i=-4096",
        "r=rOprNGfwEbeRWgbNEkqOx,s=QUJD,i=+4096",
        "r=rOprNGfwEbeRWgbNEkqOx,s=QUJD,i= 4096",
        "r=rOprNGfwEbeRWgbNEkqOx,s=QUJD,i=4096 ",
        "r=rOprNGfwEbeRWgbNEkqOx,s=QUJD,i=04096",
        "r=rOprNGfwEbeRWgbNEkqOx,s=QUJD,i=0x1000",
        "r=rOprNGfwEbeRWgbNEkqOx,s=QUJD,i=4096.0",
        "r=rOprNGfwEbeRWgbNEkqOx,s=QUJD,i=\u{664}\u{660}\u{669}\u{666}",
        "r=rOprNGfwEbeRWgbNEkqOx,,s=QUJD,i=4096",
        "R=rOprNGfwEbeRWgbNEkqOx,S=QUJD,I=4096",
        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ] {
        assert!(matches!(answer(message), Err(Error::BadChallenge(_) | Error::WrongNonce)), "{message}");
    }
}

#[test]
fn p_123_counts_outside_of_the_bounds_are_refused_at_once() {
    let huge = "9".repeat(100);
    let begin = Instant::now();
    for (asked, known) in [
        ("0", 0),
        ("1", 1),
        ("4095", 4095),
        ("10000001", 10_000_001),
        ("1000000000", 1_000_000_000),
        ("4294967295", u64::from(u32::MAX)),
        // What would be 4096 if 32 or 64 bits were all that was looked at.
        ("4294971392", (1 << 32) + 4096),
        ("18446744073709555712", u64::MAX),
        ("18446744073709551615", u64::MAX),
        ("18446744073709551616", u64::MAX),
        (huge.as_str(), u64::MAX),
    ] {
        let error = answer(format!("r={NONCE}x,s=QUJD,i={asked}")).unwrap_err();
        assert_eq!(error, Error::Iterations { asked: known, allowed: (4096, 10_000_000) }, "{asked}");
        assert!(error.is_server_untrusted());
    }
    assert!(begin.elapsed() < Duration::from_secs(2), "something was computed: {:?}", begin.elapsed());
    assert!(answer(format!("r={NONCE}x,s=QUJD,i=4096")).is_ok());
}

#[test]
fn p_123_the_bounds_can_be_set() {
    let asked = |least, most, asked: u32| {
        let mut scram = scram().iterations(Iterations { least, most });
        scram.start().unwrap();
        scram.respond(format!("r={NONCE}x,s=QUJD,i={asked}").as_bytes()).map(|_| ())
    };
    let refused = |least, most, asked| Err(Error::Iterations { asked, allowed: (least, most) });
    assert_eq!(asked(1, 100, 1), Ok(()));
    assert_eq!(asked(1, 100, 100), Ok(()));
    assert_eq!(asked(1, 100, 101), refused(1, 100, 101));
    assert_eq!(asked(5000, 6000, 4999), refused(5000, 6000, 4999));
    assert_eq!(asked(5000, 6000, 5000), Ok(()));
    assert_eq!(asked(0, 100, 0), refused(0, 100, 0), "no iterations are no work at all");
    assert_eq!(asked(6000, 5000, 5500), refused(6000, 5000, 5500));
}

#[test]
fn p_124_without_the_right_signature_it_is_never_done() {
    let right = STANDARD.decode(&SERVER_FINAL[2..]).unwrap();
    let sha1_long = STANDARD.encode(&right[..20]);
    let encoded = &SERVER_FINAL[2..];
    let mut wrong: Vec<String> = [
        "",
        "v",
        "v=",
        "=",
        ",",
        "v==",
        "V=",
        "x=1",
        "n=user",
        "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    ]
    .map(String::from)
    .to_vec();
    wrong.extend([
        encoded.to_owned(),
        format!("V={encoded}"),
        format!("v= {encoded}"),
        format!("v={encoded} "),
        format!("v={encoded}\0"),
        format!("v={encoded}\n"),
        format!(" v={encoded}"),
        format!(",v={encoded}"),
        format!("x=1,v={encoded}"),
        format!("m=1,v={encoded}"),
        format!("v=,v={encoded}"),
        format!("v={}", encoded.trim_end_matches('=')),
        format!("v={encoded}="),
        format!("v={sha1_long}"),
        format!("v={}", STANDARD.encode(&right[..31])),
        format!("v={}", STANDARD.encode([right.as_slice(), &[0]].concat())),
        format!("v={}", STANDARD.encode([right.as_slice(), right.as_slice()].concat())),
        format!("v={}", STANDARD.encode([0; 32])),
        format!("v={}", STANDARD.encode([0; 64])),
        format!("v={}", encoded.to_ascii_lowercase()),
        SERVER_FIRST.to_owned(),
        PROOF.replace("p=", "v="),
    ]);
    for message in wrong {
        let mut scram = proved();
        assert_eq!(scram.respond(message.as_bytes()).err(), Some(Error::WrongServerProof), "{message:?}");
        assert!(!scram.is_done(), "{message:?}");
        assert!(scram.respond(SERVER_FINAL.as_bytes()).is_err(), "a second try");
        assert!(!scram.is_done());

        let mut talk = Talk::announced(self::scram());
        talk.hear(&challenge(SERVER_FIRST));
        assert_eq!(talk.hear(&challenge(&message)), line("*"), "{message:?}");
        assert_eq!(talk.hear("+OK"), Said::Failed(Error::WrongServerProof), "{message:?}");
    }
    assert!(Error::WrongServerProof.is_server_untrusted());
}

#[test]
fn p_124_a_server_that_sends_our_own_message_back_is_not_trusted() {
    let mut talk = Talk::announced(scram());
    assert_eq!(talk.hear(&challenge(SERVER_FIRST)), says(PROOF));
    assert_eq!(talk.hear(&challenge(PROOF)), line("*"));
    assert_eq!(talk.hear("-ERR"), Said::Failed(Error::WrongServerProof));
    let mut talk = Talk::announced(scram());
    assert_eq!(talk.hear(&challenge(FIRST)), line("*"));
    assert!(matches!(talk.hear("-ERR"), Said::Failed(Error::BadChallenge(_))));
}

#[test]
fn p_124_the_word_of_the_server_for_a_failure_is_kept() {
    for message in ["e=invalid-proof", "e=invalid-proof,v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="] {
        let mut scram = proved();
        let Err(Error::Server(words)) = scram.respond(message.as_bytes()) else { panic!("{message}") };
        assert_eq!(words.as_bytes(), b"invalid-proof");
        assert!(!scram.is_done());
    }
    let Err(Error::Server(words)) = answer("e=unknown-user") else { panic!() };
    assert_eq!(words.as_bytes(), b"unknown-user");
    let Err(Error::Server(words)) = answer(format!("e={}", "x".repeat(50_000))) else { panic!() };
    assert!(words.as_bytes().len() <= 1000, "an error is no place for all of that");
}

#[test]
fn p_124_after_the_proof_was_refused_in_a_challenge_it_still_was_handed_out() {
    let mut scram = proved();
    assert!(scram.has_proved());
    assert!(matches!(scram.respond(b"e=invalid-proof"), Err(Error::Server(_))));
    assert!(scram.has_proved(), "the server could tell that the password is wrong");
    // Where none was made, there is none.
    let mut scram = started();
    assert!(scram.respond(b"e=other-error").is_err());
    assert!(!scram.has_proved());
}

#[test]
fn a_machine_that_is_at_its_end_says_nothing_more() {
    let mut scram = proved();
    assert!(scram.respond(SERVER_FINAL.as_bytes()).unwrap().is_empty());
    assert!(scram.is_done());
    assert_eq!(scram.respond(SERVER_FINAL.as_bytes()).err(), Some(Error::UnexpectedChallenge));
    assert_eq!(self::scram().respond(SERVER_FIRST.as_bytes()).err(), Some(Error::UnexpectedChallenge));
}

#[test]
fn p_124_the_signature_of_another_conversation_is_worth_nothing() {
    let mut scram = started();
    scram.respond(format!("r={NONCE}other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096").as_bytes()).unwrap();
    assert_eq!(scram.respond(SERVER_FINAL.as_bytes()).err(), Some(Error::WrongServerProof));
}

#[test]
fn p_124_a_server_that_knows_another_password_proves_nothing() {
    let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    let (without, _) = PROOF.rsplit_once(",p=").unwrap();
    let auth_message = format!("n=user,r={NONCE},{SERVER_FIRST},{without}");
    for (password, right) in [("pencil", true), ("Pencil", false), ("", false), ("pencil ", false)] {
        let mut scram = proved();
        let word = STANDARD.encode(signature(password, &salt, 4096, &auth_message));
        assert_eq!(scram.respond(format!("v={word}").as_bytes()).is_ok(), right, "{password}");
        assert_eq!(scram.is_done(), right);
    }
}

#[test]
fn no_bit_of_the_first_message_of_the_server_can_be_turned_unseen() {
    let mut accepted = 0;
    for at in 0..SERVER_FIRST.len() {
        for bit in 0..8 {
            let mut turned = SERVER_FIRST.as_bytes().to_vec();
            turned[at] ^= 1 << bit;
            let mut scram = started();
            let Ok(response) = scram.respond(&turned) else {
                assert!(!scram.has_proved());
                continue;
            };
            accepted += 1;
            let response = response.expose();
            let proof = &response[response.len() - 44..];
            assert!(!PROOF.as_bytes().ends_with(proof), "{at} {bit}: the same proof");
            assert_eq!(scram.respond(SERVER_FINAL.as_bytes()).err(), Some(Error::WrongServerProof));
            assert!(!scram.is_done());
        }
    }
    assert!(accepted > 100, "nothing was tried: {accepted}");
}

#[test]
fn no_bit_of_our_part_of_the_nonce_and_of_the_names_of_attributes_can_be_turned() {
    let ours = 0..2 + NONCE.len();
    let others = [",s=", ",i="].into_iter().flat_map(|name| {
        let at = SERVER_FIRST.find(name).unwrap();
        at + 1..at + 3
    });
    for at in ours.chain(others) {
        for bit in 0..8 {
            let mut turned = SERVER_FIRST.as_bytes().to_vec();
            turned[at] ^= 1 << bit;
            assert!(answer(&turned).is_err(), "{at} {bit}");
        }
    }
}

#[test]
fn no_bit_of_the_last_message_of_the_server_can_be_turned() {
    for at in 0..SERVER_FINAL.len() {
        for bit in 0..8 {
            let mut turned = SERVER_FINAL.as_bytes().to_vec();
            turned[at] ^= 1 << bit;
            let mut scram = proved();
            assert!(scram.respond(&turned).is_err(), "{at} {bit}");
            assert!(!scram.is_done(), "{at} {bit}");
        }
    }
}

#[test]
fn no_part_of_the_last_message_of_the_server_is_enough() {
    for length in 0..SERVER_FINAL.len() {
        let mut scram = proved();
        assert!(scram.respond(&SERVER_FINAL.as_bytes()[..length]).is_err(), "{length}");
        assert!(!scram.is_done());
    }
}

/// Messages that look much like SCRAM's, and some that do not.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just(SERVER_FINAL.as_bytes().to_vec()),
        Just(b"v=".to_vec()),
        Just(b"e=".to_vec()),
        Just(format!("r={NONCE}").into_bytes()),
        Just(b",s=QUJD".to_vec()),
        Just(b",i=4".to_vec()),
        Just(b",".to_vec()),
        Just(b"m=".to_vec()),
        prop::collection::vec(any::<u8>(), 0..12),
        prop::collection::vec(prop::sample::select(&b"aA=+/0,9"[..]), 0..48),
    ];
    prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn no_challenges_at_all_make_it_done(messages in prop::collection::vec(message(), 0..5)) {
        let mut scram = scram().iterations(few());
        scram.start().unwrap();
        for message in messages {
            let _ = scram.respond(&message);
            prop_assert!(!scram.is_done());
        }
    }

    #[test]
    fn no_answer_to_a_proof_but_the_right_one_makes_it_done(messages in prop::collection::vec(message(), 1..3)) {
        let mut scram = scram().iterations(few());
        scram.start().unwrap();
        scram.respond(format!("r={NONCE}x,s=QUJD,i=1").as_bytes()).unwrap();
        for message in messages {
            prop_assert!(scram.respond(&message).is_err());
            prop_assert!(!scram.is_done());
        }
    }

    #[test]
    fn a_server_that_knows_the_password_is_always_believed(
        password in "[ -~]{0,20}",
        salt in prop::collection::vec(any::<u8>(), 1..40),
        iterations in 1_u32..20,
        added in "[!-+--~]{1,20}",
    ) {
        let nonce = Nonce::known(NONCE);
        let mut scram =
            Scram::new(Hash::Sha256, "user", password.as_str(), Binding::Unsupported, nonce).iterations(few());
        scram.start().unwrap();
        let server_first = format!("r={NONCE}{added},s={},i={iterations}", STANDARD.encode(&salt));
        scram.respond(server_first.as_bytes()).unwrap();
        let message = format!("n=user,r={NONCE},{server_first},c=biws,r={NONCE}{added}");
        let word = STANDARD.encode(signature(&password, &salt, iterations, &message));
        let server_final = format!("v={word}");
        prop_assert!(scram.respond(server_final.as_bytes()).is_ok());
        prop_assert!(scram.is_done());
    }
}
