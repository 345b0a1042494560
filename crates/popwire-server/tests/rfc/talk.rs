//! Conversations with a server, written as they are in the RFCs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use popwire_server::{Builder, Maildrop, Server};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Two messages of 22 and 28 octets on the wire.
pub(crate) const ONE: &str = "Subject: hi\r\n\r\nhello\r\n";
pub(crate) const TWO: &str = "Subject: two\r\n\r\n.a\r\nb\r\nc\r\n\r\n";

/// A server with alice (password `s3cret pass`), who has the two messages.
pub(crate) fn server() -> Server {
    alice().start().unwrap()
}

pub(crate) fn alice() -> Builder {
    Server::builder().user("alice", "s3cret pass", Maildrop::memory([ONE, TWO]))
}

/// A client that says and expects octets.
pub(crate) struct Talk {
    stream: BufReader<Stream>,
}

pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Talk {
    /// Connects without TLS; the greeting is still to come.
    pub(crate) fn plain(server: &Server) -> Self {
        Self { stream: BufReader::new(Stream::Plain(tcp(server.addr()))) }
    }

    /// Connects with TLS at once.
    pub(crate) fn tls(server: &Server) -> Self {
        Self { stream: BufReader::new(handshake(server, tcp(server.tls_addr()))) }
    }

    /// Over a connection that is there already.
    pub(crate) fn over(stream: Stream) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    /// Connected, greeted and logged in as alice.
    pub(crate) fn alice(server: &Server) -> Self {
        let mut talk = Self::plain(server);
        talk.run("S: +OK *\nC: USER alice\nS: +OK *\nC: PASS s3cret pass\nS: +OK *");
        talk
    }

    /// After STLS has been answered.
    pub(crate) fn start_tls(self, server: &Server) -> Self {
        Self::over(handshake(server, self.into_tcp()))
    }

    /// Plays a conversation: `C:` lines are sent with CRLF, `S:` lines must come, exactly. A `*` at the end of an `S:`
    /// line stands for anything, `S: <EOF>` for the end of the connection.
    #[track_caller]
    pub(crate) fn run(&mut self, conversation: &str) -> &mut Self {
        for line in conversation.lines().map(str::trim_start).filter(|line| !line.is_empty()) {
            match line.split_at_checked(3) {
                Some(("C: ", said)) => self.send(format!("{said}\r\n")),
                Some(("S: ", expected)) => self.expect(expected),
                _ if line == "S:" => self.expect(""),
                _ => panic!("neither C: nor S: {line:?}"),
            }
        }
        self
    }

    pub(crate) fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(octets.as_ref()).unwrap();
        self.stream.get_mut().flush().unwrap();
    }

    #[track_caller]
    fn expect(&mut self, expected: &str) {
        let line = self.line();
        if expected == "<EOF>" {
            assert!(line.is_empty(), "expected the end, got {:?}", String::from_utf8_lossy(&line));
            return;
        }
        let line = String::from_utf8_lossy(&line);
        let Some(line) = line.strip_suffix("\r\n") else { panic!("expected {expected:?}, got {line:?}") };
        match expected.strip_suffix('*') {
            Some(beginning) => assert!(line.starts_with(beginning), "expected {expected:?}, got {line:?}"),
            None => assert_eq!(line, expected),
        }
    }

    /// The next line with its line end; empty at the end of the connection.
    pub(crate) fn line(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).unwrap();
        line
    }

    /// The lines up to the terminator, without it, as one string.
    pub(crate) fn body(&mut self) -> String {
        let mut body = Vec::new();
        loop {
            let line = self.line();
            assert!(line.ends_with(b"\r\n"), "{:?}", String::from_utf8_lossy(&line));
            if line == b".\r\n" {
                return String::from_utf8(body).unwrap();
            }
            body.extend_from_slice(&line);
        }
    }

    /// What one read brings; empty at the end of the connection.
    pub(crate) fn read(&mut self) -> std::io::Result<Vec<u8>> {
        let octets = self.stream.fill_buf()?.to_vec();
        self.stream.consume(octets.len());
        Ok(octets)
    }

    /// The TCP stream, to do something else with it.
    pub(crate) fn into_tcp(self) -> TcpStream {
        assert!(self.stream.buffer().is_empty());
        match self.stream.into_inner() {
            Stream::Plain(stream) => stream,
            Stream::Tls(_) => panic!("TLS already"),
        }
    }

    /// What comes until the end of the connection.
    pub(crate) fn rest(&mut self) -> std::io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).map(|_| rest)
    }

    /// Reads so many octets, and forgets them.
    pub(crate) fn skip(&mut self, octets: u64) {
        let skipped = std::io::copy(&mut (&mut self.stream).take(octets), &mut std::io::sink()).unwrap();
        assert_eq!(skipped, octets);
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buf),
            Self::Tls(stream) => stream.read(buf),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(buf),
            Self::Tls(stream) => stream.write(buf),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// Time enough for a slow machine, short enough that a hang is noticed.
pub(crate) const SOON: Duration = Duration::from_secs(10);

pub(crate) fn tcp(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

fn handshake(server: &Server, stream: TcpStream) -> Stream {
    try_handshake(server, stream).unwrap()
}

/// A TLS handshake with full verification, for the name `localhost`.
pub(crate) fn try_handshake(server: &Server, mut stream: TcpStream) -> std::io::Result<Stream> {
    let mut tls = client(server);
    tls.complete_io(&mut stream)?;
    Ok(Stream::Tls(Box::new(StreamOwned::new(tls, stream))))
}

/// The client's side of TLS, with full verification, for the name `localhost`.
pub(crate) fn client(server: &Server) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(server.ca_der().to_vec())).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    ClientConnection::new(Arc::new(config), name).unwrap()
}
