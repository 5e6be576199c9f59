"""What constructors and calls take and refuse; that they begin nothing is in test_life."""

from __future__ import annotations

import itertools
import logging
from pathlib import Path
from typing import Any

import pytest

from linksocks import AccessRule, Client, ConfigError, Server
from linksocks.library import arguments as a
from linksocks.net.out.proxies import ProxyUrl

BOTH = (Server, Client)

NOTHING = (0, False, "", b"", {}, 5)
"""What may not be taken for an access list without a rule, which allows all."""


@pytest.mark.parametrize(
    ("make", "arguments", "words"),
    [
        (Server, {"ws_port": 65536}, r"^ws_port: expected a port .* got '65536'"),
        (Server, {"ws_port": -1}, r"^ws_port: expected a port"),
        (Server, {"ws_host": "a\nb"}, r"^ws_host: expected a host"),
        (Server, {"port_pool": (9, 8)}, r"^port_pool: expected one port or more, the first not above"),
        (Server, {"port_pool": []}, r"^port_pool: expected one port or more"),
        (Server, {"port_pool": [5, 5]}, r"^port_pool: 5 is in it twice"),
        (Server, {"port_pool": itertools.repeat(5)}, r"^port_pool: 5 is in it twice"),
        (Server, {"port_pool": [0]}, r"^port_pool: expected ports"),
        (Server, {"port_pool": range(65000, 70000)}, r"^port_pool: expected ports"),
        (Server, {"port_pool": "9-8"}, r"^port_pool: expected two ports"),
        (Server, {"api_key": "k" * 256}, r"^api_key: expected 1 to 255 bytes[^k]*$"),
        (Server, {"tls_cert": "cert.pem"}, r"^tls_key: is needed with tls_cert"),
        (Server, {"tls_cert": "no/such", "tls_key": "no/such"}, r"no/such"),
        (Server, {"tls_client_ca": "ca.pem"}, r"^tls_client_ca: has no effect"),
        (Server, {"connect_timeout": "soon"}, r"^connect_timeout: invalid duration 'soon'"),
        (Server, {"channel_timeout": -1}, r"^channel_timeout: -1 is negative"),
        (
            Server,
            {"dial_access_control": [AccessRule(["10.0.0.0/99"])]},
            r"^dial_access_control: '10.0.0.0/99'",
        ),
        (Client, {"ws_url": "ftp://example.org"}, r"^ws_url: expected a server's URL"),
        (Client, {"ws_url": "ws://u:secret@example.org"}, r"^ws_url: (?!.*secret)"),
        (Client, {"token": "t" * 256}, r"^token: expected 1 to 255 bytes(?!.*ttt)"),
        (Client, {"threads": 0}, r"^threads: expected a number from 1 to 64"),
        (Client, {"threads": 65}, r"^threads: expected a number from 1 to 64"),
        (Client, {"socks_username": "ann"}, r"^socks_password: expected with"),
        (Client, {"socks_password": "secret"}, r"^socks_username: (?!.*secret)"),
        (Client, {"user_agent": "a\r\nHost: b"}, r"^user_agent: expected printable ASCII"),
        (Client, {"headers": {"Host": "b"}}, r"^headers: the header Host is not yours"),
        (Client, {"headers": {"X": "a\nY: secret"}}, r"^headers: (?!.*secret)"),
        (Client, {"insecure": True}, r"^insecure: has no effect on a ws:// URL"),
        (Client, {"tls_pin": "ab" * 32}, r"^tls_pin: has no effect on a ws:// URL"),
        (Client, {"ws_url": "wss://a", "tls_pin": "xy"}, r"^tls_pin: expected 64 hex digits"),
        (Client, {"ws_url": "wss://a", "insecure": True, "ca_file": "ca.pem"}, r"^insecure: checks nothing"),
        (Client, {"ws_url": "wss://a", "ca_file": "no/such"}, r"no/such"),
        (
            Client,
            {"ws_url": "wss://a", "tls_client_cert": "c"},
            r"^tls_client_key: is needed with tls_client_cert",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(make: Any, arguments: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make(**arguments)


@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        *[(make, {"logger": "app"}) for make in BOTH],
        *[(make, {"fast_open": "no"}) for make in BOTH],
        *[(make, {"fast_open": 2}) for make in BOTH],
        *[(make, {"buffer_size": 4096.0}) for make in BOTH],
        *[(make, {"buffer_size": True}) for make in BOTH],
        *[(make, {"connect_timeout": [5]}) for make in BOTH],
        *[(make, {"connect_timeout": True}) for make in BOTH],
        *[(make, {"entry_access_control": AccessRule([])}) for make in BOTH],
        *[(make, {"dial_access_control": ["10.0.0.0/8"]}) for make in BOTH],
        *[(make, {"dial_access_control": [AccessRule("10.0.0.0/8")]}) for make in BOTH],
        *[(make, {"dial_access_control": [AccessRule([], [True])]}) for make in BOTH],
        *[(make, {"dial_access_control": [AccessRule([], 80)]}) for make in BOTH],
        *[(make, {"dial_access_control": [AccessRule([], "80")]}) for make in BOTH],
        *[(make, {"dial_access_control": [AccessRule([], None)]}) for make in BOTH],
        *[(make, {"dial_access_control": [AccessRule(None)]}) for make in BOTH],
        *[(make, {"dial_access_control": [AccessRule([b"a"])]}) for make in BOTH],
        *[(make, {"entry_access_control": nothing}) for make in BOTH for nothing in NOTHING],
        *[(make, {"upstream_proxy": nothing}) for make in BOTH for nothing in (0, False, b"", [])],
        *[(make, {"threads" if make is Client else "ws_port": int}) for make in BOTH],
        *[(Server, {name: True}) for name in ("tls_cert", "tls_key", "tls_client_ca", "state_file")],
        *[(Client, {name: True}) for name in ("ca_file", "tls_client_cert", "tls_client_key")],
        (Server, {"port_pool": int}),
        (Server, {"port_pool": {80: 90}}),
        (Server, {"api_keys": 5}),
        (Server, {"api_keys": {"key": "value"}}),
        (Client, {"headers": 0}),
        (Client, {"headers": 5}),
        (Client, {"socks_port": int}),
        (Server, {"ws_host": b"localhost"}),
        (Server, {"port_pool": 5}),
        (Server, {"port_pool": (10, 20, 30)}),
        (Server, {"port_pool": ["a"]}),
        (Server, {"api_keys": "key"}),
        (Server, {"upstream_proxy": 5}),
        (Client, {"token": b"token"}),
        (Client, {"headers": "X: y"}),
        (Client, {"socks_port": "80a"}),
        (Client, {"no_such": 1}),
    ],
)
def test_what_has_the_wrong_type_is_refused(make: Any, arguments: Any) -> None:
    with pytest.raises(TypeError, match=next(iter(arguments))):
        make(**arguments)


@pytest.mark.parametrize(
    ("given", "ports"),
    [
        (None, tuple(range(1024, 10241))),
        ("", tuple(range(1024, 10241))),
        (range(10, 20, 5), (10, 15)),
        ((10, 12), (10, 11, 12)),
        ([10, 12], (10, 12)),
        ([12, 10], (12, 10)),
        ("10-12", (10, 11, 12)),
        ("10", (10,)),
        ({7}, (7,)),
    ],
)
def test_pools_of_ports(given: Any, ports: tuple[int, ...]) -> None:
    assert a.port_pool(given) == ports


@pytest.mark.timeout(5)  # a lookup in all of them would take longer, and be deaf for signals
@pytest.mark.parametrize(
    "given",
    [
        (20_000, 2_000_029_999),
        range(1, 10**15),
        range(10**15, 1, -1),
        range(2**70),
        range(1, 65537),
        range(65536),
        itertools.count(1),
        itertools.repeat(65536),
        (port for port in (0,)),
    ],
)
def test_pools_without_an_end(given: Any) -> None:
    with pytest.raises(ConfigError, match=r"^port_pool: expected ports"):
        a.port_pool(given)


def test_the_largest_pools_of_ports() -> None:
    everything = range(1, 65536)
    assert a.port_pool(everything) == a.port_pool((1, 65535)) == tuple(everything)
    assert a.port_pool(iter(everything)) == tuple(everything)
    assert a.port_pool(everything[::-1]) == tuple(everything[::-1])


@pytest.mark.parametrize(
    ("given", "proxy"),
    [
        (("proxy:1081",), ProxyUrl("socks5h", "proxy", 1081)),
        (("[::1]:1081",), ProxyUrl("socks5h", "::1", 1081)),
        (("proxy",), ProxyUrl("socks5h", "proxy", 1080)),
        (("socks5://proxy",), ProxyUrl("socks5", "proxy", 1080)),
        (("http://proxy",), ProxyUrl("http", "proxy", 8080)),
        (("http://ann:p%40@proxy",), ProxyUrl("http", "proxy", 8080, "ann", "p@")),
        (("proxy:1", "ann", "p@/"), ProxyUrl("socks5h", "proxy", 1, "ann", "p@/")),
        (("socks5h://proxy", None, "word"), ProxyUrl("socks5h", "proxy", 1080, "", "word")),
        ((None, "", ""), None),
    ],
)
def test_upstream_proxies(given: Any, proxy: ProxyUrl | None) -> None:
    assert a.upstream(*(*given, None, None)[:3]) == proxy


@pytest.mark.parametrize(
    "given",
    [
        (None, "ann", "secret"),
        ("socks5://bob:other@proxy", "ann", "secret"),
        ("https://proxy", None, None),
        ("ftp://proxy", None, None),
        ("proxy:port", None, "secret"),
        ("http://proxy", "a:b", "secret"),
        ("proxy", "n" * 256, "secret"),
    ],
)
def test_upstream_proxies_that_are_none(given: Any) -> None:
    with pytest.raises(ConfigError, match=r"^upstream_(proxy|username)(?!.*secret)"):
        a.upstream(*given)


def test_a_connector_token_is_called_so() -> None:
    with pytest.raises(TypeError, match=r"^connector_token"):
        Server().add_connector_token(True, "reverse")  # type: ignore[arg-type]


def test_a_buffer_that_is_too_small_to_be_of_use_is_made_larger() -> None:
    assert a.buffer_size(4096) == a.LEAST_BUFFER
    assert a.buffer_size(None) == 1 << 20
    assert a.buffer_size(2 << 20) == 2 << 20
    with pytest.raises(ConfigError, match="buffer_size"):
        a.buffer_size(0)
    with pytest.raises(ConfigError, match="buffer_size"):
        a.buffer_size(1 << 40)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("", 80), "^host"),
        (("a\0b", 80), "^host"),
        (("a" * 256, 80), "^host"),
        (("\udc80", 80), "^host"),
        (("localhost", 0), "^port"),
        (("localhost", 65536), "^port"),
        (("localhost", -1), "^port"),
    ],
)
def test_targets_that_are_none(given: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        a.address(given)


@pytest.mark.parametrize(
    "given", [None, "localhost:80", ("localhost",), (b"localhost", 80), ("localhost", None), 5]
)
def test_targets_of_the_wrong_type(given: Any) -> None:
    with pytest.raises(TypeError):
        a.address(given)


def test_what_programs_give_from_their_environment_will_do(tmp_path: Path) -> None:
    server = Server(ws_port="8765", fast_open=1, state_file=tmp_path / "state", port_pool=["5000"])  # type: ignore[arg-type]
    assert server.ws_port == 8765
    assert a.api_keys("one", ["two", "one", ""]) == ["one", "two"]
    assert Client("", logger=logging.getLogger("app")).log.name == "app"
