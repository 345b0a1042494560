"""The iterator behind ``POP3.iter_retr``: RETR commands that run ahead of their answers.

It has the connection to itself only until another command is said: then it takes in all that is under way.
"""

from __future__ import annotations

import collections
from typing import Any, Deque, Dict, Iterable, Iterator, Optional, Tuple, Type, Union

from popwire._native import Reader

#: Commands under way at once. Their lines fit into the buffers between the two sides, so that neither can block the other.
COMMANDS = 256
#: Octets that are expected of them, which is what ``absorb`` may have to keep.
OCTETS = 16 << 20
#: What a message counts for whose size LIST has not told.
UNKNOWN = OCTETS // 64


class Retrieval:
    """Yields ``(number, bytes)``; a refused message raises for itself only."""

    def __init__(self, client: Any, numbers: Iterable[Any], pipelining: bool, refused: Type[Exception]) -> None:
        self.client = client
        # The class of errors that a refusal is.
        self.refused = refused
        self.numbers = iter(numbers)
        # A number that has found no room in the window.
        self.waiting: Any = None
        self.sizes = sizes(client, refused) if pipelining else None
        # What was asked for and is not heard, with the octets expected; and what was heard and is not handed out.
        self.owed: Deque[Tuple[Any, int]] = collections.deque()
        self.expected = 0
        self.heard: Deque[Tuple[Any, Union[bytes, Exception]]] = collections.deque()
        self.reader: Optional[Reader] = None

    def __iter__(self) -> Iterator[Tuple[Any, bytes]]:
        return self

    def __next__(self) -> Tuple[Any, bytes]:
        if not self.heard:
            if not self.owed and (self.sizes is None or not self.client._may_run_ahead()):
                number = self.number()
                return number, self.client.retr_bytes(number)
            self.run_ahead()
            self.hear()
        number, message = self.heard.popleft()
        if isinstance(message, Exception):
            raise message
        return number, message

    def number(self) -> Any:
        """The next number to ask for."""
        if self.waiting is None:
            return next(self.numbers)
        number, self.waiting = self.waiting, None
        return number

    def run_ahead(self) -> None:
        """Fills the window, once half of it is free."""
        if len(self.owed) > COMMANDS // 2 or self.expected > OCTETS // 2:
            return
        lines = []
        while len(self.owed) < COMMANDS:
            try:
                number = self.number()
            except StopIteration:
                break
            size = UNKNOWN if self.sizes is None else self.sizes.get(str(number), UNKNOWN)
            if self.owed and self.expected + size > OCTETS:
                self.waiting = number
                break
            lines.append("RETR %s" % self.client._argument(number))
            self.owed.append((number, size))
            self.expected += size
        if lines:
            try:
                self.client._putahead(lines, self)
            except BaseException:
                self.fail()
                raise
        elif not self.owed:
            raise StopIteration

    def hear(self) -> None:
        """The answer to the oldest command."""
        number, size = self.owed.popleft()
        self.expected -= size
        try:
            if self.reader is None:
                self.reader = self.client._reader()
            resp = self.client._ask(self.reader.line).rstrip(b"\r\n")
            if resp.startswith(b"+"):
                message = self.client._ask(self.reader.message, resp)
            else:
                message = self.refused(resp)
        except BaseException:
            # Nobody knows where the next answer begins.
            self.fail()
            raise
        self.heard.append((number, message))
        if not self.owed:
            self.leave()

    def absorb(self) -> None:
        """Takes in all that is under way, so that another command may be said."""
        while self.owed:
            self.hear()

    def leave(self) -> None:
        """Gives the connection back."""
        reader, self.reader = self.reader, None
        self.client._retrieval_is_over(self)
        if reader is not None:
            self.client._put_back(reader)

    def fail(self) -> None:
        """The connection is of no use any more."""
        self.numbers, self.waiting = iter(()), None
        self.owed.clear()
        self.reader = None
        self.client._retrieval_is_over(self)


def sizes(client: Any, refused: Type[Exception]) -> Dict[str, int]:
    """The sizes that LIST tells, by number."""
    try:
        fields = [line.split() for line in client.list()[1]]
    except refused:
        return {}
    return {str(int(f[0])): int(f[1]) for f in fields if len(f) > 1 and f[0].isdigit() and f[1].isdigit()}
