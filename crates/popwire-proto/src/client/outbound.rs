//! Octets on their way to the server, and what may be shown of them.

use std::fmt;

use zeroize::Zeroize as _;

use crate::text::write_escaped;

/// A command line that has just been put into the outgoing octets, fit to be shown: secrets are not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submitted<'a> {
    pub(super) public: &'a [u8],
    pub(super) hidden: bool,
}

impl<'a> Submitted<'a> {
    /// The part of the line that may be shown.
    #[must_use]
    pub fn public(&self) -> &'a [u8] {
        self.public
    }

    /// Whether the line ends with a secret that is left out here.
    #[must_use]
    pub fn is_redacted(&self) -> bool {
        self.hidden
    }
}

impl fmt::Display for Submitted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(self.public, f)?;
        if self.hidden { f.write_str("********") } else { Ok(()) }
    }
}

/// Octets on their way to the server; they can be a password.
#[derive(Default)]
pub(super) struct Outbound {
    pub(super) octets: Vec<u8>,
    pub(super) sent: usize,
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outbound({} octets)", self.octets.len())
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        self.octets.zeroize();
    }
}
