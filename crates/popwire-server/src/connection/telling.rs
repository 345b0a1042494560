//! What of a conversation becomes an event.

use popwire_proto::server::{Incoming, Request, State};

use super::Connection;
use crate::answer::Then;
use crate::{EventKind, Mechanism};

/// A command of which something is to be told once it has been answered.
pub(super) enum Noted {
    /// A way to log in.
    Login(&'static str),
    Retr(u64),
    Dele(u64),
}

impl Connection {
    /// Looks at a command before it is carried out.
    pub(super) fn note(&mut self, incoming: &Incoming) -> Option<Noted> {
        if !self.wire.teller.is_heard() {
            return None;
        }
        let noted = match incoming.request().as_ref().ok()? {
            Request::User { name } => {
                self.claimed = Some(name.clone());
                return None;
            }
            Request::Pass { .. } => Noted::Login("USER"),
            Request::Apop { name, .. } => {
                self.claimed = Some(name.clone());
                Noted::Login("APOP")
            }
            Request::Rpop { user } => {
                self.claimed.get_or_insert_with(|| user.clone());
                Noted::Login("RPOP")
            }
            Request::Auth { mechanism: Some(mechanism), .. } => {
                // Whom a mechanism names is known only if it succeeds.
                self.claimed = None;
                // An event is a line for people: what is no name of a mechanism is not repeated.
                let name = std::str::from_utf8(mechanism).ok().and_then(|name| name.parse().ok());
                Noted::Login(name.map_or("unknown", Mechanism::name))
            }
            Request::Retr { message } => Noted::Retr(*message),
            Request::Dele { message } => Noted::Dele(*message),
            _ => return None,
        };
        Some(noted)
    }

    /// Tells what became of it.
    pub(super) fn tell(&mut self, noted: Noted, then: Then) {
        let user = || self.claimed.clone();
        let told = match (noted, &self.mailbox) {
            (Noted::Login(method), Some(mailbox)) if self.machine.state() == State::Transaction => {
                let (messages, octets) = mailbox.totals();
                let user = user().unwrap_or_default();
                Some(EventKind::LoggedIn { user, method, messages, octets })
            }
            (Noted::Login(method), _) => Some(EventKind::LoginRefused {
                user: user(),
                method,
                answer: String::from_utf8_lossy(&self.refusal).trim_end().to_owned(),
            }),
            // What was refused was not done; what ends in a broken connection was not done wholly.
            _ if !self.refusal.is_empty() || then != Then::Continue => None,
            (Noted::Retr(message), Some(mailbox)) => mailbox.entry(message).ok().map(|entry| {
                EventKind::Retrieved { message, octets: entry.size, unique_id: entry.unique_id.clone() }
            }),
            (Noted::Dele(message), Some(mailbox)) => mailbox
                .marked(message)
                .map(|entry| EventKind::Marked { message, unique_id: entry.unique_id.clone() }),
            (_, None) => None,
        };
        if let Some(kind) = told {
            self.wire.teller.tell(kind);
        }
    }

    /// Tells by what TLS the connection is protected.
    pub(super) fn tell_tls(&self) {
        let Some(tls) = self.wire.tls().filter(|_| self.wire.teller.is_heard()) else { return };
        let version = tls.protocol_version().and_then(|version| version.as_str()).unwrap_or("unknown");
        let suite = tls.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
        self.wire.teller.tell(EventKind::Tls {
            version: version.to_owned(),
            cipher_suite: suite.unwrap_or("unknown").to_owned(),
        });
    }
}
