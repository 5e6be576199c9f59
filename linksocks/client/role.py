"""The client: keeps a link to a server, and serves SOCKS5 to local applications through it."""

from __future__ import annotations

import logging
import time
import uuid
from typing import Final

from gevent.event import AsyncResult, Event

from linksocks.client.backoff import Backoff
from linksocks.client.login import ANONYMOUS, log_in
from linksocks.client.url import LOGIN_PATH, server_url, with_login
from linksocks.errors import AuthError, Cause, DialError, LinkClosed, LinkError, LinkSocksError
from linksocks.net.connect import connect
from linksocks.net.greenlets import Greenlet, spawn
from linksocks.net.listen import bind
from linksocks.net.resolve import Resolver
from linksocks.net.sockets import shown
from linksocks.net.tls import client_context
from linksocks.tunnel.channel import Terms, first_window
from linksocks.tunnel.inbound import Inbound
from linksocks.tunnel.link import Link
from linksocks.version import __version__
from linksocks.wire.auth import token_hash
from linksocks.wire.extensions import HEADER, Extensions, parse_extensions
from linksocks.wire.frames import CloseCode
from linksocks.wire.messages import Auth

LINK_WAIT: Final = 10.0
"""Seconds that an application's connection waits for a link before it is refused."""

_STEADY: Final = 10.0
"""Seconds after which a link counts as good: a server that takes us and drops us at once is not asked each second."""

_FAREWELL: Final = 5.0
"""Seconds for the link to end once it was told to."""

log = logging.getLogger("linksocks.client")


class ClientRole:
    """SOCKS5 on `socks_host:socks_port`, with a password where a name or password is given, through `url`.

    The port opens with the first login, or with `socks_no_wait` at once. A lost link is made anew when `reconnect`,
    a refused token is tried again when `retry_auth`. `buffer_size`: bytes held for one channel. `ca_file`: PEM
    authorities to trust instead of the system's.
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
        ca_file: str = "",
    ) -> None:
        self._url = server_url(url)
        self._context = client_context(ca_file)
        self._auth = Auth(token or ANONYMOUS, reverse=False, instance=uuid.uuid4().bytes)
        self._reconnect = reconnect
        self._retry_auth = retry_auth
        self._max_window = buffer_size
        self._extensions = Extensions(window=first_window(buffer_size), half_close=True, cause=True)
        self._resolver = Resolver()
        self._socks_address = (socks_host, socks_port)
        self._socks_credentials = (socks_username, socks_password)
        self._socks_no_wait = socks_no_wait
        self._inbound: Inbound | None = None
        self._socks_open = False
        self._link: Link | None = None
        self._linked = Event()  # _link is set
        self._stopping = Event()
        self._outcome: AsyncResult[None] = AsyncResult()
        self._supervisor: Greenlet | None = None

    @property
    def socks_port(self) -> int:
        """The port of the SOCKS server, from `start` on."""
        return self._inbound.port if self._inbound else self._socks_address[1]

    def start(self) -> None:
        """Takes the SOCKS port and begins to connect. Raises ListenError."""
        self._inbound = Inbound(bind(*self._socks_address), self._pick_link, *self._socks_credentials)
        if self._socks_no_wait:
            self._open_socks(self._inbound)
        self._supervisor = spawn("client supervisor", self._supervise, self._inbound)

    def wait(self) -> None:
        """Until the client was stopped. Raises AuthError or LinkError when it ended for good by itself."""
        self._outcome.get()

    def stop(self, grace: float) -> None:
        """Closes the SOCKS port, gives connections `grace` seconds to end, then closes the link with 1001."""
        if self._inbound is None or self._supervisor is None or self._stopping.is_set():
            return
        self._stopping.set()
        deadline = time.monotonic() + grace
        link = self._link
        log.info("stopping: %d channels have %g s to end", link.channels if link else 0, grace)
        self._inbound.drain(grace)
        if link is not None:
            link.drained(max(0.0, deadline - time.monotonic()))
            link.close(CloseCode.GOING_AWAY, "the client is stopping")
            self._supervisor.join(_FAREWELL)
        self._supervisor.kill()
        self._inbound.stop()
        self._resolver.close()
        self._outcome.set(None)

    def _supervise(self, inbound: Inbound) -> None:
        """Makes link after link. Its last error is the outcome."""
        backoff = Backoff()
        while not self._stopping.is_set():
            try:
                self._hold_link(inbound, backoff)
            except (LinkError, LinkClosed) as error:
                if self._stopping.is_set():
                    return
                if not self._worth_retrying(error):
                    self._outcome.set_exception(error)
                    return
                pause = backoff.next()
                log.warning("%s; trying again in %.1f s", error, pause)
                self._stopping.wait(pause)
            except LinkSocksError as error:
                self._outcome.set_exception(error)
                return

    def _worth_retrying(self, error: LinkSocksError) -> bool:
        return self._retry_auth if isinstance(error, AuthError) else self._reconnect

    def _hold_link(self, inbound: Inbound, backoff: Backoff) -> None:
        """One link, from the dial to its end. Raises LinkError or LinkClosed, always one of them."""
        link = self._make_link(inbound)
        self._link = link
        self._linked.set()
        since = time.monotonic()
        try:
            link.run()
        finally:
            self._linked.clear()
            self._link = None
            if time.monotonic() - since >= _STEADY:
                backoff.reset()

    def _make_link(self, inbound: Inbound) -> Link:
        """Connects, logs in, and opens the SOCKS port if this is the first time."""
        digest = token_hash(self._auth.token)
        url = with_login(self._url, digest, str(uuid.UUID(bytes=self._auth.instance)), reverse=False)
        headers = {"User-Agent": f"linksocks/{__version__}", HEADER: self._extensions.header()}
        upgraded = connect(url, headers, self._resolver, self._context, "server")
        try:
            version = log_in(upgraded.websocket, self._auth, by_url=self._url.path == LOGIN_PATH)
            log.info("logged in at %s", self._url.geturl())
            self._open_socks(inbound)
        except BaseException:
            upgraded.websocket.finish()
            raise
        agreed = self._extensions.agreed(parse_extensions(upgraded.headers.get(HEADER.lower(), "")))
        log.debug("the server speaks 0x%02x; agreed: %s", version, agreed.header() or "no extensions")
        return Link(upgraded.websocket, Terms(version, agreed, self._max_window))

    def _open_socks(self, inbound: Inbound) -> None:
        if not self._socks_open:
            inbound.start()
            self._socks_open = True
            log.info("SOCKS5 on %s", shown((self._socks_address[0], inbound.port)))

    def _pick_link(self) -> Link:
        if not self._linked.wait(LINK_WAIT) or self._link is None:
            raise DialError(Cause.NETWORK_UNREACHABLE, f"no link to the server for {LINK_WAIT:g} s")
        return self._link
