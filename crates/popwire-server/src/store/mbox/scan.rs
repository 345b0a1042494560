//! Where the messages of an mbox are.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Range;

use popwire_proto::stuff::{LineEnds, WireSize};
use sha2::{Digest as _, Sha256};

use super::Key;
use super::text::{Lines, Piece, Unquoter};

/// A message in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Its unique-id.
    pub(super) key: Key,
    /// From its `From ` line up to the next message's.
    pub(super) whole: Range<u64>,
    /// The message itself: without the `From ` line, and without the blank line at the end.
    pub(super) content: Range<u64>,
    pub(super) size_crlf: u64,
    pub(super) size_as_stored: u64,
    /// Whether another program has noted that it was read.
    pub(super) seen: bool,
}

/// Finds the messages of a file that has so many octets. One that is no mbox is an error.
pub(super) fn scan(file: &File, size: u64) -> io::Result<Vec<Place>> {
    let mut lines = Lines::new(file, 0..size);
    let (mut found, mut current) = (Found::default(), None::<Message>);
    while let Some(piece) = lines.next()? {
        if piece.is_from() {
            if let Some(message) = current.take() {
                found.add(message.end(piece.offset));
            }
            current = Some(Message::begin(&piece));
            continue;
        }
        match &mut current {
            Some(message) => message.push(&piece),
            None => {
                let what = "it is no mbox: it does not begin with \"From \"";
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
        }
    }
    if let Some(message) = current {
        found.add(message.end(size));
    }
    Ok(found.places)
}

/// Messages found, with keys that no two have.
#[derive(Default)]
struct Found {
    places: Vec<Place>,
    /// How often each hash has been there.
    counts: HashMap<String, u64>,
}

impl Found {
    fn add(&mut self, (hash, mut place): (String, Place)) {
        let count = self.counts.entry(hash.clone()).and_modify(|count| *count += 1).or_insert(1);
        place.key = if *count == 1 { hash.into() } else { format!("{hash}.{count}").into() };
        self.places.push(place);
    }
}

/// A message whose end has not been found.
struct Message {
    start: u64,
    /// `None` within the `From ` line.
    content: Option<u64>,
    /// Where an empty line began that may be the end of the message, and its octets.
    blank: Option<(u64, &'static [u8])>,
    in_header: bool,
    /// Whether the line is one that is not hashed.
    in_status: bool,
    seen: bool,
    hash: Sha256,
    sizes: [WireSize; 2],
    unquoter: Unquoter,
    plain: Vec<u8>,
}

impl Message {
    fn begin(from: &Piece<'_>) -> Self {
        let mut message = Self {
            start: from.offset,
            content: None,
            blank: None,
            in_header: true,
            in_status: false,
            seen: false,
            hash: Sha256::new(),
            sizes: [WireSize::new(LineEnds::Crlf), WireSize::new(LineEnds::AsStored)],
            unquoter: Unquoter::default(),
            plain: Vec::new(),
        };
        message.envelope(from);
        message
    }

    /// Takes a piece of the `From ` line.
    fn envelope(&mut self, piece: &Piece<'_>) {
        self.hash.update(piece.octets);
        if piece.octets.ends_with(b"\n") {
            self.content = Some(piece.offset + piece.octets.len() as u64);
        }
    }

    fn push(&mut self, piece: &Piece<'_>) {
        if self.content.is_none() {
            return self.envelope(piece);
        }
        if let Some((_, blank)) = self.blank.take() {
            self.text(blank);
        }
        if piece.is_blank() {
            // It may be the one that belongs to the next `From ` line.
            self.blank = Some((piece.offset, if piece.octets.len() == 1 { b"\n" } else { b"\r\n" }));
            self.in_header = false;
            self.in_status = false;
            return;
        }
        if piece.begins && self.in_header {
            let status = status(piece.octets);
            self.in_status = status.is_some();
            self.seen |= status.is_some_and(|flags| flags.contains(&b'R'));
        } else if piece.begins {
            self.in_status = false;
        }
        self.text(piece.octets);
    }

    fn text(&mut self, octets: &[u8]) {
        self.plain.clear();
        self.unquoter.push(octets, &mut self.plain);
        self.measure();
    }

    fn measure(&mut self) {
        if !self.in_status {
            self.hash.update(&self.plain);
        }
        self.sizes.iter_mut().for_each(|size| size.push(&self.plain));
    }

    /// The next message begins at `end`, or the file ends there.
    fn end(mut self, end: u64) -> (String, Place) {
        self.plain.clear();
        self.unquoter.finish(&mut self.plain);
        self.measure();
        let content = self.content.unwrap_or(end);
        let content = content..self.blank.map_or(end, |(blank, _)| blank);
        let [size_crlf, size_as_stored] = self.sizes.map(WireSize::finish);
        // Half of the hash is enough to tell messages apart, and leaves room for a count.
        let hash = self.hash.finalize();
        let hash = hash.iter().take(16).map(|octet| format!("{octet:02x}")).collect();
        let (whole, seen) = (self.start..end, self.seen);
        (hash, Place { key: Key::new(), whole, content, size_crlf, size_as_stored, seen })
    }
}

/// The flags of a header line that other programs change.
fn status(line: &[u8]) -> Option<&[u8]> {
    let colon = line.iter().take(16).position(|octet| *octet == b':')?;
    let (name, value) = line.split_at(colon);
    let known = name.eq_ignore_ascii_case(b"Status") || name.eq_ignore_ascii_case(b"X-Status");
    known.then_some(value)
}
