//! A session with a server, by LMTP (RFC 2033) or SMTP (RFC 5321): the greeting, then messages, one after another. For one
//! recipient, they differ in the greeting only.

use std::io::{self, ErrorKind, Read as _};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use popwire::Secret;
use popwire::proto::sasl::{self, ClientMechanism, Login, Plain, Start};
use popwire::proto::stuff::Stuffer;

use super::wire::{Reply, Wire};
use super::{Place, Protocol, SmtpSecurity, Way};
use crate::destination::Parcel;
use crate::envelope::{Look, Mailbox};

/// Why a message did not get through.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server said no.
    Refused { said: String, permanent: bool },
    /// The connection is of no use any more.
    Broken {
        source: io::Error,
        /// Whether the server may have taken the message.
        unsure: bool,
    },
}

impl From<io::Error> for Failure {
    fn from(source: io::Error) -> Self {
        Self::Broken { source, unsure: false }
    }
}

/// Octets that are written at once.
const PIECE: usize = 64 * 1024;

/// How much longer the reply to a message may take than others: the server stores it meanwhile.
const STORING: u32 = 2;

/// How long to wait for a connection at most.
const CONNECTING: Duration = Duration::from_secs(30);

/// A login takes two.
const MOST_CHALLENGES: usize = 4;

/// How long to look for a reply when the server takes no more of a message.
const LAST_WORDS: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Session {
    wire: Wire,
    patience: Duration,
    announced: Announced,
    /// Whether an envelope was begun that no message followed.
    begun: bool,
}

/// What the server says that it can.
#[derive(Debug, Default)]
struct Announced {
    pipelining: bool,
    eight_bit: bool,
    dsn: bool,
    starttls: bool,
    /// AUTH PLAIN.
    plain: bool,
    /// AUTH LOGIN.
    login: bool,
    utf8: bool,
    /// `Some(0)` is no limit (RFC 1870 section 4).
    size: Option<u64>,
}

impl Announced {
    fn new(reply: &Reply) -> Self {
        let mut announced = Self::default();
        // The first line is the server's name.
        for line in reply.lines.iter().skip(1) {
            let mut words = line.split(|&octet| octet == b' ').filter(|word| !word.is_empty());
            match words.next().unwrap_or_default().to_ascii_uppercase().as_slice() {
                b"PIPELINING" => announced.pipelining = true,
                b"8BITMIME" => announced.eight_bit = true,
                b"DSN" => announced.dsn = true,
                b"STARTTLS" => announced.starttls = true,
                b"AUTH" => {
                    for mechanism in words {
                        announced.plain |= mechanism.eq_ignore_ascii_case(b"PLAIN");
                        announced.login |= mechanism.eq_ignore_ascii_case(b"LOGIN");
                    }
                }
                b"SMTPUTF8" => announced.utf8 = true,
                b"SIZE" => {
                    let limit =
                        words.next().and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
                    announced.size = Some(limit.unwrap_or(0));
                }
                _ => {}
            }
        }
        announced
    }
}

impl Session {
    /// Connects, says who we are, and does what has to be done before the first message.
    pub(super) fn new(way: &Way, patience: Duration) -> Result<Self, Failure> {
        let connecting = patience.min(CONNECTING);
        let wire = match &way.place {
            Place::Unix(path) => Wire::unix(path, connecting)?,
            Place::Tcp { host, port } => Wire::tcp(host, *port, connecting)?,
        };
        let mut session = Self { wire, patience, announced: Announced::default(), begun: false };
        if way.security == SmtpSecurity::Tls {
            session = session.with_tls(way)?;
        }
        session.wire.reply(patience).map_err(Failure::from).and_then(positive)?;
        session.hello(way.protocol)?;
        if way.security == SmtpSecurity::StartTls {
            if !session.announced.starttls {
                return Err(io::Error::other("it does not offer STARTTLS").into());
            }
            session.ask("STARTTLS\r\n")?;
            session = session.with_tls(way)?;
            session.hello(way.protocol)?;
        }
        if let Some((user, password)) = &way.login {
            session.log_in(user, password)?;
        }
        Ok(session)
    }

    fn with_tls(self, way: &Way) -> io::Result<Self> {
        let host = match &way.place {
            Place::Tcp { host, .. } => host.as_str(),
            Place::Unix(_) => "localhost",
        };
        Ok(Self { wire: self.wire.with_tls(host, &way.roots)?, ..self })
    }

    fn hello(&mut self, protocol: Protocol) -> Result<(), Failure> {
        let hello = match protocol {
            Protocol::Lmtp => "LHLO",
            Protocol::Smtp => "EHLO",
        };
        let reply = self.ask(&format!("{hello} {}\r\n", own_name()))?;
        self.announced = Announced::new(&reply);
        Ok(())
    }

    /// Says a line that the server has to agree to.
    fn ask(&mut self, line: &str) -> Result<Reply, Failure> {
        self.wire.write(line.as_bytes(), self.patience)?;
        positive(self.wire.reply(self.patience)?)
    }

    /// RFC 4954. The connection is encrypted by now.
    fn log_in(&mut self, user: &str, password: &Secret) -> Result<(), Failure> {
        let unusable = |reason: sasl::Error| Failure::from(io::Error::new(ErrorKind::InvalidInput, reason));
        let mut mechanism: Box<dyn ClientMechanism> = if self.announced.plain {
            Box::new(Plain::new(user, password.clone()))
        } else if self.announced.login {
            Box::new(Login::new(user, password.clone()))
        } else {
            return Err(io::Error::other("it offers neither AUTH PLAIN nor AUTH LOGIN").into());
        };
        let mut line = format!("AUTH {}", mechanism.name());
        if let Start::ClientFirst(first) = mechanism.start().map_err(unusable)? {
            line.push(' ');
            line.push_str(&BASE64.encode(first.expose()));
        }
        for _ in 0..MOST_CHALLENGES {
            line.push_str("\r\n");
            self.wire.write(line.as_bytes(), self.patience)?;
            let reply = self.wire.reply(self.patience)?;
            if reply.code != 334 {
                return positive(reply).map(drop);
            }
            let challenge = BASE64.decode(reply.lines.first().map(Vec::as_slice).unwrap_or_default());
            let response = mechanism.respond(&challenge.unwrap_or_default()).map_err(unusable)?;
            line = BASE64.encode(response.expose());
        }
        Err(io::Error::new(ErrorKind::InvalidData, "its login has no end").into())
    }

    /// Hands over a message; what the server said to it.
    pub(super) fn deliver(
        &mut self,
        parcel: &Parcel,
        look: &Look,
        recipient: &Mailbox,
    ) -> Result<Reply, Failure> {
        if let Some(limit) = self.announced.size.filter(|limit| *limit != 0 && *limit < parcel.octets()) {
            let said =
                format!("it takes messages of up to {limit} octets, and this one has {}", parcel.octets());
            return Err(Failure::Refused { said, permanent: true });
        }
        if self.begun {
            self.wire.write(b"RSET\r\n", self.patience)?;
            self.accepted()?;
            self.begun = false;
        }
        let commands = [
            self.mail_from(parcel, look, recipient),
            format!("RCPT TO:<{recipient}>\r\n"),
            "DATA\r\n".to_owned(),
        ];
        self.begun = true;
        let said = if self.announced.pipelining { self.say_together(&commands) } else { self.say(&commands) };
        said?;
        if let Err(broken) = self.send(parcel) {
            // A server that has read enough says so and goes away.
            return Err(match self.wire.reply(self.patience.min(LAST_WORDS)).map(|reply| refusal(&reply)) {
                Ok(refused @ Failure::Refused { .. }) => refused,
                _ => broken.into(),
            });
        }
        self.begun = false;
        // From here on the message may have been taken, whatever happens to the reply.
        let unsure = |source| Failure::Broken { source, unsure: true };
        let reply = self.wire.reply(self.patience * STORING).map_err(unsure)?;
        if reply.is_positive() { Ok(reply) } else { Err(refusal(&reply)) }
    }

    fn mail_from(&self, parcel: &Parcel, look: &Look, recipient: &Mailbox) -> String {
        let mut command = format!("MAIL FROM:<{}>", look.sender);
        if self.announced.size.is_some() {
            command.push_str(&format!(" SIZE={}", parcel.octets()));
        }
        if self.announced.eight_bit && look.eight_bit {
            command.push_str(" BODY=8BITMIME");
        }
        if self.announced.utf8 && !(look.sender.is_ascii() && recipient.as_str().is_ascii()) {
            command.push_str(" SMTPUTF8");
        }
        if self.announced.dsn {
            command.push_str(&format!(" ENVID={}", parcel.mark));
        }
        command.push_str("\r\n");
        command
    }

    /// Says one command after the other, as long as the server agrees.
    fn say(&mut self, commands: &[String; 3]) -> Result<(), Failure> {
        for command in commands {
            self.wire.write(command.as_bytes(), self.patience)?;
            self.accepted()?;
        }
        Ok(())
    }

    /// Says the commands at once (RFC 2920), and gives the first refusal.
    fn say_together(&mut self, commands: &[String; 3]) -> Result<(), Failure> {
        self.wire.write(commands.concat().as_bytes(), self.patience)?;
        let mut refused = None;
        for _ in 0..2 {
            match self.accepted() {
                Ok(()) => {}
                Err(failure @ Failure::Refused { .. }) => refused = refused.or(Some(failure)),
                Err(failure) => return Err(failure),
            }
        }
        let data = self.accepted();
        match refused {
            None => data,
            Some(refused) => match data {
                Err(Failure::Refused { .. }) => Err(refused),
                Err(broken) => Err(broken),
                // It wants a message for nobody.
                Ok(()) => {
                    Err(io::Error::new(ErrorKind::InvalidData, "it wants a message that it refused").into())
                }
            },
        }
    }

    /// A reply that lets us go on.
    fn accepted(&mut self) -> Result<(), Failure> {
        let reply = self.wire.reply(self.patience)?;
        if matches!(reply.code / 100, 2 | 3) { Ok(()) } else { Err(refusal(&reply)) }
    }

    /// Sends the message, its line ends as CRLF, up to and with the dot.
    fn send(&mut self, parcel: &Parcel) -> io::Result<()> {
        let mut reader = parcel.reader();
        let mut stuffer = Stuffer::new();
        let (mut piece, mut wire) = (vec![0; PIECE], Vec::with_capacity(PIECE + PIECE / 16));
        loop {
            match reader.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => stuffer.push(piece.get(..read).unwrap_or_default(), &mut wire),
                Err(reason) if reason.kind() == ErrorKind::Interrupted => {}
                // The connection ends with it: without the dot the server has no message.
                Err(reason) => return Err(reason),
            }
            if wire.len() >= PIECE {
                self.wire.write(&wire, self.patience)?;
                wire.clear();
            }
        }
        stuffer.finish(&mut wire);
        self.wire.write(&wire, self.patience)
    }

    /// Says goodbye. Nothing depends on the answer.
    pub(super) fn quit(mut self) {
        let _ = self.wire.write(b"QUIT\r\n", self.patience.min(Duration::from_secs(1)));
    }
}

/// A reply that has to be positive for anything to go on.
fn positive(reply: Reply) -> Result<Reply, Failure> {
    if reply.is_positive() { Ok(reply) } else { Err(io::Error::other(format!("it said {reply}")).into()) }
}

/// What a reply means that is not the one hoped for.
fn refusal(reply: &Reply) -> Failure {
    match reply.code {
        // The server goes away (RFC 5321 section 3.8), or does not follow.
        421 => Failure::Broken { source: io::Error::other(format!("it said {reply}")), unsure: false },
        code if matches!(code / 100, 4 | 5) => {
            Failure::Refused { said: reply.to_string(), permanent: code >= 500 }
        }
        _ => Failure::Broken {
            source: io::Error::new(ErrorKind::InvalidData, format!("it said {reply}, which is no answer")),
            unsure: false,
        },
    }
}

/// How this machine calls itself.
fn own_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let is_name =
        !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b".-".contains(&octet));
    if is_name { name } else { "localhost".into() }
}
