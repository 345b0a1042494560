//! Clients of other people empty a mailbox of awkward mail: each message arrives as exactly as the client can, and is
//! gone afterwards. What a client changes by itself is written beside it in `clients`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod clients;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use popwire_interop::awkward;
use popwire_proto::stuff::{LineEnds, Stuffer};
use popwire_server::{Maildrop, Server};

use self::clients::Client;

/// A mailbox, and a folder for the client.
pub(crate) struct World {
    pub(crate) server: Server,
    folder: tempfile::TempDir,
}

pub(crate) const PASSWORD: &str = "s3cret-pass";

impl World {
    fn new(messages: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let server = Server::builder().user("alice", PASSWORD, Maildrop::memory(messages)).start().unwrap();
        Self { server, folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.addr().port()
    }
}

/// The octets that the server sends for a message, terminator included.
pub(crate) fn on_the_wire(message: &[u8]) -> Vec<u8> {
    let (mut stuffer, mut wire) = (Stuffer::with(LineEnds::Crlf), Vec::new());
    stuffer.push(message, &mut wire);
    stuffer.finish(&mut wire);
    wire
}

/// A message with the line ends that the server gives it: whatever ends a line becomes CRLF, and the last line has one.
pub(crate) fn with_crlf(message: &[u8]) -> Vec<u8> {
    let mut lines = Vec::new();
    let mut rest = message;
    while !rest.is_empty() {
        let end = rest.iter().position(|octet| matches!(octet, b'\r' | b'\n')).unwrap_or(rest.len());
        lines.extend_from_slice(&rest[..end]);
        lines.extend_from_slice(b"\r\n");
        let length = if rest[end..].starts_with(b"\r\n") { 2 } else { 1 };
        rest = rest.get(end + length..).unwrap_or_default();
    }
    lines
}

/// The client empties the mailbox.
fn empties_the_mailbox(client: &Client) {
    let messages: BTreeMap<String, Vec<u8>> =
        awkward::messages().unwrap().into_iter().filter(|(name, _)| !client.cannot(name)).collect();
    let world = World::new(messages.values().cloned());
    let received = client.fetch(&world);
    let mut left = received;
    let mut changed = Vec::new();
    for (name, message) in &messages {
        let expected = client.expected(name, message);
        match left.iter().position(|octets| *octets == expected) {
            Some(at) => drop(left.swap_remove(at)),
            None => changed.push(name),
        }
    }
    assert!(
        changed.is_empty() && left.is_empty(),
        "{}: {changed:?} did not arrive as they should; {} others did: {}",
        client.name,
        left.len(),
        left.iter()
            .map(|octets| format!("\n{}", octets[..octets.len().min(300)].escape_ascii()))
            .collect::<String>(),
    );
    assert!(
        world
            .server
            .wait_for(Duration::from_secs(5), |sessions| sessions.iter().all(|session| session.closed))
    );
    assert!(world.server.maildrop("alice").unwrap().is_empty().unwrap(), "{} deletes", client.name);
    // The next session finds nothing.
    assert_eq!(client.fetch(&world), Vec::<Vec<u8>>::new(), "{}", client.name);
}

macro_rules! each {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            empties_the_mailbox(&clients::$name());
        }
    )*};
}

each! { curl poplib net_pop3 net_pop node_pop3 mpop fetchmail getmail fdm }
