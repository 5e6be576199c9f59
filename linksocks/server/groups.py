"""Where providers and those who use them meet: who is there, whose turn it is, and what each is told of the others.

A group has the providers of one reverse token, or of one instance where providers manage their own connector tokens.
They may stand in for each other; those of two groups never do.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import gevent
from gevent.event import Event

from linksocks.errors import Cause, DialError
from linksocks.net.greenlets import ContextGreenlet
from linksocks.tunnel.channels.link import Link
from linksocks.tunnel.ends.switch import Switch
from linksocks.wire.messages import Log, Partners

CONNECTOR_WAIT: Final = 5.0
"""Seconds that a connector's channel waits for a provider, unless the server is given another time."""

PROBE: Final = 2.0
"""Seconds that a provider of which nothing was heard lately has to answer before another one is chosen."""

HEADSTART: Final = 0.25
"""Seconds of them in which nobody else is asked: who is merely idle keeps its turn. One that stayed mute once has no
more of them until it is heard."""

_LOOK_AGAIN: Final = 1.0
"""Seconds between two rounds while no provider answers."""

_FOR_PROGRAMS: Final = ("linksocks_", "probe:", "pong:")
"""Beginnings of log lines by which LinkSocks (Go) tells programs of abilities, or measures (PROTOCOL 4, 9)."""

_LINE: Final = 1024
"""Characters of a log line that are passed on."""


class Group:
    """`connector_wait`: seconds that a connector's channel waits for a provider, which then has `connect_timeout`."""

    def __init__(self, connector_wait: float, connect_timeout: float) -> None:
        # With the instance: several links may be one client. The first provider is next.
        self._providers: dict[Link, bytes] = {}
        self._connectors: dict[Link, bytes] = {}
        self._arrived = Event()
        self.waiting = 0
        """How many channels wait for a provider now."""
        self.switch = Switch(lambda: self.pick(connector_wait), connect_timeout)

    @contextmanager
    def provider(self, link: Link, instance: bytes) -> Iterator[None]:
        """Inside, `link` is one of the group's providers."""
        with _present(link, instance, self._providers, self._connectors):
            self._arrived.set()
            yield

    @contextmanager
    def connector(self, link: Link, instance: bytes) -> Iterator[None]:
        """Inside, `link` is one of those that use the group's providers."""
        with _present(link, instance, self._connectors, self._providers):
            yield

    def pass_on(self, line: Log, author: Link) -> None:
        """Shows those of the other role what one has logged; not what is meant for the server itself."""
        if line.message.startswith(_FOR_PROGRAMS):
            return
        short = Log(line.level, line.message[:_LINE])
        for link in self._connectors if author in self._providers else self._providers:
            if link.takes_more:
                link.send(short)

    def pick(self, timeout: float) -> Link:
        """The next provider that answers; waits `timeout` seconds for one. Raises DialError."""
        deadline = time.monotonic() + timeout
        self.waiting += 1
        try:
            while True:
                self._arrived.clear()
                link = self._next_responsive(min(PROBE, deadline - time.monotonic()))
                if link is not None:
                    return link
                if time.monotonic() >= deadline:
                    raise DialError(Cause.NETWORK_UNREACHABLE, f"no provider was there for {timeout:g} s")
                self._arrived.wait(min(deadline - time.monotonic(), _LOOK_AGAIN))
        finally:
            self.waiting -= 1

    def _next_responsive(self, timeout: float) -> Link | None:
        """The one whose turn it is, if it answers soon; else the first of all to answer within `timeout` seconds."""
        usable = [link for link in self._providers if link.takes_channels]
        chosen = None
        if usable and usable[0].responsive(min(HEADSTART, timeout)):
            chosen = usable[0]
        elif usable:
            chosen = _first_to_answer(usable, timeout)
        if chosen is not None and chosen in self._providers:  # it may have left meanwhile
            self._providers[chosen] = self._providers.pop(chosen)
        return chosen

    @property
    def providers(self) -> int:
        """How many clients are providers now."""
        return _clients(self._providers)

    @property
    def connectors(self) -> int:
        """How many clients are connectors now."""
        return _clients(self._connectors)


@contextmanager
def _present(
    link: Link, instance: bytes, own: dict[Link, bytes], others: dict[Link, bytes]
) -> Iterator[None]:
    """Keeps `own` and tells both sides how many there are of the other (PROTOCOL section 1.2, Partners)."""
    before = _clients(own)
    own[link] = instance
    _tell([link], _clients(others))
    if _clients(own) != before:
        _tell(others, _clients(own))
    try:
        yield
    finally:
        before = _clients(own)
        del own[link]
        if _clients(own) != before:
            _tell(others, _clients(own))


def _first_to_answer(links: list[Link], timeout: float) -> Link | None:
    """All are asked at once: those that are half-open must not cost the time of those that are there."""
    asking = {ContextGreenlet.spawn(link.responsive, timeout): link for link in links}
    for greenlet, link in asking.items():
        greenlet.name = f"ask {link.name}"
    try:
        return next((asking[done] for done in gevent.iwait(asking, timeout=timeout) if done.value), None)
    finally:
        gevent.killall(list(asking), block=False)


def _clients(links: dict[Link, bytes]) -> int:
    return len(set(links.values()))


def _tell(links: Iterable[Link], count: int) -> None:
    for link in links:
        if link.alive:
            link.send(Partners(count))
