"""Pings a peer, and notices when it is dead: when it sends nothing, or takes nothing. Tells whether it is there now,
and how far away.

One timer for each WebSocket looks at counters that reading and writing keep anyway. A deadline on each read and
write would start and stop a timer for every message.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import gevent
from gevent.event import AsyncResult

from linksocks.net.ws.writer import Writer

PING_INTERVAL: Final = 25.0
"""Seconds between our pings: below the 30 s after which many NATs and proxies forget a quiet connection."""

SILENCE: Final = 60.0
"""Seconds without a byte received, or without one taken of what waits, after which a peer counts as dead."""

_BEATS: Final = 5
"""Looks in one PING_INTERVAL: a dead peer is found this much of it late, at the most."""


class Heartbeat:
    """Beats until `stop`. `dead` hears, once, why the peer counts as dead; it must not wait."""

    def __init__(self, writer: Writer, dead: Callable[[str], None]) -> None:
        self.listening = False
        """Whether the reader waits for bytes; while it is held up, a peer's silence means nothing."""
        self._received = 0  # bytes from the peer
        self._writer = writer
        self._dead = dead
        self._beats = 0
        self._heard = self._written = 0  # the counters at the last beat
        self._mute = self._stuck = 0  # beats in which they stood still
        self._asked: AsyncResult[bool] | None = None
        """Whether a peer that was asked says anything, until it does."""
        self._asked_at = 0.0
        self.rtt: float | None = None
        """Seconds from the last ping that was answered to its pong."""
        self._pings = 0  # so far; each has its number as payload
        self._pinged: tuple[bytes, float] | None = None  # the last payload and its time, until it is answered
        interval = min(PING_INTERVAL, SILENCE) / _BEATS
        self._patience = round(SILENCE / interval)
        self._beats_to_ping = round(PING_INTERVAL / interval)
        self._timer = gevent.get_hub().loop.timer(interval, interval)
        self._timer.start(self._beat)

    def stop(self) -> None:
        """Beats no more."""
        self._timer.close()
        self._tell(responsive=False)

    def on_received(self, count: int) -> None:
        """The reader has got `count` bytes."""
        self._received += count
        if self._asked is not None:
            self._tell(responsive=True)

    def ping(self) -> None:
        """Asks the peer for a pong."""
        self._pings += 1
        payload = self._pings.to_bytes(8)
        self._pinged = payload, time.monotonic()
        self._writer.ping(payload)

    def on_pong(self, payload: bytes) -> None:
        """A pong has come. Peers may leave out all but the last (RFC 6455 section 5.5.3), or send some unasked."""
        if self._pinged is not None and payload == self._pinged[0]:
            self.rtt = time.monotonic() - self._pinged[1]
            self._pinged = None

    def responsive(self, timeout: float) -> bool:
        """Whether the peer was heard since the last beat, or else says anything to a ping within `timeout` seconds.

        All who ask share one ping, and who asks later than that about a peer that is still mute does not wait.
        """
        if self._received != self._heard:
            return True
        if self._asked is None:
            self._asked, self._asked_at = AsyncResult(), time.monotonic()
            self.ping()
        return bool(self._asked.wait(max(0.0, self._asked_at + timeout - time.monotonic())))

    def _tell(self, *, responsive: bool) -> None:
        if self._asked is not None:
            self._asked.set(responsive)
            self._asked = None

    def _beat(self) -> None:
        self._mute = self._mute + 1 if self.listening and self._received == self._heard else 0
        self._stuck = self._stuck + 1 if self._writer.blocked and self._writer.written == self._written else 0
        self._heard, self._written = self._received, self._writer.written
        self._beats += 1
        if max(self._mute, self._stuck) > self._patience:
            self.stop()
            self._dead(
                f"{'nothing received' if self._mute > self._patience else 'nothing taken'} for {SILENCE:g} s"
            )
        elif self._beats % self._beats_to_ping == 0:
            self.ping()
