"""The ports for applications that a server opens, one for each reverse token."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from gevent import socket

from linksocks.errors import ConfigError, ListenError
from linksocks.net.listen import bind
from linksocks.net.sockets import shown

KEPT: Final = 30.0
"""Seconds for which a port that its token left is kept for that token (PROTOCOL section 3.2): an application that
still speaks to it must not end up in somebody else's network."""

POOL: Final = range(1024, 10241)
"""LinkSocks's own (PROTOCOL section 3.2)."""

_LAST: Final = 65535

_SAID: Final = 5
"""Runs of ports that an error tells."""


class PortPool:
    """Binds ports on `host`: given ones, or free ones of `ports`. Raises ConfigError for what can't be ports.

    Nobody gets a port that another token has: the system would bind it twice, until one of both listens.
    """

    def __init__(self, host: str, ports: Sequence[int] = POOL) -> None:
        self._host = host
        self._ports = checked(ports)
        self._taken: dict[int, str] = {}  # port: by whom
        self._kept: dict[int, tuple[str, float]] = {}  # port: for whom, until when

    def take(self, port: int, owner: str) -> socket.socket:
        """A bound socket on `port`, or with 0 on any of the pool, the one that `owner` had before if it is kept.

        Raises ListenError.
        """
        if port:
            if port in self._taken:
                where = shown((self._host, port))
                raise ListenError(
                    f"can't listen on {where}: the port is in use by another token: choose another"
                )
            return self._bound(port, owner)
        for candidate in self._candidates(owner):
            try:
                return self._bound(candidate, owner)
            except ListenError:
                continue  # another program has it
        raise ListenError(f"no port of {_shown(self._ports)} is free on {self._host}: choose a larger pool")

    def leave(self, port: int, owner: str) -> None:
        """`owner` has closed `port`."""
        if self._taken.get(port) == owner:
            del self._taken[port]
            self._kept[port] = owner, time.monotonic() + KEPT

    def _bound(self, port: int, owner: str) -> socket.socket:
        """Raises ListenError."""
        sock = bind(self._host, port)
        self._taken[port] = owner
        self._kept.pop(port, None)
        return sock

    def _candidates(self, owner: str) -> Iterator[int]:
        now = time.monotonic()
        self._kept = {port: kept for port, kept in self._kept.items() if kept[1] > now}
        yield from (port for port, kept in self._kept.items() if kept[0] == owner and port in self._ports)
        start = random.randrange(len(self._ports))
        in_turn = (*self._ports[start:], *self._ports[:start])
        yield from (port for port in in_turn if port not in self._kept and port not in self._taken)


def checked(ports: Iterable[int], name: str = "port pool") -> tuple[int, ...]:
    """Different ports, one at least. Raises ConfigError that begins with `name`, also when they have no end."""
    found: dict[int, None] = {}
    for port in ports:
        if type(port) is not int or not 0 < port <= _LAST:  # a bool is an int by inheritance alone
            raise ConfigError(f"{name}: expected ports from 1 to {_LAST}, got {port!r}")
        if port in found:
            raise ConfigError(f"{name}: {port} is in it twice; name each port once")
        found[port] = None
    if not found:
        raise ConfigError(f"{name}: expected one port or more, the first not above the last, got none")
    return tuple(found)


def _shown(ports: Sequence[int]) -> str:
    """Runs of them in a few words: 5000, 5002 to 5009."""
    runs: list[list[int]] = []
    for port in sorted(ports):
        if runs and runs[-1][1] == port - 1:
            runs[-1][1] = port
        else:
            runs.append([port, port])
    said = [str(first) if first == last else f"{first} to {last}" for first, last in runs[:_SAID]]
    if len(runs) > _SAID:
        said.append(f"... {runs[-1][1]}")
    return ", ".join(said)
