//! The async connection: TCP or a stream of the caller's, with TLS over it or not. Deadlines are the pump's.

use std::fmt;
#[cfg(feature = "_tls")]
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
#[cfg(feature = "_tls")]
use std::task::ready;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};

#[cfg(feature = "_tls")]
use super::pump::is_hang_up;
use crate::timeouts::Wait;
use crate::tls::Established;
#[cfg(feature = "_tls")]
use crate::tls::session::{FRUITLESS, Plain, Session, Step};
use crate::{Connector, Error, Result};

/// A stream that a session can run over: any that reads and writes.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + ?Sized> Transport for T {}

/// The stream with what lies over it.
pub(super) enum Stream {
    Plain(Box<dyn Transport>),
    #[cfg(feature = "_tls")]
    Tls(Box<Tls>),
    /// A handshake failed or was given up; nothing is left to talk to.
    #[cfg(feature = "_tls")]
    Gone,
}

#[cfg(feature = "_tls")]
pub(super) struct Tls {
    session: Session,
    transport: Box<dyn Transport>,
}

impl Stream {
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = match self {
            Self::Plain(transport) => Pin::new(transport).poll_read(cx, buffer),
            #[cfg(feature = "_tls")]
            Self::Tls(tls) => tls.poll_read(cx, buffer),
            #[cfg(feature = "_tls")]
            Self::Gone => Poll::Ready(Ok(())),
        };
        match read {
            // No close_notify: the end all the same. Whether it is a truncation, the protocol above knows.
            Poll::Ready(Err(e)) if e.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            read => read,
        }
    }

    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(transport) => Pin::new(transport).poll_write(cx, octets),
            #[cfg(feature = "_tls")]
            Self::Tls(tls) => tls.poll_write(cx, octets),
            #[cfg(feature = "_tls")]
            Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(transport) => Pin::new(transport).poll_flush(cx),
            #[cfg(feature = "_tls")]
            Self::Tls(tls) => tls.poll_flush(cx),
            #[cfg(feature = "_tls")]
            Self::Gone => Poll::Ready(Ok(())),
        }
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(transport) => Pin::new(transport).poll_shutdown(cx),
            #[cfg(feature = "_tls")]
            Self::Tls(tls) => tls.poll_shutdown(cx),
            #[cfg(feature = "_tls")]
            Self::Gone => Poll::Ready(Ok(())),
        }
    }

    #[cfg(not(feature = "_tls"))]
    pub(super) async fn handshake(&mut self, _: &Connector, _: Instant) -> Result<Established> {
        Err(crate::tls::without_tls())
    }

    /// The TLS handshake, over what was a plain connection.
    #[cfg(feature = "_tls")]
    pub(super) async fn handshake(&mut self, connector: &Connector, until: Instant) -> Result<Established> {
        use crate::tls;
        let (config, refused) = tls::client_config(&connector.tls)?;
        let name = tls::server_name(&connector.tls, &connector.host)?;
        let session = Session::new(config, name).map_err(|e| tls::problem("starting TLS", e))?;
        let Self::Plain(transport) = std::mem::replace(self, Self::Gone) else {
            return Err(popwire_proto::OutOfOrder::TlsActive.into());
        };
        let mut tls = Box::new(Tls { session, transport });
        timeout_at(until, poll_fn(|cx| tls.poll_handshake(cx)))
            .await
            .map_err(|_| Error::timeout(Wait::Tls))?
            .map_err(|e| tls::handshake_problem(e, &refused))?;
        let established = tls::established(&connector.tls, tls.session.connection());
        *self = Self::Tls(tls);
        Ok(established)
    }
}

#[cfg(feature = "_tls")]
impl Tls {
    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let step = self.session.handshake();
            match self.alert_if_failed(cx, step)? {
                Step::Send => ready!(self.poll_send(cx))?,
                Step::Receive => {
                    ready!(self.poll_flush(cx))?;
                    ready!(self.poll_receive(cx))?;
                }
                Step::Done => return self.poll_flush(cx),
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        for _ in 0..FRUITLESS {
            let plain = self.session.read_plaintext(buffer.initialize_unfilled());
            match self.alert_if_failed(cx, plain)? {
                Plain::Octets(octets) => {
                    buffer.advance(octets);
                    return Poll::Ready(Ok(()));
                }
                Plain::End => return Poll::Ready(Ok(())),
                Plain::Wait => {}
            }
            match self.poll_send(cx) {
                // The server has hung up. It may have said why: its last words are still to be read.
                Poll::Ready(Err(e)) if !is_hang_up(&e) => return Poll::Ready(Err(e)),
                // What has to wait before it can go out does not keep octets from coming in.
                _ => ready!(self.poll_receive(cx))?,
            }
        }
        // So that deadlines are looked at, and other tasks have their turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Ready when the TLS session has the octets: if they cannot go on, they wait there and go out before what is sent next,
    /// or by [`poll_flush`](Self::poll_flush).
    fn poll_write(&mut self, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_send(cx))?;
        let written = self.session.write(octets)?;
        match self.poll_send(cx) {
            Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
            _ => Poll::Ready(Ok(written)),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.transport).poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.session.close_notify();
        let _ = ready!(self.poll_send(cx));
        Pin::new(&mut self.transport).poll_shutdown(cx)
    }

    /// Sends what the session has to send.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.session.outgoing().is_empty() {
            match ready!(Pin::new(&mut self.transport).poll_write(cx, self.session.outgoing())) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(octets) => self.session.sent(octets),
                Err(e) => {
                    if is_hang_up(&e) {
                        self.session.sent(usize::MAX);
                    }
                    return Poll::Ready(Err(e));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// One read from the transport.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut space = ReadBuf::new(self.session.incoming_space());
        ready!(Pin::new(&mut self.transport).poll_read(cx, &mut space))?;
        let octets = space.filled().len();
        self.session.received(octets);
        Poll::Ready(Ok(()))
    }

    /// Sends the alert that tells the server why, if it can go at once; its loss harms nobody.
    fn alert_if_failed<T>(&mut self, cx: &mut Context<'_>, result: io::Result<T>) -> io::Result<T> {
        if result.is_err() {
            let _ = self.poll_flush(cx);
        }
        result
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain",
            #[cfg(feature = "_tls")]
            Self::Tls(_) => "Tls",
            #[cfg(feature = "_tls")]
            Self::Gone => "Gone",
        })
    }
}

/// A TCP connection to one of the host's addresses, all attempts together within the connect deadline.
pub(super) async fn connect(connector: &Connector) -> Result<TcpStream> {
    let deadline = Instant::now() + connector.timeouts.until_connected();
    let addresses = timeout_at(deadline, lookup_host((connector.host.as_str(), connector.effective_port())))
        .await
        .map_err(|_| Error::timeout(Wait::Connect))?
        .map_err(|e| Error::io("looking the server's name up", e))?;
    let addresses: Vec<_> = addresses.collect();
    let mut failed = Error::io("looking the server's name up", io::ErrorKind::NotFound.into());
    let count = addresses.len();
    for (tried, address) in addresses.into_iter().enumerate() {
        // An address that is silent must leave time for the next one.
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(count - tried).unwrap_or(1);
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true).map_err(|e| Error::io("setting the connection up", e))?;
                return Ok(stream);
            }
            Ok(Err(e)) => failed = Error::io("connecting to the server", e),
            Err(_) => failed = Error::timeout(Wait::Connect),
        }
    }
    Err(failed)
}
