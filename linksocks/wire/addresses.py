"""IP addresses as a guard sees them: what a text means, which address hides in another one, which are not public.

An IPv4 address may be written in IPv6, and the system, a gateway or a tunnel then delivers to it. Who forbids the one
must forbid the other.

The networks are a table of our own, from IANA's registries of special-purpose addresses: what `ipaddress` calls
private changes with the version of Python.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

IpAddress: TypeAlias = IPv4Address | IPv6Address
IpNetwork: TypeAlias = IPv4Network | IPv6Network

_EMBEDDING: Final = (
    (IPv6Network("::/96"), 0, 0),  # IPv4-compatible, RFC 4291 section 2.5.5.1
    (IPv6Network("::ffff:0:0:0/96"), 0, 0),  # IPv4-translated, RFC 2765
    (IPv6Network("64:ff9b::/96"), 0, 0),  # NAT64, RFC 6052
    (IPv6Network("2002::/16"), 80, 0),  # 6to4, RFC 3056
    (IPv6Network("2001::/32"), 0, 0xFFFFFFFF),  # Teredo, RFC 4380: the client's, inverted
)
"""Networks with an IPv4 address inside: how far it stands from the right in bits, and what it is xored with.

IPv4-mapped is none of them: that is no other address, but another spelling of the same one.
"""

_HERE: Final[dict[IpAddress, IpAddress]] = {
    IPv4Address("0.0.0.0"): IPv4Address("127.0.0.1"),
    IPv6Address("::"): IPv6Address("::1"),
}
"""Where Linux goes that is told to connect to no address."""

_NOT_PUBLIC: Final[tuple[IpNetwork, ...]] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # this host: Linux connects to itself
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",
        "168.63.129.16/32",  # metadata of Azure, at an address that looks public
        "169.254.0.0/16",  # link-local; 169.254.169.254 has the metadata of clouds
        "172.16.0.0/12",
        "192.0.0.0/24",  # IETF protocols; 192.0.0.192 has the metadata of Oracle's cloud
        "192.0.2.0/24",  # documentation, as 198.51.100.0/24 and 203.0.113.0/24
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
        "::/128",
        "::1/128",
        "64:ff9b:1::/48",  # NAT64 of one network, RFC 8215: any IPv4 address may be inside
        "100::/64",  # discard
        "2001:db8::/32",  # documentation, as 3fff::/20
        "3fff::/20",
        "5f00::/16",  # segment routing
        "fc00::/7",  # unique local
        "fe80::/10",  # link-local
        "fec0::/10",  # site-local, deprecated
        "ff00::/8",  # multicast
    )
)


def parse_ip(text: str) -> IpAddress | None:
    """The address that `text` spells, IPv4 also where it is written as IPv6; None for a name, and behind a zone."""
    if "%" in text:
        return None
    try:
        return unmapped(ip_address(text))
    except ValueError:
        return None


def unmapped(address: IpAddress) -> IpAddress:
    """The IPv4 address that an IPv4-mapped one is; any other as it is."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def forms(address: IpAddress) -> tuple[IpAddress, ...]:
    """`address`, the IPv4 address inside of it if there is one, and where the system goes for these (_HERE)."""
    found = [address]
    if isinstance(address, IPv6Address):
        for network, shift, inverted in _EMBEDDING:
            if address in network:
                found.append(IPv4Address((int(address) >> shift & 0xFFFFFFFF) ^ inverted))
                break
    return *found, *(_HERE[form] for form in found if form in _HERE)


def is_public(address: IpAddress) -> bool:
    """Whether it is an address of the Internet, and so is the one inside of it."""
    return not any(form in network for form in forms(address) for network in _NOT_PUBLIC)
