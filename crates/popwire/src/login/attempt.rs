//! What was tried, and how it ended.

use std::fmt;

use popwire_proto::sasl::{self, OAuthFailure};
use popwire_proto::{Reply, Secret};

use super::Method;

/// One attempt of a login, as [`Error::attempts`](crate::Error::attempts) has it. No secret is in it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Attempt {
    /// The way that was tried.
    pub method: Method,
    /// The server's answer, if it was a refusal.
    pub reply: Option<Reply>,
    /// What went wrong within the mechanism.
    pub error: Option<sasl::Error>,
    /// What the server said of the token.
    pub oauth: Option<OAuthFailure>,
    /// How many octets the token has, if it was one. Exchange Online takes no line of more than 4096, which is about 3000
    /// octets of token.
    pub token_octets: Option<usize>,
    /// Whether the server had seen something by which it can tell that the credentials are right or wrong. If it blames them
    /// without, it may keep the password in a form that this mechanism cannot use, and another may work.
    pub proved: bool,
    /// Whether USER and PASS were refused by a server whose greeting offers APOP: it may take nothing else, and APOP is
    /// tried by name only.
    pub apop_offered: bool,
    /// Whether the server closed the connection instead of an answer.
    pub closed: bool,
}

/// From here on a token, in base64 and with what stands around it, is longer than a line of 4096 octets.
const LONG_TOKEN: usize = 2900;

/// How a login may go on over a new connection.
#[derive(Clone, Debug)]
pub(crate) struct Resume {
    /// By none of these ways.
    pub(crate) avoid: Vec<Method>,
    /// With the response on a line of its own.
    pub(crate) without_initial_response: bool,
    /// With what the provider gave already, and whether it was asked twice for it.
    pub(crate) secret: Option<Secret>,
    pub(crate) refreshed: bool,
}

impl Attempt {
    pub(super) fn new(method: Method) -> Self {
        Self {
            method,
            reply: None,
            error: None,
            oauth: None,
            token_octets: None,
            proved: false,
            apop_offered: false,
            closed: false,
        }
    }

    /// Whether a token was shown.
    #[must_use]
    pub fn is_token(&self) -> bool {
        self.token_octets.is_some()
    }

    /// Whether the server has said within the exchange that it is the credentials.
    pub(crate) fn blames_credentials(&self) -> bool {
        // RFC 5802 section 7
        let words = ["invalid-proof", "unknown-user", "invalid-username-encoding"];
        let blamed = |error: &sasl::Error| match error {
            sasl::Error::Server(said) => words.iter().any(|word| said.as_bytes() == word.as_bytes()),
            _ => false,
        };
        self.oauth.is_some() || self.error.as_ref().is_some_and(blamed)
    }

    /// What is known beyond the server's own line.
    pub(crate) fn show_details(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(sasl::Error::Server(words)), Some(_)) = (&self.error, &self.reply) {
            write!(f, " (it says: {words})")?;
        }
        if let Some(failure) = &self.oauth {
            write!(f, " (of the token it says: {})", failure.text)?;
        }
        if self.apop_offered {
            f.write_str(" (it offers APOP, and may take nothing else)")?;
        }
        match self.token_octets {
            Some(octets) if octets > LONG_TOKEN => write!(
                f,
                " (the token has {octets} octets; some servers take no line of more than 4096, so ask for fewer scopes)"
            ),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.method)?;
        match (&self.error, &self.reply) {
            (Some(sasl::Error::Server(_)), Some(reply)) | (None, Some(reply)) => reply.fmt(f)?,
            (Some(error), _) => error.fmt(f)?,
            (None, None) if self.closed => f.write_str("the server closed the connection")?,
            (None, None) => f.write_str("no answer")?,
        }
        self.show_details(f)
    }
}
