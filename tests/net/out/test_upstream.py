"""Through an upstream proxy: our own, and those that are slow, broken or lie."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator

import gevent
import pytest
from gevent import socket

from linksocks.errors import Cause, DialError, ProxyError
from linksocks.net.out.egress import Direct
from linksocks.net.out.proxies import ProxyUrl
from linksocks.net.out.resolve import Address, Resolver
from linksocks.net.out.upstream import Upstream, egress
from tests.support.leaks import nothing_left
from tests.support.names import LOOK_UP
from tests.support.proxies import ANSWER, SCHEMES, YES, our_proxy, proxy
from tests.support.rawsocket import RawPeer, read_head, serving
from tests.support.targets import EchoTarget, GreetingTarget, mute_port, refusing_port, unanswered_port


@pytest.fixture
def resolver() -> Iterator[Resolver]:
    resolver = Resolver()
    yield resolver
    resolver.close()


@pytest.fixture
def through(resolver) -> Callable[..., Upstream]:
    """A way out through the proxy at a port."""

    def make(scheme: str, port: int, username: str = "", password: str = "") -> Upstream:
        return Upstream(ProxyUrl(scheme, "127.0.0.1", port, username, password), resolver)

    return make


def refused(way: Upstream, host: str = "example.org", port: int = 80, timeout: float = LOOK_UP) -> DialError:
    with nothing_left():
        with pytest.raises(DialError) as caught:
            way.dial(host, port, timeout)
        caught.value.__traceback__ = None  # it holds the frames that hold the sockets
        caught.value.__cause__ = None
        return caught.value


def saying(data: bytes) -> Callable[[socket.socket], None]:
    """Says it, and waits for the client to go."""

    def say(sock: socket.socket) -> None:
        sock.sendall(data)
        RawPeer(sock, masking=False).at_end()

    return say


# A real proxy: ours


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "http"])
@pytest.mark.parametrize("login", [("", ""), ("me", "p@ss:wörd")])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_target_through_our_own_proxy(through, scheme, login, host):
    with EchoTarget() as target, our_proxy(*login) as port:
        sock = through(scheme, port, *login).dial(host, target.port, 5)
        with sock:
            assert sock.gettimeout() is None
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            sock.sendall(b"hello")
            sock.shutdown(socket.SHUT_WR)
            assert RawPeer(sock, masking=False).exactly(5) == b"hello"
            assert sock.recv(1) == b""


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_target_that_speaks_first(through, scheme):
    with GreetingTarget(b"220 hello\r\n") as target, our_proxy() as port:
        sock = through(scheme, port).dial("127.0.0.1", target.port, 5)
        assert RawPeer(sock, masking=False).exactly(11) == b"220 hello\r\n"
        sock.close()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_our_own_proxy_says_what_is_wrong(through, scheme):
    with our_proxy() as port, refusing_port() as dead:
        error = refused(through(scheme, port), "127.0.0.1", dead)
    expected = {"socks5h": Cause.REFUSED, "http": Cause.HOST_UNREACHABLE}  # HTTP has no status for "refused"
    assert error.cause is expected[scheme]
    said = {"socks5h": "connection refused", "http": "answered 502 Bad Gateway"}[scheme]
    assert str(error) == f"upstream proxy 127.0.0.1:{port} could not reach 127.0.0.1:{dead}: {said}"
    assert not isinstance(error, ProxyError)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("login", [("", ""), ("me", "hunter2"), ("", "hunter2")])
def test_a_wrong_login(through, scheme, login):
    with our_proxy("me", "secret") as port:
        error = refused(through(scheme, port, *login))
    assert (type(error), error.cause) == (ProxyError, Cause.NOT_ALLOWED)
    assert "user" in str(error)
    assert "hunter2" not in str(error)


# What the proxy is asked for


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("host", "name"), [("nosuch.invalid", b"nosuch.invalid"), ("Bücher.example", b"xn--bcher-kva.example")]
)
def test_the_proxy_looks_up_names(through, scheme, host, name):
    seen: list[bytes] = []
    with proxy(scheme, saying(ANSWER[scheme]), seen) as port:
        through(scheme, port).dial(host, 80, 5).close()
    assert seen == [name + b":80"]


def test_http_has_ipv6_in_brackets_and_the_login(through):
    heads: list[bytes] = []

    def handle(sock: socket.socket) -> None:
        heads.append(read_head(sock))
        sock.sendall(YES["http"])

    with serving(handle) as port:
        through("http", port, "me", "x").dial("::1", 443, 5).close()
    assert heads[0].startswith(b"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n")
    assert b"\r\nProxy-Authorization: Basic " + base64.b64encode(b"me:x") in heads[0]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("host", ["", "a b", "x\r\nX: y", "a/b", "u@h", "a:b", "x\0", "é" * 80, "x" * 256])
def test_hosts_that_would_say_something_else(through, scheme, host):
    with mute_port() as port:
        assert refused(through(scheme, port), host).cause is Cause.HOST_UNREACHABLE


class TwoFamilies(Resolver):
    """Every name has an address of each family; others are as they are."""

    def resolve(self, host: str, port: int, timeout: float) -> list[Address]:
        if host != "dual":
            return super().resolve(host, port, timeout)
        return [
            Address(socket.AF_INET6, ("::1", port, 0, 0)),
            Address(socket.AF_INET6, ("::2", port, 0, 0)),
            Address(socket.AF_INET, ("127.0.0.1", port)),
        ]


def test_socks5_asks_for_an_address_of_each_family():
    """The proxy has no way to IPv6."""
    with our_proxy() as port, EchoTarget("127.0.0.1") as target:
        way = Upstream(ProxyUrl("socks5", "127.0.0.1", port), TwoFamilies())
        way.dial("dual", target.port, 5).close()
        with refusing_port() as dead:
            assert refused(way, "dual", dead).cause is Cause.REFUSED


def test_socks5_looks_up_names_here(through):
    with mute_port() as port:
        error = refused(through("socks5", port), "nosuch.invalid")
    assert error.cause is Cause.HOST_UNREACHABLE
    assert str(error).startswith("no such host nosuch.invalid")


# What the proxy answers


@pytest.mark.parametrize("scheme", SCHEMES)
def test_bytes_glued_to_the_answer_are_the_targets(through, scheme):
    with (
        proxy(scheme, saying(ANSWER[scheme] + b"early")) as port,
        through(scheme, port).dial("x", 80, 5) as sock,
    ):
        assert RawPeer(sock, masking=False).exactly(5) == b"early"


@pytest.mark.parametrize(
    "reply",
    [
        "05 00 00 01 7f000001 1f90",
        "05 00 00 03 0b 6578616d706c652e6f7267 1f90",
        "05 00 00 03 00 1f90",
        "05 00 00 04 00000000000000000000000000000001 1f90",
    ],
)
def test_replies_of_each_type_are_taken_exactly(through, reply):
    with proxy("socks5h", saying(bytes.fromhex(reply) + b"\x05early")) as port:
        sock = through("socks5h", port).dial("x", 80, 5)
        assert RawPeer(sock, masking=False).exactly(6) == b"\x05early"
        sock.close()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_answer_in_drips(through, scheme):
    def drip(sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in ANSWER[scheme]:
            sock.sendall(bytes([byte]))
            gevent.sleep(0)
        sock.sendall(b"early")
        RawPeer(sock, masking=False).at_end()

    with proxy(scheme, drip) as port, through(scheme, port).dial("x", 80, 5) as sock:
        assert RawPeer(sock, masking=False).exactly(5) == b"early"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_answer_cut_anywhere(through, scheme):
    whole = YES[scheme]
    for size in range(len(whole)):

        def cut(sock: socket.socket, size: int = size) -> None:
            sock.sendall(whole[:size])
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(1000):
                pass

        with serving(cut) as port:
            error = refused(through(scheme, port))
        assert error.cause is Cause.GENERAL
        assert str(error) == f"upstream proxy 127.0.0.1:{port}: closed before it answered"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_proxy_that_resets(through, scheme):
    def reset(sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with serving(reset) as port:
        error = refused(through(scheme, port))
    assert error.cause is Cause.GENERAL
    assert str(error).startswith(f"upstream proxy 127.0.0.1:{port}: ")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_proxy_that_never_answers(through, scheme):
    for dead in (mute_port, unanswered_port):
        with dead() as port:
            error = refused(through(scheme, port), timeout=0.1)
        assert error.cause is Cause.TIMED_OUT
        assert str(error) == f"upstream proxy 127.0.0.1:{port}: no answer in 0.1 s"


def test_a_proxy_that_never_answers_has_one_deadline_for_all_addresses():
    with mute_port() as port:
        way = Upstream(ProxyUrl("socks5", "127.0.0.1", port), TwoFamilies())
        assert refused(way, "dual", timeout=0.1).cause is Cause.TIMED_OUT


def endless(data: bytes) -> Callable[[socket.socket], None]:
    def send(sock: socket.socket) -> None:
        while True:
            sock.sendall(data)

    return send


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"x" * 1000, "does not speak HTTP"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 100, "its answer has more than 65536 bytes"),
    ],
)
def test_an_endless_answer_is_cut(through, data, said):
    with serving(endless(data)) as port:
        assert said in str(refused(through("http", port)))


def test_a_proxy_that_drips_for_ever_is_cut(through):
    def drip(sock: socket.socket) -> None:
        while True:
            sock.sendall(b"x")
            gevent.sleep(0.005)

    with serving(drip) as port:
        assert refused(through("http", port), timeout=0.1).cause is Cause.TIMED_OUT


@pytest.mark.parametrize(
    ("scheme", "answer", "cause"),
    [
        ("http", b"HTTP/1.1 500 200\r\n\r\n", Cause.GENERAL),
        ("http", b"HTTP/1.1 403 200 OK\r\nX-200: 200\r\n\r\n200", Cause.NOT_ALLOWED),
        ("http", b"HTTP/1.1 504 Gateway Timeout\r\n\r\n", Cause.TIMED_OUT),
        ("socks5h", b"\x05\x05", Cause.REFUSED),
        ("socks5h", b"\x05\x63", Cause.GENERAL),
    ],
)
def test_a_proxy_that_says_no(through, scheme, answer, cause):
    with proxy(scheme, saying(answer)) as port:
        error = refused(through(scheme, port))
    assert (type(error), error.cause) == (DialError, cause)
    assert str(error).startswith(f"upstream proxy 127.0.0.1:{port} could not reach example.org:80: ")


@pytest.mark.parametrize(
    ("scheme", "answer", "cause"),
    [
        ("http", b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", Cause.NOT_ALLOWED),
        ("http", b"\x05\x00", Cause.GENERAL),
        ("socks5h", b"HTTP/1.1 400 Bad Request\r\n\r\n", Cause.GENERAL),
        ("socks5h", b"\x05\x00\x00\x09", Cause.GENERAL),
    ],
)
def test_an_answer_that_is_not_about_the_target(through, scheme, answer, cause):
    with proxy(scheme, saying(answer)) as port:
        error = refused(through(scheme, port))
    assert (type(error), error.cause) == (ProxyError, cause)
    assert str(error).startswith(f"upstream proxy 127.0.0.1:{port}: ")


# Getting to the proxy, and leaving it


def test_a_proxy_that_is_not_there(through):
    with refusing_port() as port:
        error = refused(through("http", port))
    assert error.cause is Cause.NETWORK_UNREACHABLE, "the target refused nothing"
    assert isinstance(error, ProxyError)
    assert str(error) == f"can't reach upstream proxy 127.0.0.1:{port}: Connection refused"


def test_a_proxy_without_an_address(resolver):
    error = refused(Upstream(ProxyUrl("http", "nosuch.invalid", 80), resolver))
    assert error.cause is Cause.NETWORK_UNREACHABLE
    assert str(error).startswith("can't reach upstream proxy nosuch.invalid:80: no such host nosuch.invalid")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_killed_dial_leaves_nothing(through, scheme):
    with mute_port() as port, nothing_left():
        dialler = gevent.spawn(through(scheme, port).dial, "x", 80, 60)
        gevent.sleep(0.01)
        dialler.kill()


def test_a_timeout_of_the_caller_is_not_taken_for_ours(through):
    with mute_port() as port, pytest.raises(gevent.Timeout), gevent.Timeout(0.05):
        through("http", port).dial("x", 80, 10)


def test_without_a_proxy_it_is_direct(resolver):
    assert isinstance(egress(None, resolver), Direct)
    assert isinstance(egress(ProxyUrl("http", "x", 1), resolver), Upstream)
