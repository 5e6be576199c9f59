"""Which protocol a first byte begins, and what people are told about the rest."""

from __future__ import annotations

import pytest

from linksocks.errors import RequestError
from linksocks.tunnel.ends.front import FRONTS, front_for
from linksocks.wire.http_proxy import HttpProxyServer
from linksocks.wire.socks4 import Socks4Server
from linksocks.wire.socks5 import Socks5Server


def test_the_first_byte_decides() -> None:
    assert type(front_for(5, "", "")) is Socks5Server
    assert type(front_for(4, "", "")) is Socks4Server
    for letter in b"ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        assert type(front_for(letter, "", "")) is HttpProxyServer
    assert len(FRONTS) == 28


@pytest.mark.parametrize("first", sorted(set(range(256)) - set(FRONTS)))
def test_any_other_is_told_what_to_use(first: int) -> None:
    with pytest.raises(RequestError, match="set the application to use one of them") as caught:
        front_for(first, "", "")
    assert not caught.value.reply
    assert ("TLS" in str(caught.value)) == (first == 0x16)


@pytest.mark.parametrize("first", FRONTS)
def test_credentials_reach_every_protocol(first: int) -> None:
    asked = {4: b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00", 5: b"\x05\x01\x00"}
    request = asked.get(first, bytes([first]) + b"ET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n")
    with pytest.raises(RequestError):
        front_for(first, "user", "password").feed(request)
    front_for(first, "", "").feed(request)
