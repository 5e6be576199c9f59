"""An upgrade server whose WebSockets send back what they get, in the test's own hub."""

from __future__ import annotations

from linksocks.errors import FrameError, LinkClosed
from linksocks.net.listen import bind, listen
from linksocks.net.tls.certificate import Certificate
from linksocks.net.ws.accept import Accepted, UpgradeServer
from linksocks.server.web import create_app
from linksocks.wire.extensions import Extensions


class Echo:
    """A started server; what it `accepted` is kept."""

    def __init__(self, certificate: Certificate | None = None) -> None:
        self.accepted: list[Accepted] = []
        listener = bind("127.0.0.1", 0)
        listen(listener)
        self.port: int = listener.getsockname()[1]
        self.http = UpgradeServer(
            listener, create_app(), self._serve, Extensions(1000, half_close=True), certificate
        )
        self.http.start()

    def stop(self) -> None:
        self.http.stop(timeout=1)

    def _serve(self, accepted: Accepted) -> None:
        self.accepted.append(accepted)
        try:
            while True:
                accepted.websocket.send(bytes(accepted.websocket.receive()))
        except (LinkClosed, FrameError):
            pass
