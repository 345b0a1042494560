//! Cutting the chunks of a message into lines, for readers that want them.

use popwire_proto::{Error as ProtoError, Oversize};

use crate::Result;

/// Moves octets of a chunk to the end of `line`, up to and with its first LF; returns how many it took, and whether the
/// line is complete.
pub(crate) fn take(chunk: &[u8], line: &mut Vec<u8>, limit: usize) -> Result<(usize, bool)> {
    let (octets, complete) = match chunk.iter().position(|octet| *octet == b'\n') {
        Some(lf) => (lf + 1, true),
        None => (chunk.len(), false),
    };
    if line.len() + octets > limit {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        return Err(ProtoError::TooLarge { what: Oversize::Message, limit }.into());
    }
    line.extend_from_slice(chunk.get(..octets).unwrap_or(chunk));
    if complete {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    }
    Ok((octets, complete))
}
