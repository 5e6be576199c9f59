"""Waiting for what nothing announces."""

from __future__ import annotations

import time
from collections.abc import Callable

import gevent

from tests.support.processes import PATIENCE, Process


def eventually(condition: Callable[[], object], *processes: Process, timeout: float = PATIENCE) -> None:
    """Waits until `condition` holds, while this thread's hub runs; what `processes` said goes into the failure."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "\n".join(["not in time", *(p.output for p in processes)])
        gevent.sleep(0.01)  # the pace of the polling, not what is waited for
