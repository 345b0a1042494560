"""A drop-in for the standard library's ``poplib``, with popwire's protocol core beneath it.

    import popwire.poplib as poplib

Everything that ``poplib`` has is here under the same name and does the same: methods, attributes, exceptions, debug
output, audit events, and the inner methods that subclasses override. Sockets and TLS contexts are Python's own. What it
mends is listed in docs/poplib.md: a message that was cut off is never taken for a whole one, a sender cannot end a
message with a line of its own, nothing can be smuggled into a command, a line that is too long does not confuse the
session, a socket is not leaked, and a password is not printed.

What it has beside ``poplib``: ``with``, :meth:`POP3.auth`, :meth:`POP3.retr_bytes`, :meth:`POP3.retr_into`,
:meth:`POP3.iter_retr`, and :func:`install`, which gives it to programs that say ``import poplib``.

The names that begin with an underscore are part of what programs use; they are to stay as they are.
"""

import errno  # noqa: F401  (programs say poplib.errno)
import functools
import hashlib
import io
import os
import poplib as _stdlib
import re
import socket
import sys
import warnings

try:
    import ssl

    HAVE_SSL = True
except ImportError:
    HAVE_SSL = False

from popwire._native import Reader as _Reader
from popwire._retrieval import Retrieval as _Retrieval
from popwire._sasl import converse as _converse

__all__ = ["POP3", "error_proto"]

POP3_PORT = 110
POP3_SSL_PORT = 995
CR = b"\r"
LF = b"\n"
CRLF = CR + LF

#: The longest line, its end included, in octets. It is looked up anew for each line, so that assigning to it works at
#: once. :meth:`POP3.retr_bytes` and its like know no such limit.
_MAXLINE = 2048

#: Octets of the stream's buffer: so that a small message comes with its status line.
_BUFFER = 1 << 16

#: The most octets of one answer: a server must not fill the memory. Looked up for each answer.
_MAXANSWER = 2 << 30

#: Whether certificates are verified where no context is given. poplib does not; a program that can should.
VERIFY = os.environ.get("POPWIRE_POPLIB_VERIFY", "") not in ("", "0")


class error_proto(_stdlib.error_proto):
    """What the server said was no, or no POP3.

    Its argument is the server's line as ``bytes``, or a ``str`` if there is no such line.
    """


class POP3:
    """A session with a POP3 server (RFC 1939). The connection is made, and the greeting read, at once.

    ``timeout`` is in seconds and for each wait by itself; without it, ``socket.setdefaulttimeout`` decides. A message is
    deleted when the server has confirmed :meth:`quit`, and not before. As a context manager it says QUIT at the end; after
    an exception it only hangs up, which deletes nothing.
    """

    #: How commands are encoded.
    encoding = "UTF-8"
    #: What of the greeting APOP takes.
    timestamp = re.compile(rb"\+OK.[^<]*(<.*>)")
    #: Whether debug output shows ``********`` in place of passwords, tokens and digests.
    hide_secrets = True

    # Both are set on an instance only as long as they are needed: its attributes are those of poplib.
    _in_sasl = False
    _retrieval = None

    def __init__(self, host, port=POP3_PORT, timeout=socket._GLOBAL_DEFAULT_TIMEOUT):
        self.host = host
        self.port = port
        self._tls_established = False
        sys.audit("poplib.connect", self, host, port)
        self.sock = self._create_socket(timeout)
        try:
            self.file = self.sock.makefile("rb", _BUFFER)
            self._debugging = 0
            self.welcome = self._getresp()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is None and self.sock is not None:
            self.quit()
        else:
            self.close()

    def _create_socket(self, timeout):
        if timeout is not None and not timeout:
            raise ValueError("Non-blocking socket (timeout=0) is not supported")
        return socket.create_connection((self.host, self.port), timeout)

    # ---- commands out

    def _putline(self, line):
        if self._retrieval is not None:
            self._retrieval.absorb()
        if self._debugging > 1:
            print("*put*", repr(self._shown(line)))
        sys.audit("poplib.putline", self, line)
        self.sock.sendall(line + CRLF)

    def _putcmd(self, line):
        if self._debugging:
            print("*cmd*", repr(self._shown(line)))
        octets = bytes(line, self.encoding)
        if _CONTROL.search(octets):
            raise ValueError("Control characters not allowed in commands")
        self._putline(octets)
        if octets[:5].upper() == b"AUTH ":
            self._in_sasl = True

    def _shown(self, line):
        """A command as debug output shows it."""
        if not self.hide_secrets:
            return line
        if isinstance(line, bytes):
            return self._shown(line.decode("latin-1")).encode("latin-1")
        if self._in_sasl:
            return _STARS
        words = line.split(" ", 2)
        verb = words[0].upper()
        if verb == "PASS":
            return f"{words[0]} {_STARS}"
        if verb in ("APOP", "AUTH") and len(words) > 2:
            return f"{words[0]} {words[1]} {_STARS}"
        return line

    def _argument(self, value):
        """An argument as text: of octets those octets, of everything else what ``str`` makes of it."""
        return value.decode(self.encoding) if isinstance(value, bytes) else str(value)

    # ---- answers in

    def _getline(self):
        """The next line without its end, and its length with it."""
        line = self.file.readline(_MAXLINE + 1)
        if len(line) > _MAXLINE:
            self._skip_line(line)
        if self._debugging > 1:
            print("*get*", repr(line))
        if not line.endswith(LF):
            # A line that the end of the connection has cut short is none.
            raise error_proto("-ERR EOF")
        if line.endswith(CRLF):
            return line[:-2], len(line)
        if line.startswith(CR):
            return _BehindCR(line[1:-1]), len(line)
        return line[:-1], len(line)

    def _skip_line(self, begin):
        """Reads a line that is too long to its end, so that what follows is in step."""
        error = error_proto("line too long")
        # Whether an answer of many lines follows is told by the first octet of its first.
        error.begins_with = begin[:1]
        octets, tail = len(begin), begin[-2:]
        while not tail.endswith(LF):
            more = self.file.readline(65536)
            if not more:
                break
            octets += len(more)
            tail = (tail + more)[-2:]
            if octets > _MAXANSWER:
                self.close()
                break
        error.end = CRLF if tail == CRLF else LF
        raise error

    def _getresp(self):
        resp, _ = self._getline()
        if self._debugging > 1:
            print("*resp*", repr(resp))
        if self._in_sasl and resp[:2] not in (b"+", b"+ "):
            del self._in_sasl
        if not resp.startswith(b"+"):
            raise error_proto(resp)
        return resp

    def _getlongresp(self):
        try:
            resp = self._getresp()
        except error_proto as error:
            if getattr(error, "begins_with", None) == b"+":
                self._getlines()
            raise
        lines, octets = self._getlines()
        return resp, lines, octets

    def _getlines(self):
        """The lines of an answer up to its terminator, and how many octets they are with their ends."""
        reader = self._reader()
        if reader is None:
            lines = list(self._walk())
            return [line for line, _, _ in lines], sum(octets for _, octets, _ in lines)
        lines, octets = self._ask(reader.lines, _MAXLINE)
        self._put_back(reader)
        if lines is None:
            raise error_proto("line too long")
        return lines, octets

    def _walk(self):
        """Each line of an answer by :meth:`_getline`: the line, how many octets it is with its end, and those octets.

        The end and the dots are told as the reader of large pieces tells them: the first line shows how lines end. Where
        that is CRLF, a line begins behind CRLF only, and what a dot behind a bare LF is, is the sender's.
        """
        style, at_start, too_long = None, True, None
        while True:
            try:
                line, octets = self._getline()
            except error_proto as error:
                if not hasattr(error, "begins_with"):
                    raise
                # To the answer's end, so that the session stays in step.
                too_long = error
                style = style or error.end
                at_start = style == LF or error.end == CRLF
                continue
            before = CR if isinstance(line, _BehindCR) else b""
            end = LF if before or octets - len(line) != 2 else CRLF
            style = style or end
            if at_start and not before:
                if line == b"." and (style == LF or end == CRLF):
                    break
                if line.startswith(b".."):
                    line, octets = line[1:], octets - 1
            at_start = style == LF or end == CRLF
            yield bytes(line), octets, before + line + end
        if too_long is not None:
            raise too_long

    def _reader(self):
        """What reads an answer in large pieces; None if somebody wants to see each line, or has a stream of his own."""
        overridden = type(self)._getline is not _GETLINE or "_getline" in self.__dict__
        if overridden or self._debugging > 1 or type(self.file) is not io.BufferedReader:
            return None
        return _Reader(self.file, _MAXANSWER)

    def _ask(self, read, *arguments):
        """What the reader reads; its errors as those of poplib."""
        try:
            return read(*arguments)
        except EOFError:
            raise error_proto("-ERR EOF") from None
        except OverflowError as error:
            # Nobody wants to wait for its end.
            self.close()
            raise error_proto(str(error)) from None
        except OSError:
            # The stream itself refuses to go on.
            raise
        except BaseException:
            # In the middle of an answer: what comes next would be taken for another.
            self.close()
            raise

    def _may_run_ahead(self):
        """Whether nobody but us has a hand in how commands go out and answers come in."""
        ours = all(getattr(type(self), name) is inner for name, inner in _INNER.items())
        return ours and not _INNER.keys() & self.__dict__.keys() and self._reader() is not None

    def _putahead(self, lines, retrieval):
        """Commands whose answers the retrieval is going to hear."""
        if self._retrieval not in (None, retrieval):
            self._retrieval.absorb()
        octets = [bytes(line, self.encoding) for line in lines]
        for line, command in zip(lines, octets):
            if self._debugging:
                print("*cmd*", repr(line))
            if _CONTROL.search(command):
                raise ValueError("Control characters not allowed in commands")
            sys.audit("poplib.putline", self, command)
        self._retrieval = retrieval
        self.sock.sendall(CRLF.join(octets) + CRLF)

    def _retrieval_is_over(self, retrieval):
        if self._retrieval is retrieval:
            del self._retrieval

    def _put_back(self, reader):
        """Gives the stream what the reader has read of the next answer: a server said something without being asked."""
        ahead = reader.unread()
        if ahead:
            self.file = io.BufferedReader(_Ahead(ahead, self.file))

    def _shortcmd(self, line):
        self._putcmd(line)
        return self._getresp()

    def _longcmd(self, line):
        self._putcmd(line)
        return self._getlongresp()

    # ---- the commands of RFC 1939 and its extensions

    def getwelcome(self):
        """The server's greeting, as it came, without its line end."""
        return self.welcome

    def set_debuglevel(self, level):
        """What is printed: 0 nothing, 1 each command, 2 and more each line in both directions. Secrets are starred."""
        self._debugging = level

    def user(self, user):
        """Names the user; the answer usually asks for the password."""
        return self._shortcmd("USER %s" % self._argument(user))

    def pass_(self, pswd):
        """Gives the password. The mailbox is locked from now on until :meth:`quit`."""
        return self._shortcmd("PASS %s" % self._argument(pswd))

    def stat(self):
        """How many messages there are, and how many octets they have together."""
        resp = self._shortcmd("STAT")
        fields = resp.split()
        if self._debugging:
            print("*stat*", repr(fields))
        if len(fields) < 3:
            raise error_proto("Invalid STAT response format")
        try:
            return int(fields[1]), int(fields[2])
        except ValueError:
            raise error_proto("Invalid STAT response data: non-numeric values") from None

    def list(self, which=None):
        """The scan listing of one message, as the server's line; without a number ``(response, lines, octets)`` of all."""
        if which is not None:
            return self._shortcmd("LIST %s" % self._argument(which))
        return self._longcmd("LIST")

    def retr(self, which):
        """A whole message: ``(response, lines, octets)``, the lines without their ends. See also :meth:`retr_bytes`."""
        return self._longcmd("RETR %s" % self._argument(which))

    def dele(self, which):
        """Marks a message as deleted. It is deleted once the server has confirmed :meth:`quit`."""
        return self._shortcmd("DELE %s" % self._argument(which))

    def noop(self):
        """Does nothing, and keeps the server from hanging up."""
        return self._shortcmd("NOOP")

    def rset(self):
        """Takes back the marks of :meth:`dele`."""
        return self._shortcmd("RSET")

    def quit(self):
        """Ends the session: the marked messages are deleted, the mailbox unlocked, the connection closed.

        An exception means that the server has not confirmed it; the connection is closed all the same.
        """
        try:
            return self._shortcmd("QUIT")
        finally:
            self.close()

    def close(self):
        """Hangs up without QUIT, which deletes nothing. It may be called at any time, and raises nothing."""
        file, sock = getattr(self, "file", None), getattr(self, "sock", None)
        self.file = self.sock = None
        if self._retrieval is not None:
            del self._retrieval
        try:
            if file is not None:
                file.close()
        except OSError:
            pass
        finally:
            if sock is not None:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    # The other side was faster, or there is no connection any more.
                    pass
                finally:
                    sock.close()

    def rpop(self, user):
        """Logs in by the address of this machine alone, where a server still allows that (RFC 1081)."""
        return self._shortcmd("RPOP %s" % self._argument(user))

    def apop(self, user, password):
        """Logs in without the password on the wire, by MD5 (RFC 1939 section 7). TLS is the better protection."""
        secret = password if isinstance(password, bytes) else bytes(password, self.encoding)
        found = self.timestamp.match(self.welcome)
        if not found:
            raise error_proto("-ERR APOP not supported by server")
        digest = hashlib.md5(found.group(1) + secret, usedforsecurity=False).hexdigest()
        return self._shortcmd("APOP %s %s" % (self._argument(user), digest))

    def top(self, which, howmuch):
        """A message's header and so many lines of its body: ``(response, lines, octets)``."""
        return self._longcmd("TOP %s %s" % (self._argument(which), self._argument(howmuch)))

    def uidl(self, which=None):
        """A message's unique-id, as the server's line; without a number ``(response, lines, octets)`` of all."""
        if which is not None:
            return self._shortcmd("UIDL %s" % self._argument(which))
        return self._longcmd("UIDL")

    def utf8(self):
        """Asks for UTF-8 mode (RFC 6856)."""
        return self._shortcmd("UTF8")

    def capa(self):
        """What the server can do: a dict of name and list of arguments (RFC 2449)."""
        capabilities = {}
        try:
            for line in self._longcmd("CAPA")[1]:
                name, *arguments = line.decode("ascii", "surrogateescape").split() or [None]
                if name is not None:
                    capabilities[name] = arguments
        except error_proto:
            raise error_proto("-ERR CAPA not supported by server")
        return capabilities

    def stls(self, context=None):
        """Starts TLS on this connection (RFC 2595). Without a context of yours, the certificate is not verified."""
        if not HAVE_SSL:
            raise error_proto("-ERR TLS support missing")
        if self._tls_established:
            raise error_proto("-ERR TLS session already established")
        if "STLS" not in (name.upper() for name in self.capa()):
            raise error_proto("-ERR STLS not supported by server")
        if context is None:
            context = _default_context()
        resp = self._shortcmd("STLS")
        try:
            self._check_no_plaintext()
            self.sock = context.wrap_socket(self.sock, server_hostname=self.host)
        except BaseException:
            self.close()
            raise
        self.file = self.sock.makefile("rb", _BUFFER)
        self._tls_established = True
        return resp

    def _check_no_plaintext(self):
        """What came behind the answer to STLS came from nobody knows whom, and would be taken for the server's."""
        if type(self.file) is not io.BufferedReader:
            return
        timeout = self.sock.gettimeout()
        self.sock.settimeout(0)
        try:
            ahead = self.file.peek(1)
        finally:
            self.sock.settimeout(timeout)
        if ahead:
            raise error_proto("-ERR data before the TLS handshake")

    # ---- what poplib has not

    def auth(self, mechanism, authobject=None, *, initial_response_ok=True, user="", password=None, token=None):
        """Logs in by SASL (RFC 5034).

        With ``authobject`` as in ``smtplib``: it is called with each challenge (``bytes``), or with nothing for the
        initial response, and returns the response (``str`` or ``bytes``; None: there is no initial response). Without it,
        the mechanism is popwire's, with ``user`` and ``password`` or ``token``: PLAIN, LOGIN, CRAM-MD5, DIGEST-MD5,
        SCRAM-SHA-1, SCRAM-SHA-256, SCRAM-SHA-512, XOAUTH2, OAUTHBEARER, EXTERNAL, ANONYMOUS and NTLM.

        Returns the server's line. :class:`error_proto` if the server refuses, or if it fails to prove itself where the
        mechanism demands that; ``ValueError`` if the credentials do not fit the mechanism, or the challenge does not.
        """
        return _converse(self, mechanism, authobject, initial_response_ok, user, password, token, error_proto)

    def retr_bytes(self, which):
        """A whole message as the server has it, in one piece and with its line ends."""
        self._putcmd("RETR %s" % self._argument(which))
        return self._message()

    def _message(self):
        resp = self._getresp()
        reader = self._reader()
        if reader is None:
            return b"".join(wire for _, _, wire in self._walk())
        message = self._ask(reader.message, resp)
        self._put_back(reader)
        return message

    def retr_into(self, which, file):
        """Writes a whole message to ``file``, piece by piece as it comes, and returns how many octets it has.

        If it raises, what was written is not the whole message.
        """
        self._putcmd("RETR %s" % self._argument(which))
        self._getresp()
        reader = self._reader()
        if reader is None:
            chunks = (wire for _, _, wire in self._walk())
        else:
            chunks = iter(functools.partial(self._ask, reader.chunk), None)
        octets, failed = 0, None
        for chunk in chunks:
            octets += len(chunk)
            try:
                if failed is None:
                    file.write(chunk)
            except BaseException as error:
                # The message is read to its end, so that the session stays in step.
                failed = error
        if reader is not None:
            self._put_back(reader)
        if failed is not None:
            raise failed
        return octets

    def iter_retr(self, numbers, *, pipelining=None):
        """Whole messages, as an iterator of ``(number, bytes)`` in the order of ``numbers``.

        Where the server announces PIPELINING (RFC 2449 section 6.6), commands run ahead of the answers, so that a server far
        away is waited for once and not once for each message. ``pipelining=True`` insists on it, ``False`` does without.

        A message that the server refuses raises :class:`error_proto` for itself only: ``next`` goes on with the one after
        it. Other commands may be used in between; the messages that are under way are kept in memory then.
        """
        if pipelining is None:
            try:
                pipelining = "PIPELINING" in (name.upper() for name in self.capa())
            except error_proto:
                pipelining = False
        return _Retrieval(self, numbers, pipelining, error_proto)


#: What the methods are compared with, to see whether somebody has put his own in their place.
_INNER = {name: getattr(POP3, name) for name in ("_putline", "_putcmd", "_getline", "_getresp", "_shortcmd")}
_GETLINE = POP3._getline
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_STARS = "********"


class _BehindCR(bytes):
    """A line that began with CR and ended in a bare LF: of servers that swap the two, or of a sender who plays tricks."""


class _Ahead(io.RawIOBase):
    """A stream with some octets before it."""

    def __init__(self, ahead, file):
        self._ahead = ahead
        self._file = file

    def readable(self):
        return True

    def readinto(self, buffer):
        if not self._ahead:
            return self._file.readinto1(buffer)
        taken = self._ahead[: len(buffer)]
        buffer[: len(taken)] = taken
        self._ahead = self._ahead[len(taken) :]
        return len(taken)

    def close(self):
        if not self.closed:
            super().close()
            self._file.close()


if HAVE_SSL:

    class POP3_SSL(POP3):
        """A session within TLS from the first octet.

        Without a ``context`` of yours the certificate is **not** verified, as in ``poplib``: set
        ``popwire.poplib.VERIFY = True``, or give ``ssl.create_default_context()``.
        """

        if sys.version_info >= (3, 12):

            def __init__(self, host, port=POP3_SSL_PORT, *, timeout=socket._GLOBAL_DEFAULT_TIMEOUT, context=None):
                self._begin(host, port, timeout, context)

        else:

            def __init__(
                self,
                host,
                port=POP3_SSL_PORT,
                keyfile=None,
                certfile=None,
                timeout=socket._GLOBAL_DEFAULT_TIMEOUT,
                context=None,
            ):
                for name, value in (("keyfile", keyfile), ("certfile", certfile)):
                    if context is not None and value is not None:
                        raise ValueError(f"context and {name} arguments are mutually exclusive")
                if keyfile is not None or certfile is not None:
                    warnings.warn("keyfile and certfile are deprecated, use a custom context instead", DeprecationWarning, 2)
                    if keyfile and not certfile:
                        raise ValueError("certfile must be specified")
                    context = _default_context()
                    context.load_cert_chain(certfile, keyfile)
                self.keyfile = keyfile
                self.certfile = certfile
                self._begin(host, port, timeout, context)

        def _begin(self, host, port, timeout, context):
            self.context = _default_context() if context is None else context
            POP3.__init__(self, host, port, timeout)

        def _create_socket(self, timeout):
            sock = POP3._create_socket(self, timeout)
            try:
                return self.context.wrap_socket(sock, server_hostname=self.host)
            except BaseException:
                sock.close()
                raise

        if sys.version_info >= (3, 12):

            def stls(self, context=None):
                """Is never possible: TLS is there already."""
                raise error_proto("-ERR TLS session already established")

        else:

            def stls(self, keyfile=None, certfile=None, context=None):
                """Is never possible: TLS is there already."""
                raise error_proto("-ERR TLS session already established")

    __all__.append("POP3_SSL")


def _default_context():
    if VERIFY:
        return ssl.create_default_context()
    return ssl._create_stdlib_context()


def install():
    """Puts this module in the place of ``poplib``: whoever says ``import poplib`` from now on gets it.

    Call it before the program imports ``poplib``. What has been imported from there already stays what it was;
    ``except poplib.error_proto`` catches the errors of both.
    """
    sys.modules["poplib"] = sys.modules[__name__]
