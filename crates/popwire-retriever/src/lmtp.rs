//! A mail store that takes messages by LMTP, as Dovecot and Cyrus do.

use crate::envelope::Mailbox;
use crate::transfer::{Place, Protocol, Roots, SmtpSecurity, Transfer, Way, delivers_by_transfer};

/// Hands messages to a server by LMTP (RFC 2033), over TCP or a socket in the file system, for one recipient.
///
/// A message is delivered when the server says so behind its last octet. It is what it was but for its line ends: a line
/// feed alone and a carriage return alone become CRLF, and the last line gets one if it has none, since the protocol knows
/// no others. Octets beyond ASCII and long lines are sent as they are, whatever the server announces.
///
/// A refusal with a code of 400 to 499 is for now, and one from 500 on for good. The connection is kept for the next batch;
/// if the server has closed it meanwhile, there is a new one. Every wait has an end: five minutes, and ten for the reply to
/// the message (RFC 5321 section 4.5.3.2).
///
/// # Once more
///
/// A server cannot be asked what it got. If the connection breaks, or this program dies, between the last octet and the
/// reply, the message comes again. Where the server announces DSN, the mark of the delivery is the `ENVID`, which is the
/// same then.
#[derive(Debug)]
pub struct LmtpDestination(Transfer);

impl LmtpDestination {
    /// Hands over to the server at `place` for `recipient`. A place that begins with a slash is a socket in the file
    /// system; another is `host:port`, or a host, with port 24 then.
    #[must_use]
    pub fn new(place: &str, recipient: Mailbox) -> Self {
        let way = Way {
            protocol: Protocol::Lmtp,
            place: Place::parse(place, 24),
            security: SmtpSecurity::Plain,
            roots: Roots::default(),
            login: None,
        };
        Self(Transfer::new(format!("lmtp:{place} {recipient}"), way, recipient))
    }
}

delivers_by_transfer!(LmtpDestination);

#[cfg(test)]
mod tests;
