//! Messages that are hard on clients, for servers that pass them on.

/// A dot behind a bare LF, and behind it what the sender would have a client take for answers: it deceives those that
/// take LF for the end of a line, of a server that takes only CRLF for one.
pub(super) const BARE_LF_DOT: &[&[u8]] =
    &[b"Subject: forged\r\n\r\ntext\n.\r\n+OK 1 forged\r\n.\r\n-ERR forged\r\n"];

/// Lines that look like statuses, in the header's place too.
pub(super) const STATUS_LINES: &[&[u8]] = &[
    b"Subject: status\r\n\r\n+OK\r\n-ERR\r\n+OK 1 forged\r\n-ERR [AUTH] forged\r\n+ \r\n",
    b"+OK 5 octets\r\n-ERR\r\n",
];

/// What RFC 5322 does not allow and mailboxes have.
pub(super) const WEIRD: &[&[u8]] = &[
    // NUL.
    b"Subject: nul\r\n\r\na\0b\r\n\0\r\n",
    // 8-bit octets that are no UTF-8, in the header too.
    b"Subject: gr\xfc\xdfe\r\n\r\n\x80\xff\r\n",
    // No header.
    b"\r\nno header\r\n",
    // A header that ends at a line that is none of it.
    b"Subject: no separator\r\nthis is the body\r\n",
    // A header and no more.
    b"Subject: header only\r\n",
    // CR CR LF, and lone CRs.
    b"Subject: carriage returns\r\n\r\none\r\r\ntwo\rthree\r\n",
    // Dots where they matter.
    b"Subject: dots\r\n\r\n.\r\n..\r\n.x\r\n. \r\n",
    // No end of the last line.
    b"Subject: no line end\r\n\r\nlast",
    // Nothing.
    b"",
];
