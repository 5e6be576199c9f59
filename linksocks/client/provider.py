"""The provider: dials for the channels that the server opens on its links, and has no port of its own."""

from __future__ import annotations

from collections.abc import Sequence

from linksocks.client.connectors import Connectors
from linksocks.client.keeper import Persistence
from linksocks.client.links import Links
from linksocks.client.partners import Partners
from linksocks.client.session import Session, Uplink
from linksocks.errors import ConnectorError
from linksocks.metrics import Pages
from linksocks.net.greenlets import spawn
from linksocks.net.proxies import ProxyUrl
from linksocks.net.resolve import Resolver
from linksocks.net.upstream import egress
from linksocks.tunnel.access import NO_RULES, AccessRules
from linksocks.tunnel.link import Link
from linksocks.tunnel.outbound import Outbound
from linksocks.tunnel.tally import Figures


class ProviderRole:
    """Lends this machine's network through `uplink`, also to connectors with one of `connector_tokens`.

    Targets are reached through `upstream`, where there is one, and only those that `rules` allow.
    """

    def __init__(
        self,
        uplink: Uplink,
        *,
        connector_tokens: Sequence[str] = (),
        upstream: ProxyUrl | None = None,
        rules: AccessRules = NO_RULES,
        metrics_address: tuple[str, int] | None = None,
    ) -> None:
        self.pages = Pages(self.figures, metrics_address)
        self._resolver = Resolver(prefer_ipv4=uplink.dns_prefer_ipv4)
        self._session = Session(uplink, self._resolver, reverse=True, recognised=bool(connector_tokens))
        self._outbound = Outbound(egress(upstream, self._resolver), rules)
        self._partners = Partners("connector")
        persistence = Persistence(uplink.reconnect, uplink.retry_auth)
        self._links = Links(self._make, uplink.threads, persistence, self._up, self._down)
        self.connectors = Connectors(connector_tokens, self._links.pick)

    @property
    def partners(self) -> int:
        """How many connectors there are, by the server's last word."""
        return self._partners.count

    def start(self) -> None:
        """Begins to connect."""
        self.pages.start()
        self._links.start()

    def figures(self) -> Figures:
        """What it has done so far."""
        return Figures(
            role="provider",
            ready=bool(self._links.live),
            tallies={"server": self._session.account.tally},
            dials=self._outbound.dials,
            reconnects=self._links.reconnects,
        )

    def wait(self) -> None:
        """Until it was stopped. Raises AuthError, LinkError, LinkClosed or ConnectorError when it gave up."""
        self._links.wait()

    def stop(self, grace: float) -> None:
        """Dials no more, gives connections `grace` seconds to end, then closes all links with 1001."""
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

    def _take_back_tokens(self) -> None:
        for link in self._links.live:
            if link.alive:
                self.connectors.withdraw(link)
                return

    def _down(self, link: Link) -> None:
        self.connectors.lost(link)
        if not self._links.live:
            self._partners.forget()
