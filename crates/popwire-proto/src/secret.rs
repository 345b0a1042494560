//! A wrapper for passwords, tokens and digests: it never prints what it holds, and wipes it when dropped.

use std::fmt;

use zeroize::Zeroizing;

/// Octets that must never be shown.
///
/// `Debug` prints a placeholder, there is no `Display`, and the memory is overwritten on drop. The octets are
/// reached by [`Secret::expose`] alone, so a search for that word finds every use.
///
/// ```
/// let secret = popwire_proto::Secret::from("tanstaaf");
/// assert_eq!(format!("{secret:?}"), "Secret(********)");
/// assert_eq!(secret.expose(), b"tanstaaf");
/// ```
#[derive(Clone, Default)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// The octets themselves.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether there are no octets at all. An empty password is legal to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(********)")
    }
}

impl From<Vec<u8>> for Secret {
    fn from(octets: Vec<u8>) -> Self {
        Self(Zeroizing::new(octets))
    }
}

impl From<&[u8]> for Secret {
    fn from(octets: &[u8]) -> Self {
        octets.to_vec().into()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}
