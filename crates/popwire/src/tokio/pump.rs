//! The async pump: moves octets between the protocol core and the connection, until each deadline.
//!
//! All state lies in the core and in here, none in the futures: a future that is dropped loses nothing.

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use popwire_proto::command::StlsCommand;
use popwire_proto::{Command, OutOfOrder, Reply, Verb};
use tokio::io::ReadBuf;
use tokio::time::{Instant, Sleep, sleep_until};

use super::stream::{Stream, Transport, connect};
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
    timer: Pin<Box<Sleep>>,
    /// When the wait that is under way began.
    waiting_since: Option<Duration>,
}

impl Pump {
    pub(super) async fn connect(connector: &Connector) -> Result<Self> {
        let epoch = Instant::now();
        Self::start(Box::new(connect(connector).await?), connector, epoch).await
    }

    pub(super) async fn over(transport: Box<dyn Transport>, connector: &Connector) -> Result<Self> {
        Self::start(transport, connector, Instant::now()).await
    }

    async fn start(transport: Box<dyn Transport>, connector: &Connector, epoch: Instant) -> Result<Self> {
        let mut pump = Self {
            core: Core::new(connector),
            stream: Stream::Plain(transport),
            connector: connector.clone(),
            epoch,
            timer: Box::pin(sleep_until(epoch)),
            waiting_since: None,
        };
        if connector.security == Security::Tls {
            pump.handshake().await?;
        }
        Ok(pump)
    }

    /// The time since the session began.
    pub(super) fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// A command and its answer.
    pub(super) async fn call<C: Command>(&mut self, command: &C) -> Result<C::Answer> {
        let reply = self.exchange(command).await?;
        self.core.decode(command, reply)
    }

    /// A command and its reply, negative or not.
    pub(super) async fn exchange<C: Command>(&mut self, command: &C) -> Result<Reply> {
        self.leave_login().await?;
        self.say(command).await
    }

    /// Commands in one write, and the reply to each, negative or not (RFC 2449 section 6.6).
    pub(super) async fn exchange_all<C: Command>(&mut self, commands: &[C]) -> Result<Vec<Reply>> {
        self.leave_login().await?;
        self.send_together(commands).await?;
        let mut replies = Vec::with_capacity(commands.len());
        for _ in commands {
            replies.push(self.reply().await?);
        }
        Ok(replies)
    }

    /// STLS with octets of the caller's behind it in the same write, and the handshake: false if STLS is refused. A server
    /// has to forget what came before the handshake (RFC 2595 section 4).
    pub(super) async fn handshake_over(&mut self, octets: &[u8]) -> Result<bool> {
        self.settle().await?;
        poll_fn(|cx| self.poll_overhear(cx)).await?;
        self.core.submit(&StlsCommand, self.epoch.elapsed())?;
        let together = [self.core.machine.unsent(), octets].concat();
        self.core.machine.sent(usize::MAX);
        self.waiting_since = None;
        let written = poll_fn(|cx| match self.stream.poll_write(cx, &together) {
            Poll::Ready(Err(e)) => Poll::Ready(Err(self.core.lost(problem("writing to the server", e)))),
            Poll::Ready(Ok(octets)) => Poll::Ready(Ok(octets)),
            Poll::Pending => self.poll_deadline(cx).map_ok(|()| 0),
        })
        .await?;
        if written < together.len() {
            return Err(self.core.lost(problem("writing to the server", io::ErrorKind::WriteZero.into())));
        }
        let accepted = self.reply().await?.is_ok();
        if accepted {
            self.handshake().await?;
        }
        Ok(accepted)
    }

    /// One command, within a conversation or within what is left of one.
    async fn say<C: Command>(&mut self, command: &C) -> Result<Reply> {
        self.get_in_step().await?;
        self.core.submit(command, self.epoch.elapsed())?;
        self.waiting_since = None;
        self.flush().await?;
        self.reply().await
    }

    /// A command whose reply nobody waits for.
    pub(super) async fn say_unheard<C: Command>(&mut self, command: &C) -> Result<()> {
        self.leave_login().await?;
        self.send_together(std::slice::from_ref(command)).await
    }

    /// Commands in one write.
    async fn send_together<C: Command>(&mut self, commands: &[C]) -> Result<()> {
        self.get_in_step().await?;
        commands.iter().try_for_each(|command| self.core.submit(command, self.epoch.elapsed()))?;
        self.waiting_since = None;
        self.flush().await
    }

    /// A command behind others whose answers are owed.
    async fn send_behind<C: Command>(&mut self, command: &C) -> Result<()> {
        self.core.submit(command, self.epoch.elapsed())?;
        self.waiting_since = None;
        self.flush().await
    }

    /// The next reply that is owed; with patience, a silence before it is told.
    async fn hear(&mut self, patience: bool) -> Result<Heard> {
        self.resume();
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
            poll_fn(|cx| self.poll_fill(cx)).await?;
        }
    }

    /// The next command of a queue, and the reply to it, negative or not; nothing when it is through.
    pub(super) async fn next_of<I>(&mut self, queue: &mut Queue<I>) -> Option<(I::Item, Result<Reply>)>
    where
        I: Iterator<Item: Command>,
    {
        if queue.is_over() {
            return None;
        }
        match self.advance(queue).await {
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
    async fn advance<I>(&mut self, queue: &mut Queue<I>) -> Result<Option<Reply>>
    where
        I: Iterator<Item: Command>,
    {
        if queue.is_new() {
            self.leave_login().await?;
            let may = self.core.may_pipeline() && queue.is_worth_a_trial();
            if may && self.core.standing == Standing::Untried {
                self.converse(Trial::new()).await?;
            }
            queue.begin((may && self.core.may_pipeline()).then_some(self.core.window));
        }
        if queue.is_idle() {
            self.get_in_step().await?;
        }
        queue.write_ahead(&mut self.core, self.epoch.elapsed())?;
        self.resume();
        self.flush().await?;
        if queue.is_owed() != Some(true) {
            return Ok(None);
        }
        self.reply().await.map(Some)
    }

    /// Takes up the wait for what is owed.
    fn resume(&mut self) {
        self.core.resume(self.epoch.elapsed());
        self.waiting_since = None;
    }

    /// Before a command goes out when nothing is owed: skips what a caller gave up on, and finds what nobody asked for.
    async fn get_in_step(&mut self) -> Result<()> {
        self.settle().await?;
        // The runtime learns what a socket has while tasks wait: the caller may have kept it from doing so for long.
        tokio::task::yield_now().await;
        poll_fn(|cx| self.poll_overhear(cx)).await
    }

    /// Goes through a conversation.
    pub(super) async fn converse<C: Conversation>(&mut self, mut conversation: C) -> Result<C::Output> {
        self.leave_login().await?;
        let mut heard = Heard::Nothing;
        loop {
            let step = match conversation.next(&mut self.core, heard)? {
                Next::Say(command) => {
                    self.say(&command).await.map(|reply| Heard::Reply(command.verb(), reply))
                }
                Next::Together(commands) => self.send_together(&commands).await.map(|()| Heard::Nothing),
                Next::Behind(command) => self.send_behind(&command).await.map(|()| Heard::Nothing),
                Next::Hear { patience } => self.hear(patience).await,
                Next::Listen => self.reply().await.map(|reply| Heard::Reply(Verb::Greeting, reply)),
                Next::Handshake => self.handshake().await.map(|()| Heard::Nothing),
                Next::Work(work) => elsewhere(|| work.run()).await.map(Heard::Worked),
                Next::Done => break,
            };
            heard = step.map_err(|error| conversation.failed(&mut self.core, error))?;
        }
        conversation.output().ok_or_else(|| Error::configuration("a conversation ended without a result"))
    }

    /// Ready when octets came, or when a deadline passed that is no failure.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let now = self.epoch.elapsed();
        if let Some(wait) = self.core.watch.expired(now) {
            return Poll::Ready(self.core.passed(wait, now));
        }
        let mut buffer = ReadBuf::new(self.core.machine.space());
        match self.stream.poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(())) => {
                let octets = buffer.filled().len();
                self.waited();
                self.core.filled(octets, self.epoch.elapsed());
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(e)) => Poll::Ready(Err(self.core.lost(problem("reading from the server", e)))),
            Poll::Pending => self.poll_deadline(cx),
        }
    }

    /// As [`poll_fill`](Self::poll_fill), into memory of the caller's.
    pub(super) fn poll_fill_elsewhere(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let now = self.epoch.elapsed();
        if let Some(wait) = self.core.watch.expired(now) {
            return Poll::Ready(self.core.passed(wait, now));
        }
        match self.stream.poll_read(cx, buffer) {
            Poll::Ready(Ok(())) => {
                self.waited();
                self.core.filled_elsewhere(buffer.filled().len(), self.epoch.elapsed());
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(e)) => Poll::Ready(Err(self.core.lost(problem("reading from the server", e)))),
            Poll::Pending => self.poll_deadline(cx),
        }
    }

    /// The session's last octets, if they can be sent.
    pub(super) async fn close(&mut self) {
        let shutdown = poll_fn(|cx| self.stream.poll_shutdown(cx));
        let _ = tokio::time::timeout(Duration::from_secs(1), shutdown).await;
    }

    /// Brings the session into step, after a caller gave up on an answer.
    async fn settle(&mut self) -> Result<()> {
        if !self.core.machine.is_settled() {
            self.resume();
            self.flush().await?;
            while !self.core.machine.settle()? {
                poll_fn(|cx| self.poll_fill(cx)).await?;
            }
        }
        Ok(())
    }

    /// Takes back an AUTH exchange that a login left open when its caller gave it up.
    async fn leave_login(&mut self) -> Result<()> {
        if self.core.login.is_some() {
            self.settle().await?;
            if let Some(cancel) = self.core.leave_login()? {
                self.say(&cancel).await?;
            }
        }
        Ok(())
    }

    async fn reply(&mut self) -> Result<Reply> {
        loop {
            if let Some(reply) = self.core.reply()? {
                return Ok(reply);
            }
            poll_fn(|cx| self.poll_fill(cx)).await?;
        }
    }

    async fn flush(&mut self) -> Result<()> {
        poll_fn(|cx| self.poll_send(cx)).await
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            let unsent = self.core.machine.unsent();
            let sent = if unsent.is_empty() {
                self.stream.poll_flush(cx).map_ok(|()| None)
            } else {
                self.stream.poll_write(cx, unsent).map_ok(Some)
            };
            match sent {
                Poll::Ready(Ok(None)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(Some(octets))) => self.core.machine.sent(octets),
                // The server has hung up. It may have said why: its last words are still to be read.
                Poll::Ready(Err(e)) if is_hang_up(&e) => {
                    self.core.machine.sent(usize::MAX);
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Err(e)) => {
                    return Poll::Ready(Err(self.core.lost(problem("writing to the server", e))));
                }
                Poll::Pending => ready!(self.poll_deadline(cx))?,
            }
        }
    }

    /// Takes in what waits in the socket before a command goes out: nothing may, since nothing is owed. A farewell of the
    /// server's, or words that somebody put there to be taken for the next answer, are found so.
    fn poll_overhear(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let mut buffer = ReadBuf::new(self.core.machine.space());
        match self.stream.poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(())) => {
                let octets = buffer.filled().len();
                self.core.filled(octets, self.epoch.elapsed());
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(e)) => Poll::Ready(Err(self.core.lost(problem("reading from the server", e)))),
            Poll::Pending => Poll::Ready(Ok(())),
        }
    }

    /// Ready when a deadline passes; the wait began when this was polled first.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let since = *self.waiting_since.get_or_insert(self.epoch.elapsed());
        let (at, wait) = self.core.watch.deadline(since);
        let at = self.epoch + at;
        if self.timer.deadline() != at {
            self.timer.as_mut().reset(at);
        }
        ready!(self.timer.as_mut().poll(cx));
        self.waited();
        Poll::Ready(self.core.passed(wait, self.epoch.elapsed()))
    }

    /// The wait is over.
    fn waited(&mut self) {
        if let Some(since) = self.waiting_since.take() {
            self.core.watch.waited(self.epoch.elapsed().saturating_sub(since));
        }
    }

    async fn handshake(&mut self) -> Result<()> {
        let until = self.epoch + self.connector.timeouts.until_handshaken(self.now());
        match self.stream.handshake(&self.connector, until).await {
            Ok(established) => self.core.tls_started(established),
            Err(e) => Err(self.core.lost(e)),
        }
    }
}

/// On a thread that may block, so that the runtime's other tasks go on.
pub(super) async fn elsewhere<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done),
        Err(e) if e.is_panic() => std::panic::resume_unwind(e.into_panic()),
        Err(e) => Err(Error::io("working on the login", e.into())),
    }
}

pub(super) fn is_hang_up(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}
