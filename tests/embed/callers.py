"""Everybody who may call a home: each runs a call in a thread of its own, and its outcome comes back here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import gevent
from gevent._hub_local import get_hub_if_exists

from linksocks.embed import Home
from tests.support.processes import PATIENCE
from tests.support.threads import in_thread

_T = TypeVar("_T")


class Caller(Protocol):
    """Has `home` call `run`."""

    def __call__(self, home: Home, run: Callable[..., _T], *args: Any, timeout: float | None) -> _T: ...


def thread(home: Home, run: Callable[..., _T], *args: Any, timeout: float | None) -> _T:
    """A thread, which has no hub when it has called."""

    def work() -> _T:
        try:
            return home.call(run, *args, timeout=timeout)
        finally:
            assert get_hub_if_exists() is None

    return in_thread(work)


def greenlet(home: Home, run: Callable[..., _T], *args: Any, timeout: float | None) -> _T:
    """A greenlet of another hub."""

    def work() -> _T:
        with hub():
            return gevent.spawn(home.call, run, *args, timeout=timeout).get()

    return in_thread(work)


def task(home: Home, run: Callable[..., _T], *args: Any, timeout: float | None) -> _T:
    """A task of asyncio."""
    return in_thread(lambda: asyncio.run(home.async_call(run, *args, timeout=timeout)))


def guest(home: Home, run: Callable[..., _T], *args: Any, timeout: float | None) -> _T:
    """A greenlet of the home itself."""
    return in_thread(home.call, lambda: home.call(run, *args, timeout=timeout), timeout=PATIENCE)


class hub:  # noqa: N801 - reads as a word
    """A hub for this thread in the block."""

    def __enter__(self) -> None:
        gevent.get_hub()

    def __exit__(self, *exc: object) -> None:
        gevent.get_hub().destroy(destroy_loop=True)


STRANGERS = [thread, greenlet, task]
"""Those whose calls cross."""

ALL = [*STRANGERS, guest]
