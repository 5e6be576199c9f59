"""The ways out to targets: what they have in common, and the direct one. Through a proxy: net.upstream."""

from __future__ import annotations

from typing import Protocol

from gevent import socket

from linksocks.net.out.datagrams import DirectDatagrams
from linksocks.net.out.dial import dial
from linksocks.net.out.judge import Judge
from linksocks.net.out.resolve import Resolver
from linksocks.wire.mask import Buffer


class Datagrams(Protocol):
    """A way out for the datagrams of one association."""

    def send(self, payload: Buffer, host: str, port: int) -> None:
        """Sends to an address or a name, or drops and counts: never waits, never raises."""

    def receive(self) -> tuple[bytes, str, int]:
        """The next datagram and its source, an address as text. Waits. Raises DialError when the way is gone."""

    def close(self) -> None:
        """Ends it, also while somebody waits in `receive`."""


class Egress(Protocol):
    """A way out, to what `judge` allows: NOT_ALLOWED is the cause where it does not, and a datagram is dropped."""

    def dial(self, host: str, port: int, timeout: float, judge: Judge | None = None) -> socket.socket:
        """A connected, tuned socket; `timeout` in seconds covers everything. Raises DialError."""

    def open_datagrams(self, timeout: float, judge: Judge | None = None) -> Datagrams:
        """A way out for datagrams, within `timeout` seconds. Raises DialError."""


class Direct:
    """From this machine itself."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    def dial(self, host: str, port: int, timeout: float, judge: Judge | None = None) -> socket.socket:
        """See Egress."""
        return dial(self._resolver, host, port, timeout, judge)

    def open_datagrams(self, timeout: float, judge: Judge | None = None) -> Datagrams:
        """See Egress."""
        return DirectDatagrams(self._resolver, judge)
