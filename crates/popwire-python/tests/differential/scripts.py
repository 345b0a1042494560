"""The scripts, by what they are about. A name is used once; `differences.py` refers to it."""

import re
import socket
import ssl
import sys
import unittest.mock

from .script import GREETING, HANG_UP, SILENCE, START_TLS, Script

OK = b"+OK\r\n"
BODY = b"+OK message follows\r\n"


def retr(name, octets, then=(), **options):
    """A message that comes as these octets, and a NOOP that shows whether the session is in step."""
    return Script(name, [[BODY, octets], OK, *then], [("retr", 1), "noop"], **options)


def _hung_up(client):
    return client.sock is None


UNVERIFIED = ssl._create_unverified_context()
VERIFYING = ssl.create_default_context()


def _free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


CONSTRUCTION = [
    Script("a session", [OK, OK, OK], [("user", "alice"), ("pass_", "secret"), "quit"]),
    Script("getwelcome after quit", [OK], ["getwelcome", "quit", "getwelcome"]),
    Script("a greeting of one octet less", [], [], greeting=b"+\r\n"),
    Script("a greeting in another language", [OK], ["noop"], greeting=b"+ Hola\r\n"),
    Script("a greeting with 8-bit octets", [OK], ["getwelcome"], greeting=b"+OK caf\xe9 \xff\r\n"),
    Script("a greeting with a bare LF", [OK], ["noop"], greeting=b"+OK ready\n"),
    Script("a greeting that refuses", [], [], greeting=b"-ERR too many\r\n"),
    Script("a greeting of SMTP", [], [], greeting=b"220 smtp\r\n"),
    Script("a greeting without a plus", [], [], greeting=b"OK\r\n"),
    Script("an empty greeting", [], [], greeting=b"\r\n"),
    Script("no greeting", [], [], greeting=HANG_UP),
    Script("a greeting too long", [], [], greeting=b"+OK " + b"x" * 3000 + b"\r\n"),
    Script("timeout zero", [], [], options={"timeout": 0}),
    Script("timeout zero point zero", [], [], options={"timeout": 0.0}),
    Script("timeout false", [], [], options={"timeout": False}),
    Script("timeout below zero", [], [], options={"timeout": -1}),
    Script("timeout none", [OK], [lambda c: c.sock.gettimeout(), "noop"], options={"timeout": None}),
    Script("timeout on the socket", [OK], [lambda c: c.sock.gettimeout()], options={"timeout": 7}),
    Script("timeout by position", [OK], [lambda c: c.sock.gettimeout()], arguments=(3.5,)),
    Script("timeout as a text", [], [], options={"timeout": "5"}),
    Script("the port as a text", [OK], [lambda c: type(c.port), "noop"], port=str),
    Script("nobody listens", [], [], port=lambda port: _free_port()),
    Script("a host that is empty", [], [], host=""),
    Script("a host that is none", [], [], host=None),
    Script("a port that is none", [], [], port=lambda port: "no port"),
    Script("an option that is not", [], [], options={"context": None}),
    Script("a greeting of LF and CR, swapped", [OK], ["getwelcome", "noop"], greeting=b"\r+OK ready\n"),
    Script("two lines of greeting", [OK], ["noop", "noop"], greeting=b"+OK ready\r\n+OK again\r\n"),
    Script("a subclass with another encoding", [OK], [("user", "\xe9")], subclass={"encoding": "latin-1"}),
    Script("TLS from the first octet", [OK, OK], ["noop", lambda c: c.sock.context is c.context, "quit"], tls=True),
    Script("TLS with a context of one's own", [OK], [lambda c: c.context is UNVERIFIED, "noop"], tls=True, options={"context": UNVERIFIED}),
    Script("TLS with a context that verifies", [], [], tls=True, options={"context": VERIFYING}),
    Script("TLS with a timeout by position", [], [], tls=True, arguments=(5,)),
    Script("TLS with a key and no certificate", [], [], tls=True, options={"keyfile": "k"}),
    Script("TLS and stls with a key and a certificate", [], [("stls", None, None, None)], tls=True),
    Script("TLS with a key and a context", [], [], tls=True, options={"keyfile": "k", "context": UNVERIFIED}),
    Script("TLS with a certificate and a context", [], [], tls=True, options={"certfile": "c", "context": UNVERIFIED}),
    Script("TLS with a certificate that is not there", [], [], tls=True, options={"certfile": "/nowhere/c"}),
    Script("TLS with timeout zero", [], [], tls=True, options={"timeout": 0}),
    Script("TLS and a greeting that refuses", [], [], tls=True, greeting=b"-ERR too many\r\n"),
    Script("TLS and a message", [[BODY, b"a\r\n..b\r\n.\r\n"], OK], [("retr", 1), "noop"], tls=True),
    Script("TLS and stls", [], ["stls", ("stls", None)], tls=True),
    Script("no certificate is verified by default", [], [lambda c: c.context.verify_mode], tls=True),
]

COMMANDS = [
    Script("every simple command", [OK] * 6, [("dele", 1), "noop", "rset", ("rpop", "alice"), "utf8", ("list", 2)]),
    Script("every simple command refused", [b"-ERR no\r\n"] * 6, [("dele", 1), "noop", "rset", ("rpop", "a"), "utf8", ("uidl", 2)]),
    Script("a refusal costs nothing", [b"-ERR no\r\n", OK], [("user", "alice"), ("user", "bob")]),
    Script("a password with blanks", [OK], [("pass_", " a  b ")]),
    Script("names that are not ASCII", [OK, OK], [("user", "j\xfcrgen"), ("pass_", "\u5bc6\u7801")]),
    Script("a lone surrogate", [OK], [("user", "\udc80"), "noop"]),
    Script("octets as arguments", [OK, OK, OK], [("user", b"x"), ("list", b"1"), ("dele", b"2")]),
    Script("octets as an argument, in another encoding", [OK], [("user", b"\xe9")], subclass={"encoding": "latin-1"}),
    Script("true as a number", [OK], [("list", True)]),
    Script("nothing as a number", [OK], [("list", "")]),
    Script("zero as a number", [OK, OK], [("list", 0), ("uidl", 0)]),
    Script("a negative number", [b"-ERR no\r\n"], [("retr", -1)]),
    Script("a text as a number", [b"-ERR no\r\n"], [("retr", "one")]),
    Script("none as a number", [b"-ERR no\r\n"], [("dele", None)]),
    Script("none and others as a name", [OK] * 3, [("user", None), ("pass_", 1.5), ("rpop", ["a"])]),
    Script("no name", [OK] * 2, [("user", ""), ("pass_", "")]),
    Script("arguments too few and too many", [], ["user", ("user", "a", "b"), "retr", ("top", 1), ("noop", 1), ("quit", 1)]),
    Script("arguments by name", [OK] * 3, [lambda c: c.user(user="a"), lambda c: c.pass_(pswd="b"), lambda c: c.dele(which=1)]),
    Script("octets as a line of one's own", [], [("_shortcmd", b"NOOP"), ("_putcmd", b"NOOP")]),
    Script("a line of one's own, and its answer", [b"+OK\r\na\r\n.\r\n", OK], [("_putline", b"XTND"), "_getlongresp", ("_putcmd", "NOOP"), "_getline"]),
    Script("lines one by one", [b"+OK\r\na\r\n\rb\n..c\n"], [("_putcmd", "X"), "_getresp", "_getline", "_getline", "_getline"]),
    Script("a text as octets of one's own", [], [("_putline", "NOOP")]),
    Script("a line of one's own, 8-bit", [OK], [("_shortcmd", "X \xe9")]),
    Script("a line of one's own", [b"+ \r\n", OK], [("_shortcmd", "AUTH XOAUTH2"), ("_shortcmd", "x" * 2000)]),
    Script("a long answer of one's own", [b"+OK\r\na\r\n.\r\n"], [("_longcmd", "XTND XLST")]),
    Script("CR and LF in a name", [OK], [("user", "a\r\nDELE 1"), "noop"]),
    Script("LF in a password", [OK], [("pass_", "secret\n"), "noop"]),
    Script("NUL in a name", [OK], [("user", "a\0b"), "noop"]),
    Script("a tab in a password", [OK], [("pass_", "a\tb"), "noop"]),
    Script("DEL in a name", [OK], [("user", "a\x7f"), "noop"]),
    Script("LF in a number", [OK], [("dele", "1\nDELE 2"), "noop"]),
    Script("LF in a line of one's own", [OK], [("_shortcmd", "NOOP\nDELE 2"), "noop"]),
    Script("an answer with a plus and no OK", [b"+++ yes\r\n"], ["noop"]),
    Script("an answer without OK", [b"OK\r\n", OK], ["noop", "noop"]),
    Script("an empty answer", [b"\r\n", OK], ["noop", "noop"]),
    Script("an answer in small letters", [b"+ok yes\r\n"], ["noop"]),
    Script("an answer with 8-bit octets", [b"+OK caf\xe9\r\n"], ["noop"]),
    Script("a refusal with 8-bit octets", [b"-ERR caf\xe9\r\n"], ["noop"]),
    Script("an answer with a bare LF", [b"+OK yes\n", OK], ["noop", "noop"]),
    Script("an answer of LF and CR, swapped", [b"\r+OK yes\n", OK], ["noop", "noop"]),
    Script("an answer in pieces", [[b"+", b"O", b"K ye", b"s\r", b"\n"]], ["noop"]),
    Script("an answer that refuses and a multi-line one behind", [b"-ERR no\r\na\r\n.\r\n"], [("retr", 1), "noop"]),
    Script("close after the server has hung up", [HANG_UP], ["noop", "close", lambda c: (c.sock, c.file)]),
    Script("quit within TLS refused", [b"-ERR no\r\n"], ["quit", _hung_up], tls=True),
    Script("after close", [], ["close", "close", "noop"]),
    Script("after quit", [OK], ["quit", "noop", "close"]),
    Script("quit refused", [b"-ERR not all deleted\r\n"], ["quit", _hung_up]),
    Script("quit without an answer", [HANG_UP], ["quit", _hung_up]),
    Script("quit whose answer is cut short", [[b"+OK by", HANG_UP]], ["quit"]),
]

NUMBERS = [
    Script("stat", [b"+OK 2 320\r\n"], ["stat"]),
    Script("stat with more fields", [b"+OK 2 320 7 x\r\n"], ["stat"]),
    Script("stat of a large mailbox", [b"+OK 1 99999999999999999999\r\n"], ["stat"]),
    Script("stat with signs and the like", [b"+ 2 3\r\n", b"+OK -1 1_0\r\n"], ["stat", "stat"]),
    Script("stat too short", [b"+OK\r\n", b"+OK 2\r\n"], ["stat", "stat"]),
    Script("stat without numbers", [b"+OK two 320\r\n"], ["stat"]),
    Script("stat refused", [b"-ERR no\r\n"], ["stat"]),
    Script("list", [b"+OK 2\r\n1 120\r\n2 200\r\n.\r\n"], ["list"]),
    Script("list of nothing", [b"+OK\r\n.\r\n"], ["list"]),
    Script("list refused", [b"-ERR no\r\n", OK], ["list", "noop"]),
    Script("list of one", [b"+OK 2 200\r\n", b"-ERR no such\r\n"], [("list", 2), ("list", 3)]),
    Script("list of many", [b"+OK\r\n" + b"".join(b"%d 1\r\n" % n for n in range(1, 5001)) + b".\r\n"], ["list"]),
    Script("stat of negative numbers", [b"+OK -3 -4\r\n"], ["stat"]),
    Script("stat with tabs and blanks", [b"+OK\t2  320 \r\n"], ["stat"]),
    Script("stat with a fraction", [b"+OK 2 3.5\r\n"], ["stat"]),
    Script("list without numbers", [b"+OK\r\nx\r\n\r\n1\r\n.\r\n"], ["list"]),
    Script("uidl refused", [b"-ERR no\r\n", OK], ["uidl", "noop"]),
    Script("top refused", [b"-ERR no\r\n", OK], [("top", 1, 0), "noop"]),
    Script("uidl", [b"+OK\r\n1 a\r\n2 b c\r\n.\r\n"], ["uidl"]),
    Script("uidl of one", [b"+OK 2 xyz\r\n"], [("uidl", 2)]),
    Script("top", [b"+OK\r\nSubject: a\r\n\r\nb\r\n.\r\n"], [("top", 1, 1)]),
    Script("top with odd arguments", [b"-ERR no\r\n"] * 2, [("top", "1", "x"), ("top", b"1", None)]),
]

#: A sender's line, behind which he may put answers of his own.
SENDERS_DOT = b"a\r\nb\n.\r\nc\r\n.\r\n"


def _base_getline(self):
    return super(type(self), self)._getline()


LINES = [
    retr("lines that end in CRLF", b"a\r\nb\r\n\r\n.\r\n"),
    retr("lines that end in LF", b"a\nb\n\n.\n"),
    retr("LF, and CRLF at the end", b"a\nb\n.\r\n"),
    retr("CRLF, and LF at the end", b"a\r\nb\r\n.\n+OK\r\n.\r\n"),
    retr("a bare LF and a dot within CRLF", b"a\r\nb\n.\nc\r\n.\r\n"),
    retr("a bare LF, a dot and CRLF", SENDERS_DOT),
    retr("a bare LF, a dot and CRLF, line by line", SENDERS_DOT, subclass={"_getline": _base_getline}),
    retr("a bare LF, a dot and CRLF, in debug output", SENDERS_DOT, debug=2),
    retr("a CR, a dot and a bare LF", b"a\r\n\r.\nc\r\n.\r\n"),
    retr("a CR, a dot and a bare LF, line by line", b"a\r\n\r.\nc\r\n.\r\n", subclass={"_getline": _base_getline}),
    retr("two CR", b"a\r\r\n.\r\n"),
    retr("a CR within", b"a\rb\r\n.\r\n"),
    retr("a CR at the beginning", b"\rx\r\n.\r\n"),
    retr("a CR alone", b"\r\r\n\r\n.\r\n"),
    retr("LF and CR, swapped", b"a\n\rb\n\r.\n"),
    retr("LF and CR, swapped, and a dot", b"a\n\r..b\n.\n"),
    retr("no lines", b".\r\n"),
    retr("an empty line", b"\r\n.\r\n"),
    retr("stuffed dots", b"..\r\n...\r\n..a\r\na.\r\n.\r\n"),
    retr("dots that are not stuffed", b".a\r\n. \r\n.\t\r\n.\r\n"),
    retr("a dot, CR and more", b".\ra\r\n.\r\n"),
    retr("what looks like an answer", b"-ERR no\r\n+OK yes\r\n.\r\n"),
    retr("NUL and 8-bit octets", b"\0\xff\xfe\r\n\x80\r\n.\r\n"),
    retr("stuffed dots in LF lines", b"..a\n...\n.\n"),
    retr("a dot first, then LF", b".\n"),
    retr("many small lines", b"ab\r\n" * 20000 + b".\r\n"),
    retr("a message larger than all buffers", (b"x" * 76 + b"\r\n") * 12000 + b".\r\n"),
    Script("a message octet by octet", [[BODY, *(bytes([o]) for o in b"a\r\n..b\r\n.c\r\n.\r\n")], OK], [("retr", 1), "noop"]),
    Script("two answers at once", [BODY + b"a\r\n.\r\n+OK next\r\n", b"+OK last\r\n"], [("retr", 1), "noop", "noop"]),
    Script("a message and half an answer", [[BODY + b"a\r\n.\r\n+OK ne"], b"xt\r\n"], [("retr", 1), "noop"]),
    Script("three messages", [BODY + b"a\r\n.\r\n", BODY + b"b\r\n.\r\n", b"-ERR gone\r\n"], [("retr", 1), ("retr", 2), ("retr", 3)]),
]

LONG_LINE_AND_DOT = b"a\r\n" + b"x" * 3000 + b"\n.\r\nb\r\n.\r\n"

LENGTHS = [
    retr("a line of 2048 octets", b"x" * 2046 + b"\r\n.\r\n"),
    retr("a line of 2049 octets", b"x" * 2047 + b"\r\nb\r\n.\r\n"),
    retr("a stuffed line of 2048 octets", b".." + b"x" * 2044 + b"\r\n.\r\n"),
    retr("a stuffed line of 2049 octets", b".." + b"x" * 2045 + b"\r\n.\r\n"),
    retr("a very long line", b"a\r\n" + b"x" * 300_000 + b"\r\nb\r\n.\r\n"),
    retr("a long line where longer ones are allowed", b"x" * 5000 + b"\r\n.\r\n", maxline=65536),
    Script("a long answer where longer ones are allowed", [b"+OK " + b"x" * 5000 + b"\r\n", OK], ["noop", "noop"], maxline=65536),
    retr("a long line, a bare LF and a dot", LONG_LINE_AND_DOT),
    retr("a long line, a bare LF and a dot, line by line", LONG_LINE_AND_DOT, subclass={"_getline": _base_getline}),
    retr("a short line where it is too long", b"x" * 101 + b"\r\n.\r\n", maxline=100),
    Script("a limit that changes", [BODY + b"x" * 3000 + b"\r\n.\r\n"], [lambda c: _longer(c, 5000), ("retr", 1)]),
    Script("a status line of 2048 octets", [b"+OK " + b"x" * 2042 + b"\r\n"], ["noop"]),
    Script("a status line of 2049 octets", [b"+OK " + b"x" * 2043 + b"\r\n", OK], ["noop", "noop"]),
    Script("a refusal that is too long", [b"-ERR " + b"x" * 5000 + b"\r\n", OK], ["noop", "noop"]),
    Script("a status line too long before a message", [b"+OK " + b"x" * 5000 + b"\r\na\r\n.\r\n", OK], [("retr", 1), "noop"]),
    Script("a refusal too long in place of a message", [b"-ERR " + b"x" * 5000 + b"\r\n", OK], [("retr", 1), "noop"]),
]


def _module(client):
    """That of `POP3`, of which the client may be a subclass."""
    return sys.modules[next(c for c in type(client).__mro__ if c.__name__ == "POP3").__module__]


def _longer(client, limit):
    module = _module(client)
    module._MAXLINE, before = limit, module._MAXLINE
    return before


ENDS = [
    Script("the end within the greeting", [], [], greeting=[b"+OK rea", HANG_UP]),
    Script("the end instead of an answer", [HANG_UP], ["noop", "noop"]),
    Script("the end within a status line", [[b"+OK partial", HANG_UP]], ["noop"]),
    Script("the end after CR", [[b"+OK\r", HANG_UP]], ["noop"]),
    Script("the end within a refusal", [[b"-ERR partial", HANG_UP]], ["noop"]),
    Script("the end before a message", [[BODY, HANG_UP]], [("retr", 1), "noop"]),
    Script("the end between lines", [[BODY, b"a\r\nb\r\n", HANG_UP]], [("retr", 1)]),
    Script("the end within a line", [[BODY, b"a\r\nb", HANG_UP]], [("retr", 1)]),
    Script("the end after a dot", [[BODY, b"a\r\n.", HANG_UP]], [("retr", 1)]),
    Script("the end after two dots", [[BODY, b"a\r\n..", HANG_UP]], [("retr", 1)]),
    Script("the end after a dot and an octet", [[BODY, b"a\r\n.X", HANG_UP]], [("retr", 1)]),
    Script("the end after a dot and CR", [[BODY, b"a\r\n.\r", HANG_UP]], [("retr", 1)]),
    Script("the end within a long line", [[BODY, b"x" * 5000, HANG_UP]], [("retr", 1)]),
    Script("the end within a listing", [[b"+OK\r\n1 1\r\n2", HANG_UP]], ["list"]),
    Script("silence before the greeting", [], [], greeting=SILENCE, options={"timeout": 0.3}),
    # Each wait is shorter than the timeout, all of them together are not.
    Script("an answer that drips", [[octet for o in b"+OK\r\n" for octet in (bytes([o]), 0.15)]], ["noop"], options={"timeout": 0.5}),
    Script("silence", [SILENCE], ["noop", "noop"], options={"timeout": 0.3}),
    Script("silence within a message", [[BODY, b"a\r\nb", SILENCE]], [("retr", 1), "noop"], options={"timeout": 0.3}),
    Script("silence within a line", [[b"+O", SILENCE]], ["noop", "noop"], options={"timeout": 0.3}),
]

LOGIN = [
    Script("apop", [OK], [("apop", "mrose", "tanstaaf")]),
    Script("apop refused", [b"-ERR no\r\n"], [("apop", "mrose", "tanstaaf")]),
    Script("apop with a password of octets", [OK], [("apop", "mrose", b"tanstaaf")]),
    Script("apop, not ASCII", [OK], [("apop", "mrose", "caf\xe9")]),
    Script("apop with a greeting of one's own", [OK], [lambda c: setattr(c, "welcome", b"+OK <a@b>"), ("apop", "a", "b")]),
    Script("apop with a pattern of one's own", [OK], [("apop", "a", "b")], greeting=b"+OK [1@x]\r\n", subclass={"timestamp": re.compile(rb"\+OK (\[.*\])")}),
    Script("apop in another encoding", [OK], [("apop", "a", "caf\xe9")], subclass={"encoding": "latin-1"}),
    Script("apop with a timestamp that has no end", [], [("apop", "a", "b")], greeting=b"+OK x <1@x\r\n"),
    Script("apop with a password that is none", [], [("apop", "a", None)]),
    Script("apop without a timestamp", [], [("apop", "a", "b")], greeting=b"+OK ready\r\n"),
    Script("apop directly after OK", [], [("apop", "a", "b")], greeting=b"+OK<1@x>\r\n"),
    Script("apop with two timestamps", [OK], [("apop", "a", "b")], greeting=b"+OK <1@x> and <2@y> ok\r\n"),
    Script("apop with an empty timestamp", [OK], [("apop", "a", "b")], greeting=b"+OK x <>\r\n"),
    Script("apop with many brackets", [], [("apop", "a", "b")], greeting=b"+OK " + b"<" * 2000 + b"\r\n"),
    Script("apop with small letters", [], [("apop", "a", "b")], greeting=b"+ok <1@x>\r\n"),
    Script("capa", [b"+OK\r\nTOP\r\nSASL PLAIN LOGIN\r\nuidl\r\n.\r\n"], ["capa"]),
    Script("capa with a name twice", [b"+OK\r\nSASL PLAIN\r\nSASL LOGIN\r\n.\r\n"], ["capa"]),
    Script("capa with blanks", [b"+OK\r\n EXPIRE  60 \r\n.\r\n"], ["capa"]),
    Script("capa with an empty line", [b"+OK\r\nTOP\r\n\r\nUIDL\r\n.\r\n", OK], ["capa", "noop"]),
    Script("capa that is not ASCII", [b"+OK\r\nIMPLEMENTATION caf\xe9\r\n.\r\n", OK], ["capa", "noop"]),
    Script("capa after close", [], ["close", "capa"]),
    Script("capa with a dot", [b"+OK\r\n..X a\r\nSTLS x y\r\n.\r\n"], ["capa"]),
    Script("capa with a line too long", [b"+OK\r\n" + b"X" * 3000 + b"\r\n.\r\n"], ["capa"]),
    Script("capa refused", [b"-ERR what\r\n"], ["capa"]),
    Script("capa without end", [[b"+OK\r\nTOP\r\n", HANG_UP]], ["capa"]),
    Script("capa of nothing", [b"+OK\r\n.\r\n"], ["capa"]),
]

CAPA_STLS = b"+OK\r\nSTLS\r\n.\r\n"
STLS = [
    Script("stls", [CAPA_STLS, [OK, START_TLS], OK], ["stls", "noop", lambda c: c._tls_established, "stls"]),
    Script("stls not offered", [b"+OK\r\nTOP\r\n.\r\n"], ["stls"]),
    Script("stls without capa", [b"-ERR what\r\n"], ["stls"]),
    Script("stls refused", [CAPA_STLS, b"-ERR not now\r\n", OK], ["stls", "noop"]),
    Script("stls offered in small letters", [b"+OK\r\nstls\r\n.\r\n", [OK, START_TLS], OK], ["stls", "noop"]),
    Script("stls and something behind it", [CAPA_STLS, [OK + b"+OK injected\r\n", START_TLS], OK], ["stls", _hung_up]),
    Script("stls and no TLS", [CAPA_STLS, [OK, b"+OK this is no TLS\r\n"]], [lambda c: _tls_fails(c), _hung_up, "close"]),
    Script("stls and a certificate that nobody trusts", [CAPA_STLS, [OK, START_TLS]], [lambda c: _tls_fails(c, ssl.create_default_context()), _hung_up]),
    Script("stls with a context of one's own", [CAPA_STLS, [OK, START_TLS], OK], [lambda c: _own_context(c), "noop"]),
    Script("stls where Python has no TLS", [], [lambda c: _without_tls(c)]),
    Script("stls where TLS is there already, and Python has none", [CAPA_STLS, [OK, START_TLS]], ["stls", lambda c: _without_tls(c)]),
]


def _tls_fails(client, context=None):
    try:
        client.stls(context)
    except OSError as error:
        # What OpenSSL says differs from one version to the next.
        raise RuntimeError(type(error).__name__) from None


def _own_context(client):
    context = ssl._create_unverified_context()
    return client.stls(context=context), client.sock.context is context


def _without_tls(client):
    with unittest.mock.patch.object(_module(client), "HAVE_SSL", False):
        client.stls()


DEBUG = [
    Script("debug output of a session", [OK, OK, b"+OK 2 320\r\n", OK], [("user", "a"), ("pass_", "secret"), "stat", "quit"], debug=1),
    Script("debug output of all lines", [OK, BODY + b"a\r\n..b\r\n.\r\n"], [("pass_", "secret"), ("retr", 1)], debug=2),
    Script("debug output beyond two", [b"-ERR no\r\n"], ["noop"], debug=5),
    Script("debug output of apop", [OK], [("apop", "mrose", "tanstaaf")], debug=2),
    Script("debug output of a token", [b"+ \r\n", OK, OK], [("_shortcmd", "AUTH XOAUTH2"), ("_shortcmd", "dXNlcg=="), "noop"], debug=2),
    Script("debug output of a token in one line", [OK, OK], [("_shortcmd", "AUTH PLAIN AGEAYg=="), "noop"], debug=1),
    Script("debug output of an end", [HANG_UP], ["noop"], debug=2),
    Script("debug output of a listing", [b"+OK\r\n1 a\r\n.\r\n"], ["uidl"], debug=1),
    Script("debug output of a stat that makes no sense", [b"+OK two 320\r\n"], ["stat"], debug=1),
    Script("debug output below zero", [OK], ["noop"], debug=-1),
    Script("debug output of true", [OK], ["noop"], debug=True),
    Script("debug output of a command that cannot be sent", [OK], [("user", "\udc80"), "noop"], debug=2),
    Script("debug output of control characters", [OK], [("user", "a\tb"), "noop"], debug=1),
    Script("debug output of stls", [CAPA_STLS, [OK, START_TLS], OK], ["stls", "noop"], debug=2),
    Script("debug output of an answer of LF and CR, swapped", [b"\r+OK\n"], ["noop"], debug=2),
    Script("debug output that is turned off", [OK, OK], ["noop", ("set_debuglevel", 0), "noop"], debug=1),
    Script("debug output of a line too long", [BODY + b"x" * 3000 + b"\r\n.\r\n", OK], [("retr", 1), "noop"], debug=2),
    Script("debug output of a number of octets", [BODY + b"a\nb\n.\n"], [("retr", 1)], debug=2),
    Script("debug output and a dot of the sender's", [BODY + b"a\r\nb\n.\nc\r\n.\r\n"], [("retr", 1)], debug=2),
]

AUDIT = [
    Script("audit events", [OK, OK], [("user", "alice"), ("pass_", "secret")], audit=True),
    Script("audit events of TLS", [OK], ["noop"], tls=True, audit=True),
    Script("audit events of stls", [CAPA_STLS, [OK, START_TLS], OK], ["stls", "noop"], audit=True),
    Script("audit events of a message and of the end", [BODY + b".\r\n", OK], [("retr", 1), "quit"], audit=True),
    Script("audit events of apop", [OK], [("apop", "mrose", "tanstaaf")], audit=True),
    Script("audit events of a command that cannot be sent", [], [("user", "\udc80")], audit=True),
    Script("audit events where nobody listens", [], [], port=lambda port: _free_port(), audit=True),
    Script("audit events of a refused timeout", [], [], options={"timeout": 0}, audit=True),
]


def _logged(name):
    def method(self, *arguments):
        self.__dict__.setdefault("log", []).append(name)
        return getattr(super(type(self), self), name)(*arguments)

    return method


def _with_create_socket(self, timeout):
    return socket.create_connection((self.host, self.port), timeout)


OVERRIDES = [
    Script(
        f"a subclass with a {name} of its own",
        [OK, b"+OK\r\na\r\n.\r\n", b"+OK 1 2\r\n"],
        ["noop", ("retr", 1), "stat", lambda c: c.log],
        subclass={name: _logged(name)},
    )
    for name in ("_getline", "_getresp", "_getlongresp", "_putline", "_putcmd", "_shortcmd", "_longcmd")
] + [
    Script("a subclass with a _create_socket of its own", [OK], ["noop"], subclass={"_create_socket": _with_create_socket}),
    Script("a _getline on the instance", [b"+OK\r\na\r\n.\r\n"], [lambda c: _shout(c), ("retr", 1)]),
    Script("a _getline that raises", [b"+OK\r\na\r\n.\r\n"], [lambda c: _raises(c), ("retr", 1)]),
    Script("a _getline that tells no length", [b"+OK\r\na\r\n..b\r\n.\r\n"], [lambda c: _without_length(c), ("retr", 1)]),
    Script("a file of one's own, unbuffered", [b"+OK\r\na\r\n.\r\n"], [lambda c: setattr(c, "file", c.sock.makefile("rb", 0)), ("retr", 1)]),
    Script("a file of one's own, with a small buffer", [b"+OK\r\na\r\n.\r\n", OK], [lambda c: setattr(c, "file", c.sock.makefile("rb", 3)), ("retr", 1), "noop"]),
    Script("a file of another kind", [b"+OK\r\na\r\n.\r\n"], [lambda c: _unbuffered(c), ("retr", 1)]),
]


def _shout(client):
    ours = client._getline
    client._getline = lambda: (lambda line, octets: (line.upper(), octets))(*ours())


def _raises(client):
    def getline():
        raise LookupError("not today")

    client._getline = getline


def _without_length(client):
    ours = client._getline
    client._getline = lambda: (ours()[0], 0)


def _unbuffered(client):
    class Lines:
        def __init__(self, file):
            self.readline, self.close = file.readline, file.close

    client.file = Lines(client.file)


ALL = CONSTRUCTION + COMMANDS + NUMBERS + LINES + LENGTHS + ENDS + LOGIN + STLS + DEBUG + AUDIT + OVERRIDES
assert len({script.name for script in ALL}) == len(ALL)
