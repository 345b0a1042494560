//! Command lines, on both sides.

use popwire_proto::command::{ApopCommand, LangCommand, PassCommand, RetrCommand, TopCommand, UserCommand};
use popwire_proto::server::{Machine, Request};
use popwire_proto::{Client, Limits, apop};

use crate::Choices;

/// The server's machine makes the same of a client's octets in whatever pieces they come, and keeps no more of an endless
/// line than its limit.
pub fn commands(data: &[u8]) {
    let mut choices = Choices(data);
    let logged_in = choices.octet() & 1 == 1;
    let piece = choices.below(17);
    let octets = choices.rest();
    let whole = heard(octets, usize::MAX, logged_in);
    assert_eq!(whole, heard(octets, piece, logged_in));
    assert_eq!(whole, heard(octets, 1, logged_in));
    let _ = Request::parse(octets);
}

fn heard(octets: &[u8], piece: usize, logged_in: bool) -> Vec<String> {
    let mut machine = Machine::new();
    if logged_in {
        machine.logged_in();
    }
    let mut heard = Vec::new();
    for piece in octets.chunks(piece.max(1)) {
        machine.receive(piece);
        while let Some(incoming) = machine.next_command() {
            assert!(incoming.line().len() <= 1024, "{}", incoming.line().len());
            let state = machine.state();
            let request = incoming.into_request();
            if let Ok(Request::User { name }) = &request {
                machine.user_accepted(name.clone());
            }
            if let Ok(Request::Pass { .. }) = &request {
                machine.take_user().expect("PASS is admitted after USER only");
                machine.logged_in();
            }
            heard.push(format!("{state:?} {request:?}"));
        }
    }
    heard
}

/// Whatever arguments a command is given: it is one line that the server reads as this command with these arguments, or
/// it is refused and nothing of it would be sent.
pub fn arguments(data: &[u8]) {
    let mut choices = Choices(data);
    let kind = choices.below(6);
    let (a, b) = (choices.short(), choices.short());
    let mut client = Client::new(Limits::default());
    let greeting = b"+OK <1@example.org>\r\n";
    client.space()[..greeting.len()].copy_from_slice(greeting);
    client.filled(greeting.len());
    client.reply().unwrap().unwrap();
    let number = u32::from(a.first().copied().unwrap_or(0)) + 1;
    let digest = apop::digest(b"<1@example.org>", &b.into());
    let sent = match kind {
        0 => client.submit(&UserCommand { name: a.to_vec() }).is_ok(),
        1 => client.submit(&PassCommand { password: a.into() }).is_ok(),
        2 => client.submit(&ApopCommand { name: a.to_vec(), digest: digest.clone() }).is_ok(),
        3 => client.submit(&LangCommand { tag: a.to_vec() }).is_ok(),
        4 => client.submit(&RetrCommand { number }).is_ok(),
        _ => client.submit(&TopCommand { number, lines: u32::MAX }).is_ok(),
    };
    let line = client.unsent();
    if !sent {
        assert!(line.is_empty());
        return;
    }
    assert!(line.len() <= 255 && line.ends_with(b"\r\n"));
    assert!(!line[..line.len() - 2].iter().any(|octet| matches!(octet, b'\r' | b'\n' | 0)));
    match (kind, Request::parse(line)) {
        (0, Ok(Request::User { name })) => assert_eq!(name, a),
        (1, Ok(Request::Pass { password })) => assert_eq!(password.expose(), a),
        (2, Ok(Request::Apop { name, digest: read })) => {
            assert_eq!((&name[..], read.expose()), (a, digest.expose()));
        }
        (3, Ok(Request::Lang { tag })) => assert_eq!(tag.as_deref(), Some(a)),
        (4, Ok(Request::Retr { message })) => assert_eq!(message, u64::from(number)),
        (5, Ok(Request::Top { message, .. })) => assert_eq!(message, u64::from(number)),
        // Names that are empty or have blanks where none may be: the server may refuse, but not misread.
        (0..=3, Err(_)) => {}
        (_, other) => panic!("{:?} was read as {other:?}", line.escape_ascii().to_string()),
    }
}
