"""Tokens are removed: who is there is sent away, nobody comes in with it again, and its port can be given anew."""

from typing import Any

from outside import Website, fetch, free_port, until

from linksocks import Client, Server

ws_port, reverse_port = free_port(), free_port()


def client(token: str, **options: Any) -> Client:
    return Client(
        token, ws_url=f"ws://127.0.0.1:{ws_port}", no_env_proxy=True, direct_mode="relay-only", **options
    )


def locked_out(token: str, **options: Any) -> bool:
    with client(token, **options) as late:
        try:
            late.wait_ready(timeout=5)
        except RuntimeError:
            return True
    return False


with Website() as site, Server(ws_host="127.0.0.1", ws_port=ws_port) as server:
    socks_port, connector_port = free_port(), free_port()
    forward_token = server.add_forward_token()
    result = server.add_reverse_token(port=reverse_port)
    connector_token = server.add_connector_token(None, result.token)
    clients = [
        client(forward_token, socks_port=socks_port),
        client(result.token, reverse=True),
        client(connector_token, socks_port=connector_port),
    ]
    for each in clients:
        each.wait_ready(timeout=5)
    size = sum(fetch(site, port) for port in (socks_port, reverse_port, connector_port))
    until(lambda: server.get_client_count() == 3)

    assert server.remove_token(forward_token) is True
    until(lambda: server.get_client_count() == 2)
    assert locked_out(forward_token, socks_port=free_port())

    assert server.remove_token(result.token) is True
    until(lambda: not server.has_clients())
    assert locked_out(result.token, reverse=True)
    assert locked_out(connector_token, socks_port=free_port())

    again = server.add_reverse_token(token=result.token, port=reverse_port)
    with client(again.token, reverse=True) as provider:
        provider.wait_ready(timeout=5)
        size += fetch(site, reverse_port)
    for each in clients:
        each.close()
    print(f"remove token: {size} bytes")
