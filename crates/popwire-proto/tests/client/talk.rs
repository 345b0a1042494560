//! A server played by hand: a test says what the server says, and when, and sees what the client makes of it.

use popwire_proto::command::{PassCommand, UserCommand};
use popwire_proto::{Body, Client, Command, End, Error, Limits, Reply, Secret};

/// How the network cuts what the server says.
#[derive(Clone, Debug)]
pub(crate) enum Cut {
    /// Not at all.
    Whole,
    /// After every octet.
    Octets,
    /// Once, after so many octets of all that the server says.
    At(usize),
    /// After so many octets, then after so many more, and so on, round and round.
    Sizes(Vec<usize>),
}

impl Cut {
    /// Every way to cut so many octets once, and the two extremes.
    pub(crate) fn all(octets: usize) -> impl Iterator<Item = Self> {
        [Self::Whole, Self::Octets].into_iter().chain((1..octets).map(Self::At))
    }

    /// The pieces of `octets`, before which the server has said `before` others.
    pub(crate) fn pieces<'a>(&self, octets: &'a [u8], before: usize) -> Vec<&'a [u8]> {
        match self {
            Self::Whole => vec![octets],
            Self::Octets => octets.chunks(1).collect(),
            Self::At(at) => {
                let at = at.saturating_sub(before).min(octets.len());
                let (one, two) = octets.split_at(at);
                [one, two].into_iter().filter(|piece| !piece.is_empty()).collect()
            }
            Self::Sizes(sizes) => {
                let (mut rest, mut pieces) = (octets, Vec::new());
                for size in sizes.iter().cycle() {
                    if rest.is_empty() {
                        break;
                    }
                    let (piece, tail) = rest.split_at((*size).clamp(1, rest.len()));
                    pieces.push(piece);
                    rest = tail;
                }
                pieces
            }
        }
    }
}

/// What one command came to: its typed answer, or the error that took its place.
pub(crate) type Answer<C> = Result<<C as Command>::Answer, Error>;

/// A conversation with the client machine.
#[derive(Debug)]
pub(crate) struct Talk {
    pub(crate) client: Client,
}

impl Talk {
    /// The connection stands, and nobody has said anything.
    pub(crate) fn silent() -> Self {
        Self::with_limits(Limits::default())
    }

    pub(crate) fn with_limits(limits: Limits) -> Self {
        Self { client: Client::new(limits) }
    }

    /// The server has sent its greeting.
    pub(crate) fn greeted() -> Self {
        Self::greeted_within(Limits::default())
    }

    pub(crate) fn greeted_within(limits: Limits) -> Self {
        let mut talk = Self::with_limits(limits);
        talk.server(b"+OK ready\r\n");
        assert!(talk.hear().unwrap().is_ok());
        talk
    }

    /// The maildrop is open.
    pub(crate) fn logged_in() -> Self {
        Self::logged_in_within(Limits::default())
    }

    pub(crate) fn logged_in_within(limits: Limits) -> Self {
        let mut talk = Self::greeted_within(limits);
        talk.ask(&user("alice"), b"+OK\r\n").unwrap();
        talk.ask(&pass("wonderland"), b"+OK\r\n").unwrap();
        talk
    }

    /// The server says this.
    pub(crate) fn server(&mut self, octets: &[u8]) {
        let mut rest = octets;
        while !rest.is_empty() {
            let space = self.client.space();
            let (piece, tail) = rest.split_at(space.len().min(rest.len()));
            space[..piece.len()].copy_from_slice(piece);
            self.client.filled(piece.len());
            rest = tail;
        }
    }

    /// The server ends the connection.
    pub(crate) fn server_closes(&mut self) {
        self.client.filled(0);
    }

    /// The client sends this; returns the line as it goes over the wire.
    pub(crate) fn send<C: Command>(&mut self, command: &C) -> Result<Vec<u8>, Error> {
        self.client.submit(command)?;
        let line = self.client.unsent().to_vec();
        self.client.sent(line.len());
        Ok(line)
    }

    /// The reply that must be there by now.
    pub(crate) fn hear(&mut self) -> Result<Reply, Error> {
        Ok(self.client.reply()?.expect("the server has said enough for a reply"))
    }

    /// One command and the server's answer to it, read as that command reads it. The answer must not be `-ERR`.
    pub(crate) fn ask<C: Command>(&mut self, command: &C, answer: &[u8]) -> Answer<C> {
        let reply = self.ask_for_reply(command, answer)?;
        assert!(reply.is_ok(), "not a positive reply: {reply}");
        command.decode(reply, &self.client.limits().clone())
    }

    /// One command and the server's answer to it, as it came.
    pub(crate) fn ask_for_reply<C: Command>(&mut self, command: &C, answer: &[u8]) -> Result<Reply, Error> {
        self.send(command)?;
        self.server(answer);
        self.hear()
    }

    /// One command that a message answers, and that message.
    pub(crate) fn fetch<C: Command>(&mut self, command: &C, answer: &[u8]) -> Result<(Vec<u8>, End), Error> {
        assert!(self.ask_for_reply(command, answer)?.is_ok());
        let (octets, end) = self.read_message(usize::MAX)?;
        Ok((octets, end.expect("the server has said enough for a message")))
    }

    /// Reads what there is of a message, in sips of at most so many octets.
    pub(crate) fn read_message(&mut self, sip: usize) -> Result<(Vec<u8>, Option<End>), Error> {
        let mut octets = Vec::new();
        loop {
            let taken = match self.client.body()? {
                Body::Chunk(chunk) => {
                    assert!(!chunk.is_empty(), "an empty chunk would make its reader spin");
                    let taken = chunk.len().min(sip);
                    octets.extend_from_slice(&chunk[..taken]);
                    taken
                }
                Body::NeedMore => return Ok((octets, None)),
                Body::End(end) => return Ok((octets, Some(end))),
            };
            self.client.consume(taken);
        }
    }
}

/// What a client makes of an answer however it is cut: the one outcome that all cuts have.
pub(crate) fn under_every_cut<T: PartialEq + std::fmt::Debug>(
    answer: &[u8],
    mut play: impl FnMut(&[&[u8]]) -> T,
) -> T {
    let whole = play(&[answer]);
    for cut in Cut::all(answer.len()) {
        assert_eq!(play(&cut.pieces(answer, 0)), whole, "{cut:?}");
    }
    whole
}

/// What one command comes to at a logged-in client, however the server's answer is cut.
pub(crate) fn answer_under_every_cut<C: Command>(command: &C, answer: &[u8]) -> Answer<C>
where
    C::Answer: PartialEq + std::fmt::Debug,
{
    under_every_cut(answer, |pieces| {
        let mut talk = Talk::logged_in();
        talk.send(command).unwrap();
        for piece in pieces {
            talk.server(piece);
            if let Some(reply) = talk.client.reply()? {
                assert!(reply.is_ok(), "not a positive reply: {reply}");
                return command.decode(reply, &Limits::default());
            }
        }
        talk.server_closes();
        talk.hear().map(|reply| panic!("an answer out of nothing: {reply}"))
    })
}

/// A message as it is received, however it is cut; what follows its `+OK` on the wire is `wire`.
pub(crate) fn message_under_every_cut(wire: &[u8]) -> Result<Vec<u8>, Error> {
    under_every_cut(wire, |pieces| {
        let mut talk = Talk::logged_in();
        talk.ask_for_reply(&popwire_proto::command::RetrCommand { number: 1 }, b"+OK\r\n")?;
        let mut octets = Vec::new();
        for piece in pieces {
            talk.server(piece);
            let (more, end) = talk.read_message(usize::MAX)?;
            octets.extend(more);
            if let Some(end) = end {
                assert_eq!(end, End::Regular);
                return Ok(octets);
            }
        }
        talk.server_closes();
        talk.read_message(usize::MAX).map(|(octets, _)| panic!("complete without an end: {octets:?}"))
    })
}

pub(crate) fn user(name: impl AsRef<[u8]>) -> UserCommand {
    UserCommand { name: name.as_ref().to_vec() }
}

pub(crate) fn pass(password: &str) -> PassCommand {
    PassCommand { password: Secret::from(password) }
}
