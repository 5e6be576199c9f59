"""The life of a tunnel: when it begins, how it ends, and what calls say then, from whichever thread."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from linksocks import AuthError, Client, ClosedError, ConfigError, DeadlineError, Server
from tests.library.conftest import url_of
from tests.support.targets import EchoTarget, mute_port, refusing_port, unanswered_port
from tests.support.threads import start
from tests.support.waits import eventually

pytestmark = pytest.mark.usefixtures("clean")

PATIENCE = 10.0


def hub_threads() -> int:
    return sum(thread.name == "linksocks" for thread in threading.enumerate())


# The beginning


def test_to_make_one_begins_nothing() -> None:
    before = set(threading.enumerate())  # an earlier test's may end meanwhile
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        made = [Server(ws_host="127.0.0.1", ws_port=port), Client("token", socks_port=port)]
        assert not set(threading.enumerate()) - before
        for each in made:
            each.close()


def test_to_ask_one_begins_nothing() -> None:
    client, server = Client("token"), Server()
    assert (client.is_connected, client.get_rtt(), server.get_client_count(), server.has_clients()) == (
        False,
        -1,
        0,
        False,
    )
    client.stats()
    client.events()
    repr(client)
    assert hub_threads() == 0


def test_all_share_one_thread_that_ends_with_the_last(server: Server) -> None:
    clients = [Client(server.add_forward_token(), ws_url=url_of(server), socks=False) for _ in range(5)]
    for client in clients:
        client.wait_ready(PATIENCE)
    assert hub_threads() == 1
    for client in clients:
        client.close()
    assert hub_threads() == 1
    server.close()
    assert hub_threads() == 0


def test_many_threads_begin_one_at_once(echo: EchoTarget) -> None:
    server = Server(ws_host="127.0.0.1", ws_port=0)
    server.add_forward_token("token")
    server.wait_ready(PATIENCE)
    client = Client("token", ws_url=url_of(server), socks_port=0)

    def visit() -> None:
        client.wait_ready(PATIENCE)
        with client.create_connection((echo.host, echo.port), PATIENCE) as sock:
            sock.sendall(b"x")
            assert sock.recv(1) == b"x"

    visits = [start(visit) for _ in range(50)]
    assert [each.exception(PATIENCE) for each in visits] == [None] * 50
    assert server.get_client_count() == 1
    client.close()
    server.close()


# The end


def test_after_close_calls_say_so(echo: EchoTarget) -> None:
    server = Server(ws_host="127.0.0.1", ws_port=0)
    token = server.add_forward_token()
    server.wait_ready(PATIENCE)
    client = Client(token, ws_url=url_of(server), socks_port=0)
    client.wait_ready(PATIENCE)
    client.close()
    server.close()
    for call in (
        client.wait_ready,
        client.__enter__,
        client.get_rtt,
        client.get_partners_count,
        client.get_server_token,
        lambda: client.create_connection((echo.host, echo.port)),
        lambda: client.proxies,
        server.wait_ready,
        server.add_forward_token,
        server.add_reverse_token,
        server.get_client_count,
        server.has_clients,
        lambda: server.remove_token(token),
        lambda: server.create_connection((echo.host, echo.port), token=token),
    ):
        with pytest.raises(ClosedError, match="was closed"):
            call()
    assert "closed" in repr(client)
    assert client.is_connected is False
    assert client.socks_port
    assert client.stats().links == 0


def test_close_is_the_same_the_second_time_and_before_the_first_call() -> None:
    client = Client("token")
    for _ in range(3):
        client.close()
    asyncio.run(client.async_close())


def test_twenty_threads_close_one_at_once(client: Client) -> None:
    closes = [start(client.close) for _ in range(20)]
    assert [each.exception(PATIENCE) for each in closes] == [None] * 20


def test_ports_are_free_when_close_has_returned() -> None:
    server = Server(ws_host="127.0.0.1", ws_port=0)
    server.wait_ready(PATIENCE)
    client = Client(server.add_forward_token(), ws_url=url_of(server), socks_port=0)
    client.wait_ready(PATIENCE)
    client.close()
    server.close()
    for port in (server.ws_port, client.socks_port):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port or 0), timeout=PATIENCE)


@pytest.mark.parametrize("call", ["wait_ready", "create_connection", "proxies"])
def test_close_ends_the_waits_of_other_threads(call: str) -> None:
    with mute_port() as port:
        client = Client("token", ws_url=f"ws://127.0.0.1:{port}", socks_port=0)
        calls: dict[str, Callable[[], Any]] = {
            "wait_ready": client.wait_ready,
            "create_connection": lambda: client.create_connection(("127.0.0.1", 9)),
            "proxies": lambda: client.proxies,
        }
        outcome = start(calls[call])
        eventually(lambda: client.socks_port)  # it has begun
        client.close()
        assert isinstance(outcome.exception(PATIENCE), ClosedError)


def test_close_does_not_give_its_grace_to_those_who_wait(client: Client) -> None:
    with unanswered_port() as port:
        outcome = start(lambda: client.create_connection(("127.0.0.1", port)))
        eventually(lambda: client.stats().connections)  # it has asked
        client.close(grace=60)
        assert isinstance(outcome.exception(PATIENCE), ClosedError)


def test_close_at_any_moment_of_a_login_leaves_nothing(server: Server) -> None:
    token = server.add_forward_token()
    for polls in range(60):
        with Client(token, ws_url=url_of(server), socks_port=0) as client:
            for _ in range(polls):
                client.stats()
    assert not client.is_connected


def test_a_grace_lets_connections_end_by_themselves(server: Server, echo: EchoTarget) -> None:
    client = Client(server.add_forward_token(), ws_url=url_of(server), socks=False)
    sock = client.create_connection((echo.host, echo.port), PATIENCE)
    outcome = start(lambda: client.close(grace="30s"))
    sock.sendall(b"still here")
    assert sock.recv(10, socket.MSG_WAITALL) == b"still here"
    sock.close()
    assert outcome.exception(PATIENCE) is None


def test_without_grace_connections_end_at_once(server: Server, echo: EchoTarget) -> None:
    client = Client(server.add_forward_token(), ws_url=url_of(server), socks=False)
    with client.create_connection((echo.host, echo.port), PATIENCE) as sock:
        client.close()
        with pytest.raises(ConnectionResetError):
            assert sock.recv(1) == b"x"


@pytest.mark.parametrize("grace", [-1, "soon", True, float("nan")])
def test_what_is_no_grace_closes_nothing(client: Client, grace: Any) -> None:
    with pytest.raises((ConfigError, TypeError), match="grace"):
        client.close(grace)
    assert client.is_connected


def test_one_that_nobody_holds_ends(server: Server) -> None:
    gone = server.events()
    client = Client(server.add_forward_token(), ws_url=url_of(server), socks_port=0)
    client.wait_ready(PATIENCE)
    port = client.socks_port or 0
    del client
    gc.collect()
    next(gone), next(gone)  # up and down
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def test_one_that_never_began_is_collected() -> None:
    for _ in range(100):
        Client("token")
    gc.collect()
    assert hub_threads() == 0


def test_a_block_that_fails_closes(server: Server) -> None:
    with pytest.raises(ZeroDivisionError), Client("token", ws_url=url_of(server), socks=False) as client:
        raise ZeroDivisionError
    with pytest.raises(ClosedError):
        client.wait_ready()


def test_neither_copies_nor_pickles(client: Client, server: Server) -> None:
    for tunnel in (client, server):
        for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match=f"a {type(tunnel).__name__} can't be copied or pickled"):
                attempt(tunnel)


def test_repr_says_what_and_how() -> None:
    server = Server(ws_host="127.0.0.1", ws_port=0)
    assert repr(server) == "<linksocks.Server 127.0.0.1:0, not begun>"
    with server:
        assert repr(server) == f"<linksocks.Server 127.0.0.1:{server.ws_port}, running>"
        with Client("wrong", ws_url=url_of(server), socks_port=0) as client:
            with pytest.raises(AuthError):
                client.wait_ready()
            assert (
                repr(client)
                == f"<linksocks.Client client at 127.0.0.1:{client.socks_port} of {url_of(server)}, ended>"
            )
    assert repr(Client("t", reverse=True, ws_url="example.org")) == (
        "<linksocks.Client provider of wss://example.org, not begun>"
    )


# asyncio


def test_a_wait_that_is_cancelled_closes() -> None:
    async def main() -> None:
        with refusing_port() as port:
            client = Client("token", ws_url=f"ws://127.0.0.1:{port}", socks_port=0, reconnect=True)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.async_wait_ready(), 0.05)
            with pytest.raises(ClosedError):
                await client.async_wait_ready()
            with pytest.raises(ClosedError):
                client.wait_ready()
            await client.async_close()

    asyncio.run(main())


def test_a_wait_may_have_a_deadline(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        with (
            refusing_port() as port,
            Client("token", ws_url=f"ws://127.0.0.1:{port}", socks=False, reconnect=True) as client,
        ):
            eventually(lambda: "trying again" in caplog.text)
            with pytest.raises(DeadlineError, match="refused"):
                await client.async_wait_ready("50ms")

    asyncio.run(main())


def test_a_hundred_tasks_at_once(server: Server, echo: EchoTarget) -> None:
    async def main() -> None:
        async with Client(server.add_forward_token(), ws_url=url_of(server), socks=False) as client:

            async def visit() -> bytes:
                sock = await client.async_create_connection((echo.host, echo.port), PATIENCE)
                with sock:
                    loop = asyncio.get_running_loop()
                    await loop.sock_sendall(sock, b"x")
                    return await loop.sock_recv(sock, 1)

            assert await asyncio.gather(*(visit() for _ in range(100))) == [b"x"] * 100

    asyncio.run(main())
