"""Forks while the shared thread is in the midst of something, in other threads and in that one."""

from __future__ import annotations

import pytest

from tests.embed.programs import outcome

_FORK = """
import _socket, contextlib, signal
import gevent
from gevent import socket
from linksocks.net.sockets import own

def sockets():
    found = 0
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found += os.readlink("/proc/self/fd/" + name).startswith("socket")
    return found

def forked(child=lambda: None):
    '''How a child ended that has no sockets.'''
    pid = os.fork()
    if pid == 0:
        signal.alarm(5)
        child()
        os._exit(sockets())
    return os.waitpid(pid, 0)[1]

forking, inside = threading.Event(), threading.Event()
home = enter()
os.register_at_fork(before=forking.set)  # and called before those of the home
"""


@pytest.mark.parametrize(
    "deed",
    [
        "plain = _socket.socket(); between(); own(socket.socket(fileno=plain.detach()))",
        "number = own(socket.socket()).detach(); between(); os.close(number)",
    ],
    ids=["makes", "closes"],
)
def test_the_child_has_nothing_that_was_half_done(deed: str):
    """Between the system call and what Python knows of it another thread forks."""
    said = outcome(
        _FORK,
        f"""
        def between():
            inside.set()
            assert forking.wait(5)
        def run():
            {deed}
        thread = threading.Thread(target=home.call, args=(run,), kwargs=dict(timeout=10))
        thread.start()
        inside.wait(5)
        print(forked())
        thread.join()
        home.leave()
        """,
    )
    assert said == ["0"]


def test_what_the_thread_waits_for_may_be_with_who_forks():
    said = outcome(
        _FORK,
        """
        lock = threading.Lock()
        def run():
            inside.set()
            with lock:
                return "done"
        def call():
            print(home.call(run, timeout=10))
        thread = threading.Thread(target=call)
        with lock:
            thread.start()
            inside.wait(5)
            print(forked())
        thread.join()
        home.leave()
        """,
    )
    assert said == ["0", "done"]


def test_many_threads_at_once():
    said = outcome(
        _FORK,
        """
        together = threading.Barrier(4)
        def work():
            for _ in range(10):
                together.wait(5)
                ended.append(forked())
                home.call(int, timeout=5)
        ended = []
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(len(ended), set(ended))
        home.leave()
        """,
    )
    assert said == ["40 {0}"]


def test_in_the_thread_itself():
    said = outcome(_FORK, "print(home.call(forked, timeout=10)); home.leave()")
    assert said == ["0"]


def test_a_signals_handler_forks_while_another_fork_waits_for_the_thread():
    said = outcome(
        _FORK,
        """
        go = threading.Event()
        def handle(*_):
            print(forked(), flush=True)
            go.set()
        signal.signal(signal.SIGUSR1, handle)
        def run():
            inside.set()
            forking.wait(5)
            os.kill(os.getpid(), signal.SIGUSR1)  # the main thread is to wait by now, or will
            go.wait(5)
        thread = threading.Thread(target=home.call, args=(run,), kwargs=dict(timeout=10))
        thread.start()
        inside.wait(5)
        print(forked())
        print(home.call(int, timeout=5))
        thread.join()
        home.leave()
        """,
    )
    assert said == ["0", "0", "0"]


@pytest.mark.parametrize("ending", ["home.leave()", "home.leave(); home = enter()", ""])
def test_a_fork_when_homes_have_come_and_gone(ending: str):
    assert outcome(_FORK, ending + "\nprint(forked())") == ["0"]


def test_before_the_first_home_nothing_is_asked_for():
    said = outcome(
        """
        import linksocks.embed.home as module
        module._before_fork = module._in_child = lambda: print("called", flush=True)
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        print(os.waitpid(pid, 0)[1])
        enter().leave()
        if os.fork() == 0:
            os._exit(0)
        os.wait()
        """
    )
    assert said == ["0", "called", "called"]
