//! AUTH: the client's machines against servers that say anything, the server's against clients that do, and both
//! together.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use popwire_proto::sasl::server::{self, Directory, ServerMechanism, Setting, Turn as ServerTurn};
use popwire_proto::sasl::{
    Anonymous, Binding, BindingType, ChannelBinding, ClientMechanism, CramMd5, DigestMd5, Exchange, External,
    Hash, Iterations, Login, Mechanism, Nonce, Ntlm, OAuthBearer, Plain, Scram, Turn, XOAuth2,
};
use popwire_proto::{Client, Limits, Secret};

use crate::Choices;

const PASSWORD: &str = "pencil of mine";
const NOW: Duration = Duration::from_secs(1_700_000_000);

struct Users;

impl Directory for Users {
    fn password(&self, user: &[u8]) -> Option<Secret> {
        (user == b"tim").then(|| PASSWORD.into())
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
}

fn bound() -> ChannelBinding {
    ChannelBinding::new(BindingType::TlsExporter, "exported keying material")
}

/// The client's half. `None` for GSSAPI, which has a crate of its own.
fn client_half(mechanism: Mechanism) -> Option<Box<dyn ClientMechanism>> {
    let nonce = || Nonce::known("fyko+d2lbbFgONRv9qkxdawL");
    let scram = |hash, binding| {
        let scram = Scram::new(hash, "tim", PASSWORD, binding, nonce());
        Some(Box::new(scram.iterations(Iterations { least: 1, most: 64 })) as Box<dyn ClientMechanism>)
    };
    let bound = || Binding::Bound(bound());
    Some(match mechanism {
        Mechanism::Plain => Box::new(Plain::new("tim", PASSWORD)),
        Mechanism::Login => Box::new(Login::new("tim", PASSWORD)),
        Mechanism::CramMd5 => Box::new(CramMd5::new("tim", PASSWORD)),
        Mechanism::DigestMd5 => Box::new(DigestMd5::new("tim", PASSWORD, "pop.example.org", nonce())),
        Mechanism::External => Box::new(External::new()),
        Mechanism::Anonymous => Box::new(Anonymous::new("trace")),
        Mechanism::OAuthBearer => Box::new(OAuthBearer::new("tim", "t0ken")),
        Mechanism::XOAuth2 => Box::new(XOAuth2::new("tim", "t0ken")),
        Mechanism::Ntlm => Box::new(Ntlm::new("tim", PASSWORD, nonce(), NOW)),
        Mechanism::ScramSha1 => return scram(Hash::Sha1, Binding::Unsupported),
        Mechanism::ScramSha256 => return scram(Hash::Sha256, Binding::Unsupported),
        Mechanism::ScramSha512 => return scram(Hash::Sha512, Binding::Unsupported),
        Mechanism::ScramSha1Plus => return scram(Hash::Sha1, bound()),
        Mechanism::ScramSha256Plus => return scram(Hash::Sha256, bound()),
        Mechanism::ScramSha512Plus => return scram(Hash::Sha512, bound()),
        _ => return None,
    })
}

fn server_half(mechanism: Mechanism) -> Option<Box<dyn ServerMechanism>> {
    let setting = Setting::new("pop.example.org", NOW).bindings(vec![bound()]).iterations(4);
    server::mechanism(mechanism, &setting).unwrap()
}

fn any_mechanism(choices: &mut Choices<'_>) -> Mechanism {
    Mechanism::ALL[choices.below(Mechanism::ALL.len())]
}

/// Whatever a server answers within AUTH, the client ends the exchange after so many challenges; it believes a `+OK` only
/// when the mechanism has all that it wants; and a mechanism in which the server has to prove that it knows the password
/// accepts no server that does not.
pub fn sasl_client(data: &[u8]) {
    let mut choices = Choices(data);
    let mechanism = any_mechanism(&mut choices);
    let announced = choices.octet() & 1 == 1;
    let Some(half) = client_half(mechanism) else { return };
    let Ok((mut exchange, auth)) = Exchange::begin(half, announced, &Limits::default()) else { return };
    let mut client = Client::new(Limits::default());
    let mut wire = choices.rest();
    let mut read = |client: &mut Client| loop {
        match client.reply() {
            Ok(Some(reply)) => return Some(reply),
            Ok(None) => {
                let space = client.space();
                let octets = wire.len().min(space.len());
                space[..octets].copy_from_slice(&wire[..octets]);
                client.filled(octets);
                wire = &wire[octets..];
            }
            Err(_) => return None,
        }
    };
    let greeting = b"+OK\r\n";
    client.space()[..greeting.len()].copy_from_slice(greeting);
    client.filled(greeting.len());
    client.reply().unwrap().unwrap();
    if client.submit(&auth).is_err() {
        return;
    }
    for turn in 0.. {
        assert!(turn <= 130, "it goes on for ever");
        let Some(reply) = read(&mut client) else { return };
        let line = match exchange.hear(&reply) {
            Turn::Send(line) => line,
            Turn::SendAfterOk(line) => {
                client.take_for_challenge().unwrap();
                line
            }
            Turn::Accepted => {
                let proves = ["SCRAM", "DIGEST"].iter().any(|name| mechanism.name().starts_with(name));
                assert!(!proves, "{mechanism} accepted a server that knows nothing");
                return;
            }
            _ => return,
        };
        // What came with the challenge breaks the session: that is an end, too.
        if client.submit(&line).is_err() {
            return;
        }
    }
}

/// Whatever a client answers within AUTH, the server's half ends, and lets nobody in who did not show the password, the
/// token or the certificate.
pub fn sasl_server(data: &[u8]) {
    let mut choices = Choices(data);
    let mechanism = any_mechanism(&mut choices);
    let Some(mut half) = server_half(mechanism) else { return };
    let mut said = Vec::new();
    let mut turn = half.speaks_first().then(|| half.respond(None, &Users));
    for _ in 0..8 {
        match turn {
            Some(ServerTurn::Accept(user)) => {
                let heard: &[u8] = &said;
                let shown = |secret: &[u8]| heard.windows(secret.len()).any(|window| window == secret);
                match mechanism {
                    Mechanism::Anonymous => assert_eq!(user, b"guest"),
                    Mechanism::External => assert_eq!(user, b"tim"),
                    Mechanism::Plain | Mechanism::Login => assert!(shown(PASSWORD.as_bytes())),
                    Mechanism::OAuthBearer | Mechanism::XOAuth2 => assert!(shown(b"t0ken")),
                    _ => panic!("{mechanism} let in somebody who guessed"),
                }
                return;
            }
            Some(ServerTurn::Refuse(_)) => return,
            Some(ServerTurn::Challenge(_)) | None => {
                let response = choices.short();
                said.extend_from_slice(response);
                turn = Some(half.respond(Some(response), &Users));
            }
        }
    }
}

/// Both halves together come to an agreement, however the client's initial response travels; and never when one octet of
/// one line is changed on the way in a mechanism that would notice.
pub fn sasl_pair(data: &[u8]) {
    let mut choices = Choices(data);
    let mechanism = any_mechanism(&mut choices);
    let (turn_to_change, place, mask) = (choices.below(4), choices.below(256), choices.octet());
    let (Some(mut client), Some(mut server)) = (client_half(mechanism), server_half(mechanism)) else {
        return;
    };
    let Ok(start) = client.start() else { panic!("{mechanism} does not start") };
    let mut response = match start {
        popwire_proto::sasl::Start::ServerFirst => None,
        popwire_proto::sasl::Start::ClientFirst(response) => Some(response.expose().to_vec()),
    };
    let mut changed = false;
    for turn in 0..8 {
        if let Some(response) = &mut response
            && turn == turn_to_change
            && mask != 0
            && !response.is_empty()
        {
            let at = place % response.len();
            response[at] ^= mask;
            changed = true;
        }
        match server.respond(response.as_deref(), &Users) {
            ServerTurn::Accept(user) => {
                if !changed {
                    assert!(client.is_done(), "{mechanism}");
                    assert!(user == b"tim" || user == b"guest");
                }
                return;
            }
            ServerTurn::Refuse(why) => {
                assert!(changed, "{mechanism}: {why:?}");
                return;
            }
            ServerTurn::Challenge(challenge) => {
                // As it would go over the wire, so that what cannot be encoded is found.
                let challenge = STANDARD.decode(STANDARD.encode(challenge)).unwrap();
                match client.respond(&challenge) {
                    Ok(answer) => response = Some(answer.expose().to_vec()),
                    Err(error) => {
                        assert!(changed, "{mechanism}: {error}");
                        return;
                    }
                }
            }
        }
    }
    assert!(changed, "{mechanism} does not end");
}
