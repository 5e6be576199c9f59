"""Libraries for HTTP on one tunnel."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from linksocks import Client
from tests.support.library import client, files, leaves_nothing
from tests.support.targets import HttpTarget

__all__ = ["client", "files", "leaves_nothing"]


class Elsewhere:
    """The client, with a far end where every name is this machine's; `asked` tells what it was asked for, `timeout`
    in what time the last time."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.asked: list[tuple[str, int]] = []
        self.timeout: float | None = None

    def create_connection(self, address: tuple[str, int], timeout: float | None = None) -> socket.socket:
        host, port = address
        self.asked.append((host, port))
        self.timeout = timeout
        return self._client.create_connection(("127.0.0.1" if ":" not in host else host, port), timeout)


@pytest.fixture
def far(client: Client) -> Elsewhere:
    return Elsewhere(client)


@pytest.fixture
def target() -> Iterator[HttpTarget]:
    with HttpTarget() as target:
        yield target
