//! The login itself: the attempts, one after the other, and CAPA after the one that succeeds.

use std::collections::VecDeque;
use std::fmt;

use popwire_proto::command::{ApopCommand, PassCommand, RpopCommand, UserCommand};
use popwire_proto::sasl::{self, Exchange, Mechanism, Turn};
use popwire_proto::{ArgumentError, Error as Proto, Reply, ResponseCode, Secret, Verb, apop};

use super::attempt::{Attempt, Resume};
use super::choice::{candidates, is_announced};
use super::credentials::{Ask, ProviderError, Source};
use super::mechanisms::{Unfit, mechanism};
use super::verdict::{classify, is_final};
use super::{Login, Method};
use crate::conversation::{Conversation, Heard, Next, Say, Work};
use crate::core::Core;
use crate::error::{Kind, Policy, Refusal};
use crate::{Error, Result, Status};

/// The login commands, and CAPA after them: never before the answer to the last login line, since real servers lose what
/// comes early.
pub(crate) struct LoggingIn<'a> {
    login: &'a Login,
    /// What is left to try.
    left: VecDeque<Method>,
    attempts: Vec<Attempt>,
    /// The password or token, once it is there.
    secret: Option<Secret>,
    /// The provider has been asked for another token.
    refreshed: bool,
    stage: Stage,
    /// What the last refusal came to: what to say when nothing is left to try.
    refused: Option<Error>,
    accepted: Option<Reply>,
}

/// What was done last.
enum Stage {
    Begin,
    /// The provider is at work.
    Asked,
    /// USER was sent, or the one line that decides it; then `proved` is true.
    Line {
        method: Method,
        proved: bool,
    },
    /// An AUTH exchange; `None` while it is at work elsewhere.
    Exchange(Method, Option<Exchange>),
    Capa,
}

/// What came of work that may take long.
pub(crate) enum Worked {
    /// The provider's answer.
    Secret(Result<Secret, ProviderError>),
    /// An exchange that has begun.
    Begun(Result<(Exchange, popwire_proto::command::AuthCommand), sasl::Error>),
    /// An exchange that has heard a reply.
    Heard(Exchange, Turn, Reply),
}

impl<'a> LoggingIn<'a> {
    pub(crate) fn new(login: &'a Login) -> Self {
        Self {
            login,
            left: VecDeque::new(),
            attempts: login.history.clone(),
            secret: None,
            refreshed: false,
            stage: Stage::Begin,
            refused: None,
            accepted: None,
        }
    }

    fn first(&mut self, core: &mut Core) -> Result<Next> {
        core.check_may_log_in()?;
        if self.login.credentials.is_token() {
            core.check_may_send_token()?;
        }
        self.left = candidates(self.login, core).into();
        if self.left.is_empty() {
            return Err(Error::new(Kind::NoMethod { offered: offered(core) }));
        }
        core.begin_login();
        let known = self.login.asked.as_ref();
        match self.login.credentials.source() {
            Some(Source::Provider(_)) if known.is_none() => self.ask(core, None),
            Some(Source::Provider(_)) => {
                self.secret = known.map(|secret| self.encoded(secret.clone())).transpose()?;
                self.try_next(core)
            }
            Some(Source::Known(secret)) => {
                self.secret = Some(self.encoded(secret.clone())?);
                self.try_next(core)
            }
            None => self.try_next(core),
        }
    }

    fn ask(&mut self, core: &Core, refused: Option<sasl::OAuthFailure>) -> Result<Next> {
        let Some(Source::Provider(provider)) = self.login.credentials.source() else {
            return Err(self.give_up(core));
        };
        let ask = Ask { user: self.login.user.clone(), host: core.host.clone(), refused };
        let provider = std::sync::Arc::clone(provider);
        self.stage = Stage::Asked;
        Ok(Next::Work(Work::new(move || Worked::Secret(provider(&ask)))))
    }

    fn asked(&mut self, core: &mut Core, answer: Result<Secret, ProviderError>) -> Result<Next> {
        let secret = match answer {
            Ok(secret) => self.encoded(secret)?,
            Err(e) => return Err(self.wrap(core, Error::new(Kind::Provider(e)))),
        };
        if self.refreshed && self.secret.as_ref().is_some_and(|old| old.expose() == secret.expose()) {
            // The same again: the server has said what it thinks of it.
            return Err(self.give_up(core));
        }
        self.secret = Some(secret);
        self.try_next(core)
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
                // This way cannot carry these credentials; nothing was sent. Another may.
                Err(Unfit::Mechanism(error)) => self.unfit(method, error),
                Err(Unfit::All(error)) => return Err(self.wrap(core, error)),
            }
        }
        Err(self.give_up(core))
    }

    fn budget(&self) -> usize {
        usize::try_from(self.login.budget).unwrap_or(usize::MAX)
    }

    fn unfit(&mut self, method: Method, error: sasl::Error) {
        self.refused = Some(Error::new(Kind::Sasl { method, error: error.clone() }));
        self.attempts.push(Attempt { error: Some(error), ..self.attempt(method) });
    }

    fn begin(&mut self, core: &mut Core, method: Method) -> Result<Next, Unfit> {
        let user = self.login.user.clone();
        let secret = self.secret.clone().unwrap_or_default();
        let say = match method {
            Method::UserPass => {
                self.check_utf8(core, &secret)?;
                // A password that cannot be sent is found before the server has heard the name.
                core.machine.check(&PassCommand { password: secret })?;
                Say::User(UserCommand { name: user })
            }
            Method::Apop => {
                // APOP sends no octet of its secret; RFC 6856 section 2.2 speaks of it all the same.
                self.check_utf8(core, &secret)?;
                Say::Apop(apop_command(core, user, &secret)?)
            }
            Method::Rpop => Say::Rpop(RpopCommand { name: user }),
            Method::Sasl(_) | Method::Custom => {
                let mechanism = mechanism(self.login, core, method, secret)?;
                let announced = !self.login.without_initial_response && is_announced(mechanism.name(), core);
                self.stage = Stage::Exchange(method, None);
                let limits = core.machine.limits().clone();
                if mechanism.may_block() {
                    let begin = move || Worked::Begun(Exchange::begin(mechanism, announced, &limits));
                    return Ok(Next::Work(Work::new(begin)));
                }
                let (exchange, auth) =
                    Exchange::begin(mechanism, announced, &limits).map_err(Unfit::Mechanism)?;
                self.stage = Stage::Exchange(method, Some(exchange));
                return Ok(Next::Say(Say::Auth(auth)));
            }
        };
        self.stage = Stage::Line { method, proved: method != Method::UserPass };
        Ok(Next::Say(say))
    }

    fn check_utf8(&self, core: &Core, secret: &Secret) -> Result<(), Unfit> {
        let ascii = self.login.user.is_ascii() && secret.expose().is_ascii();
        let allowed = self.login.unannounced_utf8 || self.login.latin1 || core.capabilities.utf8_user();
        if ascii || allowed { Ok(()) } else { Err(Error::new(Kind::Policy(Policy::Utf8NotAnnounced)).into()) }
    }

    fn begun(
        &mut self,
        core: &mut Core,
        method: Method,
        begun: Result<(Exchange, popwire_proto::command::AuthCommand), sasl::Error>,
    ) -> Result<Next> {
        match begun {
            Ok((exchange, auth)) => {
                self.stage = Stage::Exchange(method, Some(exchange));
                Ok(Next::Say(Say::Auth(auth)))
            }
            Err(error) => {
                self.unfit(method, error);
                self.try_next(core)
            }
        }
    }

    /// A reply to a line of the login.
    fn replied(&mut self, core: &mut Core, verb: Verb, reply: Reply) -> Result<Next> {
        match std::mem::replace(&mut self.stage, Stage::Begin) {
            Stage::Line { method, proved: false } if reply.is_ok() => {
                self.stage = Stage::Line { method, proved: true };
                Ok(Next::Say(Say::Pass(PassCommand { password: self.secret.clone().unwrap_or_default() })))
            }
            Stage::Line { .. } if reply.is_ok() => Ok(self.accepted(core, reply)),
            Stage::Line { method, proved } => {
                let shown = if proved { Shown::Proof } else { Shown::Name };
                self.refused(core, method, verb, reply, shown, self.attempt(method))
            }
            Stage::Exchange(method, Some(mut exchange)) => {
                if exchange.may_block() && reply.status() == Status::Continue {
                    self.stage = Stage::Exchange(method, None);
                    return Ok(Next::Work(Work::new(move || {
                        let turn = exchange.hear(&reply);
                        Worked::Heard(exchange, turn, reply)
                    })));
                }
                let turn = exchange.hear(&reply);
                self.turn(core, method, exchange, turn, reply)
            }
            Stage::Exchange(_, None) | Stage::Begin | Stage::Asked | Stage::Capa => Err(self.give_up(core)),
        }
    }

    fn turn(
        &mut self,
        core: &mut Core,
        method: Method,
        exchange: Exchange,
        turn: Turn,
        reply: Reply,
    ) -> Result<Next> {
        let next = match turn {
            Turn::Send(line) => Say::AuthResponse(line),
            Turn::SendAfterOk(line) => {
                core.machine.take_for_challenge()?;
                Say::AuthResponse(line)
            }
            Turn::Accepted => return Ok(self.accepted(core, reply)),
            Turn::Refused => {
                let attempt = Attempt { oauth: exchange.failure().cloned(), ..self.attempt(method) };
                let shown = Shown::of(&exchange);
                return self.refused(core, method, Verb::Auth, reply, shown, attempt);
            }
            Turn::Failed(error) => return self.failed_within(core, method, &exchange, error, reply),
            _ => return Err(self.give_up(core)),
        };
        self.stage = Stage::Exchange(method, Some(exchange));
        Ok(Next::Say(next))
    }

    fn accepted(&mut self, core: &mut Core, reply: Reply) -> Next {
        core.end_login();
        self.accepted = Some(reply);
        self.stage = Stage::Capa;
        if core.asks_capa() { Next::Say(Say::Capa) } else { Next::Done }
    }

    /// The server said `-ERR`.
    fn refused(
        &mut self,
        core: &mut Core,
        method: Method,
        verb: Verb,
        reply: Reply,
        shown: Shown,
        mut attempt: Attempt,
    ) -> Result<Next> {
        let mut refusal = classify(&reply, &core.capabilities, core.tls().is_some());
        if attempt.oauth.is_some() && refusal == Refusal::Other {
            // It is the token: the server has said so, at length.
            refusal = Refusal::Authentication;
        }
        let proved = shown == Shown::Proof;
        let blamed = shown == Shown::Name && reply.code().is_some();
        if refusal == Refusal::Authentication && verb == Verb::Auth && !proved && !blamed {
            // Nothing was shown that could be wrong.
            refusal = Refusal::Mechanism;
        }
        let is_final = is_final(&reply, refusal, shown, method);
        let token_refused = self.login.credentials.is_token() && proved && refusal == Refusal::Authentication;
        let oauth = attempt.oauth.clone().unwrap_or_default();
        attempt.reply = Some(reply.clone());
        self.attempts.push(attempt);
        self.refused = Some(Error::new(Kind::Refused { verb, reply, refusal }));
        if token_refused
            && self.attempts.len() < self.budget()
            && !self.refreshed
            && matches!(self.login.credentials.source(), Some(Source::Provider(_)))
        {
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
        let untrusted = error.is_server_untrusted();
        // The server's own word for it, after it saw the proof, is a verdict like any `-ERR`.
        let verdict = matches!(error, sasl::Error::Server(_)) && exchange.has_proved();
        let attempt =
            Attempt { reply: Some(reply.clone()), error: Some(error.clone()), ..self.attempt(method) };
        if verdict {
            return self.refused(core, method, Verb::Auth, reply, Shown::Proof, attempt);
        }
        self.attempts.push(attempt);
        self.refused = Some(Error::new(Kind::Sasl { method, error: error.clone() }));
        if untrusted {
            // Whoever this is, it gets nothing else.
            core.machine.abort(Proto::ServerUntrusted(error));
            return Err(self.give_up(core));
        }
        let coded = reply.code().is_some_and(|code| !matches!(code, ResponseCode::Auth));
        if coded || exchange.has_proved() { Err(self.give_up(core)) } else { self.try_next(core) }
    }

    fn attempt(&self, method: Method) -> Attempt {
        let token = self.secret.as_ref().filter(|_| self.login.credentials.is_token());
        Attempt { token_octets: token.map(|token| token.expose().len()), ..Attempt::new(method) }
    }

    /// Nothing is left to try.
    fn give_up(&mut self, core: &Core) -> Error {
        let cause =
            self.refused.take().unwrap_or_else(|| Error::new(Kind::NoMethod { offered: offered(core) }));
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
            Heard::Worked(Worked::Secret(answer)) => self.asked(core, answer),
            Heard::Worked(Worked::Begun(begun)) => match self.stage {
                Stage::Exchange(method, _) => self.begun(core, method, begun),
                _ => Err(self.give_up(core)),
            },
            Heard::Worked(Worked::Heard(exchange, turn, reply)) => match self.stage {
                Stage::Exchange(method, _) => self.turn(core, method, exchange, turn, reply),
                _ => Err(self.give_up(core)),
            },
        };
        if next.is_err() {
            core.end_login();
        }
        next
    }

    /// The connection broke, or a deadline passed.
    fn failed(&mut self, core: &mut Core, error: Error) -> Error {
        let gone = error.is_io() || core.machine.is_broken();
        let current = match &self.stage {
            Stage::Line { method, proved } => Some((*method, *proved)),
            Stage::Exchange(method, exchange) => {
                Some((*method, exchange.as_ref().is_some_and(Exchange::has_proved)))
            }
            Stage::Begin | Stage::Asked | Stage::Capa => None,
        };
        let Some((method, proved)) = current.filter(|_| gone) else { return self.wrap(core, error) };
        let tried = self.attempts.len();
        let mut avoid: Vec<Method> = self.attempts.iter().map(|attempt| attempt.method).collect();
        // A server that refused one way and is gone before the next has refused the login: it is no trouble of the
        // network, and says nothing of the next way.
        let refused_before = tried > self.login.history.len();
        let cause = match self.refused.take() {
            Some(refused) if refused_before => refused,
            _ => error,
        };
        if refused_before {
            self.left.push_front(method);
        } else {
            avoid.push(method);
            self.attempts.push(Attempt { closed: true, ..self.attempt(method) });
        }
        let plain = method == Method::Sasl(Mechanism::Plain);
        let resume = if self.attempts.len() >= self.budget() {
            None
        } else if plain && !refused_before && !self.login.without_initial_response {
            // Some old servers break on PLAIN in one of its two forms.
            Some(Resume::WithoutInitialResponse)
        } else if self.left.is_empty() || (method.reveals_secret() && proved && !refused_before) {
            None
        } else {
            Some(Resume::Avoiding(avoid))
        };
        self.wrap_resumable(core, cause, resume)
    }

    fn output(self) -> Option<Reply> {
        self.accepted
    }
}

/// What the server had seen when it refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// The name of the mechanism.
    Nothing,
    /// The user's name, or as much as that.
    Name,
    /// Something by which it can tell that the credentials are right or wrong.
    Proof,
}

impl Shown {
    fn of(exchange: &Exchange) -> Self {
        match (exchange.has_proved(), exchange.has_spoken()) {
            (true, _) => Self::Proof,
            (false, true) => Self::Name,
            (false, false) => Self::Nothing,
        }
    }
}

impl fmt::Debug for LoggingIn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoggingIn").field("left", &self.left).finish_non_exhaustive()
    }
}

/// APOP's line, made from the greeting's timestamp.
pub(crate) fn apop_command(core: &Core, name: Vec<u8>, secret: &Secret) -> Result<ApopCommand> {
    let timestamp = apop::timestamp(core.greeting().line().as_bytes())
        .ok_or_else(|| Proto::from(ArgumentError::NoTimestamp))?;
    Ok(ApopCommand { name, digest: apop::digest(timestamp, secret) })
}

/// What the server offers, for people to read.
fn offered(core: &Core) -> String {
    let mechanisms = core.capabilities.sasl_mechanisms().map(ToString::to_string);
    let user = core.capabilities.has("USER").then(|| "USER".to_owned());
    mechanisms.chain(user).collect::<Vec<_>>().join(" ")
}
