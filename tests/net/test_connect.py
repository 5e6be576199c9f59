"""Connecting: each step has its deadline and an error that names it, and no server can hold us up or fill us up."""

from __future__ import annotations

import base64
import datetime
import hashlib
import ssl as stdlib_ssl
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gevent
import pytest
import trustme
from gevent import socket, ssl

from linksocks.errors import ConfigError, LinkError
from linksocks.net import connect as module
from linksocks.net.connect import Upgraded, connect
from linksocks.net.resolve import Resolver
from linksocks.net.tls import client_context
from tests.support.rawsocket import BINARY, RawPeer, frame, read_head, serving
from tests.support.targets import mute_port, refusing_port, unanswered_port

HASH = "0123456789abcdef" * 4

Answer = Callable[[socket.socket, str], None]


def accept_value(key: str) -> str:
    """RFC 6455 section 4.2.2."""
    return base64.b64encode(
        hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
    ).decode()


def accepted(sock: socket.socket, head: str, extra: str = "") -> None:
    """Answers the upgrade, in one write with the first frame."""
    key = next(
        line.split(": ")[1] for line in head.splitlines() if line.lower().startswith("sec-websocket-key")
    )
    answer = (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept_value(key)}\r\n{extra}\r\n"
    )
    sock.sendall(answer.encode() + frame(BINARY, b"first", masked=False))


def fixed(answer: bytes) -> Answer:
    """Sends it, and waits for the client to go."""

    def send(sock: socket.socket, _head: str) -> None:
        sock.sendall(answer)
        RawPeer(sock, masking=False).at_end()

    return send


def endless(start: bytes, more: bytes) -> Answer:
    def send(sock: socket.socket, _head: str) -> None:
        sock.sendall(start)
        while True:
            sock.sendall(more)

    return send


@contextmanager
def server(answer: Answer, heads: list[str] | None = None) -> Iterator[int]:
    """Reads the head of a request and lets `answer` have the rest."""

    def handle(sock: socket.socket) -> None:
        head = read_head(sock).decode()
        if heads is not None:
            heads.append(head)
        answer(sock, head)

    with serving(handle) as port:
        yield port


def open_(url: str, context: ssl.SSLContext | None = None, headers: dict[str, str] | None = None) -> Upgraded:
    resolver = Resolver()
    try:
        return connect(url, headers or {}, resolver, context or client_context(), "server")
    finally:
        resolver.close()


def refused(url: str, context: ssl.SSLContext | None = None) -> str:
    """The words of the LinkError."""
    with pytest.raises(LinkError) as caught:
        open_(url, context)
    words = str(caught.value)
    caught.value.__traceback__ = None  # it holds the frames that hold the sockets
    assert HASH not in words
    assert len(words) < 400
    return words


# What works


def test_connects():
    heads: list[str] = []
    with server(
        lambda sock, head: accepted(sock, head, "LinkSocks-Extensions: flow/1;window=5\r\n"), heads
    ) as port:
        upgraded = open_(f"ws://127.0.0.1:{port}/socket?token={HASH}&a=b", headers={"X-Test": "yes"})
        assert upgraded.websocket.receive() == b"first"
        assert upgraded.headers["linksocks-extensions"] == "flow/1;window=5"
    upgraded.websocket.finish()
    [head] = heads
    assert head.startswith(f"GET /socket?token={HASH}&a=b HTTP/1.1\r\n")
    assert f"\r\nHost: 127.0.0.1:{port}\r\n" in head
    assert "\r\nX-Test: yes\r\n" in head
    assert "Origin" not in head


@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"])
def test_proxies_of_the_environment_are_not_asked(monkeypatch, variable):
    with refusing_port() as dead, server(accepted) as port:
        monkeypatch.setenv(variable, f"http://127.0.0.1:{dead}")
        upgraded = open_(f"ws://127.0.0.1:{port}/socket")
    upgraded.websocket.finish()


# TCP


def test_tcp_refused():
    with refusing_port() as port:
        assert refused(f"ws://127.0.0.1:{port}/socket") == f"TCP: 127.0.0.1:{port}: Connection refused"


def test_tcp_no_such_host():
    assert "TCP: no such host nosuch.invalid" in refused("ws://nosuch.invalid/socket")


@pytest.mark.parametrize("step", ["TCP", "TLS", "HTTP"])
def test_a_step_that_is_never_answered(monkeypatch, step):
    monkeypatch.setattr(module, "STEP_TIMEOUT", 0.1)
    scheme = "wss" if step == "TLS" else "ws"
    with (unanswered_port if step == "TCP" else mute_port)() as port:
        words = refused(f"{scheme}://127.0.0.1:{port}/socket?token={HASH}")
    assert words == f"{step}: no answer from 127.0.0.1:{port} in 0.1 s"


# HTTP


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nNot Found",
            "answered 404 ('Not Found'); expected",
        ),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "answered 404; expected a LinkSocks server: check host"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "answered 200; expected"),
        (b"HTTP/1.1 500\r\nContent-Length: 4\r\n\r\n\xff\x1b\n!", "answered 500 ("),
        (
            b"HTTP/1.1 302 Found\r\nLocation: ws://other/x?token=1\r\n\r\n",
            "answered 302 (moved to 'ws://other/x')",
        ),
        (b"HTTP/1.1 301 Gone\r\n\r\n", "answered 301 (moved to nowhere); redirects are not followed"),
        (
            b"HTTP/1.1 404 X\r\nContent-Length: 80\r\n\r\n/?token=" + HASH.encode() + b"&x=12345",
            "'/?token=...&x",
        ),
        (b"HTTP/1.1 101 Go\r\n\r\n", "Invalid WebSocket Header"),
        (
            b"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
            "Invalid",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "Invalid content-length"),
        (b"HTTP/1.1 302 Found\r\nSet-Cookie: \x01[]=;;=\r\n\r\n", "expected a LinkSocks|redirects"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "Invalid status line: 'SSH-2.0"),
        (b"\r\n\r\n", "expected a LinkSocks server"),
        (b"\xff\xfe\xfd\r\n", "expected a LinkSocks server"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "expected a LinkSocks server"),
        (b"x" * 5000 + b"\r\n\r\n", "expected a LinkSocks server"),
    ],
)
def test_answers_that_are_no_upgrade(answer, said):
    with server(fixed(answer)) as port:
        words = refused(f"ws://127.0.0.1:{port}/socket?token={HASH}")
    assert words.startswith(f"HTTP: ws://127.0.0.1:{port}/socket")
    assert any(part in words for part in said.split("|")), words


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 10", b"HTTP/1.1 404 X\r\nContent-Length: 100\r\n\r\nabc"])
def test_a_server_that_closes(said):
    with server(lambda sock, _head: sock.sendall(said)) as port:
        assert refused(f"ws://127.0.0.1:{port}/socket").startswith("HTTP: ")


@pytest.mark.parametrize(
    "answer",
    [
        endless(b"", b"x" * 10_000),
        endless(b"HTTP/1.1 101 X\r\n", b"X: y\r\n" * 1000),
        endless(b"HTTP/1.1 404 X\r\nContent-Length: 1000000000000\r\n\r\n", b"x" * 60_000),
    ],
    ids=["line", "head", "body"],
)
def test_an_endless_answer_is_cut(answer):
    with server(answer) as port:
        tracemalloc.start()
        try:
            words = refused(f"ws://127.0.0.1:{port}/socket")
            assert tracemalloc.get_traced_memory()[1] < 8 << 20
        finally:
            tracemalloc.stop()
    assert "an answer of more than 65536 bytes" in words


def test_a_slow_answer_is_cut(monkeypatch):
    monkeypatch.setattr(module, "STEP_TIMEOUT", 0.1)

    def trickle(sock: socket.socket, _head: str) -> None:
        while True:
            sock.sendall(b"x")
            gevent.sleep(0.005)

    with server(trickle) as port:
        assert refused(f"ws://127.0.0.1:{port}/socket") == f"HTTP: no answer from 127.0.0.1:{port} in 0.1 s"


# TLS


@contextmanager
def tls_server(certificate: trustme.LeafCert, answer: Answer = accepted) -> Iterator[int]:
    context = ssl.SSLContext(stdlib_ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)

    def handle(sock: socket.socket) -> None:
        wrapped = context.wrap_socket(sock, server_side=True)
        try:
            answer(wrapped, read_head(wrapped).decode())
            RawPeer(wrapped, masking=False).read_until(8)
        finally:
            wrapped.close()

    with serving(handle) as port:
        yield port


@pytest.fixture
def ca_file(authority, tmp_path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_tls_connects_with_the_ca_file(authority, ca_file, host):
    with tls_server(authority.issue_cert("localhost", "127.0.0.1")) as port:
        upgraded = open_(f"wss://{host}:{port}/socket", client_context(ca_file))
        assert upgraded.websocket.receive() == b"first"
        upgraded.websocket.finish()


def test_tls_does_not_block_the_hub(authority, ca_file):
    """The other end runs in this hub: a look-up or handshake that blocks it never ends."""
    context = client_context(ca_file)
    assert type(context) is ssl.SSLContext
    assert context.verify_mode is stdlib_ssl.CERT_REQUIRED
    assert context.check_hostname


def test_tls_wrong_authority(authority):
    with tls_server(authority.issue_cert("localhost")) as port:
        words = refused(f"wss://localhost:{port}/socket")
    assert words.startswith("TLS: the certificate of localhost is not trusted (")
    assert words.endswith("name the authority's file with --ca-file")


@pytest.mark.parametrize(("host", "name"), [("localhost", "other.example"), ("127.0.0.1", "localhost")])
def test_tls_wrong_name(authority, ca_file, host, name):
    with tls_server(authority.issue_cert(name)) as port:
        words = refused(f"wss://{host}:{port}/socket", client_context(ca_file))
    assert "mismatch" in words
    assert words.endswith("use a name or address that stands in the certificate")


def test_tls_expired(authority, ca_file):
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    with tls_server(authority.issue_cert("localhost", not_after=past)) as port:
        words = refused(f"wss://localhost:{port}/socket", client_context(ca_file))
    assert "certificate has expired" in words
    assert "clock" in words


def test_tls_towards_a_server_without():
    with serving(lambda sock: sock.sendall(b"HTTP/1.1 400 Bad\r\n\r\n")) as plain:
        words = refused(f"wss://127.0.0.1:{plain}/socket")
    assert words.startswith("TLS: 127.0.0.1: ")
    assert "is its URL ws://" in words


def test_tls_server_that_closes():
    with serving(lambda sock: None) as port:
        assert refused(f"wss://127.0.0.1:{port}/socket").startswith("TLS: 127.0.0.1: ")


@pytest.mark.parametrize("content", [None, "", "no certificate", "-----BEGIN CERTIFICATE-----\nAA\n"])
def test_a_bad_ca_file(tmp_path, content):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=r"ca\.pem: expected a readable file of PEM certificates"):
        client_context(str(path))
