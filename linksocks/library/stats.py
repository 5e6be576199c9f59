"""What a tunnel has done, as numbers of one moment.

They begin at 0 with the tunnel, and again where a client that had ended begins anew. Connections and associations are
counted when they begin, whether they succeed or not. Bytes are payload: what applications sent and got, without the
overhead of the tunnel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from linksocks.tunnel.channels.tally import Figures


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stats:
    links: int = 0
    """WebSockets that are logged in now."""
    channels: int = 0
    """TCP connections and UDP associations that are open now."""
    connections: int = 0
    """TCP connections through the tunnel so far."""
    associations: int = 0
    """UDP associations so far."""
    bytes_sent: int = 0
    """Bytes of payload that this side sent to its peers."""
    bytes_received: int = 0
    """Bytes of payload that it received from them."""
    dials: int = 0
    """Targets that this side has reached: a server, or a client with reverse=True."""
    failed_dials: Mapping[str, int] = field(default_factory=dict)
    """Targets that it has not reached, by a word for the cause, such as "refused" or "timed_out"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientStats(_Stats):
    """See `Client.stats`."""

    reconnects: int = 0
    """Links that were made anew, after one was lost."""
    partners: int = 0
    """Providers of a connector, or connectors of a provider, by the server's last word."""
    rtt: float | None = None
    """Seconds to the server and back, at the last ping that was answered; None before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStats(_Stats):
    """See `Server.stats`."""

    clients: int = 0
    """Clients that have a link now, of all kinds."""
    logins: int = 0
    """Links that have logged in so far."""
    refused: Mapping[str, int] = field(default_factory=dict)
    """What was refused before a login, by a word such as "login: token" or "connection: full"."""


def client_stats(figures: Figures, partners: int, rtt: float | None) -> ClientStats:
    """Of a client or a provider."""
    return ClientStats(**_common(figures), reconnects=figures.reconnects or 0, partners=partners, rtt=rtt)


def server_stats(figures: Figures, clients: int) -> ServerStats:
    """Of a server."""
    return ServerStats(
        **_common(figures),
        clients=clients,
        logins=sum(tally.links for tally in figures.tallies.values()),
        refused={
            f"{what}: {reason}": count
            for what, reasons in figures.refusals.items()
            for reason, count in sorted(reasons.items())
        },
    )


def _common(figures: Figures) -> dict[str, Any]:
    tallies = list(figures.tallies.values())
    live = [link for tally in tallies for link in tally.live]
    return {
        "links": len(live),
        "channels": sum(link.streams + link.associations for link in live),
        "connections": sum(tally.streams for tally in tallies),
        "associations": sum(tally.associations for tally in tallies),
        "bytes_sent": sum(tally.traffic[0] for tally in tallies),
        "bytes_received": sum(tally.traffic[1] for tally in tallies),
        "dials": sum(figures.dials.latency.counts) if figures.dials else 0,
        "failed_dials": dict(figures.dials.failures) if figures.dials else {},
    }
