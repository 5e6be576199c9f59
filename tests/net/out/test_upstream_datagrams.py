"""UDP through an upstream proxy: its own association, and only its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import gevent
import pytest
from gevent import socket

from linksocks.errors import Cause, DialError
from linksocks.net.out.proxies import ProxyUrl
from linksocks.net.out.resolve import Resolver
from linksocks.net.out.upstream import Upstream
from tests.support.proxies import our_proxy
from tests.support.rawsocket import PATIENCE, RawPeer, serving, turns
from tests.support.targets import mute_port


class Relay:
    """A SOCKS5 proxy with UDP, by hand. `bound` is the host in its reply, packed with its type."""

    def __init__(self, bound: bytes, host: str = "127.0.0.1") -> None:
        self.bound = bound
        self.udp = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((host, 0))
        self.udp.settimeout(PATIENCE)
        self.control: socket.socket | None = None

    def serve(self, sock: socket.socket) -> None:
        self.control = sock
        peer = RawPeer(sock, masking=False)
        assert peer.exactly(3) == b"\x05\x01\x00"
        sock.sendall(b"\x05\x00")
        assert peer.exactly(10) == b"\x05\x03\x00\x01" + bytes(6)
        sock.sendall(b"\x05\x00\x00" + self.bound + self.udp.getsockname()[1].to_bytes(2))
        peer.at_end()

    def hang_up(self) -> None:
        assert self.control
        self.control.shutdown(socket.SHUT_RDWR)


LOOPBACK = b"\x01\x7f\x00\x00\x01"
SOURCE = b"\x00\x00\x00\x01\x0a\x00\x00\x01\x00\x35"
"""The head of a datagram from 10.0.0.1:53."""


@pytest.fixture
def resolver() -> Iterator[Resolver]:
    resolver = Resolver()
    yield resolver
    resolver.close()


@contextmanager
def relay(bound: bytes = LOOPBACK) -> Iterator[tuple[Relay, int]]:
    proxy = Relay(bound)
    try:
        with serving(proxy.serve) as port:
            yield proxy, port
    finally:
        proxy.udp.close()


def through(resolver: Resolver, port: int, scheme: str = "socks5h") -> Upstream:
    return Upstream(ProxyUrl(scheme, "127.0.0.1", port), resolver)


@pytest.mark.parametrize("bound", [LOOPBACK, b"\x01" + bytes(4), b"\x04" + bytes(16), b"\x03\x09localhost"])
@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_there_and_back(resolver, bound, scheme):
    with relay(bound) as (proxy, port):
        datagrams = through(resolver, port, scheme).open_datagrams(5)
        datagrams.send(b"question", "example.org", 53)
        raw, client = proxy.udp.recvfrom(1000)
        assert raw == b"\x00\x00\x00\x03\x0bexample.org\x00\x35question"
        datagrams.send(memoryview(b"two"), "10.0.0.1", 53)
        assert proxy.udp.recvfrom(1000)[0] == SOURCE + b"two"
        proxy.udp.sendto(SOURCE + b"answer", client)
        assert datagrams.receive() == (b"answer", "10.0.0.1", 53)
        datagrams.close()


def test_others_and_malformed_ones_are_dropped_and_counted(resolver):
    with relay() as (proxy, port), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        datagrams = through(resolver, port).open_datagrams(5)
        datagrams.send(b"", "10.0.0.1", 53)
        client = proxy.udp.recvfrom(1000)[1]
        stranger.sendto(SOURCE + b"forged", ("127.0.0.1", client[1]))
        for bad in (b"", b"\x00\x00\x01" + SOURCE[3:], b"\x00\x00\x00\x09", SOURCE[:-1]):
            proxy.udp.sendto(bad, client)
        proxy.udp.sendto(SOURCE + b"good", client)
        assert datagrams.receive() == (b"good", "10.0.0.1", 53)
        assert datagrams.drops.total == 5
        datagrams.send(b"", "x" * 256, 53)
        datagrams.send(bytes(65_530), "10.0.0.1", 53)
        assert datagrams.drops.total == 7
        datagrams.close()


def test_it_ends_with_its_connection(resolver):
    with relay() as (proxy, port):
        datagrams = through(resolver, port).open_datagrams(5)
        waiting = gevent.spawn(pytest.raises, DialError, datagrams.receive)
        turns()
        proxy.hang_up()
        assert str(waiting.get().value) == f"upstream proxy 127.0.0.1:{port}: the association has ended"
        datagrams.send(b"late", "10.0.0.1", 53)
        assert datagrams.drops.total == 1
        datagrams.close()


def test_closing_ends_it_also_while_somebody_waits(resolver):
    with relay() as (_, port):
        datagrams = through(resolver, port).open_datagrams(5)
        waiting = gevent.spawn(pytest.raises, DialError, datagrams.receive)
        turns()
        datagrams.close()
        datagrams.close()
        waiting.get()


def test_what_the_connection_says_is_read_away(resolver):
    with relay() as (proxy, port):
        datagrams = through(resolver, port).open_datagrams(5)
        assert proxy.control
        proxy.control.settimeout(PATIENCE)
        proxy.control.sendall(bytes(20_000_000))  # more than the system holds
        datagrams.send(b"still", "10.0.0.1", 53)
        proxy.udp.sendto(SOURCE + b"here", proxy.udp.recvfrom(1000)[1])
        assert datagrams.receive()[0] == b"here"
        datagrams.close()


@pytest.mark.parametrize(
    ("reply", "cause", "said"),
    [
        (b"\x05\x07", Cause.GENERAL, " carries no UDP: the proxy does not support this command"),
        (b"\x05\x02", Cause.NOT_ALLOWED, " carries no UDP: not allowed"),
        (b"", Cause.GENERAL, ": closed before it answered"),
    ],
)
def test_a_proxy_that_says_no(resolver, reply, cause, said):
    def serve(sock: socket.socket) -> None:
        peer = RawPeer(sock, masking=False)
        peer.exactly(3)
        sock.sendall(b"\x05\x00")
        peer.exactly(10)
        sock.sendall(reply)

    with serving(serve) as port:
        with pytest.raises(DialError, match=f"^upstream proxy 127.0.0.1:{port}{said}$") as caught:
            through(resolver, port).open_datagrams(5)
        assert caught.value.cause is cause


@pytest.mark.parametrize("bound", [b"\x03\x00", b"\x03\x0enosuch.invalid"])
def test_a_relay_without_an_address(resolver, bound):
    with relay(bound) as (_, port), pytest.raises(DialError, match=r"^upstream proxy 127.0.0.1:\d+: "):
        through(resolver, port).open_datagrams(5)


def test_a_proxy_that_never_answers(resolver):
    with mute_port() as port, pytest.raises(DialError, match=r"no answer in 0\.1 s") as caught:
        through(resolver, port).open_datagrams(0.1)
    assert caught.value.cause is Cause.TIMED_OUT


def test_http_carries_no_udp(resolver):
    with pytest.raises(DialError, match="HTTP proxies carry no UDP") as caught:
        through(resolver, 1, "http").open_datagrams(5)
    assert caught.value.cause is Cause.NOT_ALLOWED


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
@pytest.mark.parametrize("login", [("", ""), ("me", "secret")])
def test_through_our_own_proxy(resolver, host, login):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with our_proxy(*login) as port, socket.socket(family, socket.SOCK_DGRAM) as target:
        target.bind(("127.0.0.1" if host == "localhost" else host, 0))
        target.settimeout(PATIENCE)
        way = Upstream(ProxyUrl("socks5h", "127.0.0.1", port, *login), resolver)
        datagrams = way.open_datagrams(5)
        datagrams.send(b"question", host, target.getsockname()[1])
        question, source = target.recvfrom(100)
        target.sendto(question + b" answered", source)
        assert datagrams.receive() == (b"question answered", *target.getsockname()[:2])
        datagrams.close()
