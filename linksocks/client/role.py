"""The client: a port for local applications, whose connections go through its links to a server.

With a forward token the server dials, with a connector token a provider does; the client need not know.
"""

from __future__ import annotations

import logging

from linksocks.client.keeper import Persistence
from linksocks.client.links import Links
from linksocks.client.partners import Partners
from linksocks.client.session import Session, Uplink
from linksocks.errors import ListenError
from linksocks.metrics import Pages
from linksocks.net.listen import bind
from linksocks.net.resolve import Resolver
from linksocks.net.sockets import shown
from linksocks.tunnel.access import NO_RULES, AccessRules
from linksocks.tunnel.gate import Gate
from linksocks.tunnel.inbound import Inbound
from linksocks.tunnel.link import Link
from linksocks.tunnel.tally import Figures

log = logging.getLogger("linksocks.client")


class ClientRole:
    """The port for applications at `socks_host:socks_port`, with a password where a name or password is given.

    What comes in there goes through `uplink`.

    The port opens with the first login, or with `socks_no_wait` at once. With `fast_open` an application may send
    before its target has answered. What `rules` do not allow is refused at the port.
    """

    def __init__(  # noqa: PLR0913 - the settings of a client
        self,
        uplink: Uplink,
        *,
        socks_host: str,
        socks_port: int,
        socks_username: str,
        socks_password: str,
        socks_no_wait: bool,
        fast_open: bool = False,
        rules: AccessRules = NO_RULES,
        metrics_address: tuple[str, int] | None = None,
    ) -> None:
        self.pages = Pages(self.figures, metrics_address)
        self._resolver = Resolver(prefer_ipv4=uplink.dns_prefer_ipv4)
        self._session = Session(uplink, self._resolver, reverse=False)
        self._partners = Partners("provider")
        persistence = Persistence(uplink.reconnect, uplink.retry_auth)
        self._links = Links(self._make, uplink.threads, persistence, self._up, self._down)
        self._socks_address = (socks_host, socks_port)
        self._socks_credentials = (socks_username, socks_password)
        self._socks_no_wait = socks_no_wait
        self._fast_open = fast_open
        self._gate = Gate(self._resolver, rules)
        self._inbound: Inbound | None = None  # until `start`
        self._socks_open = False

    @property
    def socks_port(self) -> int:
        """The port for applications, from `start` on."""
        return self._inbound.port if self._inbound else self._socks_address[1]

    @property
    def partners(self) -> int:
        """How many providers a connector has, by the server's last word."""
        return self._partners.count

    def start(self) -> None:
        """Takes the port for applications and begins to connect. Raises ListenError."""
        listener = bind(*self._socks_address)
        self._inbound = Inbound(
            listener, self._links.pick, *self._socks_credentials, fast_open=self._fast_open, gate=self._gate
        )
        if self._socks_no_wait:
            self._open_socks(self._inbound)
        self.pages.start()
        self._links.start()

    def figures(self) -> Figures:
        """What it has done so far."""
        return Figures(
            role="client",
            ready=bool(self._links.live),
            tallies={"server": self._session.account.tally},
            reconnects=self._links.reconnects,
        )

    def wait(self) -> None:
        """Until the client was stopped. Raises AuthError, LinkError, LinkClosed or ListenError when it gave up."""
        self._links.wait()

    def stop(self, grace: float) -> None:
        """Closes the port, gives connections `grace` seconds to end, then closes all links with 1001."""
        if self._inbound is not None:
            self._inbound.close()  # at once: another client may want the port
            self._links.stop(grace, self._inbound)
            self.pages.stop()
            self._resolver.close()

    def _make(self) -> Link:
        return self._session.link(handlers=self._partners.handlers)

    def _up(self, _link: Link) -> None:
        if self._inbound is not None and not self._socks_open:
            try:
                self._open_socks(self._inbound)
            except ListenError as error:
                self._links.fail(error)

    def _down(self, _link: Link) -> None:
        if not self._links.live:
            self._partners.forget()

    def _open_socks(self, inbound: Inbound) -> None:
        inbound.start()
        self._socks_open = True
        log.info("applications' port %s is open", shown((self._socks_address[0], inbound.port)))
