//! One connection, from accept to close.

mod capability;
mod download;
mod intake;
mod login;
mod mailbox;
mod replay;
mod sasl;
mod telling;

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use popwire_proto::sasl::ChannelBinding;
use popwire_proto::server::{Fault, Incoming, Machine, Request, State, answer};
use popwire_proto::{ResponseCode, apop};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use self::intake::Intake;
use self::mailbox::Mailbox;
use crate::admission::{Admission, Place};
use crate::answer::{Nth, Then};
use crate::event::Teller;
use crate::options::Options;
use crate::record::{Recorder, Records};
use crate::wire::{READ, Wire};
use crate::{Answer, CloseReason, Direction, Maildrop};

/// What all connections of a server have in common.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) records: Arc<Records>,
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) admission: Arc<Admission>,
    /// How many connections there have been.
    pub(crate) sessions: AtomicU64,
    /// Set when the server is to end: how long sessions may take to finish what they are at.
    pub(crate) stopping: watch::Receiver<Option<Duration>>,
    /// How often each script's command has come, in the server's life.
    pub(crate) occurrences: Vec<AtomicU64>,
    /// How many logins have had the right credentials.
    pub(crate) right_logins: AtomicU64,
    /// How many APOP timestamps have been given out.
    pub(crate) timestamps: AtomicU64,
    /// `tls-server-end-point` of the server's certificate.
    pub(crate) end_point: Option<ChannelBinding>,
    /// Certificates that were given to clients, in DER, and for which user.
    pub(crate) clients: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl Shared {
    /// Waits until the server is to end.
    async fn stopped(&self) {
        // An error means that the server is gone altogether.
        let _ = self.stopping.clone().wait_for(Option::is_some).await;
    }
}

/// Serves a client until the connection ends. May be dropped at any time: the lock is then released, and nothing that
/// is not being removed already will be.
pub(crate) async fn serve(
    stream: TcpStream,
    tls: bool,
    shared: Arc<Shared>,
    recorder: Recorder,
    teller: Teller,
    place: Place,
) {
    let timing = &shared.options.timing;
    if shared.options.quirks.input.small_send_buffer {
        intake::shrink(&stream);
    }
    let number = teller.session();
    let mut wire = Wire::new(stream, shared.options.segment, timing.segment_pause, timing.write, teller);
    wire.sabotage(shared.options.faults.sabotage(number));
    let occurrences = vec![0; shared.options.scripts.len()];
    let mut connection = Connection {
        wire,
        machine: Machine::new(),
        intake: Intake::default(),
        mailbox: None,
        timestamp: None,
        utf8: false,
        keyword: String::new(),
        argument: String::new(),
        occurrences,
        since: Instant::now(),
        failed_logins: 0,
        is_other_host: shared.options.quirks.capabilities.alternates && number.is_multiple_of(2),
        refusal: Vec::new(),
        claimed: None,
        why: None,
        recorder,
        shared,
    };
    let end = match connection.shared.options.transcript.clone() {
        None => connection.converse(tls).await,
        Some(transcript) => connection.replay(tls, &transcript).await,
    };
    // However it ended, there is nobody to answer: the client is gone, or is to be left.
    let then = match end {
        Ok(then) => then,
        Err(error) => {
            connection.ends_because(match error.kind() {
                io::ErrorKind::TimedOut => CloseReason::Stalled,
                _ => CloseReason::Broken,
            });
            connection.wire.ending().unwrap_or(Then::Cut)
        }
    };
    connection.ends_because(CloseReason::Server);
    connection.end(then).await;
    drop(place);
}

/// The order of the fields is the order in which they are dropped: the lock goes before the recording ends.
struct Connection {
    wire: Wire,
    machine: Machine,
    intake: Intake,
    /// The maildrop, once logged in.
    mailbox: Option<Mailbox>,
    /// The timestamp of the greeting, with which APOP digests are made.
    timestamp: Option<Vec<u8>>,
    /// Whether the client asked for UTF8 mode.
    utf8: bool,
    /// The keyword of the command being answered, in upper case.
    keyword: String,
    /// Its first argument, in upper case.
    argument: String,
    /// How often each script's command has come, in this session.
    occurrences: Vec<u64>,
    /// When the connection was accepted.
    since: Instant,
    /// How many logins have failed.
    failed_logins: u32,
    /// Whether this is the second of the hosts that answer by turns.
    is_other_host: bool,
    /// The last answer's first line, if it was `-ERR`.
    refusal: Vec<u8>,
    /// Whom the client last said to be.
    claimed: Option<Vec<u8>>,
    /// Why it ends, once that is known.
    why: Option<CloseReason>,
    recorder: Recorder,
    shared: Arc<Shared>,
}

impl Connection {
    async fn converse(&mut self, tls: bool) -> io::Result<Then> {
        self.machine.set_line_limit(self.command_line());
        if tls {
            self.start_tls().await?;
        }
        self.wire.begin_answer("GREETING").await?;
        let mut then = self.greet().await?;
        self.wire.end_answer().await?;
        loop {
            if then != Then::Continue {
                self.wire.flush().await?;
                return Ok(then);
            }
            if let Some(incoming) = self.machine.next_command() {
                let noted = self.note(&incoming);
                // On the heap while it lasts: a connection that waits need not have the room for the longest answer.
                then = Box::pin(self.answer(incoming)).await?;
                if let Some(noted) = noted {
                    self.tell(noted, then);
                }
                self.answered();
                self.wire.end_answer().await?;
                self.wire.flush_chunk().await?;
                continue;
            }
            if !self.hear().await? {
                return Ok(Then::Close);
            }
        }
    }

    /// Sends what there is to send, and waits for the client. `false` if nothing more will come.
    async fn hear(&mut self) -> io::Result<bool> {
        self.refuse_piece();
        self.wire.flush().await?;
        self.wire.rest();
        let patience = self.patience();
        let Self { wire, machine, intake, shared, .. } = self;
        let read = wire.read(|octets| intake.take_in(&shared.options.quirks.input, machine, octets));
        let why = tokio::select! {
            read = timeout(patience, read) => match read {
                Ok(Ok(read @ 1..)) => {
                    if read == READ {
                        // There is more, and it will not have to be waited for: others go first.
                        tokio::task::yield_now().await;
                    }
                    return Ok(!self.is_flooded());
                }
                Ok(Ok(0)) => CloseReason::Client,
                Ok(Err(error)) => return Err(error),
                Err(_) => {
                    self.autologout();
                    CloseReason::Idle
                }
            },
            () = shared.stopped() => CloseReason::Stopped,
        };
        self.ends_because(why);
        Ok(false)
    }

    /// Why the connection is about to end. The first reason counts.
    fn ends_because(&mut self, why: CloseReason) {
        self.why.get_or_insert(why);
    }

    /// The next line that is no command, without its line end; `None` if the client sends no more.
    async fn next_line(&mut self) -> io::Result<Option<Result<Vec<u8>, Fault>>> {
        loop {
            if let Some(line) = self.machine.next_line() {
                return Ok(Some(line));
            }
            if !self.hear().await? {
                return Ok(None);
            }
        }
    }

    /// After the last answer.
    async fn end(mut self, then: Then) {
        if then == Then::HalfClose {
            self.wire.shut_down().await;
        }
        if matches!(then, Then::Hang | Then::HalfClose) {
            self.hang().await;
        }
        if let Some(mailbox) = self.mailbox.take() {
            let lock_after = self.shared.options.quirks.login.lock_after_drop;
            if self.shared.options.delete_at_disconnect {
                mailbox.commit(usize::MAX).await;
            } else if !lock_after.is_zero() {
                tokio::spawn(async move {
                    sleep(lock_after).await;
                    drop(mailbox);
                });
            }
        }
        match then {
            Then::Continue | Then::Close | Then::Hang => self.wire.shut_down().await,
            Then::HalfClose => {}
            Then::Cut => self.wire.cut(),
            Then::Reset => self.wire.reset(),
        }
        let Self { mut wire, why, recorder, shared, .. } = self;
        wire.teller.closed(why.unwrap_or(CloseReason::Server));
        drop(recorder);
        tokio::select! {
            () = wire.linger() => {}
            // The server's end does not wait for clients.
            () = shared.stopped() => {}
        }
    }

    async fn greet(&mut self) -> io::Result<Then> {
        let mut greeting = match &self.shared.options.greeting {
            Some(greeting) => greeting.clone(),
            None => Answer::raw("+OK popwire-server ready\r\n"),
        };
        if self.shared.options.login.apop {
            if self.shared.options.greeting.is_none() {
                greeting = Answer::raw(format!("+OK popwire-server ready {}\r\n", self.make_timestamp()));
            }
            self.timestamp = apop::timestamp(&greeting.raw).map(<[u8]>::to_vec);
        }
        self.send(greeting).await
    }

    /// A msg-id that no connection had before (RFC 1939 section 7): the clock tells servers apart, the count connections.
    fn make_timestamp(&self) -> String {
        let count = self.shared.timestamps.fetch_add(1, Ordering::Relaxed);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        format!("<{}.{}.{count}@localhost>", std::process::id(), now.as_nanos())
    }

    async fn answer(&mut self, incoming: Incoming) -> io::Result<Then> {
        let line = incoming.line();
        self.record(Direction::Client, line);
        let command = String::from_utf8_lossy(line).trim_end().to_ascii_uppercase();
        let mut words = command.split(' ');
        self.keyword = words.next().unwrap_or_default().to_owned();
        self.argument = words.next().unwrap_or_default().to_owned();
        if self.wire.begin_answer(&self.keyword).await? {
            self.err(None, "refused");
            return Ok(Then::Continue);
        }
        if let Some(objection) = self.objection(incoming.line()) {
            self.err(None, objection);
            return Ok(Then::Continue);
        }
        let Some(script) = self.script(&command) else {
            return self.carry_out(incoming.into_request()).await;
        };
        let mut then = Then::Continue;
        if script.effective {
            let before = self.wire.out.len();
            then = self.carry_out(incoming.into_request()).await?;
            self.wire.out.truncate(before);
        }
        match self.send(script).await? {
            Then::Continue => Ok(then),
            then => Ok(then),
        }
    }

    /// The script that applies to a command, if any. Each counts its own occurrences.
    fn script(&mut self, command: &str) -> Option<Answer> {
        let scripts = self.shared.options.scripts.iter();
        let counts = self.occurrences.iter_mut().zip(&self.shared.occurrences);
        let mut found = None;
        for ((beginning, answer), (in_session, in_server)) in scripts.zip(counts) {
            let rest = command.strip_prefix(beginning.as_str());
            if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' ')) {
                continue;
            }
            *in_session += 1;
            let in_server = in_server.fetch_add(1, Ordering::Relaxed) + 1;
            let applies = match answer.nth {
                Nth::Every => true,
                Nth::InSession(n) => n == *in_session,
                Nth::FromInSession(n) => n <= *in_session,
                Nth::InServer(n) => n == in_server,
            };
            if applies && found.is_none() {
                found = Some(answer.clone());
            }
        }
        found
    }

    /// Sends octets as they are.
    async fn send(&mut self, answer: Answer) -> io::Result<Then> {
        self.pause(answer.after).await?;
        let start = self.wire.out.len();
        self.wire.out.extend_from_slice(&answer.raw);
        self.record_answer(start);
        Ok(answer.then)
    }

    /// Lets the next answer wait.
    async fn pause(&mut self, time: Duration) -> io::Result<()> {
        if !time.is_zero() {
            // Answers to earlier commands do not wait with it.
            self.wire.flush().await?;
            sleep(time).await;
        }
        Ok(())
    }

    async fn carry_out(&mut self, request: Result<Request, Fault>) -> io::Result<Then> {
        let request = match request {
            Ok(request) => {
                self.made_sense();
                request
            }
            Err(fault) => return Ok(self.refuse_line(fault)),
        };
        match request {
            Request::User { name } => self.user(name),
            Request::Pass { password } => return self.pass(&password).await,
            Request::Apop { name, digest } => return self.apop(&name, &digest).await,
            Request::Rpop { user } => return self.rpop(user).await,
            Request::Auth { mechanism, initial } => return self.auth(mechanism.as_deref(), initial).await,
            Request::Stat => self.stat(),
            Request::List { message } => return self.list(message).await,
            Request::Uidl { message } => return self.uidl(message).await,
            Request::Retr { message } => return self.retr(message).await,
            Request::Top { message, lines } => return self.top(message, lines).await,
            Request::Dele { message } => self.dele(message).await?,
            Request::Rset => self.rset(),
            Request::Noop => self.ok("nothing done"),
            Request::Last => self.last(),
            Request::Capa => self.capa(),
            Request::Utf8 => self.utf8(),
            Request::Lang { tag } => self.lang(tag.as_deref()),
            Request::Stls => return self.stls().await,
            Request::Quit => return self.quit().await,
            _ => self.err(None, "not implemented"),
        }
        Ok(Then::Continue)
    }

    async fn stls(&mut self) -> io::Result<Then> {
        if !self.shared.options.tls.stls {
            self.err(None, "STLS is not offered");
            return Ok(Then::Continue);
        }
        let carries_on = self.shared.options.quirks.transport.carries_on_after_stls;
        if let Err(pipelined) = self.machine.begin_tls()
            && !carries_on
        {
            self.err(None, &pipelined.to_string());
            return Ok(Then::Close);
        }
        self.ok("begin TLS");
        self.wire.out.extend_from_slice(&self.shared.options.tls.inject_after_stls);
        self.wire.flush().await?;
        self.start_tls().await?;
        Ok(Then::Continue)
    }

    async fn start_tls(&mut self) -> io::Result<()> {
        // Boxed for the sake of connections that wait, as answers are.
        let handshake = self.wire.start_tls(&self.shared.acceptor, self.shared.options.timing.handshake);
        if let Err(error) = Box::pin(handshake).await {
            self.ends_because(CloseReason::Handshake);
            return Err(error);
        }
        let wants_sni = self.shared.options.quirks.transport.wants_sni;
        if wants_sni && self.wire.tls().is_some_and(|tls| tls.server_name().is_none()) {
            self.ends_because(CloseReason::Handshake);
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let smuggled = self.machine.take_input();
        self.machine.tls_started();
        self.intake = Intake::default();
        if self.shared.options.quirks.transport.carries_on_after_stls {
            self.machine.receive(&smuggled);
        }
        self.utf8 = false;
        self.tell_tls();
        Ok(())
    }

    async fn quit(&mut self) -> io::Result<Then> {
        self.ends_because(CloseReason::Quit);
        if self.machine.quit() == State::Update {
            return self.update().await;
        }
        self.ok("signing off");
        Ok(Then::Close)
    }

    /// Waits until the client goes away, or the idle timer runs out.
    async fn hang(&mut self) {
        let idle = self.shared.options.timing.idle;
        while let Ok(Ok(1..)) = timeout(idle, self.wire.read(|_| ())).await {}
    }

    /// Says `+OK text`, where the text is for people.
    fn ok(&mut self, text: impl AsRef<[u8]>) {
        let options = &self.shared.options;
        match options.texts.answer(&self.keyword) {
            _ if options.quirks.capabilities.bare_ok => self.ok_with(""),
            Some(template) => self.ok_with(self.filled_in(template)),
            None => self.ok_with(text),
        }
    }

    /// Says `+OK data`, where the data are for the client; or what a test wants said in its place.
    fn ok_with(&mut self, data: impl AsRef<[u8]>) {
        let start = self.wire.out.len();
        match self.shared.options.headings.get(&self.keyword) {
            None => answer::ok(&mut self.wire.out, data),
            Some(heading) => {
                self.wire.out.extend_from_slice(heading);
                self.wire.out.extend_from_slice(b"\r\n");
            }
        }
        self.record_answer(start);
    }

    /// Says `-ERR [code] text`, without the code if this kind of code has not been announced (RFC 2449 section 6.4,
    /// RFC 3206 section 6).
    fn err(&mut self, code: Option<ResponseCode>, text: &str) {
        let capability = if code == Some(ResponseCode::Auth) { "AUTH-RESP-CODE" } else { "RESP-CODES" };
        let code = code.filter(|_| self.announces(capability));
        let start = self.wire.out.len();
        match self.shared.options.texts.refusal(text) {
            // It has a code of its own, announced or not.
            Some(words) if words.starts_with('[') => {
                self.wire.out.extend_from_slice(format!("-ERR {words}\r\n").as_bytes());
            }
            Some(template) => {
                let words = self.filled_in(template);
                answer::err(&mut self.wire.out, code.as_ref(), words);
            }
            None => answer::err(&mut self.wire.out, code.as_ref(), text),
        }
        self.intake.refused = true;
        self.record_answer(start);
    }

    /// A personality's text.
    fn filled_in(&self, template: &str) -> String {
        let (count, octets) = self.mailbox.as_ref().map(Mailbox::totals).unwrap_or_default();
        let text = template.replace("{count}", &count.to_string()).replace("{octets}", &octets.to_string());
        text.replace("{argument}", &self.argument)
    }

    /// Records what has been written since `start`, the status line first, before the client can see it: a test that
    /// has the answer finds it recorded.
    fn record_answer(&mut self, start: usize) {
        let written = self.wire.out.get(start..).unwrap_or_default();
        let line = written.iter().position(|octet| *octet == b'\n').map_or(written.len(), |at| at + 1);
        let (line, rest) = written.split_at_checked(line).unwrap_or((written, &[]));
        if !line.is_empty() {
            self.refusal.clear();
            if line.starts_with(b"-") {
                self.refusal.extend_from_slice(line);
            }
            self.record(Direction::Server, line);
            self.recorder.more(rest);
        }
    }

    /// Records what has been written since `start` as the rest of the last answer.
    fn record_rest(&self, start: usize) {
        self.recorder.more(self.wire.out.get(start..).unwrap_or_default());
    }

    fn record(&self, direction: Direction, line: &[u8]) {
        self.recorder.line(direction, line, self.machine.state(), self.machine.is_tls());
    }
}

/// Lets `work` use a maildrop's store, on a thread that may wait for a disk.
async fn with_store<T, W>(maildrop: &Maildrop, work: W) -> io::Result<T>
where
    T: Send + 'static,
    W: FnOnce(&Maildrop) -> T + Send + 'static,
{
    if !maildrop.store().blocks() {
        return Ok(work(maildrop));
    }
    let maildrop = maildrop.clone();
    tokio::task::spawn_blocking(move || work(&maildrop)).await.map_err(io::Error::other)
}
