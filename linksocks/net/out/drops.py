"""Counts what is dropped, and says so in few lines.

Datagrams may be dropped, so nobody hears of one; but who looks for the reason finds it in the log.
"""

from __future__ import annotations

import logging
from collections import Counter

log = logging.getLogger(__name__)


class Drops:
    """The datagrams of one place that went nowhere, by reason. Reasons are few: the first of each is logged."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._counts: Counter[str] = Counter()

    def add(self, reason: str) -> None:
        """One more."""
        self._counts[reason] += 1
        if self._counts[reason] == 1:
            log.info("%s: dropped a datagram: %s", self._place, reason)

    @property
    def total(self) -> int:
        """How many there were."""
        return self._counts.total()

    def sum_up(self) -> None:
        """The end: logs what the first lines could not tell."""
        for reason, count in self._counts.items():
            if count > 1:
                log.info("%s: dropped %d datagrams: %s", self._place, count, reason)
