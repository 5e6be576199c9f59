"""Names that the datagrams of one association are sent to.

A name is looked up while the datagrams to others go on; those to the name itself wait for it, in order. It keeps its
address as long as it has it: a flow to a name with many addresses stays with one server.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import Final, Protocol

from linksocks.errors import DialError
from linksocks.net.greenlets import Group, name_current
from linksocks.net.out.drops import Drops
from linksocks.net.out.resolve import Address, Resolver, current_asker, look_up_for
from linksocks.wire.mask import Buffer

_LOOK_UP_TIMEOUT: Final = 5.0
"""Seconds; who sent the datagram has asked again by then."""

_FRESH: Final = 60.0
"""Seconds after which a name is looked up again, while its datagrams go on."""

_NAMES: Final = 32
"""Names whose addresses, or datagrams, one association keeps; the one not used for longest goes first."""

_WAITING: Final = 16
"""Datagrams that wait for one name."""

log = logging.getLogger(__name__)


class Transmit(Protocol):
    """Takes a datagram to `host`, which has `addresses`, the one in use first; none where it was not found."""

    def __call__(self, payload: Buffer, host: str, port: int, addresses: list[Address], /) -> None: ...


class Names:
    """Gives each datagram to `transmit` once the addresses of its name are known."""

    def __init__(self, resolver: Resolver, transmit: Transmit, drops: Drops) -> None:
        self._resolver = resolver
        self._transmit = transmit
        self._drops = drops
        self._names: dict[str, _Name] = {}  # the one that was used last comes last
        self._look_ups = Group()
        self._asker = current_asker()

    def send(self, payload: Buffer, host: str, port: int) -> None:
        """Passes a datagram on, now or later, or drops it."""
        name = self._name(host)
        if name is None:
            self._drops.add("too many names are looked up")
            return
        if name.addresses:
            self._transmit(payload, host, port, name.addresses)
        elif len(name.waiting) < _WAITING:
            name.waiting.append((bytes(payload), port))
        else:
            self._drops.add("too many wait for one name")
        if not name.asking and name.stale < time.monotonic():
            name.asking = True
            self._look_ups.spawn(self._look_up, host, name)

    def close(self) -> None:
        """Ends all look-ups; what waits for them is dropped."""
        self._look_ups.kill(block=False)

    def _name(self, host: str) -> _Name | None:
        """What we know of a name; None when there are too many new ones."""
        name = self._names.pop(host, None)
        if name is None:
            if len(self._names) >= _NAMES:
                idle = next((other for other, known in self._names.items() if not known.asking), None)
                if idle is None:
                    return None
                del self._names[idle]
            name = _Name()
        self._names[host] = name
        return name

    def _look_up(self, host: str, name: _Name) -> None:
        name_current(f"look up {host} for UDP")
        look_up_for(self._asker)
        try:
            found = self._resolver.resolve(host, 0, _LOOK_UP_TIMEOUT)
        except DialError as error:
            log.debug("UDP: %s", error)
            found = name.addresses
        name.learn(found)
        while name.waiting:
            payload, port = name.waiting.popleft()
            self._transmit(payload, host, port, name.addresses)


class _Name:
    """A name that datagrams are sent to."""

    def __init__(self) -> None:
        self.addresses: list[Address] = []  # the one in use comes first
        self.waiting: deque[tuple[bytes, int]] = deque()  # payload and port; while there is no address
        self.asking = False
        self.stale = 0.0  # when to look it up again

    def learn(self, found: list[Address]) -> None:
        """The outcome of a look-up; the address in use stays so if it is found again."""
        if self.addresses and self.addresses[0] in found:
            found = [self.addresses[0], *(address for address in found if address != self.addresses[0])]
        self.addresses = found
        self.stale = time.monotonic() + _FRESH if found else 0.0
        self.asking = False
