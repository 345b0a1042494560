//! Messages for the tests of destinations.

use std::io::Write as _;

use sha2::{Digest as _, Sha256};

use super::{Parcel, Spool};
use crate::identity::{AccountKey, MessageKey};
use crate::ledger::Received;

/// A message of alice at h, with this unique-id.
pub(crate) fn parcel(id: &str, message: &[u8]) -> Parcel {
    let mut spool = Spool::new();
    spool.write_all(message).unwrap();
    spool.finish().unwrap();
    let received = Received {
        listed: None,
        octets: spool.octets(),
        content: Sha256::digest(message).into(),
        header: [0; 32],
        whole: true,
    };
    Parcel::new(AccountKey::new("alice", "h", 110), MessageKey::unique_id(id), received, spool)
}
