"""The fixture of :mod:`popwire.testing`, which pytest finds by itself."""

from __future__ import annotations

from typing import Any, Callable, Iterator, List

import pytest

from popwire.testing import Server


@pytest.fixture
def pop3_server() -> Iterator[Callable[..., Server]]:
    """Makes servers, with the arguments of ``popwire.testing.Server``, that are stopped at the end of the test."""
    servers: List[Server] = []

    def make(*arguments: Any, **options: Any) -> Server:
        servers.append(Server(*arguments, **options))
        return servers[-1]

    yield make
    for server in servers:
        server.stop()
