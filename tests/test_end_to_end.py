"""Forward mode as a user has it: two processes of the command line, curl, and targets good and bad.

What a process says and ends with is for tests/cli; here it is what goes through, what gets in the way, and what
stays behind. Whatever happens, no process may show a traceback.
"""

from __future__ import annotations

import hashlib
import os
import random
import resource
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import socks
from tests.support.ports import free_port
from tests.support.processes import PATIENCE, Process, linksocks
from tests.support.targets import (
    EchoTarget,
    HttpTarget,
    mute_port,
    refusing_port,
    resetting_port,
    seeded_sha256,
    unanswered_port,
)

TOKEN = "a-token-of-the-tests"
MEGABYTES_200 = 200_000_000
MIB = 1024 * 1024

HOSTS = ["127.0.0.1", "::1", "localhost"]


@dataclass
class Tunnel:
    """A server and a client in processes of their own."""

    server: Process
    client: Process
    ws_port: int
    socks_port: int

    def connect(self, port: int, host: str = "127.0.0.1", **how: object) -> socket.socket:
        return socks.connect(self.socks_port, host, port, **how)  # type: ignore[arg-type]

    def works(self, echo: EchoTarget) -> None:
        """A new connection goes through."""
        with self.connect(echo.port) as app:
            app.sendall(b"hello")
            assert socks.read_exactly(app, 5) == b"hello"

    def watch(self) -> None:
        """No process has shown a traceback."""
        for process in (self.server, self.client):
            assert "Traceback" not in process.output, process.output


def start_server(port: int, *args: str) -> Process:
    server = linksocks("server", "-t", TOKEN, "-H", "127.0.0.1", "-P", str(port), *args)
    server.wait_port(port)
    return server


def start_client(port: int, socks_port: int, *args: str) -> Process:
    return linksocks("client", "-t", TOKEN, "-u", f"ws://127.0.0.1:{port}", "-p", str(socks_port), *args)


def start(stack: ExitStack, *, server: tuple[str, ...] = (), client: tuple[str, ...] = ()) -> Tunnel:
    ws_port, socks_port = free_port(), free_port()
    servers = stack.enter_context(start_server(ws_port, *server))
    clients = stack.enter_context(start_client(ws_port, socks_port, *client))
    clients.wait_port(socks_port)
    tunnel = Tunnel(servers, clients, ws_port, socks_port)
    stack.callback(tunnel.watch)
    return tunnel


@pytest.fixture(scope="module")
def shared() -> Iterator[Tunnel]:
    """One for all tests that do their tunnel no harm."""
    with ExitStack() as stack:
        yield start(stack)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def echo() -> Iterator[EchoTarget]:
    with EchoTarget() as target:
        yield target


class TestTransfers:
    def test_a_download_is_exact(self, shared: Tunnel, tmp_path: Path) -> None:
        with HttpTarget() as target:
            url = target.url(f"/bytes/{MEGABYTES_200}?seed=1")
            got = socks.curl(shared.socks_port, "--fail", "-o", str(tmp_path / "got"), url)
        assert got.returncode == 0, got.stderr.decode()
        assert _sha256(tmp_path / "got") == seeded_sha256(MEGABYTES_200, 1)

    def test_an_upload_is_exact(self, shared: Tunnel, tmp_path: Path) -> None:
        body = tmp_path / "body"
        with body.open("wb") as file:
            source = random.Random(2)
            for _ in range(200):
                file.write(source.randbytes(1_000_000))
        with HttpTarget() as target:
            got = socks.curl(shared.socks_port, "--fail", "-T", str(body), target.url("/upload"))
        assert got.returncode == 0, got.stderr.decode()
        assert got.stdout.decode() == _sha256(body)

    @pytest.mark.parametrize("host", HOSTS)
    def test_every_kind_of_address(self, shared: Tunnel, host: str) -> None:
        with HttpTarget("::1" if host == "::1" else "127.0.0.1") as target:
            got = socks.curl(shared.socks_port, "--fail", target.url("/bytes/1000?seed=3", host))
        assert got.returncode == 0, got.stderr.decode()
        assert hashlib.sha256(got.stdout).hexdigest() == seeded_sha256(1000, 3)

    def test_both_directions_of_one_connection_at_once(self, shared: Tunnel, echo: EchoTarget) -> None:
        data = random.Random(4).randbytes(20_000_000)
        with shared.connect(echo.port) as app:
            sending = threading.Thread(target=_send_and_end, args=(app, data), daemon=True)
            sending.start()
            assert socks.read_exactly(app, len(data)) == data
            assert app.recv(1) == b""
            sending.join(PATIENCE)

    def test_a_password(self, stack: ExitStack, echo: EchoTarget) -> None:
        tunnel = start(stack, client=("--socks-username", "user", "--socks-password", "s3cret"))
        for login in (None, ("user", "wrong"), ("other", "s3cret"), ("", "")):
            with pytest.raises((socks.SocksRefused, ConnectionError)):
                tunnel.connect(echo.port, login=login)
        with tunnel.connect(echo.port, login=("user", "s3cret")) as app:
            app.sendall(b"hello")
            assert socks.read_exactly(app, 5) == b"hello"
        assert "s3cret" not in "\n".join(tunnel.client.err)


class TestTargets:
    def refusal(self, tunnel: Tunnel, port: int, host: str = "127.0.0.1") -> int:
        with pytest.raises(socks.SocksRefused) as refused:
            tunnel.connect(port, host, timeout=30)
        return refused.value.reply

    def test_one_that_refuses(self, shared: Tunnel) -> None:
        with refusing_port() as port:
            assert self.refusal(shared, port) == socks.REFUSED

    def test_one_that_refuses_on_every_address(self, shared: Tunnel) -> None:
        with refusing_port() as port:
            assert self.refusal(shared, port, "localhost") == socks.REFUSED

    def test_an_unknown_host(self, shared: Tunnel) -> None:
        assert self.refusal(shared, 80, "no-such-host.invalid") == socks.HOST_UNREACHABLE

    def test_one_that_never_answers_and_the_others_do_not_wait(
        self, shared: Tunnel, echo: EchoTarget
    ) -> None:
        with unanswered_port() as port, ThreadPoolExecutor(1) as worker:
            asking = worker.submit(self.refusal, shared, port)
            shared.works(echo)
            assert not asking.done()
            assert asking.result() == socks.TTL_EXPIRED

    def test_one_that_resets(self, shared: Tunnel) -> None:
        with resetting_port() as port, shared.connect(port) as app:
            app.sendall(b"x")
            with pytest.raises(ConnectionResetError):
                app.recv(1)

    def test_one_that_never_reads(self, shared: Tunnel, echo: EchoTarget) -> None:
        """Its producer is stopped, and no other connection is."""
        with mute_port() as port, shared.connect(port) as app:
            app.setblocking(False)
            with pytest.raises(BlockingIOError):
                _fill(app)
            shared.works(echo)


class TestStrangers:
    @pytest.mark.parametrize(
        "said",
        [
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01",
            b"\x05",
            b"\xff" * 100_000,
        ],
        ids=["http", "tls", "cut", "garbage"],
    )
    def test_at_the_socks_port(self, shared: Tunnel, echo: EchoTarget, said: bytes) -> None:
        _say(shared.socks_port, said)
        shared.works(echo)

    @pytest.mark.parametrize(
        "said",
        [
            b"garbage\r\n\r\n",
            b"\x05\x01\x00",
            b"\x16\x03\x01\x02\x00\x01\x00\x01",
            b"GET /socket HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /socket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
            b"POST /socket HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde",
            b"POST /socket HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
            b"GET /socket?token=%ff HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
            b"GET /socket" + b"x" * 100_000,
            b"GET /socket HTTP/1.1\r\nHo",
            bytes(range(256)) * 1000,
        ],
    )
    def test_at_the_server_s_port(self, shared: Tunnel, echo: EchoTarget, said: bytes) -> None:
        _say(shared.ws_port, said)
        shared.works(echo)

    @pytest.mark.parametrize("query", ["", f"?token={hashlib.sha256(TOKEN.encode()).hexdigest()}"])
    @pytest.mark.parametrize(
        "said", [b"garbage", b"\x82\x85mask\x01\x02", b"\x82\x80mask", b"\x81\x85mask12345"]
    )
    def test_after_the_handshake(self, shared: Tunnel, echo: EchoTarget, said: bytes, query: str) -> None:
        handshake = (
            f"GET /socket{query} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert _say(shared.ws_port, handshake.encode() + said).startswith(b"HTTP/1.1 101 ")
        shared.works(echo)


class TestLifetimes:
    def test_a_killed_server_that_comes_back(self, stack: ExitStack, echo: EchoTarget) -> None:
        tunnel = start(stack)
        app = tunnel.connect(echo.port)
        tunnel.server.send_signal(signal.SIGKILL)
        tunnel.server.wait_exit()
        with pytest.raises(ConnectionResetError):
            app.recv(1)
        app.close()
        tunnel.client.wait_line(r"trying again in \d")
        stack.enter_context(start_server(tunnel.ws_port))
        _eventually(lambda: sum("logged in at" in line for line in tunnel.client.err) == 2, tunnel.client)
        tunnel.works(echo)

    def test_a_connection_made_before_the_server_waits_for_it(
        self, stack: ExitStack, echo: EchoTarget
    ) -> None:
        ws_port, socks_port = free_port(), free_port()
        client = stack.enter_context(start_client(ws_port, socks_port, "-i"))
        client.wait_port(socks_port)
        with ThreadPoolExecutor(1) as worker:
            asking = worker.submit(socks.connect, socks_port, "127.0.0.1", echo.port)
            client.wait_line(r"trying again in \d")
            assert not asking.done()
            server = stack.enter_context(start_server(ws_port))
            with asking.result() as app:
                app.sendall(b"hello")
                assert socks.read_exactly(app, 5) == b"hello"
        Tunnel(server, client, ws_port, socks_port).watch()

    def test_without_reconnect_the_end_of_the_server_is_the_end(
        self, stack: ExitStack, echo: EchoTarget
    ) -> None:
        tunnel = start(stack, client=("-R",))
        tunnel.works(echo)
        tunnel.server.send_signal(signal.SIGKILL)
        assert tunnel.client.wait_exit() == 1, tunnel.client.output
        assert tunnel.client.err[-1].startswith("linksocks: "), tunnel.client.output

    @pytest.mark.parametrize("end", ["server", "client"])
    def test_a_download_may_end_after_sigterm(self, stack: ExitStack, end: str) -> None:
        size = 30_000_000
        tunnel = start(stack, server=("--grace", "50s"), client=("--grace", "50s"))
        process = tunnel.server if end == "server" else tunnel.client
        with HttpTarget() as target, tunnel.connect(target.port) as app:
            app.sendall(b"GET /bytes/%d?seed=5 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % size)
            head = _read_head(app)
            process.send_signal(signal.SIGTERM)
            process.wait_line("stopping")
            assert b" 200 " in head
            digest = hashlib.sha256(socks.read_exactly(app, size))
            assert app.recv(1) == b""
        assert digest.hexdigest() == seeded_sha256(size, 5)
        assert process.wait_exit() == 0, process.output

    @pytest.mark.parametrize("end", ["server", "client"])
    @pytest.mark.parametrize("way", ["killed", "signalled twice"])
    def test_a_process_that_ends_at_once_resets(self, stack: ExitStack, end: str, way: str) -> None:
        """Its kernel closes what it had open: nobody must take a part for the whole."""
        tunnel = start(stack, server=("--grace", "1h"), client=("--grace", "1h"))
        process = tunnel.server if end == "server" else tunnel.client
        with socket.create_server(("127.0.0.1", 0)) as target:
            app = tunnel.connect(target.getsockname()[1])
            conn = target.accept()[0]
            conn.settimeout(PATIENCE)
            conn.sendall(b"a part")
            app.sendall(b"a part")
            assert socks.read_exactly(app, 6) == socks.read_exactly(conn, 6) == b"a part"
            if way == "killed":
                process.send_signal(signal.SIGKILL)
            else:
                process.send_signal(signal.SIGINT)
                process.wait_line("stopping")
                process.send_signal(signal.SIGINT)
            for sock in (app, conn):
                with pytest.raises(ConnectionResetError):
                    sock.recv(1)
                sock.close()

    def test_a_second_signal_ends_a_server_at_once(self, stack: ExitStack, echo: EchoTarget) -> None:
        tunnel = start(stack, server=("--grace", "1h"))
        with tunnel.connect(echo.port):
            tunnel.server.send_signal(signal.SIGTERM)
            tunnel.server.wait_line("stopping")
            tunnel.server.send_signal(signal.SIGTERM)
            assert tunnel.server.wait_exit() == 128 + signal.SIGTERM, tunnel.server.output


def test_nothing_is_left_of_two_thousand_connections(stack: ExitStack, echo: EchoTarget) -> None:
    """Descriptors and threads as before; RSS too, but for what the allocator keeps of twenty connections at once."""
    tunnel = start(stack)
    processes = (tunnel.server, tunnel.client)
    idle = [_Usage.of(process.pid) for process in processes]
    _visit(tunnel, echo, 500)  # their caches are filled
    warm = [_Usage.of(process.pid) for process in processes]
    _visit(tunnel, echo, 2000)
    for process, first, then in zip(processes, idle, warm, strict=True):
        _eventually(lambda: _Usage.of(process.pid).within(first), process)  # noqa: B023 - called at once
        assert _Usage.of(process.pid).rss < then.rss + 4 * MIB


def test_stalled_downloads_fill_no_memory(stack: ExitStack, echo: EchoTarget) -> None:
    """Each holds its window at most, while gigabytes wait behind it and other connections go on."""
    tunnel = start(stack, server=("--buffer-size", str(MIB)), client=("--buffer-size", str(MIB)))
    tunnel.works(echo)
    processes = (tunnel.server, tunnel.client)
    before = [_Usage.of(process.pid).rss for process in processes]
    with HttpTarget() as target, ExitStack() as stalled:
        for _ in range(20):
            app = stalled.enter_context(tunnel.connect(target.port))
            app.sendall(b"GET /bytes/1000000000 HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b" 200 " in _read_head(app)
        url = target.url("/bytes/50000000?seed=6")
        got = socks.curl(tunnel.socks_port, "--fail", url)
        assert hashlib.sha256(got.stdout).hexdigest() == seeded_sha256(50_000_000, 6)
        for process, rss in zip(processes, before, strict=True):
            assert _Usage.of(process.pid).rss < rss + 20 * MIB + 10 * MIB


@pytest.mark.parametrize("short", ["server", "client"])
def test_a_process_out_of_descriptors_recovers(stack: ExitStack, echo: EchoTarget, short: str) -> None:
    """What came before goes on, what comes meanwhile waits or is refused, what comes after is served."""
    tunnel = start(stack)
    process = tunnel.server if short == "server" else tunnel.client
    idle = _Usage.of(process.pid)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (30, 30))

    def attempt(_: int) -> socket.socket | None:
        try:
            return tunnel.connect(echo.port, timeout=2)
        except (socks.SocksRefused, OSError):
            return None

    with tunnel.connect(echo.port) as first, ThreadPoolExecutor(40) as workers:
        apps = list(workers.map(attempt, range(40)))
        assert None in apps
        first.sendall(b"hello")
        assert socks.read_exactly(first, 5) == b"hello"
        for app in apps:
            if app is not None:
                app.close()
    # The targets end after the applications, and have descriptors until then.
    _eventually(lambda: _Usage.of(process.pid).fds <= idle.fds, process)
    tunnel.works(echo)


@dataclass
class _Usage:
    """What a process holds: descriptors and threads, and its resident memory in bytes."""

    fds: int
    threads: int
    rss: int

    @classmethod
    def of(cls, pid: int) -> _Usage:
        fields = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
        )
        rss = int(fields["VmRSS"].split()[0]) * 1024
        return cls(len(os.listdir(f"/proc/{pid}/fd")), int(fields["Threads"]), rss)

    def within(self, other: _Usage) -> bool:
        """No more descriptors and threads."""
        return self.fds <= other.fds and self.threads <= other.threads


def _visit(tunnel: Tunnel, echo: EchoTarget, count: int) -> None:
    """`count` connections, twenty at a time, a third of them reset, a third ended by the application first."""

    def visit(number: int) -> None:
        with tunnel.connect(echo.port) as app:
            app.sendall(b"%6d" % number)
            assert socks.read_exactly(app, 6) == b"%6d" % number
            if number % 3 == 0:
                app.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif number % 3 == 1:
                app.shutdown(socket.SHUT_WR)
                assert app.recv(1) == b""

    with ThreadPoolExecutor(20) as workers:
        for _ in workers.map(visit, range(count)):
            pass


def _eventually(condition: Callable[[], bool], *processes: Process) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "\n".join(process.output for process in processes)
        time.sleep(0.02)  # the pace of the polling, not what is waited for


def _say(port: int, said: bytes) -> bytes:
    """What a stranger gets to hear, to the end, in good order or not."""
    heard = b""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
        try:
            sock.sendall(said)
            sock.shutdown(socket.SHUT_WR)
            while chunk := sock.recv(MIB):
                heard += chunk
        except OSError:  # it was cut off
            pass
    return heard


def _fill(app: socket.socket) -> None:
    """Sends until there is no room for a whole second, or a gigabyte is gone."""
    block = bytes(MIB)
    app.settimeout(1)
    try:
        for _ in range(1024):
            app.sendall(block)
    except TimeoutError as error:
        raise BlockingIOError from error


def _send_and_end(app: socket.socket, data: bytes) -> None:
    app.sendall(data)
    app.shutdown(socket.SHUT_WR)


def _read_head(app: socket.socket) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += socks.read_exactly(app, 1)
    return head


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
