"""Greenlets with names, turns, and blocks with deadlines: what gevent has no short word for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

import gevent

Greenlet: TypeAlias = "gevent.Greenlet[..., None]"


def spawn(name: str, run: Callable[..., None], *args: object) -> Greenlet:
    """A running greenlet with a name. The caller owns it, and ends it."""
    greenlet = gevent.spawn(run, *args)
    greenlet.name = name
    return greenlet


def spawn_later(name: str, seconds: float, run: Callable[..., None], *args: object) -> Greenlet:
    """The same, beginning in some seconds unless it is killed before."""
    greenlet = gevent.spawn_later(seconds, run, *args)
    greenlet.name = name
    return greenlet


def name_current(name: str) -> None:
    """Names the running greenlet, where a pool has made it."""
    current = gevent.getcurrent()
    if isinstance(current, gevent.Greenlet):
        current.name = name


def give_way() -> None:
    """Lets all others run: those that can, and those for which I/O or a timer has come meanwhile.

    gevent.sleep(0) is not enough: up to 50 of them come back before the loop looks at its sockets. This is one round
    of the loop, and costs 2 us where that costs 1.
    """
    hub = gevent.get_hub()
    timer = hub.loop.timer(0)
    try:
        hub.wait(timer)
    finally:
        timer.close()


def until(deadline: float) -> float:
    """Seconds until `deadline`, a time of time.monotonic; 0 when it has passed."""
    return max(0.0, deadline - time.monotonic())


def within(seconds: float) -> gevent.Timeout:
    """`with within(5): ...` leaves the block without a word when the time is up."""
    return gevent.Timeout(seconds, False)  # type: ignore[arg-type]
