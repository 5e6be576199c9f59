"""Two connected sockets of this machine: theirs is like any other, and nobody else gets one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import gevent
import pytest
from gevent import socket

from linksocks.net import pair as module
from linksocks.net.pair import connected_pair
from tests.support.leaks import nothing_left
from tests.support.targets import unanswered_port

NOWHERE = socket.AF_INET, "192.0.2.1"
"""No address of this machine."""


def test_bytes_go_both_ways() -> None:
    near, far = connected_pair()
    assert (near.getsockname(), near.getpeername()) == (far.getpeername(), far.getsockname())
    near.sendall(b"to far")
    assert far.recv(10) == b"to far"
    far.sendall(b"to near")
    assert near.recv(10) == b"to near"
    far.close()
    assert near.recv(10) == b""
    near.close()


def test_it_is_tcp_as_users_know_it() -> None:
    near, far = connected_pair()
    far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    assert far.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    near.close()
    with pytest.raises(ConnectionResetError):  # nobody has said that the stream is whole
        far.recv(10)
    far.close()


def test_who_comes_first_is_not_taken_for_us(monkeypatch: pytest.MonkeyPatch) -> None:
    strangers = []
    listener = module._listener

    def visited() -> socket.socket:
        opened = listener()
        strangers.extend(socket.create_connection(opened.getsockname()) for _ in range(3))
        return opened

    monkeypatch.setattr(module, "_listener", visited)
    with nothing_left():
        near, far = connected_pair()
        assert near.getpeername() == far.getsockname()
        for stranger in strangers:
            assert stranger.recv(1) == b""
            stranger.close()
        near.close()
        far.close()


def test_a_machine_without_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOPBACK", (NOWHERE, (socket.AF_INET6, "::1")))
    with nothing_left():
        near, far = connected_pair()
        assert far.getpeername()[0] == "::1"
        near.close()
        far.close()


def test_a_machine_without_a_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOPBACK", (NOWHERE, (socket.AF_INET6, "2001:db8::1")))
    with nothing_left(), pytest.raises(OSError, match="assign requested address"):
        connected_pair()


@pytest.fixture
def flooded() -> Iterator[Callable[[], socket.socket]]:
    """Listeners at which nobody arrives."""
    with unanswered_port() as port:

        class Flooded(socket.socket):
            def getsockname(self) -> tuple[str, int]:
                return "127.0.0.1", port

        yield Flooded


def test_a_port_that_is_flooded_is_followed_by_another(
    monkeypatch: pytest.MonkeyPatch, flooded: Callable[[], socket.socket]
) -> None:
    kinds = iter([flooded, flooded, module._listener])

    def listener() -> socket.socket:
        kind = next(kinds)
        return kind()

    monkeypatch.setattr(module, "_listener", listener)
    monkeypatch.setattr(module, "_PORT_TIMEOUT", 0.05)
    with nothing_left():
        near, far = connected_pair()
        assert near.getpeername() == far.getsockname()
        near.close()
        far.close()


@pytest.mark.parametrize("killed", [False, True])
def test_all_ports_are_flooded(
    monkeypatch: pytest.MonkeyPatch, flooded: Callable[[], socket.socket], killed: bool
) -> None:
    monkeypatch.setattr(module, "_listener", flooded)
    monkeypatch.setattr(module, "_PORT_TIMEOUT", 3600 if killed else 0.02)
    monkeypatch.setattr(module, "PAIR_TIMEOUT", 3600 if killed else 0.05)
    with nothing_left():
        if killed:
            calling = gevent.spawn(connected_pair)
            gevent.idle()
            calling.kill()
        else:
            with pytest.raises(TimeoutError, match="floods"):
                connected_pair()
