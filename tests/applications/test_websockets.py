"""A WebSocket inside of the tunnel's: the two clients that we have installed take a socket of `create_connection`."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator

import pytest
import websocket
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

from linksocks import Client

PATIENCE = 10.0
SIZE = 500_000


@pytest.fixture
def port() -> Iterator[int]:
    """Of a server that sends each message back."""

    def echo(connection: ServerConnection) -> None:
        for message in connection:
            connection.send(message)

    with serve(echo, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.socket.getsockname()[1]
        server.shutdown()
        thread.join()
    gc.collect()  # the selector of `serve_forever` is part of a cycle


def test_websockets(client: Client, port: int) -> None:
    sock = client.create_connection(("127.0.0.1", port), PATIENCE)
    with connect("ws://target.example/", sock=sock) as connection:
        for message in ["hello", b"", os.urandom(SIZE)]:
            connection.send(message)
            assert connection.recv(PATIENCE) == message


def test_websocket_client(client: Client, port: int) -> None:
    sock = client.create_connection(("127.0.0.1", port), PATIENCE)
    connection = websocket.create_connection("ws://target.example/", socket=sock)
    connection.send_binary(message := os.urandom(SIZE))
    assert connection.recv() == message
    connection.close()
