"""The ports for applications that a server opens, one for each reverse token."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Final

from gevent import socket

from linksocks.errors import ListenError
from linksocks.net.listen import bind

KEPT: Final = 30.0
"""Seconds for which a port that its token left is kept for that token (PROTOCOL section 3.2): an application that
still speaks to it must not end up in somebody else's network."""


class PortPool:
    """Binds ports on `host`: given ones, or free ones of `first` to `last`."""

    def __init__(self, host: str, first: int, last: int) -> None:
        self._host = host
        self._range = range(first, last + 1)
        self._kept: dict[int, tuple[str, float]] = {}  # port: for whom, until when

    def take(self, port: int, owner: str) -> socket.socket:
        """A bound socket on `port`, or with 0 on any of the pool, the one that `owner` had before if it is kept.

        Raises ListenError.
        """
        if port:
            self._kept.pop(port, None)
            return bind(self._host, port)
        for candidate in self._candidates(owner):
            try:
                sock = bind(self._host, candidate)
            except ListenError:
                continue  # somebody else has it
            self._kept.pop(candidate, None)
            return sock
        raise ListenError(
            f"no port from {self._range[0]} to {self._range[-1]} is free on {self._host}: choose a larger range"
        )

    def leave(self, port: int, owner: str) -> None:
        """`owner` has closed `port`."""
        self._kept[port] = owner, time.monotonic() + KEPT

    def _candidates(self, owner: str) -> Iterator[int]:
        now = time.monotonic()
        self._kept = {port: kept for port, kept in self._kept.items() if kept[1] > now}
        yield from (port for port, kept in self._kept.items() if kept[0] == owner and port in self._range)
        start = random.randrange(len(self._range))
        yield from (port for port in (*self._range[start:], *self._range[:start]) if port not in self._kept)
