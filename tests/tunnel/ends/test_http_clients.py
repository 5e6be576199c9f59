"""Real clients before the port: curl in every protocol, Python's http.client and urllib."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import logging
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.support.applications import NO_LOGIN, curl, listening
from tests.support.targets import HttpTarget, refusing_port, seeded_bytes, seeded_sha256
from tests.support.threads import beside_hub
from tests.support.tunnels import KINDS, PATIENCE, Tunnel

MIB = 1024 * 1024

WAYS = ["--socks4", "--socks4a", "--socks5", "--socks5-hostname", "-x", "-px"]

_T = TypeVar("_T")

both_kinds = pytest.mark.parametrize("kind", KINDS)


class Proxy:
    """A port for applications, and an HTTP server behind the tunnel."""

    def __init__(self, port: int, target: HttpTarget) -> None:
        self.address = f"127.0.0.1:{port}"
        self.port = port
        self.target = target

    def url(self, size: int, seed: int = 1) -> str:
        return self.target.url(f"/bytes/{size}?seed={seed}")


@contextlib.contextmanager
def proxy(
    kind: str = "ours", login: tuple[str, str] = NO_LOGIN, *, fast_open: bool = False
) -> Iterator[Proxy]:
    with (
        HttpTarget() as target,
        Tunnel(kind) as tunnel,
        listening(lambda: tunnel.client, login, fast_open=fast_open) as inbound,
    ):
        yield Proxy(inbound.port, target)


class TestCurl:
    @both_kinds
    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("fast_open", [False, True])
    def test_every_protocol(self, kind: str, way: str, fast_open: bool) -> None:
        with proxy(kind, fast_open=fast_open) as front:
            got = curl(way, front.address, front.url(3 * MIB))
        assert got.returncode == 0, got.stderr
        assert hashlib.sha256(got.stdout).hexdigest() == seeded_sha256(3 * MIB, 1)

    @both_kinds
    def test_requests_in_a_row_keep_their_connection(self, kind: str) -> None:
        urls = [(1000, 1), (0, 2), (100_000, 3)]
        with proxy(kind) as front:
            got = curl("-v", "-x", front.address, *(front.url(*which) for which in urls))
        assert got.stdout == b"".join(seeded_bytes(*which) for which in urls)
        assert got.stderr.count(b"Re-using existing connection") == 2

    @both_kinds
    @pytest.mark.parametrize(
        "how", [[], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"]]
    )
    def test_an_upload(self, kind: str, how: list[str], tmp_path: Path) -> None:
        body = os.urandom(2 * MIB)
        (tmp_path / "body").write_bytes(body)
        with proxy(kind) as front:
            got = curl("-x", front.address, *how, "-T", str(tmp_path / "body"), front.target.url("/x"))
        if (
            "Transfer-Encoding: chunked" in how
        ):  # which this target does not read: it closes without an answer
            assert b"linksocks: the target" in got.stdout
        else:
            assert got.stdout == hashlib.sha256(body).hexdigest().encode()

    @pytest.mark.parametrize("way", ["-x", "-px"])
    def test_the_right_login(self, way: str) -> None:
        with proxy(login=("us er", "p:ss")) as front:
            got = curl(way, front.address, "--proxy-user", "us er:p:ss", front.url(10))
        assert got.stdout == seeded_bytes(10)

    @pytest.mark.parametrize(
        "how", [[], ["--proxy-user", "user:wrong"], ["--proxy-user", "user:wrong", "--proxy-anyauth"]]
    )
    def test_a_wrong_login(self, how: list[str], caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        with proxy(login=("user", "secret")) as front:
            got = curl("-i", "-x", front.address, *how, front.url(10))
            assert got.stdout.startswith(b"HTTP/1.1 407 Proxy Authentication Required\r\n")
            assert b"\r\nProxy-Authenticate: Basic " in got.stdout
            assert b"\r\n\r\nlinksocks: " in got.stdout
            tunnelled = curl("-px", front.address, *how, front.url(10))
            assert tunnelled.returncode == 56
            assert curl("--socks4", front.address, front.url(10)).returncode == 97
        for word in ("wrong:", "secret", "dXNlcjp3cm9uZw=="):
            assert word not in caplog.text

    def test_any_auth_finds_basic(self) -> None:
        with proxy(login=("user", "secret")) as front:
            for way in ("-x", "-px"):
                got = curl(
                    way, front.address, "--proxy-anyauth", "--proxy-user", "user:secret", front.url(10)
                )
                assert got.stdout == seeded_bytes(10), got.stderr

    def test_a_refused_target(self) -> None:
        with proxy() as front, refusing_port() as port:
            got = curl("-i", "-x", front.address, f"http://127.0.0.1:{port}/")
            assert got.stdout.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
            assert b"refused" in got.stdout
            got = curl("-i", "-px", front.address, f"http://127.0.0.1:{port}/")
            assert (got.returncode, b"502" in got.stderr) == (56, True)
            assert curl("--socks4a", front.address, f"http://127.0.0.1:{port}/").returncode == 97
            assert curl("--socks5-hostname", front.address, f"http://127.0.0.1:{port}/").returncode == 97

    def test_a_name_that_is_none(self) -> None:
        with proxy() as front:
            got = curl("-i", "-x", front.address, "http://no-such-host.invalid/")
            assert got.stdout.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")

    def test_the_port_itself_is_no_web_server(self) -> None:
        with proxy() as front:
            got = curl("-i", f"http://{front.address}/")
            assert got.stdout.startswith(b"HTTP/1.1 400 Bad Request\r\n")
            assert b"this is a proxy and no web server" in got.stdout


class TestPython:
    @both_kinds
    def test_http_client(self, kind: str) -> None:
        """One connection, requests of several kinds."""

        def run(front: Proxy) -> list[Any]:
            connection = http.client.HTTPConnection("127.0.0.1", front.port, timeout=PATIENCE)
            got = []
            for method, url, body in [
                ("GET", front.url(1000), None),
                ("POST", front.target.url("/x"), b"body"),
                ("HEAD", front.url(1000), None),  # which this target does not know
                ("GET", front.url(10), None),
            ]:
                connection.request(method, url, body)
                response = connection.getresponse()
                got.append((response.status, response.read()))
            connection.close()
            return got

        with proxy(kind) as front:
            got = beside_hub(lambda: run(front))
        digest = hashlib.sha256(b"body").hexdigest().encode()
        assert got == [(200, seeded_bytes(1000)), (200, digest), (501, b""), (200, seeded_bytes(10))]

    def test_http_client_through_connect(self) -> None:
        def run(front: Proxy) -> bytes:
            connection = http.client.HTTPConnection("127.0.0.1", front.port, timeout=PATIENCE)
            connection.set_tunnel("127.0.0.1", front.target.port)
            connection.request("GET", "/bytes/100?seed=1")
            body = connection.getresponse().read()
            connection.close()
            return body

        with proxy() as front:
            assert beside_hub(lambda: run(front)) == seeded_bytes(100)

    def test_urllib(self) -> None:
        def fetch(proxy_url: str, url: str) -> bytes:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": proxy_url}))
            with opener.open(url, timeout=PATIENCE) as response:
                body: bytes = response.read()
            return body

        with proxy(login=("user", "secret")) as front:
            got = beside_hub(lambda: fetch(f"http://user:secret@{front.address}", front.url(100_000)))
            assert got == seeded_bytes(100_000)
            with pytest.raises(urllib.error.HTTPError, match="407") as caught:
                beside_hub(lambda: fetch(f"http://{front.address}", front.url(1)))
            caught.value.close()
