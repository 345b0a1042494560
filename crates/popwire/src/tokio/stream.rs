//! The async connection: TCP or a stream of the caller's, with TLS over it or not. Deadlines are the pump's.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};

use crate::timeouts::Wait;
use crate::tls::Established;
use crate::{Connector, Error, Result};

/// A stream that a session can run over: any that reads and writes.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + ?Sized> Transport for T {}

/// The stream with what lies over it.
pub(super) enum Stream {
    Plain(Box<dyn Transport>),
    #[cfg(feature = "_tls")]
    Tls(Box<tokio_rustls::client::TlsStream<Box<dyn Transport>>>),
    /// A handshake failed or was given up; nothing is left to talk to.
    #[cfg(feature = "_tls")]
    Gone,
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
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
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
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, octets),
            #[cfg(feature = "_tls")]
            Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(transport) => Pin::new(transport).poll_flush(cx),
            #[cfg(feature = "_tls")]
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
            #[cfg(feature = "_tls")]
            Self::Gone => Poll::Ready(Ok(())),
        }
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(transport) => Pin::new(transport).poll_shutdown(cx),
            #[cfg(feature = "_tls")]
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
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
        let config = tls::client_config(&connector.tls)?;
        let name = tls::server_name(&connector.tls, &connector.host)?;
        let Self::Plain(transport) = std::mem::replace(self, Self::Gone) else {
            return Err(popwire_proto::OutOfOrder::TlsActive.into());
        };
        let handshake = tokio_rustls::TlsConnector::from(config).connect(name, transport);
        let stream = timeout_at(until, handshake)
            .await
            .map_err(|_| Error::timeout(Wait::Tls))?
            .map_err(|e| tls::problem("the TLS handshake", e))?;
        let established = tls::established(&connector.tls, stream.get_ref().1);
        *self = Self::Tls(Box::new(stream));
        Ok(established)
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
