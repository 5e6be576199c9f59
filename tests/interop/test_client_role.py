"""Our client as a part of a program, at the peers' servers: what it knows of them, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest
from gevent import socket

from linksocks.client.role import ClientRole
from tests.interop.peer import Peer
from tests.support.ports import free_port
from tests.support.roles import TOKEN, client_role, running
from tests.support.tunnels import PATIENCE, Target, read_to_end
from tests.support.waits import eventually

SIZE = 4 * 1024 * 1024


@pytest.fixture
def client(peer: Peer) -> Iterator[ClientRole]:
    ws_port = free_port()
    with (
        peer.play("server", ws_port=ws_port, token=TOKEN),
        running(client_role(ws_port, socks_port=None)) as client,
    ):
        client.wait_ready(PATIENCE)
        yield client


def test_the_server_answers_pings_and_says_its_version(client: ClientRole, peer: Peer) -> None:
    eventually(lambda: client.rtt is not None)
    assert client.rtt is not None
    assert 0 < client.rtt < PATIENCE
    assert client.protocol == (2 if peer.version.startswith("1.10") else 1)


def test_what_was_said_before_the_close_arrives(client: ClientRole) -> None:
    with Target() as target:
        waiting = gevent.spawn(target.accept)
        sock = socket.socket(fileno=client.dial("127.0.0.1", target.port, PATIENCE))
        conn = waiting.get()
        reading = gevent.spawn(read_to_end, conn)
        sock.sendall(bytes(SIZE))
        sock.close()
        client.stop(0)
        data, whole = reading.get()
        assert (len(data), whole) == (SIZE, True)
        conn.close()
