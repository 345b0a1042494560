//! The demo's mail: the awkward messages of `testdata/messages`, whose README says what each is for.

/// A message's name and octets, built into the program.
macro_rules! message {
    ($name:literal) => {
        ($name, include_bytes!(concat!("../../../../../testdata/messages/", $name, ".eml")))
    };
}

/// All of them, in the order of the mailbox.
pub(super) const MESSAGES: &[(&str, &[u8])] = &[
    message!("01-plain"),
    message!("02-plain-lf"),
    message!("03-dots"),
    message!("04-dots-lf"),
    message!("05-forged-reply"),
    message!("06-bare-lf"),
    message!("07-lone-cr"),
    message!("08-cr-cr-lf"),
    message!("09-nul"),
    message!("10-all-bytes"),
    message!("11-latin1"),
    message!("12-utf8-headers"),
    message!("13-rfc2047"),
    message!("14-protocol-words"),
    message!("15-no-final-newline"),
    message!("16-final-dot"),
    message!("17-empty-body"),
    message!("18-headers-only"),
    message!("19-no-headers"),
    message!("20-trailing-blank-lines"),
    message!("21-long-line"),
    message!("22-mbox-from"),
    message!("23-nested"),
    message!("24-buffer-edges"),
    message!("25-folded-header"),
    message!("26-empty"),
];

/// What is worth a line of the report.
pub(super) const HIGHLIGHTS: &str = "  - lines that are a lone dot, where careless programs stop reading
  - a mail that forges the server's next answer behind a bare line feed
  - NUL, each of the 256 octets there are, ISO 8859-1 without a word about it
  - CR and LF alone, doubled and mixed; a line of 5,000 characters
  - a mail without a header, one without a body, one without an octet";

/// A message as the demo's server stores it: CRLF where a Unix file has LF, and otherwise as it is. Only lines that end
/// in CRLF from the first one on can be told from the terminator of POP3, so such a message is stored as it is.
pub(super) fn as_stored(octets: &[u8]) -> Vec<u8> {
    let first = octets.iter().position(|octet| *octet == b'\n');
    let crlf = first.is_some_and(|lf| octets.get(..=lf).is_some_and(|line| line.ends_with(b"\r\n")));
    if crlf {
        return octets.to_vec();
    }
    let mut stored = Vec::with_capacity(octets.len() + octets.len() / 16);
    for octet in octets {
        if *octet == b'\n' && stored.last() != Some(&b'\r') {
            stored.push(b'\r');
        }
        stored.push(*octet);
    }
    stored
}

/// A stored message as POP3 sends it: with a line end at its end (RFC 1939 section 3). Written once more here, in the
/// plainest way, and not taken from the server that is to be checked.
pub(super) fn as_sent(stored: &[u8]) -> Vec<u8> {
    let mut sent = stored.to_vec();
    if !sent.is_empty() && !sent.ends_with(b"\r\n") {
        sent.extend_from_slice(b"\r\n");
    }
    sent
}

#[cfg(test)]
mod tests {
    use std::fs;

    #[test]
    fn no_message_of_the_folder_is_missing() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/messages");
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "eml"))
            .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        names.sort();
        let built_in: Vec<_> = super::MESSAGES.iter().map(|(name, _)| *name).collect();
        assert_eq!(built_in, names);
    }
}
