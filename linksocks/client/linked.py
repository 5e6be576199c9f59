"""What a client is in both of its roles: links to a server, which are kept, and what is known of their other end."""

from __future__ import annotations

from abc import ABC, abstractmethod

from linksocks.client.keeper import Persistence
from linksocks.client.links import Links
from linksocks.client.partners import Partners
from linksocks.client.session import Session, Uplink
from linksocks.metrics import Pages
from linksocks.net.out.resolve import Resolver
from linksocks.tunnel.channels.link import Link
from linksocks.tunnel.channels.tally import Figures
from linksocks.tunnel.events import Observers
from linksocks.wire.messages import ChannelId


class LinkedRole(ABC):
    """Linked through `uplink`, as the side that dials when `reverse`; `partner` is what one at the other side of the
    server is called. A role says what its links carry, and when it is ready: `_make`, `_up` and `_down`.
    """

    def __init__(
        self,
        uplink: Uplink,
        *,
        reverse: bool,
        recognised: bool,
        partner: str,
        metrics_address: tuple[str, int] | None,
    ) -> None:
        self.observers = Observers()
        """They hear of links and of partners."""
        self.pages = Pages(self.figures, metrics_address)
        self._resolver = Resolver(prefer_ipv4=uplink.dns_prefer_ipv4)
        self._session = Session(uplink, self._resolver, reverse=reverse, recognised=recognised)
        self._partners = Partners(partner, self.observers)
        persistence = Persistence(uplink.reconnect, uplink.retry_auth, uplink.reconnect_delay)
        self._links = Links(self._make, uplink.threads, persistence, self._up, self._down, self.observers)

    def wait_ready(self, timeout: float | None = None) -> None:
        """Until there is a link and all that goes with it: the port for applications, or the connector tokens.

        Raises what ended the role, ClosedError after `stop`, and after `timeout` seconds DeadlineError.
        """
        self._links.wait_ready(timeout)

    def wait(self) -> None:
        """Until it was stopped. Raises what ended it by itself: AuthError, LinkError, LinkClosed, for a port
        ListenError, for connector tokens ConnectorError."""
        self._links.wait()

    @property
    def connected(self) -> bool:
        """Whether there is a link now."""
        return bool(self._links.live)

    @property
    def partners(self) -> int:
        """How many there are, by the server's last word: providers for a connector, and the other way round."""
        return self._partners.count

    @property
    def rtt(self) -> float | None:
        """Seconds to the server and back, of the last ping that it answered; None while there is none."""
        return self._links.rtt

    @property
    def server_token(self) -> str:
        """The token that the server assigned; empty where it did not."""
        return self._session.server_token

    @property
    def protocol(self) -> int:
        """The version that the server speaks, 0x01 or 0x02; 0 before the first login."""
        return self._session.protocol

    def has_channel(self, channel: ChannelId) -> bool:
        """Whether one with this id is open."""
        return any(each.id == channel for link in self._links.live for each in link.each_channel())

    # -- of each role

    @abstractmethod
    def figures(self) -> Figures:
        """What it has done so far."""

    @abstractmethod
    def _make(self) -> Link:
        """Raises LinkError."""

    @abstractmethod
    def _up(self, link: Link) -> None:
        """`link` is about to be read: says that it is ready, at once or later. Neither waits nor raises."""

    @abstractmethod
    def _down(self, link: Link) -> None:
        """`link` has ended. Neither waits nor raises."""
