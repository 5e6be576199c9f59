"""URLs as users write them, and the login in the query as a server reads it."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linksocks.client.url import server_url, with_login
from linksocks.errors import ConfigError

HASH = "ab" * 32
INSTANCE = "00010203-0405-0607-0809-0a0b0c0d0e0f"
LOGIN = f"instance={INSTANCE}&reverse=false&token={HASH}"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("example.org", "wss://example.org/socket"),
        ("example.org:8765", "wss://example.org:8765/socket"),
        ("ws://127.0.0.1:8765", "ws://127.0.0.1:8765/socket"),
        ("ws://127.0.0.1:8765/", "ws://127.0.0.1:8765/socket"),
        ("http://example.org", "ws://example.org/socket"),
        ("https://example.org/socket", "wss://example.org/socket"),
        ("WSS://Example.org", "wss://Example.org/socket"),
        ("ws://[::1]:8765/a/b?c=d&e", "ws://[::1]:8765/a/b?c=d&e"),
        ("ws://example.org?a=b", "ws://example.org/socket?a=b"),
        ("ws://example.org/socket#part", "ws://example.org/socket"),
        ("ws://example.org/a b?c d", "ws://example.org/a%20b?c%20d"),
        ("ws://example.org/é\x01", "ws://example.org/%C3%A9%01"),
        ("ws://example.org/a%20b", "ws://example.org/a%20b"),
    ],
)
def test_what_a_url_means(text, url):
    assert server_url(text).geturl() == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "ftp://x",
        "ws://",
        "ws://:80",
        "ws:///socket",
        "ws://x:0",
        "ws://x:99999",
        "ws://x:http",
        "ws://[::1",
    ],
)
def test_no_url(text):
    with pytest.raises(ConfigError, match="expected a server's URL such as ws://127"):
        server_url(text)


def test_a_password_in_the_url_is_refused_and_not_repeated():
    with pytest.raises(ConfigError) as caught:
        server_url("ws://user:hunter2@example.org")
    assert "hunter2" not in str(caught.value)
    assert "token" in str(caught.value)


@given(st.text())
def test_any_text_is_a_url_or_a_config_error(text):
    try:
        url = server_url(text)
    except ConfigError:
        return
    target = url.geturl().encode("ascii", "replace").split(b"/", 3)[3]
    assert not any(byte <= 0x20 or byte >= 0x7F for byte in target), "it would break the request line"


def test_the_login_is_in_the_query_sorted():
    assert with_login(server_url("ws://x"), HASH, INSTANCE, reverse=False) == f"ws://x/socket?{LOGIN}"
    assert "reverse=true" in with_login(server_url("ws://x"), HASH, INSTANCE, reverse=True)


def test_what_the_query_had_stays():
    url = with_login(server_url("ws://x/socket?z=1&b=&z=0&token=mine&a=%20"), HASH, INSTANCE, reverse=False)
    query = parse_qs(urlsplit(url).query, keep_blank_values=True)
    assert query == {
        "a": [" "],
        "b": [""],
        "instance": [INSTANCE],
        "reverse": ["false"],
        "token": [HASH],
        "z": ["1", "0"],
    }
    assert list(query) == sorted(query)


@pytest.mark.parametrize("path", ["/socket/", "/socket/x", "/other", "/SOCKET"])
def test_other_paths_say_nothing(path):
    url = server_url(f"ws://x{path}?a=b")
    assert with_login(url, HASH, INSTANCE, reverse=False) == f"ws://x{path}?a=b"
