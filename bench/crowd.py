"""Many conversations over sockets in one thread, by epoll and nothing else: the load must be cheap.

A conversation (`Talk`) is a generator over one non-blocking socket. It yields the epoll events that it waits for,
and closes its socket by its end. What it raises goes through `Crowd.poll` to whoever runs the crowd: a load
process has one purpose, so the first failure is its result.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Generator
from select import EPOLLIN, EPOLLOUT, epoll
from typing import Final, Protocol

Talk = Generator[int, None, None]
Address = tuple[str, int]

PATIENCE: Final = 10.0
"""Seconds without any event after which a crowd counts as stalled."""

_REPLY_REST: Final = {1: 6, 4: 18}  # address type of a SOCKS5 reply: bytes of address and port


class Stalled(Exception):  # noqa: N818 - as TimeoutError, of which it is not one: no call was given a timeout
    """No conversation of a crowd went on."""


class _File(Protocol):
    def fileno(self) -> int: ...


class Crowd:
    """Conversations that go on when their sockets are ready."""

    def __init__(self) -> None:
        self._epoll = epoll()
        self._talks: dict[int, tuple[Talk, int]] = {}  # by descriptor: the talk and what it waits for

    @property
    def size(self) -> int:
        return len(self._talks)

    def start(self, file: _File, talk: Talk) -> None:
        """Begin a talk, which yields at least once."""
        fd, events = file.fileno(), next(talk)
        self._epoll.register(fd, events)
        self._talks[fd] = talk, events

    def poll(self, timeout: float = PATIENCE) -> None:
        """Let every talk go on whose socket is ready, waiting for the first. Raises Stalled."""
        ready = self._epoll.poll(timeout)
        if not ready:
            raise Stalled(f"nothing happened for {timeout:g} s")
        for fd, _ in ready:
            talk, events = self._talks[fd]
            try:
                wanted = next(talk)
            except StopIteration:
                del self._talks[fd]  # epoll forgets a descriptor when it is closed
                continue
            if wanted != events:
                self._epoll.modify(fd, wanted)
                self._talks[fd] = talk, wanted


def new_socket() -> socket.socket:
    sock = socket.socket()
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def dial(sock: socket.socket, target: Address, proxy: Address | None) -> Talk:
    """Connect `sock` to `target`, through a SOCKS5 proxy if there is one."""
    sock.connect_ex(proxy or target)
    yield EPOLLOUT
    if error := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(error, os.strerror(error))
    if proxy is None:
        return
    sock.send(b"\x05\x01\x00")
    if (chosen := (yield from receive(sock, 2))) != b"\x05\x00":
        raise ConnectionError(f"SOCKS5: no authentication was refused: {chosen!r}")
    host, port = target
    sock.send(b"\x05\x01\x00\x01" + socket.inet_aton(host) + struct.pack(">H", port))
    reply = yield from receive(sock, 4)
    if reply[1]:
        raise ConnectionError(f"SOCKS5: connection refused with reply {reply[1]}")
    yield from receive(sock, _REPLY_REST[reply[3]])


def receive(sock: socket.socket, size: int) -> Generator[int, None, bytes]:
    """Exactly `size` bytes."""
    data = bytearray(size)
    yield from receive_into(sock, memoryview(data))
    return bytes(data)


def receive_into(sock: socket.socket, data: memoryview) -> Talk:
    """Fill `data`."""
    while data:
        yield EPOLLIN
        got = sock.recv_into(data)
        if not got:
            raise ConnectionError(f"closed by the other side, {len(data)} bytes early")
        data = data[got:]


def send(sock: socket.socket, data: memoryview) -> Talk:
    """Send all of `data`, which begins without waiting: for answers, whose socket is mostly idle."""
    while True:
        with contextlib.suppress(BlockingIOError):
            data = data[sock.send(data) :]
        if not data:
            return
        yield EPOLLOUT
