"""How many messages are asked for together. All of a batch is in memory, and nothing is under way when it is there."""

from __future__ import annotations

from typing import Dict, Iterable, Iterator, List, Optional

#: Messages of a batch; with more, a round trip of 50 ms makes no difference any more.
MOST = 256
#: Those of the first one, so that the first message comes soon.
FIRST = 16
#: Octets of a batch, as LIST has them, unless a single message has more.
OCTETS = 16 << 20
#: What a message counts for of which LIST tells no size.
UNKNOWN = OCTETS // FIRST


class Batches:
    """Numbers in batches, by the sizes of the messages."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self._numbers: Iterator[int] = iter(numbers)
        # A number that has found no room.
        self._waiting: Optional[int] = None
        self._most = FIRST

    def next(self, sizes: Optional[Dict[int, Optional[int]]]) -> List[int]:
        """The next batch; empty if there is none. Without sizes it is bounded by their number alone."""
        batch: List[int] = []
        octets = 0
        while len(batch) < self._most:
            number = next(self._numbers, None) if self._waiting is None else self._waiting
            self._waiting = None
            if number is None:
                break
            if sizes is not None:
                size = sizes.get(number)
                octets += UNKNOWN if size is None else size
            if batch and octets > OCTETS:
                self._waiting = number
                break
            batch.append(number)
        self._most = min(MOST, self._most * 4)
        return batch

    def stop(self) -> None:
        """There is no use in more."""
        self._numbers, self._waiting = iter(()), None
