"""Closed in the middle of the work: `close` does not wait for connections that go on, and these end."""

import socket
from typing import Any

from outside import EchoTarget, connect, free_port

from linksocks import Client, Server

ws_port, socks_port, reverse_port = free_port(), free_port(), free_port()


def client(token: str, **options: Any) -> Client:
    return Client(
        token, ws_url=f"ws://127.0.0.1:{ws_port}", no_env_proxy=True, direct_mode="relay-only", **options
    )


def busy(port: int) -> socket.socket:
    """A connection that has carried something, and has more on its way."""
    conn = connect(port, target.host, target.port, timeout=10)
    conn.sendall(b"first")
    assert conn.recv(5, socket.MSG_WAITALL) == b"first"
    conn.sendall(bytes(100_000))
    return conn


def ended(conn: socket.socket) -> bool:
    with conn:
        try:
            while conn.recv(65_536):
                pass
        except ConnectionError:
            pass
    return True


with EchoTarget() as target:
    server = Server(ws_host="127.0.0.1", ws_port=ws_port)
    server.add_forward_token("the-token")
    server.add_reverse_token(token="the-provider", port=reverse_port)
    server.wait_ready(timeout=5)
    forward, provider = client("the-token", socks_port=socks_port), client("the-provider", reverse=True)
    forward.wait_ready(timeout=5)
    provider.wait_ready(timeout=5)
    conns = [busy(port) for port in (socks_port, reverse_port) for _ in range(3)]
    forward.close()
    server.close()
    provider.close()
    assert all(map(ended, conns))
print(f"close: {len(conns)} connections have ended")
