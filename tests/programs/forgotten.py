"""Nobody closes anything: what goes out of sight gives its port back, what is left does not keep the program."""

import gc
import socket

from outside import Website, fetch, free_port, until

from linksocks import Client, Server

ws_port, socks_port = free_port(), free_port()


def visit(site: Website) -> int:
    client = Client(
        "the-token",
        ws_url=f"ws://127.0.0.1:{ws_port}",
        socks_port=socks_port,
        no_env_proxy=True,
        direct_mode="relay-only",
    )
    client.wait_ready(timeout=5)
    return fetch(site, socks_port)


def port_is_free() -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", socks_port)) != 0


server = Server(ws_host="127.0.0.1", ws_port=ws_port)
server.add_forward_token("the-token")
server.wait_ready(timeout=5)
with Website() as site:
    size = 0
    for _ in range(3):
        size += visit(site)
        gc.collect()
        until(port_is_free)
print(f"forgotten: {size} bytes")
