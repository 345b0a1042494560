"""The client for asyncio."""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from types import TracebackType
from typing import (
    IO,
    AsyncIterator,
    Callable,
    Deque,
    Dict,
    Generator,
    Iterable,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Type,
    Union,
)

from popwire import _native
from popwire._batches import Batches, message_number
from popwire._client import inventory, marked
from popwire._errors import Closed, Error, Misuse, Refused
from popwire._settings import PathOrPem, login, octets, settings
from popwire._values import Farewell, Inventory, Marked, Message, Scan, Stat, TlsInfo, UniqueId, Written


class AsyncClient:
    """A session with a POP3 server for asyncio: :class:`popwire.Client`, with ``await``, ``async with`` and ``async for``.

    The arguments are those of :class:`popwire.Client`. It connects when it is awaited or entered::

        async with popwire.AsyncClient("pop.example.org") as client:
            await client.login("alice", "s3cret")

    A task may be cancelled at any ``await``: nothing is lost, and the next command finds the session in step. Tasks that
    use one client take turns.
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
        self._connected: Optional[_native.AsyncSession] = None
        # By number, once LIST was asked for.
        self._sizes: Optional[Dict[int, Optional[int]]] = None

    def __repr__(self) -> str:
        return f"<popwire.AsyncClient of {self._settings.host}:{self._settings.port}>"

    async def connect(self) -> AsyncClient:
        """Connects, and reads the greeting."""
        if self._connected is not None:
            raise Misuse("it is connected already")
        self._connected = await _native.AsyncSession.connect(self._settings)
        return self

    def __await__(self) -> Generator[object, None, AsyncClient]:
        return self.connect().__await__()

    async def __aenter__(self) -> AsyncClient:
        return self if self._connected is not None else await self.connect()

    async def __aexit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if kind is not None:
            await self.close()
            return
        try:
            marked = await self.marked()
            farewell = await self.quit()
        except Closed:
            # It was ended within.
            return
        if marked and farewell.error is not None:
            raise farewell.error
        if farewell.outcome == "refused":
            raise Refused(f"the server did not delete all that was marked: {farewell.reply!r}")

    @property
    def _session(self) -> _native.AsyncSession:
        if self._connected is None:
            raise Misuse("not connected yet: await connect(), or use it with async with")
        return self._connected

    # ---- logging in

    async def login(
        self,
        user: Union[str, bytes, None],
        password: Union[str, bytes, None] = None,
        *,
        token: Union[str, bytes, None] = None,
        methods: Sequence[str] = (),
        acting_as: Union[str, bytes] = b"",
        attempts: Optional[int] = None,
    ) -> bytes:
        """As :meth:`popwire.Client.login`."""
        return await self._session.login(login(user, password, token, methods, acting_as, attempts))

    async def login_with_inventory(
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
        return self._learned(inventory(await self._session.login_with_inventory(who)))

    async def stls(self) -> bytes:
        """Starts TLS on a plain connection (RFC 2595). ``security="stls"`` does it by itself."""
        return await self._session.stls()

    # ---- what the maildrop holds

    async def stat(self) -> Stat:
        """How many messages there are, and how many octets they have."""
        return Stat(*await self._session.stat())

    async def list(self) -> List[Scan]:
        """The size of every message."""
        return [Scan(*scan) for scan in await self._session.list()]

    async def list_one(self, number: int) -> Scan:
        """The size of a message."""
        return Scan(*await self._session.list_one(message_number(number)))

    async def uidl(self) -> List[UniqueId]:
        """The unique-id of every message. An optional command."""
        return [UniqueId(*one) for one in await self._session.uidl()]

    async def uidl_one(self, number: int) -> UniqueId:
        """The unique-id of a message."""
        return UniqueId(*await self._session.uidl_one(message_number(number)))

    async def inventory(self) -> Inventory:
        """STAT, LIST and UIDL in one flight where the server allows it."""
        return self._learned(inventory(await self._session.inventory()))

    def _learned(self, stock: Inventory) -> Inventory:
        if not isinstance(stock._scans, Error):
            self._sizes = dict(stock._scans)
        return stock

    async def _known_sizes(self) -> Dict[int, Optional[int]]:
        """The size of every message, for the bounds of a batch; as far as the server tells."""
        if self._sizes is None:
            try:
                self._sizes = dict(await self.list())
            except Refused:
                self._sizes = {}
        return self._sizes

    async def capa(self) -> Dict[str, List[str]]:
        """Asks what the server can do (RFC 2449)."""
        return dict(await self._session.capa())

    # ---- messages

    async def retrieve(self, number: int) -> bytes:
        """A whole message, as the server stores it."""
        return await self._session.retrieve(message_number(number), None)

    async def top(self, number: int, lines: int) -> bytes:
        """A message's header and so many lines of its body. An optional command that some servers get wrong."""
        return await self._session.retrieve(message_number(number), lines)

    async def retrieve_into(self, number: int, file: IO[bytes]) -> int:
        """Writes a message to ``file`` as it comes, in bounded memory, and returns how many octets it has. What ``file.write``
        is given may be ``bytes`` or a view of memory.

        ``file.write`` is called in a thread of popwire's, and holds up other sessions as long as it takes.
        """
        return await self._session.retrieve_into(message_number(number), None, file)

    def retrieve_many(self, numbers: Iterable[int]) -> AsyncMessages:
        """As :meth:`popwire.Client.retrieve_many`, for ``async for``."""
        return AsyncMessages(self, numbers, None)

    def top_many(self, numbers: Iterable[int], lines: int) -> AsyncMessages:
        """:meth:`top` of many messages, as :meth:`retrieve_many`."""
        return AsyncMessages(self, numbers, lines)

    def retrieve_many_into(self, numbers: Iterable[int], open: Callable[[int], IO[bytes]]) -> AsyncWrittenMessages:
        """As :meth:`popwire.Client.retrieve_many_into`, for ``async for``. ``open`` and ``write`` are called in a thread of
        popwire's. After a cancelled wait ``open`` is called again for messages that had been written by then.
        """
        return AsyncWrittenMessages(self, numbers, open)

    # ---- deletion

    async def delete(self, number: int) -> bytes:
        """Marks a message. It is deleted when the server has confirmed :meth:`quit`; few servers do it at once."""
        return await self._session.dele(message_number(number))

    async def delete_many(self, numbers: Iterable[int]) -> List[Marked]:
        """Marks messages in one flight where the server allows it, and tells for each whether it is marked."""
        return marked(await self._session.delete_batch([message_number(number) for number in numbers]))

    async def reset(self) -> bytes:
        """Takes all marks back."""
        return await self._session.rset()

    # ---- the session

    async def noop(self) -> bytes:
        """Does nothing, and keeps the server from hanging up."""
        return await self._session.noop()

    async def keep_alive(self, silence: float) -> bool:
        """NOOP, if nothing was said for so many seconds; says whether it was."""
        return await self._session.keep_alive(timedelta(seconds=silence))

    async def raw(self, line: Union[str, bytes]) -> bytes:
        """Any command of your own that one line answers; that line."""
        return await self._session.raw(octets(line))

    async def raw_multi(self, line: Union[str, bytes]) -> Tuple[bytes, bytes]:
        """Any command of your own that many lines answer: the first line, and the octets of the others."""
        return await self._session.raw_multi(octets(line))

    async def quit(self) -> Farewell:
        """Ends the session, and tells what became of the deletions. It raises nothing for them."""
        return Farewell(*await self._session.quit())

    async def close(self) -> None:
        """Hangs up without QUIT, which deletes nothing. It may be called at any time."""
        if self._connected is not None:
            await self._connected.close()

    async def greeting(self) -> bytes:
        """The server's greeting."""
        return (await self._session.facts())[1]

    async def capabilities(self) -> Dict[str, List[str]]:
        """What the server said it can do when it was last asked. Nothing is sent."""
        return dict((await self._session.facts())[2])

    async def tls(self) -> Optional[TlsInfo]:
        """The facts of the TLS session; None without TLS."""
        facts = (await self._session.facts())[3]
        return None if facts is None else TlsInfo(*facts)

    async def logged_in_by(self) -> Optional[str]:
        """The way by which :meth:`login` got in, such as ``SCRAM-SHA-256`` or ``USER``."""
        return (await self._session.facts())[4]

    async def marked(self) -> int:
        """How many messages are marked."""
        return (await self._session.facts())[5]

    async def is_broken(self) -> bool:
        """Whether the session is over, because the connection or the protocol broke."""
        return (await self._session.facts())[0]


class AsyncMessages:
    """What :meth:`AsyncClient.retrieve_many` gives: an iterator that goes on after a refusal."""

    def __init__(self, client: AsyncClient, numbers: Iterable[int], lines: Optional[int]) -> None:
        self._client = client
        self._batches = Batches(numbers)
        self._lines = lines
        self._here: Deque[Tuple[int, Union[bytes, Exception]]] = deque()
        self._is_waiting = False

    def __aiter__(self) -> AsyncIterator[Message]:
        return self

    async def __anext__(self) -> Message:
        if not self._here:
            await self._come()
        number, message = self._here.popleft()
        if isinstance(message, Exception):
            self._batches.failed(message)
            raise message
        return Message(number, message)

    async def _come(self) -> None:
        if self._is_waiting:
            raise RuntimeError("another task waits for the next of these messages")
        self._is_waiting = True
        try:
            wanted = self._batches.next(await self._client._known_sizes())
            if not wanted:
                raise StopAsyncIteration
            self._batches.came(await self._client._session.retrieve_batch(wanted, self._lines), self._here)
        finally:
            self._is_waiting = False

class AsyncWrittenMessages:
    """What :meth:`AsyncClient.retrieve_many_into` gives: an iterator that goes on after a refusal."""

    def __init__(self, client: AsyncClient, numbers: Iterable[int], open: Callable[[int], IO[bytes]]) -> None:
        self._client = client
        self._batches = Batches(numbers)
        self._open = open
        self._here: Deque[Tuple[int, Union[int, Exception]]] = deque()
        self._is_waiting = False

    def __aiter__(self) -> AsyncIterator[Written]:
        return self

    async def __anext__(self) -> Written:
        if not self._here:
            await self._come()
        number, octets = self._here.popleft()
        if isinstance(octets, Exception):
            self._batches.failed(octets)
            raise octets
        return Written(number, octets)

    async def _come(self) -> None:
        if self._is_waiting:
            raise RuntimeError("another task waits for the next of these messages")
        self._is_waiting = True
        try:
            wanted = self._batches.next(None)
            if not wanted:
                raise StopAsyncIteration
            self._batches.came(await self._client._session.retrieve_batch_into(wanted, self._open), self._here)
        finally:
            self._is_waiting = False
