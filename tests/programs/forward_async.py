"""Forward in asyncio, as the README's first example: `async with` waits for both ends."""

import asyncio

from outside import Website, fetch, free_port

from linksocks import Client, Server


async def main() -> None:
    ws_port, socks_port = free_port(), free_port()
    async with Server(ws_host="127.0.0.1", ws_port=ws_port) as server:
        token = await server.async_add_forward_token()
        async with Client(
            token,
            ws_url=f"ws://localhost:{ws_port}",
            socks_port=socks_port,
            no_env_proxy=True,
            direct_mode="relay-only",
        ):
            with Website() as site:
                pages = await asyncio.gather(
                    *(asyncio.to_thread(fetch, site, socks_port, size=size) for size in (1, 1000, 100_000))
                )
    print(f"forward in asyncio: {sum(pages)} bytes")


asyncio.run(asyncio.wait_for(main(), 10))
