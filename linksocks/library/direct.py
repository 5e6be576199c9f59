"""The arguments of direct mode, which is not here: all goes through the server.

What a program can do without is ignored, with one warning in a process; what it can't do without is an error.
"""

from __future__ import annotations

import itertools
import logging
from typing import Final

from linksocks.errors import ConfigError

_RELAY: Final = ("relay-only", "never")
_ELSE_RELAY: Final = ("auto",)
_MUST: Final = ("direct-only", "always")

log = logging.getLogger("linksocks.library")

_warnings: Final = itertools.count()
"""Only the first one is said."""


def check(mode: str | None, **others: object) -> None:
    """Raises ConfigError where the relay will not do. Of `others`, what is None, False or empty asks for nothing."""
    if mode in _MUST:
        raise ConfigError(
            f"direct_mode: {mode!r} is not available: all data goes through the server; "
            "give 'relay-only' or 'auto', or leave it out"
        )
    if mode is not None and mode not in (*_RELAY, *_ELSE_RELAY):
        raise ConfigError(f"direct_mode: expected 'relay-only' or 'auto', got {str(mode)[:100]!r}")
    asked = [name for name, value in others.items() if value]
    if mode in _ELSE_RELAY:
        asked.insert(0, "direct_mode")
    if asked and next(_warnings) == 0:
        log.warning("%s: ignored: there is no direct mode, all data goes through the server", asked[0])
