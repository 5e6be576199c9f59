"""The provider: dials for the channels that the server opens on its links, and has no port of its own."""

from __future__ import annotations

from collections.abc import Sequence

from linksocks.client.connectors import Connectors
from linksocks.client.linked import LinkedRole
from linksocks.client.session import Uplink
from linksocks.errors import ConnectorError
from linksocks.net.greenlets import spawn
from linksocks.net.out.proxies import ProxyUrl
from linksocks.net.out.upstream import egress
from linksocks.tunnel.access import NO_RULES, AccessRules
from linksocks.tunnel.channels.link import Link
from linksocks.tunnel.channels.tally import Figures
from linksocks.tunnel.ends.outbound import CONNECT_TIMEOUT, Outbound


class ProviderRole(LinkedRole):
    """Lends this machine's network through `uplink`, also to connectors with one of `connector_tokens`.

    With `recognised` it may add others later: see Session. Targets are reached through `upstream`, where there is
    one, and only those that `rules` allow; each in `connect_timeout` seconds at most.
    """

    def __init__(
        self,
        uplink: Uplink,
        *,
        connector_tokens: Sequence[str] = (),
        recognised: bool = False,
        upstream: ProxyUrl | None = None,
        connect_timeout: float = CONNECT_TIMEOUT,
        rules: AccessRules = NO_RULES,
        metrics_address: tuple[str, int] | None = None,
    ) -> None:
        super().__init__(
            uplink,
            reverse=True,
            recognised=recognised or bool(connector_tokens),
            partner="connector",
            metrics_address=metrics_address,
        )
        self._outbound = Outbound(egress(upstream, self._resolver), rules, connect_timeout)
        self.connectors = Connectors(connector_tokens, self._links.pick)

    def start(self) -> None:
        """Begins to connect."""
        self.pages.start()
        self._links.start()

    def figures(self) -> Figures:
        """What it has done so far."""
        return Figures(
            role="provider",
            ready=self.connected,
            tallies={"server": self._session.account.tally},
            dials=self._outbound.dials,
            reconnects=self._links.reconnects,
        )

    def stop(self, grace: float) -> None:
        """Dials no more, gives connections `grace` seconds to end, then closes all links with 1001.

        Those of which one side has ended already get DELIVERY for what it said last.
        """
        self._links.stop(grace, self._outbound, self._take_back_tokens)
        self.pages.stop()
        self._resolver.close()

    def _make(self) -> Link:
        handlers = {**self._partners.handlers, **self.connectors.handlers}
        return self._session.link(self._outbound, handlers)

    def _up(self, link: Link) -> None:
        spawn("connector tokens", self._say_tokens, link)

    def _say_tokens(self, link: Link) -> None:
        try:
            self.connectors.replay(link)
        except ConnectorError as error:
            self._links.fail(error)
        else:
            self._links.ready(link)

    def _take_back_tokens(self) -> None:
        for link in self._links.live:
            if link.alive:
                self.connectors.withdraw(link)
                return

    def _down(self, link: Link) -> None:
        self.connectors.lost(link)
        if not self._links.live:
            self._partners.forget()
