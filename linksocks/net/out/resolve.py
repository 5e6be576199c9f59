"""Names to addresses, without blocking the hub.

The C library's look-up can't be interrupted. It runs in a small pool of threads of our own, so that slow names hold
up neither the hub nor other users of gevent's pool; each look-up has a deadline, and its thread is back when the
library gives up. Who asks for a name that is being looked up shares that look-up, so one slow name holds one thread;
answers are kept for a short while. A page that opens forty connections asks once.

One asker gets a part of the threads only, however many slow names it has: there are always some left for others.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final, NamedTuple, TypeAlias, cast
from weakref import WeakKeyDictionary

import gevent
from gevent import monkey
from gevent.event import AsyncResult
from gevent.lock import Semaphore
from gevent.threadpool import ThreadPool

from linksocks.errors import Cause, DialError
from linksocks.net.greenlets import within

_THREADS: Final = 16
_SHARE: Final = 8
"""Threads for one asker."""

_KEEP_SECONDS: Final = 10.0
_FAREWELL: Final = 0.5
"""Seconds for idle threads to end."""

_KEEP_NAMES: Final = 1024


_asker: Final[ContextVar[object]] = ContextVar("asker")
"""Whose look-ups these are. Each greenlet has its own; those that have none are one asker together."""


class _Anybody:
    """The asker of those that have none."""


def look_up_for(asker: object) -> None:
    """From now on the look-ups of this greenlet are those of `asker`."""
    _asker.set(asker)


def current_asker() -> object:
    """Whose the look-ups of this greenlet are."""
    return _asker.get(_Anybody)


class Address(NamedTuple):
    """One address that a name has."""

    family: socket.AddressFamily
    sockaddr: tuple[str, int] | tuple[str, int, int, int]


_NO_NAME: Final = "a name's parts, between its dots, have 1 to 63 letters each, of those that IDNA allows"

_of_the_system: Final = cast(Callable[..., "list[_Answer]"], monkey.get_original("socket", "getaddrinfo"))
"""Also in a patched program: gevent's own would make a hub in each of our threads, and more threads for that."""

_Answer: TypeAlias = tuple[socket.AddressFamily, int, int, str, tuple[str, int]]
_Outcome: TypeAlias = list[_Answer] | OSError | ValueError


class Resolver:
    """Look-ups for one hub; `prefer_ipv4` puts a name's IPv4 addresses first."""

    def __init__(self, *, prefer_ipv4: bool = False) -> None:
        self._prefer_ipv4 = prefer_ipv4
        self._pool: ThreadPool | None = None  # made by the first look-up, in the hub that it serves
        self._asked: dict[str, AsyncResult[_Outcome]] = {}  # look-ups under way
        self._kept: dict[str, tuple[float, list[Address]]] = {}
        self._shares: WeakKeyDictionary[object, Semaphore] = WeakKeyDictionary()  # of each asker

    def resolve(self, host: str, port: int, timeout: float) -> list[Address]:
        """The addresses of `host` in the system's order, but for `prefer_ipv4`; `timeout` in seconds.

        Raises DialError: HOST_UNREACHABLE for a name without an address, TIMED_OUT.
        """
        address = literal(host)
        if address is not None:
            return [_with_port(address, port)]
        kept = self._kept.get(host)
        if kept is None or kept[0] < time.monotonic():
            kept = (time.monotonic() + _KEEP_SECONDS, self._look_up(host, timeout))
            if len(self._kept) >= _KEEP_NAMES:
                self._kept.clear()
            self._kept[host] = kept
        return [_with_port(address, port) for address in kept[1]]

    def _look_up(self, host: str, timeout: float) -> list[Address]:
        if "\0" in host:  # the C library would look up what stands before it
            raise DialError(Cause.HOST_UNREACHABLE, f"no such host {host!r}: a name holds no NUL")
        deadline = gevent.Timeout.start_new(timeout)
        try:
            outcome = cast(_Outcome, self._ask(host).get())
        except gevent.Timeout as error:
            if error is not deadline:
                raise
            raise DialError(Cause.TIMED_OUT, f"looking up {host} took longer than {timeout:g} s") from error
        finally:
            deadline.close()
        if isinstance(outcome, Exception):
            reason = getattr(outcome, "strerror", None) or outcome
            if isinstance(outcome, UnicodeError):
                reason = _NO_NAME
            raise DialError(Cause.HOST_UNREACHABLE, f"no such host {host}: {reason}") from outcome
        addresses = [Address(family, sockaddr) for family, _, _, _, sockaddr in outcome]
        if self._prefer_ipv4:
            addresses.sort(key=lambda address: address.family != socket.AF_INET)
        return addresses

    def _ask(self, host: str) -> AsyncResult[_Outcome]:
        """The look-up of `host` that is under way, or a new one. Waits while all threads are taken."""
        if host in self._asked:
            return self._asked[host]
        share = self._shares.setdefault(current_asker(), Semaphore(_SHARE))
        share.acquire()
        if host in self._asked:  # another one has begun it meanwhile
            share.release()
            return self._asked[host]

        def on_done(_asked: object) -> None:
            self._asked.pop(host, None)
            share.release()

        if self._pool is None:
            self._pool = ThreadPool(_THREADS)
        try:
            asked = cast("AsyncResult[_Outcome]", self._pool.spawn(_outcome, host))
        except BaseException:  # the time was up
            share.release()
            raise
        self._asked[host] = asked
        asked.rawlink(on_done)
        return asked

    def close(self) -> None:
        """Ends the threads. One that is in a look-up ends after it, and is not waited for."""
        if self._pool is not None:
            with within(_FAREWELL):
                self._pool.kill()
            self._pool = None


def _outcome(host: str) -> _Outcome:
    """An exception that left the thread would be printed by the pool, traceback and all."""
    try:
        return _getaddrinfo(host)
    except (OSError, ValueError) as error:  # ValueError: a label that IDNA refuses
        return error


def _getaddrinfo(host: str) -> list[_Answer]:
    return _of_the_system(host, 0, type=socket.SOCK_STREAM)


def literal(host: str) -> Address | None:
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
