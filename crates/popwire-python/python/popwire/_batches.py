"""How many messages are asked for together. All of a batch is in memory, and nothing is under way when it is there."""

from __future__ import annotations

import itertools
from typing import Iterable, Iterator, List, Tuple, Union

#: Messages of a batch; with more, a round trip of 50 ms makes no difference any more.
MOST = 256
#: Octets that a batch should have.
OCTETS = 16 << 20


class Batches:
    """Numbers in batches that begin small, so that the first message comes soon, and grow as the messages allow."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self.numbers: Iterator[int] = iter(numbers)
        self.count = 16

    def next(self) -> List[int]:
        """The next batch; empty if there is none."""
        return list(itertools.islice(self.numbers, self.count))

    def learn(self, batch: List[Tuple[int, Union[bytes, Exception]]]) -> None:
        """Takes note of how large messages are."""
        sizes = [len(message) for _, message in batch if isinstance(message, bytes)]
        mean = max(1, sum(sizes) // max(1, len(sizes)))
        self.count = max(1, min(MOST, self.count * 4, OCTETS // mean))

    def stop(self) -> None:
        """There is no use in more."""
        self.numbers = iter(())
