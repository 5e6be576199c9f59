"""From a token as it was declared to what it grants: puts grants together of what the server has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from linksocks.errors import ConfigError
from linksocks.net.out.resolve import Resolver
from linksocks.server.autonomy import Autonomy
from linksocks.server.grants import Connector, Forward, Grant, Reverse
from linksocks.server.groups import Group
from linksocks.server.ports import PortPool
from linksocks.server.specs import Kind, TokenSpec
from linksocks.server.tokens import TokenTable
from linksocks.tunnel.ends.outbound import Outbound
from linksocks.tunnel.gate import Gate


@dataclass(frozen=True, kw_only=True)
class Grantor:
    """What all grants of a server share."""

    tokens: TokenTable
    resolver: Resolver
    outbound: Outbound
    """Dials for forward clients."""
    entry: Gate
    """For the ports and the connectors of tokens without rules."""
    ports: PortPool
    fast_open: bool
    connector_wait: float
    connect_timeout: float

    def grant(self, spec: TokenSpec) -> tuple[Grant, Grant | None]:
        """What the token grants, and the parent with which it goes. Raises ConfigError, ListenError for its port."""
        return _BY_KIND[spec.kind](self, spec)

    def _forward(self, spec: TokenSpec) -> tuple[Grant, None]:
        return Forward(self.outbound, Gate(self.resolver, spec.rules)), None

    def _reverse(self, spec: TokenSpec) -> tuple[Grant, None]:
        grant = Reverse(
            spec,
            self._group(),
            self.ports,
            self._gate(spec),
            fast_open=self.fast_open,
            connect_timeout=self.connect_timeout,
        )
        return grant, None

    def _autonomy(self, spec: TokenSpec) -> tuple[Grant, None]:
        return Autonomy(self.tokens, self._group, self._gate(spec)), None

    def _connector(self, spec: TokenSpec) -> tuple[Grant, Grant]:
        owner = self.tokens.get(spec.reverse_fingerprint)
        if owner is None or not owner.grant.reverse:
            raise ConfigError("reverse token does not exist")
        if not isinstance(owner.grant, Reverse):
            raise ConfigError("the providers of this reverse token manage their connectors themselves")
        return Connector(owner.grant.group, self._gate(spec)), owner.grant

    def _group(self) -> Group:
        return Group(self.connector_wait, self.connect_timeout)

    def _gate(self, spec: TokenSpec) -> Gate:
        return Gate(self.resolver, spec.rules, self.entry)


_BY_KIND: Final[dict[Kind, Callable[[Grantor, TokenSpec], tuple[Grant, Grant | None]]]] = {
    Kind.FORWARD: Grantor._forward,
    Kind.REVERSE: Grantor._reverse,
    Kind.AUTONOMY: Grantor._autonomy,
    Kind.CONNECTOR: Grantor._connector,
}
