"""The shared thread stands still while another one forks.

A system call lets other threads run. A fork at that moment gives the child what the thread is just making or closing,
under a number that no object names yet, or names no more: a port or a link, which `fork` can't close, for as long as
the child lives. Between two greenlets there is no such moment, so there the thread waits.

It costs nothing where there is no such thread, and where the fork is made in it, which is between two calls then.
"""

from __future__ import annotations

import contextlib
import threading
from typing import Final

from linksocks.embed.bell import bell_of
from linksocks.embed.thread import HubThread
from linksocks.embed.waiters import ThreadWaiter

_ARRIVAL: Final = 1.0
"""Seconds for the thread to come there. Then the fork is made without it: it may wait for a lock of who forks."""

_STAY: Final = 10.0
"""Seconds for a fork, which says itself when it is over, even if it failed: a process of 100 GB takes some."""


class _Forks(threading.local):
    """Those that are under way in this thread: a signal's handler may fork in the midst of another fork."""

    def __init__(self) -> None:
        self.ends: list[ThreadWaiter] = []


_forks: Final = _Forks()


def park(thread: HubThread | None) -> None:
    """Before a fork."""
    end = ThreadWaiter()
    _forks.ends.append(end)
    if thread is not None and not thread.current:
        arrival = ThreadWaiter()
        with contextlib.suppress(Exception):  # its loop was destroyed
            bell_of(thread.runner.hub).ring(_stand, arrival, end)
            arrival.wait(_ARRIVAL)


def go_on() -> None:
    """After it, in the parent and in the child."""
    if _forks.ends:  # the first tunnel of all may have begun between the two
        _forks.ends.pop().wake()


def _stand(arrival: ThreadWaiter, end: ThreadWaiter) -> None:
    arrival.wake()
    end.wait(_STAY)
