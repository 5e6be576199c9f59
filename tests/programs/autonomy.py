"""Autonomy: the provider itself says who may use it, by connector tokens that it adds and removes."""

import asyncio
from typing import Any

from outside import Website, fetch, free_port

from linksocks import Client, Server

ws_port = free_port()


def client(token: str, **options: Any) -> Client:
    return Client(
        token, ws_url=f"ws://127.0.0.1:{ws_port}", no_env_proxy=True, direct_mode="relay-only", **options
    )


def visit(token: str) -> int:
    """What a connector with `token` gets; raises where nobody lets it in."""
    socks_port = free_port()
    with client(token, socks_port=socks_port) as connector:
        connector.wait_ready(timeout=5)
        return fetch(site, socks_port)


with Website() as site, Server(ws_host="127.0.0.1", ws_port=ws_port) as server:
    result = server.add_reverse_token(allow_manage_connector=True)
    assert result.port == -1
    with client(result.token, reverse=True) as provider:
        provider.wait_ready(timeout=5)
        assert provider.add_connector("the-connector") == "the-connector"
        generated = provider.add_connector(None)
        later = asyncio.run(provider.async_add_connector("later"))
        size = sum(map(visit, ("the-connector", generated, later)))

        provider.remove_connector("the-connector")
        try:
            visit("the-connector")
        except RuntimeError as why:
            assert "token" in str(why)
        else:
            raise AssertionError("a removed connector token still lets in")
        size += visit(generated)
    print(f"autonomy: {size} bytes")
