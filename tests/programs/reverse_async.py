"""Reverse in asyncio, as the README's second example; two providers share the work, and one of them leaves."""

import asyncio

from outside import Website, fetch, free_port

from linksocks import Client, Server


async def main() -> None:
    ws_port = free_port()

    def provider(token: str) -> Client:
        return Client(
            token,
            ws_url=f"ws://localhost:{ws_port}",
            reverse=True,
            no_env_proxy=True,
            direct_mode="relay-only",
        )

    async with Server(ws_host="127.0.0.1", ws_port=ws_port) as server:
        result = server.add_reverse_token()
        with Website() as site:
            async with provider(result.token):
                async with provider(result.token):
                    size = sum([await asyncio.to_thread(fetch, site, result.port) for _ in range(4)])
                size += await asyncio.to_thread(fetch, site, result.port)
    print(f"reverse in asyncio: {size} bytes")


asyncio.run(asyncio.wait_for(main(), 10))
