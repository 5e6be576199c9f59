"""Addresses as SOCKS5 writes them (RFC 1928 section 5): `type(1) address port(2)`, a domain behind its length.

They stand in requests, in replies and in front of datagrams. A host is text: an IP address or a domain name.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Final

from linksocks.errors import SocksError
from linksocks.wire.mask import Buffer

IPV4, DOMAIN, IPV6 = 1, 3, 4


def pack_address(host: str, port: int) -> bytes:
    """The bytes of an address. Raises ValueError for a host of more than 255 bytes."""
    return _pack_host(host) + port.to_bytes(2)


def _pack_host(host: str) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode()
        return bytes((DOMAIN, len(name))) + name
    return bytes((IPV4 if address.version == 4 else IPV6,)) + address.packed


def address_size(front: Buffer) -> int:
    """How many bytes the address has, as far as its front tells: more than are there while it is not whole.

    Of an unknown type it has one byte, the type's own.
    """
    if front and front[0] == DOMAIN:
        return 4 + front[1] if len(front) > 1 else 2
    return {IPV4: 7, IPV6: 19}.get(front[0], 1) if front else 1


def parse_address(raw: Buffer) -> tuple[str, int]:
    """Host and port of a whole address of a known type. Raises SocksError where the name is none."""
    return _HOSTS[raw[0]](bytes(raw[1:-2])), int.from_bytes(raw[-2:])


def is_known(kind: int) -> bool:
    """Whether RFC 1928 knows this type of address."""
    return kind in _HOSTS


def _parse_domain(raw: bytes) -> str:
    """A name of printable characters; RFC 1928 does not say which, so IDNs may come as UTF-8."""
    try:
        name = raw[1:].decode()
    except UnicodeDecodeError as error:
        raise SocksError("a domain name that is not UTF-8") from error
    if not name or not name.isprintable():
        raise SocksError(f"no domain name: {name!r}")
    return name


_HOSTS: Final[dict[int, Callable[[bytes], str]]] = {
    IPV4: lambda raw: str(ipaddress.IPv4Address(raw)),
    DOMAIN: _parse_domain,
    IPV6: lambda raw: str(ipaddress.IPv6Address(raw)),
}
