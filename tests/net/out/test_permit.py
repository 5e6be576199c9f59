"""What is dialled is what was judged: streams and datagrams, directly and through an upstream proxy."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest
from gevent import socket

from linksocks.errors import Cause, DialError
from linksocks.net.out.datagrams import DirectDatagrams
from linksocks.net.out.dial import dial
from linksocks.net.out.drops import Drops
from linksocks.net.out.judge import Judge
from linksocks.net.out.judged import JudgedSender
from linksocks.net.out.permit import pinned
from linksocks.net.out.proxies import ProxyUrl
from linksocks.net.out.resolve import Resolver
from linksocks.net.out.upstream import Upstream
from linksocks.tunnel.access import AccessRules, parse_rules
from tests.support.associations import udp_socket
from tests.support.names import LOOK_UP, FickleResolver
from tests.support.proxies import ANSWER, our_proxy, proxy
from tests.support.rawsocket import RawPeer
from tests.support.targets import EchoTarget, mute_port, refusing_port

PRIVATE = AccessRules(block_private=True)
LOOPBACK = AccessRules(parse_rules("127.0.0.0/8:*"))
ONLY_ONE = AccessRules(parse_rules("127.0.0.1:*"))
NOT_ONE = AccessRules(deny=parse_rules("127.0.0.1:*"))
BY_NAME = AccessRules(parse_rules("*.example.org:*"))

SPELLINGS = [
    "127.0.0.1", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1", "0.0.0.0", "::", "::127.0.0.1", "64:ff9b::127.0.0.1",
    "2002:7f00:1::", "169.254.169.254", "::ffff:169.254.169.254", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1",
    "017700000001", "127.1", "127.0.1", "0", "localhost", "localhost.", "LOCALHOST", "LocalHost.", "10.0.0.1",
    "fe80::1%lo", "１２７.0.0.1", "②130706433", "127。0。0。1", "127.0.0.1\0.example.org", "127.0.0.1 ", "[::1]",
]  # fmt: skip
"""Ways to write addresses of this machine and of networks like its own; some are names, to one system or another."""


@pytest.fixture
def resolver() -> Iterator[Resolver]:
    resolver = Resolver()
    yield resolver
    resolver.close()


def refusal(resolver: Resolver, host: str, port: int, judge: Judge) -> DialError:
    with pytest.raises(DialError) as caught:
        dial(resolver, host, port, LOOK_UP, judge).close()
    return caught.value


def blocked(resolver: Resolver, host: str, port: int, judge: Judge) -> bool:
    error = refusal(resolver, host, port, judge)
    return (error.cause, str(error)) == (Cause.NOT_ALLOWED, "destination blocked by access control")


def reached(resolver: Resolver, host: str, port: int, judge: Judge) -> str:
    """The address at the other end."""
    with dial(resolver, host, port, 5, judge) as sock:
        address: str = sock.getpeername()[0]
        return address


# Streams


@pytest.mark.parametrize("host", SPELLINGS)
def test_no_spelling_gets_past_block_private(resolver: Resolver, host: str) -> None:
    """Blocked, or no such host: whatever the system's resolver makes of it. Somebody listens on every address."""
    with mute_port("::") as port:
        error = refusal(resolver, host, port, PRIVATE)
    assert error.cause in (Cause.NOT_ALLOWED, Cause.HOST_UNREACHABLE)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "2130706433", "0x7f.1", "0177.0.0.1", "LOCALHOST"],
)
def test_without_rules_they_all_are_this_machine(resolver: Resolver, host: str) -> None:
    """So the test above tests something."""
    with mute_port("::") as port:
        dial(resolver, host, port, 5).close()
        assert blocked(resolver, host, port, PRIVATE)


@pytest.mark.parametrize("host", ["2130706433", "0177.0.0.1", "localhost"])
def test_a_spelling_of_an_allowed_address_is_allowed(resolver: Resolver, host: str) -> None:
    with mute_port() as port:
        assert reached(resolver, host, port, LOOPBACK) == "127.0.0.1"
        assert blocked(resolver, host, port, NOT_ONE) or host == "localhost"


@pytest.mark.parametrize("order", [["127.0.0.2", "127.0.0.1"], ["127.0.0.1", "127.0.0.2"]])
def test_only_allowed_addresses_are_dialled(order: list[str]) -> None:
    """LinkSocks dials any when one matches."""
    resolver = FickleResolver(both=[order])
    with mute_port("0.0.0.0") as port:
        assert reached(resolver, "both", port, ONLY_ONE) == "127.0.0.1"
        assert reached(resolver, "both", port, NOT_ONE) == "127.0.0.2"
    with refusing_port("127.0.0.1") as port, socket.socket() as other:
        other.bind(("127.0.0.2", port))
        other.listen()
        other.settimeout(0)
        assert refusal(resolver, "both", port, ONLY_ONE).cause is Cause.REFUSED
        with pytest.raises(BlockingIOError):
            other.accept()


def test_a_name_without_an_allowed_address_is_blocked() -> None:
    assert blocked(FickleResolver(both=[["127.0.0.2", "::1", "127.0.0.3"]]), "both", 1, ONLY_ONE)


def test_a_name_that_is_blocked_is_not_looked_up() -> None:
    resolver = FickleResolver(evil_net=[["127.0.0.1"]])
    assert blocked(resolver, "evil.net", 1, BY_NAME)
    assert resolver.asked == []


def test_rebinding() -> None:
    """A name server that says an allowed address first and another one next: there is no next time."""
    resolver = FickleResolver(evil_net=[["127.0.0.1"], ["127.0.0.2"]])
    with mute_port("0.0.0.0") as port:
        assert reached(resolver, "evil.net", port, ONLY_ONE) == "127.0.0.1"
        assert resolver.asked == ["evil.net"]
        assert blocked(resolver, "evil.net", port, ONLY_ONE)
        assert resolver.asked == ["evil.net"] * 2


def test_a_name_that_is_allowed_may_lead_anywhere_but_where_it_must_not() -> None:
    resolver = FickleResolver(www_example_org=[["127.0.0.1"]])
    with mute_port() as port:
        assert reached(resolver, "www.example.org", port, BY_NAME) == "127.0.0.1"
        assert blocked(resolver, "www.example.org", port, AccessRules(BY_NAME.allow, block_private=True))


def test_a_name_that_does_not_exist_is_said_to() -> None:
    assert refusal(FickleResolver(), "nosuch", 1, PRIVATE).cause is Cause.HOST_UNREACHABLE


# Through an upstream proxy


@pytest.mark.parametrize("scheme", ["socks5h", "http"])
@pytest.mark.parametrize("judge", [BY_NAME, None])
def test_a_name_that_decides_is_looked_up_by_the_proxy(scheme: str, judge: AccessRules | None) -> None:
    seen: list[bytes] = []
    resolver = FickleResolver()
    with proxy(scheme, lambda sock: sock.sendall(ANSWER[scheme]), seen) as port:
        Upstream(ProxyUrl(scheme, "127.0.0.1", port), resolver).dial("www.example.org", 80, 5, judge).close()
    assert seen == [b"www.example.org:80"]
    assert resolver.asked == []


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "http"])
def test_else_the_proxy_gets_the_address_that_was_judged(scheme: str) -> None:
    """It could look up the name no more than we can: only the test's resolver knows it."""
    resolver = FickleResolver(evil_invalid=[["127.0.0.2", "127.0.0.1"], ["127.0.0.2"]])
    with EchoTarget() as target, our_proxy() as port:
        way = Upstream(ProxyUrl(scheme, "127.0.0.1", port), resolver)
        with way.dial("evil.invalid", target.port, 5, ONLY_ONE) as sock:
            sock.sendall(b"x")
            assert RawPeer(sock, masking=False).exactly(1) == b"x"
        with pytest.raises(DialError, match=r"^destination blocked by access control"):
            way.dial("evil.invalid", target.port, 5, ONLY_ONE)
    assert resolver.asked == ["evil.invalid"] * 2


def test_datagrams_through_a_proxy_are_judged_here() -> None:
    resolver = FickleResolver(evil_invalid=[["127.0.0.2", "127.0.0.1"]], other_invalid=[["127.0.0.2"]])
    with our_proxy() as port, receiver("127.0.0.1") as target:
        to = target.getsockname()[1]
        way = Upstream(ProxyUrl("socks5h", "127.0.0.1", port), resolver).open_datagrams(5, ONLY_ONE)
        for host in ("127.0.0.2", "other.invalid", "evil.invalid", "127.0.0.1"):
            way.send(host.encode(), host, to)
            settled()
        assert target.recv(20) == b"evil.invalid"
        said, proxy_s = target.recvfrom(20)
        assert said == b"127.0.0.1"
        target.sendto(b"answer", proxy_s)
        assert way.receive() == (b"answer", "127.0.0.1", to)
        way.close()


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "http"])
@pytest.mark.parametrize("host", SPELLINGS)
def test_no_spelling_reaches_the_proxy(resolver: Resolver, scheme: str, host: str) -> None:
    way = Upstream(ProxyUrl(scheme, "127.0.0.1", 1), resolver)
    with pytest.raises(DialError) as caught:
        way.dial(host, 80, LOOK_UP, PRIVATE)
    assert not str(caught.value).startswith("upstream proxy")
    assert caught.value.cause in (Cause.NOT_ALLOWED, Cause.HOST_UNREACHABLE)


# Datagrams


def receiver(host: str) -> socket.socket:
    sock: socket.socket = udp_socket(host, sockets=socket)
    return sock


def quiet(sock: socket.socket) -> bool:
    """Whether nothing came: what is sent on loopback is there when `send` returns."""
    sock.settimeout(0)
    try:
        sock.recv(100)
    except BlockingIOError:
        return True
    finally:
        sock.settimeout(10)
    return False


def settled() -> None:
    """All look-ups have been answered: these resolvers do not wait."""
    for _ in range(3):
        gevent.sleep(0)


@pytest.mark.parametrize("host", SPELLINGS)
def test_no_spelling_gets_a_datagram_past_block_private(resolver: Resolver, host: str) -> None:
    way = DirectDatagrams(resolver, PRIVATE)
    with receiver("::") as everywhere:  # IPv4 too
        way.send(b"x", host, everywhere.getsockname()[1])
        with gevent.Timeout(10):
            while not way.drops.total:
                gevent.sleep(0.001)
        assert quiet(everywhere)
    way.close()


def test_only_allowed_addresses_get_datagrams() -> None:
    resolver = FickleResolver(both=[["127.0.0.2", "127.0.0.1"]], other=[["127.0.0.2"]])
    way = DirectDatagrams(resolver, ONLY_ONE)
    with receiver("127.0.0.1") as good, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bad:
        port = good.getsockname()[1]
        bad.bind(("127.0.0.2", port))
        for host in ("both", "other", "127.0.0.2", "127.0.0.1", "both"):
            way.send(host.encode(), host, port)
            settled()
        assert [good.recv(10) for _ in range(3)] == [b"both", b"127.0.0.1", b"both"]
        assert quiet(good)
        assert quiet(bad)
    assert way.drops.total == 2
    way.close()


def test_a_name_that_is_blocked_is_not_looked_up_for_datagrams() -> None:
    resolver = FickleResolver(evil_net=[["127.0.0.1"]])
    way = DirectDatagrams(resolver, BY_NAME)
    way.send(b"x", "evil.net", 9)
    settled()
    assert (resolver.asked, way.drops.total) == ([], 1)
    way.close()


def test_each_datagram_is_judged_with_its_port() -> None:
    resolver = FickleResolver(name=[["127.0.0.1"]])
    with receiver("127.0.0.1") as good, receiver("127.0.0.1") as bad:
        port, other = good.getsockname()[1], bad.getsockname()[1]
        way = DirectDatagrams(resolver, AccessRules(parse_rules(f"127.0.0.1:{port}")))
        for host in ("name", "127.0.0.1"):
            for to in (other, port):
                way.send(b"x", host, to)
                settled()
        assert (good.recv(10), good.recv(10)) == (b"x", b"x")
        assert quiet(bad)
        assert way.drops.total == 2
        way.close()


def test_a_name_that_changes_takes_no_datagrams_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("linksocks.net.out.names._FRESH", -1.0)
    resolver = FickleResolver(evil_net=[["127.0.0.1"], ["127.0.0.2"]])
    way = DirectDatagrams(resolver, ONLY_ONE)
    with receiver("127.0.0.1") as good, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bad:
        port = good.getsockname()[1]
        bad.bind(("127.0.0.2", port))
        for _ in range(4):
            way.send(b"x", "evil.net", port)
            settled()
        assert len(resolver.asked) > 1
        assert quiet(bad)
        assert way.drops.total
    way.close()


class TestSomebodyElseSends:
    """At the port for applications, in the server between two links, and through a proxy."""

    def send(
        self, rules: AccessRules, *targets: tuple[str, int], **names: list[list[str]]
    ) -> list[tuple[str, int]]:
        """What is passed on."""
        passed: list[tuple[str, int]] = []
        self.drops = Drops("test")
        self.resolver = FickleResolver(**names)
        sender = JudgedSender(
            lambda _, host, port: passed.append((host, port)), rules, self.resolver, self.drops
        )
        for host, port in targets:
            sender.send(b"x", host, port)
            settled()
        sender.close()
        assert len(passed) + self.drops.total == len(targets)
        return passed

    def test_a_name_that_decides_stays_a_name(self) -> None:
        assert self.send(BY_NAME, ("www.example.org", 1), ("www.example.net", 1)) == [("www.example.org", 1)]
        assert self.resolver.asked == []

    def test_else_it_becomes_the_address_that_was_judged(self) -> None:
        targets = [("name", 1), ("name", 2), ("gone", 3), ("other", 4)]
        passed = self.send(ONLY_ONE, *targets, name=[["127.0.0.2", "127.0.0.1"]], other=[["127.0.0.2"]])
        assert passed == [("127.0.0.1", 1), ("127.0.0.1", 2)]

    def test_addresses_are_judged_at_once(self) -> None:
        assert self.send(ONLY_ONE, ("127.0.0.1", 1), ("127.0.0.2", 1), ("::1", 1)) == [("127.0.0.1", 1)]


@pytest.mark.parametrize(
    ("rules", "passed"),
    [
        (BY_NAME, "www.example.org"),
        (LOOPBACK, "127.0.0.1"),
        (AccessRules(parse_rules("*:*")), "www.example.org"),
    ],
)
def test_what_somebody_else_is_asked_to_dial(rules: AccessRules, passed: str) -> None:
    resolver = FickleResolver(www_example_org=[["::1", "127.0.0.1"]])
    assert pinned(resolver, "www.example.org", 80, 5, rules) == passed


def test_a_name_is_passed_on_as_it_was_judged() -> None:
    """Not every resolver makes `ss` of that letter."""
    rules = AccessRules(parse_rules("strasse.example:*"))
    assert pinned(FickleResolver(), "Straße.example", 80, 5, rules) == "strasse.example"
    assert TestSomebodyElseSends().send(rules, ("Straße.example", 80)) == [("strasse.example", 80)]


def test_ipv4_goes_first_to_somebody_else() -> None:
    resolver = FickleResolver(both=[["::1", "127.0.0.1"]], six=[["::1"]])
    rules = AccessRules(parse_rules("127.0.0.0/8,::1:*"))
    assert pinned(resolver, "both", 80, 5, rules) == "127.0.0.1"
    assert pinned(resolver, "six", 80, 5, rules) == "::1"
