//! A mail store that takes messages by LMTP, as Dovecot and Cyrus do.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::Duration;

use crate::DeliveryError;
use crate::destination::{Destination, Parcel, share};
use crate::envelope::{Look, Mailbox, Sender};
use crate::identity::Mark;

mod session;
mod wire;

use session::{Failure, Session};
use wire::Wire;

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
pub struct LmtpDestination {
    place: Place,
    recipient: Mailbox,
    sender: Sender,
    patience: Duration,
    name: String,
    session: Option<Session>,
    /// How many messages in a row have broken the connection.
    broken: u32,
    prepared: HashMap<Mark, Look>,
}

/// Where the server is.
#[derive(Clone, Debug)]
enum Place {
    Tcp(String),
    Unix(PathBuf),
}

/// So many messages in a row that break the connection, and it is not for the messages.
const BROKEN: u32 = 2;

/// How long to wait for a connection at most.
const CONNECTING: Duration = Duration::from_secs(30);

impl LmtpDestination {
    /// Hands over to the server at `place` for `recipient`. A place that begins with a slash is a socket in the file
    /// system; another is `host:port`, or a host, with port 24 then.
    #[must_use]
    pub fn new(place: &str, recipient: Mailbox) -> Self {
        let name = format!("lmtp:{place} {recipient}");
        let place = if place.starts_with('/') {
            Place::Unix(place.into())
        } else if place.ends_with(']') || !place.contains(':') {
            Place::Tcp(format!("{place}:24"))
        } else {
            Place::Tcp(place.to_owned())
        };
        Self {
            place,
            recipient,
            sender: Sender::default(),
            patience: Duration::from_secs(5 * 60),
            name,
            session: None,
            broken: 0,
            prepared: HashMap::new(),
        }
    }

    /// Whom the server is told to be the sender; [`Sender::ReturnPath`] if this is not called.
    #[must_use]
    pub fn sender(mut self, sender: Sender) -> Self {
        self.sender = sender;
        self
    }

    /// How long the server may take for each answer, and for taking each piece of a message; twice as long for the answer
    /// to the message.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    fn connect(&self) -> Result<Session, DeliveryError> {
        let wire = match &self.place {
            Place::Tcp(place) => Wire::tcp(place, self.patience.min(CONNECTING)),
            Place::Unix(path) => Wire::unix(path, self.patience.min(CONNECTING)),
        };
        let session = wire.and_then(|wire| Session::new(wire, self.patience));
        session.map_err(|reason| self.unavailable("connecting to", reason))
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
}

impl Destination for LmtpDestination {
    fn name(&self) -> &str {
        &self.name
    }

    /// Connects, and is greeted.
    fn check(&mut self) -> Result<(), DeliveryError> {
        self.connect().map(drop)
    }

    fn remembers(&self) -> bool {
        false
    }

    fn marks(&mut self) -> Result<HashSet<Mark>, DeliveryError> {
        Ok(HashSet::new())
    }

    fn prepare(&mut self, parcels: &[&Parcel]) -> Vec<Result<(), DeliveryError>> {
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

    fn commit(&mut self, parcels: &[&Parcel]) -> Vec<Result<String, DeliveryError>> {
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

impl Drop for LmtpDestination {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            session.quit();
        }
    }
}

impl fmt::Debug for LmtpDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LmtpDestination").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
