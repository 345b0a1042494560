"""A POP3 server for tests: real, on a port of this machine, and able to misbehave as others do.

    from popwire.testing import Server

    with Server([b"Subject: hello\\r\\n\\r\\nHello.\\r\\n"]) as server:
        ...connect to server.host, server.port as alice with the password secret...

With pytest there is the fixture ``pop3_server``, which makes such servers and stops them at the end of the test::

    def test_fetches(pop3_server):
        server = pop3_server([b"Subject: hello\\r\\n\\r\\nHello.\\r\\n"], quirks=["uidl=none"])
"""

from __future__ import annotations

from types import TracebackType
from typing import Iterable, List, Mapping, Optional, Sequence, Tuple, Type, Union

from popwire import _native

__all__ = ["Server"]


class Server:
    """A server with one mailbox or several, on free ports of 127.0.0.1: one without TLS, which offers STLS, and one with.

    ``messages`` are those of ``user``; more mailboxes are in ``mailboxes``: name, and ``(password, messages)``.
    ``mechanisms`` are the names of the SASL mechanisms it offers, and ``tokens`` what OAUTHBEARER and XOAUTH2 take of ``user``.
    ``personality`` is the name of a product it is to behave like, such as ``dovecot`` or ``gmail``; ``quirks`` are single
    deviations, such as ``uidl=none``; ``faults`` are such as ``RETR#3@1000:reset``; ``scripts`` answer a command, or the
    beginning of a line, with octets of yours. ``scenario`` is all of this as TOML. ``popwire serve --help`` and the project's
    docs list the names. A wrong one is a ``ValueError`` that says which would be right.
    """

    def __init__(
        self,
        messages: Iterable[bytes] = (),
        *,
        user: str = "alice",
        password: str = "secret",
        mailboxes: Optional[Mapping[str, Tuple[str, Iterable[bytes]]]] = None,
        tokens: Sequence[str] = (),
        mechanisms: Sequence[str] = (),
        scenario: Optional[str] = None,
        personality: Optional[str] = None,
        quirks: Sequence[str] = (),
        faults: Sequence[str] = (),
        scripts: Sequence[Tuple[str, bytes]] = (),
        idle_timeout: Optional[float] = None,
    ) -> None:
        self.user = user
        self.password = password
        boxes = [(name, secret, [bytes(m) for m in mail]) for name, (secret, mail) in (mailboxes or {}).items()]
        if scenario is None:
            boxes.append((user, password, [bytes(message) for message in messages]))
        self._server = _native.Server(
            boxes, [(user, token) for token in tokens], list(mechanisms), scenario, personality, list(quirks), list(faults), list(scripts), idle_timeout
        )
        self.host: str = self._server.host
        self.port: int = self._server.port
        self.tls_port: int = self._server.tls_port
        #: What to trust for TLS: PEM. The certificate is for ``localhost``.
        self.ca_pem: bytes = self._server.ca_pem.encode()

    def __repr__(self) -> str:
        return f"<popwire.testing.Server at {self.host}:{self.port}, with TLS at {self.tls_port}>"

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.stop()

    def stop(self) -> int:
        """Ends it at once, and says how many connections were cut off."""
        return self._server.stop()

    def commands(self) -> List[List[str]]:
        """The lines that clients have sent, a list for each connection; passwords included."""
        return self._server.commands()

    def transcripts(self) -> List[str]:
        """What was said in each connection, as ``C:`` and ``S:`` lines; passwords included."""
        return self._server.transcripts()

    def wait_closed(self, connections: int = 1, timeout: float = 5.0) -> bool:
        """Waits until so many connections have come and gone; False if that took longer than ``timeout`` seconds."""
        return self._server.wait_closed(connections, timeout)

    def messages(self, user: Optional[str] = None) -> List[bytes]:
        """What is in the mailbox."""
        return self._server.messages(self.user if user is None else user)

    def deliver(self, message: bytes, user: Optional[str] = None) -> None:
        """Puts a message into the mailbox. Sessions that are open do not see it."""
        self._server.deliver(self.user if user is None else user, message)
