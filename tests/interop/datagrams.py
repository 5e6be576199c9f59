"""Datagrams through UDP ASSOCIATE (RFC 1928 section 7), written from the RFC, and a target that sends them back."""

from __future__ import annotations

import ipaddress
import random
import socket
import struct
import threading
from contextlib import ExitStack
from typing import Final, Self

from tests.support import socks

_SIZES: Final = (1, 512, 1400, 20_000)


class Echo:
    """Sends back every datagram, on one port of 127.0.0.1 and of ::1, where `localhost` leads to too."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._sockets, self.port = self._bind()

    def __enter__(self) -> Self:
        for sock in self._sockets:
            thread = threading.Thread(target=_echo, args=(sock,), daemon=True)
            thread.start()
            self._stack.callback(_end, sock, thread)
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def _bind(self) -> tuple[list[socket.socket], int]:
        """The kernel gives the port of one family, and somebody may have it in the other."""
        for _ in range(20):
            first = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            second = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            try:
                first.bind(("127.0.0.1", 0))
                port: int = first.getsockname()[1]
                second.bind(("::1", port))
            except OSError:
                first.close()
                second.close()
                continue
            for sock in (first, second):
                self._stack.callback(sock.close)
            return [first, second], port
        raise AssertionError("no port is free for IPv4 and IPv6")


def echoed(socks_port: int, host: str, echo: Echo, timeout: float) -> None:
    """Datagrams of several sizes to `host` come back whole from the echo's port, each within `timeout`."""
    with (
        socket.create_connection(("127.0.0.1", socks_port), timeout) as control,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
    ):
        sock.settimeout(timeout)
        sock.connect(_associate(control))
        for size in _SIZES:
            payload = random.Random(size).randbytes(size)
            sock.send(_header(host, echo.port) + payload)
            answer = sock.recv(65536)
            assert answer.endswith(payload)
            source = answer[: -len(payload)]
            assert source[:3] == b"\0\0\0"
            assert source[-2:] == struct.pack("!H", echo.port)


def _associate(control: socket.socket) -> tuple[str, int]:
    """Where the proxy takes datagrams while `control` stays open."""
    control.sendall(b"\x05\x01\x00")
    assert socks.read_exactly(control, 2) == b"\x05\x00"
    control.sendall(b"\x05\x03\x00\x01" + bytes(6))
    _, reply, _, kind = socks.read_exactly(control, 4)
    if reply != socks.SUCCEEDED:
        raise socks.SocksRefused(reply)
    assert kind == 1
    host, port = struct.unpack("!4sH", socks.read_exactly(control, 6))
    return socket.inet_ntoa(host), port


def _echo(sock: socket.socket) -> None:
    while (got := sock.recvfrom(65536))[0]:
        sock.sendto(*got)


def _end(sock: socket.socket, thread: threading.Thread) -> None:
    """Of an echo: one that waits does not hear of a close."""
    sock.sendto(b"", sock.getsockname())
    thread.join()


def _header(host: str, port: int) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return b"\0\0\0\x03" + bytes([len(host)]) + host.encode() + struct.pack("!H", port)
    return b"\0\0\0" + bytes([1 if address.version == 4 else 4]) + address.packed + struct.pack("!H", port)
