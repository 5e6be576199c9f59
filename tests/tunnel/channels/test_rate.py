"""Rates with a clock that stands still: what may be moved, and whose turn it is."""

from __future__ import annotations

import gevent
import pytest

from linksocks.tunnel.channels.rate import Rate, Throttle
from tests.support.clock import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_a_burst_is_free_and_the_rest_is_a_debt(clock: Clock) -> None:
    rate = Rate(100_000)
    rate.spend(10_000)
    assert not rate.debt
    rate.spend(50_000)
    assert rate.debt == pytest.approx(0.5)
    clock.now += 0.3
    assert rate.debt == pytest.approx(0.2)
    clock.now += 0.2
    assert not rate.debt


def test_time_that_nobody_used_is_not_saved(clock: Clock) -> None:
    rate = Rate(100_000)
    clock.now += 3600
    rate.spend(110_000)
    assert rate.debt == pytest.approx(1.0)


def test_a_limit_may_be_lowered(clock: Clock) -> None:
    rate = Rate(1_000_000)
    throttle = Throttle([rate], lambda: None)
    assert throttle.turn == 50_000
    rate.limit = 100_000
    assert throttle.turn == 5_000
    throttle.spend(60_000)
    assert throttle.debt == pytest.approx(0.5)


@pytest.mark.parametrize(("limit", "turn"), [(16 * 1024, 4096), (1_000_000, 50_000), (1 << 30, 128 * 1024)])
def test_a_turn_is_no_sliver_and_no_flood(limit: int, turn: int) -> None:
    assert Rate(limit).turn == turn


def test_those_that_wait_take_turns(clock: Clock) -> None:
    rate = Rate(1_000_000)
    turns: list[str] = []

    def take(name: str) -> None:
        if len(turns) < 6:
            turns.append(name)
            rate.wait(lambda: take(name))

    for name in "abc":
        rate.wait(lambda name=name: take(name))
    while len(turns) < 6:
        gevent.sleep(0)
    assert turns == list("abcabc")


def test_nobody_goes_on_while_there_is_a_debt(clock: Clock) -> None:
    rate = Rate(1_000_000)
    done: list[int] = []
    rate.spend(102_000)
    rate.wait(lambda: done.append(1))
    gevent.sleep(0.05)
    assert not done
    clock.now += 1
    while not done:
        gevent.sleep(0.001)


def test_a_throttle_holds_to_all_of_its_rates(clock: Clock) -> None:
    resumed: list[int] = []
    one, other = Rate(100_000), Rate(1_000_000)
    throttle = Throttle([one, other], lambda: resumed.append(1))
    assert throttle.turn == one.turn
    assert throttle.free()
    other.spend(200_000)
    assert not throttle.free()
    assert not throttle.free()
    assert throttle.debt == pytest.approx(0.1)
    clock.now += 1
    while not resumed:
        gevent.sleep(0.001)
    gevent.sleep(0.01)
    assert resumed == [1]
    throttle.spend(20_000)
    assert one.debt == pytest.approx(0.1)
    assert not other.debt
    clock.now += 1
