"""The ports of reverse tokens: given ones and those of a pool."""

from __future__ import annotations

import socket

import pytest

from linksocks.errors import ListenError
from linksocks.server import ports as module
from linksocks.server.ports import PortPool


@pytest.fixture
def free():
    """Three ports in a row that nobody has, the first of them."""
    for first in range(20000, 30000, 3):
        try:
            for port in range(first, first + 3):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise AssertionError("no three free ports")


def port_of(sock):
    return sock.getsockname()[1]


def test_a_pool_gives_each_of_its_ports_once(free):
    pool = PortPool("127.0.0.1", free, free + 2)
    taken = []
    for owner in "abc":
        taken.append(pool.take(0, owner))
        taken[-1].listen()
    assert sorted(map(port_of, taken)) == [free, free + 1, free + 2]
    with pytest.raises(ListenError, match=f"no port from {free} to {free + 2} is free on 127"):
        pool.take(0, "d")
    for sock in taken:
        sock.close()


def test_a_port_that_somebody_else_has_is_skipped(free):
    with socket.socket() as other:
        other.bind(("127.0.0.1", free))
        other.listen()
        for _ in range(5):
            sock = PortPool("127.0.0.1", free, free + 1).take(0, "a")
            assert port_of(sock) == free + 1
            sock.close()


def test_a_given_port_may_be_anywhere_and_says_when_it_is_taken(free):
    pool = PortPool("127.0.0.1", free, free)
    sock = pool.take(free + 1, "a")
    sock.listen()
    assert port_of(sock) == free + 1
    with pytest.raises(ListenError, match="in use"):
        pool.take(free + 1, "b")
    sock.close()


class TestAPortThatWasLeft:
    def test_is_kept_for_its_owner(self, free):
        pool = PortPool("127.0.0.1", free, free + 1)
        pool.leave(free + 1, "a")
        for _ in range(5):
            sock = pool.take(0, "b")
            assert port_of(sock) == free
            sock.close()
        sock = pool.take(0, "a")
        assert port_of(sock) == free + 1
        sock.close()

    def test_is_free_for_all_later(self, free, monkeypatch):
        monkeypatch.setattr(module, "KEPT", -1.0)
        pool = PortPool("127.0.0.1", free, free)
        pool.leave(free, "a")
        pool.take(0, "b").close()

    def test_is_whoever_asks_for_it_by_number(self, free):
        pool = PortPool("127.0.0.1", free, free)
        pool.leave(free, "a")
        pool.take(free, "b").close()
