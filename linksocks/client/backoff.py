"""How long to wait before the next try: longer after each failure, and never all clients at once."""

from __future__ import annotations

import random
from typing import Final

FIRST: Final = 1.0
"""The shortest wait, in seconds, where nobody says otherwise."""

LAST: Final = 60.0
"""The longest wait, in seconds."""


class Backoff:
    """A span that doubles up to LAST; each wait is drawn from its upper half, so from `first` on."""

    def __init__(self, first: float = FIRST) -> None:
        self.first = first
        """The shortest wait, in seconds."""
        self._span = 2 * self.first

    def next(self) -> float:
        """Seconds to wait now."""
        span, self._span = self._span, min(2 * self._span, max(2 * self.first, LAST))
        return random.uniform(span / 2, span)

    def reset(self) -> None:
        """A try succeeded: begin anew."""
        self._span = 2 * self.first
