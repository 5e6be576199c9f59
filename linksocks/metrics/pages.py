"""The pages for who watches a role, as a WSGI application, and the port for them if they have one of their own.

========= ==========================================================================================
/metrics  Prometheus's text format
/healthz  200 while the process serves
/readyz   200 while the role can do its work, else 503: a server listens, a client has a link
========= ==========================================================================================

Whoever reaches the port of their own may read them all: it is for an address that strangers do not reach.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from linksocks.metrics.collector import RoleCollector
from linksocks.metrics.lag import Lag
from linksocks.net.listen import bind, listen
from linksocks.net.sockets import shown
from linksocks.net.ws.accept import Accepted, UpgradeServer
from linksocks.net.ws.lobby import Lobby
from linksocks.tunnel.channels.tally import Figures
from linksocks.wire.extensions import Extensions
from linksocks.wire.frames import CloseCode

_TEXT: Final = "text/plain; charset=utf-8"

_MOST: Final = 64
"""Connections at once: who watches has a few."""

Answer: TypeAlias = tuple[str, str, bytes]
"""Status, content type and body."""

Page: TypeAlias = Callable[[], Answer]

log = logging.getLogger(__name__)


class Pages:
    """Of the role that has these `figures`, from `start` to `stop`; at `address` where there is one."""

    def __init__(self, figures: Callable[[], Figures], address: tuple[str, int] | None = None) -> None:
        self._figures = figures
        self._address = address
        self._lag = Lag()
        self._registry = CollectorRegistry()
        self._registry.register(RoleCollector(figures, self._lag.histogram))
        ProcessCollector(registry=self._registry)
        self._http: UpgradeServer | None = None
        self.port = 0
        """The one of their own, once it is open."""

    def start(self) -> None:
        """Raises ListenError."""
        if self._address is not None:
            listener = bind(*self._address)
            listen(listener)
            self.port = listener.getsockname()[1]
            lobby = Lobby(_MOST)
            self._http = UpgradeServer(listener, self, _no_websockets, Extensions(), lobby=lobby)
            self._http.start()
            log.info("metrics are at http://%s/metrics", shown((self._address[0], self.port)))
        self._lag.start()

    def stop(self) -> None:
        self._lag.stop()
        if self._http is not None:
            self._http.stop(timeout=0)

    # -- the pages

    def metrics(self) -> Answer:
        return "200 OK", CONTENT_TYPE_PLAIN_0_0_4, generate_latest(self._registry)

    def health(self) -> Answer:
        return "200 OK", _TEXT, b"ok\n"

    def readiness(self) -> Answer:
        if self._figures().ready:
            return "200 OK", _TEXT, b"ready\n"
        return "503 Service Unavailable", _TEXT, b"not ready\n"

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """WSGI."""
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            status, kind, body = "405 Method Not Allowed", _TEXT, b"Method Not Allowed\n"
        else:
            page = _PAGES.get(environ["PATH_INFO"])
            status, kind, body = page(self) if page else ("404 Not Found", _TEXT, b"Not Found\n")
        start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body] if environ["REQUEST_METHOD"] != "HEAD" else []


_PAGES: Final[dict[str, Callable[[Pages], Answer]]] = {
    "/metrics": Pages.metrics,
    "/healthz": Pages.health,
    "/readyz": Pages.readiness,
}


def _no_websockets(accepted: Accepted) -> None:
    accepted.websocket.close(CloseCode.POLICY, "this port is for metrics")
