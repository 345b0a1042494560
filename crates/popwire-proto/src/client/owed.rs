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

/// What a server may repeat of a line that carried a secret: the secret as it went out; and where it was base64, or one of
/// several fields, the part of it where mechanisms and commands have the password, the token or the proof.
pub(super) fn echoes(verb: Verb, public: &[u8], secret: Secret) -> Vec<Secret> {
    let whole = matches!(verb, Verb::Pass | Verb::Apop) || public.trim_ascii().eq_ignore_ascii_case(b"PASS");
    let mut echoes = Vec::new();
    if !whole {
        let field = last(secret.expose(), |octet| octet == b' ');
        let decoded = Secret::from(STANDARD.decode(field).unwrap_or_default());
        // Binary tokens have no fields: what would look like one can be a letter that every text has. A password in another
        // character set than UTF-8 is no such token.
        let is_binary = |octet: &u8| octet.is_ascii_control() && !matches!(octet, 0 | 1 | b'\t');
        if !decoded.expose().iter().any(is_binary) {
            echoes.extend(proofs(decoded.expose()).into_iter().map(Secret::from));
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

/// Most secrets of one login that are remembered: more than any login has that ends.
const MOST: usize = 64;

/// The secrets of a line, and those of the lines before it in the same login: a server may repeat any of them.
pub(super) fn with_earlier(mut secrets: Vec<Secret>, earlier: &[Secret]) -> Vec<Secret> {
    secrets.extend(earlier.iter().take(MOST.saturating_sub(secrets.len())).cloned());
    secrets
}

/// The parts of a response that are the password, the token or the proof.
fn proofs(response: &[u8]) -> Vec<&[u8]> {
    // PLAIN and the OAuth mechanisms have such separators.
    if response.iter().any(|octet| matches!(octet, 0 | 1)) {
        let field = last(response, |octet| matches!(octet, 0 | 1));
        return vec![field.strip_prefix(b"auth=Bearer ").unwrap_or(field)];
    }
    // SCRAM has `p=`, DIGEST-MD5 `response=` among their attributes.
    let attributes = response.split(|octet| *octet == b',');
    let values =
        attributes.filter_map(|one| one.strip_prefix(b"p=").or_else(|| one.strip_prefix(b"response=")));
    let mut proofs: Vec<&[u8]> = values.collect();
    // CRAM-MD5 has its digest behind the name; the password of LOGIN may have blanks, and stands for itself.
    let end = last(response, |octet| octet == b' ');
    if end.len() == 32 && end.iter().all(u8::is_ascii_hexdigit) {
        proofs.push(end);
    }
    proofs.push(response);
    proofs
}

/// The last field that is not empty.
fn last(octets: &[u8], separates: impl Fn(u8) -> bool) -> &[u8] {
    octets.rsplit(|octet| separates(*octet)).find(|field| !field.is_empty()).unwrap_or_default()
}
