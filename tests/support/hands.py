"""One end of a link, played by hand: sends and expects single messages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

import gevent

from linksocks.errors import LinkClosed
from linksocks.net.ws.websocket import WebSocket
from linksocks.wire import messages as m
from linksocks.wire.codec import pack, parse
from linksocks.wire.frames import CloseCode

_M = TypeVar("_M", bound=m.Message)


class Hand:
    """Speaks and listens on `websocket`."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket

    def leave(self) -> None:
        """Closes in good order."""
        self._websocket.close(CloseCode.NORMAL)
        self._websocket.finish()

    def send(self, *messages: m.Message) -> None:
        for message in messages:
            self.send_raw(pack(message))

    def send_raw(self, message: bytes) -> None:
        self._websocket.send(message)

    def next(self) -> m.Message:
        """What the other end sends next."""
        message = parse(self.next_raw())
        return replace(message, payload=bytes(message.payload)) if isinstance(message, m.Data) else message

    def next_raw(self) -> bytes:
        """The same as bytes."""
        return bytes(self._websocket.receive())

    def expect(self, kind: type[_M]) -> _M:
        """The other end's next message, which must be one of this type."""
        message = self.next()
        assert isinstance(message, kind), f"expected {kind.__name__}, got {message!r}"
        return message

    def expect_data(self, channel: m.ChannelId, size: int) -> bytes:
        """The next `size` bytes of a channel; nothing else comes between them."""
        data = b""
        while len(data) < size:
            message = self.expect(m.Data)
            assert message.channel == channel
            data += message.payload
        assert len(data) == size
        return data

    def fence(self) -> list[m.Message]:
        """All that the other end sends before it answers a message that is sent now."""
        mark = b"\xff" * 16
        self.send(m.Connect(mark, resume=True))
        seen: list[m.Message] = []
        while not isinstance(message := self.next(), m.Disconnect) or message.channel != mark:
            seen.append(message)
        return seen

    def closed(self) -> LinkClosed:
        """How the link ended; waits for it."""
        error: Any = gevent.spawn(_until_closed, self._websocket).get()
        assert isinstance(error, LinkClosed)
        return error


def _until_closed(websocket: WebSocket) -> LinkClosed:
    try:
        while True:
            websocket.receive()
    except LinkClosed as error:
        return error
