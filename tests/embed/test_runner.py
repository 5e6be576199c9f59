"""Calls from everybody: results, errors, deadlines and interruptions cross, and nothing stays of a caller's wish."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import traceback
import weakref
from collections.abc import Iterator
from contextvars import ContextVar
from queue import Queue

import gevent
import pytest

from linksocks.embed import Home
from linksocks.errors import AuthError, Cause, DeadlineError, LinkClosed, LinkSocksError, TargetError
from tests.embed import callers
from tests.embed.callers import ALL, STRANGERS, Caller
from tests.support.processes import PATIENCE
from tests.support.threads import in_thread, start

_word: ContextVar[str] = ContextVar("word", default="")


class Result:
    """More than a value."""


class Work:
    """Waits in the home until it is killed, and says what became of it."""

    def __init__(self) -> None:
        self.news: Queue[str] = Queue()

    def run(self) -> None:
        self.news.put("begun")
        try:
            gevent.sleep(1000)
        finally:
            self.news.put("ended")

    def stubborn(self) -> Result:
        """Has a result all the same."""
        with contextlib.suppress(gevent.GreenletExit):
            self.run()
        return self.result()

    def result(self) -> Result:
        result = Result()
        weakref.finalize(result, self.news.put, "dropped")
        return result

    def said(self) -> str:
        return self.news.get(timeout=PATIENCE)

    def deadlines(self, home: Home) -> Iterator[float]:
        """Seconds for a call, more and more until it had begun before they were over."""
        for seconds in (0.05, 0.5, 5.0):
            yield seconds
            callers.thread(home, gevent.sleep, 0, timeout=PATIENCE)  # a round: what is to begin has begun
            if not self.news.empty():
                return


@pytest.mark.parametrize("caller", ALL)
def test_a_result(home: Home, caller: Caller):
    assert caller(home, lambda a, b: (b, a), 1, 2, timeout=PATIENCE) == (2, 1)
    assert caller(home, gevent.sleep, 0.001, timeout=None) is None


@pytest.mark.parametrize("caller", ALL)
def test_it_runs_in_a_greenlet_of_the_home(home: Home, caller: Caller):
    def where() -> tuple[object, bool]:
        return gevent.get_hub(), gevent.getcurrent() is gevent.get_hub()

    hub = callers.thread(home, gevent.get_hub, timeout=PATIENCE)
    assert caller(home, where, timeout=PATIENCE) == (hub, False)


@pytest.mark.parametrize("caller", ALL)
@pytest.mark.parametrize(
    "error", [ValueError("x"), SystemExit(3), KeyboardInterrupt(), LinkClosed(1001, "x")]
)
def test_an_error_with_its_traceback(home: Home, caller: Caller, error: BaseException):
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        caller(home, fail, timeout=PATIENCE)
    assert str(caught.value) == str(error)
    assert "fail" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert caller(home, int, timeout=PATIENCE) == 0  # the home lives on


@pytest.mark.parametrize("caller", ALL)
@pytest.mark.parametrize(
    "error",
    [AuthError("no"), LinkClosed(1001, "bye"), TargetError(Cause.REFUSED, "refused"), DeadlineError("x")],
)
def test_an_error_that_many_wait_for_is_each_ones_own(home: Home, caller: Caller, error: LinkSocksError):
    error.__cause__ = OSError("the cause")

    def fail() -> None:
        raise error

    caught = []
    for _ in range(2):
        with pytest.raises(LinkSocksError) as info:
            caller(home, fail, timeout=PATIENCE)
        caught.append(info.value)
    one, other = caught
    assert one is not other
    assert type(one) is type(other) is type(error)
    assert str(one) == str(other) == str(error)
    assert one.__dict__ == other.__dict__ == error.__dict__
    assert one.args == error.args
    assert one.__cause__ is error.__cause__
    assert getattr(one, "errno", None) == getattr(error, "errno", None)
    assert getattr(one, "strerror", None) == getattr(error, "strerror", None)


@pytest.mark.parametrize("caller", ALL)
def test_a_deadline_kills(home: Home, caller: Caller):
    work = Work()
    for seconds in work.deadlines(home):
        with pytest.raises(DeadlineError, match=rf"Work\.run was not done in {seconds:g} s") as caught:
            caller(home, work.run, timeout=seconds)
        assert isinstance(caught.value, TimeoutError)
    assert [work.said(), work.said()] == ["begun", "ended"]


@pytest.mark.parametrize("caller", STRANGERS)
def test_a_late_result_is_dropped(home: Home, caller: Caller):
    work = Work()
    for seconds in work.deadlines(home):
        with pytest.raises(DeadlineError):
            caller(home, work.stubborn, timeout=seconds)
    assert [work.said(), work.said(), work.said()] == ["begun", "ended", "dropped"]


@pytest.mark.parametrize("caller", ALL)
def test_another_timeout_is_not_the_deadline(home: Home, caller: Caller):
    def impatient() -> None:
        with gevent.Timeout(0.001):
            gevent.sleep(1000)

    with pytest.raises(gevent.Timeout):
        caller(home, impatient, timeout=PATIENCE)


@pytest.mark.parametrize("caller", ALL)
def test_the_context_of_the_caller_is_copied(home: Home, caller: Caller):
    def look() -> str:
        seen = _word.get()
        _word.set("the home's")
        return gevent.getcurrent() and seen

    def work() -> tuple[str, str]:
        _word.set("the caller's")
        return home.call(look, timeout=PATIENCE), _word.get()

    async def async_work() -> tuple[str, str]:
        _word.set("the caller's")
        return await home.async_call(look, timeout=PATIENCE), _word.get()

    expected = ("the caller's", "the caller's")
    if caller is callers.task:
        assert in_thread(asyncio.run, async_work()) == expected
    elif caller is callers.guest:
        assert in_thread(home.call, work, timeout=PATIENCE) == expected
    elif caller is callers.greenlet:
        assert in_thread(lambda: in_hub(work)) == expected
    else:
        assert in_thread(work) == expected


def in_hub(work):
    with callers.hub():
        return gevent.spawn(work).get()


def test_a_greenlet_that_is_killed_kills(home: Home):
    work = Work()

    def main() -> None:
        with callers.hub():
            caller = gevent.spawn(home.call, work.run, timeout=None)
            while work.news.empty():
                gevent.sleep(0.001)
            caller.kill()

    in_thread(main)
    assert [work.said(), work.said()] == ["begun", "ended"]


def test_a_greenlets_own_timeout_kills(home: Home):
    work = Work()

    def main(seconds: float) -> None:
        with callers.hub(), gevent.Timeout(seconds):
            home.call(work.run, timeout=PATIENCE)

    for seconds in work.deadlines(home):
        with pytest.raises(gevent.Timeout):
            in_thread(main, seconds)
    assert [work.said(), work.said()] == ["begun", "ended"]


def test_others_in_the_callers_hub_go_on(home: Home):
    def main() -> list[str]:
        said = []
        with callers.hub():
            other = gevent.spawn(lambda: said.append("other"))
            home.call(gevent.sleep, 0.05, timeout=PATIENCE)
            said.append("caller")
            other.join()
        return said

    assert in_thread(main) == ["other", "caller"]


def test_a_task_that_is_cancelled_kills(home: Home):
    work = Work()

    async def main() -> None:
        caller = asyncio.create_task(home.async_call(work.run, timeout=None))
        while work.news.empty():
            await asyncio.sleep(0.001)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller

    in_thread(asyncio.run, main())
    assert [work.said(), work.said()] == ["begun", "ended"]


def test_a_result_that_a_cancelled_task_does_not_take_is_dropped(home: Home):
    work = Work()

    async def main() -> None:
        caller = asyncio.create_task(home.async_call(work.result, timeout=None))
        await asyncio.sleep(0)  # it has called
        home.call(gevent.sleep, 0.01, timeout=PATIENCE)  # holds up this loop, until the result has come
        caller.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await caller
        assert work.said() == "dropped"
        del caught  # which has held it no longer

    in_thread(asyncio.run, main())


def test_a_task_whose_loop_has_ended_hurts_nobody(home: Home, caplog):
    """As after a KeyboardInterrupt: the loop is closed while a call of it goes on."""
    go = threading.Event()
    loop = asyncio.new_event_loop()

    def run() -> None:
        while not go.is_set():
            gevent.sleep(0.001)

    caller = loop.create_task(home.async_call(run, timeout=None))
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    go.set()
    assert callers.thread(home, gevent.sleep, 0.01, timeout=PATIENCE) is None
    caller._log_destroy_pending = False  # type: ignore[attr-defined]
    assert not [record for record in caplog.records if record.name == "linksocks.hub"]


def test_many_loops_at_once(home: Home):
    async def main() -> int:
        results = await asyncio.gather(
            *(home.async_call(lambda n=n: (gevent.sleep(0.001), n)[1], timeout=PATIENCE) for n in range(20))
        )
        return sum(results)

    futures = [start(lambda: asyncio.run(main())) for _ in range(5)]
    assert [future.result(PATIENCE) for future in futures] == [190] * 5


def test_fifty_threads_at_once(home: Home):
    ready = threading.Barrier(50)

    def main(number: int) -> list[int]:
        ready.wait(PATIENCE)
        return [home.call(lambda n: (gevent.sleep(0), n)[1], number * n, timeout=PATIENCE) for n in range(20)]

    futures = [start(main, number) for number in range(50)]
    for number, future in enumerate(futures):
        assert future.result(PATIENCE) == [number * n for n in range(20)]


def test_in_a_callback_of_the_loop_it_says_what_to_do(home: Home):
    def main() -> str:
        said: Queue[str] = Queue()

        def callback() -> None:
            try:
                home.call(int, timeout=1)
            except LinkSocksError as error:
                said.put(str(error))

        gevent.get_hub().loop.run_callback(callback)
        while said.empty():
            gevent.sleep(0)
        return said.get()

    assert "spawn a greenlet" in callers.thread(home, main, timeout=PATIENCE)


@pytest.mark.parametrize("caller", ALL)
def test_what_is_posted_runs_in_the_home(home: Home, caller: Caller):
    done: Queue[object] = Queue()
    hub = callers.thread(home, gevent.get_hub, timeout=PATIENCE)
    if caller is callers.guest:
        callers.thread(home, lambda: home.post(lambda: done.put(gevent.get_hub())), timeout=PATIENCE)
    else:
        home.post(lambda: done.put(gevent.get_hub()))
    assert done.get(timeout=PATIENCE) is hub


def test_what_fails_by_itself_is_one_record(home: Home, caplog, capfd):
    def fail(_secret: str) -> None:
        raise ValueError("the reason")

    home.post(fail, "SECRET")
    callers.thread(home, gevent.sleep, 0.01, timeout=PATIENCE)
    (record,) = [record for record in caplog.records if record.name == "linksocks.hub"]
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "the reason"
    assert "SECRET" not in record.getMessage()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_nothing_that_is_raised_ends_the_thread(home: Home, error: type[BaseException], caplog):
    def fail() -> None:
        raise error

    home.post(fail)
    assert callers.thread(home, lambda: 7, timeout=PATIENCE) == 7
