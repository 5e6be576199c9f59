"""A server played by hand: the test takes each client's WebSocket as it comes, and answers its login."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

from gevent.event import Event
from gevent.queue import Queue

from linksocks.net.listen import bind, listen
from linksocks.net.ws.accept import Accepted, UpgradeServer
from linksocks.wire import messages as m
from tests.support.hands import Hand
from tests.support.tunnels import FOREIGN, PATIENCE

YES = m.AuthResponse(True)


class Visitor(Hand):
    """A client that has connected; it waits for an answer to its login. `query` is that of its URL."""

    def __init__(self, accepted: Accepted) -> None:
        super().__init__(accepted.websocket)
        self.query = accepted.query
        self.gone = Event()

    def leave(self) -> None:
        """Closes in good order."""
        super().leave()
        self.gone.set()


class PlayedServer:
    """Listens on loopback and knows no extension."""

    def __init__(self) -> None:
        listener = bind("127.0.0.1", 0)
        listen(listener)
        self.port: int = listener.getsockname()[1]
        self._http = UpgradeServer(listener, _no_pages, self._on_websocket, FOREIGN)
        self._waiting: Queue[Visitor] = Queue()
        self._visitors: list[Visitor] = []

    def __enter__(self) -> Self:
        self._http.start()
        return self

    def __exit__(self, *exc: object) -> None:
        for visitor in self._visitors:
            visitor.gone.set()
        self._http.stop(timeout=0)

    @property
    def waiting(self) -> int:
        """How many clients the test has not taken yet."""
        return self._waiting.qsize()

    def next(self) -> Visitor:
        """The next client, its login not answered."""
        return self._waiting.get(timeout=PATIENCE)

    def admit(self, answer: m.AuthResponse = YES) -> Visitor:
        """The next client, its login answered."""
        visitor = self.next()
        visitor.send(answer)
        return visitor

    def _on_websocket(self, accepted: Accepted) -> None:
        visitor = Visitor(accepted)
        self._visitors.append(visitor)
        self._waiting.put(visitor)
        visitor.gone.wait()


def _no_pages(_environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("404 Not Found", [])
    return []
