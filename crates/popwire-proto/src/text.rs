//! Octets that a server wrote for people to read: kept as they came, shown without harm to a terminal.

use std::fmt;

use tinyvec::TinyVec;

/// A server's words: any octets, without the line end.
///
/// POP3 says nothing about the character set of this text, and servers send Latin-1 and GBK as well as UTF-8, so it
/// is octets. `Display` shows UTF-8 as it is and everything that could hurt a terminal or deceive its reader
/// (control characters, escape sequences, direction overrides, octets that are not UTF-8) as `\xNN` escapes, so
/// that nothing is lost and nothing is executed.
///
/// ```
/// let text = popwire_proto::Text::from(&b"caf\xe9 \x1b[2J"[..]);
/// assert_eq!(text.to_string(), r"caf\xe9 \x1b[2J");
/// assert_eq!(text.as_bytes(), b"caf\xe9 \x1b[2J");
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Text(TinyVec<[u8; INLINE]>);

/// What a status line, a unique-id and a capability mostly have at most: they need no allocation.
const INLINE: usize = 40;

impl Text {
    /// The octets as the server sent them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// At most the first `limit` octets of a line: errors show a sample, never a megabyte.
    pub(crate) fn sample(octets: &[u8]) -> Self {
        const LIMIT: usize = 200;
        octets.get(..LIMIT).unwrap_or(octets).into()
    }
}

impl From<&[u8]> for Text {
    fn from(octets: &[u8]) -> Self {
        Self(octets.into())
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(&self.0, f)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Writes octets so that a person can read them and a terminal is safe: the rule of [`Text`]'s `Display`.
pub(crate) fn write_escaped(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for part in octets.utf8_chunks() {
        for c in part.valid().chars() {
            if deceives(c) {
                let mut utf8 = [0; 4];
                write_hex(c.encode_utf8(&mut utf8).as_bytes(), f)?;
            } else {
                fmt::Write::write_char(f, c)?;
            }
        }
        write_hex(part.invalid(), f)?;
    }
    Ok(())
}

fn write_hex(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    octets.iter().try_for_each(|octet| write!(f, "\\x{octet:02x}"))
}

/// Control characters run terminals; direction overrides and line separators make a text read as what it is not.
fn deceives(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}
