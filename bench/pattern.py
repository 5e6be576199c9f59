"""The bytes that bulk streams and responses are made of: random, and the same in every process.

A stream repeats the pattern from its first byte on, so its receiver knows what must come and checks it by one
comparison for each read (a memcmp, some 10 GiB/s). So a contender that drops bytes fails instead of being fast.
"""

from __future__ import annotations

from random import Random
from typing import Final

CHUNK: Final = 256 * 1024
"""The most that is sent or read at once: above it, the generator gains nothing."""

PERIOD: Final = 2_000_003
"""Bytes until the pattern repeats. A prime: no sum of lost messages of any usual size is a multiple of it."""

_ONCE = Random(1928).randbytes(PERIOD)

_BYTES: Final = _ONCE + _ONCE[:CHUNK]

PATTERN: Final = memoryview(_BYTES)
"""One period and a chunk, so that a chunk can begin anywhere in the period."""


def matches(data: memoryview, offset: int) -> bool:
    """Whether `data` stands at `offset` of the stream; a chunk at most, or a period at offset 0."""
    return _BYTES.startswith(data, offset % PERIOD)
