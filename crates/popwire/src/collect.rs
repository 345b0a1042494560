//! Collecting the chunks of a message, whole or by lines, for readers that want them in memory.

use popwire_proto::{Error as ProtoError, Oversize};

use crate::Result;

/// Adds a chunk to what was collected before it; returns how many octets that were.
pub(crate) fn append(chunk: &[u8], collected: &mut Vec<u8>, limit: usize) -> Result<usize> {
    if collected.len() + chunk.len() > limit {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        return Err(ProtoError::TooLarge { what: Oversize::Message, limit }.into());
    }
    collected.extend_from_slice(chunk);
    Ok(chunk.len())
}

/// Moves octets of a chunk to the end of `line`, up to and with its first LF; returns how many it took, and whether the
/// line is complete. A complete line has lost its line end.
pub(crate) fn take(chunk: &[u8], line: &mut Vec<u8>, limit: usize) -> Result<(usize, bool)> {
    let end = memchr::memchr(b'\n', chunk);
    let part = end.and_then(|lf| chunk.get(..=lf)).unwrap_or(chunk);
    let octets = append(part, line, limit)?;
    if end.is_some() {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    }
    Ok((octets, end.is_some()))
}
