"""What a judge permits, decided on the very addresses that are then dialled.

A name is looked up once, and only what was judged is dialled: a name server that answers differently the next time
gains nothing, and no spelling of an address has to be recognised.
"""

from __future__ import annotations

import socket
from typing import Final

from linksocks.errors import Cause, DialError
from linksocks.net.out.judge import Judge, Verdict
from linksocks.net.out.resolve import Address, Resolver

BLOCKED_TEXT: Final = "destination blocked by access control"
"""What a peer is told (PROTOCOL section 8)."""


def permitted(resolver: Resolver, host: str, port: int, timeout: float, judge: Judge | None) -> list[Address]:
    """The addresses of `host` that may be dialled, at least one. Raises DialError."""
    if judge is None:
        return resolver.resolve(host, port, timeout)
    if judge.judge(host, port) is not Verdict.BLOCKED:
        addresses = allowed(resolver.resolve(host, port, timeout), host, port, judge)
        if addresses:
            return addresses
    raise DialError(Cause.NOT_ALLOWED, BLOCKED_TEXT)


def allowed(addresses: list[Address], host: str, port: int, judge: Judge) -> list[Address]:
    """Those of the addresses of `host` that may be reached."""
    return [address for address in addresses if judge.allows(host, port, address.sockaddr[0])]


def pinned(resolver: Resolver, host: str, port: int, timeout: float, judge: Judge) -> str:
    """What to ask somebody else to dial for `host`: the name itself, unless its address decides. Raises DialError."""
    if judge.judge(host, port) is Verdict.ALLOWED:
        return as_judged(host)
    return likeliest(permitted(resolver, host, port, timeout, judge))


def as_judged(host: str) -> str:
    """An allowed name as somebody else must hear it: in ASCII, of which no one can make another name."""
    return host if host.isascii() else host.encode("idna").decode()


def likeliest(addresses: list[Address]) -> str:
    """One address for somebody else, who may have no IPv6: the first of IPv4 if there is one."""
    return min(addresses, key=lambda address: address.family != socket.AF_INET).sockaddr[0]
