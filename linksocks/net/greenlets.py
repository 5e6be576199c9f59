"""Greenlets with names, and blocks with deadlines: what gevent has no short word for."""

from __future__ import annotations

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


def within(seconds: float) -> gevent.Timeout:
    """`with within(5): ...` leaves the block without a word when the time is up."""
    return gevent.Timeout(seconds, False)  # type: ignore[arg-type]
