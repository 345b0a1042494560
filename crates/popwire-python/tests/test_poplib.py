"""What `popwire.poplib` has beside poplib, and what it mends; the differences by wire script are in `differential/`."""

import io
import socket
import ssl
import subprocess
import sys
import threading
import time

import popwire.poplib as poplib
import pytest

MAIL = [b"Subject: %d\r\n\r\n%s\r\n.\r\n" % (n, b"." * (n % 90)) for n in range(1, 601)]
LARGE = b"Subject: large\r\n\r\n" + b".0123456789abcdef\r\n" * 200_000


def connect(server, **options):
    return poplib.POP3(server.host, server.port, timeout=5, **options)


def logged_in(server):
    client = connect(server)
    client.user("alice")
    client.pass_("secret")
    return client


class EachLine(poplib.POP3):
    """Sees each line, so that nothing is read in large pieces."""

    def _getline(self):
        return super()._getline()


# ---- with


def test_with_commits_and_an_exception_does_not(pop3_server):
    server = pop3_server(MAIL[:3])
    with pytest.raises(KeyError):
        with logged_in(server) as client:
            client.dele(1)
            raise KeyError
    assert server.wait_closed(1) and len(server.messages()) == 3
    with logged_in(server) as client:
        client.dele(1)
    assert server.messages() == MAIL[1:3] and client.sock is None
    with logged_in(server) as client:
        client.quit()


# ---- whole messages


@pytest.mark.parametrize("kind", [poplib.POP3, EachLine])
def test_a_message_in_one_piece(pop3_server, kind):
    server = pop3_server([*MAIL[:90], LARGE])
    client = kind(server.host, server.port, timeout=5)
    client.user("alice")
    client.pass_("secret")
    assert [client.retr_bytes(n) for n in range(1, 92)] == [*MAIL[:90], LARGE]
    with pytest.raises(poplib.error_proto):
        client.retr_bytes(1000)
    file = io.BytesIO()
    assert client.retr_into(91, file) == len(LARGE) and file.getvalue() == LARGE
    client.quit()


@pytest.mark.parametrize("kind", [poplib.POP3, EachLine])
@pytest.mark.parametrize("verbatim", [b"a\nb\n\n.\n", b"..a\n...\n.\n", b".\n", b"a\r\nb\n.\nc\r\n.\r\n", b"\r\n.\r\n", b".x\r\n.\r\n"])
def test_line_ends_stay_as_they_are(pop3_server, kind, verbatim):
    server = pop3_server(scripts=[("RETR", b"+OK\r\n" + verbatim)])
    client = kind(server.host, server.port, timeout=5)
    client.user("alice")
    client.pass_("secret")
    message = client.retr_bytes(1)
    _, lines, octets = client.retr(1)
    assert len(message) == octets
    assert message.replace(b"\r\n", b"\n") == b"".join(line + b"\n" for line in b"\n".join(lines).split(b"\n") if lines)
    assert client.noop().startswith(b"+OK")
    client.quit()


@pytest.mark.parametrize("size", ["", "10 octets", "3600019 octets", "99999999 octets", "99999999999999999999999 octets"])
def test_the_announced_size_is_a_hint(pop3_server, size):
    stuffed = LARGE.replace(b"\r\n.", b"\r\n..") + b".\r\n"
    client = logged_in(pop3_server(scripts=[("RETR", b"+OK " + size.encode() + b"\r\n" + stuffed)]))
    assert client.retr_bytes(1) == LARGE
    assert client.noop().startswith(b"+OK")
    client.quit()


def test_a_file_that_fails_costs_the_message_only(pop3_server):
    class Full(io.RawIOBase):
        def write(self, octets):
            raise OSError(28, "No space left on device")

    with logged_in(pop3_server([LARGE])) as client:
        with pytest.raises(OSError, match="No space"):
            client.retr_into(1, Full())
        assert client.noop().startswith(b"+OK")


def test_an_answer_without_end_has_a_bound(pop3_server, monkeypatch):
    monkeypatch.setattr(poplib, "_MAXANSWER", 100_000)
    client = logged_in(pop3_server([LARGE]))
    with pytest.raises(poplib.error_proto, match="too large"):
        client.retr(1)
    assert client.sock is None


def test_other_threads_run_while_a_message_comes(pop3_server):
    server = pop3_server([LARGE], faults=["RETR#1@1000000:stall=1s"])
    client, ticks = logged_in(server), []

    def tick():
        for _ in range(50):
            ticks.append(time.monotonic())
            time.sleep(0.01)

    thread = threading.Thread(target=tick)
    thread.start()
    assert client.retr_bytes(1) == LARGE
    thread.join()
    assert max(b - a for a, b in zip(ticks, ticks[1:])) < 0.5
    client.quit()


# ---- iter_retr


@pytest.mark.parametrize("pipelining", [None, True, False])
def test_many_messages_in_order(pop3_server, pipelining):
    server = pop3_server(MAIL)
    with logged_in(server) as client:
        numbers = list(range(1, 601))
        assert list(client.iter_retr(numbers, pipelining=pipelining)) == list(zip(numbers, MAIL))
        assert client.noop().startswith(b"+OK")


def test_other_commands_in_between(pop3_server):
    server = pop3_server(MAIL)
    with logged_in(server) as client:
        for number, message in client.iter_retr(range(1, 601)):
            assert message == MAIL[number - 1]
            client.dele(number)
    assert server.messages() == []


def test_an_iterator_may_be_left(pop3_server):
    with logged_in(pop3_server(MAIL)) as client:
        for number, _ in client.iter_retr(range(1, 601)):
            if number == 7:
                break
        assert client.stat()[0] == 600
        # Two at a time.
        one, other = client.iter_retr(range(1, 301)), client.iter_retr(range(301, 601))
        for first, second in zip(one, other):
            assert first[1] == MAIL[first[0] - 1] and second[1] == MAIL[second[0] - 1]


def test_a_refusal_costs_one_message(pop3_server):
    with logged_in(pop3_server(MAIL)) as client:
        messages = client.iter_retr([1, 9999, 2, "3"])
        assert next(messages) == (1, MAIL[0])
        with pytest.raises(poplib.error_proto):
            next(messages)
        assert list(messages) == [(2, MAIL[1]), ("3", MAIL[2])]


def test_commands_run_ahead_only_where_that_is_announced(pop3_server):
    server = pop3_server(MAIL[:4], quirks=["capa=err"])
    with logged_in(server) as client:
        assert len(list(client.iter_retr([1, 2, 3, 4]))) == 4


def test_whoever_sees_commands_sees_these_too(pop3_server):
    class Seeing(poplib.POP3):
        lines = ()

        def _putcmd(self, line):
            self.lines += (line,)
            super()._putcmd(line)

    server = pop3_server(MAIL[:3])
    with Seeing(server.host, server.port, timeout=5) as client:
        client.user("alice")
        client.pass_("secret")
        assert [m for _, m in client.iter_retr([1, 2, 3])] == MAIL[:3]
        assert [line for line in client.lines if line.startswith("RETR")] == ["RETR 1", "RETR 2", "RETR 3"]


def test_the_connection_ends_within(pop3_server):
    client = logged_in(pop3_server(MAIL, faults=["RETR#5@10:close"]))
    messages = client.iter_retr(range(1, 100))
    with pytest.raises((poplib.error_proto, ConnectionError)):
        for number, message in messages:
            assert message == MAIL[number - 1]
    assert number == 4 and list(messages) == []
    client.close()


def test_nothing_is_smuggled_into_a_number(pop3_server):
    server = pop3_server(MAIL[:3])
    with logged_in(server) as client:
        with pytest.raises(ValueError):
            list(client.iter_retr(["1", "2\r\nDELE 3"], pipelining=True))
        client.close()
    assert not any("DELE" in line for line in server.commands()[0])


# ---- auth


@pytest.mark.parametrize(
    "mechanism", ["PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512", "NTLM"]
)
@pytest.mark.parametrize("initial", [True, False])
def test_login_by_password(pop3_server, mechanism, initial):
    server = pop3_server(MAIL[:3], mechanisms=[mechanism])
    with connect(server) as client:
        assert client.auth(mechanism.lower(), user="alice", password="secret", initial_response_ok=initial).startswith(b"+OK")
        assert client.stat()[0] == 3
    with connect(server) as client:
        with pytest.raises(poplib.error_proto) as refused:
            client.auth(mechanism, user="alice", password="wr0ng", initial_response_ok=initial)
        assert "wr0ng" not in str(refused.value)


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
@pytest.mark.parametrize("length", [10, 3000])
def test_login_by_token(pop3_server, mechanism, length):
    server = pop3_server(MAIL[:3], mechanisms=[mechanism], tokens=["t" * length])
    with connect(server) as client:
        client.auth(mechanism, user="alice", token="t" * length)
        assert client.stat()[0] == 3
    # A line that is too long goes out when the server asks; XOAUTH2 always, since Outlook wants it so.
    alone = f"AUTH {mechanism}" in server.commands()[0]
    assert alone == (length == 3000 or mechanism == "XOAUTH2")
    with connect(server) as client:
        with pytest.raises(poplib.error_proto):
            client.auth(mechanism, user="alice", token="x" * length)
        assert client.capa()


def test_an_authobject_as_smtplib_has_it(pop3_server):
    server = pop3_server(MAIL[:3], mechanisms=["PLAIN", "LOGIN"])
    with connect(server) as client:
        assert client.auth("PLAIN", lambda challenge=None: "\0alice\0secret").startswith(b"+OK")
    challenges = []

    def answer(challenge=None):
        if challenge is None:
            return None
        challenges.append(challenge)
        return ["alice", "secret"][len(challenges) - 1]

    with connect(server) as client:
        assert client.auth("LOGIN", answer).startswith(b"+OK")
    assert len(challenges) == 2

    def fails(challenge=None):
        if challenge is not None:
            raise KeyError("no password")

    with connect(server) as client:
        with pytest.raises(KeyError):
            client.auth("LOGIN", fails)
        # The exchange was cancelled, and the session goes on.
        client.user("alice")
        client.pass_("secret")


def test_a_server_that_does_not_prove_itself_is_left(pop3_server):
    server = pop3_server(MAIL[:3], scripts=[("AUTH", b"+OK come in\r\n")])
    client = connect(server)
    with pytest.raises(poplib.error_proto, match="proved"):
        client.auth("SCRAM-SHA-256", user="alice", password="secret")
    assert client.sock is None


def test_unknown_mechanisms_and_unfit_credentials(pop3_server):
    with connect(pop3_server(MAIL[:3], mechanisms=["PLAIN"])) as client:
        with pytest.raises(ValueError, match="ROT13"):
            client.auth("ROT13", user="alice", password="secret")
        with pytest.raises(poplib.error_proto):
            client.auth("CRAM-MD5", user="alice", password="secret")


# ---- secrets, sockets, certificates


def test_secrets_are_printed_only_on_request(pop3_server, capsys):
    server = pop3_server(MAIL[:3], mechanisms=["XOAUTH2", "LOGIN"], tokens=["s3cret-t0ken"])
    for level in (1, 2):
        for shown in (False, True):
            client = connect(server)
            client.set_debuglevel(level)
            client.hide_secrets = not shown
            client.auth("LOGIN", user="alice", password="secret")
            client.quit()
            printed = capsys.readouterr().out
            assert ("c2VjcmV0" in printed) == shown and "*cmd* 'AUTH LOGIN'" in printed
            # After the exchange commands are shown again.
            assert "*cmd* 'QUIT'" in printed


@pytest.mark.parametrize("greeting", [b"-ERR too many\r\n", b"220 smtp\r\n", b""])
def test_a_greeting_that_fails_leaks_no_socket(greeting):
    program = f"""
import socket, threading, popwire.poplib
listener = socket.create_server(("127.0.0.1", 0))
def serve():
    connection, _ = listener.accept()
    connection.sendall({greeting!r})
    connection.shutdown(socket.SHUT_WR)
    connection.recv(10)
    connection.close()
threading.Thread(target=serve).start()
try:
    popwire.poplib.POP3("127.0.0.1", listener.getsockname()[1], timeout=5)
except popwire.poplib.error_proto:
    print("refused")
listener.close()
"""
    run = subprocess.run([sys.executable, "-X", "dev", "-c", program], capture_output=True, text=True, timeout=60)
    assert (run.stdout, run.stderr) == ("refused\n", "")


def test_certificates_are_verified_on_request(pop3_server, monkeypatch):
    server = pop3_server(MAIL[:3])
    poplib.POP3_SSL("localhost", server.tls_port, timeout=5).quit()
    monkeypatch.setattr(poplib, "VERIFY", True)
    with pytest.raises(ssl.SSLError):
        poplib.POP3_SSL("localhost", server.tls_port, timeout=5)
    client = poplib.POP3("localhost", server.port, timeout=5)
    with pytest.raises(ssl.SSLError):
        client.stls()
    assert client.sock is None


def test_install_puts_it_in_the_place_of_poplib():
    program = "import popwire.poplib; popwire.poplib.install(); import poplib; print(poplib.__name__, poplib.POP3.retr_bytes.__name__)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout == "popwire.poplib retr_bytes\n"


def test_an_interrupt_in_the_middle_of_a_message_ends_the_session(pop3_server):
    client = logged_in(pop3_server([LARGE]))
    ours, reads = socket.SocketIO.readinto, []

    def readinto(self, buffer):
        reads.append(len(buffer))
        if len(reads) == 3:
            raise KeyboardInterrupt
        return ours(self, buffer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.SocketIO, "readinto", readinto)
        with pytest.raises(KeyboardInterrupt):
            client.retr_bytes(1)
    assert client.sock is None
