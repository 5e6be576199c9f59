"""Names to addresses, without blocking the hub.

The C library's look-up can't be interrupted. It runs in a small pool of threads of our own, so that slow names hold
up neither the hub nor other users of gevent's pool; each look-up has a deadline, and its thread is back when the
library gives up. Answers are kept for a short while: a page that opens forty connections asks once.
"""

from __future__ import annotations

import socket
import time
from typing import Final, NamedTuple, TypeAlias, cast

import gevent
from gevent.threadpool import ThreadPool

from linksocks.errors import Cause, DialError

_THREADS: Final = 8
_KEEP_SECONDS: Final = 10.0
_KEEP_NAMES: Final = 1024


class Address(NamedTuple):
    """One address that a name has."""

    family: socket.AddressFamily
    sockaddr: tuple[str, int] | tuple[str, int, int, int]


_Answer: TypeAlias = tuple[socket.AddressFamily, int, int, str, tuple[str, int]]


class Resolver:
    """Look-ups for one hub."""

    def __init__(self) -> None:
        self._pool: ThreadPool | None = None  # made by the first look-up, in the hub that it serves
        self._kept: dict[str, tuple[float, list[Address]]] = {}

    def resolve(self, host: str, port: int, timeout: float) -> list[Address]:
        """The addresses of `host` in the system's order; `timeout` in seconds.

        Raises DialError: HOST_UNREACHABLE for a name without an address, TIMED_OUT.
        """
        literal = _literal(host)
        if literal is not None:
            return [_with_port(literal, port)]
        kept = self._kept.get(host)
        if kept is None or kept[0] < time.monotonic():
            kept = (time.monotonic() + _KEEP_SECONDS, self._look_up(host, timeout))
            if len(self._kept) >= _KEEP_NAMES:
                self._kept.clear()
            self._kept[host] = kept
        return [_with_port(address, port) for address in kept[1]]

    def _look_up(self, host: str, timeout: float) -> list[Address]:
        if self._pool is None:
            self._pool = ThreadPool(_THREADS)
        try:
            # The pool may be full of slow look-ups: waiting for a thread counts too.
            with gevent.Timeout(timeout):
                answers = cast(list[_Answer], self._pool.spawn(_getaddrinfo, host).get())
        except gevent.Timeout as error:
            raise DialError(Cause.TIMED_OUT, f"looking up {host} took longer than {timeout:g} s") from error
        except (OSError, ValueError) as error:  # ValueError: a NUL in it, or a label that IDNA refuses
            reason = getattr(error, "strerror", None) or error
            raise DialError(Cause.HOST_UNREACHABLE, f"no such host {host}: {reason}") from error
        return [Address(family, sockaddr) for family, _, _, _, sockaddr in answers]

    def close(self) -> None:
        """Ends the threads. One that is in a look-up ends after it."""
        if self._pool is not None:
            self._pool.kill()
            self._pool = None


def _getaddrinfo(host: str) -> list[_Answer]:
    return socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)  # type: ignore[return-value]


def _literal(host: str) -> Address | None:
    """The address that `host` spells, where it is no name: it needs no thread."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except (OSError, ValueError):
            continue
        return Address(family, (host, 0) if family == socket.AF_INET else (host, 0, 0, 0))
    return None


def _with_port(address: Address, port: int) -> Address:
    host, _, *rest = address.sockaddr
    return Address(address.family, (host, port, *rest))  # type: ignore[arg-type]
