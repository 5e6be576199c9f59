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
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from linksocks.errors import ListenError
from linksocks.net.greenlets import at_once
from linksocks.server.groups import Group
from linksocks.server.ports import PortPool
from linksocks.server.specs import TokenSpec
from linksocks.server.tokens import Grant, MakeLink
from linksocks.tunnel.callers import Callers
from linksocks.tunnel.gate import Behind, Gate
from linksocks.tunnel.inbound import Inbound
from linksocks.tunnel.link import NOBODY, Link
from linksocks.tunnel.outbound import Outbound
from linksocks.tunnel.passage import Passage

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
    """A group with a port, which its token gets again later."""

    client = "provider"
    reverse = True

    def __init__(
        self,
        spec: TokenSpec,
        group: Group,
        ports: PortPool,
        gate: Gate,
        *,
        fast_open: bool,
        connect_timeout: float,
    ) -> None:
        """Takes the port. Raises ListenError."""
        self.gate = gate
        self.group = group
        self._spec = spec
        self._ports = ports
        self._fast_open = fast_open
        self._passage = Passage(lambda: group.pick(APPLICATION_WAIT), gate, connect_timeout)
        self._callers = Callers(self._passage)
        self._inbound = self._bound(spec)
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
        if spec.port != self._spec.port:
            self._move(spec)
        self._inbound.ask_for(spec.username, spec.password)
        self._spec = spec
        super().change(spec)

    def _move(self, spec: TokenSpec) -> None:
        """To another port. Raises ListenError."""
        inbound = self._bound(spec)
        if self._open:
            try:
                inbound.start()
            except ListenError:
                inbound.close()
                self._ports.leave(inbound.port, spec.fingerprint)
                raise
            log.info("applications' port %s is open instead of %s", inbound.port, self.port)
        self._inbound.close()
        self._ports.leave(self.port, spec.fingerprint)
        self._former = [each for each in (*self._former, self._inbound) if each.connections]
        self._inbound = inbound

    def _bound(self, spec: TokenSpec) -> Inbound:
        """Raises ListenError."""
        listener = self._ports.take(spec.port, spec.fingerprint)
        return Inbound(listener, self._passage, spec.username, spec.password, fast_open=self._fast_open)

    def prepare(self) -> None:
        """Opens the port, where it is not open yet; it stays so when all providers have left."""
        if not self._open:
            self._inbound.start()
            self._open = True
            log.info("applications' port %s is open", self._inbound.port)

    def dial(self, host: str, port: int, timeout: float | None) -> int:
        """See Grant."""
        return self._callers.dial(host, port, timeout)

    @contextmanager
    def admit(self, make: MakeLink, instance: bytes) -> Iterator[Link]:
        """See Grant."""
        link = make(NOBODY, self.group)
        with self.group.provider(link, instance):
            yield link

    def drain(self, grace: float) -> None:
        """See Grant."""
        for inbound in (self._inbound, *self._former):
            inbound.close()
        at_once(partial(self._passage.drain, grace), partial(self.group.switch.drain, grace))

    def stop(self) -> None:
        """See Grant."""
        # The port first, without a wait: the same token may be there again before the rest has ended.
        self._inbound.close()
        self._ports.leave(self.port, self._spec.fingerprint)
        for inbound in (self._inbound, *self._former):
            inbound.stop()
        self._passage.stop()
        self.group.switch.stop()
