"""Who may be at the door: connections that have not logged in are bounded, in all and for each host.

Each costs about 40 KiB and may stay for as long as an HTTP request and a login may take. So one host that opens
thousands is refused most of them, before they cost a greenlet, and the door stays open for others. Behind a reverse
proxy all clients share its address: it has to tell them apart, and `each` should be 0 here.
"""

from __future__ import annotations

import ipaddress
import logging
from collections import Counter
from typing import Any, Final

from gevent import socket

from linksocks.net.greenlets import Pool
from linksocks.net.sockets import end_politely

_FAREWELL: Final = 1.0
"""Seconds for a refused client to read why."""

_FAREWELLS: Final = 128
"""Refused clients at once that get them; with more, connections end without a word."""

_BUSY: Final = {
    "handshakes": ("503 Service Unavailable", "the server has too many logins in progress"),
    "handshakes_of_one": ("429 Too Many Requests", "too many logins in progress from this address"),
}
"""What is said, by the word for the reason."""

log = logging.getLogger(__name__)


class Lobby:
    """`most` connections in all, `each` of one host; 0 is no limit. An address is a connection's, with its port."""

    def __init__(self, most: int = 0, each: int = 0) -> None:
        self._most = most
        self._each = each
        self._hosts: dict[Any, str] = {}  # of each connection inside
        self._inside: Counter[str] = Counter()  # connections of each host
        self._leaving = Pool(_FAREWELLS)
        self.refusals: Counter[str] = Counter()
        """By a word for the reason."""

    def __len__(self) -> int:
        return len(self._hosts)

    def enter(self, address: Any) -> str:
        """Lets a connection in: empty, or the word for why not."""
        host = one_host(address[0])
        if 0 < self._each <= self._inside[host]:
            return self._refused("handshakes_of_one")
        if 0 < self._most <= len(self._hosts):
            return self._refused("handshakes")
        self._hosts[address] = host
        self._inside[host] += 1
        return ""

    def leave(self, address: Any) -> None:
        """It has logged in, or it has ended. The second time does nothing."""
        host = self._hosts.pop(address, None)
        if host is not None:
            self._inside[host] -= 1
            if not self._inside[host]:
                del self._inside[host]

    def turn_away(self, sock: socket.socket, reason: str, *, tls: bool) -> None:
        """Ends a connection that may not enter; one that would speak TLS could not read why."""
        if tls or not self._leaving.free_count():
            sock.close()
        else:
            self._leaving.spawn(_say, sock, *_BUSY[reason])

    def close(self) -> None:
        """Nobody is told anything any more."""
        self._leaving.kill()

    def _refused(self, reason: str) -> str:
        self.refusals[reason] += 1
        if self.refusals[reason] == 1:  # a crowd must not fill the log
            log.warning("refused a connection: %s; those that follow are only counted", _BUSY[reason][1])
        return reason


def _say(sock: socket.socket, status: str, text: str) -> None:
    body = f"{text}\n"
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        "Retry-After: 1\r\nConnection: close\r\n\r\n"
    )
    try:
        sock.send((head + body).encode())
        end_politely(sock, _FAREWELL)
    except OSError:
        pass  # it is gone already
    finally:
        sock.close()


def one_host(address: str) -> str:
    """What all addresses of one host have in common: with IPv6 each has a /64 to choose its addresses from."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
