//! The events of the `tracing` crate: a debug event per command, a trace event per line heard, and no secret in either.

#![cfg(all(feature = "blocking", feature = "tracing"))]
#![allow(clippy::unwrap_used)]

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};

use popwire::{Connector, Login, Security, blocking::Client};
use popwire_server::{Maildrop, Server};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Keeps the events of popwire up to a level.
#[derive(Clone)]
struct Keeper {
    most: Level,
    kept: Arc<Mutex<Vec<(Level, String)>>>,
}

impl Subscriber for Keeper {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "popwire" && *metadata.level() <= self.most
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.kept.lock().unwrap().push((*event.metadata().level(), text.0));
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, _: &Field, value: &dyn Debug) {
        write!(self.0, "{value:?}").unwrap();
    }
}

fn session(most: Level) -> Vec<(Level, String)> {
    let mail = Maildrop::memory(["Subject: secret plans\r\n\r\ntext\r\n"]);
    let server = Server::builder().user("alice", "s3cret pass", mail).start().unwrap();
    let connector = Connector::new("localhost")
        .port(server.addr().port())
        .security(Security::Plain)
        .dangerous_login_without_verified_tls()
        .without_capa();
    let keeper = Keeper { most, kept: Arc::default() };
    let kept = Arc::clone(&keeper.kept);
    tracing::subscriber::with_default(keeper, || {
        let mut client = Client::connect(&connector).unwrap();
        client.login(&Login::password("alice", "s3cret pass")).unwrap();
        client.list().unwrap();
        client.retr(1).unwrap().read_to_vec().unwrap();
        assert!(client.quit().is_committed());
    });
    let kept = kept.lock().unwrap();
    kept.clone()
}

#[test]
fn s01_events_come_at_two_levels_and_without_secrets() {
    let commands: Vec<String> = session(Level::DEBUG).into_iter().map(|(_, text)| text).collect();
    assert_eq!(commands, ["C: USER alice", "C: PASS ********", "C: LIST", "C: RETR 1", "C: QUIT"]);

    let all = session(Level::TRACE);
    let heard = all.iter().filter(|(level, _)| *level == Level::TRACE).count();
    // The greeting, an answer to each of the five commands, and the one line of the listing.
    assert_eq!(heard, 7, "{all:?}");
    let text = format!("{all:?}");
    assert!(text.contains("S: 1 31") && !text.contains("s3cret") && !text.contains("plans"), "{text}");
}
