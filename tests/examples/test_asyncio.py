"""asyncio, both ends of a tunnel in one process."""

from __future__ import annotations

import sys

from tests.examples.conftest import assert_silent
from tests.support.processes import Process

PROGRAM = """
import asyncio
from linksocks import Client, Server

TASKS = 50

async def fetch(client, port):
    sock = await client.async_create_connection(("127.0.0.1", port), timeout=10)
    reader, writer = await asyncio.open_connection(sock=sock)
    writer.write(b"GET / HTTP/1.0\\r\\n\\r\\n")
    page = await reader.read()
    writer.close()
    return page.split()[1]

async def main():
    async with Server(ws_host="127.0.0.1", ws_port=0) as server:
        token = await server.async_add_forward_token()
        url = f"ws://127.0.0.1:{server.ws_port}"
        async with Client(token, ws_url=url, socks=False) as client:
            pages = await asyncio.gather(*(fetch(client, server.ws_port) for _ in range(TASKS)))
            print(len(pages), set(pages))

        lent = await server.async_add_reverse_token(allow_manage_connector=True)
        async with Client(lent.token, ws_url=url, reverse=True) as provider:
            key = await provider.async_add_connector(None)
            print(provider.is_connected, bool(key))
            lost = Client(key, ws_url="ws://127.0.0.1:9", reconnect=True)
            waiting = asyncio.create_task(lost.async_wait_ready())
            await asyncio.sleep(0)
            waiting.cancel()
            try:
                await waiting
            except asyncio.CancelledError:
                print("cancelled")

asyncio.run(main())
"""


def test_both_ends_in_one_loop() -> None:
    with Process([sys.executable, "-c", PROGRAM]) as process:
        assert process.wait_exit() == 0, process.output
    assert process.out == ["50 {b'200'}", "True True", "cancelled"]
    assert_silent(process)
