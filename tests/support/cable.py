"""A TCP relay in the test's hub: stands between client and server, and cuts one connection when it is told to."""

from __future__ import annotations

from typing import Self

import gevent
from gevent import socket
from gevent.server import StreamServer

from tests.support.tunnels import reset


class Wire:
    """One relayed connection, which carries `rate` bytes per second each way, or with 0 all that it can."""

    def __init__(self, near: socket.socket, far: socket.socket, rate: int) -> None:
        self.carried = 0
        """Bytes, both ways together."""
        self._ends = near, far
        self._rate = rate
        self._greenlets = [gevent.spawn(self._copy, near, far), gevent.spawn(self._copy, far, near)]

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

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(self._rate // 20 or 64 * 1024):
                sink.sendall(data)
                self.carried += len(data)
                if self._rate:
                    gevent.sleep(len(data) / self._rate)
        except OSError:
            pass


class Cable:
    """Relays connections to `far_port` of this machine; `wires` are those that there are, the oldest first.

    `rate` is that of each wire; one that is slow holds little besides.
    """

    def __init__(self, far_port: int = 0, rate: int = 0) -> None:
        self.far_port = far_port
        self._rate = rate
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
        far = socket.socket()
        if self._rate:
            for sock in (near, far):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
        far.connect(("127.0.0.1", self.far_port))
        wire = Wire(near, far, self._rate)
        self.wires.append(wire)
        try:
            wire.run()
        finally:
            self.wires.remove(wire)
