"""What is the system's own, in programs where `threading` and `os` are gevent's as in all others."""

from __future__ import annotations

import os
import threading
from _thread import LockType
from collections.abc import Callable
from typing import cast

from gevent import monkey

new_lock = cast(Callable[[], LockType], monkey.get_original("_thread", "allocate_lock"))
"""A lock for threads. A greenlet that waits for it holds up its whole thread."""

close_now = cast(Callable[[int], None], monkey.get_original("os", "close"))
"""Closes a descriptor. gevent's own does it in the next round of the loop, and may wait for that."""

_start_new_thread = monkey.get_original("_thread", "start_new_thread")


def start_thread(name: str, run: Callable[[], None]) -> threading.Thread | None:
    """Runs it in a new thread, for which the interpreter's exit does not wait. Raises RuntimeError.

    None where `threading` does not know of it.
    """
    if monkey.is_module_patched("threading"):
        _start_new_thread(run, ())  # Thread.start would make a greenlet
        return None
    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread


def in_main_thread() -> bool:
    """Whether this thread is the one that the process began with, or that forked it."""
    return threading.get_native_id() == os.getpid()
