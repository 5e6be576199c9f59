"""Judges: whether a target may be reached. Asked where the dial happens, about the address that is then dialled.

A judge is asked about the target as it was named, and where that does not decide, about each address of the name. So
a name is looked up once, and only what was judged is dialled: a name server that answers differently the next time
gains nothing, and no spelling of an address has to be recognised.
"""

from __future__ import annotations

import socket
from enum import IntEnum
from typing import Final, Protocol

from linksocks.errors import Cause, DialError
from linksocks.net.resolve import Address, Resolver

BLOCKED_TEXT: Final = "destination blocked by access control"
"""What a peer is told (PROTOCOL section 8)."""


class Verdict(IntEnum):
    """What a judge says of a target. The lowest of several counts."""

    BLOCKED = 0
    BY_ADDRESS = 1
    """The name alone does not decide; each of its addresses does."""
    ALLOWED = 2


class Judge(Protocol):
    """Rules for targets."""

    def judge(self, host: str, port: int) -> Verdict:
        """Of a target as it was named; never BY_ADDRESS for an address."""

    def allows(self, host: str, port: int, address: str) -> bool:
        """Whether `address`, one that `host` has, may be reached."""


class AllOf:
    """Allows what all of `judges` allow."""

    def __init__(self, *judges: Judge) -> None:
        self._judges = judges

    def judge(self, host: str, port: int) -> Verdict:
        """See Judge."""
        return min(judge.judge(host, port) for judge in self._judges)

    def allows(self, host: str, port: int, address: str) -> bool:
        """See Judge."""
        return all(judge.allows(host, port, address) for judge in self._judges)


def blocked() -> DialError:
    """The error to raise."""
    return DialError(Cause.NOT_ALLOWED, BLOCKED_TEXT)


def permitted(resolver: Resolver, host: str, port: int, timeout: float, judge: Judge | None) -> list[Address]:
    """The addresses of `host` that may be dialled, at least one. Raises DialError."""
    if judge is None:
        return resolver.resolve(host, port, timeout)
    verdict = judge.judge(host, port)
    if verdict is Verdict.BLOCKED:
        raise blocked()
    addresses = resolver.resolve(host, port, timeout)
    if verdict is Verdict.BY_ADDRESS:
        addresses = allowed(addresses, host, port, judge)
        if not addresses:
            raise blocked()
    return addresses


def allowed(addresses: list[Address], host: str, port: int, judge: Judge) -> list[Address]:
    """Those of the addresses of `host` that may be reached."""
    return [address for address in addresses if judge.allows(host, port, address.sockaddr[0])]


def pinned(resolver: Resolver, host: str, port: int, timeout: float, judge: Judge | None) -> str:
    """What to ask somebody else to dial for `host`: the name itself, unless its address decides. Raises DialError."""
    if judge is None or judge.judge(host, port) is Verdict.ALLOWED:
        return host
    return likeliest(permitted(resolver, host, port, timeout, judge))


def likeliest(addresses: list[Address]) -> str:
    """One address for somebody else, who may have no IPv6: the first of IPv4 if there is one."""
    return min(addresses, key=lambda address: address.family != socket.AF_INET).sockaddr[0]
