"""AUTH of ``popwire.poplib``, line by line (RFC 5034 section 4)."""

from __future__ import annotations

import base64
from typing import Any, Callable, Optional, Type, Union

from popwire._native import Mechanism

Octets = Union[str, bytes]
AuthObject = Callable[..., Optional[Octets]]

#: The longest command line with CRLF (RFC 2449 section 4). An initial response that is longer waits to be asked for.
LONGEST_COMMAND = 255


class Machine:
    """A mechanism of popwire's, called as ``smtplib`` calls an authobject."""

    def __init__(
        self, client: Any, mechanism: str, user: Octets, password: Optional[Octets], token: Optional[Octets]
    ) -> None:
        def octets(value: Octets) -> bytes:
            return value if isinstance(value, bytes) else str(value).encode(client.encoding)

        secret = password if token is None else token
        # A stream of the caller's need not have a port.
        host, port = getattr(client, "host", ""), int(getattr(client, "port", 0))
        self.machine = Mechanism(mechanism, octets(user), octets("" if secret is None else secret), host, port)
        self.initial = self.machine.start()

    def __call__(self, challenge: Optional[bytes] = None) -> Optional[bytes]:
        if challenge is None:
            return self.initial if self.machine.allows_initial_response() else None
        if self.initial is not None:
            # The server has asked for what did not stand in the AUTH line.
            initial, self.initial = self.initial, None
            return initial
        return self.machine.respond(challenge)


def converse(
    client: Any,
    mechanism: str,
    authobject: Optional[AuthObject],
    initial_response_ok: bool,
    user: Octets,
    password: Optional[Octets],
    token: Optional[Octets],
    refused: Type[Exception],
) -> bytes:
    """The whole exchange; what it raises is told at ``POP3.auth``. ``refused`` is the class of errors that a refusal is."""
    mechanism = mechanism.upper()
    machine: Optional[Machine] = None
    if authobject is None:
        authobject = machine = Machine(client, mechanism, user, password, token)
    initial = authobject() if initial_response_ok else None
    command = f"AUTH {mechanism}"
    waiting: Optional[Octets] = None
    if initial is not None:
        # An empty one is not the same as none.
        encoded = encode(initial) or "="
        if len(command) + len(encoded) + 3 <= LONGEST_COMMAND:
            command = f"{command} {encoded}"
            if machine is not None:
                machine.initial = None
        else:
            waiting = initial
    resp: bytes = client._shortcmd(command)
    while resp[:2] in (b"+", b"+ "):
        try:
            if waiting is not None and machine is None:
                response, waiting = waiting, None
            else:
                response = authobject(base64.b64decode(resp[2:], validate=True)) or b""
        except BaseException:
            cancel(client, refused)
            raise
        resp = client._shortcmd(encode(response))
    if machine is not None and not machine.machine.is_done():
        client.close()
        raise refused(f"-ERR the server lets us in by {mechanism} and has not proved who it is")
    return resp


def encode(response: Octets) -> str:
    octets = response if isinstance(response, bytes) else response.encode("ascii")
    return base64.b64encode(octets).decode("ascii")


def cancel(client: Any, refused: Type[Exception]) -> None:
    """Ends the exchange; the server's refusal is what it should say."""
    try:
        client._shortcmd("*")
    except refused:
        pass
