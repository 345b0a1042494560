//! SASLprep (RFC 4013): two ways to type the same name become the same octets.

use std::borrow::Cow;

use super::Error;
use crate::Secret;

/// Prepares a name for comparison (RFC 4013): ASCII passes as it is; a soft hyphen is dropped, compatibility characters
/// become their plain forms.
///
/// # Errors
///
/// [`Error::Unpreparable`] if it has characters that RFC 4013 section 2.3 forbids, or is not UTF-8.
///
/// ```
/// use popwire_proto::sasl::saslprep;
///
/// assert_eq!(saslprep("I\u{AD}X".as_bytes())?, b"IX");
/// assert_eq!(saslprep("\u{2168}".as_bytes())?, b"IX");
/// assert!(saslprep(b"a\x07b").is_err());
/// # Ok::<(), popwire_proto::sasl::Error>(())
/// ```
pub fn saslprep(octets: &[u8]) -> Result<Vec<u8>, Error> {
    let text = std::str::from_utf8(octets).map_err(|_| Error::Unpreparable)?;
    match stringprep::saslprep(text).map_err(|_| Error::Unpreparable)? {
        Cow::Borrowed(same) => Ok(same.as_bytes().to_vec()),
        Cow::Owned(prepared) => Ok(prepared.into_bytes()),
    }
}

/// A name, prepared; what is empty afterwards names nobody (RFC 5034 section 4).
pub(super) fn name(octets: &[u8]) -> Result<Vec<u8>, Error> {
    let prepared = saslprep(octets)?;
    if prepared.is_empty() { Err(Error::EmptyName) } else { Ok(prepared) }
}

/// An authorization identity, prepared: one that was not given stays empty, one that was given must not become so.
pub(super) fn authzid(octets: &[u8]) -> Result<Vec<u8>, Error> {
    if octets.is_empty() { Ok(Vec::new()) } else { name(octets) }
}

/// A password that the server prepares and compares itself (RFC 4616 section 2): prepared too, but characters that Unicode
/// did not have in 2002 are no error in it (RFC 4013 section 2.5).
pub(super) fn queried_password(secret: &Secret) -> Result<Secret, Error> {
    let newer = |text: &str| text.chars().any(stringprep::tables::unassigned_code_point);
    match (password(secret), std::str::from_utf8(secret.expose())) {
        (Err(error), Ok(text)) if newer(text) => {
            let known: String =
                text.chars().filter(|char| !stringprep::tables::unassigned_code_point(*char)).collect();
            password(&known.into()).map(|_| secret.clone()).map_err(|_| error)
        }
        (prepared, _) => prepared,
    }
}

/// A password, prepared. It may be empty, and octets that are no UTF-8 stand for themselves: they are a password in
/// another character set.
pub(super) fn password(secret: &Secret) -> Result<Secret, Error> {
    match std::str::from_utf8(secret.expose()) {
        Ok(_) => saslprep(secret.expose()).map(Secret::from),
        Err(_) => Ok(secret.clone()),
    }
}
