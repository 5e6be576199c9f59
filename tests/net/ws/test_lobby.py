"""The lobby: how many may be at the door, and what those hear for whom there is no room."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from gevent import socket

from linksocks.net.listen import bind, listen
from linksocks.net.ws import lobby as module
from linksocks.net.ws.accept import UpgradeServer
from linksocks.net.ws.lobby import Lobby, one_host
from linksocks.server.web import create_app
from linksocks.wire.extensions import Extensions
from tests.support.rawsocket import UPGRADE, read_head, turns

HERE, THERE = "127.0.0.1", "127.0.0.2"


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_one_host(address: str, host: str) -> None:
    assert one_host(address) == host


def test_who_leaves_makes_room_once() -> None:
    lobby = Lobby(most=3, each=2)
    assert [lobby.enter((HERE, port)) for port in (1, 2, 3)] == ["", "", "handshakes_of_one"]
    assert [lobby.enter((THERE, port)) for port in (1, 2)] == ["", "handshakes"]
    lobby.leave((HERE, 1))
    lobby.leave((HERE, 1))
    lobby.leave((HERE, 9))
    assert len(lobby) == 2
    assert [lobby.enter((HERE, port)) for port in (4, 5)] == ["", "handshakes_of_one"]
    assert lobby.refusals == {"handshakes_of_one": 2, "handshakes": 1}


def test_no_limits() -> None:
    lobby = Lobby()
    assert {lobby.enter((HERE, port)) for port in range(5000)} == {""}
    for port in range(5000):
        lobby.leave((HERE, port))
    assert not lobby._inside


@contextmanager
def serving(lobby: Lobby) -> Iterator[int]:
    listener = bind(HERE, 0)
    listen(listener)
    http = UpgradeServer(listener, create_app(), lambda _: None, Extensions(), lobby=lobby)
    http.start()
    try:
        yield listener.getsockname()[1]
    finally:
        http.stop(timeout=0)


def caller(port: int, source: str = HERE) -> socket.socket:
    return socket.create_connection((HERE, port), timeout=10, source_address=(source, 0))


def told(sock: socket.socket) -> tuple[bytes, bytes]:
    """The status and the text of an answer, to the end of the connection."""
    sock.sendall(UPGRADE)
    data = b""
    while chunk := sock.recv(4096):
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    assert b"\r\nRetry-After: 1\r\n" in head
    assert f"Content-Length: {len(body)}\r\n".encode() in head
    return head.partition(b"\r\n")[0], body


def test_what_is_said_to_whom_there_is_no_room_for() -> None:
    lobby = Lobby(most=2, each=1)
    with serving(lobby) as port, caller(port), caller(port) as second:
        assert told(second) == (
            b"HTTP/1.1 429 Too Many Requests",
            b"too many logins in progress from this address\n",
        )
        with caller(port, THERE), caller(port, "127.0.0.3") as fourth:
            assert told(fourth) == (
                b"HTTP/1.1 503 Service Unavailable",
                b"the server has too many logins in progress\n",
            )
        assert lobby.refusals == {"handshakes_of_one": 1, "handshakes": 1}


def test_a_connection_that_ends_makes_room() -> None:
    lobby = Lobby(each=1)
    with serving(lobby) as port:
        for _ in range(5):
            with caller(port) as sock:
                sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
                assert b"200 OK" in read_head(sock)
                assert sock.recv(10_000)
                assert not sock.recv(1)
            while len(lobby):
                turns()
    assert not lobby.refusals


def test_more_of_them_than_can_be_told_just_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_FAREWELLS", 1)
    monkeypatch.setattr(module, "_FAREWELL", 3600.0)  # the first one's lasts until the last one has come
    caplog.set_level(logging.WARNING)
    lobby = Lobby(each=1)
    with serving(lobby) as port, ExitStack() as stack:
        callers = [stack.enter_context(caller(port)) for _ in range(3)]
        assert b"429" in read_head(callers[1])
        assert not callers[2].recv(1)
    assert len(caplog.records) == 1, "of two refusals the first is logged"
