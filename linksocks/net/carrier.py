"""A connection on its way from a tunnel to the program that asked for it."""

from __future__ import annotations

from _socket import socket as PlainSocket  # noqa: N812 - a class

from gevent import socket


class Carrier(PlainSocket):
    """Blocking, of no hub, and closed when nobody holds it: a caller that was interrupted has nothing to do.

    `socket.socket(fileno=carrier)` takes the connection out, in one step. `detach` would take two, and between them
    a signal handler may raise: then the number is lost.
    """

    def __init__(self, sock: socket.socket) -> None:
        """It has what `sock` had."""
        super().__init__(fileno=sock.detach())
        self.setblocking(True)

    __index__ = PlainSocket.detach
    __del__ = PlainSocket.close
