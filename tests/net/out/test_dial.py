"""Dialling: the real cause of each failure, the race of addresses, and no socket left behind."""

from __future__ import annotations

import errno
import gc
import socket as stdlib_socket
import warnings

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from linksocks.errors import Cause, DialError
from linksocks.net.out import dial as module
from linksocks.net.out.dial import dial
from linksocks.net.out.resolve import Address, Resolver
from tests.support.leaks import nothing_left
from tests.support.names import LOOK_UP
from tests.support.targets import mute_port, refusing_port, unanswered_port


class FakeResolver(Resolver):
    """Has these addresses for every name."""

    def __init__(self, *addresses: tuple[str, int]) -> None:
        super().__init__()
        self._addresses = [
            Address(stdlib_socket.AF_INET6, (host, port, 0, 0))
            if ":" in host
            else Address(stdlib_socket.AF_INET, (host, port))
            for host, port in addresses
        ]

    def resolve(self, host: str, port: int, timeout: float) -> list[Address]:
        return self._addresses


@pytest.fixture
def resolver():
    resolver = Resolver()
    yield resolver
    resolver.close()


def cause(resolver: Resolver, host: str, port: int, timeout: float = LOOK_UP) -> Cause:
    with pytest.raises(DialError) as caught:
        dial(resolver, host, port, timeout)
    return caught.value.cause


# One address


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_reached(resolver, host):
    with mute_port("::1" if ":" in host else "127.0.0.1") as port:
        sock = dial(resolver, host, port, 5)
        assert sock.getpeername()[1] == port
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.gettimeout() is None
        sock.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_refused(resolver, host):
    with refusing_port("::1" if ":" in host else "127.0.0.1") as port:
        assert cause(resolver, host, port) is Cause.REFUSED


def test_never_answered(resolver):
    with unanswered_port() as port:
        with pytest.raises(DialError, match=rf"no answer from 127.0.0.1:{port} in 0.1 s") as caught:
            dial(resolver, "127.0.0.1", port, 0.1)
        assert caught.value.cause is Cause.TIMED_OUT


@pytest.mark.parametrize("host", ["nosuch.invalid", "", "127.0.0.1\0"])
def test_no_such_host(resolver, host):
    assert cause(resolver, host, 80) is Cause.HOST_UNREACHABLE


def test_what_the_kernel_refuses_by_itself(resolver):
    """Broadcast is not permitted without SO_BROADCAST, on TCP never; either way it is an error and no hang."""
    assert cause(resolver, "255.255.255.255", 80) in (Cause.NETWORK_UNREACHABLE, Cause.NOT_ALLOWED)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENETUNREACH, Cause.NETWORK_UNREACHABLE),
        (errno.EHOSTUNREACH, Cause.HOST_UNREACHABLE),
        (errno.ETIMEDOUT, Cause.TIMED_OUT),
        (errno.EACCES, Cause.NOT_ALLOWED),
        (errno.EMFILE, Cause.GENERAL),
    ],
)
def test_causes_that_loopback_can_not_give(monkeypatch, number, expected):
    def fail(_address: Address) -> socket.socket:
        raise OSError(number, "as the kernel says")

    monkeypatch.setattr(module, "_connect", fail)
    assert cause(FakeResolver(("127.0.0.1", 1)), "x", 1) is expected
    assert cause(FakeResolver(("127.0.0.1", 1), ("::1", 1)), "x", 1) is expected


def test_the_deadline_covers_the_look_up(monkeypatch, resolver):
    """Half of the time goes to the look-up: the attempt has the other half."""
    with unanswered_port() as port:
        monkeypatch.setattr(module.time, "monotonic", iter([0.0, 9.95]).__next__)
        with pytest.raises(DialError) as caught, gevent.Timeout(5):
            dial(FakeResolver(("127.0.0.1", port)), "x", port, 10)
        assert caught.value.cause is Cause.TIMED_OUT


def test_a_timeout_of_the_caller_is_not_taken_for_ours(resolver):
    with unanswered_port() as port, pytest.raises(gevent.Timeout), gevent.Timeout(0.05):
        dial(resolver, "127.0.0.1", port, 10)


# Several


def test_a_dead_address_costs_the_stagger():
    with unanswered_port() as dead, mute_port() as live, nothing_left():
        sock = dial(FakeResolver(("127.0.0.1", dead), ("127.0.0.1", live)), "x", 0, 5)
        assert sock.getpeername()[1] == live
        sock.close()


def test_a_refused_address_costs_nothing(monkeypatch):
    monkeypatch.setattr(module, "STAGGER", 60.0)
    with refusing_port() as dead, mute_port() as live:
        sock = dial(FakeResolver(("127.0.0.1", dead), ("127.0.0.1", live)), "x", 0, 5)
        assert sock.getpeername()[1] == live
        sock.close()


def test_the_first_failure_is_told(monkeypatch):
    monkeypatch.setattr(module, "STAGGER", 0.0)
    with refusing_port() as dead:
        resolver = FakeResolver(("127.0.0.1", dead), ("255.255.255.255", 80), ("::1", dead))
        assert cause(resolver, "x", dead) is Cause.REFUSED


def test_all_are_dead():
    with unanswered_port() as dead:
        resolver = FakeResolver(*[("127.0.0.1", dead)] * 3)
        assert cause(resolver, "x", dead, timeout=0.1) is Cause.TIMED_OUT


def test_all_win_and_one_is_kept(monkeypatch, recwarn):
    """The sockets of the late winners are closed, and not by the garbage collector."""
    gc.collect()  # what earlier tests have left is none of this one's
    recwarn.clear()
    warnings.simplefilter("always", ResourceWarning)
    monkeypatch.setattr(module, "STAGGER", 0.0)
    connect = module._connect

    def together(address: Address) -> socket.socket:
        sock = connect(address)
        connected.append(address)
        if len(connected) == 5:
            all_are.set()
        all_are.wait()
        return sock

    monkeypatch.setattr(module, "_connect", together)
    with mute_port() as live:
        for _ in range(20):
            connected: list[Address] = []
            all_are = Event()
            dial(FakeResolver(*[("127.0.0.1", live)] * 5), "x", live, 5).close()
    assert [str(warning.message) for warning in recwarn] == []


def test_a_killed_dial_leaves_nothing():
    with unanswered_port() as dead, nothing_left():
        dialler = gevent.spawn(dial, FakeResolver(*[("127.0.0.1", dead)] * 3), "x", dead, 60)
        gevent.sleep(0)
        dialler.kill()


def test_families_take_turns():
    four = [Address(stdlib_socket.AF_INET, (f"127.0.0.{n}", 1)) for n in range(3)]
    six = [Address(stdlib_socket.AF_INET6, ("::1", n, 0, 0)) for n in range(2)]
    assert module._alternate([*six, *four]) == [six[0], four[0], six[1], four[1], four[2]]
    assert module._alternate([*four, *six]) == [four[0], six[0], four[1], six[1], four[2]]
