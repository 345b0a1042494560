"""The blocking client."""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from types import TracebackType
from typing import (
    IO,
    Any,
    Callable,
    Deque,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Type,
    TypeVar,
    Union,
)

from popwire import _native
from popwire._batches import Batches, message_number, raise_interrupt
from popwire._errors import Error, Refused
from popwire._settings import PathOrPem, login, octets, settings
from popwire._values import Farewell, Inventory, Marked, Message, Scan, Stat, TlsInfo, UniqueId, Written

_Self = TypeVar("_Self", bound="Client")


class Client:
    """A session with a POP3 server. It is connected, and the greeting read, at once.

    By default it speaks TLS from the first octet, to port 995, and verifies who is at the other end by the roots of this
    system. As a context manager it says QUIT at the end, which deletes what was marked; after an exception it hangs up,
    which deletes nothing.

    ``security`` is ``"tls"``, ``"stls"`` (port 110, and TLS is required), ``"opportunistic"`` or ``"plain"``; without
    verified TLS a login needs ``dangerous_login_without_verified_tls``. ``ca`` are root certificates to trust instead of the
    system's (a file, or PEM as ``bytes``); ``pins`` are SHA-256 pins of server keys as curl has them;
    ``client_certificate`` is a chain and its key. ``timeouts`` are seconds by name: connect, tls, greeting, capa, login,
    command, first_octet, idle, answer, quit, and whole for the session. ``limits`` are octets by name, such as
    ``message_octets`` and ``message_in_memory``. ``pipelining`` is ``"announced"``, ``"always"`` or ``"never"``; ``window``
    bounds commands and octets that are under way.

    One thread at a time may use it; another is told so by ``RuntimeError``. Only :meth:`close` is for all.
    """

    def __init__(
        self,
        host: str,
        port: Optional[int] = None,
        *,
        security: str = "tls",
        ca: Optional[PathOrPem] = None,
        pins: Sequence[str] = (),
        client_certificate: Optional[Tuple[PathOrPem, PathOrPem]] = None,
        server_name: Optional[str] = None,
        dangerous_accept_any_certificate: bool = False,
        dangerous_login_without_verified_tls: bool = False,
        timeouts: Optional[Mapping[str, Optional[float]]] = None,
        limits: Optional[Mapping[str, int]] = None,
        pipelining: str = "announced",
        window: Tuple[int, int] = (256, 16 << 20),
        capa: bool = True,
        without_capabilities: Iterable[str] = (),
    ) -> None:
        self._settings = settings(
            host,
            port,
            security,
            ca,
            pins,
            client_certificate,
            server_name,
            dangerous_accept_any_certificate,
            dangerous_login_without_verified_tls,
            timeouts,
            limits,
            pipelining,
            window,
            capa,
            without_capabilities,
        )
        self._session = _native.Session(self._settings)
        # By number, once LIST was asked for.
        self._sizes: Optional[Dict[int, Optional[int]]] = None

    def __repr__(self) -> str:
        return f"<popwire.Client of {self._settings.host}:{self._settings.port}>"

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if kind is not None or self._session.is_closed:
            self.close()
            return
        marked = self.marked
        farewell = self.quit()
        if marked and farewell.error is not None:
            raise farewell.error
        if farewell.outcome == "refused":
            raise Refused(f"the server did not delete all that was marked: {farewell.reply!r}")

    # ---- logging in

    def login(
        self,
        user: Union[str, bytes, None],
        password: Union[str, bytes, None] = None,
        *,
        token: Union[str, bytes, None] = None,
        methods: Sequence[str] = (),
        acting_as: Union[str, bytes] = b"",
        attempts: Optional[int] = None,
    ) -> bytes:
        """Logs in by the strongest way that the server offers, and returns its line.

        A ``password``, an OAuth 2 ``token``, or neither with ``methods=["EXTERNAL"]`` and a client certificate. ``methods``
        says which ways are allowed, in this order: names of SASL mechanisms, USER and APOP.

        :class:`AuthenticationFailed` if the credentials are refused; :class:`Forbidden` if they would go out in the clear.
        """
        return self._session.login(login(user, password, token, methods, acting_as, attempts))

    def login_with_inventory(
        self,
        user: Union[str, bytes, None],
        password: Union[str, bytes, None] = None,
        *,
        token: Union[str, bytes, None] = None,
        methods: Sequence[str] = (),
        acting_as: Union[str, bytes] = b"",
        attempts: Optional[int] = None,
    ) -> Inventory:
        """:meth:`login` and :meth:`inventory`, with one wait less."""
        who = login(user, password, token, methods, acting_as, attempts)
        return self._learned(inventory(self._session.login_with_inventory(who)))

    def stls(self) -> bytes:
        """Starts TLS on a plain connection (RFC 2595). ``security="stls"`` does it by itself."""
        return self._session.stls()

    # ---- what the maildrop holds

    def stat(self) -> Stat:
        """How many messages there are, and how many octets they have."""
        return Stat(*self._session.stat())

    def list(self) -> List[Scan]:
        """The size of every message."""
        return [Scan(*scan) for scan in self._session.list()]

    def list_one(self, number: int) -> Scan:
        """The size of a message."""
        return Scan(*self._session.list_one(message_number(number)))

    def uidl(self) -> List[UniqueId]:
        """The unique-id of every message. An optional command: :class:`Unsupported` where the server has it not."""
        return [UniqueId(*one) for one in self._session.uidl()]

    def uidl_one(self, number: int) -> UniqueId:
        """The unique-id of a message."""
        return UniqueId(*self._session.uidl_one(message_number(number)))

    def inventory(self) -> Inventory:
        """STAT, LIST and UIDL in one flight where the server allows it."""
        return self._learned(inventory(self._session.inventory()))

    def _learned(self, stock: Inventory) -> Inventory:
        if not isinstance(stock._scans, Error):
            self._sizes = dict(stock._scans)
        return stock

    def _known_sizes(self) -> Dict[int, Optional[int]]:
        """The size of every message, for the bounds of a batch; as far as the server tells."""
        if self._sizes is None:
            try:
                self._sizes = dict(self.list())
            except Refused:
                self._sizes = {}
        return self._sizes

    def capa(self) -> Dict[str, List[str]]:
        """Asks what the server can do (RFC 2449). See also :attr:`capabilities`."""
        return dict(self._session.capa())

    # ---- messages

    def retrieve(self, number: int) -> bytes:
        """A whole message, as the server stores it."""
        return self._session.retrieve(message_number(number), None)

    def top(self, number: int, lines: int) -> bytes:
        """A message's header and so many lines of its body. An optional command that some servers get wrong."""
        return self._session.retrieve(message_number(number), lines)

    def retrieve_into(self, number: int, file: IO[bytes]) -> int:
        """Writes a message to ``file`` as it comes, in bounded memory, and returns how many octets it has. What ``file.write``
        is given may be ``bytes`` or a view of memory.

        What ``file.write`` raises comes out of here, and the session goes on. After any exception, what was written is not
        the whole message.
        """
        return self._session.retrieve_into(message_number(number), None, file)

    def retrieve_many(self, numbers: Iterable[int]) -> Messages:
        """Messages that are asked for ahead, where the server allows it: an iterator of :class:`Message`.

        A message that the server refuses raises :class:`Refused` for itself only: ``next`` goes on with the one after it. So
        it does after a number that no message can have, and when the session was in use.
        Some are in memory at a time: at most 256, of about 16 MiB together. Other commands may be used in between, and an
        iterator may be left at any time.
        """
        return Messages(self, numbers, None)

    def top_many(self, numbers: Iterable[int], lines: int) -> Messages:
        """:meth:`top` of many messages, as :meth:`retrieve_many`."""
        return Messages(self, numbers, lines)

    def retrieve_many_into(self, numbers: Iterable[int], open: Callable[[int], IO[bytes]]) -> WrittenMessages:
        """:meth:`retrieve_many` in bounded memory: each message goes into the file that ``open`` gives for its number. An
        iterator of :class:`Written`.

        Files are written ahead of the iterator, and are the caller's to close. A file that fails costs its own message: its
        exception is raised in the place of that.
        """
        return WrittenMessages(self, numbers, open)

    # ---- deletion

    def delete(self, number: int) -> bytes:
        """Marks a message. It is deleted when the server has confirmed :meth:`quit`; few servers do it at once."""
        return self._session.dele(message_number(number))

    def delete_many(self, numbers: Iterable[int]) -> List[Marked]:
        """Marks messages in one flight where the server allows it, and tells for each whether it is marked."""
        return marked(self._session.delete_batch([message_number(number) for number in numbers]))

    def reset(self) -> bytes:
        """Takes all marks back."""
        return self._session.rset()

    # ---- the session

    def noop(self) -> bytes:
        """Does nothing, and keeps the server from hanging up."""
        return self._session.noop()

    def keep_alive(self, silence: float) -> bool:
        """NOOP, if nothing was said for so many seconds; says whether it was."""
        return self._session.keep_alive(timedelta(seconds=silence))

    def raw(self, line: Union[str, bytes]) -> bytes:
        """Any command of your own that one line answers; that line."""
        return self._session.raw(octets(line))

    def raw_multi(self, line: Union[str, bytes]) -> Tuple[bytes, bytes]:
        """Any command of your own that many lines answer: the first line, and the octets of the others."""
        return self._session.raw_multi(octets(line))

    def quit(self) -> Farewell:
        """Ends the session, and tells what became of the deletions. It raises nothing for them."""
        farewell = Farewell(*self._session.quit())
        raise_interrupt(farewell.error)
        return farewell

    def close(self) -> None:
        """Hangs up without QUIT, which deletes nothing. It may be called at any time, and by any thread: a call that is under
        way raises :class:`Closed`.
        """
        self._session.close()

    @property
    def greeting(self) -> bytes:
        """The server's greeting."""
        return self._session.greeting

    @property
    def capabilities(self) -> Dict[str, List[str]]:
        """What the server said it can do when it was last asked. Nothing is sent."""
        return dict(self._session.capabilities)

    @property
    def tls(self) -> Optional[TlsInfo]:
        """The facts of the TLS session; None without TLS."""
        facts = self._session.tls
        return None if facts is None else TlsInfo(*facts)

    @property
    def logged_in_by(self) -> Optional[str]:
        """The way by which :meth:`login` got in, such as ``SCRAM-SHA-256`` or ``USER``."""
        return self._session.logged_in_by

    @property
    def marked(self) -> int:
        """How many messages are marked."""
        return self._session.marked

    @property
    def is_broken(self) -> bool:
        """Whether the session is over, because the connection or the protocol broke."""
        return self._session.is_broken


class Messages:
    """What :meth:`Client.retrieve_many` gives: an iterator that goes on after a refusal."""

    def __init__(self, client: Client, numbers: Iterable[int], lines: Optional[int]) -> None:
        self._client = client
        self._batches = Batches(numbers)
        self._lines = lines
        self._here: Deque[Tuple[int, Union[bytes, Exception]]] = deque()

    def __iter__(self) -> Iterator[Message]:
        return self

    def __next__(self) -> Message:
        if not self._here:
            # A header has no more than its message.
            wanted = self._batches.next(self._client._known_sizes())
            if not wanted:
                raise StopIteration
            self._batches.came(self._client._session.retrieve_batch(wanted, self._lines), self._here)
        number, message = self._here.popleft()
        if isinstance(message, Exception):
            self._batches.failed(message)
            raise message
        return Message(number, message)


class WrittenMessages:
    """What :meth:`Client.retrieve_many_into` gives: an iterator that goes on after a refusal."""

    def __init__(self, client: Client, numbers: Iterable[int], open: Callable[[int], IO[bytes]]) -> None:
        self._client = client
        self._batches = Batches(numbers)
        self._open = open
        self._here: Deque[Tuple[int, Union[int, Exception]]] = deque()

    def __iter__(self) -> Iterator[Written]:
        return self

    def __next__(self) -> Written:
        if not self._here:
            wanted = self._batches.next(None)
            if not wanted:
                raise StopIteration
            self._batches.came(self._client._session.retrieve_batch_into(wanted, self._open), self._here)
        number, octets = self._here.popleft()
        if isinstance(octets, Exception):
            self._batches.failed(octets)
            raise octets
        return Written(number, octets)


def marked(batch: List[Tuple[int, Any]]) -> List[Marked]:
    for _, outcome in batch:
        raise_interrupt(outcome)
    return [Marked(number, outcome if isinstance(outcome, Error) else None) for number, outcome in batch]


def inventory(stock: Any) -> Inventory:
    stat, scans, ids = stock
    return Inventory(
        stat if isinstance(stat, Error) else Stat(*stat),
        scans if isinstance(scans, Error) else [Scan(*scan) for scan in scans],
        ids if isinstance(ids, Error) else [UniqueId(*one) for one in ids],
    )
