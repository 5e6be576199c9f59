"""The clients of a mode, at the server of another process: `visit.py MODE WS_PORT SOCKS_PORT`; see serve.py."""

import contextlib
import sys
from typing import Any

from outside import EchoTarget, Website, echo, fetch, free_port

from linksocks import Client

mode, ws_port, socks_port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


def client(token: str, **options: Any) -> Client:
    opened = Client(
        token, ws_url=f"ws://127.0.0.1:{ws_port}", no_env_proxy=True, direct_mode="relay-only", **options
    )
    clients.enter_context(opened).wait_ready(timeout=5)
    return opened


with Website() as site, EchoTarget() as target, contextlib.ExitStack() as clients:
    if mode == "forward":
        client("the-token", socks_port=socks_port)
    else:
        provider = client("the-provider", reverse=True)
        if mode == "autonomy":
            provider.add_connector("the-connector")
        if mode != "reverse":
            socks_port = free_port()
            client("the-connector", socks_port=socks_port)
    size = fetch(site, socks_port, size=300_000)
    with echo(target, socks_port) as ask:
        assert ask(b"Anybody there?") == b"Anybody there?"
    print(f"{mode}: {size} bytes, and an echo")
