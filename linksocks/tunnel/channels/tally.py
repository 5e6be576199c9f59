"""Counts of what links do: integers that are kept anyway, or cost as little. Who shows them reads them when asked.

A tally is for all links of one kind, those that there are and those that there were; a histogram for one kind of
event. Nothing here knows how it is shown.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


class Counted(Protocol):
    """What a tally asks of a link."""

    @property
    def streams(self) -> int: ...
    @property
    def associations(self) -> int: ...
    @property
    def traffic(self) -> tuple[int, int]: ...
    @property
    def pauses(self) -> int: ...


class Tally:
    """The links of one kind. What ended links did is added up when they end, so no sum ever falls."""

    def __init__(self) -> None:
        self.live: set[Counted] = set()
        self.links = 0
        """Links that have begun."""
        self.streams = 0
        """TCP channels that were opened, by either side; those that were refused too."""
        self.associations = 0
        """The same for UDP."""
        self.refusals: Counter[str] = Counter()
        """Channels that were refused here, by a word for the reason."""
        self._ended_traffic = 0, 0
        self._ended_pauses = 0

    def begin(self, link: Counted) -> None:
        """`link` lives from now on."""
        self.links += 1
        self.live.add(link)

    def end(self, link: Counted) -> None:
        """It has ended, and its channels too."""
        self.live.discard(link)
        (sent, received), (more_sent, more_received) = self._ended_traffic, link.traffic
        self._ended_traffic = sent + more_sent, received + more_received
        self._ended_pauses += link.pauses

    @property
    def traffic(self) -> tuple[int, int]:
        """Payload sent and received, in bytes."""
        counts = [self._ended_traffic, *(link.traffic for link in self.live)]
        return sum(sent for sent, _ in counts), sum(received for _, received in counts)

    @property
    def pauses(self) -> int:
        """How often a channel had to stop, because the other end was slower."""
        return self._ended_pauses + sum(link.pauses for link in self.live)


class Histogram:
    """How many values are at most each of `bounds`, which ascend, and how many are above them all."""

    def __init__(self, *bounds: float) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        """Of all values."""

    def add(self, value: float) -> None:
        """One more."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Dials:
    """How the dials of one outbound went: seconds to each connection, and how often there was none, by the cause."""

    def __init__(self) -> None:
        self.latency = Histogram(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
        self.failures: Counter[str] = Counter()


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a role knows of itself at this moment. All words in it come from the program, none from a peer."""

    role: str
    ready: bool
    """Whether it can do its work: a server listens, a client has a link."""
    tallies: Mapping[str, Tally]
    """By what a link's peer is here: a forward client, a provider, a connector, or the server."""
    dials: Dials | None = None
    refusals: Mapping[str, Counter[str]] = field(default_factory=dict)
    """What was refused outside of links, by a word for what it was and one for the reason."""
    reconnects: int | None = None
    """Links of a client that were made after its first ones were lost."""
