//! Why a server did not start.

use std::fmt;
use std::io;
use std::net::SocketAddr;

/// Why [`Builder::start`](crate::Builder::start) failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// An address could not be listened on.
    Bind {
        /// The address asked for.
        addr: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The certificates could not be made.
    Certificate(rcgen::Error),
    /// The certificate given to [`Builder::certificate_pem`](crate::Builder::certificate_pem) cannot be read.
    CertificatePem(rustls::pki_types::pem::Error),
    /// The private key given with it cannot be read.
    KeyPem(rustls::pki_types::pem::Error),
    /// TLS could not be set up with the certificates made or given.
    Tls(rustls::Error),
    /// The server's thread could not be started.
    Thread(io::Error),
    /// The messages that a quirk brings along could not be put into a maildrop.
    Deliver(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind { addr, .. } => write!(f, "cannot listen on {addr}"),
            Self::Certificate(_) => f.write_str("cannot make the certificates"),
            Self::CertificatePem(_) => f.write_str("there is no certificate that can be read"),
            Self::KeyPem(_) => f.write_str("there is no private key that can be read"),
            Self::Tls(_) => f.write_str("cannot set up TLS"),
            Self::Thread(_) => f.write_str("cannot start the server's thread"),
            Self::Deliver(_) => f.write_str("cannot put a quirk's messages into a maildrop"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind { source, .. } | Self::Thread(source) | Self::Deliver(source) => Some(source),
            Self::Certificate(source) => Some(source),
            Self::CertificatePem(source) | Self::KeyPem(source) => Some(source),
            Self::Tls(source) => Some(source),
        }
    }
}
