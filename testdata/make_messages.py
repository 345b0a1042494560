#!/usr/bin/env python3
"""Write the awkward messages of testdata/messages, or check that the committed ones are what this script writes.

    make_messages.py           write messages/*.eml beside this script
    make_messages.py --check   change nothing; exit 1 and name the file where one differs, lacks or is too many
    make_messages.py DIR       write into DIR

Every message is here for one reason, given in its comment and in README.md. The octets never depend on the
time, the machine or the version of Python. Standard library only.
"""
import hashlib
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
CRLF, LF = b"\r\n", b"\n"


def head(sender, subject, date, *extra, eol=CRLF):
    """The header of a message, without the blank line. Strings are written as UTF-8, octets as they are."""
    n = subject if isinstance(subject, bytes) else subject.encode()
    slug = hashlib.sha256(n + date.encode()).hexdigest()[:16]
    lines = [b"From: " + raw(sender), b"To: Alice Martin <alice@example.net>", b"Subject: " + n, b"Date: " + date.encode(),
             b"Message-ID: <" + slug.encode() + b"@example.org>", *map(raw, extra)]
    return eol.join(lines) + eol


def raw(text):
    return text if isinstance(text, bytes) else text.encode()


def text(*lines, eol=CRLF):
    return b"".join(raw(line) + eol for line in lines)


def mail(header, *lines, eol=CRLF):
    return header + eol + text(*lines, eol=eol)


def pad_to(data, size, eol=CRLF):
    """Lines of filling, so that the next line begins exactly at `size`."""
    out, line = data, b"The quick brown fox jumps over the lazy dog and says nothing of it."
    while size - len(out) > 2 * (len(line) + len(eol)):
        out += line + eol
    rest = size - len(out)
    first = rest // 2
    return out + b"x" * (first - len(eol)) + eol + b"y" * (rest - first - len(eol)) + eol


def plain():
    # The yardstick: nothing awkward at all.
    return mail(head("Bob Harris <bob@example.org>", "Minutes of Monday's meeting", "Mon, 02 Feb 2026 09:14:07 +0100",
                     "MIME-Version: 1.0", "Content-Type: text/plain; charset=us-ascii"),
                "Hello Alice,", "", "we agreed on three things: the budget stays, the release moves to Friday,",
                "and somebody buys biscuits.", "", "Bob")


def plain_lf():
    # The same kind of mail as a Unix store holds it: LF only. A server sends CRLF.
    return mail(head("Carol Jensen <carol@example.org>", "Draft of the quarterly report", "Tue, 03 Feb 2026 16:40:00 +0000", eol=LF),
                "Alice,", "", "the draft is on the share. Chapter 4 still needs your numbers.", "", "-- ", "Carol", eol=LF)


def dots():
    # Lines of dots and lines that begin with dots: the whole of dot-stuffing.
    return mail(head("Dot Matthews <dot@example.org>", "Everything about dots", "Wed, 04 Feb 2026 08:00:59 -0500"),
                ".", "..", "...", "....", ".leading dot", "..two leading dots", "a dot . in the middle", "a dot at the end.",
                ". ", ".\t", "", ".", "", "the line after is a lone dot and the last of the message", ".")


def dots_lf():
    # The same lines in a file with LF line ends; its last line is a lone dot.
    return mail(head("Dot Matthews <dot@example.org>", "Re: Everything about dots", "Wed, 04 Feb 2026 08:31:12 -0500", eol=LF),
                ".", "..", "...", ".leading", "", ".", eol=LF)


def forged_reply():
    # An attack: a dot line ended by a bare LF, then what looks like the server's next answers. A reader that takes
    # LF for a line end here believes that the mail is over and reads its contents as protocol.
    h = head("Mallory <mallory@attacker.example>", "You have won", "Thu, 05 Feb 2026 03:33:33 +0000")
    return h + CRLF + (b"Nothing to see here.\r\n" b"...\n" b".\r\n" b"+OK 1 forged\r\n" b".\n" b"+OK bye\r\n" b"\n.\n"
                       b"-ERR [AUTH] forged too\r\n" b".\r\n+OK 2 messages\r\n1 120\r\n2 99999\r\n" b"The end of the attack.\r\n")


def bare_lf():
    # Lines ended by CRLF and by LF in one message, dots after each.
    return head("Eve Laurent <eve@example.org>", "Pasted from three systems", "Thu, 05 Feb 2026 11:02:00 +0100") + CRLF + (
        b"ends in CRLF\r\nends in LF\n.after LF\n..after LF\n.after LF, ends in CRLF\r\n.after CRLF\r\n\n\r\n\n.\r\nlast\r\n")


def lone_cr():
    # CR that ends nothing: in a line, at its start, doubled, before a dot, before a dot and CRLF.
    return head("Frank Moore <frank@example.org>", "Report from the old Mac", "Fri, 06 Feb 2026 10:00:00 +0000") + CRLF + (
        b"one\rtwo\rthree\r\n\rstarts with CR\r\ntwo\r\rCRs\r\n\r.dot after CR\r\n.\r.\r\n\r.\r\nlast line\r\n")


def cr_cr_lf():
    # CR CR LF: what a program writes that turns LF into CRLF twice. ". CR CR LF" does not end a message.
    return head("Grace Ito <grace@example.org>", "Converted twice", "Fri, 06 Feb 2026 14:20:41 +0900") + CRLF + (
        b"ends in CR CR LF\r\r\n.\r\r\n..\r\r\n\r\r\nlast line\r\n")


def nul():
    # NUL octets: alone, in a line, after a dot. C string functions stop here.
    return mail(head("Heidi Klein <heidi@example.org>", "Log of the crashed disk", "Sat, 07 Feb 2026 23:59:60 +0000"),
                b"before\0after", b"\0", b".\0", b"\0.", b"\0\0\0\0", "last line")


def all_bytes():
    # Each of the 256 octets, one by one on a line of its own, then in one run, both ways round.
    body = b"".join(b"%02x [%c]\r\n" % (b, b) for b in range(256))
    every = bytes(range(256))
    return head("Ivan Petrov <ivan@example.org>", "256 octets", "Sun, 08 Feb 2026 12:00:00 +0300",
                "MIME-Version: 1.0", "Content-Type: application/octet-stream", "Content-Transfer-Encoding: binary") + \
        CRLF + body + every + CRLF + every[::-1] + CRLF


def latin1():
    # ISO 8859-1 in header and body, not encoded. Not UTF-8: whoever decodes the mail as text damages it or stops.
    return mail(head("Jürgen Müller <juergen@example.org>".encode("latin-1"), "Grüße aus Köln".encode("latin-1"),
                     "Mon, 09 Feb 2026 07:07:07 +0100", "Content-Type: text/plain; charset=iso-8859-1"),
                "Schöne Grüße, und ein Stück Käse.".encode("latin-1"), b"\xe9", b".\xe9", b"\xff\xfe\x80", "Ende")


def utf8_headers():
    # UTF-8 in the header, not encoded (RFC 6532), with characters outside the first plane.
    return mail(head("Zoë Ünïcode <zoë@exämple.org>", "こんにちは – Einladung zum Fest 🎉", "Tue, 10 Feb 2026 18:30:00 +0100",
                     "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit"),
                "Liebe Alice,", "", "Ελληνικά, Привет мир, 你好, שלום, مرحبا, 🎉📬", "", ".…dot, then an ellipsis", "Zoë")


def rfc2047():
    # RFC 2047 encoded words: two charsets, a fold between two words, an underscore, a word in the name.
    return mail(head("=?utf-8?Q?Andr=C3=A9?= Leroy <andre@example.org>",
                     "=?utf-8?B?R3LDvMOfZQ==?= =?iso-8859-1?Q?caf=E9_au_lait?=\r\n =?utf-8?Q?_=E2=9C=93?=",
                     "Wed, 11 Feb 2026 09:45:30 +0100", "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8",
                     "Content-Transfer-Encoding: quoted-printable"),
                "caf=C3=A9, a soft break=", " here, and a dot made safe:", "=2E", "Andr=C3=A9")


def protocol_words():
    # A body that talks POP3. None of it is an answer of the server.
    return mail(head("Kim Larsson <kim@example.org>", "POP3 by hand, a transcript for you", "Thu, 12 Feb 2026 20:15:00 +0100"),
                "+OK 3 messages (7002 octets)", "-ERR no such message", "+OK", "-ERR", "+ ", "+OK 120 octets", "..", "USER alice",
                "QUIT", "STAT", "+OK 0 0", "-ERR [IN-USE] locked", "that was all")


def no_final_newline():
    # The last line has no line end. On the wire a server must add one.
    return mail(head("Lea Novak <lea@example.org>", "Cut short", "Fri, 13 Feb 2026 13:13:13 +0100", eol=LF),
                "This file ends without a line end", eol=LF)[:-1]


def final_dot():
    # The last line is a lone dot with no line end.
    return mail(head("Lea Novak <lea@example.org>", "Cut short again", "Fri, 13 Feb 2026 13:14:15 +0100", eol=LF),
                "The last octet of this file is a dot:", ".", eol=LF)[:-1]


def empty_body():
    # A header, the blank line, and nothing after it.
    return mail(head("Monitor <monitor@example.org>", "backup ok", "Sat, 14 Feb 2026 02:00:01 +0000"))


def headers_only():
    # A header that ends with the file: no blank line.
    return head("Monitor <monitor@example.org>", "backup ok (no blank line)", "Sat, 14 Feb 2026 02:00:02 +0000")


def no_headers():
    # The first line is blank: all of it is body.
    return text("", "This message begins with a blank line.", "Subject: not a header", "", "There is no header at all.")


def trailing_blank_lines():
    # Blank lines at the end are a part of the message.
    return mail(head("Nina Rossi <nina@example.org>", "Re: lunch?", "Sun, 15 Feb 2026 11:11:11 +0100"),
                "Yes!", *[""] * 20)


def long_line():
    # One line of 5,000 characters, then one that begins with a dot: beyond every limit of the RFCs (998, 512).
    line = ("the %d bottles on the wall, " * 400) % tuple(range(400, 0, -1))
    return mail(head("Otto Sundberg <otto@example.org>", "A song", "Mon, 16 Feb 2026 22:22:22 +0100"),
                line[:5000], "." + line[:4999], "short")


def mbox_from():
    # Lines that an mbox must quote. On the way into a Maildir they stay as they are.
    return mail(head("Paula Weber <paula@example.org>", "How an mbox looks inside", "Tue, 17 Feb 2026 06:06:06 +0100",
                     "Status: RO", "Content-Length: 3", eol=LF),
                "From the start of the body", "", "From paula@example.org Tue Feb 17 06:06:06 2026", "Subject: not a new message", "",
                ">From quoted once", ">>From quoted twice", "From ", eol=LF)


def nested():
    # A whole message inside another, dots in it too.
    inner = mail(head("Quentin Adams <quentin@example.com>", "The original", "Tue, 17 Feb 2026 08:00:00 +0000"),
                 "A dot:", ".", "and the end.")
    b = b"=_8f2c66d1"
    return head("Rita Fox <rita@example.org>", "Fwd: The original", "Wed, 18 Feb 2026 08:00:00 +0000", "MIME-Version: 1.0",
                b'Content-Type: multipart/mixed; boundary="' + b + b'"') + CRLF + \
        b"--" + b + b"\r\nContent-Type: text/plain\r\n\r\nSee below.\r\n--" + b + \
        b"\r\nContent-Type: message/rfc822\r\n\r\n" + inner + b"\r\n--" + b + b"--\r\n"


def buffer_edges():
    # Lone dots and dot lines about the sizes that programs give their buffers. Which octet of "CR LF . CR LF" falls
    # on the edge goes by turns.
    data = mail(head("Sam Okafor <sam@example.org>", "Dots on the edges of buffers", "Thu, 19 Feb 2026 17:17:17 +0000"), "Begin.")
    for turn, size in enumerate((512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)):
        data = pad_to(data, size - 2 - turn % 3) + b".\r\n.\r\n.dot\r\n"
    return data + b"End.\r\n"


def folded_header():
    # A header of many folded lines, one of them after a lone tab, and a header with nothing in it.
    to = ",\r\n\t".join("Member %03d <member%03d@lists.example.org>" % (n, n) for n in range(120))
    return mail(head("Tina Berg <tina@example.org>", "Invitation: summer party", "Fri, 20 Feb 2026 12:34:56 +0100",
                     "Cc: " + to, "X-Empty:", "X-Folded: first\r\n\t second\r\n  third"), "You are all invited.")


def empty():
    # No octets at all: what a server has after a crash of its delivery.
    return b""


# The order is the order of a mailbox that is filled from the folder.
MESSAGES = [plain, plain_lf, dots, dots_lf, forged_reply, bare_lf, lone_cr, cr_cr_lf, nul, all_bytes, latin1, utf8_headers, rfc2047,
            protocol_words, no_final_newline, final_dot, empty_body, headers_only, no_headers, trailing_blank_lines, long_line,
            mbox_from, nested, buffer_edges, folded_header, empty]


def main():
    wanted = {"%02d-%s.eml" % (n, f.__name__.replace("_", "-")): f() for n, f in enumerate(MESSAGES, 1)}
    if sys.argv[1:] == ["--check"]:
        sys.exit(check(os.path.join(HERE, "messages"), wanted))
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "messages")
    os.makedirs(folder, exist_ok=True)
    for name, data in wanted.items():
        with open(os.path.join(folder, name), "wb") as f:
            f.write(data)
    print("%d messages, %d octets" % (len(wanted), sum(map(len, wanted.values()))))


def check(folder, wanted):
    there = {name for name in os.listdir(folder) if name.endswith(".eml")}
    wrong = sorted(there ^ set(wanted))
    for name in there & set(wanted):
        with open(os.path.join(folder, name), "rb") as f:
            if f.read() != wanted[name]:
                wrong.append(name)
    for name in wrong:
        print("make_messages: %s is not what this script writes" % name, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    main()
