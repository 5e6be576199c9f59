"""Early birds: a SOCKS port that opens before there is anybody behind it, and holds who comes until there is."""

import threading
from typing import Any

from outside import Website, fetch, free_port

from linksocks import Client, Server

ws_port, socks_port, reverse_port = free_port(), free_port(), free_port()
sizes: list[int] = []


def client(token: str, **options: Any) -> Client:
    return Client(
        token,
        ws_url=f"ws://127.0.0.1:{ws_port}",
        reconnect=True,
        reconnect_delay="100ms",
        no_env_proxy=True,
        direct_mode="relay-only",
        **options,
    )


def start_fetching(port: int) -> threading.Thread:
    thread = threading.Thread(target=lambda: sizes.append(fetch(site, port)))
    thread.start()
    return thread


with Website() as site, client("the-token", socks_port=socks_port, socks_wait_server=False) as forward:
    try:
        forward.wait_ready(timeout=0.3)
    except RuntimeError:
        pass  # there is no server yet, but the port is open, and the client goes on trying
    else:
        raise AssertionError("ready without a server")
    first = start_fetching(socks_port)

    # The tokens before the start, where the client finds its own.
    server = Server(ws_host="127.0.0.1", ws_port=ws_port, socks_wait_client=False)
    server.add_forward_token("the-token")
    server.add_reverse_token(token="the-provider", port=reverse_port)
    with server:
        forward.wait_ready(timeout=5)
        first.join()

        second = start_fetching(reverse_port)
        with client("the-provider", reverse=True) as provider:
            provider.wait_ready(timeout=5)
            second.join()
assert len(sizes) == 2
print(f"early: {sum(sizes)} bytes")
