"""Server and client as processes: how they start, fail and stop, and with which exit code."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.support import socks
from tests.support.ports import free_port
from tests.support.processes import Process, linksocks
from tests.support.targets import EchoTarget, refusing_port

TOKEN = "a-token-of-the-tests"
INTERRUPTS = [signal.SIGTERM, signal.SIGINT]


@contextmanager
def server(*args: str) -> Iterator[tuple[Process, int]]:
    """A server on a port of the kernel's choice."""
    with linksocks("server", "-H", "127.0.0.1", "-P", "0", *args) as process:
        yield process, int(process.wait_line(r"listening on 127\.0\.0\.1:(\d+)")[1])


@contextmanager
def tunnel(*client_args: str, server_args: Sequence[str] = ()) -> Iterator[tuple[Process, Process, int]]:
    """Server, client and the SOCKS port between the client and a test."""
    with server("-t", TOKEN, *server_args) as (server_process, port):
        socks_port = free_port()
        url = f"ws://127.0.0.1:{port}"
        with linksocks("client", "-t", TOKEN, "-u", url, "-p", str(socks_port), *client_args) as client:
            client.wait_port(socks_port)
            yield server_process, client, socks_port


def failure(process: Process) -> str:
    """What a process that fails while running says last, after its logs."""
    assert process.wait_exit() == 1, process.output
    assert "Traceback" not in process.output
    assert [line for line in process.err if line.startswith("linksocks: ")] == process.err[-1:], (
        process.output
    )
    return process.err[-1].removeprefix("linksocks: ")


class TestStart:
    def test_a_server_without_a_token_prints_one_of_128_bits_once(self) -> None:
        with server("-dd") as (process, _):
            token = process.wait_line(r"^token: ([0-9a-f]{32})$")[1]
        assert process.out == [f"token: {token}"]
        assert token not in "\n".join(process.err)

    def test_a_server_with_a_token_prints_nothing(self) -> None:
        with server("-t", TOKEN) as (process, _):
            pass
        assert process.out == []

    def test_the_server_s_port_is_in_use(self) -> None:
        with server() as (_, port), linksocks("server", "-H", "127.0.0.1", "-P", str(port)) as second:
            assert failure(second).startswith(f"can't listen on 127.0.0.1:{port}: ")
            assert second.out == []

    def test_the_socks_port_is_in_use(self) -> None:
        with tunnel() as (_, client, port):
            url = client.argv[client.argv.index("-u") + 1]
            with linksocks("client", "-t", TOKEN, "-u", url, "-p", str(port)) as second:
                assert failure(second).startswith(f"can't listen on 127.0.0.1:{port}: ")

    def test_a_wrong_token_ends_the_client_with_what_to_do(self) -> None:
        with (
            server("-t", TOKEN) as (_, port),
            linksocks("client", "-t", "other", "-u", f"ws://127.0.0.1:{port}", "-p", "0") as client,
        ):
            line = failure(client)
        assert line.startswith("authentication failed: invalid token; check ")

    def test_no_server_ends_a_client_that_must_not_reconnect(self) -> None:
        with (
            refusing_port() as port,
            linksocks("client", "-R", "-u", f"ws://127.0.0.1:{port}", "-p", "0") as client,
        ):
            assert "refused" in failure(client)

    def test_what_a_peer_says_in_an_error_stays_on_its_line(self) -> None:
        program = (
            "import sys\nfrom linksocks import cli, errors\nfrom linksocks.client.role import ClientRole\n"
            "def start(self): raise errors.LinkError('at ws://h/?token=SECRET a\\nlinksocks: b\\x1b[2J')\n"
            "ClientRole.start = start\nsys.exit(cli.main(['client', '-p', '0']))"
        )
        with Process([sys.executable, "-c", program]) as process:
            assert failure(process) == r"at ws://h/?token=*** a\nlinksocks: b\x1b[2J"


class TestStop:
    @pytest.mark.parametrize("number", INTERRUPTS, ids=lambda number: number.name)
    def test_a_signal_ends_a_server(self, number: signal.Signals) -> None:
        with server() as (process, _):
            process.send_signal(number)
            assert process.wait_exit() == 0, process.output
        assert "Traceback" not in process.output

    @pytest.mark.parametrize("number", INTERRUPTS, ids=lambda number: number.name)
    def test_a_signal_ends_a_client(self, number: signal.Signals) -> None:
        with tunnel() as (_, client, _):
            client.send_signal(number)
            assert client.wait_exit() == 0, client.output
        assert "Traceback" not in client.output

    def test_a_signal_ends_a_client_that_still_looks_for_its_server(self) -> None:
        with (
            refusing_port() as port,
            linksocks("client", "-u", f"ws://127.0.0.1:{port}", "-p", "0") as client,
        ):
            client.wait_line("refused")
            client.send_signal(signal.SIGTERM)
            assert client.wait_exit() == 0, client.output

    def test_an_open_connection_may_go_on_and_a_new_one_may_not(self) -> None:
        with EchoTarget() as echo, tunnel("--grace", "60") as (_, client, port):
            with socks.connect(port, "127.0.0.1", echo.port) as connection:
                client.send_signal(signal.SIGTERM)
                client.wait_line("stopping")
                connection.sendall(b"still there?")
                assert socks.read_exactly(connection, 12) == b"still there?"
                with pytest.raises(OSError, match="refused"):
                    socket.create_connection(("127.0.0.1", port), timeout=10)
            assert client.wait_exit() == 0, client.output

    def test_the_grace_time_ends(self) -> None:
        with (
            EchoTarget() as echo,
            tunnel("--grace", "100ms") as (_, client, port),
            socks.connect(port, "127.0.0.1", echo.port),
        ):
            client.send_signal(signal.SIGTERM)
            assert client.wait_exit() == 0, client.output

    @pytest.mark.parametrize("stopped", [0, 1], ids=["server", "client"])
    def test_without_grace_an_idle_connection_is_reset(self, stopped: int) -> None:
        with EchoTarget() as echo, tunnel("--grace", "0", server_args=("--grace", "0")) as running:
            process, port = running[stopped], running[2]
            with socks.connect(port, "127.0.0.1", echo.port) as connection:
                connection.sendall(b"ping")
                assert socks.read_exactly(connection, 4) == b"ping"
                process.send_signal(signal.SIGTERM)
                with pytest.raises(ConnectionResetError):
                    connection.recv(1)
            assert process.wait_exit() == 0, process.output

    def test_without_grace_what_was_said_before_arrives(self) -> None:
        size = 2 * 1024 * 1024
        with (
            socket.create_server(("127.0.0.1", 0)) as target,
            tunnel("--grace", "0") as (_, client, port),
            ThreadPoolExecutor() as threads,
        ):
            app = socks.connect(port, "127.0.0.1", target.getsockname()[1])
            target.settimeout(10)
            reading = threads.submit(_read_all, target.accept()[0])
            app.sendall(bytes(size))
            app.close()
            client.send_signal(signal.SIGTERM)
            assert reading.result(20) == size
            assert client.wait_exit() == 0, client.output

    @pytest.mark.parametrize("number", INTERRUPTS, ids=lambda number: number.name)
    def test_a_second_signal_ends_at_once(self, number: signal.Signals) -> None:
        with (
            EchoTarget() as echo,
            tunnel("--grace", "1h") as (_, client, port),
            socks.connect(port, "127.0.0.1", echo.port),
        ):
            client.send_signal(signal.SIGTERM)
            client.wait_line("stopping")
            client.send_signal(number)
            assert client.wait_exit() == 128 + number, client.output


def test_a_stderr_that_nobody_reads_holds_up_nothing() -> None:
    """A stuck log collector: the pipe is full after some hundred lines, and the client goes on and stops."""
    port = free_port()
    argv = [sys.executable, "-m", "linksocks", "client", "-i", "-u", "ws://127.0.0.1:1", "-p", str(port)]
    with subprocess.Popen(argv, stderr=subprocess.PIPE) as client:
        try:
            _until_open(port)
            for _ in range(1500):
                with socket.create_connection(("127.0.0.1", port), timeout=10) as conn:
                    conn.sendall(b"\0 is the first byte of no protocol")
                    assert conn.recv(2) == b""
            client.send_signal(signal.SIGTERM)
            assert client.wait(20) == 0
        finally:
            client.kill()


def _read_all(conn: socket.socket) -> int:
    """How much comes; raises when the end is a reset."""
    conn.settimeout(10)
    with conn:
        return sum(map(len, iter(lambda: conn.recv(64 * 1024), b"")))


def _until_open(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
