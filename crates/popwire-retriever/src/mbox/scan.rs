//! Which of our messages an mbox holds whole, and what a crash left at its end. The file is read in pieces.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use memchr::{memchr, memmem, memrchr};

use super::frame::{BEGINNING, Check, Frame, LONGEST_LINE};
use crate::identity::Mark;

/// Octets that are read at once.
const PIECE: u64 = 1 << 20;

const SEPARATOR: &[u8] = b"\nFrom ";

/// The marks of our messages that are here whole, or that a mail program has changed since.
pub(super) fn marks(file: &File) -> io::Result<HashSet<Mark>> {
    let length = file.metadata()?.len();
    let mut marks = HashSet::new();
    let mut open: Option<Entry> = None;
    each_from(file, length, |at| {
        let ended = std::mem::replace(&mut open, Entry::at(file, at)?);
        if let Some(entry) = ended
            && entry.condition(file, at)?.is_there()
        {
            marks.insert(entry.frame.mark);
        }
        Ok(())
    })?;
    if let Some(entry) = open
        && entry.condition(file, length)?.is_there()
    {
        marks.insert(entry.frame.mark);
    }
    Ok(marks)
}

/// Cuts off what a crash left of a message at the end of the file; the length of the rest.
pub(super) fn repair(file: &File) -> io::Result<u64> {
    let mut length = file.metadata()?.len();
    let before = length;
    // In front of a message in parts there may be another one of the same batch.
    while let Some(sound) = sound_length(file, length)? {
        length = sound;
    }
    if length < before {
        file.set_len(length)?;
        file.sync_data()?;
    }
    Ok(length)
}

/// Whether a message that is appended here needs no empty line before it.
pub(super) fn ends_in_empty_line(file: &File, to: u64) -> io::Result<bool> {
    let tail = read(file, to.saturating_sub(3), to)?;
    Ok(tail.is_empty() || tail == b"\n" || tail.ends_with(b"\n\n") || tail.ends_with(b"\n\r\n"))
}

/// Whether the octets before this place end a line.
pub(super) fn ends_in_line_feed(file: &File, to: u64) -> io::Result<bool> {
    Ok(read(file, to.saturating_sub(1), to)?.ends_with(b"\n"))
}

/// Where a message of ours begins, and what its From_ line says.
struct Entry {
    start: u64,
    body: u64,
    frame: Frame,
}

/// What became of a message of ours.
#[derive(Debug, PartialEq, Eq)]
enum Condition {
    /// Its octets are those that were written.
    Whole,
    /// It ends as messages end, and has become longer: mail programs add lines such as `Status: RO` to the header.
    Grown,
    /// It is shorter than it was to become, and is the beginning of that or does not end as messages end.
    Broken,
    /// None of these. A mail program may have removed something from it, or loss of power have damaged it.
    Unclear,
}

impl Condition {
    /// In doubt a message is not there: a second copy is better than none.
    fn is_there(&self) -> bool {
        matches!(self, Self::Whole | Self::Grown)
    }
}

impl Entry {
    /// Reads the From_ line there; `None` if it is not one of ours, or not complete.
    fn at(file: &File, start: u64) -> io::Result<Option<Self>> {
        let line = read(file, start, start.saturating_add(LONGEST_LINE as u64))?;
        let end = memchr(b'\n', &line).map(|end| end + 1);
        let Some(line) = end.and_then(|end| line.get(..end)) else { return Ok(None) };
        let body = start + line.len() as u64;
        Ok(Frame::parse(line).map(|frame| Self { start, body, frame }))
    }

    /// What lies between this From_ line and `end`, where the next one is, or the end of the file.
    fn condition(&self, file: &File, end: u64) -> io::Result<Condition> {
        let room = end.saturating_sub(self.body);
        let octets = self.frame.octets;
        let behind = self.body.saturating_add(octets.min(room));
        let mut check = Check::default();
        each_piece(file, self.body, behind, |piece| {
            check.update(piece);
            true
        })?;
        let check = check.finish();
        if room >= octets && check == self.frame.check {
            return Ok(Condition::Whole);
        }
        let same_header = check >> 32 == self.frame.check >> 32;
        let tail = read(file, end.saturating_sub(3).max(self.body), end)?;
        let ended = tail.ends_with(b"\n\n") || tail.ends_with(b"\n\r\n");
        Ok(match room.cmp(&octets) {
            Ordering::Less if same_header || !ended => Condition::Broken,
            Ordering::Equal if !ended => Condition::Broken,
            // Octets that were never written are NUL after loss of power.
            Ordering::Greater
                if ended && each_piece(file, self.body, end, |piece| memchr(0, piece).is_none())? =>
            {
                Condition::Grown
            }
            _ => Condition::Unclear,
        })
    }
}

/// The length of the file without what a crash left at its end, if it left anything.
fn sound_length(file: &File, length: u64) -> io::Result<Option<u64>> {
    // A file may have grown for more than was written, and have NUL there.
    let end = text_end(file, length)?;
    if let Some(start) = unended_from_line(file, end)?.filter(|start| *start < length) {
        return Ok(Some(start));
    }
    let Some(at) = last_from(file, end)? else { return Ok(None) };
    let Some(entry) = Entry::at(file, at)? else { return Ok(None) };
    let broken = entry.condition(file, end)? == Condition::Broken;
    Ok(broken.then_some(entry.start))
}

/// Where the last line begins, if it is behind an empty line, and is nothing or the beginning of a From_ line of ours.
fn unended_from_line(file: &File, end: u64) -> io::Result<Option<u64>> {
    let from = end.saturating_sub(LONGEST_LINE as u64);
    let tail = read(file, from, end)?;
    let start = memrchr(b'\n', &tail).map_or(0, |at| at + 1);
    let line = tail.get(start..).unwrap_or_default();
    let start = from + start as u64;
    let begun = line.starts_with(BEGINNING) || BEGINNING.starts_with(line);
    Ok((begun && ends_in_empty_line(file, start)?).then_some(start))
}

/// Where the file ends but for NULs.
fn text_end(file: &File, length: u64) -> io::Result<u64> {
    let mut end = length;
    while end > 0 {
        let from = end.saturating_sub(PIECE);
        if let Some(at) = read(file, from, end)?.iter().rposition(|&octet| octet != 0) {
            return Ok(from + at as u64 + 1);
        }
        end = from;
    }
    Ok(0)
}

/// Where each line begins that begins as From_ lines do.
fn each_from(file: &File, length: u64, mut found: impl FnMut(u64) -> io::Result<()>) -> io::Result<()> {
    if begins_with_from(file, length)? {
        found(0)?;
    }
    let separator = memmem::Finder::new(SEPARATOR);
    let mut at = 0;
    while at < length {
        let piece = read(file, at, length.min(at + PIECE))?;
        for one in separator.find_iter(&piece) {
            found(at + one as u64 + 1)?;
        }
        if (piece.len() as u64) < PIECE {
            break;
        }
        // One that begins in this piece and ends in the next.
        at += PIECE - (SEPARATOR.len() as u64 - 1);
    }
    Ok(())
}

/// Where the last line begins that begins as From_ lines do.
fn last_from(file: &File, length: u64) -> io::Result<Option<u64>> {
    let mut end = length;
    while end > 0 {
        let from = end.saturating_sub(PIECE);
        let piece = read(file, from, length.min(end + SEPARATOR.len() as u64 - 1))?;
        if let Some(at) = memmem::rfind(&piece, SEPARATOR) {
            return Ok(Some(from + at as u64 + 1));
        }
        end = from;
    }
    Ok(begins_with_from(file, length)?.then_some(0))
}

fn begins_with_from(file: &File, length: u64) -> io::Result<bool> {
    let separator = SEPARATOR.get(1..).unwrap_or_default();
    Ok(read(file, 0, length.min(separator.len() as u64))? == separator)
}

/// Shows the octets between two places, until one piece is not as it should be. Whether all were.
fn each_piece(file: &File, from: u64, to: u64, mut is_good: impl FnMut(&[u8]) -> bool) -> io::Result<bool> {
    let mut at = from;
    while at < to {
        let piece = read(file, at, to.min(at + PIECE))?;
        if piece.is_empty() || !is_good(&piece) {
            return Ok(false);
        }
        at += piece.len() as u64;
    }
    Ok(true)
}

/// The octets between two places, which are less than two pieces apart; fewer at the end of the file.
fn read(file: &File, from: u64, to: u64) -> io::Result<Vec<u8>> {
    let mut octets = vec![0; usize::try_from(to.saturating_sub(from)).unwrap_or_default()];
    let mut filled = 0;
    while let Some(rest) = octets.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, from + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(reason) if reason.kind() == io::ErrorKind::Interrupted => {}
            Err(reason) => return Err(reason),
        }
    }
    octets.truncate(filled);
    Ok(octets)
}
