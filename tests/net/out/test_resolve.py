"""The resolver: look-ups never block the hub, slow ones hold up nobody else, answers are kept."""

from __future__ import annotations

import socket
import sys
import threading

import gevent
import pytest

from linksocks.errors import Cause, DialError
from linksocks.net.out import resolve as module
from linksocks.net.out.resolve import Resolver, look_up_for
from tests.support.names import LOOK_UP
from tests.support.processes import Process

ANSWER = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.9", 0))]


class Names:
    """Look-ups that the test answers: `held` ones wait until `release`."""

    def __init__(self, monkeypatch, held: set[str]) -> None:
        self.asked: list[str] = []
        self._held = held
        self._released = threading.Event()
        monkeypatch.setattr(module, "_getaddrinfo", self._getaddrinfo)

    def _getaddrinfo(self, host: str):
        self.asked.append(host)
        if host in self._held:
            self._released.wait(15)
        return ANSWER

    def release(self) -> None:
        self._released.set()


@pytest.fixture
def resolver():
    look_up_for(module._Anybody)  # another test may have said for whom
    resolver = Resolver()
    yield resolver
    resolver.close()


@pytest.mark.parametrize(
    ("literal", "family", "sockaddr"),
    [
        ("127.0.0.1", socket.AF_INET, ("127.0.0.1", 80)),
        ("::1", socket.AF_INET6, ("::1", 80, 0, 0)),
        ("::ffff:127.0.0.1", socket.AF_INET6, ("::ffff:127.0.0.1", 80, 0, 0)),
    ],
)
def test_literals_need_no_look_up(monkeypatch, resolver, literal, family, sockaddr):
    names = Names(monkeypatch, held=set())
    assert resolver.resolve(literal, 80, 1) == [(family, sockaddr)]
    assert names.asked == []


def test_ipv4_may_go_first(monkeypatch):
    six = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0))
    monkeypatch.setattr(module, "_getaddrinfo", lambda _host: [six, *ANSWER, six, *ANSWER])
    for prefer_ipv4, order in ((True, [4, 4, 6, 6]), (False, [6, 4, 6, 4])):
        resolver = Resolver(prefer_ipv4=prefer_ipv4)
        addresses = resolver.resolve("dual", 80, 5)
        resolver.close()
        assert [6 if address.family == socket.AF_INET6 else 4 for address in addresses] == order


def test_localhost(resolver):
    assert ("127.0.0.1", 80) in [address.sockaddr for address in resolver.resolve("localhost", 80, 5)]


@pytest.mark.parametrize(
    "host", ["nosuch.invalid", "", "a" * 70, "a..b", "\ud800x", "127.0.0.1\0.evil", "\0"]
)
def test_no_such_host_is_one_error_and_no_traceback(resolver, capfd, host):
    with pytest.raises(DialError) as caught:
        resolver.resolve(host, 80, LOOK_UP)
    assert caught.value.cause is Cause.HOST_UNREACHABLE
    gevent.sleep(0.01)
    assert capfd.readouterr().err == ""


def test_answers_are_kept_for_any_port_and_not_for_ever(monkeypatch, resolver):
    names = Names(monkeypatch, held=set())
    assert resolver.resolve("a", 80, 5)[0].sockaddr == ("127.0.0.9", 80)
    assert resolver.resolve("a", 443, 5)[0].sockaddr == ("127.0.0.9", 443)
    assert names.asked == ["a"]
    now = module.time.monotonic()
    monkeypatch.setattr(module.time, "monotonic", lambda: now + 11)
    resolver.resolve("a", 80, 5)
    assert names.asked == ["a", "a"]


def test_failures_are_not_kept(resolver, monkeypatch):
    with pytest.raises(DialError, match="no such host"):
        resolver.resolve("nosuch.invalid", 80, LOOK_UP)
    names = Names(monkeypatch, held=set())
    assert resolver.resolve("nosuch.invalid", 80, 5)
    assert names.asked == ["nosuch.invalid"]


def test_the_cache_is_bounded(monkeypatch, resolver):
    monkeypatch.setattr(module, "_KEEP_NAMES", 10)
    Names(monkeypatch, held=set())
    for n in range(35):
        resolver.resolve(f"host{n}", 80, 5)
    assert len(resolver._kept) <= 10


def test_a_slow_look_up_does_not_block_the_hub(monkeypatch, resolver):
    names = Names(monkeypatch, held={"slow"})
    slow = gevent.spawn(resolver.resolve, "slow", 80, 10)
    assert resolver.resolve("quick", 80, 5)
    assert not slow.ready()
    names.release()
    assert slow.get()


def test_who_asks_for_the_same_name_shares_the_look_up(monkeypatch, resolver):
    names = Names(monkeypatch, held={"slow"})
    many = [gevent.spawn(resolver.resolve, "slow", port, 10) for port in range(40)]
    assert resolver.resolve("quick", 80, 5), "forty look-ups of one name hold all threads"
    names.release()
    assert [one.get()[0].sockaddr[1] for one in many] == list(range(40))
    assert sorted(names.asked) == ["quick", "slow"]


def test_a_slow_look_up_has_a_deadline(monkeypatch, resolver):
    names = Names(monkeypatch, held={"slow"})
    with pytest.raises(DialError, match="looking up slow took longer than") as caught:
        resolver.resolve("slow", 80, 0.05)
    assert caught.value.cause is Cause.TIMED_OUT
    names.release()


def test_waiting_for_a_thread_has_the_deadline_too(monkeypatch, resolver):
    slow = {f"slow{n}" for n in range(module._THREADS)}
    names = Names(monkeypatch, held=slow)
    waiting = [gevent.spawn(resolver.resolve, name, 80, 10) for name in slow]
    gevent.sleep(0)
    with pytest.raises(DialError) as caught:
        resolver.resolve("one more", 80, 0.05)
    assert caught.value.cause is Cause.TIMED_OUT
    names.release()
    gevent.joinall(waiting, raise_error=True)


def test_a_timeout_of_the_caller_is_not_taken_for_ours(monkeypatch, resolver):
    names = Names(monkeypatch, held={"slow"})
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.05):
        resolver.resolve("slow", 80, 10)
    names.release()


def test_one_asker_can_not_hold_up_the_names_of_another(monkeypatch, resolver):
    slow = {f"slow{n}" for n in range(2 * module._THREADS)}
    names = Names(monkeypatch, held=slow)

    class Client:
        """Anything that can be told from others."""

    def ask(asker: object, host: str):
        module.look_up_for(asker)
        return resolver.resolve(host, 80, 10)

    one, other = Client(), Client()
    waiting = [gevent.spawn(ask, one, name) for name in slow]
    while len(names.asked) < module._SHARE:
        gevent.sleep(0.001)
    assert gevent.spawn(ask, other, "quick").get(timeout=10)
    assert resolver.resolve("mine", 80, 10), "who says not for whom it asks is another one"
    assert len(names.asked) == module._SHARE + 2
    names.release()
    gevent.joinall(waiting, timeout=10, raise_error=True)
    assert len(names.asked) == len(slow) + 2


def test_who_gave_up_waiting_takes_nobody_s_place(monkeypatch, resolver):
    slow = [f"slow{n}" for n in range(module._SHARE)]
    names = Names(monkeypatch, held=set(slow))
    waiting = [gevent.spawn(resolver.resolve, name, 80, 10) for name in slow]
    while len(names.asked) < module._SHARE:
        gevent.sleep(0.001)
    for n in range(2 * module._SHARE):
        with pytest.raises(DialError):
            resolver.resolve(f"late{n}", 80, 0.01)
    names.release()
    gevent.joinall(waiting, timeout=10, raise_error=True)
    assert resolver.resolve("again", 80, 10)
    assert len(names.asked) == module._SHARE + 1


def test_a_patched_program_gets_no_more_threads():
    """One that looks up, and no hub in it, whose look-ups would need threads of its own."""
    program = """
from gevent import monkey; monkey.patch_all()
import gc, os
from gevent.hub import Hub
from linksocks.net.out.resolve import Resolver, look_up_for
assert Resolver().resolve("localhost", 80, 5)
print(len(os.listdir("/proc/self/task")), sum(isinstance(thing, Hub) for thing in gc.get_objects()))
"""
    with Process([sys.executable, "-c", program]) as process:
        assert process.wait_exit() == 0, process.output
    assert process.out == ["2 1"]
