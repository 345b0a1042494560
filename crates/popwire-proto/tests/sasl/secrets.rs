//! What nobody is to see: no secret shows in what a public type prints of itself, in whatever form.

use std::fmt::{Debug, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use popwire_proto::sasl::{
    Binding, BindingType, ChannelBinding, ClientMechanism, CramMd5, Exchange, Hash, Login, Nonce, Ntlm,
    OAuthBearer, Plain, Scram, Start, Turn, XOAuth2,
};
use popwire_proto::{Client, Limits, Secret};

/// Password and token of all these exchanges.
const SECRET: &str = "walrus-Pencil.7/42+x";

/// Every form in which octets could be shown.
fn forms(secret: &[u8]) -> Vec<String> {
    let hex: String = secret.iter().fold(String::new(), |mut hex, octet| {
        write!(hex, "{octet:02x}").unwrap();
        hex
    });
    let list = format!("{secret:?}");
    let mut forms = vec![
        String::from_utf8_lossy(secret).into_owned(),
        secret.escape_ascii().to_string(),
        hex.to_uppercase(),
        hex,
        list[1..list.len() - 1].to_owned(),
    ];
    // Base64 of a text that has the secret somewhere: what is whole of it at each of the three offsets.
    for offset in 0..3 {
        let text = [&b"\0\0"[..offset], secret].concat();
        let encoded = STANDARD_NO_PAD.encode(&text);
        let begin = [0, 2, 3][offset];
        let end = text.len() / 3 * 4;
        forms.push(encoded[begin..end].to_owned());
    }
    forms
}

#[track_caller]
fn assert_hidden(shown: &str, secrets: &[Vec<u8>], what: &str) {
    for form in secrets.iter().filter(|secret| secret.len() > 5).flat_map(|secret| forms(secret)) {
        assert!(form.len() > 5);
        assert!(!shown.contains(&form), "{what} shows {form}: {shown}");
    }
}

/// As it prints itself, on one line and on many.
fn shown(value: &impl Debug) -> String {
    format!("{value:?}\n{value:#?}")
}

#[test]
fn p_133_the_forms_that_are_looked_for_are_the_ones_that_would_show() {
    for offset in 0..6 {
        let text = [&b"abcdef"[..offset], SECRET.as_bytes(), b"end"].concat();
        let encoded = STANDARD.encode(&text);
        assert!(forms(SECRET.as_bytes()).iter().any(|form| encoded.contains(form.as_str())), "{encoded}");
        let list = format!("{text:?}");
        assert!(forms(SECRET.as_bytes()).iter().any(|form| list.contains(form.as_str())), "{list}");
    }
}

type Make = Box<dyn Fn() -> Box<dyn ClientMechanism>>;

/// Each mechanism with the challenges it is played.
fn all() -> Vec<(Make, Vec<Vec<u8>>)> {
    let first = b"r=rOprNGfwEbeRWgbNEkqO%hvYDp,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096".to_vec();
    let last = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=".to_vec();
    let failure = format!(r#"{{"status":"401","scope":"{SECRET}"}}"#).into_bytes();
    let binding = || Binding::Bound(ChannelBinding::new(BindingType::TlsExporter, SECRET.as_bytes()));
    let nonce = || Nonce::known("rOprNGfwEbeRWgbNEkqO");
    vec![
        (Box::new(|| Box::new(Plain::new("tim", SECRET))), vec![vec![]]),
        (Box::new(|| Box::new(Login::new("tim", SECRET))), vec![vec![], vec![], vec![]]),
        (Box::new(|| Box::new(CramMd5::new("tim", SECRET))), vec![b"<1@x>".to_vec(), vec![]]),
        (
            Box::new(move || Box::new(Scram::new(Hash::Sha256, "tim", SECRET, binding(), nonce()))),
            vec![first, last],
        ),
        (Box::new(|| Box::new(OAuthBearer::new("tim", SECRET))), vec![failure.clone(), failure.clone()]),
        (Box::new(|| Box::new(XOAuth2::new("tim", SECRET))), vec![vec![], failure.clone(), failure]),
        (
            Box::new(|| {
                let now = std::time::Duration::from_secs(1_700_000_000);
                Box::new(Ntlm::new("tim", SECRET, Nonce::known([0xaa; 8]), now))
            }),
            vec![vec![], b"no message".to_vec()],
        ),
    ]
}

#[test]
fn p_133_mechanisms_do_not_show_the_password_at_any_point() {
    fn check<M: ClientMechanism + Debug>(mut mechanism: M, challenges: &[&[u8]]) {
        let mut secrets = vec![SECRET.as_bytes().to_vec()];
        let name = mechanism.name().to_owned();
        assert_hidden(&shown(&mechanism), &secrets, &name);
        let start = mechanism.start().unwrap();
        if let Start::ClientFirst(message) = &start {
            secrets.push(message.expose().to_vec());
        }
        assert_hidden(&shown(&start), &secrets, &name);
        assert_hidden(&shown(&mechanism), &secrets, &name);
        for challenge in challenges {
            let answer = mechanism.respond(challenge);
            if let Ok(response) = &answer {
                secrets.push(response.expose().to_vec());
            }
            assert_hidden(&shown(&answer), &secrets, &name);
            assert_hidden(&answer.map_or_else(|e| e.to_string(), |_| String::new()), &secrets, &name);
            assert_hidden(&shown(&mechanism), &secrets, &name);
            assert_hidden(&shown(&mechanism.failure()), &secrets, &name);
        }
        assert!(secrets.len() > 1, "{name} said nothing");
    }
    let first = b"r=nonce-of-both,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    let failure = format!(r#"{{"status":"{SECRET}"}}"#);
    check(Plain::new("tim", SECRET), &[b""]);
    check(Login::new("tim", SECRET), &[b"", b"", b""]);
    check(CramMd5::new("tim", SECRET), &[b"<1@x>", b"<1@x>"]);
    check(OAuthBearer::new("tim", SECRET).at("host", 1), &[failure.as_bytes(), failure.as_bytes()]);
    check(XOAuth2::new("tim", SECRET), &[failure.as_bytes(), b"x"]);
    for hash in [Hash::Sha1, Hash::Sha256, Hash::Sha512] {
        let binding = Binding::Bound(ChannelBinding::new(BindingType::TlsExporter, SECRET.as_bytes()));
        let scram = Scram::new(hash, "tim", SECRET, binding, Nonce::known("nonce-of"));
        check(scram, &[first, b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", b"x"]);
        let scram = Scram::new(hash, "tim", SECRET, Binding::Unsupported, Nonce::known("nonce-of"));
        check(scram, &[b"r=nonce-of-both,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1"]);
    }
}

#[test]
fn p_133_no_line_of_an_exchange_is_shown_by_what_carries_it() {
    for (make, challenges) in all() {
        for announced in [true, false] {
            let mut client = Client::new(Limits::default());
            let mut secrets = vec![SECRET.as_bytes().to_vec()];
            let (mut exchange, auth) = Exchange::begin(make(), announced, client.limits()).unwrap();
            let name = String::from_utf8(auth.mechanism.clone()).unwrap();
            secrets.extend(auth.initial.iter().map(|initial| initial.expose().to_vec()));
            assert_hidden(&shown(&auth), &secrets, &name);

            feed(&mut client, b"+OK ready\r\n");
            client.reply().unwrap().unwrap();
            let submitted = client.submit(&auth).unwrap();
            assert_hidden(&format!("{submitted} {submitted:?}"), &secrets, &name);
            assert_hidden(&shown(&client), &secrets, &name);
            let length = client.unsent().len();
            client.sent(length);

            let empty = if announced { None } else { Some(Vec::new()) };
            for challenge in empty.iter().chain(&challenges) {
                // What the server says within an exchange is as secret as what is said to it.
                let encoded = STANDARD.encode(challenge);
                secrets.push(challenge.clone());
                secrets.push(encoded.clone().into_bytes());
                feed(&mut client, format!("+ {encoded}\r\n").as_bytes());
                assert_hidden(&shown(&client), &secrets, &name);
                let reply = client.reply().unwrap().unwrap();
                assert_hidden(&format!("{reply} {}", shown(&reply)), &secrets, &name);
                let turn = exchange.hear(&reply);
                let Turn::Send(command) = &turn else { panic!("{name}: {turn:?}") };
                if command.response.expose() != b"*" {
                    secrets.push(command.response.expose().to_vec());
                    secrets.push(STANDARD.decode(command.response.expose()).unwrap());
                }
                assert_hidden(&shown(&turn), &secrets, &name);
                assert_hidden(&shown(&exchange), &secrets, &name);
                let submitted = client.submit(command).unwrap();
                assert_hidden(&format!("{submitted} {submitted:?}"), &secrets, &name);
                assert_hidden(&shown(&client), &secrets, &name);
                let length = client.unsent().len();
                client.sent(length);
                assert_hidden(&shown(&client), &secrets, &name);
                if command.response.expose() == b"*" {
                    break;
                }
            }
            feed(&mut client, b"-ERR no\r\n");
            let turn = exchange.hear(&client.reply().unwrap().unwrap());
            let words = match &turn {
                Turn::Failed(why) => why.to_string(),
                _ => String::new(),
            };
            assert_hidden(&format!("{words} {}", shown(&turn)), &secrets, &name);
            assert_hidden(&shown(&exchange.failure()), &secrets, &name);
        }
    }
}

fn feed(client: &mut Client, octets: &[u8]) {
    client.space()[..octets.len()].copy_from_slice(octets);
    client.filled(octets.len());
}

#[test]
fn p_133_bindings_nonces_and_secrets_show_nothing() {
    let secrets = [SECRET.as_bytes().to_vec()];
    let bound = ChannelBinding::new(BindingType::TlsServerEndPoint, SECRET.as_bytes());
    assert_hidden(&shown(&bound), &secrets, "ChannelBinding");
    assert_hidden(&shown(&Binding::Bound(bound)), &secrets, "Binding");
    assert_hidden(&shown(&Nonce::known(SECRET)), &secrets, "Nonce");
    assert_hidden(&shown(&Secret::from(SECRET)), &secrets, "Secret");
    assert_hidden(&shown(&Start::ClientFirst(SECRET.into())), &secrets, "Start");
}

#[test]
fn p_133_a_server_that_repeats_the_response_is_not_quoted() {
    let response = STANDARD.encode(format!("\0tim\0{SECRET}"));
    for answer in [
        format!("-ERR bad line: AUTH PLAIN {response}"),
        format!("-ERR the password {SECRET} is wrong"),
        format!("+OK {SECRET}"),
        format!("+ {response}"),
    ] {
        let mut client = Client::new(Limits::default());
        let plain = Box::new(Plain::new("tim", SECRET));
        let (mut exchange, auth) = Exchange::begin(plain, true, client.limits()).unwrap();
        feed(&mut client, b"+OK ready\r\n");
        client.reply().unwrap().unwrap();
        client.submit(&auth).unwrap();
        feed(&mut client, format!("{answer}\r\n").as_bytes());
        let reply = client.reply().unwrap().unwrap();
        let secrets = [SECRET.as_bytes().to_vec(), response.clone().into_bytes()];
        assert_hidden(&format!("{reply} {}", shown(&reply)), &secrets, &answer);
        assert_hidden(&shown(&exchange.hear(&reply)), &secrets, &answer);
    }
}
