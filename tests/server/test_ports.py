"""The ports of reverse tokens: given ones and those of a pool."""

from __future__ import annotations

import socket

import pytest

from linksocks.errors import ConfigError, ListenError
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
    pool = PortPool("127.0.0.1", range(free, free + 3))
    taken = []
    for owner in "abc":
        taken.append(pool.take(0, owner))
        taken[-1].listen()
    assert sorted(map(port_of, taken)) == [free, free + 1, free + 2]
    with pytest.raises(ListenError, match=f"no port of {free} to {free + 2} is free on 127"):
        pool.take(0, "d")
    for sock in taken:
        sock.close()


def test_a_port_that_somebody_else_has_is_skipped(free):
    with socket.socket() as other:
        other.bind(("127.0.0.1", free))
        other.listen()
        for _ in range(5):
            sock = PortPool("127.0.0.1", range(free, free + 2)).take(0, "a")
            assert port_of(sock) == free + 1
            sock.close()


def test_a_given_port_may_be_anywhere_and_says_when_it_is_taken(free):
    pool = PortPool("127.0.0.1", [free])
    sock = pool.take(free + 1, "a")
    sock.listen()
    assert port_of(sock) == free + 1
    with pytest.raises(ListenError, match="in use"):
        pool.take(free + 1, "b")
    sock.close()


def test_a_pool_is_any_list_and_what_becomes_of_the_list_later_changes_nothing(free):
    ports = [free + 2, free]
    pool = PortPool("127.0.0.1", ports)
    ports.append(free + 1)
    taken = [pool.take(0, owner) for owner in "ab"]
    assert sorted(map(port_of, taken)) == [free, free + 2]
    with pytest.raises(ListenError, match=f"no port of {free}, {free + 2} is free on 127"):
        pool.take(0, "c")
    for sock in taken:
        sock.close()


@pytest.mark.parametrize(
    "ports",
    [[], range(0), [0], [-1], [65536], range(65530, 10**12), [True], ["1024"], "1024", [1024.0], [None]],
    ids=repr,
)
def test_what_can_not_be_ports(ports):
    with pytest.raises(ConfigError, match="port pool: expected"):
        PortPool("127.0.0.1", ports)


def test_a_port_that_is_in_it_twice():
    with pytest.raises(ConfigError, match="5000 is in it twice"):
        PortPool("127.0.0.1", [5000, 5001, 5000])


@pytest.mark.parametrize(
    ("ports", "said"),
    [
        ([5000], "5000"),
        (range(5000, 5003), "5000 to 5002"),
        ([5004, 5000, 5003], "5000, 5003 to 5004"),
        (range(5000, 6000, 2), "5000, 5002, 5004, 5006, 5008, ... 5998"),
    ],
)
def test_a_pool_in_a_few_words(ports, said):
    assert module._shown(ports) == said


def left(pool, port, owner):
    """`owner` had it."""
    pool.take(port, owner).close()
    pool.leave(port, owner)


class TestAPortThatIsTaken:
    """It need not listen: until it does, the system would bind it once more."""

    def test_is_nobody_elses(self, free):
        pool = PortPool("127.0.0.1", range(free, free + 3))
        given = pool.take(free, "a")
        taken = [pool.take(0, owner) for owner in "bc"]
        assert {port_of(sock) for sock in taken} == {free + 1, free + 2}
        with pytest.raises(ListenError, match=f"127.0.0.1:{free + 1}: the port is in use by another token"):
            pool.take(free + 1, "d")
        for sock in (given, *taken):
            sock.close()

    def test_is_not_given_up_by_another(self, free):
        pool = PortPool("127.0.0.1", [free])
        sock = pool.take(free, "a")
        pool.leave(free, "b")
        with pytest.raises(ListenError, match="no port"):
            pool.take(0, "b")
        sock.close()


class TestAPortThatWasLeft:
    def test_is_kept_for_its_owner(self, free):
        pool = PortPool("127.0.0.1", range(free, free + 2))
        left(pool, free + 1, "a")
        for _ in range(5):
            pool.take(0, "b").close()
            pool.leave(free, "b")
        sock = pool.take(0, "a")
        assert port_of(sock) == free + 1
        sock.close()

    def test_is_free_for_all_later(self, free, monkeypatch):
        monkeypatch.setattr(module, "KEPT", -1.0)
        pool = PortPool("127.0.0.1", [free])
        left(pool, free, "a")
        pool.take(0, "b").close()

    def test_is_whoever_asks_for_it_by_number(self, free):
        pool = PortPool("127.0.0.1", [free])
        left(pool, free, "a")
        pool.take(free, "b").close()
