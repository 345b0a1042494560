//! The login itself: the attempts, one after the other, and CAPA after the one that succeeds.

use std::collections::VecDeque;
use std::sync::Arc;

use popwire_proto::command::{ApopCommand, AuthCommand, PassCommand, RpopCommand, UserCommand};
use popwire_proto::sasl::{self, Exchange, Mechanism, Turn};
use popwire_proto::{
    ArgumentError, Error as Proto, OutOfOrder, Reply, ResponseCode, Secret, State, Verb, apop,
};

use super::attempt::{Attempt, Resume};
use super::choice::{candidates, is_announced};
use super::credentials::{Ask, ProviderError, Source};
use super::mechanisms::mechanism;
use super::verdict::{Shown, classify, is_final};
use super::{Login, Method};
use crate::conversation::{Conversation, Heard, Next, Say, Work};
use crate::core::{Core, OpenLogin};
use crate::error::{Kind, Policy, Refusal};
use crate::{Error, Result, Status};

/// The login commands, and CAPA after them: never before the answer to the last login line, since real servers lose what
/// comes early.
pub(crate) struct LoggingIn<'a> {
    login: &'a Login,
    /// What is left to try.
    left: VecDeque<Method>,
    attempts: Vec<Attempt>,
    /// The password or token, once it is there: as it was given, and as it is sent.
    given: Option<Secret>,
    secret: Option<Secret>,
    /// The provider has been asked for another token.
    refreshed: bool,
    stage: Stage,
    /// What the last refusal came to: what to say when nothing is left to try.
    refused: Option<Error>,
    /// Why the last way that could not be gone could not; for want of a refusal.
    unfit: Option<Error>,
    accepted: Option<Reply>,
    /// Whether CAPA follows.
    capa: bool,
}

/// What was done last.
enum Stage {
    Begin,
    /// The provider is at work.
    Asked,
    Trying(Current),
    Capa,
}

/// The attempt that is under way.
struct Current {
    method: Method,
    /// Of an AUTH; `None` also while it is at work elsewhere.
    exchange: Option<Exchange>,
    /// What the server has seen so far.
    shown: Shown,
    /// Whether it has answered anything.
    answered: bool,
    /// The initial response stood in the AUTH line.
    in_one_line: bool,
}

/// What came of work that may take long.
pub(crate) enum Worked {
    /// The provider's answer.
    Secret(Result<Secret, ProviderError>),
    /// An exchange that has begun.
    Begun(Result<(Exchange, AuthCommand), sasl::Error>),
    /// An exchange that has heard a reply.
    Heard(Exchange, Turn, Reply),
}

impl<'a> LoggingIn<'a> {
    pub(crate) fn new(login: &'a Login) -> Self {
        Self {
            login,
            left: VecDeque::new(),
            attempts: login.history.clone(),
            given: None,
            secret: None,
            refreshed: login.refreshed,
            stage: Stage::Begin,
            refused: None,
            unfit: None,
            accepted: None,
            capa: true,
        }
    }

    /// Leaves the CAPA after the login to its caller.
    pub(crate) fn without_capa(mut self) -> Self {
        self.capa = false;
        self
    }

    fn first(&mut self, core: &mut Core) -> Result<Next> {
        match core.machine.state() {
            State::Authorization => {}
            State::Update => return Err(OutOfOrder::AfterQuit.into()),
            _ => return Err(OutOfOrder::LoginAfterLogin.into()),
        }
        core.check_may_log_in()?;
        if self.login.credentials.is_token() {
            core.check_may_send_token()?;
        }
        self.left = candidates(self.login, core).into();
        if self.left.is_empty() {
            return Err(self.give_up(core));
        }
        core.login = Some(OpenLogin::default());
        match (self.login.credentials.source(), &self.login.asked) {
            (Some(Source::Provider(_)), None) => self.ask(core, None),
            (Some(Source::Known(secret)), _) | (Some(_), Some(secret)) => {
                self.take_secret(secret.clone())?;
                self.try_next(core)
            }
            (None, _) => self.try_next(core),
        }
    }

    fn ask(&mut self, core: &Core, refused: Option<sasl::OAuthFailure>) -> Result<Next> {
        let Some(Source::Provider(provider)) = self.login.credentials.source() else {
            return Err(self.give_up(core));
        };
        let ask = Ask { user: self.login.user.clone(), host: core.host.clone(), refused };
        let provider = Arc::clone(provider);
        self.stage = Stage::Asked;
        Ok(Next::Work(Work::new(move || Worked::Secret(provider(&ask)))))
    }

    fn asked(&mut self, core: &mut Core, answer: Result<Secret, ProviderError>) -> Result<Next> {
        let secret = match answer {
            Ok(secret) => secret,
            Err(e) => return Err(self.wrap(core, Error::new(Kind::Provider(e)))),
        };
        if self.given.as_ref().is_some_and(|old| old.expose() == secret.expose()) {
            // The same again: the server has said what it thinks of it.
            return Err(self.give_up(core));
        }
        self.take_secret(secret)?;
        self.try_next(core)
    }

    fn take_secret(&mut self, secret: Secret) -> Result<()> {
        self.secret = Some(self.encoded(secret.clone())?);
        self.given = Some(secret);
        Ok(())
    }

    /// The password in the character set that it is to be sent in.
    fn encoded(&self, secret: Secret) -> Result<Secret> {
        if !self.login.latin1 {
            return Ok(secret);
        }
        let text = std::str::from_utf8(secret.expose()).ok();
        // Room for all of it at once: growing would leave a copy of a part behind.
        let mut octets = Vec::with_capacity(secret.expose().len());
        let fits = text.is_some_and(|text| {
            text.chars().all(|char| u8::try_from(char).map(|octet| octets.push(octet)).is_ok())
        });
        let encoded = Secret::from(octets);
        if fits { Ok(encoded) } else { Err(Error::new(Kind::Policy(Policy::NotLatin1))) }
    }

    fn try_next(&mut self, core: &mut Core) -> Result<Next> {
        while self.attempts.len() < self.budget() {
            let Some(method) = self.left.pop_front() else { break };
            match self.begin(core, method) {
                Ok(next) => return Ok(next),
                // This way cannot be gone, or not with these credentials. Nothing was sent; another may do.
                Err(error) => self.unfit = Some(error),
            }
        }
        Err(self.give_up(core))
    }

    fn budget(&self) -> usize {
        usize::try_from(self.login.budget).unwrap_or(usize::MAX)
    }

    fn begin(&mut self, core: &mut Core, method: Method) -> Result<Next> {
        let user = self.login.user.clone();
        let secret = self.secret.clone().unwrap_or_default();
        let (say, shown) = match method {
            Method::UserPass => {
                self.check_utf8(core, &secret)?;
                // A password that cannot be sent is found before the server has heard the name.
                core.machine.check(&PassCommand { password: secret })?;
                (Say::User(UserCommand { name: user }), Shown::Name)
            }
            Method::Apop => {
                // APOP sends no octet of its secret; RFC 6856 section 2.2 speaks of it all the same.
                self.check_utf8(core, &secret)?;
                (Say::Apop(apop_command(core, user, &secret)?), Shown::Proof)
            }
            Method::Rpop => (Say::Rpop(RpopCommand { name: user }), Shown::Proof),
            Method::Sasl(_) | Method::Custom => return self.begin_auth(core, method, secret),
        };
        // A name that cannot be sent is no reason to give the other ways up.
        core.machine.check(&say)?;
        self.stage = Stage::Trying(Current { shown, ..Current::new(method) });
        core.login = Some(OpenLogin::default());
        Ok(Next::Say(say))
    }

    fn begin_auth(&mut self, core: &mut Core, method: Method, secret: Secret) -> Result<Next> {
        let mechanism = mechanism(self.login, core, method, secret)?;
        let announced = !self.login.without_initial_response && is_announced(mechanism.name(), core);
        let limits = core.machine.limits().clone();
        if mechanism.may_block() {
            self.stage = Stage::Trying(Current::new(method));
            let begin = move || Worked::Begun(Exchange::begin(mechanism, announced, &limits));
            return Ok(Next::Work(Work::new(begin)));
        }
        let begun = Exchange::begin(mechanism, announced, &limits);
        let (exchange, auth) = begun.map_err(|error| Error::new(Kind::Sasl { method, error }))?;
        Ok(self.say_auth(core, method, exchange, auth))
    }

    fn begun(
        &mut self,
        core: &mut Core,
        method: Method,
        begun: Result<(Exchange, AuthCommand), sasl::Error>,
    ) -> Result<Next> {
        match begun {
            Ok((exchange, auth)) => Ok(self.say_auth(core, method, exchange, auth)),
            Err(error) => {
                self.unfit = Some(Error::new(Kind::Sasl { method, error }));
                self.try_next(core)
            }
        }
    }

    fn say_auth(&mut self, core: &mut Core, method: Method, exchange: Exchange, auth: AuthCommand) -> Next {
        let current = Current { in_one_line: auth.initial.is_some(), ..Current::new(method) };
        self.go_on(core, current, exchange);
        Next::Say(Say::Auth(auth))
    }

    /// A line of the exchange goes out.
    fn go_on(&mut self, core: &mut Core, current: Current, exchange: Exchange) {
        core.login = Some(OpenLogin {
            ok_is_early: !exchange.believes_ok(),
            untrusted: exchange.cancelled().filter(|why| why.is_server_untrusted()).cloned(),
        });
        let shown = Shown::of(&exchange);
        self.stage = Stage::Trying(Current { shown, exchange: Some(exchange), ..current });
    }

    fn check_utf8(&self, core: &Core, secret: &Secret) -> Result<()> {
        let ascii = self.login.user.is_ascii() && secret.expose().is_ascii();
        let allowed = self.login.unannounced_utf8 || self.login.latin1 || core.capabilities.utf8_user();
        if ascii || allowed { Ok(()) } else { Err(Error::new(Kind::Policy(Policy::Utf8NotAnnounced))) }
    }

    /// A reply to a line of the login.
    fn replied(&mut self, core: &mut Core, verb: Verb, reply: Reply) -> Result<Next> {
        let Stage::Trying(current) = std::mem::replace(&mut self.stage, Stage::Begin) else {
            return Err(self.give_up(core));
        };
        let mut current = Current { answered: true, ..current };
        let Some(mut exchange) = current.exchange.take() else {
            return match current.shown {
                _ if !reply.is_ok() => {
                    let attempt = self.attempt(current.method);
                    self.refused(core, verb, reply, current.shown, attempt)
                }
                Shown::Name => {
                    self.stage = Stage::Trying(Current { shown: Shown::Proof, ..current });
                    let password = self.secret.clone().unwrap_or_default();
                    Ok(Next::Say(Say::Pass(PassCommand { password })))
                }
                _ => Ok(self.accepted(core, current.method, reply)),
            };
        };
        if exchange.may_block() && reply.status() == Status::Continue {
            self.stage = Stage::Trying(current);
            return Ok(Next::Work(Work::new(move || {
                let turn = exchange.hear(&reply);
                Worked::Heard(exchange, turn, reply)
            })));
        }
        let turn = exchange.hear(&reply);
        self.turn(core, current, exchange, turn, reply)
    }

    fn turn(
        &mut self,
        core: &mut Core,
        current: Current,
        exchange: Exchange,
        turn: Turn,
        reply: Reply,
    ) -> Result<Next> {
        let line = match turn {
            Turn::Send(line) => line,
            Turn::SendAfterOk(line) => {
                core.machine.take_for_challenge()?;
                line
            }
            Turn::Accepted => return Ok(self.accepted(core, current.method, reply)),
            Turn::Refused => {
                let oauth = exchange.failure().cloned();
                let attempt = Attempt { oauth, ..self.attempt(current.method) };
                return self.refused(core, Verb::Auth, reply, Shown::of(&exchange), attempt);
            }
            Turn::Failed(error) => {
                return self.failed_within(core, current.method, &exchange, error, reply);
            }
            _ => return Err(self.give_up(core)),
        };
        self.go_on(core, current, exchange);
        Ok(Next::Say(Say::AuthResponse(line)))
    }

    fn accepted(&mut self, core: &mut Core, method: Method, reply: Reply) -> Next {
        core.login = None;
        core.logged_in_by = Some(method);
        self.accepted = Some(reply);
        self.stage = Stage::Capa;
        if self.capa && core.asks_capa() { Next::Say(Say::Capa) } else { Next::Done }
    }

    /// The server said `-ERR`.
    fn refused(
        &mut self,
        core: &mut Core,
        verb: Verb,
        reply: Reply,
        shown: Shown,
        mut attempt: Attempt,
    ) -> Result<Next> {
        let method = attempt.method;
        let mut refusal = classify(&reply, &core.capabilities, core.tls().is_some());
        if refusal == Refusal::Other && attempt.blames_credentials() {
            refusal = Refusal::Authentication;
        }
        let blamed = shown == Shown::Name && matches!(reply.code(), Some(ResponseCode::Auth));
        let undecided = matches!(refusal, Refusal::Authentication | Refusal::Other);
        if undecided && verb == Verb::Auth && shown != Shown::Proof && !blamed {
            // Nothing was shown that could be wrong.
            refusal = Refusal::Mechanism;
        }
        let is_final = is_final(&reply, refusal, shown, method);
        let renewable = self.login.credentials.is_token()
            && shown == Shown::Proof
            && refusal == Refusal::Authentication
            && matches!(self.login.credentials.source(), Some(Source::Provider(_)));
        let oauth = attempt.oauth.clone().unwrap_or_default();
        attempt.reply = Some(reply.clone());
        attempt.proved = shown == Shown::Proof;
        attempt.apop_offered = undecided && method == Method::UserPass && timestamp(core).is_some();
        self.attempts.push(attempt);
        self.refused = Some(Error::new(Kind::Refused { verb, reply, refusal }));
        if renewable && !self.refreshed && self.attempts.len() < self.budget() {
            self.refreshed = true;
            self.left.push_front(method);
            return self.ask(core, Some(oauth));
        }
        if is_final { Err(self.give_up(core)) } else { self.try_next(core) }
    }

    /// The exchange failed on this side; the server has been told.
    fn failed_within(
        &mut self,
        core: &mut Core,
        method: Method,
        exchange: &Exchange,
        error: sasl::Error,
        reply: Reply,
    ) -> Result<Next> {
        // The server's own word for it, after it saw the proof, is a verdict like any `-ERR`.
        let verdict = matches!(error, sasl::Error::Server(_)) && exchange.has_proved();
        let attempt = Attempt { error: Some(error.clone()), ..self.attempt(method) };
        if verdict && reply.status() == Status::Err {
            return self.refused(core, Verb::Auth, reply, Shown::Proof, attempt);
        }
        let coded = reply.code().is_some_and(|code| !matches!(code, ResponseCode::Auth));
        self.attempts.push(Attempt { reply: Some(reply), proved: exchange.has_proved(), ..attempt });
        if error.is_server_untrusted() {
            return Err(self.distrust(core, method, error));
        }
        self.refused = Some(Error::new(Kind::Sasl { method, error }));
        if coded || exchange.has_proved() { Err(self.give_up(core)) } else { self.try_next(core) }
    }

    /// Whoever this is, it gets nothing else.
    fn distrust(&mut self, core: &mut Core, method: Method, error: sasl::Error) -> Error {
        core.machine.abort(Proto::ServerUntrusted(error.clone()));
        self.wrap(core, Error::new(Kind::Sasl { method, error }))
    }

    fn attempt(&self, method: Method) -> Attempt {
        let token = self.secret.as_ref().filter(|_| self.login.credentials.is_token());
        Attempt { token_octets: token.map(|token| token.expose().len()), ..Attempt::new(method) }
    }

    /// Nothing is left to try.
    fn give_up(&mut self, core: &Core) -> Error {
        let cause = self.refused.take().or(self.unfit.take());
        let cause = cause.unwrap_or_else(|| Error::new(Kind::NoMethod { offered: offered(core) }));
        self.wrap(core, cause)
    }

    fn wrap(&mut self, core: &Core, cause: Error) -> Error {
        self.wrap_resumable(core, cause, None)
    }

    fn wrap_resumable(&mut self, core: &Core, cause: Error, resume: Option<Resume>) -> Error {
        let login_delay = core.capabilities.login_delay();
        let attempts = std::mem::take(&mut self.attempts);
        Error::new(Kind::Login { attempts, cause, login_delay, resume })
    }

    /// The connection is gone in the middle of an attempt.
    fn gone(&mut self, core: &Core, current: &Current, error: Error) -> Error {
        let method = current.method;
        let mut resume = Resume {
            avoid: self.attempts.iter().map(|attempt| attempt.method).collect(),
            without_initial_response: false,
            secret: self.given.clone(),
            refreshed: self.refreshed,
        };
        let refused_before = self.attempts.len() > self.login.history.len();
        let (cause, may_resume) = match self.refused.take() {
            // A server that refused one way and is gone before it answered to the next has refused the login: it is no
            // trouble of the network, and says nothing of the next way.
            Some(refused) if refused_before && !current.answered => {
                resume.avoid.retain(|avoided| *avoided != method);
                (refused, true)
            }
            _ => {
                self.attempts.push(Attempt { closed: true, ..self.attempt(method) });
                let plain = method == Method::Sasl(Mechanism::Plain);
                if plain && current.in_one_line {
                    // Some old servers break on PLAIN in one of its two forms.
                    resume.without_initial_response = true;
                    (error, true)
                } else {
                    resume.avoid.push(method);
                    let revealed = current.shown == Shown::Proof || self.login.without_initial_response;
                    let settled = method.reveals_secret() && revealed;
                    (error, !settled && !self.left.is_empty())
                }
            }
        };
        let resume = Some(resume).filter(|_| may_resume && self.attempts.len() < self.budget());
        self.wrap_resumable(core, cause, resume)
    }
}

impl Conversation for LoggingIn<'_> {
    type Output = Reply;

    fn next(&mut self, core: &mut Core, heard: Heard) -> Result<Next> {
        let next = match heard {
            Heard::Nothing => self.first(core),
            Heard::Reply(Verb::Capa, reply) => {
                core.learn_capabilities(reply)?;
                Ok(Next::Done)
            }
            Heard::Reply(verb, reply) => self.replied(core, verb, reply),
            Heard::Silence => Err(self.give_up(core)),
            Heard::Worked(Worked::Secret(answer)) => self.asked(core, answer),
            Heard::Worked(worked) => match (std::mem::replace(&mut self.stage, Stage::Begin), worked) {
                (Stage::Trying(current), Worked::Begun(begun)) => self.begun(core, current.method, begun),
                (Stage::Trying(current), Worked::Heard(exchange, turn, reply)) => {
                    self.turn(core, current, exchange, turn, reply)
                }
                _ => Err(self.give_up(core)),
            },
        };
        if next.is_err() {
            core.login = None;
        }
        next
    }

    /// The connection broke, a deadline passed, or a line could not be written.
    fn failed(&mut self, core: &mut Core, error: Error) -> Error {
        if self.accepted.is_some() {
            return error;
        }
        let Stage::Trying(current) = std::mem::replace(&mut self.stage, Stage::Begin) else {
            return self.wrap(core, error);
        };
        let distrusted = current.exchange.as_ref().and_then(Exchange::cancelled);
        if let Some(why) = distrusted.filter(|why| why.is_server_untrusted()).cloned() {
            core.login = None;
            let closed = error.is_io();
            self.attempts.push(Attempt { closed, error: Some(why.clone()), ..self.attempt(current.method) });
            return self.distrust(core, current.method, why);
        }
        if error.is_io() || core.machine.is_broken() {
            core.login = None;
            return self.gone(core, &current, error);
        }
        if error.is_timeout() {
            // The login stays open: what answers late may be a challenge, which has to be taken back then.
            self.attempts.push(self.attempt(current.method));
        }
        self.wrap(core, error)
    }

    fn output(self) -> Option<Reply> {
        self.accepted
    }
}

impl Current {
    fn new(method: Method) -> Self {
        Self { method, exchange: None, shown: Shown::Nothing, answered: false, in_one_line: false }
    }
}

/// APOP's line, made from the greeting's timestamp.
pub(crate) fn apop_command(core: &Core, name: Vec<u8>, secret: &Secret) -> Result<ApopCommand> {
    let timestamp = timestamp(core).ok_or_else(|| Proto::from(ArgumentError::NoTimestamp))?;
    Ok(ApopCommand { name, digest: apop::digest(timestamp, secret) })
}

/// The greeting's timestamp, with which a server offers APOP (RFC 1939 section 7).
fn timestamp(core: &Core) -> Option<&[u8]> {
    apop::timestamp(core.greeting().line().as_bytes())
}

/// What the server offers, for people to read.
fn offered(core: &Core) -> String {
    let mechanisms = core.capabilities.sasl_mechanisms().map(ToString::to_string);
    let user = core.capabilities.has("USER").then(|| "USER".to_owned());
    mechanisms.chain(user).collect::<Vec<_>>().join(" ")
}
