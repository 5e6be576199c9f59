"""The client: a port for local applications, whose connections go through its links to a server.

With a forward token the server dials, with a connector token a provider does; the client need not know.
"""

from __future__ import annotations

import logging

from linksocks.client.linked import LinkedRole
from linksocks.client.session import Uplink
from linksocks.errors import ListenError
from linksocks.net.carrier import Carrier
from linksocks.net.listen import bind
from linksocks.net.sockets import shown
from linksocks.tunnel.access import NO_RULES, AccessRules
from linksocks.tunnel.channels.link import Link
from linksocks.tunnel.channels.tally import Figures
from linksocks.tunnel.ends.callers import Callers
from linksocks.tunnel.ends.inbound import Inbound
from linksocks.tunnel.ends.outbound import CONNECT_TIMEOUT
from linksocks.tunnel.ends.passage import Passage
from linksocks.tunnel.gate import Gate

log = logging.getLogger("linksocks.client")


class ClientRole(LinkedRole):
    """The port for applications at `socks_host:socks_port`, with a password where a name or password is given.

    What comes in there goes through `uplink`, and so do the program's own connections, which need no port: None for
    `socks_port` is none.

    The port opens with the first login, or with `socks_no_wait` at once. With `fast_open` an application may send
    before its target has answered; the other end's dial may take `connect_timeout` seconds. What `rules` do not allow
    is refused here.
    """

    def __init__(  # noqa: PLR0913 - the settings of a client
        self,
        uplink: Uplink,
        *,
        socks_host: str,
        socks_port: int | None,
        socks_username: str,
        socks_password: str,
        socks_no_wait: bool,
        fast_open: bool = False,
        connect_timeout: float = CONNECT_TIMEOUT,
        rules: AccessRules = NO_RULES,
        metrics_address: tuple[str, int] | None = None,
    ) -> None:
        super().__init__(
            uplink, reverse=False, recognised=False, partner="provider", metrics_address=metrics_address
        )
        self._passage = Passage(self._links.pick, Gate(self._resolver, rules), connect_timeout)
        self._callers = Callers(self._passage)
        self._socks_host, self._socks_port = socks_host, socks_port
        self._socks_credentials = (socks_username, socks_password)
        self._socks_no_wait = socks_no_wait
        self._fast_open = fast_open
        self._inbound: Inbound | None = None  # until `start`
        self._socks_open = False

    @property
    def socks_port(self) -> int:
        """The port for applications, from `start` on the one that the kernel chose for 0; 0 where there is none."""
        if self._inbound is not None:
            return self._inbound.port
        return self._socks_port or 0

    def start(self) -> None:
        """Takes the port for applications and begins to connect. Raises ListenError."""
        if self._socks_port is not None:
            listener = bind(self._socks_host, self._socks_port)
            self._inbound = Inbound(
                listener, self._passage, *self._socks_credentials, fast_open=self._fast_open
            )
            if self._socks_no_wait:
                self._open_socks(self._inbound)
        self.pages.start()
        self._links.start()

    def dial(self, host: str, port: int, timeout: float | None = None) -> Carrier:
        """A connection of the program's own. See Callers. Raises DialError."""
        return self._callers.dial(host, port, timeout)

    def figures(self) -> Figures:
        """What it has done so far."""
        return Figures(
            role="client",
            ready=self.connected,
            tallies={"server": self._session.account.tally},
            reconnects=self._links.reconnects,
        )

    def stop(self, grace: float) -> None:
        """Closes the port, gives connections `grace` seconds to end, then closes all links with 1001.

        Those whose application has closed already get DELIVERY for what it said last.
        """
        if self._inbound is not None:
            self._inbound.close()  # at once: another client may want the port
        self._links.stop(grace, self._passage)
        if self._inbound is not None:
            self._inbound.stop()
        self.pages.stop()
        self._resolver.close()

    def _make(self) -> Link:
        return self._session.link(handlers=self._partners.handlers)

    def _up(self, link: Link) -> None:
        if self._inbound is not None and not self._socks_open:
            try:
                self._open_socks(self._inbound)
            except ListenError as error:
                self._links.fail(error)
                return
        self._links.ready(link)

    def _down(self, _link: Link) -> None:
        if not self._links.live:
            self._partners.forget()

    def _open_socks(self, inbound: Inbound) -> None:
        inbound.start()
        self._socks_open = True
        log.info("applications' port %s is open", shown((self._socks_host, inbound.port)))
