"""Connecting: each step has its deadline and an error that names it, and no server can hold us up or fill us up."""

from __future__ import annotations

import base64
import datetime
import hashlib
import ssl as stdlib_ssl
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import gevent
import pytest
import trustme
from gevent import socket, ssl

from linksocks.errors import ConfigError, LinkError
from linksocks.net.out.egress import Direct
from linksocks.net.out.resolve import Resolver
from linksocks.net.tls.trust import TlsClient, Trust
from linksocks.net.ws import connect as module
from linksocks.net.ws.connect import Handshake, Upgraded, connect
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


def open_(url: str, tls: TlsClient | None = None, handshake: Handshake | None = None) -> Upgraded:
    resolver = Resolver()
    try:
        return connect(url, handshake or Handshake(), Direct(resolver), tls or TlsClient(), "server")
    finally:
        resolver.close()


def refused(url: str, tls: TlsClient | None = None, handshake: Handshake | None = None) -> str:
    """The words of the LinkError."""
    with pytest.raises(LinkError) as caught:
        open_(url, tls, handshake)
    words = str(caught.value)
    caught.value.__traceback__ = None  # it holds the frames that hold the sockets
    assert HASH not in words
    assert len(words) < 400
    return words


def trusting(ca_file: str) -> TlsClient:
    return TlsClient(Trust(ca_file=ca_file))


# What works


def test_connects():
    heads: list[str] = []
    with server(
        lambda sock, head: accepted(sock, head, "LinkSocks-Extensions: flow/1;window=5\r\n"), heads
    ) as port:
        upgraded = open_(
            f"ws://127.0.0.1:{port}/socket?token={HASH}&a=b", handshake=Handshake(headers=[("X-Test", "yes")])
        )
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


def test_what_the_user_adds():
    heads: list[str] = []
    handshake = Handshake(
        headers=[("User-Agent", "mine/1")], private_headers=[("X-A", "1"), ("X-A", "2")], host="example.org:1"
    )
    with server(accepted, heads) as port:
        open_(f"ws://127.0.0.1:{port}/prefix/socket/", handshake=handshake).websocket.finish()
    [head] = heads
    assert head.startswith("GET /prefix/socket/ HTTP/1.1\r\n")
    assert "\r\nHost: example.org:1\r\n" in head
    assert "\r\nUser-Agent: mine/1\r\nX-A: 1\r\nX-A: 2\r\n" in head
    assert head.count("Host:") == 1


# Redirects


def redirecting(location: str, status: int = 302) -> Answer:
    """`{port}` in the location is the server's own."""

    def answer(sock: socket.socket, _head: str) -> None:
        there = location.format(port=sock.getsockname()[1])
        sock.sendall(f"HTTP/1.1 {status} Moved\r\nLocation: {there}\r\nContent-Length: 0\r\n\r\n".encode())

    return answer


def first_then(first: Answer, then: Answer = accepted) -> Answer:
    """The first request gets another answer than those after it."""
    answers = iter([first])

    def answer(sock: socket.socket, head: str) -> None:
        next(answers, then)(sock, head)

    return answer


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("/other", "/other"),
        ("other/?a=b", "/deep/other/?a=b"),
        ("?x", "/deep/socket?x"),
        ("http://127.0.0.1:{port}/there?token=y#part", "/there?token=y"),
        ("ws://127.0.0.1:{port}", "/"),
        ("//127.0.0.1:{port}/a b\u00e9", "/a%20b%C3%A9"),
    ],
)
def test_a_redirect_is_followed_as_its_location_says(status, location, path):
    heads: list[str] = []
    with server(first_then(redirecting(location, status)), heads) as port:
        upgraded = open_(f"ws://127.0.0.1:{port}/deep/socket?token={HASH}")
        assert upgraded.websocket.receive() == b"first"
        upgraded.websocket.finish()
    assert heads[1].startswith(f"GET {path} HTTP/1.1\r\n"), heads[1]
    assert HASH not in heads[1]
    assert upgraded.url.rstrip("/") == f"ws://127.0.0.1:{port}{path}".rstrip("/")


def test_five_redirects_are_enough():
    heads: list[str] = []
    with server(redirecting("/again"), heads) as port:
        words = refused(f"ws://127.0.0.1:{port}/socket?token={HASH}")
    assert words == f"HTTP: ws://127.0.0.1:{port}/socket redirects more than 5 times"
    assert len(heads) == 6


@pytest.mark.parametrize(
    "location",
    [
        "",
        "ftp://127.0.0.1/",
        "mailto:x",
        "ws://me:pw@127.0.0.1/",
        "ws://127.0.0.1:0/",
        "ws://[",
        "ws://x:y",
    ],
)
def test_a_redirect_to_what_is_no_server(location):
    with server(redirecting(location)) as port:
        assert "expected the URL of a LinkSocks server" in refused(f"ws://127.0.0.1:{port}/socket")


SECRETS = Handshake(
    headers=[("User-Agent", "mine/1")],
    private_headers=[("X-Secret", "s")],
    host="example.org",
    tls_server_name="x",
)


@pytest.mark.parametrize(
    "query", ["", "?token=", f"?token={'f' * 64}", f"?nottoken={HASH}", f"#token={HASH}"]
)
@pytest.mark.parametrize("asked", ["", f"?token={HASH}"])
def test_another_host_needs_our_login_in_the_location(asked, query):
    """A redirect to ourselves by another name: nothing must reach it."""
    heads: list[str] = []
    with server(redirecting("ws://localhost:{port}/socket" + query), heads) as port:
        words = refused(f"ws://127.0.0.1:{port}/socket{asked}", handshake=SECRETS)
    assert "redirects to 'ws://localhost" in words
    assert words.endswith("another host, without our login: if you trust it, give its URL")
    assert len(heads) == 1


def test_another_port_of_the_host_gets_nothing_of_the_users():
    first: list[str] = []
    second: list[str] = []
    with (
        server(accepted, second) as other,
        server(redirecting(f"ws://127.0.0.1:{other}/socket"), first) as port,
    ):
        open_(f"ws://127.0.0.1:{port}/socket", handshake=SECRETS).websocket.finish()
    assert "X-Secret: s" in first[0]
    assert "X-Secret" not in second[0]


def test_another_host_gets_the_login_of_the_location_and_nothing_of_the_users():
    heads: list[str] = []
    location = f"ws://localhost:{{port}}/socket?token={HASH}&node=2"
    with server(first_then(redirecting(location)), heads) as port:
        open_(f"ws://127.0.0.1:{port}/socket?token={HASH}", handshake=SECRETS).websocket.finish()
    assert "X-Secret: s" in heads[0]
    assert heads[1].startswith(f"GET /socket?token={HASH}&node=2 HTTP/1.1\r\n")
    assert f"\r\nHost: localhost:{port}\r\n" in heads[1]
    assert "\r\nUser-Agent: mine/1\r\n" in heads[1]
    assert "X-Secret" not in heads[1]


# TCP


def test_tcp_refused():
    with refusing_port() as port:
        words = refused(f"ws://127.0.0.1:{port}/socket")
    assert words == f"TCP: 127.0.0.1:{port}: Connection refused; is the server running there?"


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
        (b"HTTP/1.1 301 Gone\r\n\r\n", "redirects to nowhere: expected the URL of a LinkSocks server"),
        (b"HTTP/1.1 304 Not Modified\r\nLocation: /x\r\n\r\n", "answered 304; expected"),
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
        (b"HTTP/1.1 302 Found\r\nSet-Cookie: \x01[]=;;=\r\n\r\n", "expected a LinkSocks|nowhere"),
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
        upgraded = open_(f"wss://{host}:{port}/socket", trusting(ca_file))
        assert upgraded.websocket.receive() == b"first"
        upgraded.websocket.finish()


def test_tls_does_not_block_the_hub(authority, ca_file):
    """The other end runs in this hub: a look-up or handshake that blocks it never ends."""
    with tls_server(authority.issue_cert("localhost")) as port:
        open_(f"wss://localhost:{port}/socket", trusting(ca_file)).websocket.finish()


def test_tls_wrong_authority(authority):
    with tls_server(authority.issue_cert("localhost")) as port:
        words = refused(f"wss://localhost:{port}/socket")
    assert words.startswith("TLS: the certificate of localhost is not trusted (")
    assert words.endswith("name the authority's file with --ca-file")


@pytest.mark.parametrize(("host", "name"), [("localhost", "other.example"), ("127.0.0.1", "localhost")])
def test_tls_wrong_name(authority, ca_file, host, name):
    with tls_server(authority.issue_cert(name)) as port:
        words = refused(f"wss://{host}:{port}/socket", trusting(ca_file))
    assert "mismatch" in words
    assert "use a name or address that stands in the certificate" in words


def test_tls_with_another_name(authority, ca_file):
    """The certificate is for the name that the user gives, not for the address that is dialled."""
    context = trusting(ca_file)
    with tls_server(authority.issue_cert("other.example")) as port:
        handshake = Handshake(tls_server_name="other.example")
        open_(f"wss://127.0.0.1:{port}/socket", context, handshake).websocket.finish()
        words = refused(f"wss://127.0.0.1:{port}/socket", context, Handshake(tls_server_name="wrong.example"))
    assert words.startswith("TLS: the certificate of wrong.example is not trusted")


def test_tls_is_not_left_by_a_redirect(authority, ca_file):
    with tls_server(authority.issue_cert("localhost"), redirecting("http://localhost:{port}/x")) as port:
        words = refused(f"wss://localhost:{port}/socket", trusting(ca_file))
    assert words.endswith("that has no TLS, and the token would be readable on the way")


def test_tls_may_be_where_a_redirect_leads(authority, ca_file):
    with ExitStack() as stack:
        secure = stack.enter_context(tls_server(authority.issue_cert("127.0.0.1")))
        port = stack.enter_context(server(redirecting(f"https://127.0.0.1:{secure}/socket")))
        upgraded = open_(f"ws://127.0.0.1:{port}/socket", trusting(ca_file))
        assert upgraded.websocket.receive() == b"first"
        upgraded.websocket.finish()


def test_tls_expired(authority, ca_file):
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    with tls_server(authority.issue_cert("localhost", not_after=past)) as port:
        words = refused(f"wss://localhost:{port}/socket", trusting(ca_file))
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
        trusting(str(path))
