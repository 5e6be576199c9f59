"""The async twin of every method, one after the other, without `async with`; and a wait that is cancelled."""

import asyncio
from typing import Any

from outside import Website, fetch, free_port

from linksocks import AccessRule, Client, Server


async def main() -> None:
    ws_port, socks_port = free_port(), free_port()
    url = f"ws://127.0.0.1:{ws_port}"

    def client(token: str, **options: Any) -> Client:
        return Client(token, ws_url=url, no_env_proxy=True, direct_mode="relay-only", **options)

    server = Server(ws_host="127.0.0.1", ws_port=ws_port)
    await server.async_wait_ready(timeout="5s")
    rules = [AccessRule(addrs=["127.0.0.1"], ports=[])]
    forward_tokens = [
        await server.async_add_forward_token(),
        await server.async_add_forward_token("forward"),
        await server.async_add_forward_token_with_rules("ruled", rules),
    ]
    assert forward_tokens[1:] == ["forward", "ruled"]
    result = await server.async_add_reverse_token(token="provider", port=free_port(), rules=rules)
    manager = await server.async_add_reverse_token(token="manager", allow_manage_connector=True)
    connector_tokens = [
        await server.async_add_connector_token("connector", result.token),
        await server.async_add_connector_token_with_rules(None, result.token, rules),
    ]

    provider, owner = client(result.token, reverse=True), client(manager.token, reverse=True)
    await asyncio.gather(provider.async_wait_ready(timeout=5), owner.async_wait_ready(timeout=5))
    connector_tokens.append(await owner.async_add_connector("brought"))

    size = 0
    with Website() as site:
        size += await asyncio.to_thread(fetch, site, result.port)
        for token in forward_tokens + connector_tokens:
            one = client(token, socks_port=socks_port)
            await one.async_wait_ready(timeout=5)
            size += await asyncio.to_thread(fetch, site, socks_port)
            await one.async_close()

    assert await server.async_remove_token("forward")
    for each in (provider, owner):
        await each.async_close()
    await server.async_close()
    await server.async_close()

    lonely = client("forward", socks_port=socks_port, reconnect=True)
    try:
        await asyncio.wait_for(lonely.async_wait_ready(), 0.2)
    except TimeoutError:
        pass
    else:
        raise AssertionError("ready without a server")
    await lonely.async_close()
    print(f"async twins: {size} bytes")


asyncio.run(asyncio.wait_for(main(), 10))
