//! The blocking connection: TCP or a stream of the caller's, with TLS over it or not, and a deadline on every wait.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

#[cfg(feature = "_tls")]
use super::pump::{is_hang_up, is_timeout};
use crate::timeouts::Wait;
use crate::tls::Established;
#[cfg(feature = "_tls")]
use crate::tls::session::{FRUITLESS, Plain, Session, Step};
use crate::{Connector, Error, Result};

/// A stream that a session can run over. `set_timeout` bounds the next reads and writes, so that no wait is for ever; a
/// stream that cannot do this may ignore it and must not block for ever by itself.
pub trait Transport: Read + Write + Send {
    /// Makes reads and writes that take longer fail with `WouldBlock` or `TimedOut`. The duration is never zero.
    ///
    /// # Errors
    ///
    /// Whatever the stream has.
    fn set_timeout(&mut self, timeout: Duration) -> io::Result<()>;

    /// Whether a read would return at once, with octets or with the end. Asked before each command, to find what the
    /// server said unasked; a stream that cannot tell says no, and such words are found later or not at all.
    ///
    /// # Errors
    ///
    /// Whatever the stream has.
    fn has_input(&mut self) -> io::Result<bool> {
        Ok(false)
    }
}

impl Transport for TcpStream {
    fn set_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(timeout))?;
        self.set_write_timeout(Some(timeout))
    }

    #[cfg(unix)]
    fn has_input(&mut self) -> io::Result<bool> {
        has_input(self)
    }
}

#[cfg(unix)]
impl Transport for std::os::unix::net::UnixStream {
    fn set_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(timeout))?;
        self.set_write_timeout(Some(timeout))
    }

    fn has_input(&mut self) -> io::Result<bool> {
        has_input(self)
    }
}

#[cfg(unix)]
fn has_input(socket: &impl std::os::fd::AsFd) -> io::Result<bool> {
    use rustix::io::Errno;
    use rustix::net::{RecvFlags, recv};
    match recv(socket, &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok(_) => Ok(true),
        Err(Errno::AGAIN | Errno::INTR) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// The stream with what lies over it.
pub(super) struct Stream {
    link: Link,
    deadline: Instant,
    /// The timeout that is set on the transport.
    timeout: Duration,
}

enum Link {
    Plain(Box<dyn Transport>),
    #[cfg(feature = "_tls")]
    Tls(Box<Tls>),
    /// A handshake failed; nothing is left to talk to.
    #[cfg(feature = "_tls")]
    Gone,
}

#[cfg(feature = "_tls")]
struct Tls {
    session: Session,
    transport: Box<dyn Transport>,
}

impl Stream {
    pub(super) fn new(transport: Box<dyn Transport>) -> Self {
        Self { link: Link::Plain(transport), deadline: Instant::now(), timeout: Duration::ZERO }
    }

    /// Until when the next operations may take.
    pub(super) fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.arm()?;
        match &mut self.link {
            Link::Plain(transport) => retry(|| transport.read(buffer)),
            #[cfg(feature = "_tls")]
            Link::Tls(_) => self.read_tls(buffer),
            #[cfg(feature = "_tls")]
            Link::Gone => Ok(0),
        }
    }

    pub(super) fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.arm()?;
        match &mut self.link {
            Link::Plain(transport) => retry(|| transport.write(octets)),
            #[cfg(feature = "_tls")]
            Link::Tls(tls) => {
                tls.send()?;
                let written = tls.session.write(octets)?;
                // The TLS session has the octets now: if they cannot go on, they wait there and go out before the next
                // operation. To fail here would be to have them sent twice.
                match tls.send() {
                    Err(e) if !is_timeout(&e) => Err(e),
                    _ => Ok(written),
                }
            }
            #[cfg(feature = "_tls")]
            Link::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Reads what is there already; `None` if nothing is.
    pub(super) fn read_waiting(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match &mut self.link {
            Link::Plain(transport) => {
                if !transport.has_input()? {
                    return Ok(None);
                }
                retry(|| transport.read(buffer)).map(Some)
            }
            #[cfg(feature = "_tls")]
            Link::Tls(tls) => {
                for _ in 0..FRUITLESS {
                    match tls.take(buffer)? {
                        Plain::Octets(octets) => return Ok(Some(octets)),
                        Plain::End => return Ok(Some(0)),
                        Plain::Wait if !tls.transport.has_input()? => return Ok(None),
                        Plain::Wait => tls.receive()?,
                    }
                }
                Ok(None)
            }
            #[cfg(feature = "_tls")]
            Link::Gone => Ok(Some(0)),
        }
    }

    /// Says goodbye in TLS; a transport closes itself when it is dropped.
    pub(super) fn close(&mut self) {
        #[cfg(feature = "_tls")]
        if self.arm().is_ok()
            && let Link::Tls(tls) = &mut self.link
        {
            tls.session.close_notify();
            let _ = tls.send();
        }
    }

    /// Sets what is left until the deadline as the transport's timeout, when that has become shorter or much longer: far
    /// from a deadline this costs no system call per read.
    fn arm(&mut self) -> io::Result<()> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if left < self.timeout || left / 2 > self.timeout {
            // Slightly less than what is left, so that the clock's steps cause no call for each read.
            let timeout = (left - left / 16).max(Duration::from_millis(1));
            match &mut self.link {
                Link::Plain(transport) => transport.set_timeout(timeout)?,
                #[cfg(feature = "_tls")]
                Link::Tls(tls) => tls.transport.set_timeout(timeout)?,
                #[cfg(feature = "_tls")]
                Link::Gone => {}
            }
            self.timeout = timeout;
        }
        Ok(())
    }
}

#[cfg(not(feature = "_tls"))]
impl Stream {
    pub(super) fn handshake(&mut self, _: &Connector) -> Result<Established> {
        Err(crate::tls::without_tls())
    }
}

#[cfg(feature = "_tls")]
impl Stream {
    /// The TLS handshake, over what was a plain connection.
    pub(super) fn handshake(&mut self, connector: &Connector) -> Result<Established> {
        use crate::tls;
        let (config, refused) = tls::client_config(&connector.tls)?;
        let name = tls::server_name(&connector.tls, &connector.host)?;
        let session = Session::new(config, name).map_err(|e| tls::problem("starting TLS", e))?;
        let Link::Plain(transport) = std::mem::replace(&mut self.link, Link::Gone) else {
            return Err(popwire_proto::OutOfOrder::TlsActive.into());
        };
        self.link = Link::Tls(Box::new(Tls { session, transport }));
        match self.shake_hands() {
            Ok(()) => {}
            Err(e) => {
                self.link = Link::Gone;
                return Err(if is_timeout(&e) {
                    Error::timeout(Wait::Tls)
                } else {
                    tls::handshake_problem(e, &refused)
                });
            }
        }
        let Link::Tls(tls) = &self.link else { return Err(popwire_proto::OutOfOrder::TlsActive.into()) };
        Ok(tls::established(&connector.tls, tls.session.connection()))
    }

    fn shake_hands(&mut self) -> io::Result<()> {
        loop {
            self.arm()?;
            let Link::Tls(tls) = &mut self.link else { return Ok(()) };
            let stepped = match tls.next_step()? {
                Step::Send => tls.send(),
                Step::Receive => tls.receive(),
                Step::Done => return Ok(()),
            };
            match stepped {
                // The transport has waited as long as it was told; whether that was all, the deadline tells.
                Err(e) if is_timeout(&e) => {}
                stepped => stepped?,
            }
        }
    }

    fn read_tls(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Link::Tls(tls) = &mut self.link else { return Ok(0) };
            match tls.take(buffer)? {
                Plain::Octets(octets) => return Ok(octets),
                Plain::End => return Ok(0),
                Plain::Wait => {}
            }
            self.arm()?;
            let Link::Tls(tls) = &mut self.link else { return Ok(0) };
            match tls.send() {
                // The server has hung up. It may have said why: its last words are still to be read.
                Err(e) if is_hang_up(&e) => {}
                sent => sent?,
            }
            tls.receive()?;
        }
    }
}

#[cfg(feature = "_tls")]
impl Tls {
    fn next_step(&mut self) -> io::Result<Step> {
        let step = self.session.handshake();
        self.alert_if_failed(step)
    }

    fn take(&mut self, buffer: &mut [u8]) -> io::Result<Plain> {
        let plain = self.session.read_plaintext(buffer);
        self.alert_if_failed(plain)
    }

    /// Sends the alert that tells the server why; its loss harms nobody.
    fn alert_if_failed<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if result.is_err() {
            let _ = self.send();
        }
        result
    }

    /// Sends what the session has to send.
    fn send(&mut self) -> io::Result<()> {
        while !self.session.outgoing().is_empty() {
            match retry(|| self.transport.write(self.session.outgoing())) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(octets) => self.session.sent(octets),
                Err(e) => {
                    if is_hang_up(&e) {
                        self.session.sent(usize::MAX);
                    }
                    return Err(e);
                }
            }
        }
        Ok(())
    }

    /// One read from the transport.
    fn receive(&mut self) -> io::Result<()> {
        let octets = retry(|| self.transport.read(self.session.incoming_space()))?;
        self.session.received(octets);
        Ok(())
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.link {
            Link::Plain(_) => "Plain",
            #[cfg(feature = "_tls")]
            Link::Tls(_) => "Tls",
            #[cfg(feature = "_tls")]
            Link::Gone => "Gone",
        })
    }
}

/// A TCP connection to one of the host's addresses, all attempts together within [`Timeouts::connect`]: what
/// [`Client::connect`](super::Client::connect) does first. It is for who wants a [`Transport`] of his own over it, to be
/// given to [`Client::over`](super::Client::over).
///
/// # Errors
///
/// [`is_io`](Error::is_io) if the name is unknown or nobody listens; [`is_timeout`](Error::is_timeout).
///
/// [`Timeouts::connect`]: crate::Timeouts::connect
pub fn connect_tcp(connector: &Connector) -> Result<TcpStream> {
    let deadline = Instant::now() + connector.timeouts.until_connected();
    let left = || deadline.saturating_duration_since(Instant::now());
    // The system's resolver has no deadline of its own, so it works in a thread that can be left behind.
    let (found, addresses) = mpsc::channel();
    let name = (connector.host.clone(), connector.effective_port());
    thread::spawn(move || found.send(name.to_socket_addrs().map(Iterator::collect::<Vec<_>>)));
    let addresses = addresses
        .recv_timeout(left())
        .map_err(|_| Error::timeout(Wait::Connect))?
        .map_err(|e| Error::io("looking the server's name up", e))?;
    let mut failed = Error::io("looking the server's name up", io::ErrorKind::NotFound.into());
    let count = addresses.len();
    for (tried, address) in addresses.into_iter().enumerate() {
        // An address that is silent must leave time for the next one.
        let share = left() / u32::try_from(count - tried).unwrap_or(1);
        if share.is_zero() {
            return Err(Error::timeout(Wait::Connect));
        }
        match TcpStream::connect_timeout(&address, share) {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(|e| Error::io("setting the connection up", e))?;
                return Ok(stream);
            }
            Err(e) if e.kind() == io::ErrorKind::TimedOut => failed = Error::timeout(Wait::Connect),
            Err(e) => failed = Error::io("connecting to the server", e),
        }
    }
    Err(failed)
}

fn retry<T>(mut operation: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match operation() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
