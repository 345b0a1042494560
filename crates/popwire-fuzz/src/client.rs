//! The client machine and what it makes of a server's answers.

use popwire_proto::command::{
    AuthListCommand, CapaCommand, LangListCommand, LastCommand, ListCommand, ListOneCommand, NoopCommand,
    RawCommand, RetrCommand, StatCommand, TopCommand, UidlCommand, UidlOneCommand,
};
use popwire_proto::{Body, Client, Command, End, Error, Limits, MessageNumber, Reply};

use crate::Choices;

/// Small enough that the limits are met, large enough that much gets through.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.response_line = 64;
    limits.challenge_line = 128;
    limits.listing_octets = 512;
    limits.listing_entries = 16;
    limits.capability_lines = 8;
    limits.message_octets = 2048;
    limits.discard = 256;
    limits.receive_buffer = 1024;
    limits
}

const ONE: MessageNumber = 1;

/// Puts as much as there is room for into the machine; the end of the input is the end of the connection.
fn feed(client: &mut Client, wire: &mut &[u8], most: usize) {
    let space = client.space();
    let octets = wire.len().min(space.len()).min(most.max(1));
    space[..octets].copy_from_slice(&wire[..octets]);
    client.filled(octets);
    *wire = &wire[octets..];
}

/// The next reply, fed in pieces.
fn reply(client: &mut Client, wire: &mut &[u8], piece: usize) -> Result<Reply, Error> {
    loop {
        if let Some(reply) = client.reply()? {
            return Ok(reply);
        }
        feed(client, wire, piece);
    }
}

/// The whole message, fed in pieces.
fn message(client: &mut Client, wire: &mut &[u8], piece: usize) -> Result<(Vec<u8>, End), Error> {
    let mut whole = Vec::new();
    loop {
        let octets = match client.body()? {
            Body::Chunk(chunk) => {
                whole.extend_from_slice(chunk);
                chunk.len()
            }
            Body::NeedMore => 0,
            Body::End(end) => return Ok((whole, end)),
        };
        client.consume(octets);
        if octets == 0 {
            feed(client, wire, piece);
        }
    }
}

/// A status line is read or refused; its code and its text are parts of it, and it can be shown.
pub fn status(wire: &[u8]) {
    let mut client = Client::new(Limits::default());
    let mut rest = wire;
    if let Ok(greeting) = reply(&mut client, &mut rest, usize::MAX) {
        assert!(wire.starts_with(greeting.line().as_bytes()));
        assert!(greeting.line().as_bytes().ends_with(greeting.text()));
        let shown = greeting.line().to_string();
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
        let _ = greeting.code().map(|code| format!("{code:?}"));
    }
    let _ = popwire_proto::apop::timestamp(wire);
}

/// Listings are read or refused, whatever stands in them; what is read is within the limits, in order, and each number
/// comes once.
pub fn listings(data: &[u8]) {
    let limits = limits();
    let answer = |command: &dyn Fn(&mut Client) -> bool| {
        let mut client = Client::new(limits.clone());
        let mut wire: &[u8] = b"+OK\r\n";
        reply(&mut client, &mut wire, usize::MAX).unwrap();
        assert!(command(&mut client));
        let mut wire = data;
        reply(&mut client, &mut wire, usize::MAX).ok()
    };
    if let Some(scan) = answer(&|client| client.submit(&ListCommand).is_ok())
        .and_then(|reply| ListCommand.decode(reply, &limits).ok())
    {
        let numbers: Vec<_> = scan.iter().map(|scan| scan.number).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b) && numbers.len() == scan.len());
        assert!(scan.len() <= limits.listing_entries);
        assert!(scan.iter().all(|entry| scan.get(entry.number) == Some(entry)));
    }
    if let Some(ids) = answer(&|client| client.submit(&UidlCommand).is_ok())
        .and_then(|reply| UidlCommand.decode(reply, &limits).ok())
    {
        let numbers: Vec<_> = ids.iter().map(|(number, _)| number).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b) && numbers.len() == ids.len());
        assert!(ids.len() <= limits.listing_entries);
        assert!(ids.iter().all(|(number, id)| ids.get(number) == Some(id)));
        assert!(ids.iter().all(|(_, id)| !id.to_string().chars().any(char::is_control)));
    }
    if let Some(capabilities) = answer(&|client| client.submit(&CapaCommand).is_ok())
        .and_then(|reply| CapaCommand.decode(reply, &limits).ok())
    {
        assert!(capabilities.iter().len() <= limits.capability_lines);
        let _ = (capabilities.login_delay(), capabilities.expire(), capabilities.utf8_user());
        assert!(capabilities.sasl_mechanisms().all(|name| !name.as_bytes().is_empty()));
    }
    if let Some(reply) = answer(&|client| client.submit(&StatCommand).is_ok()) {
        let _ = StatCommand.decode(reply, &limits);
    }
    if let Some(reply) = answer(&|client| client.submit(&ListOneCommand { number: ONE }).is_ok()) {
        let _ = ListOneCommand { number: ONE }.decode(reply, &limits);
    }
    if let Some(reply) = answer(&|client| client.submit(&UidlOneCommand { number: ONE }).is_ok()) {
        let _ = UidlOneCommand { number: ONE }.decode(reply, &limits);
    }
    if let Some(reply) = answer(&|client| client.submit(&LangListCommand).is_ok()) {
        let _ = LangListCommand.decode(reply, &limits);
    }
    if let Some(reply) = answer(&|client| client.submit(&AuthListCommand).is_ok()) {
        let _ = AuthListCommand.decode(reply, &limits);
    }
    if let Some(reply) = answer(&|client| client.submit(&LastCommand).is_ok()) {
        let _ = LastCommand.decode(reply, &limits);
    }
}

/// Whatever a server sends, and in whatever pieces it comes, the machine makes the same of it; no message is larger than
/// the limit; a session that broke stays broken.
pub fn session(data: &[u8]) {
    let mut choices = Choices(data);
    let program = choices.short();
    let (piece, wire) = (choices.below(17), choices.rest());
    let whole = converse(program, wire, usize::MAX);
    assert_eq!(whole, converse(program, wire, piece));
    assert_eq!(whole, converse(program, wire, 1));
}

/// Sends all commands ahead, then reads all answers.
fn converse(program: &[u8], mut wire: &[u8], piece: usize) -> Vec<String> {
    let mut client = Client::new(limits());
    let mut heard = Vec::new();
    let wire = &mut wire;
    match reply(&mut client, &mut *wire, 1) {
        Ok(greeting) => heard.push(greeting.line().to_string()),
        Err(error) => return vec![error.to_string()],
    }
    // Nothing but the greeting has been read: what follows it is not unasked.
    let mut multi = Vec::new();
    for octet in program {
        let number = ONE;
        let (sent, is_message) = match octet % 8 {
            0 => (client.submit(&NoopCommand).is_ok(), false),
            1 => (client.submit(&ListCommand).is_ok(), false),
            2 => (client.submit(&UidlCommand).is_ok(), false),
            3 => (client.submit(&RetrCommand { number }).is_ok(), true),
            4 => (client.submit(&TopCommand { number, lines: 1 }).is_ok(), true),
            5 => (client.submit(&CapaCommand).is_ok(), false),
            6 => (client.submit(&RawCommand::multi("XTND")).is_ok(), false),
            _ => (client.submit(&RawCommand::single("XYZZY")).is_ok(), false),
        };
        if sent {
            // Every other message is not read but skipped.
            multi.push(is_message && octet & 8 == 0);
        }
    }
    client.sent(client.unsent().len());
    for is_read in multi {
        let outcome = reply(&mut client, &mut *wire, piece).and_then(|reply| {
            heard.push(format!("{:?} {} {:?}", reply.status(), reply.line(), reply.data()));
            if is_read && reply.is_ok() {
                let (octets, end) = message(&mut client, &mut *wire, piece)?;
                assert!(octets.len() as u64 <= limits().message_octets);
                heard.push(format!("{octets:?} {end:?}"));
            }
            Ok(())
        });
        if let Err(error) = outcome {
            assert!(client.is_broken());
            assert!(client.reply().is_err() && client.submit(&NoopCommand).is_err());
            heard.push(error.to_string());
            break;
        }
    }
    heard
}
