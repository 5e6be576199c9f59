"""What an address means, what is inside of it, and which are public."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linksocks.wire.addresses import forms, is_public, parse_ip

NOT_PUBLIC = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.254 168.63.129.16
169.254.0.1 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.192 192.0.2.1 192.168.0.1 192.168.255.255 198.18.0.1
198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
:: ::1 100::1 2001:db8::1 3fff::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1 febf::1 fec0::1 ff02::1 64:ff9b:1::1
"""

PUBLIC = """
1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.255.255 169.255.0.0
172.15.255.255 172.32.0.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255
2606:4700::1111 2a00::1 64:ff9c::1 2003::1
"""

WRAPPED = {
    "IPv4-mapped": "::ffff:{a}.{b}.{c}.{d}",
    "IPv4-compatible": "::{a}.{b}.{c}.{d}",
    "IPv4-translated": "::ffff:0:{a}.{b}.{c}.{d}",
    "NAT64": "64:ff9b::{a}.{b}.{c}.{d}",
    "6to4": "2002:{a:02x}{b:02x}:{c:02x}{d:02x}::1",
}


def wrapped(how: str, address: str) -> str:
    return WRAPPED[how].format(**dict(zip("abcd", ipaddress.IPv4Address(address).packed, strict=True)))


@pytest.mark.parametrize("text", NOT_PUBLIC.split())
def test_not_public(text: str) -> None:
    address = parse_ip(text)
    assert address is not None
    assert not is_public(address)


@pytest.mark.parametrize("text", PUBLIC.split())
def test_public(text: str) -> None:
    address = parse_ip(text)
    assert address is not None
    assert is_public(address)


@pytest.mark.parametrize("how", WRAPPED)
@pytest.mark.parametrize("text", [text for text in NOT_PUBLIC.split() if "." in text])
def test_not_public_inside_of_ipv6(how: str, text: str) -> None:
    address = parse_ip(wrapped(how, text))
    assert address is not None
    assert ipaddress.ip_address(text) in forms(address)
    assert not is_public(address)


@pytest.mark.parametrize("how", WRAPPED)
def test_public_inside_of_ipv6(how: str) -> None:
    address = parse_ip(wrapped(how, "1.1.1.1"))
    assert address is not None
    assert is_public(address)


def test_teredo_hides_the_client_inverted() -> None:
    """The example of RFC 4380: server 65.54.227.120, client 192.0.2.45."""
    address = parse_ip("2001:0000:4136:e378:8000:63bf:3fff:fdd2")
    assert address is not None
    assert forms(address)[1] == ipaddress.ip_address("192.0.2.45")
    assert not is_public(address)


@given(st.ip_addresses(v=4))
def test_mapped_is_the_same_address(address: ipaddress.IPv4Address) -> None:
    assert parse_ip(f"::ffff:{address}") == parse_ip(str(address)) == address
    assert forms(address)[0] == address


@pytest.mark.parametrize(
    ("text", "here"),
    [("0.0.0.0", "127.0.0.1"), ("::ffff:0.0.0.0", "127.0.0.1"), ("64:ff9b::", "127.0.0.1"), ("::", "::1")],
)
def test_no_address_is_this_host(text: str, here: str) -> None:
    address = parse_ip(text)
    assert address is not None
    assert ipaddress.ip_address(here) in forms(address)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost",
        "127.1",
        "0177.0.0.1",
        "2130706433",
        "127.0.0.1 ",
        "[::1]",
        "8.8.8.8%.x.org",
        "fe80::1%lo",
    ],
)
def test_no_address(text: str) -> None:
    assert parse_ip(text) is None


@given(st.text(max_size=50))
def test_garbage_is_a_name(text: str) -> None:
    parse_ip(text)
