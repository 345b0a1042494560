//! What both pumps share: everything of a session that needs neither a socket nor a clock of its own.

use std::time::Duration;

use popwire_proto as proto;
use proto::command::{AuthResponseCommand, CapaCommand};
use proto::listing::Capabilities;
use proto::sasl::{self, ChannelBinding};
use proto::{Body, Command, End, IrregularEnd, Reply, State, Verb};

use crate::error::{Kind, Policy, Refusal};
use crate::login::{Method, asks_for_patience, classify, lacks_command};
use crate::pipeline::Standing;
use crate::timeouts::{Wait, Watch};
use crate::tls::Established;
use crate::trace::{Trace, TraceEvent};
use crate::{Connector, Error, Farewell, Pipelining, Result, Security, TlsInfo, Window};

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) machine: proto::Client,
    pub(crate) watch: Watch,
    pub(crate) trace: Trace,
    pub(crate) capabilities: Capabilities,
    /// The server's name and port, as the caller knows them.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// What a login may be bound to.
    pub(crate) binding: Option<ChannelBinding>,
    greeting: Reply,
    tls: Option<TlsInfo>,
    security: Security,
    unverified_login: bool,
    shows_certificate: bool,
    masked: Vec<String>,
    /// Whether conversations ask for capabilities.
    pub(crate) capa: bool,
    pipelining: Pipelining,
    pub(crate) window: Window,
    pub(crate) standing: Standing,
    /// How many octets of the message that is being read, or was read last, were taken.
    octets: Option<u64>,
    /// A login has begun and not ended: either it goes on, or its caller gave it up.
    pub(crate) login: Option<OpenLogin>,
    /// The way by which a login came to its end.
    pub(crate) logged_in_by: Option<Method>,
}

/// What a login would make of its next answer.
#[derive(Debug, Default)]
pub(crate) struct OpenLogin {
    /// The server has not proved yet what it has to.
    pub(crate) ok_is_early: bool,
    /// It was found out, and is being told that this is the end.
    pub(crate) untrusted: Option<sasl::Error>,
}

/// A reader with so much room is read into directly. With less, a read of the size of our own buffer is cheaper.
pub(crate) const WORTH_READING_WITHIN: usize = 64 << 10;

/// Where the reader of a message stands.
pub(crate) enum Progress {
    /// There are octets to be had by [`Core::chunk`].
    Chunk,
    /// More input is needed.
    NeedMore,
    /// The message is complete.
    Complete,
    /// The message has ended, in a form that may mean that it was cut short.
    Irregular(IrregularEnd),
}

impl Core {
    pub(crate) fn new(connector: &Connector) -> Self {
        Self {
            machine: proto::Client::new(connector.limits.clone()),
            watch: Watch::new(connector.timeouts.clone()),
            trace: connector.trace.clone(),
            capabilities: Capabilities::default(),
            host: connector.host.clone(),
            port: connector.effective_port(),
            binding: None,
            greeting: Reply::default(),
            tls: None,
            security: connector.security,
            unverified_login: connector.unverified_login,
            shows_certificate: connector.tls.shows_certificate(),
            masked: connector.masked.clone(),
            capa: connector.capa,
            pipelining: connector.pipelining,
            window: connector.window,
            standing: Standing::default(),
            octets: None,
            login: None,
            logged_in_by: None,
        }
    }

    /// Puts a command into the outgoing octets. Nothing may be owed: see [`proto::Client::settle`].
    pub(crate) fn submit<C: Command>(&mut self, command: &C, now: Duration) -> Result<()> {
        if command.carries_secret() {
            self.check_may_log_in()?;
        }
        let deletions = self.machine.marked() > 0;
        let line = self.machine.submit(command)?;
        self.trace.event(TraceEvent::Sent(line));
        self.watch.expect(command.verb(), deletions, false, now);
        Ok(())
    }

    /// The reply that is due, if it is there.
    pub(crate) fn reply(&mut self) -> Result<Option<Reply>> {
        let Some(reply) = self.machine.reply()? else { return Ok(None) };
        if self.machine.is_reading() && !self.machine.has_input() {
            self.watch.status_came_alone();
        }
        self.trace.event(TraceEvent::Received(&reply));
        if !reply.data().is_empty() && self.trace.wants_lines() {
            reply.lines().for_each(|line| self.trace.event(TraceEvent::Line(line)));
        }
        Ok(Some(reply))
    }

    /// Turns a reply into the command's answer, or a `-ERR` into an error.
    pub(crate) fn decode<C: Command>(&self, command: &C, reply: Reply) -> Result<C::Answer> {
        self.judge(command.verb(), &reply)?;
        Ok(command.decode(reply, self.machine.limits())?)
    }

    /// The error that a negative reply is.
    pub(crate) fn judge(&self, verb: Verb, reply: &Reply) -> Result<()> {
        if reply.status() != proto::Status::Err {
            return Ok(());
        }
        Err(match verb {
            Verb::User | Verb::Pass | Verb::Apop | Verb::Rpop | Verb::Auth | Verb::AuthResponse => {
                let refusal = classify(reply, &self.capabilities, self.tls.is_some());
                Error::new(Kind::Refused { verb, reply: reply.clone(), refusal })
            }
            // Some servers let everybody in and refuse the first command of those who come too soon; some cannot load a
            // message or its unique-id just now.
            Verb::Stat | Verb::Uidl | Verb::Retr | Verb::Top
                if reply.code().is_none() && asks_for_patience(reply) =>
            {
                Error::new(Kind::Refused { verb, reply: reply.clone(), refusal: Refusal::Temporary })
            }
            _ if reply.code().is_none() && lacks_command(reply) => {
                Error::new(Kind::Refused { verb, reply: reply.clone(), refusal: Refusal::Unsupported })
            }
            _ => Error::refused(verb, reply.clone()),
        })
    }

    /// Octets came; none means the end of the connection.
    pub(crate) fn filled(&mut self, octets: usize, now: Duration) {
        self.machine.filled(octets);
        if octets > 0 {
            self.watch.heard(now);
        }
    }

    /// So many octets came into memory of the caller's; none if the connection has ended.
    pub(crate) fn filled_elsewhere(&mut self, octets: usize, now: Duration) {
        if octets == 0 {
            self.machine.filled(0);
        } else {
            self.watch.heard(now);
        }
    }

    /// A deadline passed.
    pub(crate) fn passed(&mut self, wait: Wait, now: Duration) -> Result<()> {
        match wait {
            Wait::Rescue => {
                if self.machine.rescue().is_none() {
                    self.watch.rescue_tried();
                }
            }
            Wait::Patience => self.watch.lose_patience(),
            wait => {
                self.watch.again(now);
                return Err(Error::timeout(wait));
            }
        }
        Ok(())
    }

    /// The connection broke under a read or a write; the session is over.
    pub(crate) fn lost(&mut self, error: Error) -> Error {
        let verb = self.machine.awaiting().unwrap_or(Verb::Raw);
        self.machine.abort(proto::Error::Closed { verb, received: 0 });
        error
    }

    /// Takes up the wait for what an earlier call left owed.
    pub(crate) fn resume(&mut self, now: Duration) {
        if let Some(verb) = self.machine.awaiting() {
            self.watch.expect(verb, self.machine.marked() > 0, self.machine.is_reading(), now);
        }
    }

    pub(crate) fn progress(&mut self) -> Result<Progress> {
        Ok(match self.machine.body()? {
            Body::Chunk(_) => Progress::Chunk,
            Body::NeedMore => Progress::NeedMore,
            Body::End(End::Regular) => Progress::Complete,
            Body::End(End::Irregular(kind)) => Progress::Irregular(kind),
        })
    }

    /// Decodes octets of a message where they were read, and returns how many at their beginning are the message's.
    pub(crate) fn within(&mut self, octets: &mut [u8]) -> Result<usize> {
        let kept = self.machine.body_within(octets)?;
        self.trace.event(TraceEvent::Body(octets.get(..kept).unwrap_or_default()));
        self.count(kept);
        Ok(kept)
    }

    pub(crate) fn chunk(&mut self) -> Result<&[u8]> {
        match self.machine.body()? {
            Body::Chunk(chunk) => Ok(chunk),
            Body::NeedMore | Body::End(_) => Ok(&[]),
        }
    }

    pub(crate) fn consume(&mut self, octets: usize) {
        if let Ok(Body::Chunk(chunk)) = self.machine.body() {
            self.trace.event(TraceEvent::Body(chunk.get(..octets).unwrap_or(chunk)));
        }
        self.machine.consume(octets);
        self.count(octets);
    }

    fn count(&mut self, octets: usize) {
        let taken = self.octets.get_or_insert(0);
        *taken = taken.saturating_add(u64::try_from(octets).unwrap_or(u64::MAX));
    }

    /// The octets of messages that were taken since this was asked last; nothing if there was none.
    pub(crate) fn take_octets(&mut self) -> Option<u64> {
        self.octets.take()
    }

    /// Whether commands may be sent before the answers to earlier ones are there, by what the server says and what is known
    /// of it.
    pub(crate) fn may_pipeline(&self) -> bool {
        let allowed = match self.pipelining {
            Pipelining::Never => false,
            Pipelining::Always => true,
            Pipelining::WhereAnnounced => self.capabilities.has("PIPELINING"),
        };
        // Before the login servers differ in what they take, and there is nothing to be gained.
        allowed && self.standing != Standing::Refuted && self.machine.state() == State::Transaction
    }

    /// The greeting came.
    pub(crate) fn greeted(&mut self, reply: Reply) -> Result<()> {
        if !reply.is_ok() {
            return Err(Error::refused(Verb::Greeting, reply));
        }
        self.greeting = reply;
        Ok(())
    }

    /// The greeting; a client exists only after it came.
    pub(crate) fn greeting(&self) -> &Reply {
        &self.greeting
    }

    /// The answer to CAPA came, `-ERR` or not.
    pub(crate) fn learn_capabilities(&mut self, reply: Reply) -> Result<()> {
        let logged_in = self.machine.state() != State::Authorization;
        if reply.is_ok() {
            self.capabilities = CapaCommand.decode(reply, self.machine.limits())?;
            self.capabilities.mask(&self.masked);
        } else if logged_in {
            // What was known before the login still holds, but for what only a login needs.
            self.capabilities.mask(&["SASL"]);
        } else {
            self.capabilities = Capabilities::default();
        }
        if logged_in || self.tls.is_some() {
            // Some servers go on offering it when it cannot be used any more.
            self.capabilities.mask(&["STLS"]);
        }
        self.machine.set_response_codes(self.capabilities.has("RESP-CODES"));
        Ok(())
    }

    /// The TLS session is there. All that was learnt before it is forgotten, except the greeting.
    pub(crate) fn tls_started(&mut self, established: Established) -> Result<()> {
        self.machine.tls_started()?;
        self.tls = Some(established.info);
        self.binding = established.binding;
        self.capabilities = Capabilities::default();
        Ok(())
    }

    pub(crate) fn tls(&self) -> Option<&TlsInfo> {
        self.tls.as_ref()
    }

    /// Whether conversations ask for capabilities.
    pub(crate) fn asks_capa(&self) -> bool {
        self.capa
    }

    /// Whether a secret may go out over this connection.
    pub(crate) fn check_may_log_in(&self) -> Result<()> {
        let protected = match self.security {
            Security::ProtectedByCaller => true,
            _ => self.tls.as_ref().is_some_and(|tls| tls.verified),
        };
        if protected || self.unverified_login {
            Ok(())
        } else {
            Err(Error::new(Kind::Policy(Policy::LoginInTheClear)))
        }
    }

    /// Whether a token may go out over this connection: never without TLS, whatever the caller allows (RFC 7628 section 4).
    pub(crate) fn check_may_send_token(&self) -> Result<()> {
        if self.tls.is_some() || self.security == Security::ProtectedByCaller {
            Ok(())
        } else {
            Err(Error::new(Kind::Policy(Policy::TokenInTheClear)))
        }
    }

    /// Whether the server has seen, or could have seen, a certificate of ours.
    pub(crate) fn check_shows_certificate(&self) -> Result<()> {
        let shown = self.shows_certificate && self.tls.is_some();
        if shown || self.security == Security::ProtectedByCaller {
            Ok(())
        } else {
            Err(Error::configuration("EXTERNAL needs TLS with a client certificate, and there is none"))
        }
    }

    /// Closes a login that its caller gave up, once what was owed has come: gives the line that takes an AUTH exchange
    /// back, if there is one.
    ///
    /// # Errors
    ///
    /// The session is over if the server let us in without its proof, or was found out before.
    pub(crate) fn leave_login(&mut self) -> Result<Option<AuthResponseCommand>> {
        let Some(left) = self.login.take() else { return Ok(None) };
        let early = left.ok_is_early && self.machine.state() == State::Transaction;
        if let Some(why) = left.untrusted.or(early.then_some(sasl::Error::EarlySuccess)) {
            let error = proto::Error::ServerUntrusted(why);
            self.machine.abort(error.clone());
            return Err(error.into());
        }
        Ok(self.machine.is_challenged().then(|| AuthResponseCommand { response: "*".into() }))
    }

    /// What the answer to QUIT, or its absence, says about the deletions.
    pub(crate) fn farewell(marked: u64, heard: Result<Reply>) -> Farewell {
        match heard {
            Ok(reply) if reply.is_ok() => Farewell::Committed { marked, reply: Some(reply) },
            Ok(reply) => Farewell::Refused { marked, reply },
            // With nothing to commit, a server that just hangs up has done all that was asked.
            Err(error) if marked == 0 && error.is_io() => Farewell::Committed { marked, reply: None },
            Err(error) => Farewell::Unknown { marked, error },
        }
    }
}
