//! A mail server that takes messages by SMTP.

use std::collections::HashSet;
use std::io;
use std::time::Duration;

use popwire::Secret;

use crate::DeliveryError;
use crate::destination::{Destination, Parcel};
use crate::envelope::{Mailbox, Sender};
use crate::identity::Mark;
use crate::transfer::{Place, Protocol, Roots, SmtpSecurity, Transfer, Way};

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

    /// Whom the server is told to be the sender; [`Sender::ReturnPath`] if this is not called.
    #[must_use]
    pub fn sender(mut self, sender: Sender) -> Self {
        self.0.sender = sender;
        self
    }

    /// How long the server may take for each answer, and for taking each piece of a message; twice as long for the answer
    /// to the message.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.0.patience = patience;
        self
    }
}

impl Destination for SmtpDestination {
    fn name(&self) -> &str {
        &self.0.name
    }

    /// Connects, and is greeted and logged in.
    fn check(&mut self) -> Result<(), DeliveryError> {
        self.0.check()
    }

    fn remembers(&self) -> bool {
        false
    }

    fn marks(&mut self) -> Result<HashSet<Mark>, DeliveryError> {
        Ok(HashSet::new())
    }

    fn prepare(&mut self, parcels: &[&Parcel]) -> Vec<Result<(), DeliveryError>> {
        self.0.prepare(parcels)
    }

    fn commit(&mut self, parcels: &[&Parcel]) -> Vec<Result<String, DeliveryError>> {
        self.0.commit(parcels)
    }
}

#[cfg(test)]
mod tests;
