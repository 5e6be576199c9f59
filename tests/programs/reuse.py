"""Ports are free again as soon as `close` has returned: the same ones, round after round, and for other programs."""

import socket
from typing import Any

from outside import Website, fetch, free_port

from linksocks import Client, Server

ws_port, socks_port, reverse_port = free_port(), free_port(), free_port()


def client(token: str, **options: Any) -> Client:
    return Client(
        token, ws_url=f"ws://127.0.0.1:{ws_port}", no_env_proxy=True, direct_mode="relay-only", **options
    )


size = 0
with Website() as site:
    for _ in range(5):
        server = Server(ws_host="127.0.0.1", ws_port=ws_port)
        server.wait_ready(timeout=5)
        token = server.add_forward_token("the-token")
        result = server.add_reverse_token(token="the-provider", port=reverse_port)
        forward, provider = client(token, socks_port=socks_port), client(result.token, reverse=True)
        forward.wait_ready(timeout=5)
        provider.wait_ready(timeout=5)
        size += fetch(site, socks_port) + fetch(site, reverse_port)
        provider.close()
        forward.close()
        server.close()
    for port in (ws_port, socks_port):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            probe.listen()
print(f"reuse: {size} bytes")
