"""The ways out to targets: directly from this machine."""

from __future__ import annotations

from typing import Protocol

from gevent import socket

from linksocks.net.dial import dial
from linksocks.net.resolve import Resolver


class Egress(Protocol):
    """A way out."""

    def dial(self, host: str, port: int, timeout: float) -> socket.socket:
        """A connected, tuned socket; `timeout` in seconds covers everything. Raises DialError."""


class Direct:
    """From this machine itself."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    def dial(self, host: str, port: int, timeout: float) -> socket.socket:
        """See Egress."""
        return dial(self._resolver, host, port, timeout)
