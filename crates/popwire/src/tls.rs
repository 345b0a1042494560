//! Whom to trust, and who to be, in TLS. By default: the roots of this system, every certificate verified, TLS 1.2 or
//! later, the server's name always sent (SNI).

use std::fmt;

use popwire_proto::Secret;
use popwire_proto::sasl::ChannelBinding;

use crate::{Error, Result};

/// The TLS settings of a [`Connector`](crate::Connector).
///
/// ```
/// use popwire::{Connector, Tls};
///
/// # fn connector(pem: &[u8]) -> Result<Connector, popwire::Error> {
/// let tls = Tls::new().with_root_certificates(pem)?;
/// # Ok(
/// Connector::new("pop.example.org").tls(tls)
/// # ) }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Tls {
    trust: Trust,
    client: Option<ClientCertificate>,
    server_name: Option<String>,
}

/// Facts of an established TLS session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// The protocol version, such as `TLSv1_3`.
    pub version: String,
    /// The cipher suite, such as `TLS13_AES_256_GCM_SHA384`.
    pub cipher_suite: String,
    /// The server's certificate in DER.
    pub certificate: Vec<u8>,
    /// Whether the server's identity was verified: false only after
    /// [`Tls::dangerous_accept_any_certificate`].
    pub verified: bool,
}

/// A TLS session as the login needs to know it.
pub(crate) struct Established {
    pub(crate) info: TlsInfo,
    /// What a mechanism may be bound to.
    pub(crate) binding: Option<ChannelBinding>,
}

#[derive(Clone, Default)]
enum Trust {
    #[default]
    System,
    /// PEM, checked to have at least one certificate.
    Roots(Vec<u8>),
    /// SHA-256 of subject public keys.
    Keys(Vec<[u8; 32]>),
    Anybody,
}

#[derive(Clone)]
struct ClientCertificate {
    chain: Vec<u8>,
    key: Secret,
}

impl Tls {
    /// Trusts the roots of this system; `SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts these root certificates (PEM), and no others.
    ///
    /// # Errors
    ///
    /// [`Error::is_misuse`] if there is no certificate in it.
    pub fn with_root_certificates(mut self, pem: &[u8]) -> Result<Self> {
        imp::check_certificates(pem)?;
        self.trust = Trust::Roots(pem.to_vec());
        Ok(self)
    }

    /// Trusts the server that has this key, whatever its certificate says: its name, its issuer and its dates are not
    /// looked at. The pin is the SHA-256 of the certificate's public key in base64, with or without `sha256//` before
    /// it, as curl's `--pinnedpubkey` has it. More pins may be added; one of them has to match.
    ///
    /// # Errors
    ///
    /// [`Error::is_misuse`] if it is not such a pin.
    pub fn with_pinned_key(mut self, pin: &str) -> Result<Self> {
        let digest = imp::parse_pin(pin)?;
        match &mut self.trust {
            Trust::Keys(keys) => keys.push(digest),
            other => *other = Trust::Keys(vec![digest]),
        }
        Ok(self)
    }

    /// Shows this certificate chain (PEM) and proves it by this key (PEM), if the server asks for one.
    ///
    /// # Errors
    ///
    /// [`Error::is_misuse`] if the chain has no certificate. A bad key is found when the connection is made.
    pub fn with_client_certificate(mut self, chain: &[u8], key: impl Into<Secret>) -> Result<Self> {
        imp::check_certificates(chain)?;
        self.client = Some(ClientCertificate { chain: chain.to_vec(), key: key.into() });
        Ok(self)
    }

    pub(crate) fn shows_certificate(&self) -> bool {
        self.client.is_some()
    }

    /// Expects this name in the server's certificate, and sends it as SNI, instead of the host's.
    #[must_use]
    pub fn with_server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Accepts any certificate of anybody. Whoever stands between here and the server can then read and change all of
    /// the session, the password included; a login over it needs
    /// [`dangerous_login_without_verified_tls`](crate::Connector::dangerous_login_without_verified_tls) too.
    #[must_use]
    pub fn dangerous_accept_any_certificate(mut self) -> Self {
        self.trust = Trust::Anybody;
        self
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "System",
            Self::Roots(_) => "Roots",
            Self::Keys(_) => "Keys",
            Self::Anybody => "Anybody",
        })
    }
}

/// Its length says enough.
impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientCertificate({} octets)", self.chain.len())
    }
}

pub(crate) use imp::problem;
#[cfg(not(feature = "_tls"))]
pub(crate) use imp::without_tls;
#[cfg(feature = "_tls")]
pub(crate) use imp::{client_config, established, handshake_problem, server_name};

#[cfg(all(feature = "_tls", any(feature = "blocking", feature = "tokio")))]
pub(crate) mod session;
#[cfg(feature = "_tls")]
mod verify;

#[cfg(not(feature = "_tls"))]
mod imp {
    use super::{Error, Result};

    /// The error for a connection that cannot be encrypted.
    pub(crate) fn without_tls() -> Error {
        Error::configuration("this build of popwire has no TLS; turn on the feature aws-lc-rs or ring")
    }

    pub(crate) fn problem(doing: &'static str, error: std::io::Error) -> Error {
        Error::io(doing, error)
    }

    pub(super) fn check_certificates(_: &[u8]) -> Result<()> {
        Err(without_tls())
    }

    pub(super) fn parse_pin(_: &str) -> Result<[u8; 32]> {
        Err(without_tls())
    }
}

#[cfg(feature = "_tls")]
mod imp {
    use std::io;
    use std::sync::Arc;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use rustls::crypto::CryptoProvider;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
    use rustls::{AlertDescription, CertificateError, ClientConfig, ClientConnection, CommonState};

    use super::verify::{self, Refused};
    use super::{Error, Established, Result, Tls, TlsInfo, Trust};
    use crate::binding::channel_binding;
    use crate::error::{Kind, TlsProblem};

    /// The configuration for rustls, built afresh: it is cheap beside a handshake, and the roots may have changed. And the
    /// place where a certificate is found that the handshake has refused.
    pub(crate) fn client_config(tls: &Tls) -> Result<(Arc<ClientConfig>, Refused)> {
        let provider = Arc::new(provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::configuration(format!("TLS cannot be set up: {e}")))?;
        let (verifier, refused) = verify::verifier(&tls.trust, &provider)?;
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let config = match &tls.client {
            None => builder.with_no_client_auth(),
            Some(client) => {
                let key = PrivateKeyDer::from_pem_slice(client.key.expose())
                    .map_err(|_| Error::configuration("there is no private key in the client's key file"))?;
                builder.with_client_auth_cert(certificates(&client.chain)?, key).map_err(|e| {
                    Error::configuration(format!("the client certificate cannot be used: {e}"))
                })?
            }
        };
        Ok((Arc::new(config), refused))
    }

    pub(crate) fn server_name(tls: &Tls, host: &str) -> Result<ServerName<'static>> {
        let name = tls.server_name.as_deref().unwrap_or(host);
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        ServerName::try_from(bare.to_owned())
            .map_err(|_| Error::configuration(format!("{name:?} is no name that a certificate can have")))
    }

    pub(crate) fn established(tls: &Tls, session: &ClientConnection) -> Established {
        Established { info: info(tls, session), binding: channel_binding(session) }
    }

    fn info(tls: &Tls, session: &CommonState) -> TlsInfo {
        TlsInfo {
            version: session.protocol_version().map(|version| format!("{version:?}")).unwrap_or_default(),
            cipher_suite: session
                .negotiated_cipher_suite()
                .map(|suite| format!("{:?}", suite.suite()))
                .unwrap_or_default(),
            certificate: session
                .peer_certificates()
                .and_then(|chain| chain.first())
                .map(|certificate| certificate.to_vec())
                .unwrap_or_default(),
            verified: !matches!(tls.trust, Trust::Anybody),
        }
    }

    /// The error for a handshake that failed.
    pub(crate) fn handshake_problem(error: io::Error, refused: &Refused) -> Error {
        problem("the TLS handshake", error).refusing(refused.certificate())
    }

    /// The error for a handshake or a record that failed.
    pub(crate) fn problem(doing: &'static str, error: io::Error) -> Error {
        let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
            return Error::io(doing, error);
        };
        let problem = match tls {
            rustls::Error::InvalidCertificate(bad) => match bad {
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    TlsProblem::WrongName
                }
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsProblem::Expired,
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    TlsProblem::NotYetValid
                }
                CertificateError::UnknownIssuer => TlsProblem::UnknownIssuer,
                CertificateError::Revoked => TlsProblem::Revoked,
                CertificateError::ApplicationVerificationFailure => TlsProblem::WrongKey,
                _ => TlsProblem::BadCertificate,
            },
            rustls::Error::InvalidMessage(_) => TlsProblem::NotTls,
            rustls::Error::AlertReceived(AlertDescription::CloseNotify) => TlsProblem::Other,
            rustls::Error::AlertReceived(_) | rustls::Error::PeerIncompatible(_) => {
                TlsProblem::HandshakeRefused
            }
            _ => TlsProblem::Other,
        };
        Error::new(Kind::Tls { problem, source: Some(Box::new(tls.clone())), certificate: None })
    }

    pub(super) fn check_certificates(pem: &[u8]) -> Result<()> {
        certificates(pem).map(drop)
    }

    pub(super) fn parse_pin(pin: &str) -> Result<[u8; 32]> {
        STANDARD
            .decode(pin.strip_prefix("sha256//").unwrap_or(pin))
            .ok()
            .and_then(|digest| digest.try_into().ok())
            .ok_or_else(|| {
                Error::configuration("a pin is the SHA-256 of a public key in base64: sha256//...")
            })
    }

    pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
        let list: Vec<_> = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .map_err(|e| Error::configuration(format!("the certificate file cannot be read: {e:?}")))?;
        if list.is_empty() {
            return Err(Error::configuration("there is no certificate (PEM) in the certificate file"));
        }
        Ok(list)
    }

    /// The provider is named each time: a process-wide default would be a choice made for the whole program.
    pub(super) fn provider() -> CryptoProvider {
        #[cfg(feature = "aws-lc-rs")]
        {
            rustls::crypto::aws_lc_rs::default_provider()
        }
        #[cfg(not(feature = "aws-lc-rs"))]
        {
            rustls::crypto::ring::default_provider()
        }
    }
}
