//! The embedded server as the tests want it, and the connectors to it.

use std::time::{Duration, Instant};

use popwire::{Connector, Error, Login, Security, Tls};
use popwire_server::{Builder, Maildrop, Server, Session};

pub(crate) const PASSWORD: &str = "s3cret pass";

/// Two small messages, 22 and 24 octets.
pub(crate) const MAIL: [&str; 2] = ["Subject: 1\r\n\r\nhello 1\r\n", "Subject: 2\r\n\r\n.\r\nhello 2\r\n"];

/// Alice with [`MAIL`].
pub(crate) fn alice() -> Builder {
    Server::builder().user("alice", PASSWORD, Maildrop::memory(MAIL))
}

pub(crate) fn login() -> Login {
    Login::password("alice", PASSWORD)
}

pub(crate) fn ca(server: &Server) -> Tls {
    Tls::new().with_root_certificates(server.ca_pem().as_bytes()).unwrap()
}

/// Implicit TLS, the server's CA trusted.
pub(crate) fn tls(server: &Server) -> Connector {
    Connector::new("localhost").port(server.tls_addr().port()).tls(ca(server))
}

/// The plain port with this protection, the server's CA trusted.
pub(crate) fn on_plain_port(server: &Server, security: Security) -> Connector {
    Connector::new("localhost").port(server.addr().port()).security(security).tls(ca(server))
}

/// No TLS, and logins all the same.
pub(crate) fn plain(server: &Server) -> Connector {
    on_plain_port(server, Security::Plain).dangerous_login_without_verified_tls()
}

/// The last session, once it is over.
pub(crate) fn ended(server: &Server) -> Session {
    let connections = server.sessions().len();
    assert!(server.wait_closed(connections, Duration::from_secs(10)), "the session does not end");
    server.last_session().expect("there was a session")
}

/// The client's lines of the last session.
pub(crate) fn said(server: &Server) -> Vec<String> {
    server.last_session().map(|session| session.client_lines()).unwrap_or_default()
}

/// Fails unless what was done since `start` took between these milliseconds.
#[track_caller]
pub(crate) fn took(start: Instant, milliseconds: std::ops::Range<u64>) {
    let time = start.elapsed();
    let range = Duration::from_millis(milliseconds.start)..Duration::from_millis(milliseconds.end);
    assert!(range.contains(&time), "{time:?} is not within {range:?}");
}

pub(crate) fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// An error's text, source included.
pub(crate) fn shown(error: &Error) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    format!("{error}\n{error:?}\n{error:#?}\n{source}")
}
