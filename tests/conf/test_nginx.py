"""conf/nginx.conf in a real nginx: links over TLS through it, long idle ones, bulk, its reload and its logs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import gevent
import pytest
import trustme

from linksocks.wire.auth import token_hash
from tests.conf.fronts import NGINX, Nginx, paced
from tests.support import socks
from tests.support.applications import curl
from tests.support.certificates import Files
from tests.support.chains import said
from tests.support.flows import WHOLE, Flow
from tests.support.processes import Process, linksocks
from tests.support.targets import EchoTarget, HttpTarget, refusing_port, seeded_sha256
from tests.support.tunnels import Target, application
from tests.support.waits import eventually

pytestmark = pytest.mark.skipif(
    NGINX is None, reason="there is no nginx here; scripts/test gets it where there is apt-get"
)

TOKEN = "a-token-of-the-tests"
KEY = "a-key-of-the-tests"
SIZE = 64 * 1024 * 1024

PRIVATE = ["/", "/api/status", "/metrics", "/readyz", "/socket/", "/socket/../metrics"]

FAST_PINGS = "import linksocks.net.ws.heartbeat as h; h.PING_INTERVAL = 0.2"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path, trustme.CA())


@contextmanager
def server(*args: str, pace: str = "") -> Iterator[tuple[Process, int]]:
    """As the sample wants it, and the port that nginx goes to."""
    flags = ["server", "-t", TOKEN, "-H", "127.0.0.1", "-P", "0", "--max-handshakes-per-address", "0", *args]
    with paced(pace, *flags) as process:
        yield process, int(said(process, r"listening on 127\.0\.0\.1:(\d+)"))


@contextmanager
def client(nginx: Nginx, pace: str = "") -> Iterator[tuple[Process, int]]:
    """One that has logged in, and its port for applications."""
    flags = ["client", "-t", TOKEN, "-u", nginx.url, "--ca-file", nginx.ca, "-p", "0"]
    with paced(pace, *flags) as process:
        said(process, "logged in at")
        yield process, int(said(process, r"applications' port 127\.0\.0\.1:(\d+) is open"))


def test_bulk_goes_through_unharmed(tmp_path: Path, files: Files) -> None:
    data = tmp_path / "data"
    data.write_bytes(b"up" * (SIZE // 2))
    with (
        server() as (_, ws_port),
        Nginx(tmp_path / "nginx", files, ws_port) as nginx,
        client(nginx) as (_, port),
        HttpTarget() as target,
    ):
        down = socks.curl(port, target.url(f"/bytes/{SIZE}?seed=5")).stdout
        assert hashlib.sha256(down).hexdigest() == seeded_sha256(SIZE, 5)
        up = socks.curl(port, "-T", str(data), target.url("/")).stdout
        assert up.decode() == hashlib.sha256(data.read_bytes()).hexdigest()


def test_an_idle_link_outlives_nginx_s_patience_by_our_pings(tmp_path: Path, files: Files) -> None:
    """nginx's timeout is 3 s; two links are idle, and that without pings in time is cut meanwhile."""
    with ExitStack() as stack:

        def link(name: str, pace: str) -> tuple[Process, int]:
            _, ws_port = stack.enter_context(server(pace=pace))
            nginx = stack.enter_context(Nginx(tmp_path / name, files, ws_port, "3s"))
            return stack.enter_context(client(nginx, pace))

        pinged, port = link("pinged", FAST_PINGS)
        echo = stack.enter_context(EchoTarget())
        app = stack.enter_context(application(port, echo.port))
        quiet, _ = link("quiet", "")  # which is idle for less long
        said(quiet, "lost a link to the server")
        app.sendall(b"hello")
        assert socks.read_exactly(app, 5) == b"hello"
        assert "lost a link" not in pinged.output


def test_a_reload_of_nginx_cuts_no_link(tmp_path: Path, files: Files) -> None:
    with (
        server() as (_, ws_port),
        Nginx(tmp_path / "nginx", files, ws_port) as nginx,
        client(nginx) as (process, port),
        Target() as target,
    ):
        accepting = gevent.spawn(target.accept)
        app = application(port, target.port, receive_buffer=4096)
        flow = Flow(1, accepting.get(), app, speed=200_000).start()
        try:
            eventually(lambda: bool(flow.received), process)
            nginx.reload()
            then = flow.received
            with client(nginx):
                pass
            eventually(lambda: flow.received > then, process)
            flow.speed = 0
            flow.stop()
            assert flow.wait() == WHOLE
        finally:
            flow.close()
        assert "lost a link" not in process.output


def test_the_token_s_hash_gets_into_no_log(tmp_path: Path, files: Files) -> None:
    """Not of a link, and not of the errors that nginx has with a server that is down."""
    hashed = token_hash(TOKEN)
    with server() as (_, ws_port), Nginx(tmp_path / "up", files, ws_port) as nginx:
        with client(nginx):
            pass
        eventually(lambda: "GET /socket 101" in nginx.logs)
        assert hashed not in nginx.logs
    with (
        refusing_port() as port,
        Nginx(tmp_path / "down", files, port) as nginx,
        linksocks("client", "-t", TOKEN, "-u", nginx.url, "--ca-file", nginx.ca, "-p", "0") as trying,
    ):
        said(trying, "502")
        eventually(lambda: "GET /socket 502" in nginx.logs)
        assert hashed not in nginx.logs


@pytest.mark.parametrize("path", PRIVATE)
def test_only_links_are_public(tmp_path: Path, files: Files, path: str) -> None:
    with (
        server("--api-key", KEY) as (_, ws_port),
        Nginx(tmp_path / "nginx", files, ws_port) as nginx,
    ):
        said = ["--cacert", nginx.ca, "-H", f"X-API-Key: {KEY}", "-w", "%{http_code}", "--path-as-is"]
        answer = curl(*said, f"https://127.0.0.1:{nginx.port}{path}")
    assert answer.stdout.endswith(b"404"), answer
    assert b"nginx" in answer.stdout
