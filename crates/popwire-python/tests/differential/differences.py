"""What `popwire.poplib` does otherwise than `poplib`, and why: the whole list. `docs/poplib.md` has it as a table."""

import sys
from typing import Any, Mapping, NamedTuple, Optional, Tuple, Union

#: Where in a script it shows: at a step, the constructor being 0, or in what was `printed`, `received` or `audited`.
Place = Union[int, str]


class Difference(NamedTuple):
    what: str
    poplib: str
    popwire: str
    why: str
    #: The scripts in which it shows: at each place what `popwire.poplib` does. Everywhere else the two do the same.
    scripts: Mapping[str, Mapping[Place, Any]]
    #: The Python whose `poplib` does as `popwire.poplib` does.
    gone_in: Optional[Tuple[int, int]] = None


def returned(value):
    return ("returned", value)


def refused(argument, kind="error_proto"):
    return ("raised", kind, (argument,))


OK = returned(b"+OK")
EOF = refused("-ERR EOF")


def message(octets, *lines):
    return returned((b"+OK message follows", [*lines], octets))


def not_sent(then):
    """Nothing is sent but what comes after it."""
    return {1: refused("Control characters not allowed in commands", "ValueError"), 2: OK, "received": then}


def printed(*lines):
    return {"printed": "".join(line + "\n" for line in lines)}


ALL = [
    Difference(
        "a bare LF or CR beside a dot, within a message whose lines end in CRLF",
        "ends the message there, and takes what follows for the next answers",
        "is text of the message: only CRLF, dot, CRLF ends it. The first line of a message shows how its lines end",
        "whoever sends the mail could end it where he likes, and answer the next commands himself",
        {
            "CRLF, and LF at the end": {1: message(13, b"a", b"b", b".", b"+OK")},
            "a bare LF and a dot within CRLF": {1: message(10, b"a", b"b", b".", b"c"), 2: OK},
            "a bare LF, a dot and CRLF": {1: message(11, b"a", b"b", b".", b"c"), 2: OK},
            "a bare LF, a dot and CRLF, line by line": {1: message(11, b"a", b"b", b".", b"c"), 2: OK},
            "a bare LF, a dot and CRLF, in debug output": {
                1: message(11, b"a", b"b", b".", b"c"),
                2: OK,
                **printed(
                    "*cmd* 'RETR 1'",
                    "*put* b'RETR 1'",
                    r"*get* b'+OK message follows\r\n'",
                    "*resp* b'+OK message follows'",
                    r"*get* b'a\r\n'",
                    r"*get* b'b\n'",
                    r"*get* b'.\r\n'",
                    r"*get* b'c\r\n'",
                    r"*get* b'.\r\n'",
                    "*cmd* 'NOOP'",
                    "*put* b'NOOP'",
                    r"*get* b'+OK\r\n'",
                    "*resp* b'+OK'",
                ),
            },
            "a CR, a dot and a bare LF": {1: message(9, b"a", b".", b"c"), 2: OK},
            "a CR, a dot and a bare LF, line by line": {1: message(9, b"a", b".", b"c"), 2: OK},
            "debug output and a dot of the sender's": {
                1: message(10, b"a", b"b", b".", b"c"),
                **printed(
                    "*cmd* 'RETR 1'",
                    "*put* b'RETR 1'",
                    r"*get* b'+OK message follows\r\n'",
                    "*resp* b'+OK message follows'",
                    r"*get* b'a\r\n'",
                    r"*get* b'b\n'",
                    r"*get* b'.\n'",
                    r"*get* b'c\r\n'",
                    r"*get* b'.\r\n'",
                ),
            },
        },
    ),
    Difference(
        "a server whose lines end in LF CR",
        "takes LF, CR, dot, LF for the end of a message",
        "does not, and waits for an end: the deadline passes",
        "no such server is known any more, and the same octets may be text",
        {"LF and CR, swapped": {1: EOF, 2: EOF, "received": b"RETR 1\r\n"}},
    ),
    Difference(
        "a stuffed dot behind the CR of such a line",
        "takes the dot away",
        "leaves it, since a line begins behind LF and nowhere else",
        "the same",
        {"LF and CR, swapped, and a dot": {1: message(7, b"a", b"..b")}},
    ),
    Difference(
        "a line longer than `_MAXLINE`",
        "raises `line too long` in the middle of it; what follows is taken for the answers to the next commands",
        "reads the answer to its end and raises then: the session goes on. `retr_bytes` has no such limit",
        "one long line made all that followed wrong",
        {
            "a line of 2049 octets": {2: OK},
            "a stuffed line of 2049 octets": {2: OK},
            "a very long line": {2: OK},
            "a long line, a bare LF and a dot": {2: OK},
            "a long line, a bare LF and a dot, line by line": {2: OK},
            "a short line where it is too long": {2: OK},
            "a refusal that is too long": {2: OK},
            "a status line too long before a message": {2: OK},
            "a refusal too long in place of a message": {2: OK},
            "debug output of a line too long": {
                2: OK,
                **printed(
                    "*cmd* 'RETR 1'",
                    "*put* b'RETR 1'",
                    r"*get* b'+OK message follows\r\n'",
                    "*resp* b'+OK message follows'",
                    r"*get* b'.\r\n'",
                    "*cmd* 'NOOP'",
                    "*put* b'NOOP'",
                    r"*get* b'+OK\r\n'",
                    "*resp* b'+OK'",
                ),
            },
            "the end within a long line": {1: EOF},
        },
    ),
    Difference(
        "the connection ends within a line",
        "the last octet of a status line is lost and the rest is the answer; behind `..`, `.X` or `.` and CR the message "
        "counts as complete",
        "`error_proto('-ERR EOF')`",
        "a message that was cut off was taken for a whole one",
        {
            "the end within the greeting": {0: EOF},
            "the end within a status line": {1: EOF},
            "the end after CR": {1: EOF},
            "the end within a refusal": {1: EOF},
            "the end after two dots": {1: EOF},
            "the end after a dot and an octet": {1: EOF},
            "the end after a dot and CR": {1: EOF},
            "quit whose answer is cut short": {1: EOF},
        },
    ),
    Difference(
        "control characters in an argument",
        "are sent before Python 3.15: a CR LF begins another command (CVE-2025-15367)",
        "`ValueError`, and nothing is sent",
        "whoever chooses a user name or a message number could give commands",
        {
            name: not_sent(b"NOOP\r\n")
            for name in (
                "CR and LF in a name",
                "LF in a password",
                "NUL in a name",
                "a tab in a password",
                "DEL in a name",
                "LF in a number",
                "LF in a line of one's own",
                "debug output of control characters",
            )
        },
        (3, 15),
    ),
    Difference(
        "octets as an argument",
        "`user(b'x')` sends `USER b'x'`; `apop` raises `TypeError`",
        "sends `USER x`",
        "it was never what was meant",
        {
            "octets as arguments": {"received": b"USER x\r\nLIST 1\r\nDELE 2\r\n"},
            "octets as an argument, in another encoding": {"received": b"USER \xe9\r\n"},
            "top with odd arguments": {"received": b"TOP 1 x\r\nTOP 1 None\r\n"},
            "apop with a password of octets": {1: OK, "received": b"APOP mrose c4c9334bac560ecc979e58001b3e22fb\r\n"},
        },
    ),
    Difference(
        "`quit` that is refused or not answered",
        "raises, and leaves the socket open",
        "raises, and closes it",
        "the session is over in any case",
        {name: {2: returned(True)} for name in ("quit refused", "quit within TLS refused", "quit without an answer")},
    ),
    Difference(
        "an answer to STAT that makes no sense",
        "`IndexError` or `ValueError` before Python 3.14",
        "`error_proto`, as Python 3.14 has it",
        "a server's mistake is no mistake of the caller's",
        {
            "stat too short": {n: refused("Invalid STAT response format") for n in (1, 2)},
            **{
                name: {1: refused("Invalid STAT response data: non-numeric values")}
                for name in ("stat without numbers", "stat with a fraction", "debug output of a stat that makes no sense")
            },
        },
        (3, 14),
    ),
    Difference(
        "an empty line in the answer to CAPA, and octets that are not ASCII",
        "`IndexError`, `UnicodeDecodeError`",
        "the line is skipped; such octets are kept as surrogates",
        "the other capabilities are as good as before",
        {
            "capa with an empty line": {1: returned({"TOP": [], "UIDL": []})},
            "capa that is not ASCII": {1: returned({"IMPLEMENTATION": ["caf\udce9"]})},
        },
    ),
    Difference(
        "STLS in small letters in the answer to CAPA",
        "is no STLS",
        "is STLS (RFC 2449 says that case does not matter)",
        "the password went out in the clear",
        {"stls offered in small letters": {1: OK, "received": b"CAPA\r\nSTLS\r\nNOOP\r\n"}},
    ),
    Difference(
        "octets behind the answer to STLS",
        "are dropped, and nobody is told",
        "`error_proto('-ERR data before the TLS handshake')`, and the socket is closed",
        "somebody in the middle has put them there",
        {"stls and something behind it": {1: refused("-ERR data before the TLS handshake"), 2: returned(True)}},
    ),
    Difference(
        "`close` after a handshake that failed",
        "raises `OSError`: `sock` is still there, without a connection",
        "has nothing to do: `sock` is None already. `close` never raises",
        "there is nothing that the caller could do about it",
        {
            "stls and no TLS": {2: returned(True), 3: returned(None)},
            "stls and a certificate that nobody trusts": {2: returned(True)},
        },
    ),
    Difference(
        "secrets in debug output",
        "are printed",
        "are `********`; `POP3.hide_secrets = False` has them printed",
        "debug output ends up in logs and in bug reports",
        {
            "debug output of a session": printed(
                "*cmd* 'USER a'",
                "*cmd* 'PASS ********'",
                "*cmd* 'STAT'",
                "*stat* [b'+OK', b'2', b'320']",
                "*cmd* 'QUIT'",
            ),
            "debug output of all lines": printed(
                "*cmd* 'PASS ********'",
                "*put* b'PASS ********'",
                r"*get* b'+OK\r\n'",
                "*resp* b'+OK'",
                "*cmd* 'RETR 1'",
                "*put* b'RETR 1'",
                r"*get* b'+OK message follows\r\n'",
                "*resp* b'+OK message follows'",
                r"*get* b'a\r\n'",
                r"*get* b'..b\r\n'",
                r"*get* b'.\r\n'",
            ),
            "debug output of apop": printed(
                "*cmd* 'APOP mrose ********'", "*put* b'APOP mrose ********'", r"*get* b'+OK\r\n'", "*resp* b'+OK'"
            ),
            "debug output of a token": printed(
                "*cmd* 'AUTH XOAUTH2'",
                "*put* b'AUTH XOAUTH2'",
                r"*get* b'+ \r\n'",
                "*resp* b'+ '",
                "*cmd* '********'",
                "*put* b'********'",
                r"*get* b'+OK\r\n'",
                "*resp* b'+OK'",
                "*cmd* 'NOOP'",
                "*put* b'NOOP'",
                r"*get* b'+OK\r\n'",
                "*resp* b'+OK'",
            ),
            "debug output of a token in one line": printed("*cmd* 'AUTH PLAIN ********'", "*cmd* 'NOOP'"),
        },
    ),
]


def listed():
    """What has to be seen with this Python: by script, what `popwire.poplib` does otherwise, and where."""
    there = [d for d in ALL if d.gone_in is None or sys.version_info < d.gone_in]
    places = {}
    for difference in there:
        for script, otherwise in difference.scripts.items():
            assert script not in places, f"{script} is listed twice"
            places[script] = otherwise
    return places


def table():
    """The list as Markdown."""
    rows = ["| | `poplib` | `popwire.poplib` | why |", "|---|---|---|---|"]
    rows += [f"| {d.what} | {d.poplib} | {d.popwire} | {d.why} |" for d in ALL]
    return "\n".join(rows) + "\n"
