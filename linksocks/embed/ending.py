"""The interpreter exits while tunnels are open.

When atexit's handlers run, all threads but daemons have ended, so nobody needs the tunnels any more. They are stopped
in order, and then the shared thread ends: one that is inside of gevent when the interpreter goes can crash it. What
does not end in time is left.

A daemon that waits for an answer, or for bytes of a connection through a tunnel, is left waiting, as it would be by
any other wait: with an error it would only print a traceback into the program's last words. One that calls meanwhile
never hears of an error either.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import gevent

from linksocks.embed.runner import Runner
from linksocks.embed.thread import HubThread
from linksocks.embed.waiters import new_waiter
from linksocks.errors import ClosedError, LinkSocksError
from linksocks.net.greenlets import spawn, until
from linksocks.net.pair import outlast

TIMEOUT: Final = 5.0
"""Seconds for all tunnels to stop."""

_MARGIN: Final = 1.0
"""Seconds for the answer of a home, and for the thread to end."""


def stop(held: Mapping[Runner, Iterable[Callable[[], None]]], thread: HubThread | None) -> None:
    """Stops what is held in each runner, then the thread."""
    deadline = time.monotonic() + TIMEOUT
    outlast()
    for runner, stops in held.items():
        runner.forget_callers()
        if runner.hub.thread_ident in sys._current_frames():  # else nothing runs there any more
            seconds = until(deadline)
            with contextlib.suppress(LinkSocksError):
                runner.call(_stop, (stops, seconds), seconds + _MARGIN, "stop at exit")
        runner.forget_callers()
        runner.end(lambda: ClosedError("the interpreter exits"))
    if thread is not None:
        thread.end()
        thread.join(_MARGIN)


def spare_daemon() -> None:
    """Instead of an error at exit: a daemon does not return from here."""
    if threading.current_thread().daemon:
        new_waiter().wait(None)


def _stop(stops: Iterable[Callable[[], None]], seconds: float) -> None:
    gevent.joinall([spawn("stop at exit", stop) for stop in stops], timeout=seconds)
