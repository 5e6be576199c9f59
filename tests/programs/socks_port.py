"""`socks_port` as the README prints it: the port that the client listens on, here one that the system chose."""

from outside import Website, fetch, free_port

from linksocks import Client, Server

ws_port = free_port()

with (
    Website() as site,
    Server(ws_host="127.0.0.1", ws_port=ws_port) as server,
    Client(
        server.add_forward_token(),
        ws_url=f"ws://127.0.0.1:{ws_port}",
        socks_port=0,
        no_env_proxy=True,
        direct_mode="relay-only",
    ) as client,
):
    client.wait_ready(timeout=5)
    assert client.socks_port
    print(f"socks_port: {fetch(site, client.socks_port)} bytes")
