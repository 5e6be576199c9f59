"""Forward mode with every peer, both ways round: our client on their server, and their client on our server.

Our side is what a user starts: the command line in a process of its own. Each pair is started once for all the
tests that use `tunnel`; the token goes to our server by flag and to our client by environment.
"""

from __future__ import annotations

import hashlib
import http.client
import re
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.interop.peer import Peer, PeerError
from tests.support import socks
from tests.support.processes import Process, free_port, linksocks
from tests.support.targets import GreetingTarget, HttpTarget, refusing_port, seeded_chunks, seeded_sha256

TOKEN = "the-right-token"
MEGABYTES_20 = 20_000_000


@dataclass
class Tunnel:
    """A client's SOCKS port with a server behind it; one end is ours, the other the peer's."""

    socks_port: int
    our_client: bool
    ends: tuple[Process, Process]

    @property
    def output(self) -> str:
        """What both ends said, for the message of a failing assert."""
        return "\n".join(end.output for end in self.ends)


@pytest.fixture(scope="module", params=["our-client", "our-server"])
def tunnel(request: pytest.FixtureRequest, peer: Peer) -> Iterator[Tunnel]:
    our_client = request.param == "our-client"
    ws_port, socks_port = free_port(), free_port()
    with ExitStack() as ends:
        if our_client:
            server = ends.enter_context(peer.play("server", ws_port=ws_port, token=TOKEN))
            client = ends.enter_context(_our_client(ws_port, socks_port, TOKEN))
            client.wait_port(socks_port)
        else:
            server = ends.enter_context(_our_server(ws_port))
            play = peer.play("client", ws_port=ws_port, token=TOKEN, socks_port=socks_port)
            client = ends.enter_context(play)
        yield Tunnel(socks_port, our_client, (client, server))
        for end in (client, server):  # an orderly stop takes its time, and no test here looks at it
            end.send_signal(signal.SIGKILL)


def test_download_is_byte_exact(tunnel: Tunnel, http: HttpTarget) -> None:
    got = socks.curl(tunnel.socks_port, "--fail", http.url(f"/bytes/{MEGABYTES_20}?seed=1"))
    assert got.returncode == 0, f"{got.stderr.decode()}\n{tunnel.output}"
    assert hashlib.sha256(got.stdout).hexdigest() == seeded_sha256(MEGABYTES_20, 1)


def test_upload_is_byte_exact(tunnel: Tunnel, http: HttpTarget, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(b"".join(seeded_chunks(MEGABYTES_20, 2)))
    got = socks.curl(tunnel.socks_port, "--fail", "-T", str(body), http.url("/upload"))
    assert got.returncode == 0, f"{got.stderr.decode()}\n{tunnel.output}"
    assert got.stdout.decode() == seeded_sha256(MEGABYTES_20, 2)


def test_200_requests_in_20_parallel_connections(tunnel: Tunnel, http: HttpTarget) -> None:
    def ten_requests(worker: int) -> int:
        right = 0
        with socks.connect(tunnel.socks_port, "127.0.0.1", http.port) as conn:
            session = _http_on(conn)
            for turn in range(10):
                seed = worker * 10 + turn
                session.request("GET", f"/bytes/300?seed={seed}")
                right += session.getresponse().read() == b"".join(seeded_chunks(300, seed))
        return right

    with ThreadPoolExecutor(20) as workers:
        assert sum(workers.map(ten_requests, range(20))) == 200, tunnel.output


def test_answer_of_a_connection_that_ends(tunnel: Tunnel, http: HttpTarget) -> None:
    """Nothing is lost when the target closes right behind its data, or the application behind its request."""
    size = 1_000_000
    with socks.connect(tunnel.socks_port, "127.0.0.1", http.port) as conn, conn.makefile("rb") as answer:
        conn.sendall(f"GET /bytes/{size}?seed=3 HTTP/1.0\r\n\r\n".encode())
        if tunnel.our_client:
            conn.shutdown(socket.SHUT_WR)  # theirs would drop the answer
        while answer.readline().strip():
            pass
        assert answer.read(size) == b"".join(seeded_chunks(size, 3)), tunnel.output
        if tunnel.our_client:  # Go clients close 5 to 30 s later
            assert answer.read() == b"", tunnel.output


def test_targets_that_speak_first(tunnel: Tunnel) -> None:
    """As SSH and SMTP do: the greeting follows right behind the answer to the connect request."""
    with GreetingTarget(b"220 hello\r\n") as target:
        for _ in range(20):
            with socks.connect(tunnel.socks_port, "127.0.0.1", target.port) as conn:
                assert socks.read_exactly(conn, 11) == b"220 hello\r\n", tunnel.output


def test_refused_target(tunnel: Tunnel) -> None:
    """Our client reads the cause from their text; theirs, all of them, reply 4 whatever our server says."""
    with refusing_port() as port, pytest.raises(socks.SocksRefused) as refused:
        socks.connect(tunnel.socks_port, "127.0.0.1", port)
    wanted = socks.REFUSED if tunnel.our_client else socks.HOST_UNREACHABLE
    assert refused.value.reply == wanted, tunnel.output


def test_our_client_with_a_wrong_token(peer: Peer) -> None:
    ws_port, socks_port = free_port(), free_port()
    with (
        peer.play("server", ws_port=ws_port, token=TOKEN),
        _our_client(ws_port, socks_port, "wrong") as client,
    ):
        assert client.wait_exit() == 1, client.output
    said = "\n".join(client.err)
    assert re.search(r"(?i)authentication failed: invalid token; check", said), "their reason, and what to do"
    assert "Traceback" not in said


def test_their_client_with_a_wrong_token(peer: Peer) -> None:
    ws_port = free_port()
    with (
        _our_server(ws_port) as server,
        pytest.raises(PeerError, match=r"(?i)invalid token"),
        peer.play("client", ws_port=ws_port, token="wrong", socks_port=free_port()),
    ):
        pytest.fail(f"logged in\n{server.output}")
    assert "Traceback" not in server.output


@contextmanager
def _our_server(ws_port: int) -> Iterator[Process]:
    with linksocks("server", "-t", TOKEN, "-H", "127.0.0.1", "-P", str(ws_port)) as server:
        server.wait_port(ws_port)
        yield server


def _our_client(ws_port: int, socks_port: int, token: str) -> Process:
    """Our client; it opens its SOCKS port after the login."""
    url = f"ws://127.0.0.1:{ws_port}"
    argv = ("client", "-u", url, "-s", "127.0.0.1", "-p", str(socks_port))
    return linksocks(*argv, env={"LINKSOCKS_TOKEN": token})


def _http_on(conn: socket.socket) -> http.client.HTTPConnection:
    """An HTTP session on a connection that exists already."""
    session = http.client.HTTPConnection("target")
    session.sock = conn
    return session
