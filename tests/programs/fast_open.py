"""Fast open, at every place that has the option: forward, reverse and agent."""

from typing import Any

from outside import Website, fetch, free_port

from linksocks import Client, Server

ws_port, socks_port, agent_port = free_port(), free_port(), free_port()


def client(token: str, **options: Any) -> Client:
    return Client(
        token,
        ws_url=f"ws://127.0.0.1:{ws_port}",
        fast_open=True,
        no_env_proxy=True,
        direct_mode="relay-only",
        **options,
    )


with Website() as site, Server(ws_host="127.0.0.1", ws_port=ws_port, fast_open=True) as server:
    result = server.add_reverse_token()
    connector_token = server.add_connector_token(None, result.token)
    with (
        client(server.add_forward_token(), socks_port=socks_port) as forward,
        client(result.token, reverse=True) as provider,
        client(connector_token, socks_port=agent_port) as connector,
    ):
        for each in (forward, provider, connector):
            each.wait_ready(timeout=5)
        size = sum(fetch(site, port) for port in (socks_port, result.port, agent_port) for _ in range(3))
        print(f"fast open: {size} bytes")
