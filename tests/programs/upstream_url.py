"""An upstream proxy written as a URL, as in the README's list of options."""

from outside import Website, fetch, free_port

from linksocks import Client, Server

other_ws_port, other_socks_port = free_port(), free_port()
ws_port, socks_port = free_port(), free_port()


def client(token: str, ws_port: int, socks_port: int) -> Client:
    return Client(
        token,
        ws_url=f"ws://127.0.0.1:{ws_port}",
        socks_port=socks_port,
        no_env_proxy=True,
        direct_mode="relay-only",
    )


with (
    Website() as site,
    Server(ws_host="127.0.0.1", ws_port=other_ws_port) as other,
    Server(
        ws_host="127.0.0.1", ws_port=ws_port, upstream_proxy=f"socks5://127.0.0.1:{other_socks_port}"
    ) as server,
    client(other.add_forward_token(), other_ws_port, other_socks_port) as behind,
    client(server.add_forward_token(), ws_port, socks_port) as before,
):
    behind.wait_ready(timeout=5)
    before.wait_ready(timeout=5)
    print(f"upstream by URL: {fetch(site, socks_port)} bytes")
