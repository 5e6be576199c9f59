"""UDP from this machine: real sockets on loopback, and a resolver that the test holds up."""

import errno
import os

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from linksocks.errors import Cause, DialError
from linksocks.net.out import datagrams
from linksocks.net.out import names as name_module
from linksocks.net.out.datagrams import DirectDatagrams, UdpSocket, with_port
from linksocks.net.out.egress import Direct
from linksocks.net.out.resolve import Address, Resolver
from tests.support.associations import udp_socket

HOSTS = ["127.0.0.1", "::1"]


class Names(Resolver):
    """Knows what it is told, and answers once the test lets it."""

    def __init__(self, **names: list[str]) -> None:
        super().__init__()
        self.names = names
        self.asked: list[str] = []
        self.open = Event()
        self.open.set()

    def resolve(self, host: str, port: int, timeout: float) -> list[Address]:
        self.asked.append(host)
        self.open.wait()
        found = self.names.get(host)
        if not found:
            raise DialError(Cause.HOST_UNREACHABLE, f"no such host {host}")
        return [address for text in found for address in super(Names, self).resolve(text, port, timeout)]


def receiver(host: str = "127.0.0.1") -> socket.socket:
    sock: socket.socket = udp_socket(host, sockets=socket)
    return sock


@pytest.mark.parametrize("payload", [b"", b"ping", bytes(60_000), bytes(65_507)], ids=len)
@pytest.mark.parametrize("host", HOSTS)
def test_a_datagram_and_its_answer(host: str, payload: bytes) -> None:
    way = Direct(Resolver()).open_datagrams(1)
    with receiver(host) as target:
        port = target.getsockname()[1]
        way.send(payload, host, port)
        got, source = target.recvfrom(65_536)
        target.sendto(got, source)
        assert way.receive() == (payload, host, port)
    way.close()


def test_anybody_may_answer() -> None:
    way = Direct(Resolver()).open_datagrams(1)
    with receiver() as target, receiver() as stranger, receiver("::1") as other_family:
        way.send(b"where am I?", "127.0.0.1", target.getsockname()[1])
        _, source = target.recvfrom(100)
        for sock, host in ((stranger, "127.0.0.1"), (other_family, "::1")):
            sock.sendto(b"there", (host, source[1]))
            assert way.receive() == (b"there", host, sock.getsockname()[1])
    way.close()


def test_a_name_keeps_the_order_of_its_datagrams_and_holds_up_nobody_else() -> None:
    names = Names(slow=["127.0.0.1"])
    way = DirectDatagrams(names)
    names.open.clear()
    with receiver() as target:
        port = target.getsockname()[1]
        buffer = bytearray(1)
        for number in range(5):
            buffer[0] = number
            way.send(buffer, "slow", port)
        gevent.sleep(0)
        way.send(b"literal", "127.0.0.1", port)
        assert target.recv(100) == b"literal"
        names.open.set()
        assert [target.recv(100) for _ in range(5)] == [bytes([number]) for number in range(5)]
        way.send(b"known", "slow", port)
        assert target.recv(100) == b"known"
    assert names.asked == ["slow"]
    way.close()


def test_a_name_keeps_its_address_as_long_as_it_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_module, "_FRESH", -1.0)
    names = Names(many=["127.0.0.2", "127.0.0.1"])
    way = DirectDatagrams(names)
    with receiver("127.0.0.2") as first:
        port = first.getsockname()[1]
        way.send(b"1", "many", port)
        assert first.recv(10) == b"1"
        names.names["many"] = ["127.0.0.1", "127.0.0.2"]
        for text in (b"2", b"3", b"4"):
            gevent.sleep(0)  # the look-up
            way.send(text, "many", port)
            assert first.recv(10) == text
        gevent.sleep(0)
        del names.names["many"]
        for text in (b"5", b"6"):
            gevent.sleep(0)
            way.send(text, "many", port)
            assert first.recv(10) == text
    assert len(names.asked) > 4
    way.close()


def test_the_next_address_is_taken_where_the_system_has_no_way_to_the_first() -> None:
    names = Names(both=["255.255.255.255", "127.0.0.1"])  # a broadcast is not permitted
    way = DirectDatagrams(names)
    with receiver() as target:
        way.send(b"x", "both", target.getsockname()[1])
        assert target.recv(10) == b"x"
    assert way.drops.total == 0
    way.close()


@pytest.mark.parametrize(
    ("host", "port", "size"),
    [
        ("127.0.0.1", 9, 65_508),
        ("127.0.0.1", 0, 1),
        ("255.255.255.255", 9, 1),
        ("", 9, 1),
        ("no such host", 9, 1),
    ],
    ids=["too long", "port 0", "broadcast", "empty", "no name"],
)
def test_what_can_not_be_sent_is_dropped_and_the_rest_goes_on(host: str, port: int, size: int) -> None:
    way = DirectDatagrams(Names())
    with receiver() as target:
        way.send(bytes(size), host, port)
        gevent.sleep(0)
        gevent.sleep(0)
        assert way.drops.total == 1
        way.send(b"next", "127.0.0.1", target.getsockname()[1])
        assert target.recv(10) == b"next"
    way.close()


def test_names_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_module, "_WAITING", 4)  # so that the target's buffer takes all
    names = Names(**{f"name{number}": ["127.0.0.1"] for number in range(200)})
    way = DirectDatagrams(names)
    with receiver() as target:
        port = target.getsockname()[1]
        names.open.clear()
        for number in range(100):
            for _ in range(5):
                way.send(b"x", f"name{number}", port)
        gevent.sleep(0)
        assert len(names.asked) == 32
        assert way.drops.total == 32 * 1 + 68 * 5
        names.open.set()
        for _ in range(32 * 4):
            assert target.recv(10) == b"x"
        for number in range(100, 200):  # idle ones make room
            way.send(b"y", f"name{number}", port)
            assert target.recv(10) == b"y"
        assert way.drops.total == 32 * 1 + 68 * 5
    way.close()


def test_closing_ends_who_waits_and_what_is_looked_up() -> None:
    names = Names(slow=["127.0.0.1"])
    names.open.clear()
    way = DirectDatagrams(names)
    way.send(b"x", "slow", 9)
    waiting = gevent.spawn(_end_of, way)
    gevent.sleep(0)
    way.close()
    assert waiting.get()


def _end_of(way: DirectDatagrams) -> str:
    try:
        way.receive()
    except DialError as error:
        return str(error)
    return ""


def test_a_machine_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoIpv6(socket.socket):
        def __init__(self, family: int, kind: int) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
            super().__init__(family, kind)

    monkeypatch.setattr(datagrams.socket, "socket", NoIpv6)
    way = DirectDatagrams(Names(both=["::1", "127.0.0.1"]))
    monkeypatch.undo()
    with receiver() as target:
        way.send(b"x", "both", target.getsockname()[1])
        got, source = target.recvfrom(10)
        target.sendto(got, source)
        assert way.receive()[:2] == (b"x", "127.0.0.1")
        way.send(b"x", "::1", 9)
        assert way.drops.total == 1
    way.close()


def test_no_socket_is_a_dial_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(datagrams.socket, "socket", full)
    with pytest.raises(DialError, match="Too many open files"):
        Direct(Resolver()).open_datagrams(1)


def test_who_sends_without_end_does_not_hold_up_the_others() -> None:
    way = UdpSocket(socket.AF_INET, ("127.0.0.1", 0))
    turns = []
    others = gevent.spawn(_count, turns)
    with receiver() as flood:
        for _ in range(256):
            flood.sendto(b"x", ("127.0.0.1", way.port))
            way.receive()
    others.kill()
    assert len(turns) >= 256 // 64
    way.close()


def _count(turns: list[int]) -> None:
    while True:
        turns.append(1)
        gevent.sleep(0)


def test_receive_now() -> None:
    way = UdpSocket(socket.AF_INET6, ("::", 0))
    assert way.receive_now() is None
    with receiver() as sender:
        sender.sendto(b"x", ("127.0.0.1", way.port))
        assert way.receive_now() == (b"x", sender.getsockname())
    way.close()


def test_with_port() -> None:
    assert with_port(("::ffff:192.0.2.1", 7, 0, 0), 8) == ("192.0.2.1", 8)
    assert with_port(("192.0.2.1", 7), 0) == ("192.0.2.1", 0)
    assert with_port(("fe80::1", 7, 0, 3), 8) == ("fe80::1", 8, 0, 3)
