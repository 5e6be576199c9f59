"""Durations as programs give them: a number of seconds, a timedelta, or a text such as "1h30m". None is negative."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Final, TypeAlias

from linksocks.config.duration import duration
from linksocks.errors import ConfigError

Duration: TypeAlias = float | timedelta | str
"""An int is as good as a float."""

LONGEST: Final = float(2**63 // 10**9)
"""Seconds: 292 years, what fits into Go's nanoseconds, and into the timers of this system."""


def seconds(value: Duration, name: str = "a duration") -> float:
    """The seconds that `value` stands for. Raises TypeError, ConfigError; `name` is what they call it.

    >>> seconds("1h30m"), seconds("300ms"), seconds(timedelta(minutes=2)), seconds(5)
    (5400.0, 0.3, 120.0, 5.0)
    """
    if isinstance(value, str):
        return _bounded(_parsed(value, name), value, name)
    if isinstance(value, timedelta):
        return _bounded(value.total_seconds(), value, name)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _bounded(value, value, name)
    raise TypeError(
        f"{name}: expected seconds, a timedelta or a text such as '1.5s', got {type(value).__name__}"
    )


def _parsed(text: str, name: str) -> float:
    try:
        return duration(text)
    except ValueError:
        reason = (
            "it is negative" if text.startswith("-") else "expected one such as '1.5s', '300ms' or '1h30m'"
        )
        raise ConfigError(f"{name}: invalid duration {text[:50]!r}: {reason}") from None


def _bounded(value: float, given: object, name: str) -> float:
    if not (math.isfinite(value) if isinstance(value, float) else True):
        raise ConfigError(f"{name}: {given!r} is no number of seconds")
    if value < 0:
        raise ConfigError(f"{name}: {given!r} is negative")
    if value > LONGEST:
        raise ConfigError(f"{name}: {str(given)[:50]} is longer than 292 years")
    return float(value)
