"""An answer read in large pieces and one read line by line are the same, whatever a server or a sender writes."""

import io
import random
import socket

import popwire.poplib as poplib
import pytest

PIECES = [b".", b"..", b"\r", b"\n", b"a", b"long" * 3, b"\r\n.", b"\n.", b"\r\n..", b".\r\n", *[b"\r\n"] * 4]
ENDS = [b"\n.\n", b"", *[b"\r\n.\r\n"] * 4]


class AsItComes(poplib.POP3):
    """A session in which the server has said everything already, and has hung up."""

    def __init__(self, said):
        self.said = said
        super().__init__("pop.example.org")

    def _create_socket(self, timeout):
        sock, server = socket.socketpair()
        with server:
            server.sendall(self.said)
            # The commands are of no interest, and must not fail.
            self.server = server.dup()
            server.shutdown(socket.SHUT_WR)
        return sock

    def close(self):
        super().close()
        self.server.close()


class LineByLine(AsItComes):
    def _getline(self):
        return super()._getline()


def retr(client):
    return client.retr(1)


def retr_bytes(client):
    return client.retr_bytes(1)


def retr_into(client):
    file = io.BytesIO()
    return client.retr_into(1, file), file.getvalue()


def seen(kind, said, what):
    client, outcomes = kind(said), []
    for work in (what, kind.noop):
        try:
            outcomes.append(work(client))
        except poplib.error_proto as error:
            outcomes.append(error.args)
    client.close()
    return outcomes


def bodies(seed):
    chance = random.Random(seed)
    for _ in range(300):
        body = b"".join(chance.choices(PIECES, k=chance.randrange(10))) + chance.choice(ENDS)
        yield b"+OK hello\r\n+OK here it is\r\n" + body + chance.choice([b"+OK\r\n"] * 3 + [b""])


@pytest.mark.parametrize("what, longest", [(retr, 2048), (retr, 15), (retr_bytes, 2048), (retr_into, 2048)])
def test_both_ways_see_the_same(what, longest, monkeypatch):
    monkeypatch.setattr(poplib, "_MAXLINE", longest)
    whole = 0
    for said in bodies(longest):
        expected = seen(AsItComes, said, what)
        assert seen(LineByLine, said, what) == expected, said
        whole += expected[1] == b"+OK"
    # Not all of them are nonsense.
    assert whole > 50
