//! Who the server has to be: by its certificate, or by its key.

use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};

use super::Trust;
use super::imp::certificates;
use crate::certificate::Certificate;
use crate::{Error, Result};

/// The certificate that a handshake has refused, if it has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refused(Arc<OnceLock<Vec<u8>>>);

impl Refused {
    pub(super) fn certificate(&self) -> Option<Certificate> {
        self.0.get().and_then(|der| Certificate::read(der))
    }
}

/// The verifier for whom is trusted.
pub(super) fn verifier(
    trust: &Trust,
    provider: &Arc<CryptoProvider>,
) -> Result<(Arc<dyn ServerCertVerifier>, Refused)> {
    let by_key = |keys| -> Arc<dyn ServerCertVerifier> {
        Arc::new(ByKey { keys, algorithms: provider.signature_verification_algorithms })
    };
    let judge = match trust {
        Trust::System => {
            let mut roots = RootCertStore::empty();
            let system = rustls_native_certs::load_native_certs();
            let (added, _) = roots.add_parsable_certificates(system.certs);
            if added == 0 {
                let why = system.errors.first().map(|e| format!(": {e}")).unwrap_or_default();
                return Err(Error::configuration(format!(
                    "this system has no root certificates{why}; install ca-certificates or name a CA"
                )));
            }
            by_roots(roots, provider)?
        }
        Trust::Roots(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(pem)? {
                roots
                    .add(certificate)
                    .map_err(|e| Error::configuration(format!("the CA cannot be used: {e}")))?;
            }
            by_roots(roots, provider)?
        }
        Trust::Keys(keys) => by_key(Some(keys.clone())),
        Trust::Anybody => by_key(None),
    };
    let refused = Refused::default();
    Ok((Arc::new(Witness { judge, refused: refused.clone() }), refused))
}

fn by_roots(roots: RootCertStore, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>> {
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|e| Error::configuration(format!("the root certificates cannot be used: {e}")))?;
    Ok(verifier)
}

/// Remembers what another has refused, so that people can be told.
#[derive(Debug)]
struct Witness {
    judge: Arc<dyn ServerCertVerifier>,
    refused: Refused,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict =
            self.judge.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        if verdict.is_err() {
            // A handshake has one; were there another, the first would do.
            let _ = self.refused.0.set(end_entity.to_vec());
        }
        verdict
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.judge.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.judge.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.judge.requires_raw_public_keys()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.judge.root_hint_subjects()
    }
}

/// Knows the server by its key, or, with no keys at all, takes whoever comes. That the server has the key of its
/// certificate is verified in both cases, by rustls.
#[derive(Debug)]
struct ByKey {
    keys: Option<Vec<[u8; 32]>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for ByKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(keys) = &self.keys {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            let digest: [u8; 32] = Sha256::digest(certificate.subject_public_key_info()).into();
            if !keys.contains(&digest) {
                return Err(CertificateError::ApplicationVerificationFailure.into());
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
