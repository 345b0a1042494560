//! What `popwire serve` says: where it listens, what happens, and what it was in all.

use std::time::Duration;

use jiff::Timestamp;
use popwire_server::{Event, EventKind, Knob, Personality, Server};
use serde_json::{Value, json};

use super::Subject;
use crate::args::ServeArgs;
use crate::output::Output;
use crate::text;

/// What is served, and where.
pub(super) struct Serving<'a> {
    pub(super) args: &'a ServeArgs,
    pub(super) subject: &'a Subject<'a>,
    pub(super) server: &'a Server,
}

impl Serving<'_> {
    pub(super) fn announce(&self, output: &mut Output) {
        let (plain, tls) = (self.server.addr(), self.server.tls_addr());
        let read_only = if self.args.read_only { ", read-only" } else { "" };
        output.report(&match self.subject {
            Subject::Mailbox { user, place, messages, .. } => format!(
                "Serving {} from {}{read_only}, to {}.",
                text::messages(*messages as u64),
                place.display(),
                text::field(user),
            ),
            Subject::Scenario(path) => format!("Serving the scenario {}.", path.display()),
            Subject::Transcript(path) => {
                format!("Playing the transcript {} to all who connect.", path.display())
            }
        });
        output.report(&format!("Listening on {plain}, with STLS, and on {tls}, with TLS."));
        if let Subject::Mailbox { user, made, .. } = self.subject {
            let password = made.as_ref().map(|made| String::from_utf8_lossy(made.expose()));
            if let Some(password) = &password {
                output.report(&format!("The password, made up for this run, is {password}"));
            }
            output.report(&format!("Try it:\n  {}", self.command(user, password.as_deref())));
        }
        output.report("Ctrl-C ends it.\n");
        output.event(&match self.subject {
            Subject::Mailbox { user, messages, made, .. } => json!({
                "event": "serving",
                "plain": plain.to_string(),
                "tls": tls.to_string(),
                "user": user,
                "password": made.as_ref().map(|made| String::from_utf8_lossy(made.expose())),
                "messages": messages,
                "read_only": self.args.read_only,
            }),
            Subject::Scenario(path) => json!({
                "event": "serving",
                "plain": plain.to_string(),
                "tls": tls.to_string(),
                "scenario": path.display().to_string(),
            }),
            Subject::Transcript(path) => json!({
                "event": "serving",
                "plain": plain.to_string(),
                "tls": tls.to_string(),
                "transcript": path.display().to_string(),
            }),
        });
    }

    /// What lists this mailbox, ready for a shell.
    fn command(&self, user: &str, password: Option<&str>) -> String {
        let password = password.map(|password| format!("POPWIRE_PASSWORD={password} ")).unwrap_or_default();
        let user = percent_encoded(user);
        let (plain, tls) = (self.server.addr(), self.server.tls_addr());
        let at = |ip: std::net::IpAddr, port: u16| {
            // Who listens everywhere is found here, too.
            let ip = match ip {
                ip if !ip.is_unspecified() => ip,
                std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            };
            std::net::SocketAddr::new(ip, port)
        };
        let tls = at(tls.ip(), tls.port());
        if let Some(ca) = &self.args.ca_out {
            return format!(
                "{password}popwire ls pops://{user}@{tls} --ca {}",
                quoted(&ca.display().to_string())
            );
        }
        if self.args.tls_cert.is_some() {
            return format!("{password}popwire ls pops://{user}@{tls}");
        }
        if self.args.require_tls {
            return format!("{password}popwire ls pops://{user}@{tls} --insecure-any-certificate");
        }
        format!("{password}popwire ls pop://{user}@{} --insecure-plaintext", at(plain.ip(), plain.port()))
    }
}

/// As a name stands in a URL. All that is kept means nothing to a shell either.
fn percent_encoded(name: &str) -> String {
    let encode = |octet: u8| match octet {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(octet).to_string(),
        octet => format!("%{octet:02X}"),
    };
    name.bytes().map(encode).collect()
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-._/".contains(&octet);
    if word.bytes().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// What happened in all.
#[derive(Default)]
pub(super) struct Totals {
    connections: u64,
    logins: u64,
    retrieved: u64,
    octets: u64,
    removed: u64,
}

impl Totals {
    pub(super) fn add(&mut self, event: &Event) {
        match &event.kind {
            EventKind::Accepted { .. } => self.connections += 1,
            EventKind::LoggedIn { .. } => self.logins += 1,
            EventKind::Retrieved { octets, .. } => {
                self.retrieved += 1;
                self.octets = self.octets.saturating_add(*octets);
            }
            EventKind::Quit { removed, .. } => self.removed += *removed as u64,
            _ => {}
        }
    }

    /// `Served 3 connections in 2 min 5 s: 2 signed in, 12 messages retrieved (3.4 MB), 12 removed.`
    pub(super) fn conclude(&self, cut: usize, lasted: Duration, output: &mut Output) {
        let Self { connections, logins, retrieved, octets, removed } = self;
        let plural = if *connections == 1 { "" } else { "s" };
        let cut_too = if cut > 0 { format!(" Cut while they were busy: {cut}.") } else { String::new() };
        output.report(&format!(
            "Served {connections} connection{plural} in {}: {logins} signed in, {} retrieved ({}), {removed} removed.{cut_too}",
            text::duration(lasted),
            text::messages(*retrieved),
            text::size(*octets),
        ));
        output.event(&json!({
            "event": "stopped",
            "connections": connections,
            "logins": logins,
            "retrieved": retrieved,
            "octets": octets,
            "removed": removed,
            "cut": cut,
            "ms": u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX),
        }));
    }
}

/// An event as an object: the fields of its line.
pub(super) fn object(event: &Event) -> Value {
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let mut object = match &event.kind {
        EventKind::Accepted { tls } => json!({ "tls": tls }),
        EventKind::TurnedAway { address } => json!({ "limit": if *address { "address" } else { "server" } }),
        EventKind::Tls { version, cipher_suite } => json!({ "version": version, "cipher": cipher_suite }),
        EventKind::LoggedIn { user, method, messages, octets } => {
            json!({ "user": text(user), "method": method, "messages": messages, "octets": octets })
        }
        EventKind::LoginRefused { user, method, answer } => {
            json!({ "user": user.as_deref().map(text), "method": method, "answer": answer })
        }
        EventKind::Retrieved { message, octets, unique_id } => {
            json!({ "message": message, "octets": octets, "uid": text(unique_id) })
        }
        EventKind::Marked { message, unique_id } => json!({ "message": message, "uid": text(unique_id) }),
        EventKind::Quit { removed, failed } => json!({ "removed": removed, "failed": failed }),
        EventKind::Closed { why, received, sent, lasted } => {
            let ms = u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX);
            json!({ "why": why.name(), "received": received, "sent": sent, "ms": ms })
        }
        _ => json!({}),
    };
    if let Value::Object(fields) = &mut object {
        let time = Timestamp::try_from(event.time).unwrap_or(Timestamp::MIN);
        fields.insert("event".to_owned(), event.kind.name().into());
        fields.insert("time".to_owned(), format!("{time:.3}").into());
        fields.insert("session".to_owned(), event.session.into());
        fields.insert("peer".to_owned(), event.peer.to_string().into());
    }
    object
}

/// A knob as an object.
pub(super) fn personality(personality: &Personality) -> Value {
    json!({
        "personality": personality.name(),
        "about": personality.about(),
        "quirks": personality.quirks(),
        "deviations": ids(personality.deviations()),
    })
}

/// As the documentation has them.
fn ids(deviations: &[u16]) -> Vec<String> {
    deviations.iter().map(|number| format!("Q-{number:03}")).collect()
}

pub(super) fn knob(knob: &Knob) -> Value {
    json!({
        "quirk": knob.name(),
        "values": knob.values(),
        "about": knob.about(),
        "deviations": ids(knob.deviations()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_fit_for_a_shell() {
        assert_eq!(percent_encoded("al@example.org's"), "al%40example.org%27s");
        assert_eq!(quoted("a/b-c.pem"), "a/b-c.pem");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
