//! The places where every row is tried: two servers, three kinds of connection.

use std::fmt;
use std::time::Duration;

use popwire::{Connector, Login, Security, Tls};
use popwire_interop::corpus::wire_form;
use popwire_interop::dovecot::{Dovecot, Mail, Options};
use popwire_interop::maildir;
use popwire_server::{Builder, Maildrop, Server};

pub(crate) const USER: &str = "alice";
pub(crate) const PASSWORD: &str = "s3cret pass";

/// How the connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    Plain,
    Tls,
    Stls,
}

pub(crate) const CHANNELS: [Channel; 3] = [Channel::Plain, Channel::Tls, Channel::Stls];

/// A server with mail for alice, and how to reach it.
pub(crate) struct World {
    pub(crate) channel: Channel,
    pub(crate) connector: Connector,
    ground: Ground,
    /// What each message is on the wire.
    pub(crate) mail: Vec<Vec<u8>>,
}

enum Ground {
    Embedded(Box<Server>),
    Dovecot(Dovecot),
}

/// Both servers, each by all three channels, one after the other; each with its own fresh mail.
pub(crate) fn worlds(mail: Vec<Vec<u8>>) -> impl Iterator<Item = World> {
    let again = mail.clone();
    embedded(mail, |server| server).chain(dovecots(again))
}

/// The embedded server with knobs turned, by all three channels.
pub(crate) fn embedded(
    mail: Vec<Vec<u8>>,
    knobs: impl Fn(Builder) -> Builder,
) -> impl Iterator<Item = World> {
    CHANNELS.into_iter().map(move |channel| {
        let builder = Server::builder().user(USER, PASSWORD, Maildrop::memory(mail.clone()));
        World::new(channel, Ground::Embedded(Box::new(knobs(builder).start().unwrap())), &mail)
    })
}

fn dovecots(mail: Vec<Vec<u8>>) -> impl Iterator<Item = World> {
    CHANNELS.into_iter().map(move |channel| {
        let options = Options { alice: Mail::Messages(mail.clone()), ..Options::default() };
        World::new(channel, Ground::Dovecot(Dovecot::start(&options).unwrap()), &mail)
    })
}

impl World {
    fn new(channel: Channel, ground: Ground, mail: &[Vec<u8>]) -> Self {
        let (port, tls_port, ca) = match &ground {
            Ground::Embedded(server) => {
                (server.addr().port(), server.tls_addr().port(), server.ca_pem().as_bytes().to_vec())
            }
            Ground::Dovecot(dovecot) => {
                (dovecot.port, dovecot.tls_port, std::fs::read(dovecot.ca()).unwrap())
            }
        };
        let connector = Connector::new("localhost").tls(Tls::new().with_root_certificates(&ca).unwrap());
        let connector = match channel {
            Channel::Plain => {
                connector.port(port).security(Security::Plain).dangerous_login_without_verified_tls()
            }
            Channel::Tls => connector.port(tls_port).security(Security::Tls),
            Channel::Stls => connector.port(port).security(Security::Stls),
        };
        Self { channel, connector, ground, mail: mail.iter().map(|message| wire_form(message)).collect() }
    }

    pub(crate) fn login() -> Login {
        Login::password(USER, PASSWORD)
    }

    pub(crate) fn server(&self) -> Option<&Server> {
        match &self.ground {
            Ground::Embedded(server) => Some(server),
            Ground::Dovecot(_) => None,
        }
    }

    /// What the server still stores, in the form of the wire, sorted.
    pub(crate) fn stored(&self) -> Vec<Vec<u8>> {
        let mut stored: Vec<_> = match &self.ground {
            Ground::Embedded(server) => server.maildrop(USER).unwrap().messages().unwrap(),
            Ground::Dovecot(dovecot) => maildir::contents(dovecot.maildir(USER)).unwrap(),
        };
        stored.iter_mut().for_each(|message| *message = wire_form(message));
        stored.sort();
        stored
    }

    /// How many messages the server has marked as seen.
    pub(crate) fn seen(&self) -> usize {
        match &self.ground {
            Ground::Embedded(server) => {
                server.maildrop(USER).unwrap().seen().unwrap().into_iter().filter(|seen| *seen).count()
            }
            Ground::Dovecot(dovecot) => maildir::read(dovecot.maildir(USER))
                .unwrap()
                .keys()
                .filter(|name| name.split_once(":2,").is_some_and(|(_, flags)| flags.contains('S')))
                .count(),
        }
    }

    /// Waits until the server has seen its sessions end: so many of them.
    pub(crate) fn wait_closed(&self, sessions: usize) {
        match &self.ground {
            Ground::Embedded(server) => assert!(server.wait_closed(sessions, Duration::from_secs(10))),
            // Dovecot says nothing; its lock is polled by whoever logs in next.
            Ground::Dovecot(_) => std::thread::sleep(Duration::from_millis(200)),
        }
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ground = match self.ground {
            Ground::Embedded(_) => "the embedded server",
            Ground::Dovecot(_) => "Dovecot",
        };
        write!(f, "{ground}, {:?}", self.channel)
    }
}

/// A few messages that differ in every way that matters to a listing.
pub(crate) fn some_mail() -> Vec<Vec<u8>> {
    vec![
        b"From: a@example.org\nSubject: one\n\nfirst line\nsecond line\nthird line\n".to_vec(),
        b"From: b@example.org\r\nSubject: dots\r\n\r\n.\r\n..\r\n.dot\r\n".to_vec(),
        b"From: c@example.org\nSubject: empty\n\n".to_vec(),
    ]
}
