"""Their clients and providers at our server over TLS: they trust what SSL_CERT_FILE names, and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.interop.peer import Peer, PeerError
from tests.support import socks
from tests.support.certificates import Files
from tests.support.ports import free_port
from tests.support.processes import linksocks
from tests.support.targets import HttpTarget, seeded_sha256

TOKEN = "the-token"
SIZE = 1_000_000


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path, trustme.CA())


@pytest.fixture
def ports(files: Files, request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """Our server's port for WebSockets, and one for applications, which it opens itself when it is `reverse`."""
    socks_port = free_port()
    reverse = ["-r", "-p", str(socks_port)] if getattr(request, "param", "") == "reverse" else []
    pair = ["--tls-cert", str(files.cert), "--tls-key", str(files.key)]
    with linksocks("server", "-t", TOKEN, "-H", "127.0.0.1", "-P", "0", *pair, *reverse) as server:
        yield int(server.wait_line(r"listening on 127\.0\.0\.1:(\d+), with TLS")[1]), socks_port


def _downloads(socks_port: int, http: HttpTarget) -> None:
    got = socks.curl(socks_port, "--fail", http.url(f"/bytes/{SIZE}?seed=1"))
    assert got.returncode == 0, got.stderr.decode()
    assert hashlib.sha256(got.stdout).hexdigest() == seeded_sha256(SIZE, 1)


def test_a_client_of_theirs(
    peer: Peer, ports: tuple[int, int], files: Files, http: HttpTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(files.ca))
    ws_port, socks_port = ports
    url = f"wss://127.0.0.1:{ws_port}"
    with peer.play("client", ws_port=ws_port, token=TOKEN, socks_port=socks_port, url=url):
        _downloads(socks_port, http)


@pytest.mark.parametrize("ports", ["reverse"], indirect=True)
def test_a_provider_of_theirs(
    peer: Peer, ports: tuple[int, int], files: Files, http: HttpTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(files.ca))
    ws_port, socks_port = ports
    with peer.play("provider", ws_port=ws_port, token=TOKEN, url=f"wss://127.0.0.1:{ws_port}"):
        _downloads(socks_port, http)


def test_a_client_of_theirs_that_does_not_trust_us(peer: Peer, ports: tuple[int, int]) -> None:
    """So that the tests above show something."""
    ws_port, socks_port = ports
    url = f"wss://127.0.0.1:{ws_port}"
    with (
        pytest.raises(PeerError),
        peer.play("client", ws_port=ws_port, token=TOKEN, socks_port=socks_port, url=url),
    ):
        pytest.fail("connected")
