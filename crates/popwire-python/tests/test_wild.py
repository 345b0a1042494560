"""How programs use poplib, beyond its documentation: each way works with `popwire.poplib` in its place."""

import base64
import contextlib
import pickle
import select
import socket
import ssl
import struct
import threading
import time
import unittest.mock
import weakref

import popwire.poplib as poplib
import pytest
import socks

SOCKET = socket.socket
MAIL = [b"Subject: one\r\n\r\nOne.\r\n..\r\nend\r\n", b"Subject: two\r\n\r\n" + b"x" * 5000 + b"\r\n"]


@pytest.fixture
def server(pop3_server):
    return pop3_server(MAIL, mechanisms=["XOAUTH2"], tokens=["t0ken"])


def logged_in(client):
    client.user("alice")
    client.pass_("secret")
    return client


class Deadline:
    """Frappe's way: a mixin before the base that looks at the clock for each line."""

    def __init__(self, *arguments, deadline=60, **options):
        self.until = time.monotonic() + deadline
        self.lines = 0
        super().__init__(*arguments, **options)

    def _getline(self):
        self.lines += 1
        if time.monotonic() > self.until:
            raise TimeoutError("it takes too long")
        return super()._getline()


class DeadlinePOP3(Deadline, poplib.POP3):
    pass


class DeadlinePOP3_SSL(Deadline, poplib.POP3_SSL):
    pass


@pytest.mark.parametrize("kind", [DeadlinePOP3, DeadlinePOP3_SSL])
def test_a_mixin_that_looks_at_each_line(server, kind):
    port = server.port if kind is DeadlinePOP3 else server.tls_port
    client = logged_in(kind(server.host, port, timeout=5))
    before = client.lines
    assert len(client.retr(1)[1]) == 5 and client.lines == before + 7
    client.until = 0
    with pytest.raises(TimeoutError, match="too long"):
        client.retr(1)
    client.close()


def test_a_deadline_for_an_answer_that_drips(pop3_server):
    """Each line comes in time, all of them together do not."""
    server = pop3_server(MAIL, faults=["RETR#1@0:drip=5/40ms"])
    client = logged_in(DeadlinePOP3(server.host, server.port, timeout=5))
    client.until = time.monotonic() + 0.1
    with pytest.raises(TimeoutError, match="too long"):
        client.retr(1)
    client.close()


def test_lines_of_any_length_by_a_getline_of_ones_own(server):
    """The limit stands in `_getline`; a mixin that never asks it has none."""

    class AnyLength:
        def _getline(self):
            line = self.file.readline()
            if not line:
                raise poplib.error_proto("-ERR EOF")
            return line.rstrip(b"\r\n"), len(line)

    class Long(AnyLength, poplib.POP3):
        pass

    client = logged_in(Long(server.host, server.port, timeout=5))
    assert client.retr(2)[1] == [b"Subject: two", b"", b"x" * 5000] and client.retr(2)[2] == len(MAIL[1])
    assert client.retr_bytes(2) == MAIL[1]
    client.quit()


@pytest.mark.parametrize("tls", [False, True])
def test_an_init_that_never_calls_super(server, tls):
    """getmail6's way: the socket is made by the subclass."""

    class Extended(poplib.POP3_SSL if tls else poplib.POP3):
        def __init__(self, host, port):
            self.host, self.port = host, port
            self.sock = socket.create_connection((host, port), 5)
            if tls:
                context = ssl.create_default_context(cadata=server.ca_pem.decode())
                self.sock = context.wrap_socket(self.sock, server_hostname="localhost")
            self.file = self.sock.makefile("rb")
            self._debugging = 0
            self.welcome = self._getresp()

    client = logged_in(Extended(server.host, server.tls_port if tls else server.port))
    assert client.stat()[0] == 2 and client.retr_bytes(1) == MAIL[0]
    client.quit()


def test_without_host_and_welcome(server):
    """A session over a stream that has neither."""

    class Stream(poplib.POP3):
        def __init__(self, sock):
            self.sock, self.file, self._debugging = sock, sock.makefile("rb"), 0
            self._getresp()

    client = logged_in(Stream(socket.create_connection((server.host, server.port), 5)))
    assert client.retr(1)[1][0] == b"Subject: one"
    client.quit()


@contextlib.contextmanager
def socks_proxy(target):
    """A SOCKS 5 proxy (RFC 1928) for one connection, which goes to `target` whatever is asked for."""
    listener, asked = socket.create_server(("127.0.0.1", 0)), []

    def pump(source, sink):
        with contextlib.suppress(OSError):
            while octets := source.recv(65536):
                sink.sendall(octets)
            sink.shutdown(socket.SHUT_WR)

    def serve():
        client, _ = listener.accept()
        client.recv(2 + 255)
        client.sendall(b"\x05\x00")
        request = client.recv(4 + 4 + 2)
        asked.append((socket.inet_ntoa(request[4:8]), struct.unpack("!H", request[8:])[0]))
        # The module's own class is another one while this runs.
        with SOCKET() as server:
            server.connect(target)
            client.sendall(b"\x05\x00\x00\x01" + bytes(6))
            back = threading.Thread(target=pump, args=(server, client))
            back.start()
            pump(client, server)
            back.join()
        client.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with listener:
        yield listener.getsockname()[1], asked
        thread.join(5)


def test_a_proxy_by_wrapmodule(server):
    with socks_proxy((server.host, server.port)) as (port, asked):
        socks.set_default_proxy(socks.SOCKS5, "127.0.0.1", port)
        try:
            socks.wrapmodule(poplib)
            client = logged_in(poplib.POP3("192.0.2.7", 110, timeout=5))
            assert isinstance(client.sock, socks.socksocket)
            assert client.retr_bytes(2) == MAIL[1]
            client.quit()
        finally:
            poplib.socket.socket = SOCKET
            socks.set_default_proxy()
        assert asked == [("192.0.2.7", 110)]


XOAUTH2 = base64.b64encode(b"user=alice\x01auth=Bearer t0ken\x01\x01").decode()


@pytest.mark.parametrize("steps", [["AUTH XOAUTH2", XOAUTH2], [f"AUTH XOAUTH2 {XOAUTH2}"]])
def test_xoauth2_by_shortcmd(server, steps):
    client = poplib.POP3(server.host, server.port, timeout=5)
    answers = [client._shortcmd(step) for step in steps]
    assert answers[-1].startswith(b"+OK") and all(answer.startswith(b"+ ") for answer in answers[:-1])
    assert client.stat()[0] == 2
    client.quit()


def test_a_wrapper_by_a_list_of_names(server):
    """Odoo's way."""
    names = "apop capa close dele list noop pass_ quit retr rpop rset set_debuglevel stat stls top uidl user utf8".split()

    class Wrapper:
        def __init__(self, *arguments, **options):
            self.inner = poplib.POP3(*arguments, **options)
            for name in names:
                setattr(self, name, getattr(self.inner, name))

    client = logged_in(Wrapper(server.host, server.port, timeout=5))
    number, octets = client.stat()
    assert (number, octets) == (2, sum(map(len, MAIL)))
    assert b"\n".join(client.retr(1)[1]) == MAIL[0].replace(b"\r\n", b"\n")[:-1]
    client.quit()


def test_the_line_end_from_the_sum_of_octets(server):
    """Mailpile's way: which line end it was, from the difference between octets and lines."""
    client = logged_in(poplib.POP3(server.host, server.port, timeout=5))
    _, lines, octets = client.retr(1)
    end = b"\r\n" if octets - sum(map(len, lines)) == 2 * len(lines) else b"\n"
    assert end.join([*lines, b""]) == MAIL[0]
    client.quit()


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_lines_are_joined(server, end):
    """Most programs': the message from its lines, with a line end that they choose."""
    client = logged_in(poplib.POP3(server.host, server.port, timeout=5))
    lines = client.retr(1)[1]
    assert type(lines) is list and {type(line) for line in lines} == {bytes}
    whole = MAIL[0].replace(b"\r\n", end)
    assert end.join(lines) + end == end.join(lines + [b""]) == whole
    assert "\n".join(line.decode("utf-8") for line in lines).startswith("Subject: one\n\nOne.")
    client.quit()


def test_a_limit_that_is_assigned(server, monkeypatch):
    client = logged_in(poplib.POP3(server.host, server.port, timeout=5))
    with pytest.raises(poplib.error_proto, match="line too long"):
        client.retr(2)
    monkeypatch.setattr(poplib, "_MAXLINE", 65536)
    assert client.retr(2)[1][2] == b"x" * 5000
    client.quit()


def test_a_socket_of_the_subclass_and_another_name(server):
    class Pinned(poplib.POP3):
        def _create_socket(self, timeout):
            return socket.create_connection((server.host, server.port), timeout)

    client = Pinned("pop.example.org", timeout=5)
    # The name that STLS verifies is the one that stands there at that moment.
    client.host = "localhost"
    client.stls(ssl.create_default_context(cadata=server.ca_pem.decode()))
    logged_in(client)
    assert client.sock.getpeercert() and client.sock.cipher() and client.retr_bytes(1) == MAIL[0]
    client.quit()


def test_a_tls_socket_of_the_subclass(server):
    """A proxy's way: the base connects, the subclass says which name the certificate has to have."""

    class Named(poplib.POP3_SSL):
        def _create_socket(self, timeout):
            sock = socket.create_connection((server.host, server.tls_port), timeout)
            return self.context.wrap_socket(sock, server_hostname="localhost")

    context = ssl.create_default_context(cadata=server.ca_pem.decode())
    client = logged_in(Named("pop.example.org", context=context, timeout=5))
    assert client.sock.server_hostname == "localhost" and client.retr_bytes(2) == MAIL[1]
    client.quit()


def test_stls_that_borrows_another_name(server):
    class Borrowing(poplib.POP3):
        def stls(self, context=None):
            self.host, before = "localhost", self.host
            try:
                return super().stls(context)
            finally:
                self.host = before

    client = Borrowing(server.host, server.port, timeout=5)
    client.stls(ssl.create_default_context(cadata=server.ca_pem.decode()))
    assert client.sock.server_hostname == "localhost" and client.host == server.host
    logged_in(client).quit()


def test_a_name_that_is_not_in_the_certificate(server):
    client = poplib.POP3(server.host, server.port, timeout=5)
    client.host = "pop.example.org"
    with pytest.raises(ssl.CertificateError):
        client.stls(ssl.create_default_context(cadata=server.ca_pem.decode()))
    client.close()


def test_a_metaclass_that_wraps_every_method(server):
    called = []

    def wrapped(name, method):
        def call(self, *arguments):
            called.append(name)
            return method(self, *arguments)

        return call

    class Logging(type):
        def __new__(cls, name, bases, members):
            for attribute, value in vars(poplib.POP3).items():
                if callable(value) and not attribute.startswith("__") and not isinstance(value, type):
                    members.setdefault(attribute, wrapped(attribute, value))
            return super().__new__(cls, name, bases, members)

    class Logged(poplib.POP3, metaclass=Logging):
        pass

    client = logged_in(Logged(server.host, server.port, timeout=5))
    client.retr(1)
    assert called.count("_getline") == 1 + 2 + 1 + 6
    client.quit()


def test_several_bases(server):
    class Before:
        def fetch_all(self):
            return [self.retr_bytes(number + 1) for number in range(self.stat()[0])]

    class After:
        retries = 3

    class Fetcher(Before, poplib.POP3, After):
        def __enter__(self):
            return logged_in(self)

        def __exit__(self, *error):
            self.quit()

    with Fetcher(server.host, server.port, timeout=5) as client:
        assert client.fetch_all() == MAIL and client.retries == 3
    assert server.commands()[0][-1] == "QUIT"


def test_mocks():
    with unittest.mock.patch("popwire.poplib.POP3_SSL", autospec=True) as mocked:
        client = poplib.POP3_SSL("pop.example.org", 995)
        client.retr.return_value = (b"+OK", [b"a"], 3)
        assert client.retr(1)[1] == [b"a"]
        with pytest.raises(TypeError):
            client.retr()
        with pytest.raises(TypeError):
            mocked()
    with unittest.mock.patch.object(poplib.POP3, "_getline", return_value=(b"+OK", 5)):
        client = poplib.POP3.__new__(poplib.POP3)
        client._debugging = 0
        assert client._getresp() == b"+OK"
    spec = unittest.mock.create_autospec(poplib.POP3)
    spec("pop.example.org", timeout=3).top(1, 0)
    spec.return_value.top.assert_called_once_with(1, 0)
    with pytest.raises(AttributeError):
        spec.return_value.fetch


def test_a_method_that_is_replaced_on_the_class(server, monkeypatch):
    seen = []
    ours = poplib.POP3._getline

    def getline(self):
        line = ours(self)
        seen.append(line[0])
        return line

    monkeypatch.setattr(poplib.POP3, "_getline", getline)
    client = logged_in(poplib.POP3(server.host, server.port, timeout=5))
    client.retr(1)
    assert b"Subject: one" in seen
    client.quit()


def test_what_the_socket_is_used_for(server):
    client = logged_in(poplib.POP3(server.host, server.port, timeout=5))
    client.sock.settimeout(3)
    assert select.select([], [client.sock], [], 1)[1] == [client.sock]
    # Commands of one's own, and a stream of one's own to read the answer.
    client.sock.sendall(b"NOOP\r\n")
    assert select.select([client.sock], [], [], 5)[0] == [client.sock]
    with client.sock.makefile("rb") as answers:
        assert answers.readline().startswith(b"+OK")
    assert client.retr_bytes(1) == MAIL[0]
    # What was asked for is all that was read.
    assert select.select([client.sock], [], [], 0)[0] == []
    client.quit()


def test_objects_are_ordinary(server):
    client = poplib.POP3(server.host, server.port, timeout=5)
    assert weakref.ref(client)() is client and isinstance(client, poplib.POP3)
    client.note = "anything"
    assert client.__dict__["note"] == "anything" and {client: 1}[client] == 1
    with pytest.raises(TypeError):
        pickle.dumps(client)
    client.quit()


def test_errors_as_programs_look_at_them(pop3_server):
    server = pop3_server(MAIL, scripts=[("PASS", b"-ERR [SYS/TEMP] try later\r\n")])
    client = poplib.POP3(server.host, server.port, timeout=5)
    client.user("alice")
    with pytest.raises((poplib.error_proto, poplib.socket.error)) as refused:
        client.pass_("secret")
    assert refused.value.args[0].decode().startswith("-ERR") and "-ERR [SYS/TEMP]" in str(refused.value)
    client.close()


def test_a_quit_that_nobody_hears(pop3_server):
    """Odoo's way: the connection may be gone when QUIT is said, and that is an OSError or an error_proto."""
    server = pop3_server(MAIL)
    client = logged_in(poplib.POP3(server.host, server.port, timeout=5))
    server.stop()
    with pytest.raises((OSError, poplib.error_proto)):
        client.quit()
    assert client.sock is None
    client.close()


def test_the_error_is_caught_by_who_has_the_standard_one(server):
    import importlib
    import sys

    standard = sys.modules.get("poplib") or importlib.import_module("poplib")
    assert issubclass(poplib.error_proto, standard.error_proto)


def test_the_default_timeout_is_that_of_the_socket_module(server):
    socket.setdefaulttimeout(4)
    try:
        client = poplib.POP3(server.host, server.port)
        assert client.sock.gettimeout() == 4
        client.quit()
    finally:
        socket.setdefaulttimeout(None)


def test_stls_that_fails_and_a_caller_who_goes_on(server):
    """django-helpdesk's way: what it says then goes nowhere."""
    client = poplib.POP3("localhost", server.port, timeout=5)
    with pytest.raises(ssl.SSLError):
        client.stls(ssl.create_default_context())
    with pytest.raises((AttributeError, OSError)):
        client.user("alice")
    assert not any("alice" in line for session in server.commands() for line in session)


def test_stls_that_is_not_offered_and_a_caller_who_goes_on(pop3_server):
    """The same where nothing has begun: the session goes on, in the clear, as it does with poplib."""
    server = pop3_server(MAIL, scripts=[("CAPA", b"+OK\r\nUIDL\r\n.\r\n")])
    client = poplib.POP3(server.host, server.port, timeout=5)
    with pytest.raises(poplib.error_proto, match="STLS not supported"):
        client.stls()
    assert logged_in(client).stat()[0] == 2
    client.quit()
    assert "STLS" not in server.commands()[0]


def test_a_context_that_refuses_leaves_no_socket(server):
    class Refusing:
        def wrap_socket(self, sock, server_hostname):
            self.sock = sock
            raise PermissionError("not this server")

    context = Refusing()
    with pytest.raises(PermissionError):
        poplib.POP3_SSL(server.host, server.tls_port, context=context, timeout=5)
    assert context.sock.fileno() == -1


def test_a_line_without_end_has_a_bound(pop3_server, monkeypatch):
    monkeypatch.setattr(poplib, "_MAXANSWER", 100_000)
    server = pop3_server(MAIL, scripts=[("NOOP", b"+OK " + b"x" * 500_000 + b"\r\n")])
    client = logged_in(poplib.POP3(server.host, server.port, timeout=5))
    with pytest.raises(poplib.error_proto, match="line too long"):
        client.noop()
    assert client.sock is None
