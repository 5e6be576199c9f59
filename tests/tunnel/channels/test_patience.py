"""How long a link may be held up, by a clock that only the waiting moves."""

from __future__ import annotations

import pytest

from linksocks.tunnel.channels import patience
from linksocks.tunnel.channels.patience import LIVELY, PATIENCE, REGAIN, SPARE, ChannelPatience, LinkPatience


class Clock:
    """Stands in for the clock, and for an event that never comes: whoever waits for it gets older."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(patience, "time", self)

    def monotonic(self) -> float:
        return self.now

    def wait(self, timeout: float) -> bool:
        self.now += timeout
        return False


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def held_up(clock: Clock, channel: ChannelPatience, taken: int = 0) -> float:
    """Seconds until a channel that takes nothing must end."""
    began = clock.now
    while channel.wait(clock, taken, crowded=True):  # type: ignore[arg-type]
        assert clock.now < began + 1000
    return clock.now - began


def test_a_thousand_channels_that_stand_still_are_no_worse_than_one(clock: Clock) -> None:
    link = LinkPatience()
    assert held_up(clock, ChannelPatience(link)) == PATIENCE
    for _ in range(1000):
        assert held_up(clock, ChannelPatience(link)) == 0
    clock.now += REGAIN
    assert link.left == PATIENCE


def test_patience_is_earned_by_what_is_taken(clock: Clock) -> None:
    link = LinkPatience()
    link.spend(PATIENCE)
    channel = ChannelPatience(link)
    assert held_up(clock, channel, LIVELY // 8) == 0.125
    assert held_up(clock, channel, 100 * LIVELY) == SPARE


def test_who_is_alone_spends_nothing(clock: Clock) -> None:
    link = LinkPatience()
    channel = ChannelPatience(link)
    for _ in range(3):
        assert not channel.wait(clock, 0, crowded=False)  # type: ignore[arg-type]
    assert link.left == PATIENCE
