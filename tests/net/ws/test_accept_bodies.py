"""Bodies of requests at the upgrade server: bounded, whole, and never the beginning of the next request."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from gevent import socket

from linksocks.net.ws import accept as module
from tests.support.upgrades import Echo

POST = b"POST %s HTTP/1.1\r\nHost: x\r\n"
GET = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
FULL = bytes(module.MAX_BODY)


def chunked(*chunks: bytes) -> bytes:
    head = b"Transfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))


@pytest.fixture
def server(capfd) -> Iterator[Echo]:
    server = Echo()
    yield server
    server.stop()
    assert "Traceback" not in "".join(capfd.readouterr())


def ask(server: Echo, request: bytes) -> bytes:
    """All that comes back, to the end of the connection."""
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.settimeout(10)
        sock.sendall(request)
        return b"".join(iter(lambda: sock.recv(65536), b""))


TOO_LARGE = {
    "length": b"Content-Length: 65537\r\n\r\n" + FULL + b"x",
    "huge length": b"Content-Length: 999999999999\r\n\r\n",
    "chunks": chunked(FULL, b"x"),
    "huge chunk": b"Transfer-Encoding: chunked\r\n\r\nffffffff\r\n" + FULL + b"x",
}


@pytest.mark.parametrize("path", [b"/", b"/nothing", b"/socket"])
@pytest.mark.parametrize("body", TOO_LARGE.values(), ids=TOO_LARGE.keys())
def test_one_that_is_too_large_ends_the_connection(server, monkeypatch, path, body):
    monkeypatch.setattr(module, "_LINGER", 0.1)
    answer = ask(server, POST % path + body + GET)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.count(b"HTTP/1.1") == 1  # what follows is no request


FITTING = {
    "length": b"Content-Length: 65536\r\n\r\n" + FULL,
    "chunks": chunked(FULL[:-1], b"x"),
    "none": b"\r\n",
}


@pytest.mark.parametrize("body", FITTING.values(), ids=FITTING.keys())
def test_after_one_that_nobody_wanted_the_connection_goes_on(server, body):
    answer = ask(server, POST % b"/" + body + GET)
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert b"HTTP/1.1 200 OK" in answer


def test_a_client_is_told_before_it_sends_too_much(server, monkeypatch):
    monkeypatch.setattr(module, "_LINGER", 0.1)
    answer = ask(server, POST % b"/" + b"Content-Length: 65537\r\nExpect: 100-continue\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_client_that_leaves_in_the_middle(server):
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.settimeout(10)
        sock.sendall(POST % b"/" + b"Content-Length: 10\r\n\r\n12")
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(100) == b""


def test_a_malformed_chunk(server):
    assert ask(server, POST % b"/" + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n").startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("body", [b"Content-Length: 5\r\n\r\nhello", chunked(b"he", b"llo")])
def test_the_application_gets_it_whole(server, body):
    got = []

    def application(environ, start_response):
        got.append((environ["CONTENT_LENGTH"], environ["wsgi.input"].read()))
        start_response("200 OK", [])
        return [b""]

    server.http.application = application
    ask(server, POST % b"/" + b"Connection: close\r\n" + body)
    assert got == [("5", b"hello")]
