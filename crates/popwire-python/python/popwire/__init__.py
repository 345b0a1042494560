"""POP3 that loses no mail: a client, an asyncio client, a drop-in for ``poplib``, and a server for tests.

    import popwire

    with popwire.Client("pop.example.org") as client:
        client.login("alice", "s3cret")
        for message in client.retrieve_many(client.inventory().numbers):
            print(message.number, len(message.data))

``popwire.poplib`` stands in for the standard library's ``poplib``; ``popwire.testing`` is a POP3 server to test against.
"""

from popwire._aio import AsyncClient, AsyncMessages, AsyncWrittenMessages
from popwire._client import Client, Messages, WrittenMessages
from popwire._errors import (
    AuthenticationFailed,
    Closed,
    Error,
    Forbidden,
    InUse,
    Misuse,
    NetworkError,
    ProtocolError,
    Refused,
    ServerUntrusted,
    Timeout,
    TlsError,
    Unsupported,
)
from popwire._native import __version__
from popwire._values import Farewell, Inventory, Marked, Message, Scan, Stat, TlsInfo, UniqueId, Written

__all__ = [
    "AsyncClient",
    "AsyncMessages",
    "AsyncWrittenMessages",
    "AuthenticationFailed",
    "Client",
    "Closed",
    "Error",
    "Farewell",
    "Forbidden",
    "InUse",
    "Inventory",
    "Marked",
    "Message",
    "Messages",
    "Misuse",
    "NetworkError",
    "ProtocolError",
    "Refused",
    "Scan",
    "ServerUntrusted",
    "Stat",
    "Timeout",
    "TlsError",
    "TlsInfo",
    "UniqueId",
    "Unsupported",
    "Written",
    "WrittenMessages",
    "__version__",
]
