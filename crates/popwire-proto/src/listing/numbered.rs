//! The lines of a listing by message number: what LIST and UIDL have in common.
//!
//! A listing can have a million lines. Of each only its number and its place are kept; what stands behind the number is
//! read when it is asked for.

use memchr::{memchr, memchr_iter};

use super::{field, message_number, without_ok};
use crate::error::Oversize;
use crate::{Error, Limits, MessageNumber};

/// The lines in the order of their numbers, each number once.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Numbered {
    data: Vec<u8>,
    entries: Vec<Entry>,
    skipped: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Entry {
    number: MessageNumber,
    /// Where in the data that begins which follows the number.
    rest: u32,
}

impl Numbered {
    /// Reads the lines. Those without a number, and those whose rest is not accepted, are counted and skipped.
    pub(super) fn decode(
        data: Vec<u8>,
        limits: &Limits,
        accepts: impl Fn(&[u8]) -> bool,
    ) -> Result<Self, Error> {
        if u32::try_from(data.len()).is_err() {
            return Err(too_large(Oversize::Listing, limits.listing_octets));
        }
        let mut entries = Vec::new();
        let (mut begin, mut skipped) = (0, 0);
        let ends = memchr_iter(b'\n', &data).chain((!data.ends_with(b"\n")).then_some(data.len()));
        for end in ends {
            let line = data.get(begin..end).unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            // The limit counts the line end, which the line has lost.
            if line.len() + 2 > limits.response_line {
                return Err(Error::LineTooLong { limit: limits.response_line });
            }
            match split(line).filter(|(_, at)| accepts(line.get(*at..).unwrap_or_default())) {
                Some(_) if entries.len() >= limits.listing_entries => {
                    return Err(too_large(Oversize::Entries, limits.listing_entries));
                }
                Some((number, at)) => {
                    entries.push(Entry { number, rest: u32::try_from(begin + at).unwrap_or(u32::MAX) });
                }
                None if begin < data.len() => skipped += 1,
                None => {}
            }
            begin = end + 1;
        }
        if !entries.is_sorted_by(|one: &Entry, next| one.number < next.number) {
            let before = entries.len();
            entries.sort_by_key(|entry| entry.number);
            entries.dedup_by_key(|entry| entry.number);
            skipped += before - entries.len();
        }
        Ok(Self { data, entries, skipped })
    }

    /// Each number, and what follows it in its line.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (MessageNumber, &[u8])> {
        self.entries.iter().map(|entry| (entry.number, self.rest(*entry)))
    }

    /// What follows this number.
    pub(super) fn get(&self, number: MessageNumber) -> Option<&[u8]> {
        let at = self.entries.binary_search_by_key(&number, |entry| entry.number).ok()?;
        self.entries.get(at).map(|entry| self.rest(*entry))
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many lines could not be read or repeated a number.
    pub(super) fn skipped(&self) -> usize {
        self.skipped
    }

    fn rest(&self, entry: Entry) -> &[u8] {
        let begin = usize::try_from(entry.rest).unwrap_or(usize::MAX);
        let rest = self.data.get(begin..).unwrap_or_default();
        let line = memchr(b'\n', rest).and_then(|end| rest.get(..end)).unwrap_or(rest);
        line.strip_suffix(b"\r").unwrap_or(line)
    }
}

/// The number at the beginning of a line, and where it ends.
fn split(line: &[u8]) -> Option<(MessageNumber, usize)> {
    // Nearly all lines of nearly all servers: a blank after at most nine digits. These cannot overflow;
    // what a tenth makes of them is not used.
    let mut number: MessageNumber = 0;
    for (at, octet) in line.iter().enumerate().take(10) {
        let digit = octet.wrapping_sub(b'0');
        if digit > 9 {
            if *octet == b' ' && number > 0 {
                return Some((number, at));
            }
            break;
        }
        number = number.wrapping_mul(10).wrapping_add(digit.into());
    }
    let (first, rest) = field(without_ok(line));
    message_number(first).map(|number| (number, line.len() - rest.len()))
}

fn too_large(what: Oversize, limit: usize) -> Error {
    Error::TooLarge { what, limit: u64::try_from(limit).unwrap_or(u64::MAX) }
}
