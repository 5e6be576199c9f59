"""The application's side of UDP ASSOCIATE (RFC 1928 sections 4 and 7).

It is written from the RFC and shares nothing with linksocks.wire, so that it can disagree with it. `sockets` is the
module that its sockets come from: gevent's where the tunnel runs in the test's own thread.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from types import ModuleType
from typing import Any, Self

from tests.support import socks

ASSOCIATE = 3


class Association:
    """One association at the SOCKS port of `proxy`, with a UDP socket on the same address as its TCP connection.

    `port` is what the request names: 0 for none, None for that of the UDP socket.
    """

    def __init__(
        self,
        proxy: tuple[str, int],
        *,
        port: int | None = 0,
        timeout: float = 10.0,
        sockets: ModuleType = socket,
    ) -> None:
        self.control = sockets.create_connection(proxy, timeout)
        self.udp = udp_socket(self.control.getsockname()[0], timeout, sockets)
        try:
            self.relay = associate(self.control, self.udp.getsockname()[1] if port is None else port)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self.control.close()
        self.udp.close()

    def send(self, host: str, port: int, payload: bytes) -> None:
        self.udp.sendto(pack(host, port, payload), self.relay)

    def receive(self) -> tuple[str, int, bytes]:
        """The next datagram: its source, and what it says."""
        return unpack(self.udp.recv(65_536))

    def ask(self, host: str, port: int, payload: bytes) -> tuple[str, int, bytes]:
        """Sends a datagram and waits for the next that comes."""
        self.send(host, port, payload)
        return self.receive()

    def ended(self) -> bool:
        """Whether the proxy has closed the TCP connection; waits for it."""
        return not self.control.recv(1)


def associate(control: Any, port: int = 0, login: tuple[str, str] | None = None) -> tuple[str, int]:
    """Asks for an association on a connected socket. Where its datagrams go to; raises SocksRefused."""
    socks._greet(control, login)
    control.sendall(struct.pack("!BBBBIH", 5, ASSOCIATE, 0, 1, 0, port))
    version, reply, _, kind = socks.read_exactly(control, 4)
    assert version == 5
    assert kind in (1, 4)
    raw = socks.read_exactly(control, {1: 4, 4: 16}[kind] + 2)
    if reply != socks.SUCCEEDED:
        raise socks.SocksRefused(reply)
    return str(ipaddress.ip_address(raw[:-2])), int.from_bytes(raw[-2:])


def pack(host: str, port: int, payload: bytes) -> bytes:
    """A datagram as the application sends it."""
    return b"\0\0\0" + socks._address(host) + port.to_bytes(2) + payload


def unpack(raw: bytes) -> tuple[str, int, bytes]:
    """A datagram as the application gets it: source and payload. A source is an address, never a name."""
    assert raw[:3] == b"\0\0\0"
    assert raw[3] in (1, 4)
    end = {1: 8, 4: 20}[raw[3]]
    return str(ipaddress.ip_address(raw[4:end])), int.from_bytes(raw[end : end + 2]), raw[end + 2 :]


def udp_socket(host: str = "127.0.0.1", timeout: float = 10.0, sockets: ModuleType = socket) -> Any:
    """A UDP socket on a free port of `host`."""
    sock = sockets.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((host, 0))
    sock.settimeout(timeout)
    return sock
