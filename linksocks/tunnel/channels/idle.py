"""Which channels of a link have been idle for too long: looked at now and then, since a timer for each costs more."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from linksocks.tunnel.channels.datagrams import AnyChannel, DatagramChannel
from linksocks.tunnel.channels.limits import ASSOCIATION_IDLE, HALF_ENDED_IDLE
from linksocks.wire.messages import ChannelId

_LOOK: Final = 60.0
"""Seconds between two looks, at most."""


class Idle:
    """`limit`: seconds without a byte that any channel may have; some have less."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self.pause = min(_LOOK, self._limit / 2)
        """Seconds until the next look."""
        self._seen: dict[ChannelId, tuple[tuple[int, ...], float]] = {}  # activity, and seconds without any

    def overdue(self, channels: Iterable[AnyChannel]) -> list[AnyChannel]:
        """Looks at all that there are."""
        before, self._seen = self._seen, {}
        overdue = []
        for channel in channels:
            activity = channel.activity()
            known, idle = before.get(channel.id, (None, 0.0))
            idle = idle + self.pause if activity == known else 0.0
            self._seen[channel.id] = activity, idle
            if idle >= self._patience(channel):
                overdue.append(channel)
        return overdue

    def _patience(self, channel: AnyChannel) -> float:
        if isinstance(channel, DatagramChannel):
            return min(ASSOCIATION_IDLE, self._limit)
        if channel.half_ended:
            return min(HALF_ENDED_IDLE, self._limit)
        return self._limit
