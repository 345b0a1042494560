//! The typed answers of STAT, LIST, UIDL, CAPA, LANG, AUTH and LAST.
//!
//! Listings are read with tolerance: a line is known by the number in it, never by its position; any run of blanks
//! separates fields; further fields are ignored; numbers may be missing after deletions; a line that cannot be read
//! is counted and skipped. Numbers that a server states are hints with 64 bits, and nothing is allocated by them.
//!
//! ```
//! use popwire_proto::{Client, Command, Limits, command::UidlCommand};
//!
//! let mut client = Client::new(Limits::default());
//! # let mut feed = |client: &mut Client, octets: &[u8]| {
//! #     client.space()[..octets.len()].copy_from_slice(octets);
//! #     client.filled(octets.len());
//! # };
//! feed(&mut client, b"+OK ready\r\n");
//! client.reply()?.expect("the greeting");
//! client.submit(&UidlCommand)?;
//! feed(&mut client, b"+OK\r\n3   third\r\n1 first\r\ngarbage\r\n.\r\n");
//! let ids = UidlCommand.decode(client.reply()?.expect("all of it"), client.limits())?;
//!
//! let found: Vec<_> = ids.iter().map(|(number, uid)| (number, uid.to_string())).collect();
//! assert_eq!(found, [(1, "first".to_owned()), (3, "third".to_owned())]);
//! assert!(ids.get(2).is_none());
//! assert_eq!(ids.skipped(), 1);
//! # Ok::<(), popwire_proto::Error>(())
//! ```

mod numbered;

use std::fmt;
use std::ops::Range;

use self::numbered::Numbered;

use crate::error::Oversize;
use crate::reply::lines;
use crate::text::write_escaped;
use crate::{Error, Limits, MessageNumber, Reply, Text, Verb};

/// Longest unique-id that is accepted, in octets: RFC 1939 section 7 says 70, some servers exceed it, and beyond this a
/// line is garbage.
const UNIQUE_ID_MAX: usize = 1000;

/// The answer to STAT (RFC 1939 section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stat {
    /// How many messages the maildrop has, those marked deleted left out.
    pub messages: u64,
    /// Their size in octets; `None` where the server's number is negative, beyond 64 bits, or no number. It is a hint:
    /// many servers count otherwise than the RFC.
    pub octets: Option<u64>,
    /// The reply as it came.
    pub reply: Reply,
}

impl Stat {
    pub(crate) fn decode(reply: Reply, _: &Limits) -> Result<Self, Error> {
        let (count, rest) = field(reply.text());
        let Some(messages) = number(count) else { return Err(malformed(Verb::Stat, &reply)) };
        Ok(Self { messages, octets: number(field(rest).0), reply })
    }
}

/// One line of LIST: a message's number and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scan {
    /// The message's number.
    pub number: MessageNumber,
    /// Its size in octets, as the server counts it; `None` where that is no number. A hint, as in [`Stat::octets`].
    pub octets: Option<u64>,
}

impl Scan {
    /// `rest` is what follows the number in its line.
    fn read(number: MessageNumber, rest: &[u8]) -> Self {
        Self { number, octets: self::number(field(rest).0) }
    }
}

/// The answer to LIST with a number (RFC 1939 section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OneScan {
    /// The message's scan listing.
    pub scan: Scan,
    /// The reply as it came.
    pub reply: Reply,
}

impl OneScan {
    pub(crate) fn decode(reply: Reply, asked: MessageNumber) -> Result<Self, Error> {
        match parse_scan(reply.text()) {
            Some(scan) if scan.number == asked => Ok(Self { scan, reply }),
            _ => Err(malformed(Verb::List, &reply)),
        }
    }
}

/// What the two listings of a maildrop can tell of themselves.
macro_rules! listing_accessors {
    () => {
        /// How many messages are listed.
        #[must_use]
        pub fn len(&self) -> usize {
            self.lines.len()
        }

        /// Whether no message is listed.
        #[must_use]
        pub fn is_empty(&self) -> bool {
            self.len() == 0
        }

        /// How many lines could not be read or repeated a number.
        #[must_use]
        pub fn skipped(&self) -> usize {
            self.lines.skipped()
        }

        /// The status line; its data has gone into the entries.
        #[must_use]
        pub fn reply(&self) -> &Reply {
            &self.reply
        }
    };
}

/// The answer to LIST (RFC 1939 section 5): the scan listing of the maildrop.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScanListing {
    lines: Numbered,
    reply: Reply,
}

impl ScanListing {
    pub(crate) fn decode(mut reply: Reply, limits: &Limits) -> Result<Self, Error> {
        let lines = Numbered::decode(reply.take_data(), limits, |_| true)?;
        Ok(Self { lines, reply })
    }

    /// The messages, in the order of their numbers. Numbers may be missing.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Scan> + '_ {
        self.lines.iter().map(|(number, rest)| Scan::read(number, rest))
    }

    /// The entry of this message.
    #[must_use]
    pub fn get(&self, number: MessageNumber) -> Option<Scan> {
        self.lines.get(number).map(|rest| Scan::read(number, rest))
    }

    listing_accessors!();
}

impl fmt::Debug for ScanListing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A message's unique-id: octets that name it across sessions (RFC 1939 section 7).
///
/// Ids are compared octet by octet. They should have 1 to 70 octets from 0x21 to 0x7E; what servers really send is kept
/// as it is, and [`UniqueId::is_regular`] tells.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UniqueId<'a>(&'a [u8]);

impl<'a> UniqueId<'a> {
    /// The octets.
    #[must_use]
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Whether the id has the form that the RFC demands.
    #[must_use]
    pub fn is_regular(self) -> bool {
        (1..=70).contains(&self.0.len()) && self.0.iter().all(u8::is_ascii_graphic)
    }

    /// Whether the server left the id out: such a message cannot be told from another by it.
    #[must_use]
    pub fn is_blank(self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for UniqueId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(self.0, f)
    }
}

impl fmt::Debug for UniqueId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// The answer to UIDL with a number (RFC 1939 section 7).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OneUniqueId {
    /// The message's number.
    pub number: MessageNumber,
    /// The reply as it came.
    pub reply: Reply,
    uid: Range<usize>,
}

impl OneUniqueId {
    pub(crate) fn decode(reply: Reply, asked: MessageNumber) -> Result<Self, Error> {
        let text = reply.text();
        let (first, rest) = field(text);
        let rest = trim(rest);
        let is_number = number(first) == Some(asked.into());
        // Some servers leave the number out: then the only field is the id. Others leave the id out, and then the number
        // must not become one: in the next session it is another message's.
        let uid = if rest.is_empty() && !is_number { first } else { rest };
        if first.is_empty() || uid.len() > UNIQUE_ID_MAX || !(rest.is_empty() || is_number) {
            return Err(malformed(Verb::Uidl, &reply));
        }
        let uid = range_in(text, uid);
        Ok(Self { number: asked, reply, uid })
    }

    /// The unique-id. It is blank if the server said nothing but the message's number.
    #[must_use]
    pub fn uid(&self) -> UniqueId<'_> {
        UniqueId(self.reply.text().get(self.uid.clone()).unwrap_or_default())
    }
}

/// The answer to UIDL (RFC 1939 section 7): the unique-ids of the maildrop.
///
/// Two messages may have the same id: identical copies have, at servers that compute it from the contents. None is
/// dropped here.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UniqueIds {
    lines: Numbered,
    reply: Reply,
}

impl UniqueIds {
    pub(crate) fn decode(mut reply: Reply, limits: &Limits) -> Result<Self, Error> {
        let lines = Numbered::decode(reply.take_data(), limits, |rest| {
            rest.len() <= UNIQUE_ID_MAX || trim(rest).len() <= UNIQUE_ID_MAX
        })?;
        Ok(Self { lines, reply })
    }

    /// The messages and their ids, in the order of their numbers. Numbers may be missing.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (MessageNumber, UniqueId<'_>)> + '_ {
        self.lines.iter().map(|(number, rest)| (number, UniqueId(trim(rest))))
    }

    /// The id of this message.
    #[must_use]
    pub fn get(&self, number: MessageNumber) -> Option<UniqueId<'_>> {
        self.lines.get(number).map(|rest| UniqueId(trim(rest)))
    }

    listing_accessors!();
}

impl fmt::Debug for UniqueIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// One capability: its tag and its arguments (RFC 2449 section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capability {
    /// The tag, as the server wrote it. Tags are compared without regard to case.
    pub tag: Text,
    /// The arguments, as the server wrote them.
    pub arguments: Vec<Text>,
}

/// The answer to CAPA (RFC 2449 section 5), or nothing at all where a server has no CAPA.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    list: Vec<Capability>,
    reply: Option<Reply>,
}

impl Capabilities {
    pub(crate) fn decode(mut reply: Reply, limits: &Limits) -> Result<Self, Error> {
        let data = reply.take_data();
        let mut list: Vec<Capability> = Vec::new();
        for (count, line) in lines(&data).enumerate() {
            check_length(line, limits)?;
            if count >= limits.capability_lines {
                return Err(Error::TooLarge {
                    what: Oversize::Capabilities,
                    limit: u64::try_from(limits.capability_lines).unwrap_or(u64::MAX),
                });
            }
            let mut words =
                line.split(|octet| matches!(octet, b' ' | b'\t' | b'\r')).filter(|word| !word.is_empty());
            let Some(tag) = words.next() else { continue };
            let arguments = words.map(Text::from);
            // A tag that comes twice means the union of its arguments.
            match list.iter_mut().find(|known| known.tag.as_bytes().eq_ignore_ascii_case(tag)) {
                Some(known) => known.arguments.extend(arguments),
                None => list.push(Capability { tag: tag.into(), arguments: arguments.collect() }),
            }
        }
        Ok(Self { list, reply: Some(reply) })
    }

    /// Whether the server announced this tag.
    #[must_use]
    pub fn has(&self, tag: &str) -> bool {
        self.get(tag).is_some()
    }

    /// The capability with this tag.
    #[must_use]
    pub fn get(&self, tag: &str) -> Option<&Capability> {
        self.list.iter().find(|known| known.tag.as_bytes().eq_ignore_ascii_case(tag.as_bytes()))
    }

    /// All of them, in the server's order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Capability> {
        self.list.iter()
    }

    /// The status line, if the server answered CAPA; `None` if it has no CAPA.
    #[must_use]
    pub fn reply(&self) -> Option<&Reply> {
        self.reply.as_ref()
    }

    /// The SASL mechanisms, in the server's order; empty also where the server has AUTH but no mechanism to offer.
    pub fn sasl_mechanisms(&self) -> impl Iterator<Item = &Text> {
        self.get("SASL").into_iter().flat_map(|capability| &capability.arguments)
    }

    /// LOGIN-DELAY: the least number of seconds between two logins (RFC 2449 section 6.5).
    #[must_use]
    pub fn login_delay(&self) -> Option<u64> {
        number(self.get("LOGIN-DELAY")?.arguments.first()?.as_bytes())
    }

    /// EXPIRE: what becomes of messages that are left on the server (RFC 2449 section 6.7).
    #[must_use]
    pub fn expire(&self) -> Option<Expire> {
        let argument = self.get("EXPIRE")?.arguments.first()?.as_bytes();
        if argument.eq_ignore_ascii_case(b"NEVER") {
            return Some(Expire::Never);
        }
        number(argument).map(Expire::Days)
    }

    /// Whether user names and passwords may be UTF-8: `UTF8 USER` (RFC 6856 section 2.2).
    #[must_use]
    pub fn utf8_user(&self) -> bool {
        self.get("UTF8").is_some_and(|utf8| {
            utf8.arguments.iter().any(|argument| argument.as_bytes().eq_ignore_ascii_case(b"USER"))
        })
    }

    /// Takes capabilities away, as if the server had not announced them.
    pub fn mask<S: AsRef<str>>(&mut self, tags: &[S]) {
        self.list.retain(|known| {
            !tags.iter().any(|tag| known.tag.as_bytes().eq_ignore_ascii_case(tag.as_ref().as_bytes()))
        });
    }
}

/// What EXPIRE says (RFC 2449 section 6.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expire {
    /// Messages stay until they are deleted.
    Never,
    /// Messages stay for so many days; 0 means that a retrieved message may go when the session ends.
    Days(u64),
}

/// The answer to LANG without an argument (RFC 6856 section 3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Languages {
    /// Language tags and the server's words on each.
    pub list: Vec<(Text, Text)>,
    /// The status line.
    pub reply: Reply,
}

impl Languages {
    pub(crate) fn decode(mut reply: Reply, limits: &Limits) -> Result<Self, Error> {
        let data = reply.take_data();
        let mut list = Vec::new();
        for line in lines(&data) {
            check_length(line, limits)?;
            let (tag, rest) = field(line);
            if !tag.is_empty() {
                list.push((tag.into(), trim(rest).into()));
            }
        }
        Ok(Self { list, reply })
    }
}

/// The answer to AUTH without an argument, at servers that have one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mechanisms {
    /// The mechanisms' names.
    pub list: Vec<Text>,
    /// The status line.
    pub reply: Reply,
}

impl Mechanisms {
    pub(crate) fn decode(mut reply: Reply, limits: &Limits) -> Result<Self, Error> {
        let data = reply.take_data();
        let mut list = Vec::new();
        for line in lines(&data) {
            check_length(line, limits)?;
            list.push(trim(line).into());
        }
        Ok(Self { list, reply })
    }
}

/// The answer to LAST (RFC 1225).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastAccessed {
    /// The highest message number accessed; 0 if none was.
    pub number: u64,
    /// The reply as it came.
    pub reply: Reply,
}

impl LastAccessed {
    pub(crate) fn decode(reply: Reply, _: &Limits) -> Result<Self, Error> {
        match number(field(reply.text()).0) {
            Some(number) => Ok(Self { number, reply }),
            None => Err(malformed(Verb::Last, &reply)),
        }
    }
}

fn parse_scan(line: &[u8]) -> Option<Scan> {
    let (first, rest) = field(without_ok(line));
    message_number(first).map(|number| Scan::read(number, rest))
}

/// A server has been seen that writes `+OK` before every line of a listing.
fn without_ok(line: &[u8]) -> &[u8] {
    line.strip_prefix(b"+OK ").unwrap_or(line)
}

/// The first field and what follows it; blanks of any number and kind separate fields.
fn field(line: &[u8]) -> (&[u8], &[u8]) {
    let line = line.trim_ascii_start();
    let end = line.iter().position(|octet| matches!(octet, b' ' | b'\t')).unwrap_or(line.len());
    line.split_at_checked(end).unwrap_or((line, &[]))
}

fn trim(line: &[u8]) -> &[u8] {
    line.trim_ascii()
}

/// A decimal number without sign; `None` also when it is beyond 64 bits.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |sum, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

fn message_number(digits: &[u8]) -> Option<MessageNumber> {
    number(digits).and_then(|number| MessageNumber::try_from(number).ok()).filter(|number| *number > 0)
}

fn check_length(line: &[u8], limits: &Limits) -> Result<(), Error> {
    // The limit counts the line end, which the line has lost.
    if line.len() + 2 > limits.response_line {
        return Err(Error::LineTooLong { limit: limits.response_line });
    }
    Ok(())
}

fn malformed(verb: Verb, reply: &Reply) -> Error {
    Error::Malformed { verb, line: Text::sample(reply.line().as_bytes()) }
}

/// Where a part lies within the whole it was cut from.
fn range_in(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    start..start + part.len()
}
