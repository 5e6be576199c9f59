"""What an observer of a role hears of, and how it is told.

An observer is called in the hub, in the midst of other work, so it must not wait; one that raises is logged, and
nobody else notices.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LinkUp:
    """A link to `name` carries channels from now on."""

    name: str


@dataclass(frozen=True, slots=True)
class LinkDown:
    """It carries none any more."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class PartnersChanged:
    """There are `count` partners now, by the server's word; none without a link."""

    count: int


Event: TypeAlias = LinkUp | LinkDown | PartnersChanged

Observer: TypeAlias = Callable[[Event], object]


class Observers:
    """Those of one role. Each is told as often as it was added."""

    def __init__(self) -> None:
        self._observers: list[Observer] = []

    def add(self, observer: Observer) -> None:
        """From now on."""
        self._observers.append(observer)

    def tell(self, event: Event) -> None:
        """In the order in which they were added."""
        for observer in list(self._observers):
            try:
                observer(event)
            except Exception:
                log.exception("an observer failed on %r", event)
