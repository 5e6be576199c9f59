"""The targets that are dialled through the contenders: `python -m bench.origin KIND`.

It says its port on stdout as a JSON object and stays until it is killed. Each kind is a process of its own, so that
answers do not wait for bulk streams here:

bulk
    A connection's first byte is its purpose: ``D`` sends the pattern until the other side has had enough, ``U``
    reads the pattern and checks it, ``?`` answers each further byte with a line: what was read in good order by all
    ``U`` together and when, or what was wrong. Only the receiver can say what arrived, so upward streams are
    metered by a ``?`` connection beside the contender. A blocking thread for each connection: their system calls,
    of a chunk each, run without the GIL.

requests
    A request has 64 bytes, the first eight say how many bytes of the pattern are wanted as an answer. One epoll
    loop for all connections.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from select import EPOLLIN
from typing import Final

from bench.crowd import Crowd, Talk, receive_into, send
from bench.pattern import CHUNK, PATTERN, PERIOD, matches

REQUEST: Final = 64
"""Bytes of a request."""

_BACKLOG: Final = 4096


def request(size: int) -> bytes:
    """A request for `size` bytes of the pattern."""
    return struct.pack(f">Q{REQUEST - 8}x", size)


class _Meter:
    """What arrived on all upward streams together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bytes = 0
        self._error: str | None = None

    def add(self, size: int) -> None:
        with self._lock:
            self._bytes += size

    def fail(self, error: str) -> None:
        self._error = self._error or error

    def read(self) -> bytes:
        with self._lock:
            state = {"time": time.monotonic(), "bytes": self._bytes, "error": self._error}
        return json.dumps(state).encode() + b"\n"


def bulk(listener: socket.socket) -> None:
    meter = _Meter()
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=_serve_bulk, args=(sock, meter), daemon=True).start()


def _serve_bulk(sock: socket.socket, meter: _Meter) -> None:
    with sock, contextlib.suppress(OSError):  # the other side ends when it likes
        match sock.recv(1):
            case b"D":
                while True:
                    sock.sendall(PATTERN[:PERIOD])
            case b"U":
                _check(sock, meter)
            case b"?":
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while sock.recv(1):
                    sock.sendall(meter.read())


def _check(sock: socket.socket, meter: _Meter) -> None:
    """After wrong bytes it goes on reading: the load is to hear of them from the meter, not of a reset."""
    buffer, offset = memoryview(bytearray(CHUNK)), 0
    while got := sock.recv_into(buffer):
        if matches(buffer[:got], offset):
            meter.add(got)
        else:
            meter.fail(f"upward stream: wrong bytes between {offset} and {offset + got}")
        offset += got


def requests(listener: socket.socket) -> None:
    crowd = Crowd()
    listener.setblocking(False)
    crowd.start(listener, _accept(crowd, listener))
    while True:
        crowd.poll(timeout=-1)


def _accept(crowd: Crowd, listener: socket.socket) -> Talk:
    while True:
        yield EPOLLIN
        with contextlib.suppress(BlockingIOError):
            while True:
                sock, _ = listener.accept()
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                crowd.start(sock, _answer(sock))


def _answer(sock: socket.socket) -> Talk:
    buffer = memoryview(bytearray(REQUEST))
    with sock, contextlib.suppress(OSError):
        while True:
            yield from receive_into(sock, buffer)
            yield from send(sock, PATTERN[: int.from_bytes(buffer[:8])])


KINDS: Final[dict[str, Callable[[socket.socket], None]]] = {"bulk": bulk, "requests": requests}


def main(kind: str) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
    sys.stdout.write(json.dumps({"port": listener.getsockname()[1]}) + "\n")
    sys.stdout.flush()
    KINDS[kind](listener)


if __name__ == "__main__":
    main(sys.argv[1])
