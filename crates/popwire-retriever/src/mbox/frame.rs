//! How a message stands in the file: its From_ line, its quoting, and what tells whether it is whole.

use std::io::{self, Write};

use jiff::Timestamp;
use memchr::memchr;
use sha2::{Digest as _, Sha256};

use crate::destination::Parcel;
use crate::identity::Mark;

/// How our From_ lines begin.
pub(super) const BEGINNING: &[u8] = b"From popwire.";

/// More than the octets of a From_ line of ours.
pub(super) const LONGEST_LINE: usize = 256;

const HOST: &str = "@localhost";
const UNENDED: &str = "unended";

/// What our From_ line says of the octets behind it, which are the quoted message and the empty line at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) mark: Mark,
    /// How many they are.
    pub(super) octets: u64,
    /// As [`Check`] has it.
    pub(super) check: u64,
    /// Whether the message did not end in a line feed, and got one.
    pub(super) unended: bool,
}

impl Frame {
    /// Frames a message without writing it.
    pub(super) fn measure(parcel: &Parcel) -> io::Result<Self> {
        Self::write(parcel, io::sink())
    }

    /// Writes a message without its From_ line, and gives its frame.
    pub(super) fn write(parcel: &Parcel, into: impl Write) -> io::Result<Self> {
        let mut quoter = Quoter::new(Tally { into, check: Check::default(), octets: 0 });
        parcel.copy_to(&mut quoter)?;
        let (tally, unended) = quoter.finish()?;
        Ok(Self { mark: parcel.mark, octets: tally.octets, check: tally.check.finish(), unended })
    }

    /// The From_ line for a delivery at this time.
    pub(super) fn line(&self, now: Timestamp) -> String {
        let Self { mark, octets, check, unended } = self;
        let unended = if *unended { format!(".{UNENDED}") } else { String::new() };
        // As asctime does it, in UTC.
        let now = now.strftime("%a %b %e %H:%M:%S %Y");
        format!("From popwire.{mark}.{octets}.{check:016x}{unended}{HOST} {now}\n")
    }

    /// Reads a From_ line; `None` if it is not one of ours.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let address = line.strip_prefix(BEGINNING)?.split(|&octet| octet == b' ').next()?;
        let mut parts = std::str::from_utf8(address).ok()?.strip_suffix(HOST)?.split('.');
        let mark = Mark::parse(parts.next()?)?;
        let octets = parts.next().filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))?;
        let check = parts.next().filter(|digits| digits.len() == 16)?;
        let unended = match parts.next() {
            None => false,
            Some(UNENDED) => true,
            Some(_) => return None,
        };
        if parts.next().is_some() {
            return None;
        }
        Some(Self {
            mark,
            octets: octets.parse().ok()?,
            check: u64::from_str_radix(check, 16).ok()?,
            unended,
        })
    }
}

/// What tells octets that were written from those that a crash left in their place.
#[derive(Default)]
pub(super) struct Check {
    all: Sha256,
    header: Sha256,
    header_ended: bool,
    /// Whether there is text in the line at hand.
    in_text: bool,
}

impl Check {
    pub(super) fn update(&mut self, octets: &[u8]) {
        self.all.update(octets);
        let mut rest = octets;
        while !self.header_ended && !rest.is_empty() {
            let line = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            let (line, behind) = rest.split_at(line);
            rest = behind;
            self.header.update(line);
            self.in_text |= line.iter().any(|octet| !b"\r\n".contains(octet));
            if line.ends_with(b"\n") {
                self.header_ended = !self.in_text;
                self.in_text = false;
            }
        }
    }

    /// In the upper half the beginning of the hash of the header, up to and with its empty line; in the lower half that of
    /// all octets.
    pub(super) fn finish(self) -> u64 {
        [self.header, self.all].into_iter().fold(0, |check, hash| {
            hash.finalize().iter().take(4).fold(check, |check, octet| check << 8 | u64::from(*octet))
        })
    }
}

/// Hands on what it gets, and takes count of it.
struct Tally<W> {
    into: W,
    check: Check,
    octets: u64,
}

impl<W: Write> Write for Tally<W> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let written = self.into.write(octets)?;
        self.check.update(octets.get(..written).unwrap_or_default());
        self.octets = self.octets.saturating_add(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }
}

/// Quotes as mboxrd does: each line that is `From ` behind any number of `>` gets one `>` more.
struct Quoter<W> {
    into: W,
    place: Place,
    /// The message's last octet so far.
    last: Option<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the beginning of a line, or behind the `>` there, with so many octets of [`FROM`] held back.
    Start(usize),
    Within,
}

const FROM: &[u8] = b"From ";

impl<W: Write> Quoter<W> {
    fn new(into: W) -> Self {
        Self { into, place: Place::Start(0), last: None }
    }

    /// Ends the message with an empty line. Whether its last line had to be ended before.
    fn finish(mut self) -> io::Result<(W, bool)> {
        self.release()?;
        let unended = self.last != Some(b'\n');
        self.into.write_all(if unended { b"\n\n" } else { b"\n" })?;
        Ok((self.into, unended))
    }

    /// Lets go of what was held back: the line does not begin as a From_ line does.
    fn release(&mut self) -> io::Result<()> {
        if let Place::Start(held) = self.place {
            self.into.write_all(FROM.get(..held).unwrap_or_default())?;
        }
        self.place = Place::Within;
        Ok(())
    }
}

impl<W: Write> Write for Quoter<W> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let mut rest = octets;
        while let Some((&first, behind)) = rest.split_first() {
            match self.place {
                Place::Start(held) if FROM.get(held) == Some(&first) => {
                    rest = behind;
                    self.place = Place::Start(held + 1);
                    if held + 1 == FROM.len() {
                        self.into.write_all(b">")?;
                        self.release()?;
                    }
                }
                Place::Start(0) if first == b'>' => {
                    rest = behind;
                    self.into.write_all(b">")?;
                }
                Place::Start(_) => self.release()?,
                Place::Within => {
                    let line = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
                    let (line, behind) = rest.split_at(line);
                    rest = behind;
                    self.into.write_all(line)?;
                    if line.ends_with(b"\n") {
                        self.place = Place::Start(0);
                    }
                }
            }
        }
        self.last = octets.last().copied().or(self.last);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(pieces: &[&[u8]]) -> (Vec<u8>, bool) {
        let mut quoter = Quoter::new(Vec::new());
        pieces.iter().for_each(|piece| quoter.write_all(piece).unwrap());
        quoter.finish().unwrap()
    }

    #[test]
    fn from_lines_are_quoted_wherever_the_octets_are_cut() {
        let mail = b"From a\r\nFrom: b\n>From c\n>>>From d\nFrom\n From e\nFro\n>\nFrom \nx From f\n>Fro";
        let expected =
            b">From a\r\nFrom: b\n>>From c\n>>>>From d\nFrom\n From e\nFro\n>\n>From \nx From f\n>Fro\n\n";
        for at in 0..=mail.len() {
            let (head, tail) = mail.split_at(at);
            assert_eq!(quoted(&[head, tail]), (expected.to_vec(), true), "{at}");
        }
        assert_eq!(quoted(&mail.chunks(1).collect::<Vec<_>>()).0, expected);
    }

    #[test]
    fn a_message_ends_in_an_empty_line() {
        assert_eq!(quoted(&[]), (b"\n\n".to_vec(), true));
        assert_eq!(quoted(&[b"a"]), (b"a\n\n".to_vec(), true));
        assert_eq!(quoted(&[b"a\n"]), (b"a\n\n".to_vec(), false));
        assert_eq!(quoted(&[b"a\n\n"]), (b"a\n\n\n".to_vec(), false));
        assert_eq!(quoted(&[b"a\r"]), (b"a\r\n\n".to_vec(), true));
    }

    #[test]
    fn a_from_line_is_read_as_it_was_written() {
        let now = "2026-11-03T12:51:07Z".parse().unwrap();
        let mark = Mark::parse("00112233445566778899aabbccddeeff").unwrap();
        for unended in [false, true] {
            let frame = Frame { mark, octets: u64::MAX, check: 0xabc, unended };
            let line = frame.line(now);
            assert!(
                line.len() < LONGEST_LINE && line.ends_with("@localhost Tue Nov  3 12:51:07 2026\n"),
                "{line}"
            );
            assert_eq!(Frame::parse(line.as_bytes()), Some(frame));
        }
        for wrong in [
            "From alice@localhost Tue Nov  3 12:51:07 2026",
            "From popwire.00112233445566778899aabbccddeeff@localhost x",
            "From popwire.00112233445566778899aabbccddeeff.1@localhost x",
            "From popwire.00112233445566778899aabbccddeeff.+1.0000000000000abc@localhost x",
            "From popwire.00112233445566778899aabbccddeeff.1.0000000000000abc.more@localhost x",
            "From popwire.00112233445566778899aabbccddeeff.1.0000000000000abc.unended.more@localhost x",
            "From popwire.00112233445566778899aabbccddeeff.18446744073709551616.0000000000000abc@localhost x",
            "From popwire.00112233445566778899aabbccddeeff.1.0000000000000abc@example x",
        ] {
            assert_eq!(Frame::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
