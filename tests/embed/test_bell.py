"""A bell: many threads ring it, and the loop that hears them stays as it was."""

from __future__ import annotations

import threading
import time

import gevent
import pytest

from linksocks.embed.bell import Bell, bell_of
from tests.embed import callers
from tests.support.threads import in_thread

ROUNDS = 20_000


def rung_by_threads(bell: Bell) -> list[tuple[int, int]]:
    """What three threads have called, while the loop is busy with timers."""
    heard: list[tuple[int, int]] = []
    threads = [threading.Thread(target=ring, args=(bell, heard, name)) for name in range(3)]
    sleepers = [gevent.spawn(nap, threads) for _ in range(40)]
    for thread in threads:
        thread.start()
    gevent.joinall(sleepers)
    for thread in threads:
        thread.join()
    gevent.sleep(0.01)  # the last ones are heard
    return heard


def ring(bell: Bell, heard: list[tuple[int, int]], name: int) -> None:
    for number in range(ROUNDS):
        bell.ring(heard.append, (name, number))
        if number % 20 == 0:
            time.sleep(0.0001)  # lets the loop run: what else it does meanwhile is what makes it miscount


def nap(threads: list[threading.Thread]) -> None:
    gevent.sleep(0.0002)
    while any(thread.is_alive() for thread in threads):
        gevent.sleep(0.0002)


def test_all_are_heard_in_order_and_the_loop_counts_as_before() -> None:
    def main() -> list[tuple[int, int]]:
        with callers.hub():  # a new one: in the tests' own what an earlier test has left may end meanwhile
            hub = gevent.get_hub()
            bell = bell_of(hub)
            gevent.sleep(0)
            before = hub.loop.activecnt
            heard = rung_by_threads(bell)
            assert hub.loop.activecnt == before
            return heard

    heard = in_thread(main)
    for name in range(3):
        assert [number for who, number in heard if who == name] == list(range(ROUNDS))


def test_what_fails_does_not_hold_up_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = gevent.get_hub()
    failures: list[object] = []
    monkeypatch.setattr(hub, "handle_error", lambda context, kind, value, trace: failures.append(kind))
    heard: list[int] = []
    bell = bell_of(hub)
    bell.ring(lambda: 1 / 0)
    bell.ring(heard.append, 1)
    gevent.sleep(0.01)
    assert (failures, heard) == ([ZeroDivisionError], [1])


def test_a_hub_has_one() -> None:
    assert bell_of(gevent.get_hub()) is bell_of(gevent.get_hub())
