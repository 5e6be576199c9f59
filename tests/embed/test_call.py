"""A caller that goes at any moment leaves neither its result nor its call behind."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Iterator

import gevent
import pytest

from linksocks.embed import Home
from linksocks.embed.call import Call
from linksocks.embed.runner import Runner
from tests.embed import callers
from tests.support.leaks import all_of
from tests.support.processes import PATIENCE
from tests.support.steps import interruptions
from tests.support.threads import in_thread
from tests.support.waits import eventually


class Result:
    """More than a value."""


class Work:
    """Has results, and knows of those that are still there."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.results: list[weakref.ref[Result]] = []

    def run(self) -> Result:
        result = Result()
        self.results.append(weakref.ref(result))
        return result

    def run_late(self) -> Result:
        while not self.go.is_set():
            gevent.sleep(0.001)
        return self.run()

    def dropped(self) -> bool:
        """Whether there were results, and nobody holds one."""
        return bool(self.results) and not any(each() for each in self.results)


@pytest.fixture
def work() -> Iterator[Work]:
    work = Work()
    yield work
    gc.collect()
    eventually(work.dropped)  # the home is on its last steps with the last one


@pytest.fixture
def no_call_left(home: Home) -> Iterator[None]:
    others = all_of(Call)  # an earlier test's error, which somebody still holds, holds its calls
    yield
    eventually(lambda: not all_of(Call) - others)  # the same


@pytest.mark.usefixtures("no_call_left")
def test_a_thread_may_be_interrupted_at_any_step(home: Home, work: Work):
    def main() -> int:
        return len(list(interruptions(lambda: home.call(work.run, timeout=PATIENCE), Runner.call.__code__)))

    assert in_thread(main) > 100


@pytest.mark.usefixtures("no_call_left")
@pytest.mark.filterwarnings("ignore:coroutine")  # which the interruption kept from being awaited
def test_a_task_may_be_interrupted_at_any_step(home: Home, work: Work):
    async def call() -> None:
        await home.async_call(work.run, timeout=PATIENCE)

    def main() -> int:
        return len(list(interruptions(lambda: asyncio.run(call()), Runner.async_call.__code__)))

    assert in_thread(main) > 100


@pytest.mark.usefixtures("no_call_left")
def test_a_result_is_dropped_whose_loop_is_closed(home: Home, work: Work):
    """As after a KeyboardInterrupt."""
    loop = asyncio.new_event_loop()
    caller = loop.create_task(home.async_call(work.run_late, timeout=None))
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    work.go.set()
    eventually(work.dropped)
    caller._log_destroy_pending = False  # type: ignore[attr-defined]


def test_a_result_is_dropped_whose_hub_is_gone(home: Home, work: Work):
    def main() -> gevent.Greenlet:
        with callers.hub():
            caller = gevent.spawn(home.call, work.run_late, timeout=None)
            gevent.sleep(0.001)
            return caller

    caller = in_thread(main)
    work.go.set()
    eventually(work.dropped)
    del caller
