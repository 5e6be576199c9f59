"""How long a peer without flow control may be left unread because somebody here is slow.

Such a peer can only be slowed with its whole link, and so with everybody who has a channel there. So the waiting is
bounded twice, for each channel and for the link, and who used up the link's share pays for it, not the next one:

========================== =====================================================================================
while                      a full channel may hold up the reading
========================== =====================================================================================
it is alone                PATIENCE at a time: any byte that its sink takes begins it anew
there are others           PATIENCE in all, until its sink has caught up
the link's share is spent  as long as it earned: a second for each LIVELY bytes that its sink took, SPARE at most.
                           One that has taken nothing fails at once
========================== =====================================================================================

The link's share is PATIENCE in each REGAIN seconds, for all its channels together.
"""

from __future__ import annotations

import time
from typing import Final

from gevent.event import Event

PATIENCE: Final = 10.0
"""Seconds; see the table above."""

REGAIN: Final = 60.0
"""Seconds in which a link has its share once."""

LIVELY: Final = 1024 * 1024
"""Bytes a second that a sink must take to go on where its link has no patience left."""

SPARE: Final = 0.25
"""Seconds that a channel can have earned. With a second, five that filled a socket's buffer and stopped cost four."""


class LinkPatience:
    """The share of one link."""

    def __init__(self) -> None:
        self._left = PATIENCE
        self._until = time.monotonic() + REGAIN

    @property
    def left(self) -> float:
        """Seconds."""
        now = time.monotonic()
        if now >= self._until:
            self._left, self._until = PATIENCE, now + REGAIN
        return self._left

    def spend(self, seconds: float) -> float:
        """The link was held up. Returns the seconds for which nothing was left."""
        rest = seconds - self._left
        self._left = max(0.0, -rest)
        return max(0.0, rest)

    def wait(self, event: Event) -> bool:
        """Waits for `event` while there is something left. False: there is nothing."""
        if self.left <= 0:
            return False
        before = time.monotonic()
        event.wait(self.left)
        self.spend(time.monotonic() - before)
        return True


class ChannelPatience:
    """What one channel may take of its link's."""

    def __init__(self, link: LinkPatience) -> None:
        self._link = link
        self._own = PATIENCE
        self._earned = 0.0
        self._earned_at = 0  # of what was taken

    def renew(self) -> None:
        """The sink has caught up."""
        self._own = PATIENCE

    def wait(self, event: Event, taken: int, *, crowded: bool) -> bool:
        """Waits a while for `event`, that the sink takes something; it has `taken` so many bytes.

        False: the channel may hold up its link no longer.
        """
        if not crowded:
            return event.wait(self._own)
        self._earned = min(SPARE, self._earned + (taken - self._earned_at) / LIVELY)
        self._earned_at = taken
        limit = min(self._own, max(self._link.left, self._earned))
        if limit <= 0:
            return False
        before = time.monotonic()
        event.wait(limit)
        spent = time.monotonic() - before
        self._own -= spent
        self._earned -= self._link.spend(spent)
        return True
