"""stats(): numbers of what was done, by name."""

from __future__ import annotations

import dataclasses
import socket

import pytest

from linksocks import Client, ClientStats, Server, ServerStats
from tests.library.conftest import url_of
from tests.support.targets import EchoTarget, refusing_port

pytestmark = pytest.mark.usefixtures("clean")


def test_before_the_beginning_all_is_zero() -> None:
    assert Client().stats() == ClientStats()
    assert Server().stats() == ServerStats()


def test_they_count(echo: EchoTarget) -> None:
    with Server(ws_host="127.0.0.1", ws_port=0) as server:
        with Client(server.add_forward_token(), ws_url=url_of(server), socks=False) as client:
            with client.create_connection((echo.host, echo.port), timeout=10) as sock:
                sock.sendall(b"x" * 1000)
                assert len(sock.recv(1000, socket.MSG_WAITALL)) == 1000
                ours, theirs = client.stats(), server.stats()
                assert (ours.channels, theirs.channels) == (1, 1)
            with refusing_port() as port, pytest.raises(ConnectionRefusedError):
                client.create_connection(("127.0.0.1", port), timeout=10)
        ours = client.stats()
        assert (ours.connections, ours.bytes_sent, ours.bytes_received) == (2, 1000, 1000)
        assert (ours.links, ours.channels, ours.reconnects) == (0, 0, 0)
    theirs = server.stats()
    assert (theirs.connections, theirs.bytes_sent, theirs.bytes_received) == (2, 1000, 1000)
    assert (theirs.logins, theirs.clients, theirs.dials) == (1, 0, 1)
    assert theirs.failed_dials == {"refused": 1}


def test_refusals_have_words(server: Server) -> None:
    client = Client(
        "wrong", ws_url=url_of(server), socks=False
    )  # in a `with` it might be refused before, and again
    with pytest.raises(RuntimeError):
        client.wait_ready()
    client.close()
    assert server.stats().refused == {"login: token": 1}


def test_they_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Client().stats().links = 5  # type: ignore[misc]
