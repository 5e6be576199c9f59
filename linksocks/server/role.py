"""The server: accepts links, and dials for the clients that hold a forward token."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Final

from gevent.event import Event

from linksocks.errors import AuthError, ConfigError, LinkClosed, LinkError
from linksocks.net.accept import Accepted, UpgradeServer
from linksocks.net.egress import Direct
from linksocks.net.listen import bind, listen
from linksocks.net.resolve import Resolver
from linksocks.net.sockets import shown
from linksocks.server.login import log_in
from linksocks.server.tokens import TokenTable
from linksocks.server.web import create_app
from linksocks.tunnel.link import Link
from linksocks.tunnel.outbound import Outbound
from linksocks.tunnel.terms import Terms, offered
from linksocks.wire.frames import CloseCode

_FAREWELL: Final = 5.0
"""Seconds for all links to end once they were told to."""

log = logging.getLogger("linksocks.server")


class ServerRole:
    """A server on `ws_host:ws_port` for clients with one of `tokens`. `buffer_size`: bytes held for one channel."""

    def __init__(self, *, ws_host: str, ws_port: int, tokens: Sequence[str], buffer_size: int) -> None:
        self._address = (ws_host, ws_port)
        self._max_window = buffer_size
        self._extensions = offered(buffer_size)
        self._tokens = TokenTable()
        for token in tokens:
            try:
                self._tokens.add_forward(token)
            except ValueError as error:
                raise ConfigError(str(error)) from error
        self._resolver = Resolver()
        self._outbound = Outbound(Direct(self._resolver))
        self._links: set[Link] = set()
        self._no_links = Event()
        self._no_links.set()
        self._http: UpgradeServer | None = None
        self._stopping = False
        self._stopped = Event()
        self.port = 0
        """The port that was opened, from `start` on."""

    def start(self) -> None:
        """Opens the port. Raises ListenError."""
        listener = bind(*self._address)
        listen(listener)
        self.port = listener.getsockname()[1]
        self._http = UpgradeServer(listener, create_app(), self._on_websocket, self._extensions)
        self._http.start()
        log.info("listening on %s", shown((self._address[0], self.port)))

    def wait(self) -> None:
        """Until the server was stopped."""
        self._stopped.wait()

    def stop(self, grace: float) -> None:
        """Opens nothing any more, gives channels `grace` seconds to end, then closes all links with 1001."""
        if self._http is None or self._stopping:
            return
        self._stopping = True
        self._http.close()
        deadline = time.monotonic() + grace
        log.info("stopping: %d channels have %g s to end", sum(link.channels for link in self._links), grace)
        self._outbound.drain(grace)
        for link in list(self._links):
            link.drained(max(0.0, deadline - time.monotonic()))
        for link in list(self._links):
            link.close(CloseCode.GOING_AWAY, "the server is stopping")
        self._no_links.wait(_FAREWELL)
        self._outbound.stop()
        self._http.stop(timeout=0)
        self._resolver.close()
        self._stopped.set()

    def _on_websocket(self, accepted: Accepted) -> None:
        """A WebSocket's whole life, in its own greenlet."""
        name = accepted.websocket.name
        try:
            version = log_in(accepted, self._tokens)
        except (AuthError, LinkError) as error:
            log.warning("%s: refused: %s", name, error)
            return
        except LinkClosed as error:
            log.info("%s: left before its login: %s", name, error)
            return
        terms = Terms(version, self._extensions.agreed(accepted.offered), self._max_window)
        link = Link(accepted.websocket, terms, self._outbound)
        self._links.add(link)
        self._no_links.clear()
        log.info("%s: client logged in", name)
        try:
            link.run()
        except LinkClosed as error:
            log.info("%s: client left: %s", name, error)
        finally:
            self._links.discard(link)
            if not self._links:
                self._no_links.set()
