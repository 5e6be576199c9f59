"""What tokens grant, one class for each kind; providers with tokens of their own are in `autonomy`.

=========== ================ ===================================================================
kind        its client is    and the server
=========== ================ ===================================================================
`Forward`   a forward client dials for it
`Reverse`   a provider       opens a port for applications, whose connections go to the providers
`Connector` a connector      switches its channels to the providers of one group
`Autonomy`  a provider       lets in those whose connector tokens this provider has added
=========== ================ ===================================================================

Each has a gate with the token's access rules. Nobody's channels are accepted but those of forward clients and
connectors: a provider can't make the server dial.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from linksocks.server.groups import Group
from linksocks.server.ports import PortPool
from linksocks.server.tokens import Grant, MakeLink
from linksocks.tunnel.gate import Behind, Gate
from linksocks.tunnel.inbound import Inbound
from linksocks.tunnel.link import NOBODY, Link
from linksocks.tunnel.outbound import Outbound

APPLICATION_WAIT: Final = 10.0
"""Seconds that an application's connection waits for a provider (PROTOCOL section 3.1)."""

log = logging.getLogger("linksocks.server")


class Forward(Grant):
    """`outbound` is shared with others, so its owner ends it."""

    client = "forward client"

    def __init__(self, outbound: Outbound, gate: Gate) -> None:
        self.gate = gate
        self._acceptor = Behind(gate, outbound)

    @contextmanager
    def admit(self, make: MakeLink, _instance: bytes) -> Iterator[Link]:
        """See Grant."""
        yield make(self._acceptor)


class Connector(Grant):
    """`group` belongs to the providers' grant, which ends it."""

    client = "connector"

    def __init__(self, group: Group, gate: Gate) -> None:
        self.gate = gate
        self._group = group
        self._acceptor = Behind(gate, group.switch)

    @contextmanager
    def admit(self, make: MakeLink, instance: bytes) -> Iterator[Link]:
        """See Grant."""
        link = make(self._acceptor, self._group)
        with self._group.connector(link, instance):
            yield link


class Reverse(Grant):
    """A group with a port. `serve` makes its inbound; `port` 0 is any of the pool; `owner` gets it again later."""

    client = "provider"
    reverse = True

    def __init__(
        self,
        group: Group,
        ports: PortPool,
        port: int,
        owner: str,
        serve: Callable[..., Inbound],
        gate: Gate,
    ) -> None:
        """Takes the port. Raises ListenError."""
        self.gate = gate
        self.group = group
        self._ports = ports
        self._owner = owner
        self._inbound = serve(ports.take(port, owner), lambda: group.pick(APPLICATION_WAIT), gate=gate)
        self._open = False

    @property
    def port(self) -> int:
        """The port for applications."""
        return self._inbound.port

    def prepare(self) -> None:
        """Opens the port, where it is not open yet; it stays so when all providers have left."""
        if not self._open:
            self._inbound.start()
            self._open = True
            log.info("applications' port %s is open", self._inbound.port)

    @contextmanager
    def admit(self, make: MakeLink, instance: bytes) -> Iterator[Link]:
        """See Grant."""
        link = make(NOBODY, self.group)
        with self.group.provider(link, instance):
            yield link

    def drain(self, timeout: float) -> None:
        """See Grant."""
        began = time.monotonic()
        self._inbound.drain(timeout)
        self.group.switch.drain(max(0.0, began + timeout - time.monotonic()))

    def stop(self) -> None:
        """See Grant."""
        self._inbound.stop()
        self._ports.leave(self.port, self._owner)
        self.group.switch.stop()
