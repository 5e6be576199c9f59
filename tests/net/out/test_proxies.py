"""Addresses of proxies as users write them, and which one the environment names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linksocks.errors import ConfigError
from linksocks.net.out.proxies import ProxyUrl, environment_proxy, parse_proxy

PROXY = ProxyUrl("http", "proxy", 3128)


@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("socks5://proxy", ProxyUrl("socks5", "proxy", 1080)),
        ("socks5h://proxy:9/", ProxyUrl("socks5h", "proxy", 9)),
        ("HTTP://Proxy", ProxyUrl("http", "proxy", 8080)),
        ("http://[::1]:3128", ProxyUrl("http", "::1", 3128)),
        ("http://me:p%40%3a%2F@proxy", ProxyUrl("http", "proxy", 8080, "me", "p@:/")),
        ("socks5://m%3Ae:p@proxy", ProxyUrl("socks5", "proxy", 1080, "m:e", "p")),
        ("http://m%C3%A9:@proxy", ProxyUrl("http", "proxy", 8080, "mé", "")),
        ("http://me:a@b@proxy", ProxyUrl("http", "proxy", 8080, "me", "a@b")),
    ],
)
def test_what_an_address_means(text, proxy):
    assert parse_proxy(text) == proxy


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a proxy's address such as"),
        ("proxy:1080", "expected"),
        ("socks4://proxy", "expected"),
        ("http://", "expected"),
        ("http://:80", "expected"),
        ("http://proxy:0", "expected"),
        ("http://proxy:99999", "expected"),
        ("http://proxy:hunter2", "expected"),
        ("http://[::1", "expected"),
        ("http://a b", "expected"),
        ("http://proxy/path", "expected"),
        ("http://me:hunter2/x@proxy", "expected"),
        ("http://me:1?hunter2@proxy", "write / . # @ in a password as %2F %3F %23 %40"),
        ("https://me:hunter2@proxy", "https://. is not supported: give http:// or socks5h://"),
        ("http://me:hunter2%ff@proxy", "not UTF-8"),
        ("http://m%3Ae:hunter2@proxy", "no user of an http:// proxy has a colon"),
        (f"socks5://me:{'hunter2' * 37}@proxy", "longer than 255 bytes"),
    ],
)
def test_no_address(text, said):
    with pytest.raises(ConfigError, match=said) as caught:
        parse_proxy(text)
    assert "hunter2" not in str(caught.value)


@given(st.text())
def test_any_text_is_an_address_or_a_config_error(text):
    for beginning in ("", "http://", "socks5://me:"):
        try:
            proxy = parse_proxy(beginning + text)
        except ConfigError:
            continue
        assert proxy.host
        assert 0 < proxy.port < 65536


def test_the_password_does_not_show_itself():
    assert "hunter2" not in repr(parse_proxy("http://hunter2:hunter2@proxy"))


# The environment

SCHEMES = [("ws", "http_proxy"), ("wss", "https_proxy")]


def chosen(scheme: str, host: str = "example.org", port: int = 80, **environ: str) -> ProxyUrl | None:
    return environment_proxy(scheme, host, port, environ)


@pytest.mark.parametrize(("scheme", "variable"), SCHEMES)
def test_each_scheme_has_its_variable_in_both_cases(scheme, variable):
    assert chosen(scheme, **{variable: "http://proxy:3128"}) == PROXY
    assert chosen(scheme, **{variable.upper(): "http://proxy:3128"}) == PROXY
    assert chosen(scheme, **{variable: "http://proxy:3128", variable.upper(): "http://other"}) == PROXY
    assert chosen(scheme, **{variable: "http://proxy:3128", "all_proxy": "http://other"}) == PROXY
    assert chosen(scheme, ALL_PROXY="http://proxy:3128") == PROXY
    assert chosen(scheme, **{variable: "", "ALL_PROXY": "http://proxy:3128"}) == PROXY


def test_the_other_schemes_variable_does_not_count():
    assert chosen("ws", https_proxy="http://proxy") is None
    assert chosen("wss", http_proxy="http://proxy") is None
    assert chosen("wss") is None


def test_without_a_scheme_it_is_an_http_proxy():
    assert chosen("wss", https_proxy="proxy:3128") == PROXY


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "127.0.0.1", "127.9.9.9", "::1"])
def test_this_machine_is_not_behind_a_proxy(host):
    assert chosen("ws", host, http_proxy="broken", all_proxy="http://proxy") is None


@pytest.mark.parametrize(
    ("exceptions", "host", "exempt"),
    [
        ("*", "example.org", True),
        ("example.org", "example.org", True),
        ("EXAMPLE.org", "a.Example.ORG.", True),
        (".example.org", "a.example.org", True),
        (".example.org", "example.org", True),
        ("*.example.org", "a.example.org", True),
        ("example.org", "anexample.org", False),
        ("a.example.org", "example.org", False),
        ("x, example.org ,y", "example.org", True),
        ("x example.org", "example.org", True),
        ("example.org:80", "example.org", True),
        ("example.org:81", "example.org", False),
        ("example.org:x", "example.org", False),
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1:80", "10.0.0.1", True),
        ("10.0.0.1:81", "10.0.0.1", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.0/8", "example.org", False),
        ("fe80::/10", "fe80::1", True),
        ("[2001:db8::1]", "2001:db8::1", True),
        ("[2001:db8::1]:80", "2001:db8::1", True),
        ("[2001:db8::1]:81", "2001:db8::1", False),
        (",.,*.,:80", "example.org", False),
        ("", "example.org", False),
    ],
)
@pytest.mark.parametrize("variable", ["no_proxy", "NO_PROXY"])
def test_exceptions(exceptions, host, exempt, variable):
    proxy = chosen("wss", host, https_proxy="http://proxy:3128", **{variable: exceptions})
    assert proxy == (None if exempt else PROXY)


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("HTTPS_PROXY", "http://me:hunter2@proxy:x"),
        ("all_proxy", "socks4://hunter2"),
        ("https_proxy", "https://p"),
    ],
)
def test_a_bad_address_names_its_variable_and_shows_no_password(variable, text):
    with pytest.raises(ConfigError, match=f"^{variable}: .*--no-env-proxy$") as caught:
        chosen("wss", **{variable: text})
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)
