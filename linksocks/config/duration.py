"""Durations as text: a number of seconds, or what Go takes, one number with its unit after the other: "1h30m"."""

from __future__ import annotations

import re
from typing import Final

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
_TEXT: Final = re.compile(rf"\+?(?:{_NUMBER}|(?:{_PART.pattern}){{1,10}})", re.ASCII)


def duration(text: str) -> float:
    """Seconds. Raises ValueError.

    >>> duration("10"), duration("1.5s"), duration("300ms"), duration("1h30m")
    (10.0, 1.5, 0.3, 5400.0)
    """
    found = _TEXT.fullmatch(text)
    if not found:
        raise ValueError("not a duration")
    if found[1]:
        return float(found[1])
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
