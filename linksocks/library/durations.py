"""Durations as programs give them: a number of seconds, a timedelta, or a text such as "1h30m" that Go would take.

A Go text is one number with a unit after the other, without blanks; units are ns, us, ms, s, m and h, and a number
has to have one, but for "0". Here none is negative.
"""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Final, TypeAlias

Duration: TypeAlias = float | timedelta | str
"""An int is as good as a float."""

LONGEST: Final = float(2**63 // 10**9)
"""Seconds: 292 years, what fits into Go's nanoseconds, and into the timers of this system."""

_UNITS: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "\N{MICRO SIGN}s": 1e-6,
    "\N{GREEK SMALL LETTER MU}s": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
_NUMBER: Final = r"(\d{1,20}\.?\d{0,20}|\.\d{1,20})"
_PART: Final = re.compile(rf"{_NUMBER}({'|'.join(_UNITS)})", re.ASCII)
_TEXT: Final = re.compile(rf"\+?(?:{_PART.pattern}){{1,10}}", re.ASCII)


def seconds(value: Duration, name: str = "a duration") -> float:
    """The seconds that `value` stands for. Raises TypeError, ValueError; `name` is what they call it.

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
    if text in ("0", "+0"):
        return 0.0
    if not _TEXT.fullmatch(text):
        reason = (
            "it is negative" if text.startswith("-") else "expected one such as '1.5s', '300ms' or '1h30m'"
        )
        raise ValueError(f"{name}: invalid duration {text[:50]!r}: {reason}")
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def _bounded(value: float, given: object, name: str) -> float:
    if not (math.isfinite(value) if isinstance(value, float) else True):
        raise ValueError(f"{name}: {given!r} is no number of seconds")
    if value < 0:
        raise ValueError(f"{name}: {given!r} is negative")
    if value > LONGEST:
        raise ValueError(f"{name}: {str(given)[:50]} is longer than 292 years")
    return float(value)
