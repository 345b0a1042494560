"""What `popwire.poplib` does otherwise than `poplib`, and why: the whole list. `docs/poplib.md` has it as a table."""

import sys
from typing import NamedTuple, Optional, Sequence, Tuple


class Difference(NamedTuple):
    what: str
    poplib: str
    popwire: str
    why: str
    #: The scripts in which it shows.
    scripts: Sequence[str]
    #: The Python whose `poplib` does as `popwire.poplib` does.
    gone_in: Optional[Tuple[int, int]] = None


ALL = [
    Difference(
        "a bare LF, a dot and a bare LF within a message whose lines end in CRLF",
        "ends the message there, and takes what follows for the next answers",
        "is text of the message: only CRLF, dot, CRLF ends it. The first line of a message shows how its lines end",
        "whoever sends the mail could end it where he likes, and answer the next commands himself",
        ["CRLF, and LF at the end", "a bare LF and a dot within CRLF", "debug output and a dot of the sender's"],
    ),
    Difference(
        "a server whose lines end in LF CR",
        "takes LF, CR, dot, LF for the end of a message",
        "does not, and waits for an end: the deadline passes",
        "no such server is known any more, and the same octets may be text",
        ["LF and CR, swapped"],
    ),
    Difference(
        "a stuffed dot behind the CR of such a line",
        "takes the dot away",
        "takes it away as well, but counts it among the octets",
        "the same; the line is right",
        ["LF and CR, swapped, and a dot"],
    ),
    Difference(
        "a line longer than `_MAXLINE`",
        "raises `line too long` in the middle of it; what follows is taken for the answers to the next commands",
        "reads the answer to its end and raises then: the session goes on. `retr_bytes` has no such limit",
        "one long line made all that followed wrong",
        [
            "a line of 2049 octets",
            "a stuffed line of 2049 octets",
            "a very long line",
            "a short line where it is too long",
            "a refusal that is too long",
            "a status line too long before a message",
            "a refusal too long in place of a message",
            "debug output of a line too long",
            "the end within a long line",
        ],
    ),
    Difference(
        "the connection ends within a line",
        "the last octet of a status line is lost and the rest is the answer; behind `..`, `.X` or `.` and CR the message "
        "counts as complete",
        "`error_proto('-ERR EOF')`",
        "a message that was cut off was taken for a whole one",
        [
            "the end within a status line",
            "the end after CR",
            "the end within a refusal",
            "the end after two dots",
            "the end after a dot and an octet",
            "the end after a dot and CR",
            "quit whose answer is cut short",
        ],
    ),
    Difference(
        "control characters in an argument",
        "are sent before Python 3.15: a CR LF begins another command (CVE-2025-15367)",
        "`ValueError`, and nothing is sent",
        "whoever chooses a user name or a message number could give commands",
        [
            "CR and LF in a name",
            "LF in a password",
            "NUL in a name",
            "a tab in a password",
            "DEL in a name",
            "LF in a number",
            "LF in a line of one's own",
        ],
        (3, 15),
    ),
    Difference(
        "octets as an argument",
        "`user(b'x')` sends `USER b'x'`; `apop` raises `TypeError`",
        "sends `USER x`",
        "it was never what was meant",
        ["octets as arguments", "top with odd arguments", "apop with a password of octets"],
    ),
    Difference(
        "`quit` that is refused or not answered",
        "raises, and leaves the socket open",
        "raises, and closes it",
        "the session is over in any case",
        ["quit refused", "quit without an answer", "quit whose answer is cut short"],
    ),
    Difference(
        "an answer to STAT that makes no sense",
        "`IndexError` or `ValueError` before Python 3.14",
        "`error_proto`, as Python 3.14 has it",
        "a server's mistake is no mistake of the caller's",
        ["stat too short", "stat without numbers"],
        (3, 14),
    ),
    Difference(
        "an empty line in the answer to CAPA, and octets that are not ASCII",
        "`IndexError`, `UnicodeDecodeError`",
        "the line is skipped; such octets are kept as surrogates",
        "the other capabilities are as good as before",
        ["capa with an empty line", "capa that is not ASCII"],
    ),
    Difference(
        "STLS in small letters in the answer to CAPA",
        "is no STLS",
        "is STLS (RFC 2449 says that case does not matter)",
        "the password went out in the clear",
        ["stls offered in small letters"],
    ),
    Difference(
        "octets behind the answer to STLS",
        "are dropped, and nobody is told",
        "`error_proto('-ERR data before the TLS handshake')`, and the socket is closed",
        "somebody in the middle has put them there",
        ["stls and something behind it"],
    ),
    Difference(
        "`close` after a handshake that failed",
        "raises `OSError`, and the socket stays open",
        "the socket is closed already, and `close` never raises",
        "there is nothing that the caller could do about it",
        ["stls and no TLS"],
    ),
    Difference(
        "secrets in debug output",
        "are printed",
        "are `********`; `POP3.hide_secrets = False` has them printed",
        "debug output ends up in logs and in bug reports",
        [
            "debug output of a session",
            "debug output of all lines",
            "debug output of apop",
            "debug output of a token",
            "debug output of a token in one line",
        ],
    ),
]


def listed():
    """The scripts in which something else has to be seen, with this Python."""
    there = [d for d in ALL if d.gone_in is None or sys.version_info < d.gone_in]
    return {name for difference in there for name in difference.scripts}


def table():
    """The list as Markdown."""
    rows = ["| | `poplib` | `popwire.poplib` | why |", "|---|---|---|---|"]
    rows += [f"| {d.what} | {d.poplib} | {d.popwire} | {d.why} |" for d in ALL]
    return "\n".join(rows) + "\n"
