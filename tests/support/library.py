"""The library as a program uses it, server and client in the test's own process, without a hub in its thread."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

from linksocks.contrib.urllib3 import Way


class Elsewhere:
    """The client, with a far end where every name is this machine's; `asked` tells what it was asked for."""

    def __init__(self, client: Way) -> None:
        self._client = client
        self.asked: list[tuple[str, int]] = []

    def create_connection(self, address: tuple[str, int], timeout: float | None = None) -> socket.socket:
        host, port = address
        self.asked.append((host, port))
        return self._client.create_connection(("127.0.0.1" if ":" not in host else host, port), timeout)


@contextmanager
def joined() -> Iterator[SimpleNamespace]:
    """A client with a link to a server, and without a SOCKS port."""
    yield SimpleNamespace(create_connection=socket.create_connection)
