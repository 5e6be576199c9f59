"""The greenlets of one side that have a stream, and how they are given time when this side leaves.

============================ ==========================================================================
a relay                      gets
============================ ==========================================================================
with nothing on its way      the grace
of which one side has ended  the grace, or DELIVERY if that is longer: what was said is to arrive
============================ ==========================================================================
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, cast

import gevent

from linksocks.net.greenlets import Greenlet, spawn, until
from linksocks.tunnel.ends.relay import Relay

DELIVERY: Final = 5.0
"""Seconds for the rest of a stream whose application, or target, has closed already."""

_LOOK: Final = 0.05
"""Seconds between two looks at what is on its way."""


class Busy:
    """Each greenlet with its relay, if it has one."""

    def __init__(self) -> None:
        self._relays: dict[Greenlet, Relay | None] = {}

    def __len__(self) -> int:
        return len(self._relays)

    def spawn(self, name: str, relay: Relay, run: Callable[..., None], *args: object) -> Greenlet:
        """A greenlet that is busy from now on until its end."""
        greenlet = spawn(name, run, *args)
        self._relays[greenlet] = relay
        greenlet.rawlink(self._forget)
        return greenlet

    @contextmanager
    def working(self) -> Iterator[None]:
        """The running greenlet is busy during the block."""
        current = _current()
        self._relays[current] = None
        try:
            yield
        finally:
            self._forget(current)

    def carries(self, relay: Relay) -> None:
        """The running greenlet, which is busy, runs `relay`."""
        self._relays[_current()] = relay

    def drain(self, grace: float) -> None:
        """Waits until all have ended, or as long as the table above says. Those that are left go on."""
        deadline = time.monotonic() + max(grace, DELIVERY)
        gevent.joinall(list(self._relays), timeout=grace)
        # Idle is who was so at two looks: between two parts of a stream a socket looks idle for a moment.
        before, now = set[Greenlet](), self._hurried()
        while (before or now) and (left := until(deadline)):
            gevent.joinall(list(before | now), timeout=min(left, _LOOK))
            before, now = now, self._hurried()

    def kill(self) -> None:
        """Ends all; their channels break."""
        gevent.killall(list(self._relays))

    def _hurried(self) -> set[Greenlet]:
        """Those that are on their way out, and know that it is time."""
        leaving = {each: relay for each, relay in self._relays.items() if relay is not None and relay.leaving}
        for relay in leaving.values():
            relay.hurry()
        return set(leaving)

    def _forget(self, greenlet: Greenlet) -> None:
        self._relays.pop(greenlet, None)


def _current() -> Greenlet:
    return cast(Greenlet, gevent.getcurrent())
