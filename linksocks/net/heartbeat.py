"""Pings a peer, and notices when it is dead: when it sends nothing, or takes nothing.

One timer for each WebSocket looks at counters that reading and writing keep anyway. A deadline on each read and
write would start and stop a timer for every message.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import gevent

from linksocks.net.writer import Writer

PING_INTERVAL: Final = 25.0
"""Seconds between our pings: below the 30 s after which many NATs and proxies forget a quiet connection."""

SILENCE: Final = 60.0
"""Seconds without a byte received, or without one taken of what waits, after which a peer counts as dead."""

_BEATS: Final = 5
"""Looks in one PING_INTERVAL: a dead peer is found this much of it late, at the most."""


class Heartbeat:
    """Beats until `stop`. `dead` hears, once, why the peer counts as dead; it must not wait."""

    def __init__(self, writer: Writer, dead: Callable[[str], None]) -> None:
        self.received = 0
        """Bytes from the peer; the reader counts."""
        self.listening = False
        """Whether the reader waits for bytes; while it is held up, a peer's silence means nothing."""
        self._writer = writer
        self._dead = dead
        self._beats = 0
        self._heard = self._written = 0  # the counters at the last beat
        self._mute = self._stuck = 0  # beats in which they stood still
        interval = min(PING_INTERVAL, SILENCE) / _BEATS
        self._patience = round(SILENCE / interval)
        self._beats_to_ping = round(PING_INTERVAL / interval)
        self._timer = gevent.get_hub().loop.timer(interval, interval)
        self._timer.start(self._beat)

    def stop(self) -> None:
        """Beats no more."""
        self._timer.close()

    def _beat(self) -> None:
        self._mute = self._mute + 1 if self.listening and self.received == self._heard else 0
        self._stuck = self._stuck + 1 if self._writer.blocked and self._writer.written == self._written else 0
        self._heard, self._written = self.received, self._writer.written
        self._beats += 1
        if max(self._mute, self._stuck) > self._patience:
            self.stop()
            self._dead(
                f"{'nothing received' if self._mute > self._patience else 'nothing taken'} for {SILENCE:g} s"
            )
        elif self._beats % self._beats_to_ping == 0:
            self._writer.ping()
