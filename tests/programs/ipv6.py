"""IPv6 all the way: the server, both SOCKS ports and the target are on ::1, forward and reverse."""

from typing import Any

from outside import Website, fetch, free_port

from linksocks import Client, Server

ws_port, socks_port = free_port(), free_port()


def client(token: str, **options: Any) -> Client:
    return Client(
        token, ws_url=f"ws://[::1]:{ws_port}", no_env_proxy=True, direct_mode="relay-only", **options
    )


with Website("::1") as site, Server(ws_host="::1", ws_port=ws_port, socks_host="::1") as server:
    result = server.add_reverse_token()
    with (
        client(server.add_forward_token(), socks_host="::1", socks_port=socks_port) as forward,
        client(result.token, reverse=True) as provider,
    ):
        forward.wait_ready(timeout=5)
        provider.wait_ready(timeout=5)
        size = fetch(site, socks_port, proxy_host="::1") + fetch(site, result.port, proxy_host="::1")
print(f"ipv6: {size} bytes")
