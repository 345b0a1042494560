//! What is what: maildrops, the messages in them, and one message's delivery, each by a name that holds across sessions.

use std::fmt;
use std::sync::Arc;

use popwire::Text;
use sha2::{Digest as _, Sha256};

/// The SHA-256 of some octets.
pub type Hash = [u8; 32];

/// A maildrop, as the ledger knows it: `user@host`, with `:port` behind it where the port is none of POP3's own.
///
/// The same maildrop by STLS and by TLS is one account, so that a change from one to the other fetches nothing again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountKey(Arc<str>);

impl AccountKey {
    /// The account of this user at this server. Host names are compared without regard to case, users' names with it.
    ///
    /// ```
    /// use popwire_retriever::AccountKey;
    /// assert_eq!(AccountKey::new("alice", "POP.example.org", 995).as_str(), "alice@pop.example.org");
    /// assert_eq!(AccountKey::new("alice", "localhost", 1110).as_str(), "alice@localhost:1110");
    /// ```
    #[must_use]
    pub fn new(user: impl AsRef<[u8]>, host: &str, port: u16) -> Self {
        let user = Text::from(user.as_ref());
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let key = if matches!(port, 110 | 995) {
            format!("{user}@{host}")
        } else {
            format!("{user}@{host}:{port}")
        };
        Self(key.into())
    }

    /// An account by its name in the ledger, such as another ledger's export gives it.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// By what a message is known again in a later session.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Identity {
    /// The server's unique-id (RFC 1939 section 7), whatever octets and length it has.
    UniqueId(Vec<u8>),
    /// Where the server has none: the hash of the message's header, as [`HeaderHash`] takes it.
    Header(Hash),
}

impl Identity {
    /// One value for the ledger: an octet for the kind, then the octets.
    #[must_use]
    pub fn to_octets(&self) -> Vec<u8> {
        let (kind, octets): (u8, &[u8]) = match self {
            Self::UniqueId(id) => (b'u', id),
            Self::Header(hash) => (b'h', hash),
        };
        let mut value = Vec::with_capacity(octets.len() + 1);
        value.push(kind);
        value.extend_from_slice(octets);
        value
    }

    /// Reads what [`to_octets`](Self::to_octets) wrote.
    #[must_use]
    pub fn from_octets(value: &[u8]) -> Option<Self> {
        match value.split_first()? {
            (b'u', id) => Some(Self::UniqueId(id.to_vec())),
            (b'h', hash) => Some(Self::Header(hash.try_into().ok()?)),
            _ => None,
        }
    }
}

/// The unique-id, with escapes for what does not belong on a terminal; or `header:` and the beginning of the hash.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UniqueId(id) => Text::from(id.as_slice()).fmt(f),
            Self::Header(hash) => {
                f.write_str("header:")?;
                hex(f, hash.get(..8).unwrap_or_default())
            }
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A message of an account. Servers are known that give the same unique-id to several: the occurrence tells them apart,
/// counted from 0 in the order of their numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct MessageKey {
    /// What it shares with its like.
    pub identity: Identity,
    /// How many of its like come before it.
    pub occurrence: u32,
}

impl MessageKey {
    /// The key of a message.
    #[must_use]
    pub fn new(identity: Identity, occurrence: u32) -> Self {
        Self { identity, occurrence }
    }

    /// The first message with this unique-id.
    #[must_use]
    pub fn unique_id(id: impl AsRef<[u8]>) -> Self {
        Self::new(Identity::UniqueId(id.as_ref().to_vec()), 0)
    }
}

impl fmt::Display for MessageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.occurrence {
            0 => self.identity.fmt(f),
            more => write!(f, "{} (no. {})", self.identity, u64::from(more) + 1),
        }
    }
}

/// The name of one message's delivery, made from account, key and contents: whoever delivers the same message of the same
/// account again makes the same mark, even without a memory of the first time. 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mark([u8; 16]);

impl Mark {
    /// The mark of this message with these contents.
    #[must_use]
    pub fn new(account: &AccountKey, key: &MessageKey, content: &Hash) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(b"popwire mark 1\0");
        // A length before each part: no two messages share a mark because one's parts run on into the next.
        for part in [account.as_str().as_bytes(), &key.identity.to_octets()] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        hasher.update(key.occurrence.to_be_bytes());
        hasher.update(content);
        let mut mark = [0; 16];
        mark.iter_mut().zip(hasher.finalize()).for_each(|(to, from)| *to = from);
        Self(mark)
    }

    /// Reads 32 hexadecimal digits.
    #[must_use]
    pub fn parse(digits: &str) -> Option<Self> {
        let digits = digits.as_bytes();
        if digits.len() != 32 {
            return None;
        }
        let mut mark = [0; 16];
        for (octet, pair) in mark.iter_mut().zip(digits.chunks_exact(2)) {
            // Lower case only, as it is written: names that differ are not the same name.
            let digit = |digit: &u8| match digit {
                b'0'..=b'9' => Some(digit - b'0'),
                b'a'..=b'f' => Some(digit - b'a' + 10),
                _ => None,
            };
            let &[high, low] = pair else { return None };
            *octet = digit(&high)? << 4 | digit(&low)?;
        }
        Some(Self(mark))
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(f, &self.0)
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

fn hex(f: &mut fmt::Formatter<'_>, octets: &[u8]) -> fmt::Result {
    octets.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
}

/// Hashes a message's header as it comes, without the fields that servers and mail programs change: the same message has
/// the same hash whether it came by RETR or by TOP, before or after it was read.
///
/// ```
/// use popwire_retriever::HeaderHash;
///
/// let mut whole = HeaderHash::default();
/// whole.update(b"Subject: hello\r\nStatus: RO\r\n\r\nHow are you?\r\n");
/// let mut top = HeaderHash::default();
/// top.update(b"Subject: he");
/// top.update(b"llo\r\n\r\n");
/// assert_eq!(whole.finish(), top.finish());
/// ```
#[derive(Clone, Default)]
pub struct HeaderHash {
    hasher: Sha256,
    /// The beginning of the line at hand, as far as its field's name may go.
    line: Vec<u8>,
    /// Whether the line at hand is of a field that counts, as far as that is known.
    counts: Option<bool>,
    ended: bool,
    has_message_id: bool,
}

/// Fields that a server or another client of it writes into a message that it keeps.
const CHANGING: [&[u8]; 8] = [
    b"status",
    b"x-status",
    b"x-uid",
    b"x-uidl",
    b"x-keywords",
    b"x-mozilla-status",
    b"x-mozilla-status2",
    b"content-length",
];

/// Longer names are none of those above.
const LONGEST_NAME: usize = 17;

impl HeaderHash {
    /// Takes the next octets of the message.
    pub fn update(&mut self, octets: &[u8]) {
        let mut rest = octets;
        while !self.ended && !rest.is_empty() {
            let end = rest.iter().position(|&octet| octet == b'\n').map_or(rest.len(), |at| at + 1);
            let (piece, behind) = rest.split_at(end);
            self.take(piece);
            rest = behind;
        }
    }

    /// Whether the header has a Message-ID so far, which no two messages share (RFC 5322 section 3.6.4): without one, equal
    /// headers may be those of two messages.
    #[must_use]
    pub fn has_message_id(&self) -> bool {
        self.has_message_id
    }

    /// The hash of what came, up to the empty line that ends a header.
    #[must_use]
    pub fn finish(mut self) -> Hash {
        if !self.ended {
            self.end_line();
        }
        self.hasher.finalize().into()
    }

    /// A line, or a part of one.
    fn take(&mut self, piece: &[u8]) {
        match self.counts {
            Some(true) => feed(&mut self.hasher, piece),
            Some(false) => {}
            None => {
                self.line.extend_from_slice(piece);
                // A name that goes on is not judged yet.
                if self.line.len() > LONGEST_NAME && !piece.ends_with(b"\n") {
                    self.judge();
                }
            }
        }
        if piece.ends_with(b"\n") {
            self.end_line();
        }
    }

    fn end_line(&mut self) {
        if self.counts.is_none() {
            if self.line.iter().all(|octet| b"\r\n".contains(octet)) {
                self.ended = !self.line.is_empty();
                return;
            }
            self.judge();
        }
        if self.counts == Some(true) {
            self.hasher.update(b"\n");
        }
        self.counts = None;
    }

    fn judge(&mut self) {
        let name = self.line.split(|&octet| octet == b':').next().unwrap_or_default().trim_ascii_end();
        self.has_message_id |= name.eq_ignore_ascii_case(b"message-id");
        let counts = !CHANGING.iter().any(|changing| name.eq_ignore_ascii_case(changing));
        if counts {
            feed(&mut self.hasher, &self.line);
        }
        self.line.clear();
        self.counts = Some(counts);
    }
}

impl fmt::Debug for HeaderHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeaderHash").field("ended", &self.ended).finish_non_exhaustive()
    }
}

/// Servers differ in their line ends, and in what they make of a CR alone.
fn feed(hasher: &mut Sha256, octets: &[u8]) {
    octets.split(|octet| b"\r\n".contains(octet)).for_each(|part| hasher.update(part));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(pieces: &[&[u8]]) -> Hash {
        let mut hash = HeaderHash::default();
        pieces.iter().for_each(|piece| hash.update(piece));
        hash.finish()
    }

    #[test]
    fn a_header_has_one_hash_however_it_comes() {
        let mail: &[u8] = b"Subject: a\r\nX-Mozilla-Status2: 0000\r\nStatus: RO\r\nStatus-Of: b\r\nA-Very-Long-Field-Name-Of-All: x\r\n\tfol\rded\r\n\r\nbody\r\n";
        let whole = hash(&[mail]);
        for at in 0..mail.len() {
            let (head, tail) = mail.split_at(at);
            assert_eq!(hash(&[head, tail]), whole, "{at}");
        }
        let octets: Vec<&[u8]> = mail.chunks(1).collect();
        assert_eq!(hash(&octets), whole);
        assert_eq!(
            hash(&[b"Subject: a\nStatus-Of: b\nA-Very-Long-Field-Name-Of-All: x\n\tfolded\n\n"]),
            whole
        );
        // TOP n 0 may come without the empty line.
        assert_eq!(hash(&[b"Subject: a\nStatus-Of: b\nA-Very-Long-Field-Name-Of-All: x\n\tfolded\n"]), whole);
        assert_ne!(
            hash(&[b"Subject: a\nStatus-Of: c\nA-Very-Long-Field-Name-Of-All: x\n\tfolded\n\n"]),
            whole
        );
        assert_ne!(hash(&[b"Subject: a\n\n"]), hash(&[b"Subject: b\n\n"]));
        assert_eq!(hash(&[]), hash(&[b"\r\nonly a body"]));
    }

    #[test]
    fn a_message_id_is_seen_in_a_header_only() {
        let has = |mail: &[u8]| {
            let mut hash = HeaderHash::default();
            mail.chunks(3).for_each(|piece| hash.update(piece));
            hash.has_message_id()
        };
        assert!(has(b"Subject: a\r\nmessage-ID : <1@x>\r\n\r\n"));
        assert!(!has(b"Subject: Message-ID: <1@x>\r\nX-Message-ID: 1\r\n\r\nMessage-ID: <1@x>\r\n"));
    }

    #[test]
    fn identities_survive_the_ledger() {
        for identity in [
            Identity::UniqueId(Vec::new()),
            Identity::UniqueId(b"\0\xff uid".to_vec()),
            Identity::Header([7; 32]),
        ] {
            assert_eq!(Identity::from_octets(&identity.to_octets()), Some(identity));
        }
        assert_eq!(Identity::from_octets(b""), None);
        assert_eq!(Identity::from_octets(b"x1"), None);
        assert_eq!(Identity::from_octets(b"h1"), None);
    }

    #[test]
    fn a_mark_is_of_one_message_only() {
        let account = AccountKey::new("alice", "h", 110);
        let key = MessageKey::unique_id("1");
        let mark = Mark::new(&account, &key, &[0; 32]);
        assert_eq!(Mark::parse(&mark.to_string()), Some(mark));
        let second = MessageKey::new(key.identity.clone(), 1);
        let others = [
            Mark::new(&AccountKey::new("bob", "h", 110), &key, &[0; 32]),
            Mark::new(&account, &MessageKey::unique_id("2"), &[0; 32]),
            Mark::new(&account, &second, &[0; 32]),
            Mark::new(&account, &key, &[1; 32]),
        ];
        assert!(others.iter().all(|other| *other != mark));
        for wrong in ["", "0", &"g".repeat(32), &"A".repeat(32), &"0".repeat(33), &"ü".repeat(16)] {
            assert_eq!(Mark::parse(wrong), None, "{wrong}");
        }
    }
}
