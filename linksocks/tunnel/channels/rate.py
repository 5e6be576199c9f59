"""Bytes a second. A rate is a debt that time pays off: who moves bytes owes them, and while it owes, nobody moves.

A channel that may not go on waits in a queue, as it waits for credit: nothing sleeps, no other channel and no link
stands still for it. Those that share a rate take turns.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import gevent

_BURST: Final = 0.1
"""Seconds' worth that may be moved at once after a pause: timers are late by a few ms, and this makes up for it."""

_TURN: Final = 0.05
"""Seconds' worth of one turn, between the next two."""

_TRIFLE: Final = 0.0005
"""Seconds of debt for which it is not worth to wait."""

_SMALLEST: Final = 4 * 1024
_LARGEST: Final = 128 * 1024


class Rate:
    """At most `limit` bytes a second, of all that share it."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        """May be changed at any time."""
        self._even_at = 0.0  # when all will be paid off, by the monotonic clock
        self._queue: deque[Callable[[], None]] = deque()
        self._timer: Any = None  # of the loop, while somebody waits

    @property
    def turn(self) -> int:
        """Bytes that one should take at once."""
        return int(min(max(self.limit * _TURN, _SMALLEST), _LARGEST))

    @property
    def debt(self) -> float:
        """Seconds until bytes may be moved again; 0 where they may now."""
        debt = self._even_at - time.monotonic() - _BURST
        return debt if debt > _TRIFLE else 0.0

    def spend(self, count: int) -> None:
        """`count` bytes were moved."""
        self._even_at = max(self._even_at, time.monotonic()) + count / self.limit

    def wait(self, resume: Callable[[], None]) -> None:
        """Calls `resume` when it is its turn; it must not wait."""
        self._queue.append(resume)
        if self._timer is None:
            self._arm()

    def _arm(self) -> None:
        self._timer = gevent.get_hub().loop.timer(self.debt)
        self._timer.start(self._on_timer)

    def _on_timer(self) -> None:
        """One turn; what it spends, it may spend only after this, so the next one looks again."""
        self._timer.close()
        self._timer = None
        if not self.debt:
            self._queue.popleft()()
        if self._queue and self._timer is None:
            self._arm()


class Throttle:
    """Holds one direction of one channel to all of `rates`. `resume` is called when it may go on after a no."""

    def __init__(self, rates: Sequence[Rate], resume: Callable[[], None]) -> None:
        self._rates = rates
        self._resume = resume
        self._waiting = False

    @property
    def turn(self) -> int:
        """Bytes that it should move at once."""
        return min(rate.turn for rate in self._rates)

    @property
    def debt(self) -> float:
        """Seconds until it may go on."""
        return max(rate.debt for rate in self._rates)

    def free(self) -> bool:
        """Whether bytes may be moved now. If not, `resume` follows."""
        for rate in self._rates:
            if rate.debt:
                if not self._waiting:
                    self._waiting = True
                    rate.wait(self._again)
                return False
        return True

    def spend(self, count: int) -> None:
        """`count` bytes were moved."""
        for rate in self._rates:
            rate.spend(count)

    def _again(self) -> None:
        self._waiting = False
        self._resume()
