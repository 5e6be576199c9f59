"""Upstream proxies: our own, and one played by hand that leads everybody to one place.

Both are for tests whose hub runs in their own thread.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gevent
from gevent import socket

from linksocks.net.listen import bind
from linksocks.tunnel.ends.inbound import Inbound
from tests.support.rawsocket import RawPeer, read_head, serving
from tests.support.tunnels import Tunnel

SCHEMES = ["socks5h", "http"]

ANSWER = {"socks5h": bytes.fromhex("05 00 00 01 00000000 0000"), "http": b"HTTP/1.1 200 OK\r\n\r\n"}
"""A yes to the request."""

YES = {"socks5h": b"\x05\x00" + ANSWER["socks5h"], "http": ANSWER["http"]}
"""All that a good proxy says."""


@contextmanager
def our_proxy(username: str = "", password: str = "") -> Iterator[int]:
    """The port of a tunnel."""
    with Tunnel() as tunnel:
        inbound = Inbound(bind("127.0.0.1", 0), tunnel.passage, username, password)
        inbound.start()
        try:
            yield inbound.port
        finally:
            inbound.stop()


@contextmanager
def proxy(
    scheme: str, answer: Callable[[socket.socket], None], seen: list[bytes] | None = None
) -> Iterator[int]:
    """A proxy that understands the request, and answers it by `answer`. `seen` gets the targets, see `asked`."""

    def handle(sock: socket.socket) -> None:
        target = asked(sock, scheme)
        if seen is not None:
            seen.append(target)
        answer(sock)

    with serving(handle) as port:
        yield port


def asked(sock: socket.socket, scheme: str) -> bytes:
    """Plays a good proxy until its answer is due: the target as `host:port`."""
    if scheme == "http":
        return read_head(sock).split()[1]
    peer = RawPeer(sock, masking=False)
    assert peer.exactly(3) == b"\x05\x01\x00"
    sock.sendall(b"\x05\x00")
    assert peer.exactly(4) == b"\x05\x01\x00\x03"
    host = peer.exactly(peer.exactly(1)[0])
    return b"%s:%d" % (host, int.from_bytes(peer.exactly(2)))


@contextmanager
def detour(scheme: str, port: int, seen: list[bytes] | None = None) -> Iterator[int]:
    """A proxy that leads everybody to `port` of this machine, whatever they ask for."""

    def lead(sock: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", port)) as target:
            sock.sendall(ANSWER[scheme])
            sock.settimeout(None)
            directions = [gevent.spawn(_pump, sock, target), gevent.spawn(_pump, target, sock)]
            try:
                gevent.joinall(directions)
            finally:
                gevent.killall(directions)

    with proxy(scheme, lead, seen) as at:
        yield at


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(64 * 1024):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
