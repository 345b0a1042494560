"""What the server's answers are to a program."""

from __future__ import annotations

from typing import Mapping, NamedTuple, Optional, Union

from popwire._errors import Error


class Stat(NamedTuple):
    """STAT: what the maildrop holds (RFC 1939 section 5)."""

    #: How many messages.
    messages: int
    #: How many octets they have; None if the server's number makes no sense.
    octets: Optional[int]


class Scan(NamedTuple):
    """A line of LIST (RFC 1939 section 5)."""

    #: The message's number, for this session only.
    number: int
    #: Its size in octets, as far as the server is to be believed; None if that is no number.
    octets: Optional[int]


class UniqueId(NamedTuple):
    """A line of UIDL (RFC 1939 section 7)."""

    #: The message's number, for this session only.
    number: int
    #: What names it in all sessions. It should be unique, and with some servers is not.
    uid: bytes


class Message(NamedTuple):
    """A message, or its header and some lines."""

    #: Its number, for this session only.
    number: int
    #: Its octets as the server stores them.
    data: bytes


class Written(NamedTuple):
    """A message that was written to a file."""

    #: Its number, for this session only.
    number: int
    #: How many octets it has.
    octets: int


class Marked(NamedTuple):
    """The answer to a DELE."""

    #: The message's number, for this session only.
    number: int
    #: Why it is not marked; None if it is.
    error: Optional[Error]


class TlsInfo(NamedTuple):
    """The facts of a TLS session."""

    version: str
    cipher_suite: str
    #: The server's certificate in DER.
    certificate: bytes
    #: Whether the server's identity was verified.
    verified: bool


class Farewell(NamedTuple):
    """What became of the deletions."""

    #: ``committed``: the marked messages are deleted. ``refused``: some or all are not. ``unknown``: the answer did not
    #: come, and nobody knows.
    outcome: str
    #: How many messages were marked.
    marked: int
    #: The server's line, if there was one.
    reply: Optional[bytes]
    #: Why the answer did not come.
    error: Optional[Error]

    @property
    def is_committed(self) -> bool:
        """Whether all is well: what was marked is deleted, or nothing was marked."""
        return self.outcome == "committed"


class Inventory:
    """The answers to STAT, LIST and UIDL, asked for in one flight. Each raises by itself if the server refused it."""

    def __init__(
        self,
        stat: Union[Stat, Error],
        scans: Union[list[Scan], Error],
        unique_ids: Union[list[UniqueId], Error],
    ) -> None:
        self._stat, self._scans, self._unique_ids = stat, scans, unique_ids

    @property
    def stat(self) -> Stat:
        """How many messages, and how many octets they have."""
        if isinstance(self._stat, Error):
            raise self._stat
        return self._stat

    @property
    def scans(self) -> list[Scan]:
        """The size of every message."""
        if isinstance(self._scans, Error):
            raise self._scans
        return self._scans

    @property
    def unique_ids(self) -> list[UniqueId]:
        """The unique-id of every message. UIDL is an optional command."""
        if isinstance(self._unique_ids, Error):
            raise self._unique_ids
        return self._unique_ids

    @property
    def numbers(self) -> list[int]:
        """The number of every message."""
        return [scan.number for scan in self.scans]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Inventory):
            return NotImplemented
        return (self._stat, self._scans, self._unique_ids) == (other._stat, other._scans, other._unique_ids)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Inventory(stat={self._stat!r}, {len(self._scans) if isinstance(self._scans, list) else 0} scans)"


Capabilities = Mapping[str, "list[str]"]
