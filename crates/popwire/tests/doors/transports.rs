// Streams of the caller's own.

use std::future::Future as _;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use popwire::blocking::{Client, Transport};
use popwire::{Connector, Security};
use popwire_server::{Content, Maildrop, Server};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::setting::{MAIL, PASSWORD, alice, ca, login, said};

/// A TCP stream that is interrupted or has to wait at its `at`-th write.
struct Hindered {
    stream: TcpStream,
    writes: usize,
    at: usize,
    by: io::ErrorKind,
}

impl Read for Hindered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Write for Hindered {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.writes += 1;
        if self.writes == self.at { Err(self.by.into()) } else { self.stream.write(octets) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Transport for Hindered {
    fn set_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        self.stream.set_timeout(timeout)
    }
}

/// A TCP stream into which nothing can be written any more once it is `broken`.
struct Broken {
    stream: TcpStream,
    broken: Arc<AtomicBool>,
}

impl Read for Broken {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Write for Broken {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if self.broken.load(Relaxed) {
            Err(io::ErrorKind::BrokenPipe.into())
        } else {
            self.stream.write(octets)
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Transport for Broken {
    fn set_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        self.stream.set_timeout(timeout)
    }
}

/// Sessions over a stream that is hindered once, at each write of theirs in turn.
fn hindered_sessions(security: Security, by: io::ErrorKind) {
    let server = alice().start().unwrap();
    let addr = if security == Security::Tls { server.tls_addr() } else { server.addr() };
    for at in 1..16 {
        let connector = Connector::new("localhost")
            .security(security)
            .tls(ca(&server))
            .dangerous_login_without_verified_tls();
        let stream = Hindered { stream: TcpStream::connect(addr).unwrap(), writes: 0, at, by };
        let mut client = Client::over(stream, &connector).unwrap();
        client.login(&login()).unwrap();
        client.dele(1).unwrap();
        assert_eq!(client.list_one(2).unwrap().scan.octets, Some(26), "write {at}");
        client.rset().unwrap();
        assert!(client.quit().is_committed());
        assert!(server.wait_closed(server.sessions().len(), Duration::from_secs(5)));
        let lines = said(&server);
        assert_eq!(
            lines,
            ["CAPA", "USER alice", "PASS s3cret pass", "CAPA", "DELE 1", "LIST 2", "RSET", "QUIT"],
            "write {at}"
        );
    }
}

#[test]
fn an_interrupted_write_is_taken_up_again() {
    hindered_sessions(Security::Plain, io::ErrorKind::Interrupted);
    hindered_sessions(Security::Tls, io::ErrorKind::Interrupted);
}

#[test]
fn a_write_that_has_to_wait_is_taken_up_again() {
    hindered_sessions(Security::Plain, io::ErrorKind::WouldBlock);
}

#[test]
fn a_write_that_has_to_wait_in_tls_is_not_sent_twice() {
    hindered_sessions(Security::Tls, io::ErrorKind::WouldBlock);
}

#[test]
fn a_server_that_has_hung_up_is_read_to_its_end_though_nothing_can_be_sent() {
    for security in [Security::Plain, Security::Tls] {
        let server = alice().idle_timeout(Duration::from_secs(1)).start().unwrap();
        let addr = if security == Security::Tls { server.tls_addr() } else { server.addr() };
        let connector = Connector::new("localhost")
            .security(security)
            .tls(ca(&server))
            .dangerous_login_without_verified_tls();
        let broken = Arc::new(AtomicBool::new(false));
        let stream = Broken { stream: TcpStream::connect(addr).unwrap(), broken: Arc::clone(&broken) };
        let mut client = Client::over(stream, &connector).unwrap();
        client.login(&login()).unwrap();
        broken.store(true, Relaxed);
        assert!(server.wait_closed(1, Duration::from_secs(5)));
        // This stream cannot tell what waits in it, so the end is found only after the write that fails.
        let error = client.noop().unwrap_err();
        assert_eq!(said(&server), ["CAPA", "USER alice", "PASS s3cret pass", "CAPA"], "{security:?}");
        assert!(error.is_closed(), "{security:?}: {error}");
    }
}

#[test]
fn a_session_in_small_pieces_within_tls() {
    for most in [1, 7, 1000, 16_400] {
        let server = alice().start().unwrap();
        let stream = Measured { most, ..Measured::new(TcpStream::connect(server.tls_addr()).unwrap()) };
        let mut client = Client::over(stream, &Connector::new("localhost").tls(ca(&server))).unwrap();
        client.login(&login()).unwrap();
        for (number, mail) in (1..).zip(MAIL) {
            assert_eq!(client.retr(number).unwrap().read_to_vec().unwrap(), mail.as_bytes());
        }
        assert!(client.quit().is_committed());
    }
}

#[test]
fn a_read_from_a_fast_wire_brings_many_records_in_bounded_room() {
    let server = large();
    let stream = Measured {
        // So that something is there to be read.
        pause: Duration::from_millis(5),
        ..Measured::new(TcpStream::connect(server.tls_addr()).unwrap())
    };
    let (reads, room) = (Arc::clone(&stream.reads), Arc::clone(&stream.room));
    let mut client = Client::over(stream, &Connector::new("localhost").tls(ca(&server))).unwrap();
    client.login(&login()).unwrap();
    reads.store(0, Relaxed);
    assert_eq!(client.retr(1).unwrap().copy_to(&mut io::sink()).unwrap(), LARGE);
    are_large_reads(&reads, &room);
    assert!(client.quit().is_committed());
}

#[tokio::test]
async fn an_async_read_from_a_fast_wire_brings_many_records_in_bounded_room() {
    let server = large();
    let tcp = tokio::net::TcpStream::connect(server.tls_addr()).await.unwrap();
    let stream = MeasuredAsync {
        stream: Measured { pause: Duration::from_millis(5), ..Measured::new(tcp) },
        rest: None,
    };
    let (reads, room) = (Arc::clone(&stream.stream.reads), Arc::clone(&stream.stream.room));
    let connector = Connector::new("localhost").tls(ca(&server));
    let mut client = popwire::tokio::Client::over(stream, &connector).await.unwrap();
    client.login(&login()).await.unwrap();
    reads.store(0, Relaxed);
    let octets = client.retr(1).await.unwrap().copy_to(&mut tokio::io::sink()).await.unwrap();
    assert_eq!(octets, LARGE);
    are_large_reads(&reads, &room);
    assert!(client.quit().await.is_committed());
}

/// The size of a large message.
const LARGE: u64 = 8 << 20;

fn large() -> Server {
    let content = Content::Generated { size: LARGE, line_len: 76 };
    Server::builder().user("alice", PASSWORD, Maildrop::memory([content])).start().unwrap()
}

/// A record of TLS carries 16 KiB at most, and rustls by itself reads less at a time.
#[track_caller]
fn are_large_reads(reads: &AtomicUsize, room: &AtomicUsize) {
    let (reads, room) = (reads.load(Relaxed), room.load(Relaxed));
    assert!(reads > 0 && LARGE / reads as u64 > 32 << 10, "{reads} reads");
    assert!((64 << 10..=256 << 10).contains(&room), "{room} octets of room");
}

/// A stream that gives so many octets at most to a read, after a pause, and knows how often and with how much room it was
/// read.
struct Measured<S> {
    stream: S,
    most: usize,
    pause: Duration,
    reads: Arc<AtomicUsize>,
    room: Arc<AtomicUsize>,
}

impl<S> Measured<S> {
    fn new(stream: S) -> Self {
        let (reads, room) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        Self { stream, most: usize::MAX, pause: Duration::ZERO, reads, room }
    }

    fn note(&self, room: usize) {
        self.reads.fetch_add(1, Relaxed);
        self.room.fetch_max(room, Relaxed);
    }
}

impl Read for Measured<TcpStream> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        std::thread::sleep(self.pause);
        self.note(buffer.len());
        let most = buffer.len().min(self.most);
        self.stream.read(&mut buffer[..most])
    }
}

impl Write for Measured<TcpStream> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.stream.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Transport for Measured<TcpStream> {
    fn set_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        self.stream.set_timeout(timeout)
    }
}

/// The same in async.
struct MeasuredAsync {
    stream: Measured<tokio::net::TcpStream>,
    /// What is left of the pause.
    rest: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl AsyncRead for MeasuredAsync {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let pause = self.stream.pause;
        let rest = self.rest.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
        ready!(rest.as_mut().poll(cx));
        let room = buffer.remaining();
        ready!(Pin::new(&mut self.stream.stream).poll_read(cx, buffer))?;
        self.stream.note(room);
        self.rest = None;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for MeasuredAsync {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream.stream).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream.stream).poll_shutdown(cx)
    }
}

#[test]
fn a_session_over_a_unix_socket_protected_by_the_caller() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let server = std::thread::spawn(move || {
        theirs.write_all(b"+OK ready\r\n").unwrap();
        let mut heard = Vec::new();
        for answer in ["-ERR\r\n", "+OK\r\n", "+OK\r\n", "-ERR\r\n", "+OK bye\r\n"] {
            let mut buffer = [0; 512];
            let octets = theirs.read(&mut buffer).unwrap();
            heard.extend_from_slice(&buffer[..octets]);
            theirs.write_all(answer.as_bytes()).unwrap();
        }
        String::from_utf8(heard).unwrap()
    });
    // No TLS of ours, and none is needed: the caller says that the stream is protected.
    let connector = Connector::new("localhost").security(Security::ProtectedByCaller);
    let mut client = Client::over(ours, &connector).unwrap();
    client.login(&login()).unwrap();
    assert!(client.quit().is_committed());
    assert_eq!(server.join().unwrap(), "CAPA\r\nUSER alice\r\nPASS s3cret pass\r\nCAPA\r\nQUIT\r\n");
}

#[tokio::test]
async fn a_session_over_any_async_stream() {
    let server = alice().segment(3).start().unwrap();
    let mut tcp = tokio::net::TcpStream::connect(server.tls_addr()).await.unwrap();
    // A pipe of 7 octets between the client and the server: every write and read is partial.
    let (ours, mut theirs) = tokio::io::duplex(7);
    let pump = tokio::spawn(async move { tokio::io::copy_bidirectional(&mut theirs, &mut tcp).await });
    let connector = Connector::new("localhost").tls(ca(&server));
    let mut client = popwire::tokio::Client::over(ours, &connector).await.unwrap();
    client.login(&login()).await.unwrap();
    assert_eq!(
        client.retr(2).await.unwrap().read_to_vec().await.unwrap(),
        crate::setting::MAIL[1].as_bytes()
    );
    assert!(client.quit().await.is_committed());
    pump.await.unwrap().ok();
}
