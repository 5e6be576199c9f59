"""Client: its state, its port, its connector tokens, and what it says when it can't."""

from __future__ import annotations

import asyncio
import errno
import socket
import uuid
from urllib.parse import unquote, urlsplit

import pytest

from linksocks import (
    AuthError,
    Client,
    ClosedError,
    ConfigError,
    ConnectorError,
    DeadlineError,
    LinkClosed,
    LinkDown,
    LinkError,
    LinkSocksError,
    ListenError,
    PartnersChanged,
    Server,
    TargetError,
)
from tests.library.conftest import url_of
from tests.support.socks import connect
from tests.support.targets import EchoTarget, mute_port, refusing_port
from tests.support.waits import eventually

pytestmark = pytest.mark.usefixtures("clean")


def test_its_state_before_during_and_after(server: Server, url: str) -> None:
    client = Client("token", ws_url=url, socks_port=0)
    server.add_forward_token("token")
    assert (client.is_connected, client.socks_port, client.get_rtt(), client.get_partners_count()) == (
        False,
        0,
        -1,
        0,
    )
    assert (client.get_remote_protocol_version(), client.get_server_token()) == (0, "token")
    client.wait_ready(10)
    assert client.is_connected is True
    assert client.socks_port
    port = client.socks_port
    assert client.get_remote_protocol_version() in (1, 2)
    eventually(lambda: client.get_rtt() >= 0)  # the first ping is on its way
    assert client.get_rtt() < 10**10
    assert (client.get_direct_rtt(), client.data_path(), client.channel_path(str(uuid.uuid4()))) == (
        -1,
        "relay",
        "",
    )
    client.close()
    assert (client.is_connected, client.socks_port) == (False, port)


def test_with_does_not_wait(url: str) -> None:
    with mute_port() as port, Client("token", ws_url=f"ws://127.0.0.1:{port}", socks_port=0) as client:
        assert client.socks_port
        assert client.is_connected is False


def test_with_says_that_the_port_is_in_use(url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        client = Client("token", ws_url=url, socks_port=holder.getsockname()[1])
        with pytest.raises(ListenError, match="the port is in use"), client:
            raise AssertionError("inside")
    with pytest.raises(ClosedError):
        client.wait_ready()


@pytest.mark.parametrize("reconnect", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_refused_token_is_said_at_once(url: str, reconnect: bool, reverse: bool) -> None:
    with Client("wrong", ws_url=url, socks_port=0, reconnect=reconnect, reverse=reverse) as client:
        port = client.socks_port
        for _ in range(2):
            with pytest.raises(AuthError, match="invalid token"):
                client.wait_ready()
            if port:
                socket.create_server(("127.0.0.1", port)).close()  # it is free
        with pytest.raises(AuthError, match="invalid token"):
            client.__enter__()
        assert client.is_connected is False


def test_without_reconnect_any_failure_is_said_at_once() -> None:
    with refusing_port() as port, Client("token", ws_url=f"ws://127.0.0.1:{port}", socks_port=0) as client:
        with pytest.raises(LinkError, match="refused"):
            client.wait_ready()
        with pytest.raises(TargetError, match="refused") as caught:
            client.create_connection(("127.0.0.1", 80))
        assert caught.value.errno == errno.ENETUNREACH
        assert isinstance(caught.value.__cause__, LinkError)
        with pytest.raises(LinkError, match="refused"):
            client.proxies  # noqa: B018


def test_with_reconnect_a_deadline_ends_the_wait_and_says_what_failed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with (
        refusing_port() as port,
        Client("token", ws_url=f"ws://127.0.0.1:{port}", socks=False, reconnect=True) as client,
    ):
        eventually(lambda: "trying again" in caplog.text)
        with pytest.raises(DeadlineError, match="refused") as caught:
            client.wait_ready("300ms")
        assert isinstance(caught.value, TimeoutError)


def test_wait_ready_begins_anew_where_the_client_has_ended(echo: EchoTarget) -> None:
    with Server(ws_host="127.0.0.1", ws_port=0) as first:
        first.add_forward_token("token")
        ws_port = first.ws_port
        client = Client("token", ws_url=url_of(first), socks_port=0)
        client.wait_ready(10)
        port = client.socks_port
        events = client.events()
    assert isinstance(next(events), LinkDown)
    with pytest.raises(TargetError) as caught:
        until_ended(client)
    assert isinstance(caught.value.__cause__, (LinkClosed, LinkError))
    assert client.is_connected is False
    with Server(ws_host="127.0.0.1", ws_port=ws_port) as second:
        second.add_forward_token("token")
        client.wait_ready(10)
        assert client.is_connected
        assert client.socks_port == port
        with connect(port or 0, echo.host, echo.port) as sock:
            sock.sendall(b"x")
            assert sock.recv(1) == b"x"
        client.close()


def test_a_client_that_has_lost_its_link_says_what_helps() -> None:
    with Server(ws_host="127.0.0.1", ws_port=0) as server:
        client = Client(server.add_forward_token(), ws_url=url_of(server), socks_port=0)
        client.wait_ready(10)
    eventually(lambda: "ended" in repr(client))
    with pytest.raises(
        LinkClosed, match=r"server is stopping; wait_ready makes another link, .* reconnect=True"
    ):
        client.proxies  # noqa: B018
    client.close()


def until_ended(client: Client) -> None:
    """Calls fail once the client knows of its end."""
    eventually(lambda: client.create_connection(("127.0.0.1", 9), timeout=10).close())


def test_reconnect_needs_nobody(echo: EchoTarget) -> None:
    with Server(ws_host="127.0.0.1", ws_port=0) as first:
        first.add_forward_token("token")
        client = Client("token", ws_url=url_of(first), socks=False, reconnect=True, reconnect_delay="10ms")
        client.wait_ready(10)
    with Server(ws_host="127.0.0.1", ws_port=first.ws_port) as second:
        second.add_forward_token("token")
        client.wait_ready(10)
        client.create_connection((echo.host, echo.port), timeout=10).close()
        assert client.stats().reconnects == 1
        client.close()


@pytest.mark.parametrize(
    ("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("::1", "::1")]
)
def test_proxies_are_urls_that_work(server: Server, echo: EchoTarget, host: str, shown: str) -> None:
    user, password = "a:@/n", "p w%é"
    with Client(
        server.add_forward_token(),
        ws_url=url_of(server),
        socks_host=host,
        socks_port=0,
        socks_username=user,
        socks_password=password,
    ) as client:
        proxies = client.proxies
        assert set(proxies) == {"http", "https"}
        parts = urlsplit(proxies["http"])
        assert (parts.scheme, parts.hostname, parts.port) == ("socks5h", shown, client.socks_port)
        assert (unquote(parts.username or ""), unquote(parts.password or "")) == (user, password)
        with connect(parts.port or 0, echo.host, echo.port, proxy_host=shown, login=(user, password)) as sock:
            sock.sendall(b"x")
            assert sock.recv(1) == b"x"


def test_proxies_without_a_login(client: Client, server: Server) -> None:
    with Client(server.add_forward_token(), ws_url=url_of(server), socks_port=0) as other:
        assert other.proxies["https"] == f"socks5h://127.0.0.1:{other.socks_port}"
    with pytest.raises(ConfigError, match="no port"):
        client.proxies  # noqa: B018
    assert client.socks_port is None


def test_connector_tokens_of_a_provider(server: Server, echo: EchoTarget) -> None:
    manager = server.add_reverse_token(allow_manage_connector=True).token
    with Client(manager, ws_url=url_of(server), reverse=True) as provider:
        assert provider.add_connector("key") == "key"
        assert provider.add_connector(None) not in ("", "key")
        events = provider.events()
        with Client("key", ws_url=url_of(server), socks=False) as connector:
            connector.create_connection((echo.host, echo.port), timeout=10).close()
            assert next(events) == PartnersChanged(1)
            assert (provider.get_partners_count(), connector.get_partners_count()) == (1, 1)
        provider.remove_connector("key")
        with Client("key", ws_url=url_of(server), socks=False) as late, pytest.raises(AuthError):
            late.wait_ready()
        with pytest.raises(ConnectorError):
            provider.remove_connector("never")


def test_connector_tokens_that_the_server_refuses(server: Server) -> None:
    plain = server.add_reverse_token().token
    with (
        Client(plain, ws_url=url_of(server), reverse=True) as provider,
        pytest.raises(ConnectorError, match=r"(?i)connector"),
    ):
        provider.add_connector("key")


def test_connector_tokens_are_for_providers(client: Client) -> None:
    for call in (client.add_connector, client.remove_connector):
        with pytest.raises(ConfigError, match="reverse=True"):
            call("key")


@pytest.mark.parametrize("channel", ["bad", "", None, 5, b"x" * 16])
def test_what_is_no_channel_has_no_path(client: Client, channel: str) -> None:
    with pytest.raises(ConfigError, match=r"^channel_id: expected a UUID"):
        client.channel_path(channel)


def test_every_call_has_a_twin_for_asyncio(server: Server) -> None:
    manager = server.add_reverse_token(allow_manage_connector=True).token

    async def main() -> None:
        async with Client(manager, ws_url=url_of(server), reverse=True) as provider:
            assert provider.is_connected
            assert await provider.async_add_connector("key") == "key"
            await provider.async_remove_connector("key")
            with pytest.raises(LinkSocksError):
                await provider.async_remove_connector("key")
        wrong = Client("wrong", ws_url=url_of(server), socks=False)
        with pytest.raises(AuthError):
            async with wrong:
                raise AssertionError("inside")

    asyncio.run(main())


def test_what_the_handshake_says_is_the_programs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        with Client(
            "token",
            ws_url=f"ws://127.0.0.1:{listener.getsockname()[1]}",
            socks=False,
            user_agent="probe/1",
            headers={"X-Own": "one"},
            host_header="example.org",
        ):
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(10)
                head = b""
                while b"\r\n\r\n" not in head:
                    head += connection.recv(4096)
    for line in (b"User-Agent: probe/1", b"X-Own: one", b"Host: example.org"):
        assert line in head
