"""Counts the rounds of gevent's loop: only a round looks at sockets and timers; work without one stalls them all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import gevent


class Rounds:
    """`count` rounds so far."""

    def __init__(self) -> None:
        self.count = 0

    def one_more(self) -> None:
        self.count += 1


@contextmanager
def rounds() -> Iterator[Rounds]:
    """Counts during the block."""
    counted = Rounds()
    watcher = gevent.get_hub().loop.check()
    watcher.start(counted.one_more)
    try:
        yield counted
    finally:
        watcher.stop()
        watcher.close()
