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
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Final, Protocol, TypeAlias
from weakref import WeakSet

from linksocks.errors import ConfigError, ListenError
from linksocks.net.carrier import Carrier
from linksocks.net.greenlets import at_once
from linksocks.server.groups import Group
from linksocks.server.ports import PortPool
from linksocks.server.specs import TokenSpec
from linksocks.tunnel.channels.link import NOBODY, Acceptor, Link
from linksocks.tunnel.ends.callers import Callers
from linksocks.tunnel.ends.inbound import Inbound
from linksocks.tunnel.ends.outbound import Outbound
from linksocks.tunnel.ends.passage import Passage
from linksocks.tunnel.gate import Behind, Gate
from linksocks.wire import messages as m

APPLICATION_WAIT: Final = 10.0
"""Seconds that an application's connection waits for a provider (PROTOCOL section 3.1)."""

log = logging.getLogger("linksocks.server")

Manage: TypeAlias = Callable[[m.Connector], m.ConnectorResponse]
"""Answers a provider that adds or removes a connector token."""


def may_not_manage(message: m.Connector) -> m.ConnectorResponse:
    """The answer to all others."""
    return m.ConnectorResponse(message.channel, False, "this token may not manage connector tokens")


class MakeLink(Protocol):
    """Gives a client its link; what it logs is passed on in `group`, `manage` answers its Connector messages."""

    def __call__(
        self, acceptor: Acceptor, group: Group | None = None, manage: Manage = may_not_manage, /
    ) -> Link: ...


class Grant:
    """What a token lets a client do."""

    client: str
    """What its client is, in a word."""
    reverse = False
    """Whether it is a provider."""
    gate: Gate
    """With the token's access rules."""

    @property
    def port(self) -> int | None:
        """The one for applications, where there is one."""
        return None

    @property
    def waiting(self) -> int:
        """How many channels wait for a provider of this token now."""
        return 0

    def change(self, spec: TokenSpec) -> None:
        """Grants what `spec` says, to what begins from now on. Raises ListenError, and nothing has changed."""
        self.gate.own = spec.rules

    def prepare(self) -> None:
        """Before the client is told that it is in. Raises ListenError."""

    def admit(self, make: MakeLink, instance: bytes) -> AbstractContextManager[Link]:
        """The client's link; inside the context it takes part. `instance` names the client."""
        raise NotImplementedError

    def dial(self, _host: str, _port: int, _timeout: float | None) -> Carrier:
        """A connection through one of its providers.

        Raises DialError, and ConfigError for a token through which the server itself can't dial.
        """
        raise ConfigError(
            "expected a reverse token with a port: only through its providers can the server dial"
        )

    def drain(self, grace: float) -> None:
        """Opens nothing new, and waits `grace` seconds at most for the end of what there is, longer only for what is
        on its way already."""

    def stop(self) -> None:
        """Ends all that is only this grant's."""


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
        self._former: WeakSet[Inbound] = WeakSet()  # of ports that were changed; who came in there holds it
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
        self._former.add(self._inbound)
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

    def dial(self, host: str, port: int, timeout: float | None) -> Carrier:
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
