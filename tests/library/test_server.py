"""Server: its tokens and its numbers."""

from __future__ import annotations

import asyncio
import socket
import threading
import urllib.error
import urllib.request

import pytest

from linksocks import (
    AccessRule,
    Client,
    ClosedError,
    ConfigError,
    DeadlineError,
    LinkSocksError,
    LinkUp,
    ListenError,
    ReverseTokenResult,
    Server,
)
from tests.library.conftest import url_of
from tests.support.ports import free_port
from tests.support.socks import SocksRefused, connect
from tests.support.targets import EchoTarget
from tests.support.waits import eventually

pytestmark = pytest.mark.usefixtures("clean")


def test_the_kernel_chooses_a_port_which_stays_known() -> None:
    server = Server(ws_host="127.0.0.1", ws_port=0)
    assert server.ws_port == 0
    with server:
        port = server.ws_port
        socket.create_connection(("127.0.0.1", port)).close()
    assert server.ws_port == port > 0
    assert Server().ws_port == 8765


def test_a_port_that_is_in_use_is_said_by_the_first_call() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        server = Server(ws_host="127.0.0.1", ws_port=port)
        for begin in (server.wait_ready, server.__enter__):
            with pytest.raises(ListenError, match=f"127.0.0.1:{port}: the port is in use"):
                begin()
        with pytest.raises(ClosedError):  # by its block
            server.wait_ready()


def test_it_begins_once_the_port_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        server = Server(ws_host="127.0.0.1", ws_port=holder.getsockname()[1])
        with pytest.raises(ListenError):
            server.wait_ready()
    server.wait_ready(5)
    server.close()


def test_tokens_may_be_there_before_anybody_can_come(echo: EchoTarget) -> None:
    port = free_port()
    server = Server(ws_host="127.0.0.1", ws_port=port)
    with Client(
        "last", ws_url=f"ws://127.0.0.1:{port}", socks=False, reconnect=True, reconnect_delay="10ms"
    ) as client:
        with pytest.raises(DeadlineError):  # it knocks
            client.wait_ready("10ms")
        for number in range(50):
            server.add_forward_token(f"token {number}")
        assert server.remove_token("token 0")
        assert server.get_client_count() == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=10)
        server.add_forward_token("last")
        with server:
            client.wait_ready(10)


def test_tokens_are_still_there_after_a_start_that_failed(echo: EchoTarget) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        server = Server(ws_host="127.0.0.1", ws_port=holder.getsockname()[1])
        token = server.add_forward_token()
        with pytest.raises(ListenError):
            server.wait_ready()
    server.wait_ready(10)
    with Client(token, ws_url=url_of(server), socks=False) as client:
        client.wait_ready(10)
    server.close()


def test_tokens_are_made_up_where_none_is_given(server: Server) -> None:
    made = {server.add_forward_token(), server.add_forward_token(None), server.add_forward_token("")}
    assert len(made) == 3
    assert all(len(token) == 32 for token in made)
    assert server.add_forward_token("mine") == "mine"


def test_a_token_that_is_there_is_an_error_and_never_a_token(server: Server) -> None:
    server.add_forward_token("taken")
    for add in (
        lambda: server.add_forward_token("taken"),
        lambda: server.add_forward_token_with_rules("taken", []),
        lambda: server.add_reverse_token(token="taken"),
        lambda: server.add_connector_token("taken", server.add_reverse_token().token),
    ):
        with pytest.raises(ConfigError, match="already exists") as caught:
            add()
        assert "taken" not in str(caught.value)


@pytest.mark.parametrize("token", ["anonymous", "t" * 256, "a\nb"])
def test_what_is_no_token_is_refused(server: Server, token: str) -> None:
    with pytest.raises(ConfigError, match=r"^token: expected"):
        server.add_forward_token(token)


def test_a_connector_token_needs_a_reverse_token(server: Server) -> None:
    with pytest.raises(ConfigError, match="reverse token does not exist"):
        server.add_connector_token("key", "nobody")
    with pytest.raises(ConfigError, match=r"^reverse_token: expected a token"):
        server.add_connector_token("key", "")


def test_the_same_connector_token_again_does_nothing(server: Server) -> None:
    one, other = server.add_reverse_token().token, server.add_reverse_token().token
    assert server.add_connector_token("key", one) == server.add_connector_token("key", one) == "key"
    with pytest.raises(ConfigError, match="already exists"):
        server.add_connector_token("key", other)
    with pytest.raises(ConfigError, match="already exists"):
        server.add_connector_token_with_rules("key", one, [AccessRule(["10.0.0.0/8"])])


def test_the_port_of_a_reverse_token(server: Server, echo: EchoTarget) -> None:
    asked = free_port()
    result = server.add_reverse_token(token="lent", port=asked, username="ann", password="secret")
    assert result == ReverseTokenResult("lent", asked)
    assert "lent" not in repr(result)
    with Client("lent", ws_url=url_of(server), reverse=True) as provider:
        provider.wait_ready(10)
        with connect(asked, echo.host, echo.port, login=("ann", "secret")) as sock:
            sock.sendall(b"x")
            assert sock.recv(1) == b"x"
        with pytest.raises((SocksRefused, ConnectionError)):
            connect(asked, echo.host, echo.port)


def test_a_port_that_is_taken_is_an_error_and_the_token_is_none(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder, pytest.raises(ListenError):
        server.add_reverse_token(token="lent", port=holder.getsockname()[1])
    assert server.remove_token("lent") is False


def test_a_port_comes_from_the_pool() -> None:
    port = free_port()
    with Server(ws_host="127.0.0.1", ws_port=0, port_pool=[port]) as server:
        assert server.add_reverse_token().port == port
        with pytest.raises(ListenError):
            server.add_reverse_token()


def test_providers_that_manage_connectors_have_no_port(server: Server) -> None:
    assert server.add_reverse_token(allow_manage_connector=True).port == -1


def test_a_user_without_a_password_protects_nothing(server: Server) -> None:
    with pytest.raises(ConfigError, match=r"^password: expected with"):
        server.add_reverse_token(username="ann")


def test_remove_says_whether_there_was_one(server: Server) -> None:
    lent = server.add_reverse_token().token
    key = server.add_connector_token(None, lent)
    assert server.remove_token(lent) is True
    assert [server.remove_token(token) for token in (lent, key, "never")] == [False, False, False]


def test_numbers_of_clients(server: Server) -> None:
    token, lent = server.add_forward_token(), server.add_reverse_token().token
    assert (server.get_client_count(), server.has_clients()) == (0, False)
    events = server.events()
    with Client(token, ws_url=url_of(server), socks=False, threads=2) as client:
        client.wait_ready(10)
        assert [type(next(events)) for _ in range(2)] == [LinkUp, LinkUp]
        assert (server.get_client_count(), server.has_clients()) == (1, True)
        assert server.get_token_client_count(token) == 1
        assert server.get_token_client_count(lent) == server.get_token_client_count("never") == 0
    assert server.get_connector_wait_count(lent) == 0


def test_who_waits_for_a_provider_is_counted() -> None:
    with Server(ws_host="127.0.0.1", ws_port=0, connector_wait_provider=20) as server:
        lent = server.add_reverse_token().token
        key = server.add_connector_token(None, lent)
        with Client(key, ws_url=url_of(server), socks=False) as client:
            client.wait_ready(10)
            failures: list[str] = []

            def wait_in_vain() -> None:
                try:
                    client.create_connection(("127.0.0.1", 9))
                except LinkSocksError as error:
                    failures.append(str(error))

            waiting = threading.Thread(target=wait_in_vain)
            waiting.start()
            eventually(lambda: server.get_connector_wait_count(lent))
            client.close()
            waiting.join(10)
            assert "closed" in failures[0]


def test_the_api_is_for_whom_has_one_of_the_keys(url: str) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with Server(ws_host="127.0.0.1", ws_port=0, api_key="one", api_keys=["two"]) as server:
        where = f"http://127.0.0.1:{server.ws_port}/api/status"
        for key in ("one", "two"):
            request = urllib.request.Request(where, headers={"X-API-Key": key})
            with opener.open(request, timeout=10) as answer:
                assert answer.status == 200
        with pytest.raises(urllib.error.HTTPError, match="401"):
            opener.open(urllib.request.Request(where, headers={"X-API-Key": "three"}), timeout=10)


def test_every_call_has_a_twin_for_asyncio() -> None:
    async def main() -> None:
        async with Server(ws_host="127.0.0.1", ws_port=0) as server:
            rules = [AccessRule(["127.0.0.1"])]
            assert await server.async_add_forward_token("one") == "one"
            assert await server.async_add_forward_token_with_rules("two", rules) == "two"
            lent = await server.async_add_reverse_token(token="lent", rules=rules)
            assert lent.port > 0
            assert await server.async_add_connector_token("key", "lent") == "key"
            assert len(await server.async_add_connector_token_with_rules(None, "lent", rules)) == 32
            assert await server.async_remove_token("one") is True
            assert await server.async_remove_token("one") is False
            with pytest.raises(ConfigError):
                await server.async_add_forward_token("two")

    asyncio.run(main())
