"""A token that the server does not know, or none at all: `wait_ready` says so, long before its deadline."""

import asyncio
from typing import Any

from outside import free_port

from linksocks import Client, Server

ws_port = free_port()


def client(token: str | None = None, port: int = ws_port, **options: Any) -> Client:
    return Client(
        token,
        ws_url=f"ws://127.0.0.1:{port}",
        socks_port=free_port(),
        no_env_proxy=True,
        direct_mode="relay-only",
        **options,
    )


async def enter(one: Client) -> None:
    async with one:
        pass


def failure(call, *args: object, **options: Any) -> str:
    try:
        call(*args, **options)
    except RuntimeError as why:
        return str(why).lower()
    raise AssertionError("no failure")


with Server(ws_host="127.0.0.1", ws_port=ws_port) as server:
    server.add_forward_token("the-token")
    server.add_reverse_token(token="the-provider")
    for one in (client("wrong"), client("wrong", reverse=True), client("wrong", threads=2), client()):
        with one:
            assert "token" in failure(one.wait_ready, timeout=60)
    assert "token" in failure(asyncio.run, enter(client("wrong")))

# Nobody there at all: without `reconnect` it says so, with it the deadline ends the wait.
with client("the-token", free_port()) as one:
    assert "refused" in failure(one.wait_ready, timeout=60)
with client("the-token", free_port(), reconnect=True) as one:
    failure(one.wait_ready, timeout="300ms")
print("wrong token: 7 failures")
