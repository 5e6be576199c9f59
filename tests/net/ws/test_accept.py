"""The upgrade server: what is HTTP, what is WebSocket, and that no stranger makes a traceback or leaks a hash."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
from collections.abc import Iterator

import gevent
import pytest
import websocket as websocket_client
from gevent import socket
from websockets.sync.client import connect as websockets_connect

from linksocks.net.ws import accept as module
from linksocks.wire.extensions import Extensions
from tests.support.rawsocket import ACCEPT, BINARY, KEY, UPGRADE, RawPeer, frame, read_head
from tests.support.threads import beside_hub
from tests.support.upgrades import Echo

HASH = "0123456789abcdef" * 4


class Server(Echo):
    """What the tests ask, byte by byte."""

    def connect(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port))
        sock.settimeout(10)
        return sock

    def ask(self, request: bytes) -> bytes:
        """All that comes back, to the end of the connection. A reset is an end too."""
        answer = bytearray()
        with self.connect() as sock:
            try:
                sock.sendall(request)
                while data := sock.recv(65536):
                    answer += data
            except ConnectionError:
                pass
        return bytes(answer)

    def status(self, request: bytes) -> int:
        answer = self.ask(request)
        return int(answer.split(b" ", 2)[1]) if answer else 0


@pytest.fixture
def server(caplog, capfd) -> Iterator[Server]:
    """Whatever a test does: no traceback, and the hash in no log of any level."""
    caplog.set_level(1, "linksocks")
    echo = Server()
    yield echo
    echo.stop()
    output = capfd.readouterr()
    said = (
        output.out
        + output.err
        + "\n".join(record.getMessage() + str(record.exc_info) for record in caplog.records)
    )
    assert "Traceback" not in said
    assert "Error" not in said, said
    assert HASH not in said


def curl(*args: str) -> tuple[str, str]:
    """Status and body as the real curl sees them."""
    done = beside_hub(
        lambda: subprocess.run(
            ["curl", "-sS", "--noproxy", "*", "-m", "10", "-w", "\n%{http_code}", *args],
            capture_output=True,
            text=True,
            check=True,
        )
    )
    body, _, status = done.stdout.rpartition("\n")
    return status, body


def upgrade(
    path: str = "/socket", *changes: tuple[str, str], method: str = "GET", version: str = "1.1"
) -> bytes:
    """An upgrade with headers changed, added, or (empty) left out; it closes where it is refused."""
    headers = {
        "Host": "test",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": KEY,
    } | dict(changes)
    lines = [
        f"{method} {path} HTTP/{version}",
        *(f"{name}: {value}" for name, value in headers.items() if value),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


# Plain HTTP


@pytest.mark.parametrize(
    ("path", "args", "status", "said"),
    [
        ("/", [], "200", "is running, but API is not enabled"),
        ("/?a=b", [], "200", "is running"),
        ("/nothing", [], "404", "Not Found"),
        ("/socketx", [], "404", "Not Found"),
        ("/socket", [], "400", "for WebSocket clients"),
        ("/socket/", [], "400", "for WebSocket clients"),
        ("/socket/any/thing?token=x", [], "400", "for WebSocket clients"),
        ("/socket", ["-d", "body"], "400", "for WebSocket clients"),
        ("/socket", ["-H", "Upgrade: h2c", "-H", "Connection: Upgrade"], "400", "for WebSocket clients"),
        ("/", ["-d", "body"], "405", ""),
        ("/", ["-I"], "200", ""),
        ("/", ["--http1.0"], "200", "is running"),
    ],
)
def test_curl(server, path, args, status, said):
    got, body = curl(*args, f"http://127.0.0.1:{server.port}{path}")
    assert got == status
    assert said in body


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/api/token", "/api/token"),
        ("/api/token/SECRET", "/api/token/..."),
        ("/api/token//SECRET/x", "/api/token/..."),
        ("/api%2Ftoken%2FSECRET", "/api/token/..."),
        ("//api/token/SECRET", "//api/..."),
        ("http://host/api/token/SECRET", "http%3A//host/..."),
    ],
)
def test_what_is_below_a_page_is_not_logged(server, caplog, path, shown):
    """DELETE /api/token/TOKEN has the token."""
    server.ask(f"DELETE {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    [line] = [text for record in caplog.records if ": DELETE " in (text := record.getMessage())]
    assert f": DELETE {shown}: " in line
    assert "SECRET" not in line


def test_keep_alive(server):
    with server.connect() as sock:
        for _ in range(3):
            sock.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
            head = read_head(sock)
            assert head.startswith(b"HTTP/1.1 404 ")
            assert RawPeer(sock, masking=True).exactly(len(b"Not Found\n")) == b"Not Found\n"


# The upgrade


def test_the_upgrade_of_the_rfc(server):
    with server.connect() as sock:
        sock.sendall(UPGRADE)
        head = read_head(sock).decode().lower()
        assert head.startswith("http/1.1 101 ")
        assert f"sec-websocket-accept: {ACCEPT}".lower() in head
        assert "sec-websocket-extensions" not in head
        assert "linksocks-extensions" not in head
        peer = RawPeer(sock, masking=True)
        peer.send(BINARY, b"hello")
        assert peer.read().payload == b"hello"
        peer.close()


@pytest.mark.parametrize("path", ["/socket", "/socket/", "/socket/any/thing", "/socket?token=x"])
def test_paths_of_the_upgrade(server, path):
    with server.connect() as sock:
        sock.sendall(upgrade(path))
        assert b" 101 " in read_head(sock)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (upgrade("/") + b"GET / HTTP/1.0\r\n\r\n", 400),
        (upgrade("/other") + b"GET / HTTP/1.0\r\n\r\n", 404),
        (upgrade("/socketx") + b"GET / HTTP/1.0\r\n\r\n", 404),
        (upgrade(method="POST"), 400),
        (upgrade("/socket", ("Content-Length", "5"), method="POST") + b"12345", 400),
        (upgrade("/socket", ("Content-Length", "5")) + b"12345", 400),
        (upgrade("/socket", ("Transfer-Encoding", "chunked")) + b"0\r\n\r\n", 400),
        (upgrade(version="1.0"), 400),
        (upgrade("/socket", ("Sec-WebSocket-Key", "")), 400),
        (upgrade("/socket", ("Sec-WebSocket-Key", "short")), 400),
        (upgrade("/socket", ("Sec-WebSocket-Key", "!" * 24)), 400),
        (upgrade("/socket", ("Sec-WebSocket-Key", "\xe9" * 24)), 400),
        (upgrade("/socket", ("Sec-WebSocket-Key", KEY + "\r\nSec-WebSocket-Key: A")), 400),
        (upgrade("/socket", ("Sec-WebSocket-Version", "")), 426),
        (upgrade("/socket", ("Sec-WebSocket-Version", "8")), 400),
        (upgrade("/socket", ("Sec-WebSocket-Version", "\xe9")), 400),
        (upgrade("/socket", ("Connection", "close")), 400),
    ],
)
def test_upgrades_that_are_none(server, request_, status):
    assert server.status(request_) == status
    assert server.accepted == []


def test_query_and_extensions_reach_the_role(server):
    offer = ("LinkSocks-Extensions", "flow/1;window=77, cause/1, half-close/1")
    with server.connect() as sock:
        sock.sendall(upgrade(f"/socket?token={HASH}&reverse=&a=%C3%A9&b=%ff", offer))
        head = read_head(sock)
        assert b"LinkSocks-Extensions: flow/1;window=1000, half-close/1\r\n" in head
        RawPeer(sock, masking=True).close()
        [accepted] = server.accepted
        assert accepted.query == {"token": HASH, "a": "é", "b": "\ufffd"}
        assert accepted.offered == Extensions(77, half_close=True, cause=True)
        assert HASH not in repr(accepted)


@pytest.mark.parametrize("cut", [1, len(UPGRADE), len(UPGRADE) + 1, len(UPGRADE) + 9])
def test_frames_glued_to_the_request(server, cut):
    """What the HTTP parser's buffer holds is read as frames, wherever the stream was cut."""
    raw = UPGRADE + frame(BINARY, b"early", masked=True) + frame(BINARY, b"bird" * 10_000, masked=True)
    with server.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(raw[:cut])
        gevent.sleep(0.02)
        sender = gevent.spawn(sock.sendall, raw[cut:])
        read_head(sock)
        peer = RawPeer(sock, masking=True)
        assert peer.read().payload == b"early"
        assert peer.read().payload == b"bird" * 10_000
        peer.close()
        sender.get()


def test_a_stranger_may_send_64_kib_at_most(server):
    with server.connect() as sock:
        sock.sendall(UPGRADE + frame(BINARY, b"", masked=True, length=64 * 1024 + 1))
        read_head(sock)
        assert RawPeer(sock, masking=True).read().code == 1009


def test_the_websocket_is_finished_when_the_role_returns(server):
    with server.connect() as sock:
        sock.sendall(UPGRADE)
        read_head(sock)
        peer = RawPeer(sock, masking=True)
        peer.send(3)
        assert peer.read().code == 1002


def test_websockets_as_client(server):
    def talk() -> bytes:
        with websockets_connect(f"ws://127.0.0.1:{server.port}/socket?token={HASH}", proxy=None) as client:
            client.send(b"x" * 5000)
            client.ping().wait(5)
            return client.recv(5)

    assert beside_hub(talk) == b"x" * 5000


def test_websocket_client_as_client(server):
    def talk() -> bytes:
        client = websocket_client.create_connection(
            f"ws://127.0.0.1:{server.port}/socket/x", timeout=5, http_no_proxy=["*"]
        )
        try:
            client.send_binary(b"x" * 5000)
            return client.recv()
        finally:
            client.close()

    assert beside_hub(talk) == b"x" * 5000


# Deadlines


@pytest.mark.parametrize(
    "part",
    [
        b"",
        b"GET",
        b"GET /socket?token=" + HASH.encode(),
        b"GET / HTTP/1.1\r\nHost: x\r\nUser-Ag",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nbody",
        b"POST /socket HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12",
        UPGRADE[:-2],
    ],
)
def test_what_never_ends_is_cut(server, monkeypatch, part):
    monkeypatch.setattr(module, "REQUEST_TIMEOUT", 0.05)
    server.ask(part)  # comes back: the server closed


def test_a_trickle_is_cut(server, monkeypatch):
    monkeypatch.setattr(module, "REQUEST_TIMEOUT", 0.1)
    with server.connect() as sock:
        trickle = gevent.spawn(_trickle, sock)
        assert RawPeer(sock, masking=True).at_end()
        trickle.kill()


def _trickle(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            sock.sendall(b"a")
            gevent.sleep(0.005)


def test_a_connection_that_idles_after_a_request_is_cut(server, monkeypatch):
    monkeypatch.setattr(module, "REQUEST_TIMEOUT", 0.05)
    assert server.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_an_upgrade_ends_the_deadline(server, monkeypatch):
    monkeypatch.setattr(module, "REQUEST_TIMEOUT", 0.05)
    with server.connect() as sock:
        sock.sendall(UPGRADE)
        read_head(sock)
        gevent.sleep(0.1)
        peer = RawPeer(sock, masking=True)
        peer.send(BINARY, b"still here")
        assert peer.read().payload == b"still here"
        peer.close()


# Garbage

TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(189))

GARBAGE = {
    "tls hello": TLS_HELLO,
    "socks": b"\x05\x01\x00\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "version 9": b"GET / HTTP/9.9\r\n\r\n",
    "version 1": b"GET / HTTP/1\r\n\r\n",
    "version x": b"GET / HTTP/x.y\r\n\r\n",
    "four words": b"GET / / HTTP/1.1\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\nnonsense\r\n\r\n",
    "no name": b"GET / HTTP/1.1\r\n: x\r\n\r\n",
    "long line": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    "long header": b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
    "bad length": b"POST / HTTP/1.1\r\nContent-Length: abc\r\n\r\n",
    "negative length": b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "bad chunk": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "bad host": b"GET / HTTP/1.1\r\nHost: [::1\r\nConnection: close\r\n\r\n",
    "odd host": b"GET / HTTP/1.1\r\nHost: \xff\x00@/\r\nConnection: close\r\n\r\n",
    "odd path": b"GET /%ff%00%zz\xff HTTP/1.1\r\nConnection: close\r\n\r\n",
    "absolute path": b"GET http://[x/ HTTP/1.1\r\nConnection: close\r\n\r\n",
    "hash in a bad line": b"GET /socket?token=" + HASH.encode() + b" HTTP/1.1 x\r\n\r\n",
    "hash in a path": b"GET /socket?token=" + HASH.encode() + b" HTTP/1.1\r\nConnection: close\r\n\r\n",
    "steering": b"GET /\x1b[2J HTTP/1.1\r\nConnection: close\r\n\r\n",
}


@pytest.mark.parametrize("raw", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_is_answered_in_words_or_not_at_all(server, monkeypatch, raw):
    monkeypatch.setattr(module, "REQUEST_TIMEOUT", 0.2)
    assert server.status(raw) in (0, 200, 400, 404, 405, 414)


@pytest.mark.parametrize("raw", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_of_a_client_that_resets(server, raw):
    sock = server.connect()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    sock.sendall(raw[:60_000])
    sock.close()
    gevent.sleep(0.01)


def test_random_bytes(server, monkeypatch):
    monkeypatch.setattr(module, "REQUEST_TIMEOUT", 0.05)
    source = random.Random(5)
    for _ in range(100):
        server.ask(source.randbytes(source.randrange(1, 200)) + b"\r\n\r\n")


def test_changed_upgrades(server, monkeypatch):
    monkeypatch.setattr(module, "REQUEST_TIMEOUT", 0.05)
    source = random.Random(6)
    for _ in range(150):
        raw = bytearray(UPGRADE)
        raw[source.randrange(len(raw))] = source.randrange(256)
        server.ask(bytes(raw) + frame(8, masked=True))


def test_a_client_that_leaves_before_the_101(server):
    for _ in range(10):
        sock = server.connect()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        sock.sendall(UPGRADE + os.urandom(100))
        sock.close()
    gevent.sleep(0.02)
