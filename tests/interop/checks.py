"""What each pairing is checked for, from the application's side and the target's: plain sockets and the real curl.

A check takes a `Path` and raises what went wrong. Every wait is bounded.
"""

from __future__ import annotations

import hashlib
import http.client
import socket
import struct
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from tests.interop import datagrams
from tests.support import socks
from tests.support.targets import (
    GreetingTarget,
    HttpTarget,
    refusing_port,
    seeded_bytes,
    seeded_chunks,
    seeded_sha256,
    unanswered_port,
)

SIZE: Final = 4_000_000
"""Bytes: several of the largest messages that a peer sends."""

PROMPT: Final = 4.0
"""Seconds: below the five that Go peers need for an end, and far above what loopback needs."""

BRIEF: Final = 1.5
"""Seconds, where what comes too late, or never, is to be seen."""

_TRANSFER: Final = 20.0
"""Seconds for `SIZE` bytes on a busy machine."""

_SOON_OR_LATE: Final = 15.0
"""Seconds for a failure that comes behind a fast open: Go peers take five."""


@dataclass(frozen=True)
class Path:
    """From a SOCKS port to the targets."""

    socks_port: int
    http: HttpTarget
    echo: datagrams.Echo
    fast_open: bool
    patience: float
    """Seconds for what has to come soon: PROMPT or BRIEF."""
    forgiven: int
    """Greetings that may be lost."""


def download(path: Path) -> None:
    url = path.http.url(f"/bytes/{SIZE}?seed=1", "localhost")
    got = socks.curl(path.socks_port, "--fail", url, timeout=_TRANSFER)
    assert got.returncode == 0, got.stderr.decode()
    assert hashlib.sha256(got.stdout).hexdigest() == seeded_sha256(SIZE, 1)


def upload(path: Path) -> None:
    with tempfile.NamedTemporaryFile() as body:
        for chunk in seeded_chunks(SIZE, 2):
            body.write(chunk)
        body.flush()
        url = path.http.url("/upload")
        got = socks.curl(path.socks_port, "--fail", "-T", body.name, url, timeout=_TRANSFER)
    assert got.returncode == 0, got.stderr.decode()
    assert got.stdout.decode() == seeded_sha256(SIZE, 2)


def many_connections(path: Path) -> None:
    """100 requests on 20 connections at once."""

    def five_requests(worker: int) -> int:
        right = 0
        with socks.connect(path.socks_port, "127.0.0.1", path.http.port) as conn:
            session = http.client.HTTPConnection("target")
            session.sock = conn
            for seed in range(worker * 5, worker * 5 + 5):
                session.request("GET", f"/bytes/300?seed={seed}")
                right += session.getresponse().read() == seeded_bytes(300, seed)
        return right

    with ThreadPoolExecutor(20) as workers:
        assert sum(workers.map(five_requests, range(20))) == 100


def greeting(path: Path) -> None:
    """A target that speaks first, as SSH and SMTP do: its words come right behind the answer to the connect.

    A peer's entry loses them when it reads both at once. Our pause between helps unless it is very busy: then it lost
    one in a hundred, and without the pause five to ten in thirty. So it is forgiven three.
    """
    lost = 0
    with GreetingTarget(b"220 hello\r\n") as target:
        for _ in range(30):
            try:
                with socks.connect(path.socks_port, "127.0.0.1", target.port, timeout=path.patience) as conn:
                    assert socks.read_exactly(conn, 11) == b"220 hello\r\n"
            except (TimeoutError, socks.SocksRefused):
                lost += 1
                if lost > path.forgiven:
                    raise


def answer_that_ends(path: Path) -> None:
    """Nothing is lost when the target closes right behind its data."""
    with socks.connect(path.socks_port, "127.0.0.1", path.http.port) as conn, conn.makefile("rb") as answer:
        conn.sendall(b"GET /bytes/1000000?seed=3 HTTP/1.0\r\n\r\n")
        while answer.readline().strip():
            pass
        assert answer.read(1_000_000) == seeded_bytes(1_000_000, 3)


def half_close(path: Path) -> None:
    """The answer to a request that ends with its half of the connection."""
    with socks.connect(path.socks_port, "127.0.0.1", path.http.port, timeout=path.patience) as conn:
        conn.sendall(b"GET /bytes/1000?seed=4 HTTP/1.0\r\n\r\n")
        conn.shutdown(socket.SHUT_WR)
        with conn.makefile("rb") as answer:
            while answer.readline().strip():
                pass
            assert answer.read(1000) == seeded_bytes(1000, 4)


def refused_target(path: Path) -> None:
    """A failure and no hang: as the SOCKS reply, or behind a fast open as an end of the connection."""
    with refusing_port() as port:
        if not path.fast_open:
            try:
                socks.connect(path.socks_port, "127.0.0.1", port).close()
            except socks.SocksRefused:
                return
            raise AssertionError("the reply is success")
        with socks.connect(path.socks_port, "127.0.0.1", port, timeout=_SOON_OR_LATE) as conn:
            assert _at_end(conn)


def open_at_once(path: Path) -> None:
    """With fast open the reply comes before the target's own."""
    with unanswered_port() as port:
        socks.connect(path.socks_port, "127.0.0.1", port, timeout=path.patience).close()


def close_reaches_target(path: Path) -> None:
    application, target = _joined(path)
    with application, target:
        application.close()
        target.settimeout(path.patience)
        assert _at_end(target)


def abort_reaches_target(path: Path) -> None:
    """The application goes with a reset."""
    application, target = _joined(path)
    with target:
        application.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        application.close()
        target.settimeout(path.patience)
        assert _at_end(target)


def close_reaches_application(path: Path) -> None:
    application, target = _joined(path)
    with application, target:
        target.close()
        application.settimeout(path.patience)
        assert _at_end(application)


def udp_to_ipv4(path: Path) -> None:
    datagrams.echoed(path.socks_port, "127.0.0.1", path.echo, path.patience)


def udp_to_ipv6(path: Path) -> None:
    datagrams.echoed(path.socks_port, "::1", path.echo, path.patience)


def udp_to_name(path: Path) -> None:
    datagrams.echoed(path.socks_port, "localhost", path.echo, path.patience)


def _joined(path: Path) -> tuple[socket.socket, socket.socket]:
    """An application, and its connection as the target sees it; a byte has passed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        application = socks.connect(path.socks_port, "127.0.0.1", listener.getsockname()[1])
        target = listener.accept()[0]
    application.sendall(b"x")
    assert target.recv(1) == b"x"
    return application, target


def _at_end(conn: socket.socket) -> bool:
    """Whether nothing comes any more, within the socket's timeout; a reset is an end too."""
    try:
        return conn.recv(1) == b""
    except ConnectionResetError:
        return True


Check = Callable[[Path], None]

# The refused target comes first: behind a fast open Go peers close what ended one after the other, 5 s for each four.
_STREAMS: Final = (refused_target, download, upload, many_connections, greeting, answer_that_ends)

CHECKS: Final[tuple[Check, ...]] = (
    *_STREAMS,
    half_close,
    close_reaches_target,
    abort_reaches_target,
    close_reaches_application,
    udp_to_ipv4,
    udp_to_ipv6,
    udp_to_name,
)

FAST_OPEN_CHECKS: Final[tuple[Check, ...]] = (*_STREAMS, open_at_once)
