//! The client machine: what is in flight, what comes next, whether the session can go on.

mod facts;
mod outbound;
mod owed;

use std::collections::VecDeque;

use memchr::memchr;
use zeroize::{Zeroize as _, Zeroizing};

pub use self::facts::State;
use self::facts::{Facts, Tls};
use self::outbound::Outbound;
pub use self::outbound::Submitted;
use self::owed::{Owed, echoes, with_earlier};

use crate::body::{Decoder, IrregularEnd, Step};
use crate::command::Line;
use crate::error::{Foreign, Oversize};
use crate::inbound::Inbound;
use crate::reply::WITHHELD;
use crate::{Command, Error, Limits, OutOfOrder, Reply, Shape, Status, Text, Verb};

/// The client's half of a POP3 session, without a socket.
///
/// Its owner moves octets: what [`unsent`](Self::unsent) shows goes to the server, what the server sends goes into
/// [`space`](Self::space). [`submit`](Self::submit) puts a command into the outgoing octets and its expected reply
/// into a queue; [`reply`](Self::reply) and [`body`](Self::body) take replies out in order. A short read, a timeout or
/// a cancelled wait loses nothing: all that is known stays here, and the wait can be taken up again, or given up with
/// [`settle`](Self::settle).
///
/// ```
/// use popwire_proto::{Client, Limits, command::{StatCommand, Command}};
///
/// let mut client = Client::new(Limits::default());
/// let mut feed = |client: &mut Client, octets: &[u8]| {
///     client.space()[..octets.len()].copy_from_slice(octets);
///     client.filled(octets.len());
/// };
/// feed(&mut client, b"+OK ready\r\n");
/// assert_eq!(client.reply()?.unwrap().text(), b"ready");
///
/// client.submit(&StatCommand)?;
/// assert_eq!(client.unsent(), b"STAT\r\n");
/// client.sent(6);
///
/// feed(&mut client, b"+OK 2 3");
/// assert!(client.reply()?.is_none(), "not enough input is no error");
/// feed(&mut client, b"20\r\n");
/// let stat = StatCommand.decode(client.reply()?.unwrap(), &Limits::default())?;
/// assert_eq!((stat.messages, stat.octets), (2, Some(320)));
/// # Ok::<(), popwire_proto::Error>(())
/// ```
#[derive(Debug)]
pub struct Client {
    limits: Limits,
    inbound: Inbound,
    outbound: Outbound,
    /// Replies that are owed, oldest first.
    queue: VecDeque<Owed>,
    /// The last one that was paid: what comes after it unasked may repeat its secret.
    answered: Option<Owed>,
    reading: Reading,
    facts: Facts,
    leniencies: Leniencies,
    closed: bool,
    broken: Option<Error>,
    /// Octets thrown away since the last command that was wanted.
    discarded: u64,
}

/// What [`Client::body`] has for its caller.
#[derive(Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// The next octets of the message, unstuffed; [`Client::consume`] what was taken of them.
    Chunk(&'a [u8]),
    /// More input is needed.
    NeedMore,
    /// The message is complete.
    End(End),
}

/// How a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With its terminator.
    Regular,
    /// In a broken form that was taken for the end after a silence, see [`Client::rescue`]. It may have been cut short.
    Irregular(IrregularEnd),
}

/// What was tolerated of this server so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leniencies {
    /// Status lines that ended in a bare LF.
    pub bare_lf_lines: u64,
    /// Multi-line answers whose lines ended in a bare LF.
    pub bare_lf_bodies: u64,
    /// Messages without a proper terminator.
    pub irregular_ends: u64,
}

/// What the octets at hand belong to.
#[derive(Debug)]
enum Reading {
    /// A status line.
    Status,
    /// A multi-line answer that is being collected, and its status line.
    Listing { decoder: Decoder, reply: Reply, data: Vec<u8>, verb: Verb },
    /// A message; `chunk` octets at the beginning of the input are decoded and not consumed.
    Message { decoder: Decoder, chunk: usize, received: u64, verb: Verb },
    /// A message has ended and its reader has not been told.
    Ended(End),
}

impl Client {
    /// A machine that waits for the server's greeting; [`Client::reply`] returns it.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let greeting = Owed { verb: Verb::Greeting, shape: Shape::SingleLine, secrets: Vec::new() };
        Self {
            inbound: Inbound::new(limits.receive_buffer),
            limits,
            outbound: Outbound::default(),
            queue: VecDeque::from([greeting]),
            answered: None,
            reading: Reading::Status,
            facts: Facts::default(),
            leniencies: Leniencies::default(),
            closed: false,
            broken: None,
            discarded: 0,
        }
    }

    /// Puts a command into the outgoing octets and its reply into the queue.
    ///
    /// Returns the line in a form that may be shown. An error leaves the outgoing octets as they were.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] and [`Error::OutOfOrder`], which leave the session as it was. [`Error::Unsolicited`] or
    /// [`Error::ServerClosing`] if nothing is in flight and the server has said something all the same; this breaks the
    /// session. The error that broke the session, if it is broken.
    pub fn submit<C: Command>(&mut self, command: &C) -> Result<Submitted<'_>, Error> {
        self.check_broken()?;
        let verb = command.verb();
        self.facts.check(verb, self.is_settled())?;
        if self.is_settled() {
            match self.inbound.unread() {
                [] if self.closed => return Err(self.closed_in(verb, 0)),
                [] => {}
                _ => return Err(self.unasked()),
            }
        }
        let start = self.outbound.octets.len();
        let (mut public, mut secret) = Line::write(&mut self.outbound.octets, command, &self.limits)?;
        if verb == Verb::Raw && self.facts.challenged {
            // Whatever it is, it answers a challenge.
            secret = self.outbound.octets.get(start..).map(|line| line.trim_ascii_end().into());
            public = 0;
        }
        let public = self.outbound.octets.get(start..start + public).unwrap_or_default();
        let secrets = secret.map(|secret| echoes(verb, public, secret)).unwrap_or_default();
        let hidden = !secrets.is_empty();
        // Until it has let us in, a server may repeat what an earlier line of the login had.
        let logging_in = self.facts.state == State::Authorization;
        let earlier = self.answered.as_ref().filter(|_| logging_in).map(|owed| owed.secrets.as_slice());
        let secrets = with_earlier(secrets, earlier.unwrap_or_default());
        let owed = Owed { verb, shape: command.shape(), secrets };
        self.facts.sent(&owed);
        self.queue.push_back(owed);
        self.discarded = 0;
        Ok(Submitted { public, hidden })
    }

    /// Whether this command could be written: what [`submit`](Self::submit) would say of its arguments. Nothing is sent.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`].
    pub fn check<C: Command>(&self, command: &C) -> Result<(), Error> {
        let mut line = Zeroizing::new(Vec::new());
        Line::write(&mut line, command, &self.limits)?;
        Ok(())
    }

    /// The octets that have to go to the server.
    #[must_use]
    pub fn unsent(&self) -> &[u8] {
        self.outbound.octets.get(self.outbound.sent..).unwrap_or_default()
    }

    /// Takes note that so many of the [`unsent`](Self::unsent) octets went out. When all did, their memory is wiped.
    pub fn sent(&mut self, octets: usize) {
        self.outbound.sent = self.outbound.sent.saturating_add(octets);
        if self.outbound.sent >= self.outbound.octets.len() {
            self.outbound.octets.as_mut_slice().zeroize();
            self.outbound.octets.clear();
            self.outbound.sent = 0;
        }
    }

    /// Room for the next octets from the server; never empty. Say with [`filled`](Self::filled) how many came.
    pub fn space(&mut self) -> &mut [u8] {
        self.inbound.space()
    }

    /// Takes note that so many octets were put into [`space`](Self::space). Zero means that the connection ended.
    pub fn filled(&mut self, octets: usize) {
        if octets == 0 {
            self.closed = true;
        }
        self.inbound.filled(octets);
    }

    /// The next reply that is owed, as soon as it is there; `None` while more input is needed.
    ///
    /// A multi-line answer that is not a message comes whole, its data in the reply. After the `+OK` of RETR or TOP the
    /// message follows by [`body`](Self::body); what was not read of it is skipped by the next call of this.
    ///
    /// # Errors
    ///
    /// Any [`Error`] about what a server sends; it breaks the session.
    pub fn reply(&mut self) -> Result<Option<Reply>, Error> {
        self.check_broken()?;
        loop {
            match &mut self.reading {
                Reading::Status => return self.status_line(),
                Reading::Ended(_) => self.reading = Reading::Status,
                Reading::Message { .. } => {
                    if !self.skip_message()? {
                        return Ok(None);
                    }
                }
                Reading::Listing { decoder, reply, data, verb } => {
                    match decoder.step(self.inbound.unread()) {
                        step @ (Step::Data(octets) | Step::Stuffed(octets)) => {
                            self.inbound.consume(usize::from(matches!(step, Step::Stuffed(_))));
                            if data.len() + octets > self.limits.listing_octets {
                                let limit = u64::try_from(self.limits.listing_octets).unwrap_or(u64::MAX);
                                return Err(self.fail(Error::TooLarge { what: Oversize::Listing, limit }));
                            }
                            data.extend_from_slice(self.inbound.unread().get(..octets).unwrap_or_default());
                            self.inbound.consume(octets);
                        }
                        Step::End(octets) => {
                            let reply = reply.clone().with_data(std::mem::take(data));
                            self.leniencies.bare_lf_bodies += u64::from(decoder.is_bare_lf());
                            self.inbound.consume(octets);
                            self.reading = Reading::Status;
                            return Ok(Some(reply));
                        }
                        Step::More if self.closed => {
                            let (verb, received) = (*verb, data.len());
                            return Err(self.closed_in(verb, u64::try_from(received).unwrap_or(u64::MAX)));
                        }
                        Step::More => return Ok(None),
                    }
                }
            }
        }
    }

    /// The next part of the message whose `+OK` was the last reply. [`consume`](Self::consume) what was taken of it.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] if the connection ends before the terminator: the message is not complete.
    /// [`Error::TooLarge`] beyond [`Limits::message_octets`]. Both break the session. [`Error::OutOfOrder`] if no message
    /// is being read; the end of one is told once.
    #[inline]
    pub fn body(&mut self) -> Result<Body<'_>, Error> {
        // A reader may ask several times before it takes anything, and in hostile text a chunk is no longer than a line.
        let found = matches!(self.reading, Reading::Message { chunk: 1.., .. }) && self.broken.is_none();
        if !found && let Some(other) = self.next_chunk()? {
            return Ok(other);
        }
        Ok(Body::Chunk(self.chunk()))
    }

    /// What is decoded of a message and not consumed.
    fn chunk(&self) -> &[u8] {
        match self.reading {
            Reading::Message { chunk, .. } => self.inbound.unread().get(..chunk).unwrap_or_default(),
            _ => &[],
        }
    }

    /// Decodes the next chunk; says what there is instead, if there is none.
    fn next_chunk(&mut self) -> Result<Option<Body<'static>>, Error> {
        self.check_broken()?;
        let Reading::Message { decoder, chunk, received, verb } = &mut self.reading else {
            return match std::mem::replace(&mut self.reading, Reading::Status) {
                Reading::Ended(end) => Ok(Some(Body::End(end))),
                other => {
                    self.reading = other;
                    Err(OutOfOrder::NoMessage.into())
                }
            };
        };
        while *chunk == 0 {
            match decoder.step(self.inbound.unread()) {
                step @ (Step::Data(octets) | Step::Stuffed(octets)) => {
                    self.inbound.consume(usize::from(matches!(step, Step::Stuffed(_))));
                    *received = received.saturating_add(u64::try_from(octets).unwrap_or(u64::MAX));
                    if *received > self.limits.message_octets {
                        let limit = self.limits.message_octets;
                        return Err(self.fail(Error::TooLarge { what: Oversize::Message, limit }));
                    }
                    *chunk = octets;
                }
                Step::End(octets) => {
                    self.leniencies.bare_lf_bodies += u64::from(decoder.is_bare_lf());
                    self.inbound.consume(octets);
                    self.reading = Reading::Status;
                    return Ok(Some(Body::End(End::Regular)));
                }
                Step::More if self.closed => {
                    let (verb, received) = (*verb, *received);
                    return Err(self.closed_in(verb, received));
                }
                Step::More => return Ok(Some(Body::NeedMore)),
            }
        }
        Ok(None)
    }

    /// Takes note that so many octets of the last [`Body::Chunk`] were taken.
    #[inline]
    pub fn consume(&mut self, octets: usize) {
        if let Reading::Message { chunk, .. } = &mut self.reading {
            let octets = octets.min(*chunk);
            *chunk -= octets;
            self.inbound.consume(octets);
        }
    }

    /// Whether the next octets of the message that is being read may be put into memory of the caller's instead of
    /// [`space`](Self::space), to be decoded there by [`body_within`](Self::body_within): nothing that came before them waits
    /// here.
    #[must_use]
    pub fn may_read_within(&self) -> bool {
        let reading = matches!(self.reading, Reading::Message { chunk: 0, .. });
        reading && self.inbound.unread().is_empty() && !self.closed && self.broken.is_none()
    }

    /// Decodes octets from the server where they are: moves those of the message to the beginning of `octets`, and returns how
    /// many they are. What cannot be told yet, and what comes after the message, is copied and kept. The message's end is told
    /// by [`body`](Self::body).
    ///
    /// # Errors
    ///
    /// Those of [`body`](Self::body).
    pub fn body_within(&mut self, octets: &mut [u8]) -> Result<usize, Error> {
        if !self.may_read_within() {
            self.inbound.append(octets);
            self.check_broken()?;
            return Ok(0);
        }
        let (mut at, mut kept) = (0, 0);
        while let Reading::Message { decoder, received, .. } = &mut self.reading {
            let (skipped, data) = match decoder.step(octets.get(at..).unwrap_or_default()) {
                Step::Data(data) => (0, data),
                Step::Stuffed(data) => (1, data),
                Step::End(end) => {
                    self.leniencies.bare_lf_bodies += u64::from(decoder.is_bare_lf());
                    at += end;
                    self.reading = Reading::Ended(End::Regular);
                    break;
                }
                Step::More => break,
            };
            *received = received.saturating_add(u64::try_from(data).unwrap_or(u64::MAX));
            if *received > self.limits.message_octets {
                let limit = self.limits.message_octets;
                return Err(self.fail(Error::TooLarge { what: Oversize::Message, limit }));
            }
            let from = at + skipped;
            if from != kept && from + data <= octets.len() {
                octets.copy_within(from..from + data, kept);
            }
            at = from + data;
            kept += data;
        }
        self.inbound.append(octets.get(at..).unwrap_or_default());
        Ok(kept)
    }

    /// Ends the message that is being read, if all that came of it ends in a broken terminator.
    ///
    /// Some servers never send a proper one, and a client that insists would wait for ever. Call this after a silence
    /// of some seconds. It does nothing, and returns `None`, if what came does not look like such an end or if later
    /// commands are in flight. The data have nothing of the broken terminator in them. Whether the message is
    /// complete, only the server knows: do not delete it there on the strength of this.
    pub fn rescue(&mut self) -> Option<IrregularEnd> {
        let Reading::Message { decoder, chunk: 0, .. } = &self.reading else { return None };
        if !self.queue.is_empty() || self.closed || self.broken.is_some() {
            return None;
        }
        let irregular = decoder.irregular_end(self.inbound.unread())?;
        self.inbound.consume(self.inbound.unread().len());
        self.leniencies.irregular_ends += 1;
        self.reading = Reading::Ended(End::Irregular(irregular));
        Some(irregular)
    }

    /// Reads and throws away every answer that is still owed. True as soon as nothing is, and the next command's
    /// answer will be the next to come; false while more input is needed.
    ///
    /// This is how a session goes on after its owner gave up on an answer.
    ///
    /// # Errors
    ///
    /// [`Error::Abandoned`] if it would take more than [`Limits::discard`]; otherwise as [`reply`](Self::reply).
    pub fn settle(&mut self) -> Result<bool, Error> {
        // What nobody waits for is not collected: it is skipped like a message, within the same limit.
        if let Reading::Listing { decoder, verb, .. } = &mut self.reading {
            let decoder = std::mem::take(decoder);
            self.reading = Reading::Message { decoder, chunk: 0, received: 0, verb: *verb };
        }
        self.queue
            .iter_mut()
            .filter(|owed| owed.shape == Shape::MultiLine)
            .for_each(|owed| owed.shape = Shape::Message);
        while !self.is_settled() {
            if self.queue.is_empty() && matches!(self.reading, Reading::Message { .. } | Reading::Ended(_)) {
                self.check_broken()?;
                if !self.skip_message()? {
                    return Ok(false);
                }
                self.reading = Reading::Status;
            } else if self.reply()?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Expects none of the answers that are owed any more: the server has lost the commands. Some lose what comes together
    /// with another command, or behind one that they refuse.
    ///
    /// Whether it is so, only the session's owner can find out. An answer that comes all the same breaks the session, as
    /// anything does that nobody asked for. Where a login or QUIT is among them, their fate stays unknown.
    pub fn write_off(&mut self) {
        for owed in self.queue.drain(..) {
            self.facts.forget(&owed);
        }
    }

    /// Whether no answer is owed and no message is being read.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.queue.is_empty() && matches!(self.reading, Reading::Status)
    }

    /// Tells the machine that the TLS handshake is done, or that TLS was there from the first octet.
    ///
    /// # Errors
    ///
    /// [`Error::PlaintextAfterStls`] if anything is left that was read before the handshake; this breaks the session.
    /// [`Error::OutOfOrder`] if the answer to STLS has not been taken.
    pub fn tls_started(&mut self) -> Result<(), Error> {
        if self.queue.iter().any(|owed| owed.verb == Verb::Stls) {
            return Err(OutOfOrder::StlsPending.into());
        }
        if !self.inbound.unread().is_empty() {
            return Err(self.fail(Error::PlaintextAfterStls));
        }
        self.facts.tls_started();
        Ok(())
    }

    /// Tells whether the server announced RESP-CODES, so that any bracketed word at the beginning of a text is a code.
    pub fn set_response_codes(&mut self, announced: bool) {
        self.facts.response_codes = announced;
    }

    /// Takes the `+OK` that was just heard for a challenge. Exchange 2003 says it to `AUTH NTLM` where a challenge belongs,
    /// and waits for the next line.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfOrder`] unless the last reply was a `+OK` within AUTH, and nothing has been sent since.
    pub fn take_for_challenge(&mut self) -> Result<(), Error> {
        if self.is_settled() && self.facts.challenged_after_all() {
            Ok(())
        } else {
            Err(OutOfOrder::Sasl.into())
        }
    }

    /// Whether the server waits for the next line of an AUTH exchange.
    #[must_use]
    pub fn is_challenged(&self) -> bool {
        self.facts.challenged
    }

    /// Breaks the session: its owner found a reason that the machine cannot see, such as a failed write.
    pub fn abort(&mut self, reason: Error) {
        self.fail(reason);
    }

    /// Whether the session cannot go on.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// The state, as far as the replies so far tell. It is advice: the server has the last word.
    #[must_use]
    pub fn state(&self) -> State {
        self.facts.state
    }

    /// How many messages are marked deleted: DELE accepted, not taken back by RSET.
    #[must_use]
    pub fn marked(&self) -> u64 {
        self.facts.marked
    }

    /// Whether an answer of many lines has begun and not ended.
    #[must_use]
    pub fn is_reading(&self) -> bool {
        matches!(self.reading, Reading::Listing { .. } | Reading::Message { .. })
    }

    /// Whether octets have come that are part of no reply yet, and of no part of a message that was taken.
    #[must_use]
    pub fn has_input(&self) -> bool {
        !self.inbound.unread().is_empty()
    }

    /// The command whose answer is being waited for, or read.
    #[must_use]
    pub fn awaiting(&self) -> Option<Verb> {
        match &self.reading {
            Reading::Listing { verb, .. } | Reading::Message { verb, .. } => Some(*verb),
            Reading::Ended(_) | Reading::Status => self.queue.front().map(|owed| owed.verb),
        }
    }

    /// What was tolerated of this server so far.
    #[must_use]
    pub fn leniencies(&self) -> Leniencies {
        self.leniencies
    }

    /// The bounds of this session.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    fn check_broken(&self) -> Result<(), Error> {
        self.broken.clone().map_or(Ok(()), Err)
    }

    fn fail(&mut self, error: Error) -> Error {
        self.broken.get_or_insert(error).clone()
    }

    fn closed_in(&mut self, verb: Verb, received: u64) -> Error {
        self.fail(Error::Closed { verb, received })
    }

    /// Something came that no command asked for. Only a negative line is taken at its word, as a farewell.
    fn unasked(&mut self) -> Error {
        let unread = self.inbound.unread();
        let line = unread.split(|octet| *octet == b'\n').next().unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let farewell = Reply::parse(line, false, false).is_some_and(|reply| reply.status() == Status::Err);
        let repeats = self.answered.as_ref().is_some_and(|owed| owed.is_repeated_in(line));
        let sample = if repeats { Text::from(WITHHELD) } else { Text::sample(line) };
        self.fail(if farewell { Error::ServerClosing(sample) } else { Error::Unsolicited(sample) })
    }

    fn status_line(&mut self) -> Result<Option<Reply>, Error> {
        let Some(owed) = self.queue.front() else { return Ok(None) };
        let verb = owed.verb;
        let unread = self.inbound.unread();
        let continuation = matches!(verb, Verb::Auth | Verb::AuthResponse | Verb::Raw);
        let limit = match unread.first_chunk() {
            Some(b"+ ") if continuation => self.limits.challenge_line,
            _ => self.limits.response_line,
        };
        let Some(end) = memchr(b'\n', unread.get(..limit).unwrap_or(unread)) else {
            // Another protocol may never send a line end: look at what there is.
            let foreign = if verb == Verb::Greeting { Foreign::recognize(unread) } else { None };
            return match (foreign, unread.len()) {
                (Some(foreign), _) => Err(self.fail(Error::NotPop3(foreign))),
                (None, octets) if octets >= limit => Err(self.fail(Error::LineTooLong { limit })),
                (None, octets) if self.closed => {
                    Err(self.closed_in(verb, u64::try_from(octets).unwrap_or(u64::MAX)))
                }
                _ => Ok(None),
            };
        };
        let line = unread.get(..end).unwrap_or_default();
        let (line, bare) = line.strip_suffix(b"\r").map_or((line, true), |line| (line, false));
        let repeats = owed.is_repeated_in(line);
        let Some(reply) = Reply::parse(line, continuation, self.facts.response_codes) else {
            let sample = if repeats { Text::from(WITHHELD) } else { Text::sample(line) };
            let error = match verb {
                Verb::Greeting => {
                    Error::NotPop3(Foreign::recognize(line).unwrap_or(Foreign::Unknown(sample)))
                }
                _ => Error::NotAStatusLine(sample),
            };
            return Err(self.fail(error));
        };
        let Some(owed) = self.queue.pop_front() else { return Ok(None) };
        // A challenge is for the mechanism, which needs it as it is; it is never shown.
        let withheld = repeats && reply.status() != Status::Continue;
        let reply = if withheld { reply.withhold() } else { reply };
        self.leniencies.bare_lf_lines += u64::from(bare);
        self.inbound.consume(end + 1);
        self.facts.heard(&owed, reply.status(), self.queue.is_empty());
        if verb == Verb::Stls && self.facts.tls == Tls::Pending && !self.inbound.unread().is_empty() {
            // What follows the +OK before the handshake is not the server's word, whoever wrote it.
            return Err(self.fail(Error::PlaintextAfterStls));
        }
        let shape = owed.shape;
        self.answered = Some(owed);
        match shape {
            Shape::MultiLine if reply.is_ok() => {
                self.reading =
                    Reading::Listing { decoder: Decoder::default(), reply, data: Vec::new(), verb };
                self.reply()
            }
            Shape::Message if reply.is_ok() => {
                self.reading = Reading::Message { decoder: Decoder::default(), chunk: 0, received: 0, verb };
                Ok(Some(reply))
            }
            _ => Ok(Some(reply)),
        }
    }

    /// Skips the rest of a message; false while more input is needed.
    fn skip_message(&mut self) -> Result<bool, Error> {
        loop {
            let octets = match self.body()? {
                Body::Chunk(chunk) => chunk.len(),
                Body::NeedMore => return Ok(false),
                Body::End(_) => return Ok(true),
            };
            self.consume(octets);
            self.discarded = self.discarded.saturating_add(u64::try_from(octets).unwrap_or(u64::MAX));
            if self.discarded > self.limits.discard {
                return Err(self.fail(Error::Abandoned));
            }
        }
    }
}

impl Foreign {
    /// Recognizes another protocol by its first octets.
    fn recognize(octets: &[u8]) -> Option<Self> {
        match octets {
            [0x15 | 0x16, 3, ..] => Some(Self::Tls),
            [b'*', b' ', ..] => Some(Self::Imap),
            [b'2', b'2', b'0', b' ' | b'-', ..] => Some(Self::Smtp),
            [b'H', b'T', b'T', b'P', b'/', ..] => Some(Self::Http),
            _ => None,
        }
    }
}
