"""The client: keeps links to a server, and serves SOCKS5 to local applications through them."""

from __future__ import annotations

import logging
import time
import uuid
from typing import Final

import gevent
from gevent.event import AsyncResult, Event

from linksocks.client.keeper import Keeper, Persistence
from linksocks.client.login import ANONYMOUS, log_in
from linksocks.client.url import LOGIN_PATH, server_url, with_login
from linksocks.errors import AuthError, Cause, DialError, LinkSocksError, ListenError
from linksocks.net.connect import connect
from linksocks.net.greenlets import Greenlet, spawn
from linksocks.net.listen import bind
from linksocks.net.resolve import Resolver
from linksocks.net.sockets import shown
from linksocks.net.tls import client_context
from linksocks.tunnel.inbound import Inbound
from linksocks.tunnel.link import Link
from linksocks.tunnel.terms import Terms, offered
from linksocks.version import __version__
from linksocks.wire.auth import token_hash
from linksocks.wire.extensions import HEADER, parse_extensions
from linksocks.wire.frames import CloseCode
from linksocks.wire.messages import Auth

LINK_WAIT: Final = 10.0
"""Seconds that an application's connection waits for a link before it is refused."""

_FAREWELL: Final = 5.0
"""Seconds for all links to end once they were told to."""

log = logging.getLogger("linksocks.client")


class ClientRole:
    """SOCKS5 on `socks_host:socks_port`, with a password where a name or password is given, through `url`.

    The port opens with the first login, or with `socks_no_wait` at once. There are `threads` links; a lost one is
    made anew when `reconnect`, a refused token is tried again when `retry_auth`. `buffer_size`: bytes held for one
    channel. `ca_file`: PEM authorities to trust instead of the system's.
    """

    def __init__(  # noqa: PLR0913 - the settings of a client
        self,
        *,
        url: str,
        token: str,
        socks_host: str,
        socks_port: int,
        socks_username: str,
        socks_password: str,
        socks_no_wait: bool,
        reconnect: bool,
        retry_auth: bool,
        buffer_size: int,
        threads: int = 1,
        ca_file: str = "",
    ) -> None:
        self._url = server_url(url)
        self._context = client_context(ca_file)
        self._auth = Auth(token or ANONYMOUS, reverse=False, instance=uuid.uuid4().bytes)
        self._max_window = buffer_size
        self._extensions = offered(buffer_size)
        self._resolver = Resolver()
        self._socks_address = (socks_host, socks_port)
        self._socks_credentials = (socks_username, socks_password)
        self._socks_no_wait = socks_no_wait
        self._inbound: Inbound | None = None
        self._socks_open = False
        self._links: set[Link] = set()
        self._linked = Event()  # there is a link
        self._stopping = False
        self._outcome: AsyncResult[None] = AsyncResult()
        persistence = Persistence(reconnect, retry_auth)
        self._keepers = [Keeper(self._make, self._up, self._down, persistence) for _ in range(threads)]
        self._greenlets: list[Greenlet] = []  # one for each keeper that has not given up

    @property
    def socks_port(self) -> int:
        """The port of the SOCKS server, from `start` on."""
        return self._inbound.port if self._inbound else self._socks_address[1]

    def start(self) -> None:
        """Takes the SOCKS port and begins to connect. Raises ListenError."""
        self._inbound = Inbound(bind(*self._socks_address), self._pick_link, *self._socks_credentials)
        if self._socks_no_wait:
            self._open_socks()
        for keeper in self._keepers:
            greenlet = spawn("keeper of a link", self._keep, keeper)
            greenlet.link_exception(self._on_bug)
            self._greenlets.append(greenlet)

    def wait(self) -> None:
        """Until the client was stopped. Raises AuthError, LinkError or LinkClosed when it gave up by itself."""
        self._outcome.get()

    def stop(self, grace: float) -> None:
        """Closes the SOCKS port, gives connections `grace` seconds to end, then closes all links with 1001."""
        if self._inbound is None or self._stopping:
            return
        self._stopping = True
        for keeper in self._keepers:
            keeper.stop()
        deadline = time.monotonic() + grace
        links = list(self._links)
        log.info("stopping: %d channels have %g s to end", sum(link.channels for link in links), grace)
        self._inbound.drain(grace)
        for link in links:
            link.drained(max(0.0, deadline - time.monotonic()))
            link.close(CloseCode.GOING_AWAY, "the client is stopping")
        if links:
            gevent.joinall(self._greenlets, timeout=_FAREWELL)
        gevent.killall(self._greenlets)
        self._inbound.stop()
        self._resolver.close()
        self._outcome.set(None)

    # -- links: each keeper's greenlet

    def _keep(self, keeper: Keeper) -> None:
        """Keeps a link. The client ends with its last one, or when the token or the SOCKS port is refused."""
        try:
            keeper.run()
        except LinkSocksError as error:
            self._keepers.remove(keeper)
            if isinstance(error, AuthError | ListenError) or not self._keepers:
                self._outcome.set_exception(error)
            else:
                log.warning("%s; going on with %d links", error, len(self._keepers))

    def _on_bug(self, greenlet: Greenlet) -> None:
        """A keeper died of an error that is none of ours: better to end than to stay without a link."""
        self._outcome.set_exception(greenlet.exception or SystemError("a keeper died"))

    def _make(self) -> Link:
        """Connects, logs in, and opens the SOCKS port if this is the first time. Raises LinkError, ListenError."""
        digest = token_hash(self._auth.token)
        url = with_login(self._url, digest, str(uuid.UUID(bytes=self._auth.instance)), reverse=False)
        headers = {"User-Agent": f"linksocks/{__version__}", HEADER: self._extensions.header()}
        upgraded = connect(url, headers, self._resolver, self._context, "server")
        try:
            version = log_in(upgraded.websocket, self._auth, by_url=self._url.path == LOGIN_PATH)
            log.info("logged in at %s", self._url.geturl())
            self._open_socks()
        except BaseException:
            upgraded.websocket.finish()
            raise
        agreed = self._extensions.agreed(parse_extensions(upgraded.headers.get(HEADER.lower(), "")))
        log.debug("the server speaks 0x%02x; agreed: %s", version, agreed.header() or "no extensions")
        return Link(upgraded.websocket, Terms(version, agreed, self._max_window))

    def _up(self, link: Link) -> None:
        self._links.add(link)
        self._linked.set()

    def _down(self, link: Link) -> None:
        self._links.discard(link)
        if not self._links:
            self._linked.clear()

    # -- the SOCKS port

    def _open_socks(self) -> None:
        if self._inbound is not None and not self._socks_open:
            self._inbound.start()
            self._socks_open = True
            log.info("SOCKS5 on %s", shown((self._socks_address[0], self._inbound.port)))

    def _pick_link(self) -> Link:
        """The link with the fewest channels: a channel stays on its link, so its bytes stay in order."""
        if not self._links:
            for keeper in self._keepers:
                keeper.hurry()
        if not self._linked.wait(LINK_WAIT):
            raise DialError(Cause.NETWORK_UNREACHABLE, f"no link to the server for {LINK_WAIT:g} s")
        # One that waits for the peer to close has no channels, and would be chosen before all that live.
        alive = [link for link in self._links if link.alive]
        if not alive:
            raise DialError(Cause.NETWORK_UNREACHABLE, "the link to the server was lost")
        return min(alive, key=lambda link: link.channels)
