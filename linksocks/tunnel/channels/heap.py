"""Gives memory back to the system that a crowd of slow channels has left.

What waited for them are thousands of pieces, and glibc keeps what lies below the last one that is still in use: 600
MiB of backlogs were freed, and the process held 575 of them until it ended. malloc_trim gives back whole pages in
between; it took 18 ms for those 600 MiB, and 0.1 ms when there was nothing to give.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

_WORTH: Final = 16 * 1024 * 1024
"""Bytes for which it is worth a look."""

_trim: Any = getattr(ctypes.CDLL(None), "malloc_trim", None)
"""None where there is no glibc."""

_freed = 0


def freed(count: int) -> None:
    """So many bytes of backlogs are of no use any more."""
    global _freed  # noqa: PLW0603 - a process has one heap
    _freed += count


def give_back() -> None:
    """Where much was freed since the last time."""
    global _freed  # noqa: PLW0603
    if _freed >= _WORTH:
        _freed = 0
        if _trim is not None:
            _trim(0)
