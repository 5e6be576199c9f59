"""The protocols that the port for applications speaks, by the first byte that an application sends.

Each is a machine of `linksocks.wire` without a socket that reads a request, says yes and says no. Which way a request
then goes, Inbound reads from its type and command, whatever protocol it came in.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Protocol

from linksocks.errors import DialError, RequestError
from linksocks.wire.http_proxy import Forward, HttpProxyServer
from linksocks.wire.socks4 import Socks4Server
from linksocks.wire.socks5 import Request, Socks5Server


class Front(Protocol):
    """One application's connection, from its first byte to its request."""

    @property
    def request(self) -> Request | Forward | None:
        """What the application asks for; None until all of it is there."""

    @property
    def leftover(self) -> bytes:
        """What came with the last of the request and belongs to the target."""

    def feed(self, data: bytes) -> bytes:
        """Takes what has arrived, returns what to send. Raises RequestError."""

    def success(self) -> bytes:
        """What to send once the target is reached."""

    def refusal(self, error: DialError) -> bytes:
        """What to send before closing when it was not."""


FRONTS: Final[Mapping[int, Callable[[str, str], Front]]] = MappingProxyType(
    {
        0x04: Socks4Server,
        0x05: Socks5Server,
        **dict.fromkeys(string.ascii_uppercase.encode(), HttpProxyServer),  # a method of HTTP
    }
)

_TLS: Final = 0x16
"""The first byte of a TLS handshake."""


def front_for(first: int, username: str, password: str) -> Front:
    """The machine for what begins with this byte. Raises RequestError."""
    make = FRONTS.get(first)
    if make is None:
        told = (
            "the application speaks TLS to the proxy itself"
            if first == _TLS
            else f"the first byte is 0x{first:02x}"
        )
        raise RequestError(
            f"expected SOCKS5, SOCKS4a or HTTP, but {told}: set the application to use one of them (socks5h://, http://)"
        )
    return make(username, password)
