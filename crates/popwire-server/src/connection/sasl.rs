//! AUTH (RFC 5034): lines and base64 around the server's halves of the mechanisms.

use std::io;
use std::sync::{Arc, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use popwire_proto::Secret;
use popwire_proto::sasl::server::{self, Directory, Fault, Refusal, ServerMechanism, Setting, Turn};
use popwire_proto::sasl::{BindingType, ChannelBinding, Mechanism, saslprep};
use popwire_proto::server::answer;
use rustls::ProtocolVersion;

use super::{Connection, Shared};
use crate::Direction;
use crate::answer::Then;
use crate::options::Account;

/// Longest response, in octets with its line end: tokens have some thousand (RFC 5034 section 4 leaves it to the
/// mechanism).
const RESPONSE_LINE: usize = 64 << 10;

/// The words for a mechanism that is announced and does not work.
const NOT_SET_UP: &str = "this mechanism does not work here";

/// What comes after a response.
enum Step {
    /// This challenge.
    Challenge(Vec<u8>),
    /// The user enters.
    Enter(Vec<u8>),
    /// `-ERR` for wrong credentials.
    Wrong,
    /// `-ERR` for another reason.
    Refuse(&'static str),
    /// `-ERR` in these words, and the connection is closed.
    Close(&'static str),
    /// The answer to `*`.
    Cancelled,
    /// The client is gone.
    Gone,
}

impl Connection {
    pub(super) async fn auth(&mut self, name: Option<&[u8]>, initial: Option<Secret>) -> io::Result<Then> {
        let Some(name) = name else {
            self.list_mechanisms();
            return Ok(Then::Continue);
        };
        let mechanism = std::str::from_utf8(name).ok().and_then(|name| name.parse().ok());
        let Some(mechanism) = mechanism.filter(|mechanism| self.accepts(*mechanism)) else {
            self.err(None, "no such mechanism");
            return Ok(Then::Continue);
        };
        if mechanism.reveals_secret() && !self.may_log_in() {
            return Ok(Then::Continue);
        }
        let quirks = &self.shared.options.sasl.quirks;
        let plain_needs_initial = quirks.plain_needs_initial;
        if initial.is_some() && !quirks.initial_in_line {
            self.err(None, "Protocol error. Connection is closed. 10");
            return Ok(Then::Close);
        }
        if initial.is_none() && plain_needs_initial && mechanism == Mechanism::Plain {
            return Ok(Then::Close);
        }
        if initial.is_none() && self.login_quirks().no_plain_alone && mechanism == Mechanism::Plain {
            self.err(None, "PLAIN needs an initial response here");
            return Ok(Then::Continue);
        }
        let Ok(half) = server::mechanism(mechanism, &self.setting()) else {
            self.err(None, "this mechanism cannot be used now");
            return Ok(Then::Continue);
        };
        #[cfg(feature = "gssapi")]
        let half = match mechanism {
            Mechanism::Gssapi if self.shared.options.sasl.quirks.midway != Some(mechanism) => {
                Some(Box::new(popwire_gssapi::Acceptor::new()) as Box<dyn ServerMechanism>)
            }
            _ => half,
        };
        // Responses may be longer than commands, but only now.
        self.machine.set_line_limit(RESPONSE_LINE);
        let end = self.exchange(mechanism, half, initial).await;
        self.machine.set_line_limit(self.command_line());
        self.conclude(end?).await
    }

    /// The exchange up to its end: any step but a challenge.
    async fn exchange(
        &mut self,
        mechanism: Mechanism,
        mut half: Option<Box<dyn ServerMechanism>>,
        initial: Option<Secret>,
    ) -> io::Result<Step> {
        let users =
            Arc::new(Users { shared: Arc::clone(&self.shared), certificate: self.certificate_user() });
        let midway = self.shared.options.sasl.quirks.midway == Some(mechanism);
        let speaks_first = half.as_ref().is_some_and(|half| half.speaks_first());
        let mut response = match initial {
            Some(_) if speaks_first => return Ok(Step::Refuse("the server speaks first in this mechanism")),
            // RFC 5034 section 4: an empty one is a single equals sign.
            Some(initial) if initial.expose() == b"=" => Some(Secret::default()),
            Some(initial) => match decode(initial.expose()) {
                Ok(initial) => Some(initial),
                Err(step) => return Ok(step),
            },
            None if speaks_first => None,
            None => {
                self.challenge(mechanism, b"");
                match self.response().await? {
                    Ok(_) if midway => return Ok(Step::Refuse(NOT_SET_UP)),
                    Ok(response) => Some(response),
                    Err(step) => return Ok(step),
                }
            }
        };
        loop {
            let step = match half.take() {
                None => Step::Refuse(NOT_SET_UP),
                Some(mut machine) => {
                    // SCRAM computes for as long as the builder says.
                    let users = Arc::clone(&users);
                    let (machine, turn) = tokio::task::spawn_blocking(move || {
                        let turn = machine.respond(response.as_ref().map(Secret::expose), &*users);
                        (machine, turn)
                    })
                    .await
                    .map_err(io::Error::other)?;
                    half = Some(machine);
                    match turn {
                        Turn::Challenge(challenge) => Step::Challenge(challenge),
                        _ if midway => Step::Refuse(NOT_SET_UP),
                        Turn::Accept(user) => Step::Enter(user),
                        Turn::Refuse(Refusal::Credentials) => Step::Wrong,
                        Turn::Refuse(Refusal::Malformed) => Step::Refuse("the response makes no sense"),
                    }
                }
            };
            let Step::Challenge(challenge) = step else { return Ok(step) };
            self.challenge(mechanism, &challenge);
            response = match self.response().await? {
                Ok(_) if midway => return Ok(Step::Refuse(NOT_SET_UP)),
                Ok(response) => Some(response),
                Err(step) => return Ok(step),
            };
        }
    }

    /// The last answer.
    async fn conclude(&mut self, end: Step) -> io::Result<Then> {
        let then = match end {
            Step::Enter(user) => {
                self.claimed = Some(user.clone());
                let maildrop = self.shared.account(&user).map(|account| account.maildrop.clone());
                self.enter(maildrop).await?
            }
            Step::Wrong => self.enter(None).await?,
            Step::Refuse(why) => {
                self.err(None, why);
                Then::Continue
            }
            Step::Close(why) => {
                self.err(None, why);
                Then::Close
            }
            Step::Cancelled if self.fault() == Some(&Fault::OkAfterCancel) => {
                self.ok("cancelled");
                Then::Continue
            }
            // Also after a challenge that said that the credentials are wrong: it counts.
            Step::Cancelled => self.fail(None, "cancelled").await?,
            Step::Challenge(_) | Step::Gone => Then::Close,
        };
        let entered = self.mailbox.is_some();
        let close = self.shared.options.sasl.quirks.close_after_refusal && !entered;
        Ok(if close { Then::Close } else { then })
    }

    /// Writes a challenge: `+ ` and base64, which may be empty (RFC 5034 section 4).
    fn challenge(&mut self, mechanism: Mechanism, challenge: &[u8]) {
        let ntlm_ok = mechanism == Mechanism::Ntlm && self.shared.options.sasl.quirks.ntlm_says_ok;
        let line = match self.fault() {
            _ if ntlm_ok && challenge.is_empty() => "+OK".to_owned(),
            Some(Fault::NotBase64) => "+ go ahead".to_owned(),
            Some(Fault::BareContinue) if challenge.is_empty() => "+".to_owned(),
            Some(Fault::TrailingBlank) => format!("+ {} ", STANDARD.encode(challenge)),
            _ => format!("+ {}", STANDARD.encode(challenge)),
        };
        let start = self.wire.out.len();
        self.wire.out.extend_from_slice(line.as_bytes());
        self.wire.out.extend_from_slice(b"\r\n");
        self.record_answer(start);
    }

    /// The client's next response, or why there is none.
    async fn response(&mut self) -> io::Result<Result<Secret, Step>> {
        let Some(line) = self.next_line().await? else { return Ok(Err(Step::Gone)) };
        let most = self.shared.options.sasl.quirks.line_max.unwrap_or(usize::MAX);
        // Wiped when it is dropped.
        let line = line.map(Secret::from);
        Ok(match line {
            Err(_) if most != usize::MAX => Err(Step::Close("Protocol error. 18")),
            Err(_) => Err(Step::Refuse("line too long")),
            Ok(line) => {
                let as_sent = Secret::from([line.expose(), b"\r\n"].concat());
                self.record(Direction::Client, as_sent.expose());
                match line.expose() {
                    line if line.len() > most => Err(Step::Close("Protocol error. 18")),
                    b"*" => Err(Step::Cancelled),
                    line => decode(line),
                }
            }
        })
    }

    /// AUTH without argument, which is older than CAPA.
    fn list_mechanisms(&mut self) {
        let mechanisms = self.announced();
        if mechanisms.is_empty() || self.login_quirks().no_bare_auth {
            return self.err(None, "no mechanism is offered");
        }
        self.ok("mechanisms follow");
        let start = self.wire.out.len();
        for mechanism in mechanisms {
            answer::line(&mut self.wire.out, mechanism.name().as_bytes());
        }
        answer::end(&mut self.wire.out);
        self.record_rest(start);
    }

    /// What CAPA and AUTH list now.
    pub(super) fn announced(&self) -> Vec<Mechanism> {
        let sasl = &self.shared.options.sasl;
        let midway = sasl.quirks.midway.filter(|mechanism| !sasl.offered.contains(mechanism));
        let may_reveal = self.machine.is_tls() || !self.shared.options.login.require_tls;
        sasl.offered
            .iter()
            .copied()
            .chain(midway)
            .filter(|mechanism| may_reveal || !mechanism.reveals_secret())
            .filter(|mechanism| self.can_use(*mechanism))
            .collect()
    }

    /// Whether AUTH knows this mechanism now; TLS may be missing for it.
    fn accepts(&self, mechanism: Mechanism) -> bool {
        let sasl = &self.shared.options.sasl;
        let offered = sasl.offered.contains(&mechanism) || sasl.hidden.contains(&mechanism);
        (offered || sasl.quirks.midway == Some(mechanism)) && self.can_use(mechanism)
    }

    /// Whether the session has what the mechanism stands on.
    fn can_use(&self, mechanism: Mechanism) -> bool {
        match mechanism {
            Mechanism::External => self.certificate_user().is_some(),
            Mechanism::Gssapi => {
                cfg!(feature = "gssapi") || self.shared.options.sasl.quirks.midway == Some(mechanism)
            }
            _ => !mechanism.binds_channel() || !self.bindings().is_empty(),
        }
    }

    fn setting(&self) -> Setting {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // The certificate is for addresses too, and one test or another has it for other names.
        let setting = Setting::new("localhost", now)
            .any_host(true)
            .bindings(self.bindings())
            .plus_offered(self.announced().iter().any(|mechanism| mechanism.binds_channel()))
            .iterations(self.shared.options.sasl.iterations);
        match self.fault() {
            Some(fault) => setting.fault(fault.clone()),
            None => setting,
        }
    }

    /// The channel bindings of the session.
    fn bindings(&self) -> Vec<ChannelBinding> {
        let Some(tls) = self.wire.tls() else { return Vec::new() };
        let mut bindings = Vec::from_iter(self.shared.end_point.clone());
        // RFC 9266 section 4.2: only from TLS 1.3 on is it unique without further conditions.
        if tls.protocol_version() == Some(ProtocolVersion::TLSv1_3)
            && let Ok(data) = tls.export_keying_material(vec![0; 32], b"EXPORTER-Channel-Binding", Some(&[]))
        {
            bindings.push(ChannelBinding::new(BindingType::TlsExporter, data));
        }
        bindings
    }

    /// For whom the certificate was made that the client has shown.
    fn certificate_user(&self) -> Option<Vec<u8>> {
        let shown = self.wire.tls()?.peer_certificates()?.first()?;
        let clients = self.shared.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.get(shown.as_ref()).cloned()
    }

    fn fault(&self) -> Option<&Fault> {
        self.shared.options.sasl.quirks.fault.as_ref()
    }
}

/// Strict base64: neither blanks nor missing padding (RFC 5034 section 4).
fn decode(base64: &[u8]) -> Result<Secret, Step> {
    STANDARD.decode(base64).map(Secret::from).map_err(|_| Step::Refuse("this is not base64"))
}

impl Shared {
    /// The account of a user whose name may have been prepared (RFC 4013) on its way here.
    fn account(&self, user: &[u8]) -> Option<&Account> {
        let accounts = &self.options.accounts;
        accounts.get(user).or_else(|| {
            let mut accounts = accounts.iter();
            accounts.find_map(|(name, account)| (prepared(name) == user).then_some(account))
        })
    }
}

/// A name as SASLprep has it; where it has none, as it is.
fn prepared(name: &[u8]) -> Vec<u8> {
    saslprep(name).unwrap_or_else(|_| name.to_vec())
}

/// The users, as the mechanisms see them.
struct Users {
    shared: Arc<Shared>,
    certificate: Option<Vec<u8>>,
}

impl Directory for Users {
    fn password(&self, user: &[u8]) -> Option<Secret> {
        self.shared.account(user).map(|account| account.password.clone())
    }

    fn user_of_token(&self, token: &[u8], named: &[u8]) -> Option<Vec<u8>> {
        let token = Secret::from(token);
        let tokens = self.shared.options.sasl.tokens.iter();
        // Not even how many there are before the right one is told by the time it takes.
        let users = tokens.fold(Vec::new(), |mut users, (user, known)| {
            if super::login::equal(known, &token) {
                users.push(prepared(user));
            }
            users
        });
        if named.is_empty() {
            return users.into_iter().next();
        }
        users.iter().any(|user| user == named || self.may_act_as(user, named)).then(|| named.to_vec())
    }

    fn user_of_certificate(&self) -> Option<Vec<u8>> {
        self.certificate.as_deref().map(prepared)
    }

    fn anonymous(&self) -> Option<Vec<u8>> {
        self.shared.options.sasl.anonymous.as_deref().map(prepared)
    }

    fn may_act_as(&self, user: &[u8], other: &[u8]) -> bool {
        let mut allowed = self.shared.options.sasl.acts_as.iter();
        allowed.any(|(who, whom)| prepared(who) == user && prepared(whom) == other)
    }
}
