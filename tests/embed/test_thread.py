"""The shared thread ends with its last home, and who leaves in asyncio waits for that without a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Executor

import gevent
import pytest

from linksocks.embed import enter
from linksocks.errors import ClosedError
from tests.support.processes import PATIENCE


class NoExecutor(Executor):
    """As in a program that has no thread left: each is taken, or the system refuses one."""

    def submit(self, *_args, **_kwargs):
        raise RuntimeError("can't start new thread")


def running() -> bool:
    return any(thread.name == "linksocks" for thread in threading.enumerate())


def test_a_task_leaves_without_a_thread():
    async def main() -> None:
        asyncio.get_running_loop()._default_executor = NoExecutor()  # type: ignore[attr-defined]
        home, other = enter(), enter()
        await home.async_call(gevent.sleep, 0, timeout=PATIENCE)
        await home.async_leave()
        await home.async_leave()
        assert running()
        await other.async_leave()

    asyncio.run(main())
    assert not running()


def test_a_loop_goes_on_while_a_task_leaves():
    """What ends with the thread holds it up until the loop says otherwise."""
    go = threading.Event()

    def stubborn() -> None:
        try:
            gevent.sleep(1000)
        finally:
            assert go.wait(PATIENCE)

    async def main() -> None:
        home = enter()
        call = asyncio.create_task(home.async_call(stubborn, timeout=None))
        await home.async_call(gevent.sleep, 0.01, timeout=PATIENCE)
        asyncio.get_running_loop().call_soon(go.set)
        await home.async_leave()
        assert go.is_set()
        with pytest.raises(ClosedError):
            await call

    asyncio.run(main())


def test_a_task_that_is_cancelled_as_it_leaves_has_left():
    async def main() -> None:
        home = enter()
        leaving = asyncio.create_task(home.async_leave())
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.wait([leaving])

    asyncio.run(main())  # and no thread stays: see conftest
