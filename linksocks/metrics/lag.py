"""How late the event loop is: what runs too long without a pause holds up everything else, and shows here."""

from __future__ import annotations

import time
from typing import Final

import gevent

from linksocks.net.greenlets import Greenlet, spawn
from linksocks.tunnel.channels.tally import Histogram

INTERVAL: Final = 0.5
"""Seconds between two looks."""


class Lag:
    """Measures from `start` to `stop`."""

    def __init__(self) -> None:
        self.histogram = Histogram(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
        self._greenlet: Greenlet | None = None

    def start(self) -> None:
        self._greenlet = spawn("event loop lag", self._run)

    def stop(self) -> None:
        if self._greenlet is not None:
            self._greenlet.kill()

    def _run(self) -> None:
        while True:
            due = time.monotonic() + INTERVAL
            gevent.sleep(INTERVAL)
            self.histogram.add(max(0.0, time.monotonic() - due))
