"""Sockets through a tunnel: what socket.create_connection's callers expect, and nothing left over."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import http.client
import socket
import threading

import pytest

from linksocks import Cause, Client, ConfigError, DeadlineError, LinkSocksError, Server, TargetError
from linksocks.embed.call import Call
from tests.library.conftest import url_of
from tests.support.leaks import open_fds
from tests.support.processes import PATIENCE
from tests.support.steps import interruptions
from tests.support.targets import EchoTarget, HttpTarget, refusing_port, seeded_sha256, unanswered_port
from tests.support.threads import in_thread
from tests.support.waits import eventually

pytestmark = pytest.mark.usefixtures("clean")


def test_it_is_a_real_socket(client: Client, echo: EchoTarget) -> None:
    with client.create_connection((echo.host, echo.port), timeout=10) as sock:
        assert type(sock) is socket.socket
        assert sock.fileno() >= 0
        assert (sock.family, sock.type) == (socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(b"hello")
        assert sock.recv(5) == b"hello"
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(5) == b""


def test_its_timeout_is_the_given_one_or_the_default(client: Client, echo: EchoTarget) -> None:
    address = (echo.host, echo.port)
    for timeout, expected in ((7, 7.0), ("1.5s", 1.5), (None, None)):
        with client.create_connection(address, timeout) as sock:
            assert sock.gettimeout() == expected
    with client.create_connection(address) as sock:
        assert sock.gettimeout() is None
    socket.setdefaulttimeout(9)
    try:
        with client.create_connection(address) as sock:
            assert sock.gettimeout() == 9
    finally:
        socket.setdefaulttimeout(None)


def test_http_client_may_use_it_in_the_place_of_its_own(client: Client) -> None:
    with HttpTarget() as site:
        web = http.client.HTTPConnection(site.host, site.port)
        web._create_connection = client.create_connection  # type: ignore[attr-defined]
        web.request("POST", "/", body=b"x" * 100_000)
        assert len(web.getresponse().read()) == len(seeded_sha256(0, 0))
        web.close()


def test_a_target_that_refuses_is_what_python_calls_refused(client: Client) -> None:
    with refusing_port() as port, pytest.raises(ConnectionRefusedError) as caught:
        client.create_connection(("127.0.0.1", port), timeout=10)
    error = caught.value
    assert isinstance(error, TargetError)
    assert isinstance(error, LinkSocksError)
    assert (error.cause, error.errno) == (Cause.REFUSED, errno.ECONNREFUSED)
    assert str(port) in str(error)


def test_a_name_that_there_is_not_is_an_error_of_the_target(client: Client) -> None:
    with pytest.raises(TargetError) as caught:
        client.create_connection(("no-such-name.invalid", 80), timeout=20)
    assert caught.value.errno == errno.EHOSTUNREACH


@pytest.mark.parametrize("host", ["a..b", "a" * 64, "a" * 64 + ".example.org"])
def test_what_is_no_name_is_said_in_words(client: Client, host: str) -> None:
    with pytest.raises(TargetError, match=r"no such host .*: a name's parts, .*") as caught:
        client.create_connection((host, 80), timeout=20)
    assert caught.value.errno == errno.EHOSTUNREACH


def test_a_target_that_does_not_answer_is_late(client: Client) -> None:
    with unanswered_port() as port, pytest.raises(TimeoutError) as caught:
        client.create_connection(("127.0.0.1", port), timeout=0.2)
    assert isinstance(caught.value, LinkSocksError)
    assert str(caught.value).endswith(f"127.0.0.1:{port} was not reached in 0.2 s")


def test_the_far_end_has_its_connect_timeout(echo: EchoTarget) -> None:
    with (
        Server(ws_host="127.0.0.1", ws_port=0, connect_timeout="200ms") as server,
        Client(server.add_forward_token(), ws_url=url_of(server), socks=False) as client,
        unanswered_port() as port,
        pytest.raises(TargetError) as caught,
    ):
        client.create_connection(("127.0.0.1", port), timeout=None)
    assert caught.value.cause is Cause.TIMED_OUT
    assert isinstance(caught.value, TimeoutError)


def test_no_time_at_all_is_late(client: Client, echo: EchoTarget) -> None:
    with pytest.raises(TimeoutError):
        client.create_connection((echo.host, echo.port), timeout=0)


def test_without_a_server_it_says_so_at_once() -> None:
    with (
        refusing_port() as port,
        Client("token", ws_url=f"ws://127.0.0.1:{port}", socks=False) as client,
        pytest.raises(LinkSocksError, match="refused"),
    ):
        client.create_connection(("127.0.0.1", 80))


def test_it_waits_for_a_server_for_as_long_as_it_may(caplog: pytest.LogCaptureFixture) -> None:
    with (
        refusing_port() as port,
        Client("token", ws_url=f"ws://127.0.0.1:{port}", socks=False, reconnect=True) as client,
    ):
        eventually(lambda: "trying again" in caplog.text)
        with pytest.raises(DeadlineError, match="refused"):
            client.create_connection(("127.0.0.1", 80), timeout=0.3)


def test_a_source_address_is_refused(client: Client, echo: EchoTarget) -> None:
    with pytest.raises(ConfigError, match=r"^source_address: .* leave it out"):
        client.create_connection((echo.host, echo.port), 5, ("127.0.0.1", 0))


def test_those_that_fail_leave_no_descriptor(client: Client) -> None:
    with refusing_port() as port:
        before = len(open_fds())
        for _ in range(50):
            with pytest.raises(ConnectionRefusedError):
                client.create_connection(("127.0.0.1", port), timeout=10)
    assert len(open_fds()) <= before


def test_fifty_threads_at_once(client: Client, echo: EchoTarget) -> None:
    answers: list[bytes] = []

    def visit(number: int) -> None:
        with client.create_connection((echo.host, echo.port), timeout=20) as sock:
            sock.sendall(b"%03d" % number)
            answers.append(sock.recv(3, socket.MSG_WAITALL))

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(answers) == [b"%03d" % number for number in range(50)]


def test_what_was_sent_before_a_close_of_all_arrives(server: Server) -> None:
    got: list[bytes] = []

    def take() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(10)
            while data := connection.recv(65_536):
                got.append(data)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        target = threading.Thread(target=take)
        target.start()
        with (
            Client(server.add_forward_token(), ws_url=url_of(server), socks=False) as client,
            client.create_connection(listener.getsockname(), timeout=10) as sock,
        ):
            sock.sendall(b"x" * 1_000_000)
        target.join(10)
    assert sum(map(len, got)) == 1_000_000


def test_in_asyncio_it_does_not_block(server: Server, echo: EchoTarget) -> None:
    async def main() -> bytes:
        async with Client(server.add_forward_token(), ws_url=url_of(server), socks=False) as client:
            sock = await client.async_create_connection((echo.host, echo.port), timeout=10)
            assert sock.gettimeout() == 0
            reader, writer = await asyncio.open_connection(sock=sock)
            writer.write(b"hello")
            answer = await reader.readexactly(5)
            writer.close()
            await writer.wait_closed()
            with refusing_port() as port, pytest.raises(ConnectionRefusedError):
                await client.async_create_connection(("127.0.0.1", port), timeout=10)
            return answer

    assert asyncio.run(main()) == b"hello"


def test_a_task_that_is_cancelled_leaves_nothing(client: Client) -> None:
    async def main() -> None:
        with unanswered_port() as port:
            task = asyncio.create_task(client.async_create_connection(("127.0.0.1", port)))
            async with asyncio.timeout(PATIENCE):
                while not client.stats().connections:  # in another thread
                    await asyncio.sleep(0.001)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())


def test_tasks_that_are_cancelled_at_any_moment_leave_nothing(client: Client, echo: EchoTarget) -> None:
    async def main() -> None:
        for turns in range(300):
            task = asyncio.create_task(client.async_create_connection((echo.host, echo.port)))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                (await task).close()

    asyncio.run(main())
    eventually(lambda: not client.stats().channels)


def test_a_task_that_is_cancelled_when_its_connection_is_there_leaves_nothing(
    server: Server, client: Client, echo: EchoTarget
) -> None:
    async def main() -> None:
        task = asyncio.create_task(client.async_create_connection((echo.host, echo.port)))
        await asyncio.sleep(0)
        eventually(lambda: server.stats().dials)  # asyncio stands still, and the answer comes meanwhile
        for _ in range(10):
            client.stats()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_through_a_provider_of_the_server(server: Server, echo: EchoTarget) -> None:
    token = server.add_reverse_token().token
    with Client(token, ws_url=url_of(server), reverse=True) as provider:
        provider.wait_ready(10)
        with server.create_connection((echo.host, echo.port), 10, token=token) as sock:
            sock.sendall(b"hello")
            assert sock.recv(5, socket.MSG_WAITALL) == b"hello"
            assert sock.gettimeout() == 10
        with refusing_port() as port, pytest.raises(ConnectionRefusedError):
            server.create_connection(("127.0.0.1", port), 10, token=token)
        with pytest.raises(ConfigError, match=r"^token: reverse token does not exist"):
            server.create_connection((echo.host, echo.port), 10, token="another")

        async def main() -> float | None:
            with await server.async_create_connection((echo.host, echo.port), 10, token=token) as sock:
                return sock.gettimeout()

        assert asyncio.run(main()) == 0


def test_a_provider_makes_none(server: Server) -> None:
    token = server.add_reverse_token().token
    with (
        Client(token, ws_url=url_of(server), reverse=True) as provider,
        pytest.raises(ConfigError, match="without reverse=True"),
    ):
        provider.create_connection(("127.0.0.1", 80))


def test_a_program_that_is_interrupted_at_any_step_loses_no_connection(
    client: Client, echo: EchoTarget
) -> None:
    """From the moment on in which it is there; see `clean`."""

    def visit() -> None:
        client.create_connection((echo.host, echo.port), timeout=10).close()

    def main() -> int:
        return len(list(interruptions(visit, Call.result.__code__)))

    assert in_thread(main) > 50
    eventually(lambda: not client.stats().channels)


def test_a_task_that_is_interrupted_at_any_step_loses_no_connection(client: Client, echo: EchoTarget) -> None:
    async def visit() -> None:
        (await client.async_create_connection((echo.host, echo.port), timeout=10)).close()

    def main() -> int:
        return len(list(interruptions(lambda: asyncio.run(visit()), Call.result.__code__)))

    assert in_thread(main) > 50
    gc.collect()  # tasks and their errors hold each other
    eventually(lambda: not client.stats().channels)
