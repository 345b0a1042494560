//! Messages handed to a mail server: what LMTP and SMTP have in common, which is nearly all.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::Duration;

use popwire::Secret;

use crate::DeliveryError;
use crate::destination::{Parcel, share};
use crate::envelope::{Look, Mailbox, Sender};
use crate::identity::Mark;

mod session;
#[cfg(test)]
pub(crate) mod testing;
mod tls;
mod wire;

use session::{Failure, Session};
pub(crate) use tls::Roots;

/// How to get to a server.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) protocol: Protocol,
    pub(crate) place: Place,
    pub(crate) security: SmtpSecurity,
    pub(crate) roots: Roots,
    pub(crate) login: Option<(String, Secret)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Lmtp,
    Smtp,
}

/// How a connection to a mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SmtpSecurity {
    /// TLS from the first octet; port 465 by default.
    Tls,
    /// TLS after STARTTLS, or an error; port 587 by default.
    StartTls,
    /// No TLS, for a server on this machine; port 25 by default. There is no login then.
    Plain,
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

impl Place {
    /// A path that begins with a slash; `host:port`; or a host. An IPv6 address stands in brackets.
    pub(crate) fn parse(place: &str, port: u16) -> Self {
        if place.starts_with('/') {
            return Self::Unix(place.into());
        }
        if let Some((host, digits)) = place.rsplit_once(':')
            && let Ok(port) = digits.parse()
        {
            return Self::Tcp { host: host.into(), port };
        }
        Self::Tcp { host: place.into(), port }
    }
}

/// The mechanism behind [`LmtpDestination`](crate::LmtpDestination) and [`SmtpDestination`](crate::SmtpDestination).
pub(crate) struct Transfer {
    pub(crate) way: Way,
    pub(crate) recipient: Mailbox,
    pub(crate) sender: Sender,
    pub(crate) patience: Duration,
    pub(crate) name: String,
    session: Option<Session>,
    /// How many messages in a row have broken the connection.
    broken: u32,
    prepared: HashMap<Mark, Look>,
}

/// What the destinations around a [`Transfer`] have in common.
macro_rules! delivers_by_transfer {
    ($destination:ident) => {
        impl $destination {
            /// Whom the server is told to be the sender; [`Sender::ReturnPath`](crate::Sender::ReturnPath) if this is not
            /// called.
            #[must_use]
            pub fn sender(mut self, sender: crate::Sender) -> Self {
                self.0.sender = sender;
                self
            }

            /// How long the server may take for each answer, and for taking each piece of a message; twice as long for the
            /// answer to the message.
            #[must_use]
            pub fn patience(mut self, patience: std::time::Duration) -> Self {
                self.0.patience = patience;
                self
            }
        }

        impl crate::Destination for $destination {
            fn name(&self) -> &str {
                &self.0.name
            }

            /// Connects, is greeted, and logs in if it is to.
            fn check(&mut self) -> Result<(), crate::DeliveryError> {
                self.0.check()
            }

            fn remembers(&self) -> bool {
                false
            }

            fn marks(&mut self) -> Result<std::collections::HashSet<crate::Mark>, crate::DeliveryError> {
                Ok(std::collections::HashSet::new())
            }

            fn prepare(&mut self, parcels: &[&crate::Parcel]) -> Vec<Result<(), crate::DeliveryError>> {
                self.0.prepare(parcels)
            }

            fn commit(&mut self, parcels: &[&crate::Parcel]) -> Vec<Result<String, crate::DeliveryError>> {
                self.0.commit(parcels)
            }
        }
    };
}
pub(crate) use delivers_by_transfer;

/// So many messages in a row that break the connection, and it is not for the messages.
const BROKEN: u32 = 2;

/// RFC 5321 section 4.5.3.2.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

impl Transfer {
    pub(crate) fn new(name: String, way: Way, recipient: Mailbox) -> Self {
        Self {
            way,
            recipient,
            sender: Sender::default(),
            patience: PATIENCE,
            name,
            session: None,
            broken: 0,
            prepared: HashMap::new(),
        }
    }

    fn connect(&self) -> Result<Session, DeliveryError> {
        if self.way.login.is_some() && self.way.security == SmtpSecurity::Plain {
            let reason = io::Error::new(ErrorKind::InvalidInput, "the password is not sent without TLS");
            return Err(self.unavailable("logging in to", reason));
        }
        Session::new(&self.way, self.patience).map_err(|failure| match failure {
            Failure::Broken { source, .. } => self.unavailable("connecting to", source),
            Failure::Refused { said, .. } => self.unavailable("connecting to", io::Error::other(said)),
        })
    }

    /// Connects, and says goodbye.
    pub(crate) fn check(&self) -> Result<(), DeliveryError> {
        self.connect().map(Session::quit)
    }

    fn deliver(&mut self, parcel: &Parcel, look: &Look) -> Result<String, DeliveryError> {
        // One that has been open may have been closed at any time. Then a fresh one is tried.
        let mut is_fresh = self.session.is_none();
        let broken = loop {
            let mut session = match self.session.take() {
                Some(session) => session,
                None => self.connect()?,
            };
            let result = session.deliver(parcel, look, &self.recipient);
            if matches!(result, Ok(_) | Err(Failure::Refused { .. })) {
                self.session = Some(session);
                self.broken = 0;
            }
            match result {
                Ok(reply) => return Ok(format!("{}: {reply}", self.name)),
                Err(Failure::Refused { said, permanent }) => return Err(self.refused(said, permanent)),
                Err(Failure::Broken { unsure: false, .. }) if !is_fresh => is_fresh = true,
                Err(Failure::Broken { source, .. }) => break source,
            }
        };
        self.broken += 1;
        if self.broken < BROKEN {
            // If the server is still there, it may be the message that it cannot stand.
            self.session = Some(self.connect()?);
            return Err(self.refused(format!("the connection broke at this message: {broken}"), false));
        }
        Err(self.unavailable("handing a message to", broken))
    }

    fn refused(&self, said: String, permanent: bool) -> DeliveryError {
        DeliveryError::Refused { destination: self.name.clone(), said, permanent }
    }

    fn unavailable(&self, doing: &'static str, source: io::Error) -> DeliveryError {
        DeliveryError::Unavailable { destination: self.name.clone(), doing, source: source.into() }
    }

    pub(crate) fn prepare(&mut self, parcels: &[&Parcel]) -> Vec<Result<(), DeliveryError>> {
        self.prepared.clear();
        let mut results = Vec::with_capacity(parcels.len());
        for parcel in parcels {
            let look = Look::at(parcel, &self.sender)
                .map_err(|reason| self.unavailable("reading a message for", reason));
            results.push(look.map(|look| {
                self.prepared.insert(parcel.mark, look);
            }));
        }
        results
    }

    pub(crate) fn commit(&mut self, parcels: &[&Parcel]) -> Vec<Result<String, DeliveryError>> {
        let mut unavailable: Option<DeliveryError> = None;
        let mut results = Vec::with_capacity(parcels.len());
        for parcel in parcels {
            let result = match (&unavailable, self.prepared.remove(&parcel.mark)) {
                (Some(error), _) => Err(share(error)),
                (None, Some(look)) => self.deliver(parcel, &look),
                (None, None) => {
                    let reason = io::Error::new(ErrorKind::InvalidInput, "the message was not prepared");
                    results.push(Err(self.unavailable("handing a message to", reason)));
                    continue;
                }
            };
            if let Err(error @ DeliveryError::Unavailable { .. }) = &result
                && unavailable.is_none()
            {
                unavailable = Some(share(error));
            }
            results.push(result);
        }
        results
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            session.quit();
        }
    }
}

impl fmt::Debug for Transfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transfer").field("name", &self.name).finish_non_exhaustive()
    }
}
