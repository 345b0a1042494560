//! AUTH, line by line (RFC 5034 section 4): base64, the initial response, cancelling, and when a `+OK` may be believed.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{ClientMechanism, Error, OAuthFailure, Start};
use crate::command::{AuthCommand, AuthResponseCommand};
use crate::{Limits, Reply, Secret, Status};

/// More challenges than any mechanism has: a server must not go on asking for ever.
const MOST_CHALLENGES: u32 = 64;

/// One AUTH exchange: a mechanism, and the lines around it.
///
/// ```
/// use popwire_proto::sasl::{Exchange, Plain};
/// use popwire_proto::Limits;
///
/// let plain = Box::new(Plain::new("tim", "tanstaaftanstaaf"));
/// let (exchange, auth) = Exchange::begin(plain, true, &Limits::default())?;
/// assert_eq!(auth.mechanism, b"PLAIN");
/// assert_eq!(auth.initial.unwrap().expose(), b"AHRpbQB0YW5zdGFhZnRhbnN0YWFm");
/// # Ok::<(), popwire_proto::sasl::Error>(())
/// ```
pub struct Exchange {
    mechanism: Box<dyn ClientMechanism>,
    initial: Initial,
    challenges: u32,
    /// Why `*` was sent.
    cancelled: Option<Error>,
    /// The credentials were put to the test before the last reply; a machine that has failed since may not tell it any more.
    proved: bool,
    /// It has come to its end, and nothing that comes later changes that.
    over: bool,
}

/// The initial response, which may have to wait for an empty challenge.
enum Initial {
    /// The server speaks first, or the initial response is done with.
    Over,
    /// It stood in the AUTH line. It is kept for a server that overlooked it.
    Sent(Secret),
    /// It goes out as soon as the server asks.
    Waiting(Secret),
}

/// What the server's reply leads to.
#[derive(Debug)]
#[non_exhaustive]
pub enum Turn {
    /// Send this line. It may be the one that cancels.
    Send(AuthResponseCommand),
    /// Send this line, after [`Client::take_for_challenge`](crate::Client::take_for_challenge): the `+OK` was none.
    SendAfterOk(AuthResponseCommand),
    /// The server let us in, and has proved what it had to.
    Accepted,
    /// The server said `-ERR`.
    Refused,
    /// The exchange failed on this side; the server has been told, or has to be left.
    Failed(Error),
}

impl Exchange {
    /// Begins, and gives the AUTH line.
    ///
    /// `announced` tells whether the server announces SASL: only then may an initial response stand in the line, and only
    /// if the line stays within [`Limits::command_line`].
    ///
    /// # Errors
    ///
    /// What [`ClientMechanism::start`] has. Nothing is to be sent then.
    pub fn begin(
        mut mechanism: Box<dyn ClientMechanism>,
        announced: bool,
        limits: &Limits,
    ) -> Result<(Self, AuthCommand), Error> {
        let name = mechanism.name().as_bytes().to_vec();
        let mut in_line = None;
        let initial = match mechanism.start()? {
            Start::ServerFirst => Initial::Over,
            Start::ClientFirst(response) => {
                let encoded = encode_initial(&response);
                let length = "AUTH  \r\n".len() + name.len() + encoded.expose().len();
                if announced && mechanism.allows_initial_response() && length <= limits.command_line {
                    in_line = Some(encoded);
                    Initial::Sent(response)
                } else {
                    Initial::Waiting(response)
                }
            }
        };
        let exchange =
            Self { mechanism, initial, challenges: 0, cancelled: None, proved: false, over: false };
        Ok((exchange, AuthCommand { mechanism: name, initial: in_line }))
    }

    /// What comes after this reply.
    pub fn hear(&mut self, reply: &Reply) -> Turn {
        if self.over {
            return Turn::Failed(Error::UnexpectedChallenge);
        }
        self.proved = self.has_proved();
        let turn = self.turn(reply);
        self.over = !matches!(turn, Turn::Send(_) | Turn::SendAfterOk(_));
        turn
    }

    fn turn(&mut self, reply: &Reply) -> Turn {
        if let Some(why) = self.cancelled.take() {
            return match reply.status() {
                // Cancelled, and in all the same: whoever does that asks nobody for a password.
                Status::Ok => Turn::Failed(untrusted(why)),
                Status::Err => Turn::Failed(why),
                Status::Continue => self.cancel(why),
            };
        }
        match reply.status() {
            Status::Err => Turn::Refused,
            Status::Ok if self.is_done() => Turn::Accepted,
            Status::Ok if self.takes_ok_for_challenge() => {
                self.challenges += 1;
                match self.answer(b"") {
                    Ok(line) => Turn::SendAfterOk(line),
                    Err(why) => Turn::Failed(why),
                }
            }
            Status::Ok => Turn::Failed(Error::EarlySuccess),
            Status::Continue => match self.challenged(reply.text()) {
                Ok(line) => Turn::Send(line),
                Err(why) => self.cancel(why),
            },
        }
    }

    /// Whether the credentials were put to the test: a refusal from now on is a verdict on them.
    #[must_use]
    pub fn has_proved(&self) -> bool {
        self.proved || (self.mechanism.has_proved() && !matches!(self.initial, Initial::Waiting(_)))
    }

    /// Whether anything but the mechanism's name was said. A refusal before that is one of the mechanism.
    #[must_use]
    pub fn has_spoken(&self) -> bool {
        self.challenges > 0 || matches!(self.initial, Initial::Sent(_))
    }

    /// Whether a `+OK` would be believed now.
    #[must_use]
    pub fn believes_ok(&self) -> bool {
        self.cancelled.is_none() && self.is_done()
    }

    /// Why it is being cancelled, while the server's answer to that is due.
    #[must_use]
    pub fn cancelled(&self) -> Option<&Error> {
        self.cancelled.as_ref()
    }

    /// Whether the next [`hear`](Self::hear) may take long.
    #[must_use]
    pub fn may_block(&self) -> bool {
        self.mechanism.may_block()
    }

    /// What the server said about a token that it refused.
    #[must_use]
    pub fn failure(&self) -> Option<&OAuthFailure> {
        self.mechanism.failure()
    }

    fn is_done(&self) -> bool {
        self.mechanism.is_done() && !matches!(self.initial, Initial::Waiting(_))
    }

    fn takes_ok_for_challenge(&self) -> bool {
        // Once only, in place of the challenge that the first response waits for: a later one would be a login unproved.
        matches!(self.initial, Initial::Waiting(_)) && self.mechanism.takes_ok_for_challenge()
    }

    fn challenged(&mut self, text: &[u8]) -> Result<AuthResponseCommand, Error> {
        self.challenges += 1;
        if self.challenges > MOST_CHALLENGES {
            return Err(Error::UnexpectedChallenge);
        }
        // Nothing that is needed can stand in a challenge to which the answer is known already: some servers write words.
        let informative = !matches!(self.initial, Initial::Waiting(_)) && !self.mechanism.ignores_challenge();
        // An empty challenge is a blank, or nothing; some servers write two. All else is base64 to the letter.
        let text = if text.trim_ascii().is_empty() { b"" } else { text };
        match STANDARD.decode(text) {
            Ok(challenge) => self.answer(&challenge),
            Err(_) if !informative => self.answer(b""),
            Err(_) => Err(Error::NotBase64),
        }
    }

    fn answer(&mut self, challenge: &[u8]) -> Result<AuthResponseCommand, Error> {
        let response = match std::mem::replace(&mut self.initial, Initial::Over) {
            Initial::Waiting(response) => response,
            // The server overlooked it in the AUTH line, as it may if it knows no initial responses.
            Initial::Sent(response) if challenge.is_empty() => response,
            Initial::Sent(_) | Initial::Over => self.mechanism.respond(challenge)?,
        };
        Ok(AuthResponseCommand { response: STANDARD.encode(response.expose()).into() })
    }

    fn cancel(&mut self, why: Error) -> Turn {
        self.challenges += 1;
        if self.challenges > MOST_CHALLENGES + 1 {
            return Turn::Failed(why);
        }
        self.cancelled = Some(why);
        Turn::Send(AuthResponseCommand { response: "*".into() })
    }
}

/// Without the mechanism, which has the secrets.
impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("mechanism", &self.mechanism.name()).finish_non_exhaustive()
    }
}

/// Base64, and `=` for nothing at all (RFC 5034 section 4).
fn encode_initial(response: &Secret) -> Secret {
    if response.is_empty() { "=".into() } else { STANDARD.encode(response.expose()).into() }
}

fn untrusted(why: Error) -> Error {
    if why.is_server_untrusted() { why } else { Error::EarlySuccess }
}
