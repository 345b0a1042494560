// A server that keeps TLS busy and says nothing: records that carry no data neither hold a deadline up nor count as words.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use popwire::blocking::Transport;
use popwire::{Connector, Timeouts, Tls};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::setting::{ms, took};

/// A server in memory. There is always an octet of its to be read, and never more than one.
struct Busy {
    server: ServerConnection,
    wire: VecDeque<u8>,
    /// How long an octet takes.
    pace: Duration,
    /// Changes its keys so often behind each answer.
    renewals: usize,
}

impl Busy {
    /// With the connector to it.
    fn new(tickets: usize) -> (Self, Connector) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        config.send_tls13_tickets = tickets;
        let mut server = ServerConnection::new(Arc::new(config)).unwrap();
        server.set_buffer_limit(None);
        let tls = Tls::new().with_root_certificates(made.cert.pem().as_bytes()).unwrap();
        let busy = Self { server, wire: VecDeque::new(), pace: Duration::ZERO, renewals: 0 };
        (busy, Connector::new("localhost").tls(tls))
    }

    fn hear(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() {
            let before = self.server.is_handshaking();
            self.server.read_tls(&mut octets).unwrap();
            let state = self.server.process_new_packets().unwrap();
            if before && !self.server.is_handshaking() {
                self.server.writer().write_all(b"+OK ready\r\n").unwrap();
            }
            let mut lines = vec![0; state.plaintext_bytes_to_read()];
            self.server.reader().read_exact(&mut lines).unwrap();
            for _ in lines.iter().filter(|octet| **octet == b'\n') {
                self.server.writer().write_all(b"-ERR\r\n").unwrap();
                for _ in 0..self.renewals {
                    self.server.refresh_traffic_keys().unwrap();
                }
            }
        }
        let mut said = Vec::new();
        while self.server.wants_write() {
            self.server.write_tls(&mut said).unwrap();
        }
        self.wire.extend(said);
    }

    fn say(&mut self) -> Option<u8> {
        std::thread::sleep(self.pace);
        self.wire.pop_front()
    }
}

impl Read for Busy {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        buffer[0] = self.say().ok_or(io::ErrorKind::WouldBlock)?;
        Ok(1)
    }
}

impl Write for Busy {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.hear(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for Busy {
    fn set_timeout(&mut self, _: Duration) -> io::Result<()> {
        Ok(())
    }

    fn has_input(&mut self) -> io::Result<bool> {
        Ok(!self.wire.is_empty())
    }
}

impl AsyncRead for Busy {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(octet) = self.say() else { return Poll::Pending };
        buffer.put_slice(&[octet]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Busy {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        self.hear(octets);
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Some ten seconds of tickets before the greeting, for which the client has one.
fn tickets_for_long() -> (Busy, Connector) {
    let (mut server, connector) = Busy::new(500);
    server.pace = Duration::from_micros(200);
    let mut timeouts = Timeouts::default();
    timeouts.greeting = ms(1000);
    (server, connector.timeouts(timeouts))
}

#[test]
fn tickets_do_not_hold_a_deadline_up() {
    let (server, connector) = tickets_for_long();
    let start = Instant::now();
    let error = popwire::blocking::Client::over(server, &connector).unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    took(start, 900..4000);
}

#[tokio::test]
async fn tickets_do_not_hold_a_deadline_of_the_async_door_up() {
    let (server, connector) = tickets_for_long();
    let start = Instant::now();
    let error = popwire::tokio::Client::over(server, &connector).await.unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    took(start, 900..4000);
}

#[tokio::test]
async fn tickets_leave_other_tasks_their_turn() {
    let (server, connector) = Busy::new(500);
    let turns = Arc::new(());
    let other = tokio::spawn({
        let turns = Arc::clone(&turns);
        async move {
            let mut count = 0;
            while Arc::strong_count(&turns) > 1 {
                count += 1;
                tokio::task::yield_now().await;
            }
            count
        }
    });
    let client = popwire::tokio::Client::over(server, &connector).await.unwrap();
    drop(turns);
    let count = other.await.unwrap();
    assert!(count > 1000, "{count} turns");
    drop(client);
}

#[test]
fn new_keys_before_a_command_are_not_words() {
    let (mut server, connector) = Busy::new(2);
    server.renewals = 20;
    let mut client = popwire::blocking::Client::over(server, &connector).unwrap();
    for _ in 0..20 {
        assert!(client.noop().unwrap_err().is_refused());
    }
    assert!(!client.is_broken());
}

#[tokio::test]
async fn new_keys_before_a_command_of_the_async_door_are_not_words() {
    let (mut server, connector) = Busy::new(2);
    server.renewals = 20;
    let mut client = popwire::tokio::Client::over(server, &connector).await.unwrap();
    for _ in 0..20 {
        assert!(client.noop().await.unwrap_err().is_refused());
    }
    assert!(!client.is_broken());
}
