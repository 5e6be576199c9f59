"""Datagrams between an application and its SOCKS5 relay (RFC 1928 section 7): `reserved(2) FRAG(1) address payload`.

The address is the target on the way out and the source on the way back. Fragments are not supported, which the RFC
allows: the relay drops them.
"""

from __future__ import annotations

from linksocks.errors import SocksError
from linksocks.wire.mask import Buffer
from linksocks.wire.socks5_address import address_size, is_known, pack_address, parse_address

_HEAD = bytes(3)


def pack_datagram(host: str, port: int, payload: Buffer) -> bytes:
    """The bytes of a datagram from or to `host:port`. Raises ValueError for a host of more than 255 bytes."""
    return b"".join((_HEAD, pack_address(host, port), payload))


def parse_datagram(raw: bytes) -> tuple[str, int, bytes]:
    """Host, port and payload. Raises SocksError for a datagram that is malformed, a fragment, or for port 0.

    Its reasons are few fixed texts, so that they can be counted.
    """
    front = memoryview(raw)[len(_HEAD) :]
    if not front:
        raise SocksError("a datagram without an address")
    if raw[2]:
        raise SocksError("a fragment of a datagram")
    if not is_known(front[0]):
        raise SocksError("a datagram with an unknown address type")
    size = address_size(front)
    if size > len(front):
        raise SocksError("a datagram whose address is cut short")
    try:
        host, port = parse_address(front[:size])
    except SocksError as error:
        raise SocksError("a datagram to a name that is none") from error
    if not port:
        raise SocksError("a datagram to port 0")
    return host, port, bytes(front[size:])
