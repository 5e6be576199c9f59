"""TCP connections to targets, with the real cause when there is none.

A name with several addresses is tried as RFC 8305 says: families take turns, the next address starts 250 ms after the
one before it or as soon as that one failed, and the first that answers wins. So a dead IPv6 route costs a quarter of
a second and not the whole timeout.
"""

from __future__ import annotations

import errno
import socket as stdlib_socket
import time
from collections.abc import Callable
from itertools import chain, zip_longest
from typing import Final

import gevent
from gevent import socket
from gevent.queue import Empty, Queue

from linksocks.errors import Cause, DialError
from linksocks.net.greenlets import Group, name_current
from linksocks.net.out.judge import Judge
from linksocks.net.out.permit import permitted
from linksocks.net.out.resolve import Address, Resolver
from linksocks.net.sockets import own, shown, tune

STAGGER: Final = 0.25
"""Seconds between two attempts, the "Connection Attempt Delay" of RFC 8305 section 8."""

_CAUSES: Final = {
    errno.ECONNREFUSED: Cause.REFUSED,
    errno.ENETUNREACH: Cause.NETWORK_UNREACHABLE,
    errno.EHOSTUNREACH: Cause.HOST_UNREACHABLE,
    errno.EADDRNOTAVAIL: Cause.HOST_UNREACHABLE,
    errno.ETIMEDOUT: Cause.TIMED_OUT,
    errno.EACCES: Cause.NOT_ALLOWED,
    errno.EPERM: Cause.NOT_ALLOWED,
}


def dial(
    resolver: Resolver, host: str, port: int, timeout: float, judge: Judge | None = None
) -> socket.socket:
    """A connected, tuned socket; `timeout` in seconds covers the look-up and all attempts.

    Only addresses that `judge` allows are tried. Raises DialError with the cause of the first address's failure.
    """
    target = shown((host, port))
    began = time.monotonic()
    addresses = _alternate(permitted(resolver, host, port, timeout, judge))
    deadline = gevent.Timeout.start_new(max(0.0, timeout - (time.monotonic() - began)))
    try:
        if len(addresses) == 1:
            return _connect(addresses[0])
        return _race(addresses)
    except gevent.Timeout as error:
        if error is not deadline:
            raise
        raise DialError(Cause.TIMED_OUT, f"no answer from {target} in {timeout:g} s") from error
    except OSError as error:
        cause = _CAUSES.get(error.errno or 0, Cause.GENERAL)
        raise DialError(cause, f"{target}: {error.strerror or error}") from error
    finally:
        deadline.close()


def _alternate(addresses: list[Address]) -> list[Address]:
    """Families in turn, beginning with the first address's (RFC 8305 section 4)."""
    first = [address for address in addresses if address.family == addresses[0].family]
    others = [address for address in addresses if address.family != addresses[0].family]
    return [address for address in chain(*zip_longest(first, others)) if address is not None]


def _connect(address: Address) -> socket.socket:
    sock = own(socket.socket(address.family, stdlib_socket.SOCK_STREAM))
    try:
        sock.connect(address.sockaddr)
        tune(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def _race(addresses: list[Address]) -> socket.socket:
    """The first connection that succeeds; raises the first address's OSError when none does."""
    outcomes: Queue[tuple[int, socket.socket | OSError]] = Queue()
    attempts = Group()
    failures: dict[int, OSError] = {}
    waiting = list(enumerate(addresses))
    try:
        while len(failures) < len(addresses):
            if waiting:
                place, address = waiting.pop(0)
                attempts.spawn(_attempt, outcomes.put, place, address)
            try:
                place, outcome = outcomes.get(timeout=STAGGER if waiting else None)
            except Empty:
                continue
            if not isinstance(outcome, OSError):
                return outcome
            failures[place] = outcome
        raise failures[0]
    finally:
        # A late winner has its socket in the queue or in its greenlet: neither may outlive the race.
        attempts.kill()
        while not outcomes.empty():
            late = outcomes.get()[1]
            if not isinstance(late, OSError):
                late.close()


def _attempt(
    report: Callable[[tuple[int, socket.socket | OSError]], None], place: int, address: Address
) -> None:
    name_current(f"dial {address.sockaddr[0]}")
    try:
        report((place, _connect(address)))
    except OSError as error:
        report((place, error))
