"""Sync and async mixed: `with` inside of a coroutine, `async_wait_ready` on top, and a client for two event loops."""

import asyncio
from typing import Any

from outside import Website, fetch, free_port

from linksocks import Client, Server

ws_port, socks_port, connector_port = free_port(), free_port(), free_port()


def client(token: str, **options: Any) -> Client:
    return Client(
        token, ws_url=f"ws://127.0.0.1:{ws_port}", no_env_proxy=True, direct_mode="relay-only", **options
    )


async def first_loop() -> int:
    with Server(ws_host="127.0.0.1", ws_port=ws_port) as server:
        result = server.add_reverse_token()
        server.add_connector_token("the-connector", result.token)
        with client(result.token, reverse=True) as provider:
            await provider.async_wait_ready(timeout=5)
            with client("the-connector", socks_port=connector_port) as connector:
                await connector.async_wait_ready(timeout=5)
                return await asyncio.to_thread(fetch, site, connector_port)


async def second_loop() -> int:
    await forward.async_wait_ready(timeout=5)
    return await asyncio.to_thread(fetch, site, socks_port)


with Website() as site:
    size = asyncio.run(first_loop())
    with Server(ws_host="127.0.0.1", ws_port=ws_port) as server:
        forward = client(server.add_forward_token(), socks_port=socks_port)
        size += asyncio.run(second_loop()) + asyncio.run(second_loop()) + fetch(site, socks_port)
        forward.close()
print(f"mixed: {size} bytes")
