"""The library as a program uses it, server and client in the test's own process, without a hub in its thread."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from linksocks import Client, Server
from linksocks.contrib.urllib3 import Way


@contextmanager
def joined() -> Iterator[Client]:
    """A client with a link to a server, and without a SOCKS port."""
    with Server(ws_host="127.0.0.1", ws_port=0) as server:
        url = f"ws://127.0.0.1:{server.ws_port}"
        with Client(server.add_forward_token(), ws_url=url, socks=False) as client:
            client.wait_ready(10)
            yield client


class Elsewhere:
    """The client, with a far end where every name is this machine's; `asked` tells what it was asked for, `timeout`
    in what time the last time."""

    def __init__(self, client: Way) -> None:
        self._client = client
        self.asked: list[tuple[str, int]] = []
        self.timeout: float | None = None

    def create_connection(self, address: tuple[str, int], timeout: float | None = None) -> socket.socket:
        host, port = address
        self.asked.append((host, port))
        self.timeout = timeout
        return self._client.create_connection(("127.0.0.1" if ":" not in host else host, port), timeout)
