"""A server that is prepared before it starts: until then nobody finds it, and the client that knocks all the time is
not sent away for a token that is still to come.
"""

import contextlib
import socket

from outside import Website, fetch, free_port

from linksocks import Client, Server

ws_port, socks_port = free_port(), free_port()


def listens() -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", ws_port)) == 0


with (
    Website() as site,
    Client(
        "the-token",
        ws_url=f"ws://127.0.0.1:{ws_port}",
        socks_port=socks_port,
        reconnect=True,
        reconnect_delay="20ms",
        no_env_proxy=True,
        direct_mode="relay-only",
    ) as client,
):
    with contextlib.suppress(RuntimeError):  # it knocks
        client.wait_ready(timeout=0.1)
    server = Server(ws_host="127.0.0.1", ws_port=ws_port)
    assert not listens()
    result = server.add_reverse_token(token="the-provider", port=free_port())
    server.add_connector_token("the-connector", result.token)
    assert not listens()
    server.add_forward_token("the-token")
    assert not listens()
    server.wait_ready(timeout=5)
    assert listens()
    client.wait_ready(timeout=5)
    print(f"prepared: {fetch(site, socks_port)} bytes")
    server.close()
