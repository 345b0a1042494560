// Streams of the caller's own.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use popwire::blocking::{Client, Transport};
use popwire::{Connector, Security};

use crate::setting::{alice, ca, login, said};

/// A TCP stream that is interrupted, or has to wait, at its `at`-th write.
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
