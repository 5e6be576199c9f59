"""Which hub is the home, from the first `enter` to the last `leave`."""

from __future__ import annotations

import signal
import threading
import time

import gevent
import pytest

from linksocks.embed import Home, enter
from linksocks.errors import ClosedError
from tests.embed import callers
from tests.embed.programs import outcome, program
from tests.support.leaks import descriptors_closed
from tests.support.processes import PATIENCE
from tests.support.threads import in_thread, start


def test_all_share_one_thread(home: Home):
    other = enter()
    assert callers.thread(home, threading.get_ident, timeout=PATIENCE) == callers.thread(
        other, threading.get_ident, timeout=PATIENCE
    )
    other.leave()
    assert callers.thread(home, lambda: 1, timeout=PATIENCE) == 1


def test_who_has_left_is_told_so(home: Home):
    other = enter()
    other.leave()
    other.leave()  # the second time does nothing: the first home is still there
    with pytest.raises(ClosedError, match="make another one"):
        callers.thread(other, int, timeout=PATIENCE)
    other.post(int)
    assert callers.thread(home, lambda: 1, timeout=PATIENCE) == 1


def test_the_last_one_ends_calls_that_go_on():
    home, begun, killed = enter(), threading.Event(), threading.Event()

    def run() -> None:
        try:
            begun.set()
            gevent.sleep(1000)
        finally:
            killed.set()

    waiting = start(home.call, run, timeout=None)
    assert begun.wait(PATIENCE)
    home.leave()
    with pytest.raises(ClosedError):
        waiting.result(PATIENCE)
    assert killed.wait(PATIENCE)


def test_a_call_may_leave():
    home = enter()

    def close() -> str:
        home.leave()
        return "done"

    assert callers.thread(home, close, timeout=PATIENCE) == "done"


def test_what_is_posted_may_leave():
    home, left = enter(), threading.Event()

    def close() -> None:
        home.leave()
        left.set()

    home.post(close)
    assert left.wait(PATIENCE)


def test_fifty_times_leave_nothing():
    def once() -> None:
        home = enter()
        home.call(gevent.sleep, 0.0001, timeout=PATIENCE)
        home.leave()

    in_thread(once)
    with descriptors_closed():  # an earlier test's may close meanwhile
        for _ in range(50):
            in_thread(once)
    deadline = time.monotonic() + 5
    while sum(1 for thing in threading.enumerate() if thing.name == "linksocks"):
        assert time.monotonic() < deadline
        time.sleep(0.001)  # the pace of the polling, not what is waited for


def test_a_hub_whose_thread_ended_is_freed():
    said = outcome(
        """
        import gc
        from gevent.hub import Hub
        for _ in range(10):
            home = enter()
            home.call(int, timeout=5)
            home.leave()
        del home
        gc.collect()
        print(sum(isinstance(thing, Hub) for thing in gc.get_objects()))
        """
    )
    assert said == ["0"]


def test_many_come_and_go_at_once():
    ready = threading.Barrier(8)

    def main() -> int:
        ready.wait(PATIENCE)
        done = 0
        for _ in range(30):
            home = enter()
            done += home.call(lambda: 1, timeout=PATIENCE)
            home.leave()
        return done

    futures = [start(main) for _ in range(8)]
    assert [future.result(PATIENCE) for future in futures] == [30] * 8


def test_an_interrupted_main_thread_ends_its_call():
    with program(
        """
        import gevent
        killed = threading.Event()
        def run():
            print("begun", flush=True)
            try:
                gevent.sleep(1000)
            finally:
                killed.set()
        home = enter()
        try:
            home.call(run, timeout=None)
        except KeyboardInterrupt:
            print("interrupted", killed.wait(5))
        print(home.call(lambda: "goes on", timeout=5))
        home.leave()
        """
    ) as process:
        process.wait_line("begun")
        process.send_signal(signal.SIGINT)
        assert process.wait_exit() == 0
    assert process.out == ["begun", "interrupted True", "goes on"]
    assert process.err == []


def test_an_unpatched_program_stays_so():
    said = outcome(
        """
        from gevent import monkey
        from gevent._hub_local import get_hub_if_exists
        home = enter()
        thread = threading.Thread(target=home.call, args=(int,), kwargs={"timeout": 5})
        thread.start()
        thread.join()
        home.call(int, timeout=5)
        asyncio.run(home.async_call(int, timeout=5))
        print(monkey.saved, get_hub_if_exists())
        home.leave()
        print(threading.active_count())
        """
    )
    assert said == ["{} None", "1"]


def test_nothing_is_registered_before_the_first_one():
    said = outcome(
        """
        import atexit
        before = atexit._ncallbacks()
        import linksocks.embed
        print(atexit._ncallbacks() - before)
        home = enter()
        print(atexit._ncallbacks() - before)
        enter().leave()
        home.leave()
        print(atexit._ncallbacks() - before)
        """
    )
    assert said == ["0", "1", "1"]


def test_a_patched_program_is_its_own_home():
    said = outcome(
        """
        import gevent
        from gevent import monkey
        from gevent._hub_local import get_hub_if_exists
        hub = gevent.get_hub()
        home = enter()

        def where():
            return gevent.get_hub() is hub

        def work():
            return home.call(where, timeout=5), get_hub_if_exists() is None

        print("here", home.call(where, timeout=5))
        print("greenlet", gevent.spawn(home.call, where, timeout=5).get())
        print("native", hub.threadpool.spawn(work).get())

        done = []
        monkey.get_original("_thread", "start_new_thread")(lambda: done.append(work()), ())
        while not done:
            gevent.sleep(0.001)
        print("original", done[0])

        async def main():
            return await home.async_call(where, timeout=5)
        print("asyncio", asyncio.run(main()))

        try:
            home.call(gevent.sleep, 10, timeout=0.01)
        except TimeoutError as error:
            print(error)
        home.leave()

        def natives():
            return len(os.listdir("/proc/self/task")) - hub.threadpool.size
        deadline = time.monotonic() + 5
        while natives() > 1 and time.monotonic() < deadline:
            gevent.sleep(0.001)  # the original thread ends behind its answer
        print(natives())
        """,
        patched=True,
    )
    assert said == [
        "here True",
        "greenlet True",
        "native (True, True)",
        "original (True, True)",
        "asyncio True",
        "sleep was not done in 0.01 s",
        "1",
    ]


def test_two_greenlets_of_a_patched_program_do_not_share_an_error():
    said = outcome(
        """
        import gevent
        from linksocks.errors import AuthError
        home, error = enter(), AuthError("no")
        def fail():
            raise error
        def main():
            try:
                home.call(fail, timeout=5)
            except AuthError as mine:
                return mine
        one, other = (gevent.spawn(main).get() for _ in range(2))
        print(one is other, one, other, one.__context__)
        home.leave()
        """,
        patched=True,
    )
    assert said == ["False no no None"]


def test_a_thread_without_a_hub_in_a_patched_program_shares_one():
    """It would not run one of its own: it runs no greenlets."""
    said = outcome(
        """
        import gevent
        from gevent._hub_local import get_hub_if_exists
        def work():
            home = enter()
            try:
                return home.call(lambda: 7, timeout=5), get_hub_if_exists() is None
            finally:
                home.leave()
        print(gevent.get_hub().threadpool.spawn(work).get())
        """,
        patched=True,
    )
    assert said == ["(7, True)"]


def test_no_thread_is_an_error_and_not_a_hang():
    said = outcome(
        """
        import resource
        import gevent
        from linksocks.errors import LinkSocksError
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
        try:
            enter()
        except LinkSocksError as error:
            print("no hub for tunnels" in str(error))
        """
    )
    assert said == ["True"]
