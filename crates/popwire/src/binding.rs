//! What TLS gives a login to be bound to (RFC 5056): with TLS 1.3 octets that only this session has, with TLS 1.2 the name of
//! the server's certificate.
//!
//! `tls-unique` is not among them: rustls does not tell it, and TLS 1.3 has none. `tls-exporter` is only safe in TLS 1.2 with
//! the extended master secret (RFC 9266 section 4.2), and rustls does not tell whether it was used.

use der::asn1::ObjectIdentifier;
use der::{Decode as _, Header, Reader as _, SliceReader, asn1::AnyRef};
use popwire_proto::sasl::{BindingType, ChannelBinding};
use rustls::{ClientConnection, ProtocolVersion};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use spki::AlgorithmIdentifierRef;

/// The binding of this session; `None` if it has none that both sides would compute alike.
pub(crate) fn channel_binding(session: &ClientConnection) -> Option<ChannelBinding> {
    if session.protocol_version() == Some(ProtocolVersion::TLSv1_3) {
        let label = b"EXPORTER-Channel-Binding";
        let exported = session.export_keying_material(vec![0; 32], label, Some(&[])).ok()?;
        return Some(ChannelBinding::new(BindingType::TlsExporter, exported));
    }
    let hash = end_point(session.peer_certificates()?.first()?)?;
    Some(ChannelBinding::new(BindingType::TlsServerEndPoint, hash))
}

/// The hash of the certificate by the function of its own signature, SHA-256 in place of MD5 and SHA-1 (RFC 5929 section
/// 4.1).
fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let algorithm = signature_algorithm(certificate).ok()?;
    let hash = hash_of_signature(&algorithm)?;
    Some(match hash {
        Hash::Sha256 => Sha256::digest(certificate).to_vec(),
        Hash::Sha384 => Sha384::digest(certificate).to_vec(),
        Hash::Sha512 => Sha512::digest(certificate).to_vec(),
    })
}

#[derive(Clone, Copy)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

const MD5_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.4");
const SHA1_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5");
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const SHA256_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const SHA384_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const SHA512_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");
const SHA1_ECDSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.1");
const SHA256_ECDSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const SHA384_ECDSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const SHA512_ECDSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");

/// Signatures with a hash of their own, such as Ed25519, have no binding of this type.
fn hash_of_signature(algorithm: &AlgorithmIdentifierRef<'_>) -> Option<Hash> {
    match algorithm.oid {
        MD5_RSA | SHA1_RSA | SHA256_RSA | SHA1_ECDSA | SHA256_ECDSA => Some(Hash::Sha256),
        SHA384_RSA | SHA384_ECDSA => Some(Hash::Sha384),
        SHA512_RSA | SHA512_ECDSA => Some(Hash::Sha512),
        RSA_PSS => match pss_hash(algorithm.parameters?).ok()? {
            // SHA-1 is what is meant where nothing is said.
            None => Some(Hash::Sha256),
            Some(SHA256) => Some(Hash::Sha256),
            Some(SHA384) => Some(Hash::Sha384),
            Some(SHA512) => Some(Hash::Sha512),
            Some(_) => None,
        },
        _ => None,
    }
}

/// `Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, ... }` (RFC 5280 section 4.1).
fn signature_algorithm(certificate: &[u8]) -> der::Result<AlgorithmIdentifierRef<'_>> {
    let mut reader = SliceReader::new(certificate)?;
    Header::decode(&mut reader)?;
    AnyRef::decode(&mut reader)?;
    AlgorithmIdentifierRef::decode(&mut reader)
}

/// The hash of `RSASSA-PSS-params ::= SEQUENCE { hashAlgorithm [0] DEFAULT sha1, ... }` (RFC 4055 section 3.1).
fn pss_hash(parameters: AnyRef<'_>) -> der::Result<Option<ObjectIdentifier>> {
    let mut reader = SliceReader::new(parameters.value())?;
    if reader.is_finished() {
        return Ok(None);
    }
    let first = AnyRef::decode(&mut reader)?;
    let hash_algorithm = der::TagNumber(0);
    match der::Tagged::tag(&first) {
        der::Tag::ContextSpecific { number, .. } if number == hash_algorithm => {
            AlgorithmIdentifierRef::from_der(first.value()).map(|hash| Some(hash.oid))
        }
        _ => Ok(None),
    }
}
