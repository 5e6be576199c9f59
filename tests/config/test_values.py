"""Each kind of value: what it takes, and that it refuses the rest with ValueError alone."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linksocks.config import values
from linksocks.config.secret import Secret
from linksocks.config.values import Kind
from linksocks.net.out.proxies import ProxyUrl

KINDS = {name: kind for name, kind in vars(values).items() if isinstance(kind, Kind)}


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("DURATION", "10", 10.0),
        ("DURATION", "1.5s", 1.5),
        ("DURATION", "300ms", 0.3),
        ("DURATION", "2m", 120.0),
        ("DURATION", "1h30m", 5400.0),
        ("DURATION", "0", 0.0),
        ("PORT", "0", 0),
        ("PORT", "65535", 65535),
        ("BUFFER", "4096", 4096),
        ("BUFFER", "67108864", 64 * 1024 * 1024),
        ("SWITCH", "1", True),
        ("SWITCH", "Yes", True),
        ("SWITCH", "on", True),
        ("SWITCH", "TRUE", True),
        ("SWITCH", "0", False),
        ("SWITCH", "no", False),
        ("SWITCH", "off", False),
        ("SWITCH", "false", False),
        ("DEBUG", "2", 2),
        ("URL", "ws://127.0.0.1:8765", "ws://127.0.0.1:8765"),
        ("URL", "example.org", "example.org"),
        ("URL", "https://[::1]:443/path?x=1", "https://[::1]:443/path?x=1"),
        ("LIST", "10.0.0.0/8:80  example.org:443", ("10.0.0.0/8:80", "example.org:443")),
        ("USER", "ü" * 127, "ü" * 127),
        ("HOST", "[::1]", "::1"),
        ("HOST", "::1", "::1"),
        ("PROXY", "http://me:x@proxy", ProxyUrl("http", "proxy", 8080, "me", "x")),
        ("HEADER_VALUE", "mine/1 (x)", "mine/1 (x)"),
    ],
)
def test_good(kind: str, text: str, value: Any) -> None:
    assert KINDS[kind].parse(text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("DURATION", "-1"),
        ("DURATION", "1d"),
        ("DURATION", "10 s"),
        ("DURATION", "inf"),
        ("DURATION", "nan"),
        ("DURATION", "s"),
        ("DURATION", "25h"),
        ("DURATION", "9" * 400),
        ("PORT", "-1"),
        ("PORT", "65536"),
        ("PORT", "http"),
        ("PORT", "٣"),
        ("PORT", "+1"),
        ("BUFFER", "4095"),
        ("BUFFER", "67108865"),
        ("BUFFER", "1M"),
        ("SWITCH", "maybe"),
        ("DEBUG", "3"),
        ("URL", "ftp://example.org"),
        ("URL", "ws://"),
        ("URL", "ws://h:99999"),
        ("URL", "ws://h:0"),
        ("URL", "ws://[::1"),
        ("USER", "ü" * 128),
        ("SECRET", "line\nbreak"),
        ("HOST", ""),
        ("HOST", "[]"),
        ("URL", "ws://me:secret@h"),
        ("PROXY", "https://proxy"),
        ("PROXY", "proxy:1080"),
        ("HEADER_VALUE", "a\tb"),
        ("HEADER_VALUE", "é"),
        ("HEADERS", "no colon"),
        ("HEADERS", ": value"),
        ("HEADERS", "Name:"),
        ("HEADERS", "Na me: value"),
        ("HEADERS", "Name : value"),
        ("HEADERS", "Name: va\rlue"),
        ("HEADERS", "Name: va\x0blue"),
        ("HEADERS", "Name: \x85"),
        ("HEADERS", "A: b\n\nC: d"),
    ],
)
def test_bad(kind: str, text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the kind's `expected` is what users read
        KINDS[kind].parse(text)


def test_headers_are_secrets_in_order() -> None:
    headers = KINDS["HEADERS"].parse("X-A:  one two \n  Authorization: Basic x:y\nx-a: 3\n")
    assert [(name, value.reveal()) for name, value in headers] == [
        ("X-A", "one two"),
        ("Authorization", "Basic x:y"),
        ("x-a", "3"),
    ]
    assert "Basic" not in repr(headers)


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "UPGRADE",
        "connection",
        "Sec-WebSocket-Key",
        "sec-websocket-x",
        "User-Agent",
        "LinkSocks-Extensions",
    ],
)
def test_headers_that_are_ours(name: str) -> None:
    with pytest.raises(values.ExplainedError, match=f"the header {name} is not yours to set"):
        KINDS["HEADERS"].parse(f"X: y\n{name}: secret")


def test_a_secret_is_a_secret() -> None:
    secret = KINDS["SECRET"].parse("word")
    assert isinstance(secret, Secret)
    assert secret.reveal() == "word"


@pytest.mark.parametrize("kind", KINDS)
@given(text=st.text())
def test_any_text_is_a_value_or_a_value_error(kind: str, text: str) -> None:
    with suppress(ValueError):
        KINDS[kind].parse(text)
