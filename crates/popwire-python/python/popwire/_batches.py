"""How many messages are asked for together. All of a batch is in memory, and nothing is under way when it is there."""

from __future__ import annotations

import operator
from typing import Any, Deque, Dict, Iterable, Iterator, List, Optional, Tuple

from popwire._errors import Error, Misuse, Refused

#: Messages of a batch; with more, a round trip of 50 ms makes no difference any more.
MOST = 256
#: Those of the first one, so that the first message comes soon.
FIRST = 16
#: Octets of a batch, as LIST has them, unless a single message has more.
OCTETS = 16 << 20
#: What a message counts for of which LIST tells no size.
UNKNOWN = OCTETS // FIRST
#: The largest number that a message can have.
LARGEST = (1 << 32) - 1


def message_number(number: Any) -> int:
    """This number, if a message can have it; that there is no message 0 the session says."""
    index = operator.index(number)
    if not 0 <= index <= LARGEST:
        raise Misuse(f"{index} is no message number; nothing was sent")
    return index


def raise_interrupt(outcome: Any) -> None:
    """Raises what is no error of a message's, but is meant for the program."""
    if isinstance(outcome, BaseException) and not isinstance(outcome, Exception):
        raise outcome


class Batches:
    """Numbers in batches, by the sizes of the messages."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self._numbers: Iterator[int] = iter(numbers)
        # Those that are asked for, until they have come.
        self._batch: List[int] = []
        # A number that has found no room, or is none: those before it come first.
        self._waiting: List[Any] = []
        self._most = FIRST

    def next(self, sizes: Optional[Dict[int, Optional[int]]]) -> List[int]:
        """The next batch; empty if there is none. Without sizes it is bounded by the number of messages alone. Until it is
        told to have :meth:`came` it is the same one again: a wait that is cancelled, or a session that another thread has, costs no message.

        For a number that no message can have this raises, once, in its turn.
        """
        if not self._batch:
            self._fill(sizes)
        return self._batch

    def _fill(self, sizes: Optional[Dict[int, Optional[int]]]) -> None:
        octets = 0
        while len(self._batch) < self._most:
            try:
                given = self._waiting.pop() if self._waiting else next(self._numbers)
            except StopIteration:
                break
            try:
                number = message_number(given)
            except (TypeError, Misuse):
                if not self._batch:
                    raise
                self._waiting.append(given)
                break
            if sizes is not None:
                size = sizes.get(number)
                octets += UNKNOWN if size is None else size
            if self._batch and octets > OCTETS:
                self._waiting.append(number)
                break
            self._batch.append(number)

    def came(self, batch: Iterable[Tuple[int, Any]], here: Deque[Tuple[int, Any]]) -> None:
        """The batch has come, and goes to ``here``. What interrupts the program, such as Ctrl-C, does so at once."""
        self._batch = []
        self._most = min(MOST, self._most * 4)
        for number, outcome in batch:
            raise_interrupt(outcome)
            here.append((number, outcome))

    def failed(self, error: Exception) -> None:
        """There are no more if the session is what failed: a refusal, or a file that fails, costs one message."""
        if isinstance(error, Error) and not isinstance(error, (Refused, Misuse)):
            self.stop()

    def stop(self) -> None:
        """There is no use in more."""
        self._numbers, self._waiting, self._batch = iter(()), [], []
