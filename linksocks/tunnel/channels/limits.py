"""What a client may use: as an operator declares it for a token, and as the links of a client share it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Final, Protocol

from gevent.event import Event

from linksocks.tunnel.channels import heap
from linksocks.tunnel.channels.rate import Rate, Throttle
from linksocks.tunnel.channels.tally import Tally

CHANNEL_IDLE: Final = 12 * 3600.0
"""Seconds without a byte in either direction after which a channel is closed (PROTOCOL section 3.2)."""

HALF_ENDED_IDLE: Final = 3600.0
"""The same once one direction has ended: nobody may be left to notice."""

ASSOCIATION_IDLE: Final = 300.0
"""The same for UDP, where a vanished peer says nothing: what RFC 4787 section 4.3 recommends for NATs."""

MAX_KEPT: Final = 64 * 1024 * 1024
"""Bytes of one client that wait here for somebody slower. Without it 600 channels of a client without flow control
kept 600 MiB, and 16,384 would have kept 16 GiB."""


@dataclass(frozen=True, slots=True)
class Limits:
    """For one token. 0 is no limit, but for `idle`; None is what holds for all."""

    channels: int | None = None
    """TCP and UDP, of one client on all its links."""
    links: int | None = None
    """Of all clients with this token."""
    rate: int | None = None
    """Bytes a second in each direction, of all clients with this token."""
    channel_rate: int | None = None
    """The same for each channel."""
    idle: float | None = None
    """Seconds without a byte after which a channel is closed; 0 is CHANNEL_IDLE."""

    def within(self, all_tokens: Limits) -> Limits:
        """These, and those for all where these say nothing."""
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(all_tokens, **{name: value for name, value in own.items() if value is not None})


NO_LIMITS: Final = Limits()

MAX_RELAYS: Final = 16_384
"""Connections and UDP associations of all clients together that one side serves, dials included."""

A_SHARE: Final = Limits(channels=MAX_RELAYS // 4)
"""For a client that opens channels, where nothing else was said: one alone must not take all places."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What all channels of a token share, one rate for each direction."""

    sent: Rate
    received: Rate


def rates(limits: Limits, before: Rates | None = None) -> Rates | None:
    """None where there is no limit. Those from `before` are changed: what was begun with them is held to them too."""
    if limits.rate and before:
        before.sent.limit = before.received.limit = limits.rate
        return before
    return Rates(Rate(limits.rate), Rate(limits.rate)) if limits.rate else None


class Keeper(Protocol):
    """A channel whose sink has not taken all that came."""

    def fail(self, reason: str) -> None: ...


class Account:
    """What one client's links share: its limits, the count of its channels, and the `tally` of all of its kind.

    A new one has no limits: that is the account of a client's own links.
    """

    def __init__(
        self, limits: Limits = NO_LIMITS, shared: Rates | None = None, tally: Tally | None = None
    ) -> None:
        self.tally = tally or Tally()
        self.channels = 0
        """Open now, on all links."""
        self.kept = 0
        """Bytes that came on all its links, and that nobody has taken yet."""
        self.eased = Event()
        """Set whenever some of them are."""
        self._keepers: dict[Keeper, int] = {}
        self.change(limits, shared)

    def change(self, limits: Limits, shared: Rates | None) -> None:
        """These hold for new channels from now on. What is open stays, and has the rates that it began with."""
        self.max_channels = limits.channels or 0
        self.idle = limits.idle or CHANNEL_IDLE
        """Seconds."""
        self._shared = shared
        self._channel_rate = limits.channel_rate or 0

    @property
    def overdrawn(self) -> bool:
        """More channels are open than may be."""
        return 0 < self.max_channels < self.channels

    @property
    def full(self) -> bool:
        """No other channel may be opened."""
        return 0 < self.max_channels <= self.channels

    def keep(self, keeper: Keeper, count: int) -> None:
        """Of `kept`, this is what waits at `keeper` now."""
        change = count - self._keepers.pop(keeper, 0)
        if count:
            self._keepers[keeper] = count
        self.kept += change
        if change < 0:
            heap.freed(-change)
            self.eased.set()

    def relieve(self) -> None:
        """Breaks the channel that keeps most."""
        most = max(self._keepers, key=self._keepers.__getitem__)
        most.fail("too much waits here, and the peer has no flow control")

    @property
    def throttled(self) -> bool:
        """Whether channels need throttles."""
        return self._shared is not None or self._channel_rate > 0

    def sending(self, resume: Callable[[], None]) -> Throttle:
        """For what a new channel sends to its peer."""
        return self._throttle(self._shared.sent if self._shared else None, resume)

    def receiving(self, resume: Callable[[], None]) -> Throttle:
        """For what a new channel gets from its peer."""
        return self._throttle(self._shared.received if self._shared else None, resume)

    def _throttle(self, shared: Rate | None, resume: Callable[[], None]) -> Throttle:
        own = [Rate(self._channel_rate)] if self._channel_rate else []
        return Throttle([*own, *([shared] if shared else [])], resume)
