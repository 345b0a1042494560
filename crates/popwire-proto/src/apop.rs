//! APOP: the greeting's timestamp and the digest made from it (RFC 1939 section 7).
//!
//! A man in the middle who may choose timestamps recovers the first characters of the secret by MD5 collisions
//! (CVE-2007-1558), unless the client insists that the timestamp is a message-id. It does so here. APOP remains a login
//! for history's sake: it is never chosen unasked.

use md5::{Digest, Md5};
use memchr::{memchr, memchr2};

use crate::Secret;
use crate::sasl::hex;

/// The timestamp in a greeting: its first `<...@...>` that is a valid message-id, angle brackets included.
///
/// Text may stand before it. Linear in the length of the greeting, whatever it holds.
///
/// ```
/// use popwire_proto::apop;
///
/// let greeting = b"+OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>";
/// assert_eq!(apop::timestamp(greeting), Some(&b"<1896.697170952@dbc.mtview.ca.us>"[..]));
/// assert_eq!(apop::timestamp(b"+OK <\xff\x80@x> <no-at-sign> <>"), None);
/// ```
#[must_use]
pub fn timestamp(greeting: &[u8]) -> Option<&[u8]> {
    // A message-id has no "<" inside, so a candidate ends at the next bracket of either kind: no octet is read twice.
    let mut at = 0;
    loop {
        let open = at + memchr(b'<', greeting.get(at..)?)?;
        let inside = greeting.get(open + 1..)?;
        let length = memchr2(b'<', b'>', inside)?;
        let (id, rest) = inside.split_at_checked(length)?;
        if rest.first() == Some(&b'>') && is_message_id(id) {
            return greeting.get(open..open + length + 2);
        }
        at = open + 1 + length;
    }
}

/// The digest of APOP: lower-case hexadecimal MD5 of the timestamp followed by the secret.
///
/// ```
/// use popwire_proto::{Secret, apop};
///
/// let digest = apop::digest(b"<1896.697170952@dbc.mtview.ca.us>", &Secret::from("tanstaaf"));
/// assert_eq!(digest.expose(), b"c4c9334bac560ecc979e58001b3e22fb");
/// ```
#[must_use]
pub fn digest(timestamp: &[u8], secret: &Secret) -> Secret {
    let sum = Md5::new().chain_update(timestamp).chain_update(secret.expose()).finalize();
    hex(&sum).into()
}

/// `left@right` of RFC 822's msg-id: ASCII without blanks, controls, or specials outside quotes.
fn is_message_id(id: &[u8]) -> bool {
    let Some(at) = id.iter().rposition(|octet| *octet == b'@') else { return false };
    let (left, right) = id.split_at(at);
    let right = right.get(1..).unwrap_or_default();
    let left_ok = match left {
        [b'"', quoted @ .., b'"'] => {
            quoted.iter().all(|octet| octet.is_ascii_graphic() && !b"\"\\".contains(octet))
        }
        atoms => dot_atom(atoms),
    };
    let right_ok = match right {
        [b'[', literal @ .., b']'] => {
            literal.iter().all(|octet| octet.is_ascii_graphic() && !b"[]\\".contains(octet))
        }
        atoms => dot_atom(atoms),
    };
    left_ok && right_ok
}

fn dot_atom(octets: &[u8]) -> bool {
    !octets.is_empty()
        && octets.iter().all(|octet| octet.is_ascii_graphic() && !b"()<>@,;:\\\"[]".contains(octet))
}
