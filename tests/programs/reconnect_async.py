"""Reconnect in asyncio: the server is closed and made anew in the same program, and so is a provider."""

import asyncio

from outside import Website, fetch, free_port, refused

from linksocks import Client, Server

ws_port, socks_port, reverse_port = free_port(), free_port(), free_port()


async def start_server() -> Server:
    server = Server(ws_host="127.0.0.1", ws_port=ws_port)
    await server.async_add_forward_token("the-token")
    await server.async_add_reverse_token(token="the-provider", port=reverse_port)
    await server.async_wait_ready(timeout=5)
    return server


async def fetch_soon(port: int) -> int:
    """A page, as soon as there is a link again."""
    while await asyncio.to_thread(refused, site, port):
        await asyncio.sleep(0.05)
    return await asyncio.to_thread(fetch, site, port)


def provider() -> Client:
    return Client(
        "the-provider",
        ws_url=f"ws://localhost:{ws_port}",
        reverse=True,
        no_env_proxy=True,
        direct_mode="relay-only",
    )


async def main() -> int:
    first = await start_server()
    async with Client(
        "the-token",
        ws_url=f"ws://localhost:{ws_port}",
        socks_port=socks_port,
        reconnect=True,
        reconnect_delay=0.1,
        no_env_proxy=True,
        direct_mode="relay-only",
    ) as client:
        size = await asyncio.to_thread(fetch, site, socks_port)
        await first.async_close()

        second = await start_server()
        await client.async_wait_ready(timeout=5)
        size += await fetch_soon(socks_port)
        for _ in range(2):
            async with provider():
                size += await fetch_soon(reverse_port)
        await second.async_close()
    return size


with Website() as site:
    print(f"reconnect in asyncio: {asyncio.run(asyncio.wait_for(main(), 10))} bytes")
