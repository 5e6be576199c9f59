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
from functools import partial
from typing import Final

from linksocks.net.greenlets import until
from linksocks.server.groups import Group
from linksocks.server.ports import PortPool
from linksocks.server.specs import TokenSpec
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
        self._serve = partial(serve, pick_link=lambda: group.pick(APPLICATION_WAIT), gate=gate)
        self._asked = port
        self._inbound = self._serve(ports.take(port, owner))
        self._former: list[Inbound] = []  # of ports that were changed: who came in there stays
        self._open = False

    @property
    def port(self) -> int:
        """See Grant."""
        return self._inbound.port

    @property
    def waiting(self) -> int:
        """See Grant."""
        return self.group.waiting

    def change(self, spec: TokenSpec) -> None:
        """See Grant. Who came in by another port, or with another password, stays."""
        if spec.port != self._asked:
            self._move(spec.port)
        self._serve.keywords.update(username=spec.username, password=spec.password)
        self._inbound.ask_for(spec.username, spec.password)
        super().change(spec)

    def _move(self, port: int) -> None:
        """To another port. Raises ListenError."""
        inbound = self._serve(self._ports.take(port, self._owner))
        if self._open:
            inbound.start()
            log.info("applications' port %s is open instead of %s", inbound.port, self.port)
        self._inbound.close()
        self._ports.leave(self.port, self._owner)
        self._former = [each for each in (*self._former, self._inbound) if each.connections]
        self._inbound, self._asked = inbound, port

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
        deadline = time.monotonic() + timeout
        for inbound in (self._inbound, *self._former):
            inbound.drain(until(deadline))
        self.group.switch.drain(until(deadline))

    def stop(self) -> None:
        """See Grant."""
        for inbound in (self._inbound, *self._former):
            inbound.stop()
        self._ports.leave(self.port, self._owner)
        self.group.switch.stop()
