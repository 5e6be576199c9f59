"""SOCKS5 datagrams: golden bytes, both ways, and that whatever comes is parsed or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linksocks.errors import SocksError
from linksocks.wire.socks5_datagram import pack_datagram, parse_datagram

GOLDEN = {
    "ipv4": ("127.0.0.1", 53, "000000 01 7f000001 0035"),
    "ipv6": ("2001:db8::1", 8080, "000000 04 20010db8000000000000000000000001 1f90"),
    "domain": ("example.org", 65535, "000000 03 0b 6578616d706c652e6f7267 ffff"),
    "idn": ("bücher.example", 1, "000000 03 0f 62c3bc636865722e6578616d706c65 0001"),
}


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("payload", [b"", b"x", bytes(range(256)), bytes(65_507)], ids=len)
def test_golden(name: str, payload: bytes) -> None:
    host, port, head = GOLDEN[name]
    raw = bytes.fromhex(head) + payload
    assert pack_datagram(host, port, payload) == raw
    assert parse_datagram(raw) == (host, port, payload)


@pytest.mark.parametrize("name", GOLDEN)
def test_one_that_is_cut_short_is_refused(name: str) -> None:
    """The Go peer crashes on four bytes."""
    head = bytes.fromhex(GOLDEN[name][2])
    for size in range(len(head)):
        with pytest.raises(SocksError):
            parse_datagram(head[:size])


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("000001 01 7f000001 0035 78", "a fragment"),
        ("000080 01 7f000001 0035 78", "a fragment"),
        ("000000 00 7f000001 0035 78", "unknown address type"),
        ("000000 02 7f000001 0035 78", "unknown address type"),
        ("000000 ff", "unknown address type"),
        ("000000 01 7f000001 0000 78", "port 0"),
        ("000000 03 00 0035 78", "a name that is none"),
        ("000000 03 02 fffe 0035 78", "a name that is none"),
        ("000000 03 02 0a0d 0035 78", "a name that is none"),
    ],
)
def test_what_is_refused(raw: str, reason: str) -> None:
    with pytest.raises(SocksError, match=reason):
        parse_datagram(bytes.fromhex(raw))


def test_the_reserved_bytes_may_be_anything() -> None:
    assert parse_datagram(bytes.fromhex("abcd00 01 7f000001 0035 78")) == ("127.0.0.1", 53, b"x")


def test_a_host_that_is_too_long_does_not_fit() -> None:
    with pytest.raises(ValueError, match="256"):
        pack_datagram("é" * 128, 53, b"")


@given(st.binary(max_size=300))
def test_any_bytes_are_parsed_or_refused(raw: bytes) -> None:
    try:
        host, port, payload = parse_datagram(raw)
    except SocksError:
        return
    assert parse_datagram(pack_datagram(host, port, payload)) == (host, port, payload)
