"""An upstream proxy: a server and a provider dial through another tunnel's SOCKS port, which wants a login."""

from typing import Any

from outside import Website, fetch, free_port, refused

from linksocks import Client, Server

other_ws_port, other_socks_port = free_port(), free_port()
ws_port, socks_port = free_port(), free_port()

upstream: dict[str, Any] = {
    "upstream_proxy": f"127.0.0.1:{other_socks_port}",
    "upstream_username": "user",
    "upstream_password": "secret",
}


def client(token: str, ws_port: int, **options: Any) -> Client:
    return Client(
        token, ws_url=f"ws://127.0.0.1:{ws_port}", no_env_proxy=True, direct_mode="relay-only", **options
    )


with Website() as site, Server(ws_host="127.0.0.1", ws_port=other_ws_port) as other:
    the_other = client(
        other.add_forward_token(),
        other_ws_port,
        socks_port=other_socks_port,
        socks_username="user",
        socks_password="secret",
    )
    the_other.wait_ready(timeout=5)
    with Server(ws_host="127.0.0.1", ws_port=ws_port, **upstream) as server:
        result = server.add_reverse_token()
        with (
            client(server.add_forward_token(), ws_port, socks_port=socks_port) as forward,
            client(result.token, ws_port, reverse=True, **upstream) as provider,
        ):
            forward.wait_ready(timeout=5)
            provider.wait_ready(timeout=5)
            size = fetch(site, socks_port) + fetch(site, result.port)
            the_other.close()
            assert refused(site, socks_port), "there is no other way"
            assert refused(site, result.port), "there is no other way"
    print(f"upstream: {size} bytes")
