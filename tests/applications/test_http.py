"""The HTTP clients of the standard library on a socket of `create_connection`, with TLS and without."""

from __future__ import annotations

import hashlib
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from typing import Any

import pytest

from linksocks import Client
from tests.support.certificates import Files
from tests.support.targets import HttpTarget, refusing_port, seeded_bytes, seeded_chunks, seeded_sha256

PATIENCE = 10.0
MIB = 1024 * 1024
BULK = 100 * MIB


def connections(client: Client, tls: ssl.SSLContext) -> tuple[type[HTTPConnection], type[HTTPConnection]]:
    """As a program writes them, for http and https. All names are loopback here.

    To set `sock` of a connection would be less to write. But http.client replaces a socket that the server has closed
    with one that does not go through the tunnel.
    """

    class Plain(HTTPConnection):
        def connect(self) -> None:
            self.sock = client.create_connection(("127.0.0.1", self.port), self.timeout)

    class Secure(Plain):
        def connect(self) -> None:
            super().connect()
            self.sock = tls.wrap_socket(self.sock, server_hostname=self.host)

    return Plain, Secure


@contextmanager
def connected(client: Client, port: int, tls: ssl.SSLContext | None = None) -> Iterator[HTTPConnection]:
    plain, secure = connections(client, tls or ssl.create_default_context())
    with closing((secure if tls else plain)("target.example", port, timeout=PATIENCE)) as connection:
        yield connection


def ask(connection: HTTPConnection, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
    connection.request(method, path, body)
    response = connection.getresponse()
    return response.status, response.read()


class TestHttpClient:
    def test_requests_in_a_row_on_one_connection(self, client: Client) -> None:
        with HttpTarget() as target, connected(client, target.port) as connection:
            assert ask(connection, "GET", "/bytes/100000?seed=1") == (200, seeded_bytes(100_000))
            sock = connection.sock
            assert ask(connection, "POST", "/", b"body") == (
                200,
                hashlib.sha256(b"body").hexdigest().encode(),
            )
            assert ask(connection, "GET", "/bytes/0") == (200, b"")
            assert connection.sock is sock

    def test_another_connection_after_the_server_has_closed(self, client: Client) -> None:
        with HttpTarget() as target, connected(client, target.port) as connection:
            assert ask(connection, "HEAD", "/") == (
                501,
                b"",
            )  # which this target says with `Connection: close`
            assert ask(connection, "GET", "/bytes/100?seed=1") == (200, seeded_bytes(100))

    def test_100_mib_down(self, client: Client) -> None:
        digest = hashlib.sha256()
        with HttpTarget() as target, connected(client, target.port) as connection:
            connection.request("GET", f"/bytes/{BULK}?seed=7")
            response = connection.getresponse()
            while piece := response.read(MIB):
                digest.update(piece)
        assert digest.hexdigest() == seeded_sha256(BULK, 7)

    def test_100_mib_up(self, client: Client) -> None:
        with HttpTarget() as target, connected(client, target.port) as connection:
            connection.request("PUT", "/", seeded_chunks(BULK, 8), {"Content-Length": str(BULK)})
            assert connection.getresponse().read().decode() == seeded_sha256(BULK, 8)


class TestTls:
    def test_the_name_of_the_target(self, client: Client, files: Files) -> None:
        with (
            HttpTarget(tls=files.serving()) as target,
            connected(client, target.port, files.trusting()) as connection,
        ):
            assert ask(connection, "GET", "/bytes/300000?seed=1") == (200, seeded_bytes(300_000))
            assert connection.sock.getpeercert()["subjectAltName"] == (("DNS", "target.example"),)

    def test_another_name(self, client: Client, files: Files) -> None:
        with (
            HttpTarget(tls=files.serving()) as target,
            client.create_connection(("127.0.0.1", target.port), PATIENCE) as sock,
            pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"),
        ):
            files.trusting().wrap_socket(sock, server_hostname="other.example")

    def test_an_unknown_authority(self, client: Client, files: Files) -> None:
        with (
            HttpTarget(tls=files.serving()) as target,
            client.create_connection(("127.0.0.1", target.port), PATIENCE) as sock,
            pytest.raises(ssl.SSLCertVerificationError, match="local issuer"),
        ):
            ssl.create_default_context().wrap_socket(sock, server_hostname="target.example")


class TestUrllib:
    def test_an_opener(self, client: Client, files: Files) -> None:
        with HttpTarget() as plain, HttpTarget(tls=files.serving()) as secure:
            opener = urllib.request.build_opener(handler(client, files.trusting()))
            for target in (plain, secure):
                with opener.open(
                    target.url("/bytes/100000?seed=1", "target.example"), timeout=PATIENCE
                ) as response:
                    assert response.read() == seeded_bytes(100_000)

    def test_a_target_that_refuses(self, client: Client) -> None:
        opener = urllib.request.build_opener(handler(client, ssl.create_default_context()))
        with refusing_port() as port, pytest.raises(urllib.error.URLError) as caught:
            opener.open(f"http://target.example:{port}/", timeout=PATIENCE)
        assert isinstance(caught.value.reason, OSError)


def handler(client: Client, tls: ssl.SSLContext) -> urllib.request.BaseHandler:
    """As a program writes it."""
    plain, secure = connections(client, tls)

    class Handler(urllib.request.HTTPSHandler, urllib.request.HTTPHandler):
        def http_open(self, request: urllib.request.Request) -> Any:
            return self.do_open(plain, request)

        def https_open(self, request: urllib.request.Request) -> Any:
            return self.do_open(secure, request)

    return Handler()
