//! What a `-ERR` to a login means.

use popwire_proto::listing::Capabilities;
use popwire_proto::sasl::Exchange;
use popwire_proto::{Reply, ResponseCode};

use super::Method;
use crate::error::Refusal;

/// What a `-ERR` to a login command means: by its code, or by its words where the server has no codes.
///
/// Without a code the reading is cautious: words that speak of locks, load or patience are no reason to doubt a password,
/// nor are words that speak of TLS where there is none.
pub(crate) fn classify(reply: &Reply, capabilities: &Capabilities, tls: bool) -> Refusal {
    match reply.code() {
        Some(ResponseCode::InUse) => Refusal::InUse,
        Some(ResponseCode::LoginDelay) => Refusal::LoginDelay,
        Some(ResponseCode::SysTemp) => Refusal::Temporary,
        Some(ResponseCode::SysPerm) => Refusal::Permanent,
        _ if !tls && says(reply, &[b"tls", b"ssl", b"under a layer", b"encrypt"]) => Refusal::TlsRequired,
        Some(ResponseCode::Auth) => Refusal::Authentication,
        _ if asks_for_patience(reply) => Refusal::Temporary,
        // This server says [AUTH] where it means the credentials (RFC 3206 section 6).
        _ if capabilities.has("AUTH-RESP-CODE") => Refusal::Other,
        _ => Refusal::Authentication,
    }
}

/// Whether the server's words, for want of a code, sound like a trouble that passes.
pub(crate) fn asks_for_patience(reply: &Reply) -> bool {
    says(
        reply,
        &[
            b"lock",
            b"busy",
            b"in use",
            b"wait",
            b"try again",
            b"minutes",
            b"temporar",
            b"unavailable",
            b"too many",
        ],
    )
}

/// Whether the server's words sound like a command that it does not have. Words that may be about a message, such as
/// "unknown" alone, are not among them.
pub(crate) fn lacks_command(reply: &Reply) -> bool {
    says(
        reply,
        &[
            b"unknown command",
            b"unrecognized",
            b"unrecognised",
            b"unimplemented",
            b"not implemented",
            b"unsupported",
            b"not supported",
            b"invalid command",
            b"bad command",
            b"illegal command",
            b"no such command",
            b"command disabled",
        ],
    )
}

fn says(reply: &Reply, words: &[&[u8]]) -> bool {
    let text = reply.text().to_ascii_lowercase();
    words.iter().any(|word| text.windows(word.len()).any(|window| window == *word))
}

/// Whether a refusal settles the matter, so that no other way may be tried: the credentials were judged, or the server
/// has another reason that holds for every way.
pub(super) fn is_final(reply: &Reply, refusal: Refusal, shown: Shown, method: Method) -> bool {
    // A server that cannot do this type of channel binding may blame the credentials; it has not seen any.
    let blamed =
        matches!(reply.code(), Some(ResponseCode::Auth)) && shown == Shown::Name && !method.binds_channel();
    shown == Shown::Proof
        || blamed
        || !matches!(refusal, Refusal::Authentication | Refusal::Mechanism | Refusal::Other)
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
    pub(super) fn of(exchange: &Exchange) -> Self {
        match (exchange.has_proved(), exchange.has_spoken()) {
            (true, _) => Self::Proof,
            (false, true) => Self::Name,
            (false, false) => Self::Nothing,
        }
    }
}
