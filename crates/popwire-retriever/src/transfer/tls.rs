//! TLS around a socket, such that each wait stays as short as that of the socket.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::wire::Socket;

/// By whom a server's certificate has to be signed.
#[derive(Clone, Debug, Default)]
pub(crate) enum Roots {
    /// One of those that this system trusts.
    #[default]
    System,
    /// One of these.
    These(Arc<RootCertStore>),
}

impl Roots {
    pub(crate) fn from_pem(pem: &[u8]) -> io::Result<Self> {
        let invalid = |reason: String| io::Error::new(ErrorKind::InvalidInput, reason);
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate =
                certificate.map_err(|reason| invalid(format!("not a certificate in PEM: {reason}")))?;
            roots.add(certificate).map_err(|reason| invalid(format!("not usable as a CA: {reason}")))?;
        }
        if roots.is_empty() {
            return Err(invalid("no certificate in PEM is there".into()));
        }
        Ok(Self::These(Arc::new(roots)))
    }

    fn store(&self) -> io::Result<Arc<RootCertStore>> {
        match self {
            Self::These(roots) => Ok(Arc::clone(roots)),
            Self::System => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                if roots.is_empty() {
                    let reason = "this system has no root certificates; install ca-certificates or name a CA";
                    return Err(io::Error::new(ErrorKind::NotFound, reason));
                }
                Ok(Arc::new(roots))
            }
        }
    }
}

/// TLS over another socket. A read or a write may end early with [`ErrorKind::WouldBlock`], and is to be tried again.
pub(super) struct TlsSocket {
    connection: ClientConnection,
    socket: Box<dyn Socket>,
}

impl TlsSocket {
    /// A client's side. The handshake comes with the first write.
    pub(super) fn new(socket: Box<dyn Socket>, host: &str, roots: &Roots) -> io::Result<Self> {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = ServerName::try_from(bare.to_owned()).map_err(io::Error::other)?;
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots.store()?)
            .with_no_client_auth();
        let connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        Ok(Self { connection, socket })
    }

    /// Takes one step of what has to go out, and to come in while there is a handshake. Whether nothing is left to do.
    fn step(&mut self) -> io::Result<bool> {
        if self.connection.wants_write() {
            self.connection.write_tls(&mut self.socket)?;
        } else if self.connection.is_handshaking() {
            self.receive()?;
        }
        Ok(!self.connection.wants_write() && !self.connection.is_handshaking())
    }

    fn receive(&mut self) -> io::Result<()> {
        if self.connection.read_tls(&mut self.socket)? == 0 && self.connection.is_handshaking() {
            return Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                "it closed the connection within the TLS handshake",
            ));
        }
        let processed = self.connection.process_new_packets();
        if let Err(reason) = processed {
            // The server is told why, if it can be.
            let _ = self.connection.write_tls(&mut self.socket);
            return Err(io::Error::new(ErrorKind::InvalidData, reason));
        }
        Ok(())
    }
}

impl Read for TlsSocket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.connection.reader().read(into) {
            Err(reason) if reason.kind() == ErrorKind::WouldBlock => {}
            done => return done,
        }
        if self.connection.wants_write() || self.connection.is_handshaking() {
            self.step()?;
        } else {
            self.receive()?;
        }
        self.connection.reader().read(into)
    }
}

impl Write for TlsSocket {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if self.connection.is_handshaking() || self.connection.wants_write() {
            self.flush()?;
        }
        self.connection.writer().write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.step()? { Ok(()) } else { Err(ErrorKind::WouldBlock.into()) }
    }
}

impl Socket for TlsSocket {
    fn limit_reads(&self, limit: Duration) -> io::Result<()> {
        self.limit(limit)
    }

    fn limit_writes(&self, limit: Duration) -> io::Result<()> {
        self.limit(limit)
    }
}

impl TlsSocket {
    /// A read may have to write, and the other way round.
    fn limit(&self, limit: Duration) -> io::Result<()> {
        self.socket.limit_reads(limit)?;
        self.socket.limit_writes(limit)
    }
}
