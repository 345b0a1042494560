//! A reply that is owed, and what must not be shown of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;

use crate::{Secret, Shape, Verb};

/// A reply that the server owes.
#[derive(Debug)]
pub(super) struct Owed {
    pub(super) verb: Verb,
    pub(super) shape: Shape,
    /// What a server may repeat of the command and nobody is to see.
    pub(super) secrets: Vec<Secret>,
}

impl Owed {
    /// Whether a positive answer opens the maildrop.
    pub(super) fn is_login(&self) -> bool {
        self.is_sasl() || matches!(self.verb, Verb::Pass | Verb::Apop | Verb::Rpop)
    }

    /// Whether a line from the server has a secret in it that the command carried.
    pub(super) fn is_repeated_in(&self, line: &[u8]) -> bool {
        self.secrets.iter().any(|secret| memmem::find(line, secret.expose()).is_some())
    }

    /// Whether it belongs to a SASL exchange. Bare AUTH, which has many lines for an answer, only lists mechanisms.
    pub(super) fn is_sasl(&self) -> bool {
        matches!(self.verb, Verb::Auth | Verb::AuthResponse) && self.shape == Shape::SingleLine
    }
}

/// What a server may repeat of a line that carried a secret: the secret as it went out; and where it was one of several
/// fields, or base64, the last field of it, where mechanisms and commands have the password or the token.
pub(super) fn echoes(verb: Verb, public: &[u8], secret: Secret) -> Vec<Secret> {
    let whole = matches!(verb, Verb::Pass | Verb::Apop) || public.trim_ascii().eq_ignore_ascii_case(b"PASS");
    let mut echoes = Vec::new();
    if !whole {
        let field = last_field(secret.expose());
        let decoded = Secret::from(STANDARD.decode(field).unwrap_or_default());
        // Binary tokens have no fields: what would look like one can be a letter that every text has.
        if std::str::from_utf8(decoded.expose()).is_ok() {
            echoes.push(last_field(decoded.expose()).into());
        }
        echoes.push(field.into());
    }
    echoes.push(secret);
    // `*` cancels an exchange, `=` is an empty response: no secrets, and every other text has them.
    echoes.retain(|echo| !matches!(echo.expose(), b"" | b"*" | b"="));
    if echoes.is_empty() {
        // An empty secret cannot be repeated, but that it was one still is not to be shown.
        echoes.push(Secret::from(&b"\r\n"[..]));
    }
    echoes
}

fn last_field(octets: &[u8]) -> &[u8] {
    octets.rsplit(|octet| matches!(octet, 0 | 1 | b' ')).find(|field| !field.is_empty()).unwrap_or_default()
}
