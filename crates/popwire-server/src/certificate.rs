//! Certificates made on the spot.

use std::sync::Arc;

use popwire_proto::Secret;
use popwire_proto::sasl::{BindingType, ChannelBinding};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use sha2::{Digest as _, Sha256};

use crate::StartError;
use crate::options::TlsOptions;

/// Which certificate the server shows. In all cases [`Server::ca_pem`](crate::Server::ca_pem) is what a client is told
/// to trust.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Certificate {
    /// For `localhost`, `127.0.0.1` and `::1`, valid, signed by the CA.
    #[default]
    Good,
    /// For `elsewhere.example` only.
    WrongName,
    /// For `*.wild.example` only.
    Wildcard,
    /// With `localhost` as the subject's common name and without the extension where names belong (RFC 7817 section 3).
    CommonNameOnly,
    /// As [`Certificate::Good`], but it expired in 2001.
    Expired,
    /// As [`Certificate::Good`], but signed by a CA that the client does not know.
    UnknownCa,
    /// As [`Certificate::Good`], but signed by its own key.
    SelfSigned,
}

/// A certificate that the caller has, in PEM.
#[derive(Clone, Debug)]
pub(crate) struct GivenCertificate {
    chain: Vec<u8>,
    key: Secret,
}

impl GivenCertificate {
    pub(crate) fn new(chain: Vec<u8>, key: &[u8]) -> Self {
        Self { chain, key: Secret::from(key) }
    }

    fn parse(&self) -> Result<Shown, StartError> {
        let chain = CertificateDer::pem_slice_iter(&self.chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(StartError::CertificatePem)?;
        if chain.is_empty() {
            return Err(StartError::CertificatePem(rustls::pki_types::pem::Error::NoItemsFound));
        }
        let key = PrivateKeyDer::from_pem_slice(self.key.expose()).map_err(StartError::KeyPem)?;
        Ok(Shown { chain, key, made: false })
    }
}

/// What the server shows, and its key.
struct Shown {
    /// The server's own certificate first.
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    /// Whether it was made here.
    made: bool,
}

/// What TLS needs, and what tests ask for.
pub(crate) struct Identity {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) ca_pem: String,
    pub(crate) ca_der: Vec<u8>,
    pub(crate) leaf_der: Vec<u8>,
    /// Whether `leaf_der` was made here.
    made: bool,
    /// Lives on, to sign the certificates of clients.
    authority: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate for a client.
pub(crate) struct ClientCertificate {
    pub(crate) pem: String,
    pub(crate) key_pem: String,
    pub(crate) der: Vec<u8>,
}

impl Identity {
    /// Shows the certificate that was given, or makes one.
    pub(crate) fn make(options: &TlsOptions) -> Result<Self, StartError> {
        let trusted = authority("popwire-server test CA").map_err(StartError::Certificate)?;
        let shown = match &options.given {
            Some(given) => given.parse()?,
            None => make_leaf(options.certificate, &trusted).map_err(StartError::Certificate)?,
        };
        let leaf_der = shown.chain.first().map(|leaf| leaf.to_vec()).unwrap_or_default();
        // The provider is named here, never installed for the whole process: that is the program's choice.
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(trusted.der().clone()).map_err(StartError::Tls)?;
        // Clients may show a certificate, and need not.
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .map_err(|e| StartError::Tls(rustls::Error::General(e.to_string())))?;
        let versions: &[&SupportedProtocolVersion] =
            if options.only_1_2 { &[&TLS12] } else { &[&TLS13, &TLS12] };
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .and_then(|builder| {
                builder.with_client_cert_verifier(verifier).with_single_cert(shown.chain, shown.key)
            })
            .map_err(StartError::Tls)?;
        Ok(Self {
            config: Arc::new(config),
            ca_pem: trusted.pem(),
            ca_der: trusted.der().to_vec(),
            leaf_der,
            made: shown.made,
            authority: trusted,
        })
    }

    /// A certificate for the user of this name, signed by the CA.
    pub(crate) fn issue(&self, user: &str) -> Result<ClientCertificate, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, user);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2099, 1, 1);
        let leaf = params.signed_by(&key, &self.authority)?;
        Ok(ClientCertificate { pem: leaf.pem(), key_pem: key.serialize_pem(), der: leaf.der().to_vec() })
    }

    /// `tls-server-end-point` (RFC 5929 section 4.1): by the hash with which the certificate is signed. Unless another
    /// is asked for, rcgen makes keys for ECDSA on secp256r1, which sign with SHA-256. A certificate that was given may
    /// be signed by anything, and has none here; TLS 1.3 does not need it.
    pub(crate) fn end_point(&self) -> Option<ChannelBinding> {
        let hash = self.made.then(|| Sha256::digest(&self.leaf_der).to_vec())?;
        Some(ChannelBinding::new(BindingType::TlsServerEndPoint, hash))
    }
}

fn make_leaf(
    certificate: Certificate,
    trusted: &CertifiedIssuer<'static, KeyPair>,
) -> Result<Shown, rcgen::Error> {
    let signer = match certificate {
        Certificate::UnknownCa => &authority("popwire-server unknown CA")?,
        _ => trusted,
    };
    let key = KeyPair::generate()?;
    let params = leaf(certificate)?;
    let leaf = match certificate {
        Certificate::SelfSigned => params.self_signed(&key)?,
        _ => params.signed_by(&key, signer)?,
    };
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    Ok(Shown { chain: vec![leaf.der().clone()], key, made: true })
}

fn authority(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(2099, 1, 1);
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

fn leaf(certificate: Certificate) -> Result<CertificateParams, rcgen::Error> {
    let names: &[&str] = match certificate {
        Certificate::WrongName => &["elsewhere.example"],
        Certificate::Wildcard => &["*.wild.example"],
        Certificate::CommonNameOnly => &[],
        _ => &["localhost", "127.0.0.1", "::1"],
    };
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
    let common_name = if certificate == Certificate::CommonNameOnly { "localhost" } else { "popwire-server" };
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Strict verifiers (Python's since 3.13) refuse a leaf without it.
    params.use_authority_key_identifier_extension = true;
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = match certificate {
        Certificate::Expired => date_time_ymd(2001, 1, 1),
        _ => date_time_ymd(2099, 1, 1),
    };
    Ok(params)
}
