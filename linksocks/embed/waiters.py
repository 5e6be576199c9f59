"""How a caller waits for an answer that comes from another thread.

============= ============================== ===================================== ================================
waiter        who waits                      waits in                              is woken by
============= ============================== ===================================== ================================
ThreadWaiter  a thread without a hub         a native lock                         its release
HubWaiter     a greenlet of another hub      its hub; all others there go on       that hub's Bell
TaskWaiter    a task of asyncio              a future; all others there go on      that loop's call_soon_threadsafe
============= ============================== ===================================== ================================

A thread that has no hub never gets one by waiting: each costs three descriptors, and nobody would end it.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import time
from typing import Final, TypeAlias

import gevent
from gevent._hub_local import get_hub_if_exists
from gevent.hub import Hub, Waiter

from linksocks.embed.bell import bell_of
from linksocks.embed.native import new_lock
from linksocks.errors import LinkSocksError
from linksocks.net.greenlets import until

_LOOK: Final = 1.0
"""Seconds between two looks at signals. One that comes when a thread is about to wait for a lock, just before the
system knows of it, does not end that wait: 11 of 400 Ctrl-C at the beginning of a call were not heard of."""


class ThreadWaiter:
    """For one wait of a thread."""

    def __init__(self) -> None:
        self._lock = new_lock()
        self._lock.acquire()

    def wake(self) -> bool:
        """From any thread, once. Whether there may be somebody who wakes."""
        self._lock.release()
        return True

    def wait(self, timeout: float | None) -> None:
        """Until `wake`, or for `timeout` seconds."""
        ends = math.inf if timeout is None else time.monotonic() + timeout
        while not self._lock.acquire(timeout=min(_LOOK, until(ends))) and until(ends):
            pass


class HubWaiter:
    """For one wait of a greenlet of `hub`; see ThreadWaiter."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._loop = hub.loop
        self._bell = bell_of(hub)
        self._waiter: Waiter[None] = Waiter(hub)

    def wake(self) -> bool:
        """False when the hub is gone."""
        try:
            self._bell.ring(self._waiter.switch, None)
        except Exception:  # noqa: BLE001 - whatever a loop says that was destroyed
            return False
        return True

    def wait(self, timeout: float | None) -> None:
        # A loop without a watcher ends at once: who wakes us is in none of its own.
        limit = gevent.Timeout(timeout, False)  # type: ignore[arg-type]
        with contextlib.closing(self._loop.async_()) as alive, limit:
            alive.start(_nothing)
            self._waiter.get()


class TaskWaiter:
    """For one wait of the current task; see ThreadWaiter."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()
        self._pid = os.getpid()

    def wake(self) -> bool:
        """False when the loop is closed, or the parent's: a child of a fork shares the pipe that wakes it."""
        if self._pid != os.getpid():
            return False
        try:
            self._loop.call_soon_threadsafe(self._set)
        except RuntimeError:
            return False
        return True

    async def wait(self, timeout: float | None) -> None:
        await asyncio.wait((self._future,), timeout=timeout)

    def _set(self) -> None:
        if not self._future.done():
            self._future.set_result(None)


AnyWaiter: TypeAlias = ThreadWaiter | HubWaiter

_IN_THE_HUB: Final = "called in a callback of gevent's loop, which must not wait: spawn a greenlet for it"


def current_hub() -> Hub | None:
    """The hub of this thread, if it has one. Raises LinkSocksError in the hub's own greenlet, which can't wait."""
    hub: Hub | None = get_hub_if_exists()
    if hub is not None and gevent.getcurrent() is hub:
        raise LinkSocksError(_IN_THE_HUB)
    return hub


def new_waiter() -> AnyWaiter:
    """For the thread or greenlet that calls this."""
    hub = current_hub()
    return ThreadWaiter() if hub is None else HubWaiter(hub)


def _nothing() -> None:
    pass
