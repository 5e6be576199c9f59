"""The application's side of SOCKS5 (RFC 1928, RFC 1929) in two ways: raw and blocking, and by the real curl.

`connect` gives a plain socket behind the proxy, or raises `SocksRefused` with the proxy's own reply code. It
is written from the RFCs and shares nothing with linksocks.wire, so that it can disagree with it.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import subprocess
from collections.abc import Callable

# RFC 1928 section 6; what a test of ours wants to see by name.
SUCCEEDED, GENERAL, NOT_ALLOWED, NET_UNREACHABLE, HOST_UNREACHABLE, REFUSED, TTL_EXPIRED = range(7)

_NO_AUTH, _PASSWORD = 0x00, 0x02


class SocksRefused(Exception):  # noqa: N818 - the proxy's answer, not a fault of this client
    """The proxy said no: `reply` is the byte REP of RFC 1928 section 6."""

    def __init__(self, reply: int) -> None:
        super().__init__(f"SOCKS reply {reply}")
        self.reply = reply


def connect(
    proxy_port: int,
    host: str,
    port: int,
    *,
    proxy_host: str = "127.0.0.1",
    login: tuple[str, str] | None = None,
    timeout: float = 20.0,
    create: Callable[..., socket.socket] = socket.create_connection,
) -> socket.socket:
    """A connection to `host`:`port` through the proxy; `host` is sent as an address or a name, as written.

    `timeout` is for each single receive and stays set on the socket. `create` makes the socket: gevent's, say.
    """
    conn = create((proxy_host, proxy_port), timeout)
    try:
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _greet(conn, login)
        conn.sendall(b"\x05\x01\x00" + _address(host) + struct.pack("!H", port))
        reply = read_reply(conn)
        if reply != SUCCEEDED:
            raise SocksRefused(reply)
    except BaseException:
        conn.close()
        raise
    return conn


def read_reply(conn: socket.socket) -> int:
    """Take one whole reply from the wire, bound address and all, and return its code."""
    version, reply, _, kind = read_exactly(conn, 4)
    assert version == 5
    length = {1: 4, 4: 16}.get(kind) or read_exactly(conn, 1)[0]
    read_exactly(conn, length + 2)
    return reply


def read_exactly(conn: socket.socket, size: int) -> bytes:
    """`size` bytes, or ConnectionError if the stream ends before."""
    data = bytearray()
    while len(data) < size:
        chunk = conn.recv(size - len(data))
        if not chunk:
            raise ConnectionError(f"the stream ended after {len(data)} of {size} bytes")
        data += chunk
    return bytes(data)


def curl(proxy_port: int, *args: str, timeout: float = 60.0) -> subprocess.CompletedProcess[bytes]:
    """Run the real curl, names resolved behind the proxy; the caller looks at the exit code."""
    return subprocess.run(
        ["curl", "-sS", "--noproxy", "", "--socks5-hostname", f"127.0.0.1:{proxy_port}", *args],
        capture_output=True,
        timeout=timeout,
        check=False,
    )


def _greet(conn: socket.socket, login: tuple[str, str] | None) -> None:
    conn.sendall(bytes([5, 1, _PASSWORD if login else _NO_AUTH]))
    version, method = read_exactly(conn, 2)
    assert version == 5
    if method != (_PASSWORD if login else _NO_AUTH):
        raise SocksRefused(method)
    if login:
        name, password = (text.encode() for text in login)
        conn.sendall(bytes([1, len(name)]) + name + bytes([len(password)]) + password)
        if read_exactly(conn, 2)[1] != 0:
            raise SocksRefused(0xFF)


def _address(host: str) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode("idna")
        return bytes([3, len(name)]) + name
    return bytes([1 if address.version == 4 else 4]) + address.packed
