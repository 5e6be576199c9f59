"""The native thread that unpatched programs have for all their tunnels: a hub, and nothing else."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import gevent
from gevent._hub_local import get_hub_if_exists
from gevent.hub import Hub

from linksocks.embed.call import closed
from linksocks.embed.native import close_now, start_thread
from linksocks.embed.runner import Runner
from linksocks.embed.waiters import HubWaiter, TaskWaiter, ThreadWaiter, new_waiter
from linksocks.errors import LinkSocksError
from linksocks.net.greenlets import give_way
from linksocks.net.hub import log_failures

_NAME: Final = "linksocks"

_LAST_STEPS: Final = 1.0
"""Seconds for microseconds of work; at the interpreter's end a thread may be stopped in them."""

_DESCRIPTORS: Final = 3
"""For epoll, and for waking it: an eventfd, or a pipe."""


class HubThread:
    """A thread that runs from here on, until `end`."""

    runner: Runner
    descriptors: tuple[int, ...]
    """Those of the hub itself."""

    def __init__(self) -> None:
        """Raises LinkSocksError."""
        self._ended = False
        self._joiners: list[Callable[[], object]] = []
        self._failure: Exception | None = None
        started = ThreadWaiter()
        try:
            self._native = start_thread(_NAME, lambda: self._main(started.wake))
        except RuntimeError as error:
            raise LinkSocksError(f"no thread for tunnels: {error}") from error
        started.wait(None)
        if self._failure is not None:
            raise LinkSocksError(f"no hub for tunnels: {self._failure}") from self._failure

    @property
    def current(self) -> bool:
        """Whether this is called in the thread."""
        return get_hub_if_exists() is self.runner.hub

    def end(self) -> None:
        """Ends what still runs, and the thread. Does not wait."""
        self._ending.wake()

    def join(self, timeout: float) -> None:
        """Waits until it has ended."""
        waiter = new_waiter()
        self._joiners.append(waiter.wake)
        if not self._ended:
            waiter.wait(timeout)
        self._join_native()

    async def async_join(self, timeout: float) -> None:
        """The same in asyncio."""
        waiter = TaskWaiter()
        self._joiners.append(waiter.wake)
        if not self._ended:
            await waiter.wait(timeout)
        self._join_native()

    def _join_native(self) -> None:
        """Waits for its last steps, behind the words to who joins: `threading` counts it until then."""
        if self._ended and self._native is not None:
            self._native.join(_LAST_STEPS)

    def _main(self, started: Callable[[], object]) -> None:
        try:
            hub = self._open()
        except Exception as error:  # noqa: BLE001 - of the system: the caller's
            self._failure = error
            return
        finally:
            started()
        self._ending.wait(None)
        self.runner.end(closed)
        self.runner.kill()
        _destroy(hub)
        self._ended = True
        for wake in list(self._joiners):  # who comes later asks `_ended`
            wake()

    def _open(self) -> Hub:
        _require_descriptors()
        hub = gevent.get_hub()
        hub.name = _NAME
        hub.SYSTEM_ERROR = ()  # a greenlet's SystemExit is no reason for the thread to end
        log_failures(hub)
        self._ending = HubWaiter(hub)
        self.runner = Runner(hub)
        give_way()  # the loop opens some at its first round
        self.descriptors = _descriptors(hub)
        return hub


def _require_descriptors() -> None:
    """Raises OSError when there are too few for a hub: libev would try for ever, with a traceback each time."""
    probes: list[int] = []
    try:
        probes.extend(os.open(os.devnull, os.O_RDONLY) for _ in range(_DESCRIPTORS))
    finally:
        for probe in probes:
            close_now(probe)


def _destroy(hub: Hub) -> None:
    hub.destroy(destroy_loop=True)
    if not hub.dead:
        # gevent leaves it where it has thrown LoopExit: with its thread it would never be freed, 13 KiB each.
        hub.throw(gevent.GreenletExit)


def _descriptors(hub: Hub) -> tuple[int, ...]:
    """Of a hub that has done nothing yet: epoll's, and what it watches for itself."""
    poll = hub.loop.fileno()
    if poll is None:  # GEVENT_LOOP or LIBEV_FLAGS ask for another kind
        return ()
    info = ""
    with contextlib.suppress(OSError):
        info = Path(f"/proc/self/fdinfo/{poll}").read_text()
    return (poll, *(int(number) for number in re.findall(r"^tfd:\s*(\d+)", info, re.MULTILINE)))
