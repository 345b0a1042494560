//! A connection to a server that answers in the way of SMTP: every wait has an end, and every reply a limit.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use memchr::memchr;
use popwire::Text;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};

use super::tls::{Roots, TlsSocket};

/// A reply: a code, and text for people on one line or several (RFC 5321 section 4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) code: u16,
    /// What stands behind the code, per line.
    pub(super) lines: Vec<Vec<u8>>,
}

impl Reply {
    pub(super) fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }
}

/// The code and the text, on one line.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        self.lines.iter().try_for_each(|line| write!(f, " {}", Text::from(line.as_slice())))
    }
}

/// RFC 5321 section 4.5.3.1.5 has 512. Servers are known that say more.
const LONGEST_LINE: usize = 4096;

const MOST_LINES: usize = 128;

/// A socket whose reads and writes end in time.
pub(super) trait Socket: Read + Write + Send {
    fn limit_reads(&self, limit: Duration) -> io::Result<()>;
    fn limit_writes(&self, limit: Duration) -> io::Result<()>;
}

impl Socket for TcpStream {
    fn limit_reads(&self, limit: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(limit))
    }

    fn limit_writes(&self, limit: Duration) -> io::Result<()> {
        self.set_write_timeout(Some(limit))
    }
}

impl Socket for UnixStream {
    fn limit_reads(&self, limit: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(limit))
    }

    fn limit_writes(&self, limit: Duration) -> io::Result<()> {
        self.set_write_timeout(Some(limit))
    }
}

pub(super) struct Wire {
    socket: Box<dyn Socket>,
    /// What has come and is not part of a reply yet.
    received: Vec<u8>,
}

impl Wire {
    /// Connects to a socket in the file system.
    pub(super) fn unix(path: &Path, patience: Duration) -> io::Result<Self> {
        let deadline = Instant::now() + patience;
        let address = SocketAddrUnix::new(path)?;
        let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
        rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
        // It would wait without an end while too many others do.
        rustix::io::ioctl_fionbio(&socket, true)?;
        while let Err(reason) = rustix::net::connect(&socket, &address) {
            if !matches!(reason, rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) {
                return Err(reason.into());
            }
            left(deadline)?;
            thread::sleep(Duration::from_millis(20));
        }
        rustix::io::ioctl_fionbio(&socket, false)?;
        Ok(Self::new(Box::new(UnixStream::from(socket))))
    }

    /// Connects to the first of a host's addresses that answers.
    pub(super) fn tcp(host: &str, port: u16, patience: Duration) -> io::Result<Self> {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let mut failed = None;
        for address in (bare, port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, patience) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(Self::new(Box::new(stream)));
                }
                Err(reason) => failed = Some(reason),
            }
        }
        Err(failed.unwrap_or_else(|| io::Error::new(ErrorKind::NotFound, "the host has no address")))
    }

    /// The same connection with TLS around it.
    pub(super) fn with_tls(self, host: &str, roots: &Roots) -> io::Result<Self> {
        // Whoever sits in between may have sent answers ahead, which must not be taken for the server's.
        if !self.received.is_empty() {
            return Err(io::Error::new(ErrorKind::InvalidData, "it spoke before TLS began"));
        }
        Ok(Self::new(Box::new(TlsSocket::new(self.socket, host, roots)?)))
    }

    fn new(socket: Box<dyn Socket>) -> Self {
        Self { socket, received: Vec::new() }
    }

    /// Writes all of it within this time.
    pub(super) fn write(&mut self, mut octets: &[u8], patience: Duration) -> io::Result<()> {
        let deadline = Instant::now() + patience;
        while !octets.is_empty() {
            self.socket.limit_writes(left(deadline)?)?;
            match self.socket.write(octets) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => octets = octets.get(written..).unwrap_or_default(),
                Err(reason) => keep_waiting(reason)?,
            }
        }
        loop {
            self.socket.limit_writes(left(deadline)?)?;
            match self.socket.flush() {
                Ok(()) => return Ok(()),
                Err(reason) => keep_waiting(reason)?,
            }
        }
    }

    /// Reads a reply that has to be complete within this time.
    pub(super) fn reply(&mut self, patience: Duration) -> io::Result<Reply> {
        let deadline = Instant::now() + patience;
        let mut lines = Vec::new();
        loop {
            let line = self.line(deadline)?;
            let (code, goes_on, text) = parse(&line).ok_or_else(|| no_reply(&line))?;
            lines.push(text.to_vec());
            if !goes_on {
                return Ok(Reply { code, lines });
            }
            if lines.len() >= MOST_LINES {
                return Err(io::Error::new(ErrorKind::InvalidData, "its reply has too many lines"));
            }
        }
    }

    /// The next line, without its end.
    fn line(&mut self, deadline: Instant) -> io::Result<Vec<u8>> {
        let mut looked = 0;
        loop {
            if let Some(end) = self.received.get(looked..).and_then(|new| memchr(b'\n', new)) {
                let mut line: Vec<u8> = self.received.drain(..=looked + end).collect();
                line.truncate(line.trim_ascii_end().len());
                return Ok(line);
            }
            looked = self.received.len();
            if looked > LONGEST_LINE {
                return Err(io::Error::new(ErrorKind::InvalidData, "a line of its reply is too long"));
            }
            self.socket.limit_reads(left(deadline)?)?;
            let mut piece = [0; 2048];
            match self.socket.read(&mut piece) {
                Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "it closed the connection")),
                Ok(read) => self.received.extend(piece.iter().take(read)),
                Err(reason) => keep_waiting(reason)?,
            }
        }
    }
}

/// How much time there is, at least a little of it; an error if there is none.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::Error::new(ErrorKind::TimedOut, "it took too long"));
    }
    Ok(left.max(Duration::from_millis(1)))
}

/// A wait that ended early is gone on with; how much time is left is looked at elsewhere.
fn keep_waiting(reason: io::Error) -> io::Result<()> {
    match reason.kind() {
        ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut => Ok(()),
        _ => Err(reason),
    }
}

/// A line's code, whether more lines follow, and its text.
fn parse(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (code, rest) = line.split_at_checked(3)?;
    if !code.iter().all(u8::is_ascii_digit) || !(b'2'..=b'5').contains(code.first()?) {
        return None;
    }
    let code = code.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    match rest.split_first() {
        None => Some((code, false, rest)),
        Some((b' ', text)) => Some((code, false, text)),
        Some((b'-', text)) => Some((code, true, text)),
        Some(_) => None,
    }
}

fn no_reply(line: &[u8]) -> io::Error {
    let line = Text::from(line.get(..80).unwrap_or(line));
    io::Error::new(ErrorKind::InvalidData, format!("it sent what is no reply: {line}"))
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}
