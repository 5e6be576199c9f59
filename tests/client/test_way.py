"""The way to the server: through proxies, given or of the environment, and after redirects."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from gevent import socket

from linksocks.client import login
from linksocks.client.role import ClientRole
from linksocks.client.session import Session
from linksocks.errors import AuthError, Cause, ConfigError, LinkClosed, LinkError
from linksocks.net.out.proxies import ProxyUrl
from linksocks.net.out.resolve import Resolver
from linksocks.server.role import ServerRole
from linksocks.wire import messages as m
from linksocks.wire.auth import token_hash
from linksocks.wire.frames import CloseCode
from tests.support import socks
from tests.support.associations import Association, udp_socket
from tests.support.proxies import SCHEMES, detour, our_proxy
from tests.support.rawsocket import RawPeer, read_head, serving
from tests.support.roles import TOKEN, client_role, provider_role, running, server_role, uplink
from tests.support.targets import EchoTarget, mute_port, refusing_port
from tests.support.tunnels import PATIENCE
from tests.support.visitors import PlayedServer

NOWHERE = "ws://nosuch.invalid:8765"
"""A server that only a proxy can reach."""


@pytest.fixture
def server() -> Iterator[ServerRole]:
    with running(server_role()) as role:
        yield role


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def works(**said: Any) -> None:
    """A link can be made and logs in."""
    resolver = Resolver()
    try:
        link = Session(uplink(0, **said), resolver, reverse=False).link()
        link.close(CloseCode.NORMAL)
        with pytest.raises(LinkClosed):
            link.run()
    finally:
        resolver.close()


def refused(**said: Any) -> str:
    """The words of the LinkError."""
    with pytest.raises(LinkError) as caught:
        works(**said)
    caught.value.__traceback__ = None  # it holds the frames that hold the sockets
    caught.value.__cause__ = None
    return str(caught.value)


def application(client: ClientRole, host: str, port: int) -> socket.socket:
    return socks.connect(client.socks_port, host, port, timeout=PATIENCE, create=socket.create_connection)  # type: ignore[no-any-return]


def reply(client: ClientRole, host: str, port: int) -> int:
    with pytest.raises(socks.SocksRefused) as caught:
        application(client, host, port)
    return caught.value.reply


# Proxies to the server


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_given_proxy_finds_the_server(server: ServerRole, scheme: str) -> None:
    seen: list[bytes] = []
    with detour(scheme, server.port, seen) as port:
        works(url=NOWHERE, proxy=ProxyUrl(scheme, "127.0.0.1", port))
    assert seen == [b"nosuch.invalid:8765"]


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "http"])
def test_the_given_proxy_goes_for_this_machine_too(server: ServerRole, scheme: str) -> None:
    with our_proxy("me", "secret") as port:
        proxy = ProxyUrl(scheme, "127.0.0.1", port, "me", "secret")
        works(url=f"ws://localhost:{server.port}", proxy=proxy)
        words = refused(url="ws://127.0.0.1:1", proxy=ProxyUrl(scheme, "127.0.0.1", port, "me", "wrong"))
    assert words.startswith(f"TCP: upstream proxy 127.0.0.1:{port}: ")
    assert "wrong" not in words


@pytest.mark.parametrize(
    ("variable", "text"), [("HTTP_PROXY", "http://"), ("all_proxy", "socks5h://"), ("http_proxy", "")]
)
def test_the_environments_proxy_finds_the_server(
    server: ServerRole, monkeypatch: pytest.MonkeyPatch, variable: str, text: str
) -> None:
    with detour("socks5h" if "socks" in text else "http", server.port) as port:
        monkeypatch.setenv(variable, f"{text}127.0.0.1:{port}")
        works(url=NOWHERE)
        assert "no such host" in refused(url=NOWHERE, env_proxy=False)
        monkeypatch.setenv("NO_PROXY", ".invalid")
        assert "no such host" in refused(url=NOWHERE)


def test_the_given_proxy_goes_before_the_environments(
    server: ServerRole, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "nonsense://")
    with detour("http", server.port) as port:
        works(url=NOWHERE, proxy=ProxyUrl("http", "127.0.0.1", port))


def test_a_server_on_this_machine_is_not_behind_the_environments_proxy(
    server: ServerRole, monkeypatch: pytest.MonkeyPatch
) -> None:
    with refusing_port() as dead:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{dead}")
        works(url=f"ws://localhost:{server.port}")


def test_a_bad_proxy_of_the_environment_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:hunter2@proxy:x")
    with pytest.raises(ConfigError, match=r"^HTTPS_PROXY: ") as caught:
        client_role(0, url="wss://example.org")
    assert "hunter2" not in str(caught.value)


def test_a_proxy_that_is_not_there() -> None:
    with refusing_port() as port:
        words = refused(url=NOWHERE, proxy=ProxyUrl("http", "127.0.0.1", port))
    assert words == (
        f"TCP: can't reach upstream proxy 127.0.0.1:{port}: Connection refused; "
        "check the upstream proxy, or the environment's"
    )


# Proxies to targets


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_server_dials_through_its_proxy(scheme: str) -> None:
    seen: list[bytes] = []
    with EchoTarget() as echo, detour(scheme, echo.port, seen) as port:
        upstream = ProxyUrl(scheme, "127.0.0.1", port)
        with (
            running(server_role(upstream=upstream)) as server,
            running(client_role(server.port, socks_no_wait=True)) as client,
        ):
            sock = application(client, "nosuch.invalid", 7)
            sock.sendall(b"hello")
            assert RawPeer(sock, masking=False).exactly(5) == b"hello"
            sock.close()
    assert seen == [b"nosuch.invalid:7"]


def test_a_servers_proxy_that_says_no_is_told_to_the_application() -> None:
    with our_proxy() as port, refusing_port() as dead:
        upstream = ProxyUrl("socks5h", "127.0.0.1", port)
        with (
            running(server_role(upstream=upstream)) as server,
            running(client_role(server.port, socks_no_wait=True)) as client,
        ):
            assert reply(client, "127.0.0.1", dead) == Cause.REFUSED


def test_a_server_sends_datagrams_through_its_proxy() -> None:
    with our_proxy() as port, udp_socket(sockets=socket) as target:
        upstream = ProxyUrl("socks5h", "127.0.0.1", port)
        with (
            running(server_role(upstream=upstream)) as server,
            running(client_role(server.port, socks_no_wait=True)) as client,
            Association(("127.0.0.1", client.socks_port), sockets=socket) as app,
        ):
            app.send("localhost", target.getsockname()[1], b"question")
            question, source = target.recvfrom(100)
            target.sendto(b"answer to " + question, source)
            assert app.receive() == (*target.getsockname(), b"answer to question")


def test_a_server_with_an_http_proxy_refuses_datagrams(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    upstream = ProxyUrl("http", "127.0.0.1", 1)
    with (
        running(server_role(upstream=upstream)) as server,
        running(client_role(server.port, socks_no_wait=True)) as client,
        pytest.raises(socks.SocksRefused) as caught,
    ):
        Association(("127.0.0.1", client.socks_port), sockets=socket)
    assert caught.value.reply == Cause.NOT_ALLOWED
    assert "HTTP proxies carry no UDP" in caplog.text


def test_a_provider_dials_through_its_proxy_and_reaches_its_server_without() -> None:
    with PlayedServer() as server, mute_port() as target, our_proxy() as port:
        upstream = ProxyUrl("socks5", "127.0.0.1", port)
        with running(provider_role(server.port, upstream=upstream)):
            visitor = server.admit()
            visitor.send(m.Connect(b"c" * 16, "127.0.0.1", target))
            assert visitor.expect(m.ConnectResponse).success
            visitor.send(m.Disconnect(b"c" * 16))
            visitor.leave()


# The handshake


def test_what_the_user_adds_is_said() -> None:
    heads: list[bytes] = []
    with serving(lambda sock: heads.append(read_head(sock))) as port:
        refused(
            url=f"ws://127.0.0.1:{port}/prefix/socket/",
            user_agent="mine/1",
            headers=[("X-Secret", "s")],
            host_header="example.org",
        )
    lines = heads[0].decode().split("\r\n")
    assert lines[0] == "GET /prefix/socket/ HTTP/1.1"
    assert {"User-Agent: mine/1", "X-Secret: s", "Host: example.org"} < set(lines)


@contextmanager
def redirecting(location: str, heads: list[bytes]) -> Iterator[int]:
    """`{query}` in the location is that of the request."""

    def answer(sock: socket.socket) -> None:
        heads.append(read_head(sock))
        query = heads[-1].split()[1].decode().partition("?")[2]
        there = location.format(query=query)
        sock.sendall(f"HTTP/1.1 307 Moved\r\nLocation: {there}\r\nContent-Length: 0\r\n\r\n".encode())

    with serving(answer) as port:
        yield port


@pytest.mark.parametrize("path", ["/socket?{query}", "/socket", "/socket/deep?{query}", "/socket/deep/"])
def test_a_login_after_a_redirect(server: ServerRole, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """With the query the server has read it; without, it is said in a message at once."""
    monkeypatch.setattr(login, "SILENCE", 2 * PATIENCE)
    heads: list[bytes] = []
    with redirecting(f"http://127.0.0.1:{server.port}{path}", heads) as port:
        works(url=f"ws://127.0.0.1:{port}")
        assert token_hash(TOKEN).encode() in heads[0]
        with pytest.raises(AuthError):
            works(url=f"ws://127.0.0.1:{port}", token="wrong")


def test_another_host_gets_the_login_only_by_the_location(server: ServerRole) -> None:
    heads: list[bytes] = []
    with redirecting(f"ws://localhost:{server.port}/socket?{{query}}", heads) as port:
        works(url=f"ws://127.0.0.1:{port}")
    with redirecting(f"ws://localhost:{server.port}/socket", heads) as port:
        assert "if you trust it, give its URL" in refused(url=f"ws://127.0.0.1:{port}")
    with redirecting(f"ws://localhost:{server.port}/socket?{{query}}", heads) as port:
        assert "if you trust it, give its URL" in refused(url=f"ws://127.0.0.1:{port}/prefix/socket")


@pytest.mark.parametrize("path", ["/socket/", "/socket/prefix/socket"])
def test_other_paths_log_in_by_a_message(server: ServerRole, path: str) -> None:
    works(url=f"ws://127.0.0.1:{server.port}{path}")
