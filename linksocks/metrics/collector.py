"""A role's figures in the words of Prometheus. Labels hold words of the program only, so their number is bounded: no
token, no address, nothing that a peer said.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from linksocks.tunnel.channels.tally import Dials, Figures, Histogram
from linksocks.version import __version__


class RoleCollector(Collector):
    """Reads `figures` at each scrape; `lag` is how late the event loop was."""

    def __init__(self, figures: Callable[[], Figures], lag: Histogram) -> None:
        self._figures = figures
        self._lag = lag

    def collect(self) -> Iterator[Metric]:
        """All families, one after the other."""
        figures = self._figures()
        yield InfoMetricFamily(
            "linksocks_build",
            "What runs here.",
            {"version": __version__, "python": platform.python_version(), "role": figures.role},
        )
        yield GaugeMetricFamily(
            "linksocks_ready",
            "1 where /readyz says 200: a server listens, a client has a link.",
            figures.ready,
        )
        yield from _links(figures)
        yield from _traffic(figures)
        yield _refusals(figures)
        if figures.dials is not None:
            yield from _dials(figures.dials)
        if figures.reconnects is not None:
            yield CounterMetricFamily(
                "linksocks_reconnects", "Links made anew after one was lost.", figures.reconnects
            )
        yield _histogram("linksocks_event_loop_lag_seconds", "How late a timer of 0.5 s was.", self._lag)


def _links(figures: Figures) -> Iterator[Metric]:
    links = GaugeMetricFamily("linksocks_links", "Links that there are.", labels=["peer"])
    made = CounterMetricFamily("linksocks_links_made", "Links that there were or are.", labels=["peer"])
    channels = GaugeMetricFamily("linksocks_channels", "Channels that are open.", labels=["peer", "kind"])
    opened = CounterMetricFamily(
        "linksocks_channels_opened", "Channels that were asked for, by either end.", labels=["peer", "kind"]
    )
    for peer, tally in figures.tallies.items():
        links.add_metric([peer], len(tally.live))
        made.add_metric([peer], tally.links)
        channels.add_metric([peer, "tcp"], sum(link.streams for link in tally.live))
        channels.add_metric([peer, "udp"], sum(link.associations for link in tally.live))
        opened.add_metric([peer, "tcp"], tally.streams)
        opened.add_metric([peer, "udp"], tally.associations)
    yield from (links, made, channels, opened)


def _traffic(figures: Figures) -> Iterator[Metric]:
    payload = CounterMetricFamily(
        "linksocks_bytes", "Payload sent to peers and received from them.", labels=["peer", "direction"]
    )
    pauses = CounterMetricFamily(
        "linksocks_flow_pauses", "How often a channel waited for a slower end.", labels=["peer"]
    )
    for peer, tally in figures.tallies.items():
        sent, received = tally.traffic
        payload.add_metric([peer, "sent"], sent)
        payload.add_metric([peer, "received"], received)
        pauses.add_metric([peer], tally.pauses)
    yield from (payload, pauses)


def _refusals(figures: Figures) -> Metric:
    family = CounterMetricFamily(
        "linksocks_refusals", "What was refused, and why.", labels=["what", "reason"]
    )
    channels: Counter[str] = Counter()
    for tally in figures.tallies.values():
        channels += tally.refusals
    for what, reasons in {**figures.refusals, "channel": channels}.items():
        for reason, count in sorted(reasons.items()):
            family.add_metric([what, reason], count)
    return family


def _dials(dials: Dials) -> Iterator[Metric]:
    yield _histogram(
        "linksocks_dial_seconds", "From a request to the connection with its target.", dials.latency
    )
    failures = CounterMetricFamily(
        "linksocks_dial_failures", "Targets that were not reached.", labels=["cause"]
    )
    for cause, count in sorted(dials.failures.items()):
        failures.add_metric([cause], count)
    yield failures


def _histogram(name: str, help_text: str, histogram: Histogram) -> Metric:
    bounds = [*map(str, histogram.bounds), "+Inf"]
    buckets = list(zip(bounds, map(float, accumulate(histogram.counts)), strict=True))
    return HistogramMetricFamily(name, help_text, buckets=buckets, sum_value=histogram.total)
