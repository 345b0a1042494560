//! The server's half: with the key of `pop@host`, which the system's keytab has, or the one that `KRB5_KTNAME` names.

use std::{fmt, mem};

use popwire_proto::sasl::{
    Error,
    server::{Directory, Refusal, ServerMechanism, Turn, act_as},
};

use crate::ffi::Context;
use crate::{NO_LAYER, framed};

/// The server's half of GSSAPI with Kerberos 5 (RFC 4752), for tests of clients.
///
/// The user is the first part of the client's principal: `alice` for `alice@EXAMPLE.ORG`. The realm is not looked at.
///
/// ```no_run
/// use popwire_gssapi::Acceptor;
///
/// // Reads the keytab when the first client comes
/// let acceptor = Acceptor::new();
/// # drop(acceptor);
/// ```
#[derive(Default)]
pub struct Acceptor {
    state: State,
}

#[derive(Default)]
enum State {
    /// The client's next token belongs to the negotiation.
    #[default]
    Fresh,
    Negotiating(Context),
    /// The client has all that it needs; its next message is empty.
    Agreed(Context),
    /// The client chooses among the security layers.
    Offered(Context),
    Over,
}

impl Acceptor {
    /// For one exchange.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn negotiate(&mut self, mut context: Context, token: &[u8]) -> Result<Turn, Error> {
        // The first kind of token is a client's (RFC 4121 section 4.1); libraries have crashed on what is framed otherwise.
        if !framed(token).is_some_and(|body| matches!(body, [1, 0, _, ..])) {
            return Err(Error::BadChallenge("it is no Kerberos token"));
        }
        let step = context.accept(token)?;
        self.state = if step.complete { State::Agreed(context) } else { State::Negotiating(context) };
        Ok(Turn::Challenge(step.token.expose().to_vec()))
    }

    fn offer(&mut self, mut context: Context) -> Result<Turn, Error> {
        let offer = context.wrap(&[NO_LAYER, 0, 0, 0])?;
        self.state = State::Offered(context);
        Ok(Turn::Challenge(offer.expose().to_vec()))
    }
}

/// Lets the client in whose choice this is.
fn enter(mut context: Context, choice: &[u8], directory: &dyn Directory) -> Result<Turn, Error> {
    let choice = context.unwrap(choice)?;
    let Some(([NO_LAYER, 0, 0, 0], authzid)) = choice.expose().split_first_chunk() else {
        return Ok(Turn::Refuse(Refusal::Malformed));
    };
    let principal = context.peer()?;
    let user = principal.split(['@', '/']).next().unwrap_or_default().as_bytes();
    Ok(act_as(user, authzid, directory))
}

impl ServerMechanism for Acceptor {
    fn speaks_first(&self) -> bool {
        false
    }

    fn respond(&mut self, response: Option<&[u8]>, directory: &dyn Directory) -> Turn {
        let response = response.unwrap_or_default();
        let turn = match mem::replace(&mut self.state, State::Over) {
            State::Fresh => Context::accepting().and_then(|context| self.negotiate(context, response)),
            State::Negotiating(context) => self.negotiate(context, response),
            State::Agreed(context) if response.is_empty() => self.offer(context),
            State::Offered(context) => enter(context, response, directory),
            State::Agreed(_) | State::Over => return Turn::Refuse(Refusal::Malformed),
        };
        turn.unwrap_or(Turn::Refuse(Refusal::Credentials))
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use popwire_proto::Secret;

    use super::*;

    struct Nobody;

    impl Directory for Nobody {
        fn password(&self, _: &[u8]) -> Option<Secret> {
            None
        }

        fn user_of_token(&self, _: &[u8], _: &[u8]) -> Option<Vec<u8>> {
            None
        }

        fn user_of_certificate(&self) -> Option<Vec<u8>> {
            None
        }

        fn anonymous(&self) -> Option<Vec<u8>> {
            None
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let framed = b"\x60\x0f\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x01\0xy";
        for length in 0..framed.len() {
            let turn = Acceptor::new().respond(framed.get(..length), &Nobody);
            assert!(matches!(turn, Turn::Refuse(_)), "{length}: {turn:?}");
        }
        // In the right frame, and nonsense in it: this goes to the library.
        for end in [&b"xy"[..], b"\x6e\0", b"\xff\xff"] {
            let mut token = framed.to_vec();
            token.truncate(15);
            token.extend_from_slice(end);
            let mut acceptor = Acceptor::new();
            assert!(matches!(acceptor.respond(Some(&token), &Nobody), Turn::Refuse(_)));
            // It is over, whatever comes then.
            assert!(matches!(acceptor.respond(Some(b""), &Nobody), Turn::Refuse(Refusal::Malformed)));
        }
        assert!(matches!(Acceptor::new().respond(None, &Nobody), Turn::Refuse(_)));
    }
}
