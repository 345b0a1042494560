//! The blocking pump: moves octets between the protocol core and the connection, until each deadline.

use std::io;
use std::time::{Duration, Instant};

use popwire_proto::command::StlsCommand;
use popwire_proto::{Command, OutOfOrder, Reply, Verb};

use super::stream::{Stream, Transport, connect_tcp};
use crate::conversation::{Conversation, Heard, Next};
use crate::core::Core;
use crate::pipeline::{Queue, Standing, Trial};
use crate::tls::problem;
use crate::{Connector, Error, Result, Security};

#[derive(Debug)]
pub(super) struct Pump {
    pub(super) core: Core,
    stream: Stream,
    /// Kept for a handshake that comes later.
    connector: Connector,
    epoch: Instant,
}

impl Pump {
    pub(super) fn connect(connector: &Connector) -> Result<Self> {
        let epoch = Instant::now();
        Self::start(Box::new(connect_tcp(connector)?), connector, epoch)
    }

    pub(super) fn over(transport: Box<dyn Transport>, connector: &Connector) -> Result<Self> {
        Self::start(transport, connector, Instant::now())
    }

    fn start(transport: Box<dyn Transport>, connector: &Connector, epoch: Instant) -> Result<Self> {
        let mut pump = Self {
            core: Core::new(connector),
            stream: Stream::new(transport),
            connector: connector.clone(),
            epoch,
        };
        if connector.security == Security::Tls {
            pump.handshake()?;
        }
        Ok(pump)
    }

    /// The time since the session began.
    pub(super) fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// A command and its answer.
    pub(super) fn call<C: Command>(&mut self, command: &C) -> Result<C::Answer> {
        let reply = self.exchange(command)?;
        self.core.decode(command, reply)
    }

    /// A command and its reply, negative or not.
    pub(super) fn exchange<C: Command>(&mut self, command: &C) -> Result<Reply> {
        self.leave_login()?;
        self.say(command)
    }

    /// Commands in one write, and the reply to each, negative or not (RFC 2449 section 6.6).
    pub(super) fn exchange_all<C: Command>(&mut self, commands: &[C]) -> Result<Vec<Reply>> {
        self.leave_login()?;
        self.send_together(commands)?;
        commands.iter().map(|_| self.reply()).collect()
    }

    /// STLS with octets of the caller's behind it in the same write, and the handshake: false if STLS is refused. A server
    /// has to forget what came before the handshake (RFC 2595 section 4).
    pub(super) fn handshake_over(&mut self, octets: &[u8]) -> Result<bool> {
        self.get_in_step()?;
        self.core.submit(&StlsCommand, self.epoch.elapsed())?;
        let together = [self.core.machine.unsent(), octets].concat();
        self.core.machine.sent(usize::MAX);
        self.stream.set_deadline(self.epoch + self.core.watch.deadline(self.now()).0);
        match self.stream.write(&together) {
            Ok(written) if written == together.len() => {}
            Ok(_) => {
                return Err(self
                    .core
                    .lost(problem("writing to the server", io::ErrorKind::WriteZero.into())));
            }
            Err(e) => return Err(self.core.lost(problem("writing to the server", e))),
        }
        let accepted = self.reply()?.is_ok();
        if accepted {
            self.handshake()?;
        }
        Ok(accepted)
    }

    /// One command, within a conversation or within what is left of one.
    fn say<C: Command>(&mut self, command: &C) -> Result<Reply> {
        self.get_in_step()?;
        self.core.submit(command, self.now())?;
        self.flush()?;
        self.reply()
    }

    /// A command whose reply nobody waits for.
    pub(super) fn say_unheard<C: Command>(&mut self, command: &C) -> Result<()> {
        self.leave_login()?;
        self.send_together(std::slice::from_ref(command))
    }

    /// Commands in one write.
    fn send_together<C: Command>(&mut self, commands: &[C]) -> Result<()> {
        self.get_in_step()?;
        commands.iter().try_for_each(|command| self.core.submit(command, self.epoch.elapsed()))?;
        self.flush()
    }

    /// A command behind others whose answers are owed.
    fn send_behind<C: Command>(&mut self, command: &C) -> Result<()> {
        self.core.submit(command, self.now())?;
        self.flush()
    }

    /// The next reply that is owed; with patience, a silence before it is told.
    fn hear(&mut self, patience: bool) -> Result<Heard> {
        self.core.resume(self.now());
        if patience {
            self.core.watch.limit_patience();
        }
        let verb = self.core.machine.awaiting().unwrap_or(Verb::Raw);
        loop {
            if let Some(reply) = self.core.reply()? {
                return Ok(Heard::Reply(verb, reply));
            }
            if self.core.watch.is_out_of_patience() {
                return Ok(Heard::Silence);
            }
            self.fill()?;
        }
    }

    /// The next command of a queue, and the reply to it, negative or not; nothing when it is through.
    pub(super) fn next_of<I>(&mut self, queue: &mut Queue<I>) -> Option<(I::Item, Result<Reply>)>
    where
        I: Iterator<Item: Command>,
    {
        if queue.is_over() {
            return None;
        }
        match self.advance(queue) {
            Ok(reply) => {
                let (command, fault) = queue.answered()?;
                let result = match (fault, reply) {
                    (Some(fault), _) => Err(fault),
                    (None, reply) => reply.ok_or_else(|| OutOfOrder::NoMessage.into()),
                };
                Some((command, result))
            }
            Err(error) => Some((queue.end()?, Err(error))),
        }
    }

    /// Sends what may be sent, and waits for the reply to the command whose turn it is; none if it could not be sent.
    fn advance<I>(&mut self, queue: &mut Queue<I>) -> Result<Option<Reply>>
    where
        I: Iterator<Item: Command>,
    {
        if queue.is_new() {
            self.leave_login()?;
            let may = self.core.may_pipeline() && queue.is_worth_a_trial();
            if may && self.core.standing == Standing::Untried {
                self.converse(Trial::new())?;
            }
            queue.begin((may && self.core.may_pipeline()).then_some(self.core.window));
        }
        if queue.is_idle() {
            self.get_in_step()?;
        }
        queue.write_ahead(&mut self.core, self.epoch.elapsed())?;
        self.flush()?;
        if queue.is_owed() != Some(true) {
            return Ok(None);
        }
        self.core.resume(self.now());
        self.reply().map(Some)
    }

    /// Before a command goes out when nothing is owed: skips what a caller gave up on, and finds what nobody asked for.
    fn get_in_step(&mut self) -> Result<()> {
        self.settle()?;
        self.overhear()
    }

    /// Goes through a conversation.
    pub(super) fn converse<C: Conversation>(&mut self, mut conversation: C) -> Result<C::Output> {
        self.leave_login()?;
        let mut heard = Heard::Nothing;
        loop {
            let step = match conversation.next(&mut self.core, heard)? {
                Next::Say(command) => self.say(&command).map(|reply| Heard::Reply(command.verb(), reply)),
                Next::Together(commands) => self.send_together(&commands).map(|()| Heard::Nothing),
                Next::Behind(command) => self.send_behind(&command).map(|()| Heard::Nothing),
                Next::Hear { patience } => self.hear(patience),
                Next::Listen => self.reply().map(|reply| Heard::Reply(Verb::Greeting, reply)),
                Next::Handshake => self.handshake().map(|()| Heard::Nothing),
                Next::Work(work) => Ok(Heard::Worked(work.run())),
                Next::Done => break,
            };
            heard = step.map_err(|error| conversation.failed(&mut self.core, error))?;
        }
        conversation.output().ok_or_else(|| Error::configuration("a conversation ended without a result"))
    }

    /// Waits until octets came, or a deadline passed that is no failure.
    pub(super) fn fill(&mut self) -> Result<()> {
        self.read(None).map(drop)
    }

    /// As [`fill`](Self::fill), into memory of the caller's, and returns how many octets came.
    pub(super) fn fill_elsewhere(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.read(Some(buffer))
    }

    fn read(&mut self, elsewhere: Option<&mut [u8]>) -> Result<usize> {
        let begun = self.now();
        if let Some(wait) = self.core.watch.expired(begun) {
            return self.core.passed(wait, begun).map(|()| 0);
        }
        let (at, wait) = self.core.watch.deadline(begun);
        self.stream.set_deadline(self.epoch + at);
        let is_elsewhere = elsewhere.is_some();
        let read = self.stream.read(elsewhere.unwrap_or_else(|| self.core.machine.space()));
        let now = self.epoch.elapsed();
        self.core.watch.waited(now.saturating_sub(begun));
        match read {
            Ok(octets) => {
                if is_elsewhere {
                    self.core.filled_elsewhere(octets, now);
                } else {
                    self.core.filled(octets, now);
                }
                Ok(octets)
            }
            Err(e) if is_timeout(&e) && now < at => Ok(0),
            Err(e) if is_timeout(&e) => self.core.passed(wait, now).map(|()| 0),
            Err(e) => Err(self.core.lost(problem("reading from the server", e))),
        }
    }

    /// The session's last octets, if they can be sent.
    pub(super) fn close(&mut self) {
        self.stream.set_deadline(Instant::now() + Duration::from_secs(1));
        self.stream.close();
    }

    /// Brings the session into step, after a caller gave up on an answer.
    fn settle(&mut self) -> Result<()> {
        if !self.core.machine.is_settled() {
            self.core.resume(self.now());
            self.flush()?;
            while !self.core.machine.settle()? {
                self.fill()?;
            }
        }
        Ok(())
    }

    /// Takes back an AUTH exchange that a login left open when its caller gave it up.
    fn leave_login(&mut self) -> Result<()> {
        if self.core.login.is_some() {
            self.settle()?;
            if let Some(cancel) = self.core.leave_login()? {
                self.say(&cancel)?;
            }
        }
        Ok(())
    }

    /// Takes in what waits in the socket before a command goes out: nothing may, since nothing is owed. A farewell of the
    /// server's, or words that somebody put there to be taken for the next answer, are found so.
    fn overhear(&mut self) -> Result<()> {
        match self.stream.read_waiting(self.core.machine.space()) {
            Ok(None) => {}
            Ok(Some(octets)) => self.core.filled(octets, self.epoch.elapsed()),
            Err(e) => return Err(self.core.lost(problem("reading from the server", e))),
        }
        Ok(())
    }

    fn reply(&mut self) -> Result<Reply> {
        loop {
            if let Some(reply) = self.core.reply()? {
                return Ok(reply);
            }
            self.fill()?;
        }
    }

    fn flush(&mut self) -> Result<()> {
        while !self.core.machine.unsent().is_empty() {
            let begun = self.now();
            let (at, wait) = self.core.watch.deadline(begun);
            self.stream.set_deadline(self.epoch + at);
            let written = self.stream.write(self.core.machine.unsent());
            let now = self.epoch.elapsed();
            self.core.watch.waited(now.saturating_sub(begun));
            match written {
                Ok(octets) => self.core.machine.sent(octets),
                Err(e) if is_timeout(&e) && now < at => {}
                Err(e) if is_timeout(&e) => return self.core.passed(wait, now),
                // The server has hung up. It may have said why: its last words are still to be read.
                Err(e) if is_hang_up(&e) => self.core.machine.sent(usize::MAX),
                Err(e) => return Err(self.core.lost(problem("writing to the server", e))),
            }
        }
        Ok(())
    }

    fn handshake(&mut self) -> Result<()> {
        self.stream.set_deadline(self.epoch + self.connector.timeouts.until_handshaken(self.now()));
        match self.stream.handshake(&self.connector) {
            Ok(established) => self.core.tls_started(established),
            Err(e) => Err(self.core.lost(e)),
        }
    }
}

pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}

pub(super) fn is_hang_up(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}
