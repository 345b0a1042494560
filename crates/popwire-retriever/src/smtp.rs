//! A mail server that takes messages by SMTP.

use std::io;

use popwire::Secret;

use crate::envelope::Mailbox;
use crate::transfer::{Place, Protocol, Roots, SmtpSecurity, Transfer, Way, delivers_by_transfer};

/// Hands messages to a server by SMTP (RFC 5321), for one recipient.
///
/// All that is said of [`LmtpDestination`](crate::LmtpDestination) holds here too: of line ends, refusals, waits, and of
/// messages that come once more.
#[derive(Debug)]
pub struct SmtpDestination(Transfer);

impl SmtpDestination {
    /// Hands over to the server at `place` for `recipient`. The place is `host:port`, or a host, with the port that goes
    /// with the security then. The host is the name that the server's certificate must have.
    #[must_use]
    pub fn new(place: &str, security: SmtpSecurity, recipient: Mailbox) -> Self {
        let port = match security {
            SmtpSecurity::Tls => 465,
            SmtpSecurity::StartTls => 587,
            SmtpSecurity::Plain => 25,
        };
        let way = Way {
            protocol: Protocol::Smtp,
            place: Place::parse(place, port),
            security,
            roots: Roots::default(),
            login: None,
        };
        Self(Transfer::new(format!("smtp:{place} {recipient}"), way, recipient))
    }

    /// Logs in, by AUTH PLAIN or else by AUTH LOGIN (RFC 4954). Without TLS this is an error before anything is sent.
    #[must_use]
    pub fn login(mut self, user: impl Into<String>, password: impl Into<Secret>) -> Self {
        self.0.way.login = Some((user.into(), password.into()));
        self
    }

    /// Trusts the authorities with these certificates, PEM, in place of those that the system trusts.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] if there is none, or one that cannot be used.
    pub fn root_certificates(mut self, pem: &[u8]) -> io::Result<Self> {
        self.0.way.roots = Roots::from_pem(pem)?;
        Ok(self)
    }
}

delivers_by_transfer!(SmtpDestination);

#[cfg(test)]
mod tests;
