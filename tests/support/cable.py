"""A TCP relay in the test's hub: stands between client and server, and cuts one connection when it is told to."""

from __future__ import annotations

from typing import Self

import gevent
from gevent import socket
from gevent.server import StreamServer

from tests.support.tunnels import reset


class Wire:
    """One relayed connection."""

    def __init__(self, near: socket.socket, far: socket.socket) -> None:
        self._ends = near, far
        self._greenlets = [gevent.spawn(_copy, near, far), gevent.spawn(_copy, far, near)]

    def run(self) -> None:
        """Until one side has ended."""
        gevent.joinall(self._greenlets, count=1)
        self.cut()

    def cut(self) -> None:
        """Both sides see a reset."""
        gevent.killall(self._greenlets)
        for sock in self._ends:
            if sock.fileno() >= 0:
                reset(sock)


class Cable:
    """Relays connections to `far_port` of this machine; `wires` are those that there are, the oldest first."""

    def __init__(self, far_port: int = 0) -> None:
        self.far_port = far_port
        self.wires: list[Wire] = []
        self._server = StreamServer(("127.0.0.1", 0), self._serve)
        self.port = 0

    def __enter__(self) -> Self:
        self._server.start()
        self.port = self._server.server_port or 0
        return self

    def __exit__(self, *exc: object) -> None:
        for wire in list(self.wires):
            wire.cut()
        self._server.stop(timeout=1)

    def _serve(self, near: socket.socket, _address: object) -> None:
        wire = Wire(near, socket.create_connection(("127.0.0.1", self.far_port)))
        self.wires.append(wire)
        try:
            wire.run()
        finally:
            self.wires.remove(wire)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(64 * 1024):
            sink.sendall(data)
    except OSError:
        pass
