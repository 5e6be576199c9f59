"""Around each test whose hub runs in its own thread: it ends in time and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import gevent

from tests.support.leaks import nothing_left

HANG: Final = 50.0
"""Seconds: more than a busy machine needs, and less than pytest's timeout, so that all that is left is named."""


@contextmanager
def guarded() -> Iterator[None]:
    with nothing_left(), gevent.Timeout(HANG, AssertionError(f"not done in {HANG:g} s")):
        yield
