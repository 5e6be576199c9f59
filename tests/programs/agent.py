"""Agent: a connector has the SOCKS port and a provider dials; the server stands between, and has a port as well."""

from typing import Any

from outside import Website, fetch, free_port

from linksocks import Client, Server

ws_port, socks_port = free_port(), free_port()


def client(token: str, **options: Any) -> Client:
    return Client(
        token, ws_url=f"ws://127.0.0.1:{ws_port}", no_env_proxy=True, direct_mode="relay-only", **options
    )


with Website() as site, Server(ws_host="127.0.0.1", ws_port=ws_port) as server:
    result = server.add_reverse_token(token="the-provider", port=free_port())
    assert server.add_connector_token("the-connector", result.token) == "the-connector"
    # The same again is no error, and None asks for a generated one.
    assert server.add_connector_token("the-connector", result.token) == "the-connector"
    other = server.add_connector_token(None, result.token)
    assert other not in ("", "the-connector")

    with client(result.token, reverse=True) as provider:
        provider.wait_ready(timeout=5)
        size = fetch(site, result.port)
        for token in ("the-connector", other):
            with client(token, socks_port=socks_port) as connector:
                connector.wait_ready(timeout=5)
                size += fetch(site, socks_port)
    print(f"agent: {size} bytes")
