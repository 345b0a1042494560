//! The writers of answers: one status line, or a status line, lines, and the terminator.
//!
//! Whatever text they are given, a line that they write has no line end inside and is at most [`LINE`] octets long.

use crate::ResponseCode;

/// Longest line of an answer, in octets with its CRLF (RFC 1939 section 3, RFC 2449 section 4). Lines of a message are
/// not bound by it.
pub const LINE: usize = 512;

/// Appends `+OK text`.
///
/// A text that begins with `[` would read as a response code (RFC 2449 section 8): its brackets are dropped. What is
/// longer than [`LINE`] is cut.
pub fn ok(out: &mut Vec<u8>, text: impl AsRef<[u8]>) {
    status(out, b"+OK", None, text.as_ref());
}

/// Appends `-ERR [code] text`; the rules of [`ok`] hold. A code may be written only if the server announces RESP-CODES.
pub fn err(out: &mut Vec<u8>, code: Option<&ResponseCode>, text: impl AsRef<[u8]>) {
    status(out, b"-ERR", code, text.as_ref());
}

/// Appends one line of a multi-line answer, dot-stuffed (RFC 1939 section 3).
pub fn line(out: &mut Vec<u8>, content: &[u8]) {
    let start = out.len();
    if content.first() == Some(&b'.') {
        out.push(b'.');
    }
    append_bounded(out, start, content);
}

/// Appends `number value`, a line of LIST.
pub fn numbers(out: &mut Vec<u8>, number: u64, value: u64) {
    line(out, format!("{number} {value}").as_bytes());
}

/// Appends `number unique-id`, a line of UIDL.
pub fn unique_id(out: &mut Vec<u8>, number: u64, unique_id: &[u8]) {
    let mut content = format!("{number} ").into_bytes();
    content.extend_from_slice(unique_id);
    line(out, &content);
}

/// Ends a multi-line answer: the line `.`.
pub fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b".\r\n");
}

fn status(out: &mut Vec<u8>, indicator: &[u8], code: Option<&ResponseCode>, text: &[u8]) {
    let start = out.len();
    out.extend_from_slice(indicator);
    let mut content = Vec::with_capacity(text.len() + 16);
    if let Some(code) = code {
        content.extend_from_slice(b" [");
        content.extend_from_slice(name(code));
        content.push(b']');
    }
    let text = match code {
        Some(_) => text,
        None => {
            let harmless = text.iter().position(|octet| !b" [".contains(octet));
            text.get(harmless.unwrap_or(text.len())..).unwrap_or_default()
        }
    };
    if !text.is_empty() {
        content.push(b' ');
        content.extend_from_slice(text);
    }
    append_bounded(out, start, &content);
}

fn name(code: &ResponseCode) -> &[u8] {
    match code {
        ResponseCode::InUse => b"IN-USE",
        ResponseCode::LoginDelay => b"LOGIN-DELAY",
        ResponseCode::SysTemp => b"SYS/TEMP",
        ResponseCode::SysPerm => b"SYS/PERM",
        ResponseCode::Auth => b"AUTH",
        ResponseCode::Utf8 => b"UTF8",
        ResponseCode::Other(text) => text.as_bytes(),
    }
}

/// Appends `content` and CRLF to the line that began at `start`. CR, LF and NUL become `?`: nothing that a server
/// quotes, be it a client's argument or a file name, may end a line early.
fn append_bounded(out: &mut Vec<u8>, start: usize, content: &[u8]) {
    let room = (LINE - 2).saturating_sub(out.len() - start);
    let content = content.get(..room).unwrap_or(content);
    out.extend(content.iter().map(|octet| if matches!(octet, b'\r' | b'\n' | 0) { b'?' } else { *octet }));
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    #[test]
    fn p_010_indicators_and_codes() {
        assert_eq!(written(|out| ok(out, "")), b"+OK\r\n");
        assert_eq!(written(|out| ok(out, "2 320")), b"+OK 2 320\r\n");
        assert_eq!(written(|out| err(out, Some(&ResponseCode::InUse), "busy")), b"-ERR [IN-USE] busy\r\n");
    }

    #[test]
    fn p_008_lines_are_bounded() {
        assert_eq!(written(|out| ok(out, [b'x'; 2000])).len(), LINE);
        assert_eq!(written(|out| line(out, &[b'.'; 2000])).len(), LINE);
    }

    #[test]
    fn no_text_ends_a_line_early() {
        assert_eq!(written(|out| err(out, None, "a\r\n+OK b")), b"-ERR a??+OK b\r\n");
    }

    #[test]
    fn p_083_no_text_looks_like_a_code() {
        assert_eq!(written(|out| err(out, None, "[AUTH] x")), b"-ERR AUTH] x\r\n");
        assert_eq!(written(|out| ok(out, " [[x]")), b"+OK x]\r\n");
    }

    #[test]
    fn p_016_lines_of_listings_are_stuffed() {
        assert_eq!(written(|out| line(out, b".x")), b"..x\r\n");
        assert_eq!(written(|out| unique_id(out, 3, b"uid")), b"3 uid\r\n");
    }
}
