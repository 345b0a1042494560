//! What several mechanisms compute: nonces, HMAC, hexadecimal, comparison in constant time.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::Md5;
use subtle::ConstantTimeEq as _;

use super::Error;

/// Octets that nobody has used before: printable ASCII without a comma, as SCRAM wants them (RFC 5802 section 7).
#[derive(Clone, PartialEq, Eq)]
pub struct Nonce(Vec<u8>);

/// How many random octets are in a nonce. RFC 5802 names no number; 18 are enough that none ever comes twice, and these
/// make 32 characters of base64 without padding.
const RANDOM: usize = 24;

impl Nonce {
    /// A fresh one, from the system's generator.
    ///
    /// # Errors
    ///
    /// [`Error::Other`] if the system has no randomness to give.
    pub fn random() -> Result<Self, Error> {
        let mut octets = [0; RANDOM];
        getrandom::fill(&mut octets)
            .map_err(|e| Error::Other(format!("the system gives no random octets: {e}")))?;
        Ok(Self(STANDARD.encode(octets).into_bytes()))
    }

    /// A nonce that is known beforehand: for test vectors, and for nothing else.
    #[must_use]
    pub fn known(octets: impl Into<Vec<u8>>) -> Self {
        Self(octets.into())
    }

    /// The octets.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A nonce is no secret, but it helps whoever wants to guess a password offline.
impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nonce({} octets)", self.0.len())
    }
}

/// HMAC-MD5 (RFC 2104) of the parts, one after the other.
pub(super) fn hmac_md5(key: &[u8], parts: &[&[u8]]) -> [u8; 16] {
    // A key of any length is fine: HMAC hashes long ones.
    let Ok(mut mac) = Hmac::<Md5>::new_from_slice(key) else { return [0; 16] };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// Lower-case hexadecimal.
pub(crate) fn hex(octets: &[u8]) -> Vec<u8> {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).map_or(b'0', |digit| digit as u8);
    octets.iter().flat_map(|octet| [digit(octet >> 4), digit(octet & 15)]).collect()
}

/// Compares without telling by the time it takes how much was right; lengths are no secret.
pub(super) fn equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}
