"""One wire script, and what a client makes of it.

A script is a conversation from the server's side, and what the client is asked to do. It is played over a real socket to
`poplib` and to `popwire.poplib`, and everything that a caller can see is noted: what each step returned or raised, what was
printed, the audit events, and the octets that the server received.
"""

import contextlib
import io
import pathlib
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from typing import Any, Callable, NamedTuple, Sequence, Tuple, Union

GREETING = b"+OK ready <1896.697170952@dbc.mtview.ca.us>\r\n"

#: In place of an answer: hang up, wait, or start TLS.
HANG_UP = object()
SILENCE = object()
START_TLS = object()

Step = Union[str, Tuple[Any, ...], Callable[[Any], Any]]


class Script(NamedTuple):
    """What is played."""

    name: str
    #: After the greeting one entry for each line that the client sends: octets, or one of the above, or seconds to wait, or
    #: several of these.
    answers: Sequence[Any]
    #: What the client does: a method's name, or a tuple of it and its arguments, or a function of the client.
    steps: Sequence[Step]
    greeting: Any = GREETING
    #: For the constructor: what follows the port, and what is given by name.
    arguments: Tuple[Any, ...] = ()
    options: dict = {}
    host: Any = "127.0.0.1"
    #: What is made of the server's port.
    port: Callable[[int], Any] = int
    #: Assigned to the module before and taken back after.
    maxline: Any = None
    debug: int = 0
    #: The server speaks TLS from the first octet, and the client is POP3_SSL.
    tls: bool = False
    #: Attributes of a subclass that is used in place of POP3.
    subclass: Any = None
    #: Note the audit events.
    audit: bool = False


class Seen(NamedTuple):
    """What a caller saw of it."""

    results: list
    printed: str
    received: bytes
    audited: list


def places(seen):
    """It by place, as `differences.py` has it: each step's outcome, the constructor's being 0, and the rest."""
    return {**dict(enumerate(seen.results)), **{name: getattr(seen, name) for name in ("printed", "received", "audited")}}


def play(script, module):
    server = _Server(script)
    results, printed, audited = [], io.StringIO(), []
    before = module._MAXLINE
    if script.maxline is not None:
        module._MAXLINE = script.maxline
    _AUDITED.append(audited if script.audit else None)
    client = None
    try:
        with contextlib.redirect_stdout(printed), warnings.catch_warnings():
            # poplib leaves sockets open; and a key and certificate by name went out of use with Python 3.12.
            warnings.simplefilter("ignore", ResourceWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            client, outcome = _outcome(lambda: _connect(script, module, server))
            results.append(outcome if client is None else _attributes(client))
            if client is not None:
                if script.debug:
                    client.set_debuglevel(script.debug)
                for step in script.steps:
                    results.append(_outcome(lambda: _do(client, step))[1])
    finally:
        _AUDITED.pop()
        module._MAXLINE = before
        for leftover in ("file", "sock"):
            if getattr(client, leftover, None) is not None:
                with contextlib.suppress(OSError):
                    getattr(client, leftover).close()
    return Seen(results, printed.getvalue(), server.received(), audited)


def _connect(script, module, server):
    base = module.POP3_SSL if script.tls else module.POP3
    client_class = type("Client", (base,), script.subclass) if script.subclass else base
    options = script.options if script.arguments else {"timeout": 5, **script.options}
    return client_class(script.host, script.port(server.port), *script.arguments, **options)


def _do(client, step):
    if callable(step):
        return step(client)
    name, *arguments = (step,) if isinstance(step, str) else step
    return getattr(client, name)(*arguments)


def _outcome(work):
    try:
        value = work()
    except Exception as error:
        kind = next(c for c in type(error).__mro__ if c.__module__ != "popwire.poplib" or c.__name__ != "error_proto")
        return None, ("raised", kind.__name__, error.args)
    return value, ("returned", value)


def _attributes(client):
    """The constructor's outcome: which attributes there are, and those of them that can be compared."""
    plain = {"host", "_debugging", "_tls_established", "welcome", "encoding"}
    return sorted(client.__dict__), {name: getattr(client, name) for name in plain}


# ---- audit events: a hook cannot be taken away, so there is one that looks whether anybody listens

_AUDITED: list = [None]


def _hook(event, arguments):
    if event.startswith("poplib.") and _AUDITED[-1] is not None:
        # The client itself is another in each run, and so is the port.
        _AUDITED[-1].append((event, [a for a in arguments[1:] if not isinstance(a, int)]))


sys.addaudithook(_hook)


# ---- the server's side


class _Server:
    """Plays the server's part in a thread of its own."""

    def __init__(self, script):
        self._script = script
        self._received = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(5)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def received(self):
        """What the client has sent in the clear, or within TLS from the first octet."""
        # Should nobody have called, somebody does now.
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join(10)
        self._listener.close()
        return self._received.partition(b"\x16\x03")[0]

    def _run(self):
        connection, _ = self._listener.accept()
        with connection, contextlib.suppress(OSError, ValueError):
            connection.settimeout(2)
            self._begin(_context().wrap_socket(connection, server_side=True) if self._script.tls else connection)
            try:
                self._converse()
            finally:
                self._lines.close()
                self._connection.close()

    def _begin(self, connection):
        self._connection, self._lines = connection, connection.makefile("rb")

    def _converse(self):
        if not self._say(self._script.greeting):
            return
        for answer in self._script.answers:
            if not self._hear() or not self._say(answer):
                return
        while self._hear():
            self._say(b"-ERR the script is over\r\n")

    def _hear(self):
        line = self._lines.readline()
        self._received += line
        return line

    def _say(self, answer):
        for part in answer if isinstance(answer, (list, tuple)) else [answer]:
            if part is HANG_UP:
                return False
            if part is SILENCE:
                self._hear()
                return False
            if isinstance(part, float):
                time.sleep(part)
            elif part is START_TLS:
                self._begin(_context().wrap_socket(self._connection, server_side=True))
            else:
                self._connection.sendall(part)
        return True


_CONTEXT = []


def _context():
    """A server's context with a certificate that nobody trusts."""
    if not _CONTEXT:
        with tempfile.TemporaryDirectory() as place:
            key, certificate = pathlib.Path(place, "key"), pathlib.Path(place, "certificate")
            command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
            subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, stderr=subprocess.DEVNULL)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            _CONTEXT.append(context)
    return _CONTEXT[0]
