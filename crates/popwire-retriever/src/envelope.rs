//! From whom and to whom: what mail servers are told beside the message.

use std::error::Error;
use std::fmt;
use std::io::{self, Read as _};

use crate::destination::Parcel;

/// A mail address that can stand in an envelope, such as `alice@example.org`; or without a host, as servers for local
/// delivery take it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mailbox(String);

impl Mailbox {
    /// Takes an address, without angle brackets.
    ///
    /// # Errors
    ///
    /// If it is empty, longer than 320 octets, or has anything in it that could end it: blanks, angle brackets, control
    /// characters.
    pub fn new(address: impl Into<String>) -> Result<Self, InvalidMailbox> {
        let address = address.into();
        let ends = |one: char| one.is_whitespace() || one.is_control() || "<>".contains(one);
        if address.is_empty() || address.len() > LONGEST || address.contains(ends) {
            return Err(InvalidMailbox(address));
        }
        Ok(Self(address))
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// 64 octets, an @, and 255 (RFC 5321 section 4.5.3.1).
const LONGEST: usize = 320;

/// An address that cannot stand in an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidMailbox(String);

impl fmt::Display for InvalidMailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a mail address", self.0)
    }
}

impl Error for InvalidMailbox {}

/// Who is told to be a message's sender, whom a server tells if it cannot deliver it after all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sender {
    /// Whom the message's `Return-Path` names; nobody if it has none.
    #[default]
    ReturnPath,
    /// Nobody: `<>`. No server sends a report then.
    Nobody,
    /// Always this one.
    Always(Mailbox),
}

/// What of a message is looked at ahead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// The sender to name, empty for nobody.
    pub(crate) sender: String,
    /// Whether there are octets beyond ASCII.
    pub(crate) eight_bit: bool,
}

/// Where a `Return-Path` is looked for. Servers put it in front of the header.
const HEADER: usize = 64 * 1024;

impl Look {
    pub(crate) fn at(parcel: &Parcel, sender: &Sender) -> io::Result<Self> {
        let mut reader = parcel.reader();
        let mut piece = vec![0; HEADER];
        let mut look = Self { sender: String::new(), eight_bit: false };
        if let Sender::Always(mailbox) = sender {
            look.sender = mailbox.as_str().to_owned();
        }
        let mut is_first = true;
        loop {
            let mut filled = 0;
            while let Some(room) = piece.get_mut(filled..).filter(|room| !room.is_empty()) {
                match reader.read(room) {
                    Ok(0) => break,
                    Ok(read) => filled += read,
                    Err(reason) if reason.kind() == io::ErrorKind::Interrupted => {}
                    Err(reason) => return Err(reason),
                }
            }
            let octets = piece.get(..filled).unwrap_or_default();
            if is_first && *sender == Sender::ReturnPath {
                look.sender = return_path(octets).unwrap_or_default();
            }
            is_first = false;
            look.eight_bit |= !octets.is_ascii();
            if filled < HEADER {
                return Ok(look);
            }
        }
    }
}

/// The address of the first `Return-Path`, if it can stand in an envelope without extensions.
fn return_path(header: &[u8]) -> Option<String> {
    const NAME: &[u8] = b"return-path:";
    let mut lines = header.split(|&octet| octet == b'\n').take_while(|line| !line.trim_ascii().is_empty());
    let line =
        lines.find(|line| line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME)))?;
    let value = line.get(NAME.len()..)?.trim_ascii();
    let address = value.strip_prefix(b"<")?.strip_suffix(b">")?;
    let address = std::str::from_utf8(address).ok().filter(|address| address.is_ascii())?;
    Mailbox::new(address).ok().map(|mailbox| mailbox.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination::testing::parcel;

    #[test]
    fn nothing_ends_an_address_early() {
        for wrong in ["", "a b", "a>", "<a", "a\r\nRCPT TO:<b", "a\0", "a\u{85}", &"a".repeat(321)] {
            assert!(Mailbox::new(wrong).is_err(), "{wrong:?}");
        }
        for right in ["alice", "alice@example.org", "a+b@[127.0.0.1]", "ü@example.org"] {
            assert_eq!(Mailbox::new(right).unwrap().as_str(), right);
        }
    }

    #[test]
    fn the_sender_is_whom_the_return_path_names() {
        let sender =
            |message: &str| Look::at(&parcel("1", message.as_bytes()), &Sender::ReturnPath).unwrap().sender;
        assert_eq!(sender("Return-Path: <bob@x>\r\nSubject: a\r\n\r\n"), "bob@x");
        assert_eq!(sender("Received: a\n\tb\nreturn-PATH:<bob@x> \nReturn-Path: <eve@x>\n\n"), "bob@x");
        for nobody in [
            "",
            "Subject: a\r\n\r\nReturn-Path: <bob@x>\r\n",
            "Return-Path: <>\r\n\r\n",
            "Return-Path: bob@x\r\n\r\n",
            "Return-Path: <bob@x> SIZE=1\r\n\r\n",
            "Return-Path: <bob@x> <eve@x>\r\n\r\n",
            "Return-Path: <b\rQUIT>\r\n\r\n",
            "Return-Path: <bøb@x>\r\n\r\n",
            &format!("X: {}\r\nReturn-Path: <bob@x>\r\n\r\n", "x".repeat(HEADER)),
        ] {
            assert_eq!(sender(nobody), "", "{nobody:?}");
        }
        let always = Sender::Always(Mailbox::new("me@x").unwrap());
        let mail = parcel("1", b"Return-Path: <bob@x>\r\n\r\n");
        assert_eq!(Look::at(&mail, &always).unwrap().sender, "me@x");
        assert_eq!(Look::at(&mail, &Sender::Nobody).unwrap().sender, "");
    }

    #[test]
    fn octets_beyond_ascii_are_found_wherever_they_are() {
        for at in [0, HEADER - 1, HEADER, 3 * HEADER] {
            let mut message = vec![b'x'; 3 * HEADER + 1];
            assert!(!Look::at(&parcel("1", &message), &Sender::Nobody).unwrap().eight_bit);
            message[at] = 0x80;
            assert!(Look::at(&parcel("1", &message), &Sender::Nobody).unwrap().eight_bit, "{at}");
        }
    }
}
