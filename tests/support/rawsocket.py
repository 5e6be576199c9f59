"""A WebSocket peer played by hand: any frame, right or wrong, and every byte that comes back.

`frame` makes one frame from its parts. `RawPeer` sends and reads frames on a socket, blocking or gevent's alike. Both
are written from RFC 6455 and share nothing with linksocks.wire, so that they can disagree with it. `serving` answers
the connections of a listener in a greenlet, for tests that are the server.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import gevent
from gevent import socket
from gevent.server import StreamServer

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

PATIENCE = 10.0
"""Seconds for a single read."""

KEY = "dGhlIHNhbXBsZSBub25jZQ=="

UPGRADE = (
    b"GET /socket HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + KEY.encode() + b"\r\n\r\n"
)
"""An upgrade as RFC 6455 section 1.2 shows it; the accept value is in section 1.3."""

ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


class Frame(NamedTuple):
    """A frame as it came."""

    opcode: int
    payload: bytes
    fin: bool
    masked: bool

    @property
    def code(self) -> int:
        """Of a close frame."""
        assert self.opcode == CLOSE
        return int.from_bytes(self.payload[:2])


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    masked: bool,
    fin: bool = True,
    rsv: int = 0,
    length: int | None = None,
    length_bytes: int | None = None,
) -> bytes:
    """One frame. `length` is what the head claims, `length_bytes` (0, 2 or 8) the form in which it does."""
    claimed = len(payload) if length is None else length
    if length_bytes is None:
        length_bytes = 0 if claimed < 126 else 2 if claimed < 65536 else 8
    head = bytes([fin << 7 | rsv << 4 | opcode])
    mask_bit = masked << 7
    if length_bytes == 0:
        head += bytes([mask_bit | claimed])
    elif length_bytes == 2:
        head += bytes([mask_bit | 126]) + struct.pack("!H", claimed)
    else:
        head += bytes([mask_bit | 127]) + struct.pack("!Q", claimed)
    if not masked:
        return head + payload
    key = os.urandom(4)
    return head + key + xor(payload, key)


def xor(payload: bytes, key: bytes) -> bytes:
    """The mask, byte by byte as the RFC writes it, but with big integers."""
    repeated = (key * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload) ^ int.from_bytes(repeated)).to_bytes(len(payload))


class RawPeer:
    """The other end of a WebSocket. `masking` as a client must."""

    def __init__(self, sock: Any, *, masking: bool) -> None:
        self.sock = sock
        self.masking = masking
        sock.settimeout(PATIENCE)

    def send(self, opcode: int, payload: bytes = b"", **odd: Any) -> None:
        self.sock.sendall(frame(opcode, payload, **{"masked": self.masking, **odd}))

    def close(self, code: int = 1000, reason: bytes = b"") -> None:
        """Sends a close frame."""
        self.send(CLOSE, struct.pack("!H", code) + reason)

    def read(self) -> Frame:
        """The next frame. ConnectionError where the stream ends instead."""
        first, second = self.exactly(2)
        length = second & 0x7F
        if length > 125:
            length = int.from_bytes(self.exactly(2 if length == 126 else 8))
        masked = bool(second & 0x80)
        key = self.exactly(4) if masked else bytes(4)
        assert not first & 0x70
        return Frame(first & 0x0F, xor(self.exactly(length), key), bool(first & 0x80), masked)

    def read_until(self, opcode: int) -> Frame:
        """The next frame of this kind; others before it are dropped."""
        while (got := self.read()).opcode != opcode:
            pass
        return got

    def exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            chunk = self.sock.recv(min(size - len(data), 1 << 16))
            if not chunk:
                raise ConnectionError(f"the stream ended after {len(data)} of {size} bytes")
            data += chunk
        return bytes(data)

    def at_end(self) -> bool:
        """Whether the stream ends here, in order or by a reset."""
        try:
            return not self.sock.recv(1)
        except ConnectionError:
            return True


def read_head(sock: Any) -> bytes:
    """An HTTP head with its empty line, byte by byte: nothing behind it is taken."""
    head = bytearray()
    while not head.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        if not byte:
            raise ConnectionError(f"the stream ended in a head: {bytes(head)!r}")
        head += byte
    return bytes(head)


def upgraded(port: int, query: str = "") -> socket.socket:
    """A connection on which the server at `port` speaks WebSocket from now on."""
    sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
    sock.sendall(UPGRADE.replace(b"/socket", f"/socket{query}".encode()))
    assert read_head(sock).startswith(b"HTTP/1.1 101 ")
    return sock


@contextmanager
def serving(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port on which `handle` gets each connection, in a greenlet; its socket errors are its end."""

    def answer(sock: socket.socket, _address: object) -> None:
        try:
            handle(sock)
        except OSError:
            pass
        finally:
            sock.close()

    server = StreamServer(("127.0.0.1", 0), answer)
    server.start()
    try:
        yield server.server_port
    finally:
        server.stop(timeout=0)


def turns(count: int = 3) -> None:
    """Lets all other greenlets run as far as they can without waiting."""
    for _ in range(count):
        gevent.sleep(0)
