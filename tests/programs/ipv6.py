"""IPv6: targets on ::1, forward and reverse."""

from outside import Website, fetch, free_port

from linksocks import Client, Server

ws_port, socks_port = free_port(), free_port()


def client(token: str, **options: object) -> Client:
    return Client(
        token, ws_url=f"ws://127.0.0.1:{ws_port}", no_env_proxy=True, direct_mode="relay-only", **options
    )


with Website("::1") as site, Server(ws_host="127.0.0.1", ws_port=ws_port) as server:
    result = server.add_reverse_token()
    with (
        client(server.add_forward_token(), socks_port=socks_port) as forward,
        client(result.token, reverse=True) as provider,
    ):
        forward.wait_ready(timeout=5)
        provider.wait_ready(timeout=5)
        print(f"ipv6: {fetch(site, socks_port) + fetch(site, result.port)} bytes")
