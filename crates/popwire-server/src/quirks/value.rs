//! What stands behind the equals sign of a quirk.

use std::time::Duration;

/// The value of a setting. Each method returns `None` if the value is not of its kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'a> {
    text: &'a str,
}

impl<'a> Value<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text }
    }

    /// The word as it stands.
    pub(super) fn word(&self) -> &'a str {
        self.text
    }

    /// `1` or `0`: whether.
    pub(super) fn flag(&self) -> Option<bool> {
        match self.text {
            "1" => Some(true),
            "0" => Some(false),
            _ => None,
        }
    }

    /// A number.
    pub(super) fn number(&self) -> Option<u64> {
        self.text.parse().ok()
    }

    /// Numbers with commas between them: `2,5`.
    pub(super) fn numbers(&self) -> Option<Vec<u64>> {
        self.text.split(',').map(|number| number.trim().parse().ok()).collect()
    }

    /// Words with commas between them, each of which has to be as it should.
    pub(super) fn words(&self, is_right: impl Fn(&str) -> bool) -> Option<Vec<String>> {
        self.text.split(',').map(|word| is_right(word.trim()).then(|| word.trim().to_owned())).collect()
    }

    /// `60` and `60s` are seconds, `150ms` are milliseconds. A year at most, so that no clock overflows.
    pub(super) fn time(&self) -> Option<Duration> {
        time(self.text)
    }

    /// Octets between quotation marks, in which `\r`, `\n`, `\t`, `\0`, `\\`, `\"` and `\xHH` mean what they mean in
    /// Rust.
    pub(super) fn octets(&self) -> Option<Vec<u8>> {
        let quoted = self.text.strip_prefix('"')?.strip_suffix('"')?;
        unescape(quoted)
    }
}

/// A time as [`Value::time`] reads it.
pub(crate) fn time(text: &str) -> Option<Duration> {
    let time = match text.strip_suffix("ms") {
        Some(milliseconds) => Duration::from_millis(milliseconds.parse().ok()?),
        None => Duration::from_secs(text.strip_suffix('s').unwrap_or(text).parse().ok()?),
    };
    (time <= Duration::from_secs(366 * 86_400)).then_some(time)
}

/// Resolves escapes; `None` if one is unknown or cut off.
pub(crate) fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        if octet != b'\\' {
            octets.push(octet);
            continue;
        }
        octets.push(match rest.next()? {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b'0' => 0,
            b'\\' => b'\\',
            b'"' => b'"',
            b'x' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            _ => return None,
        });
    }
    Some(octets)
}
