"""Work of a test in threads of its own, whose outcome comes back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import gevent

from tests.support.processes import PATIENCE

_T = TypeVar("_T")


def start(run: Callable[..., _T], *args: Any, **kwargs: Any) -> Future[_T]:
    """Begins it in a new thread, which has no hub before."""
    future: Future[_T] = Future()

    def work() -> None:
        try:
            future.set_result(run(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - crosses
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return future


def in_thread(run: Callable[..., _T], *args: Any, **kwargs: Any) -> _T:
    """The same, and waits."""
    return start(run, *args, **kwargs).result(PATIENCE)


def beside_hub(run: Callable[..., _T], *args: Any) -> _T:
    """Runs what blocks its thread, while the hub of this one goes on. No thread is left."""
    pool = gevent.get_hub().threadpool
    try:
        return pool.apply(run, args)
    finally:
        pool.kill()
