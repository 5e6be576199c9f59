"""Forward, the shortest way: the client has the SOCKS port, the server dials."""

from outside import Website, fetch, free_port

from linksocks import Client, Server

ws_port, socks_port = free_port(), free_port()

with Website() as site, Server(ws_host="127.0.0.1", ws_port=ws_port) as server:
    token = server.add_forward_token()
    with Client(
        token,
        ws_url=f"ws://127.0.0.1:{ws_port}",
        socks_port=socks_port,
        no_env_proxy=True,
        direct_mode="relay-only",
    ) as client:
        client.wait_ready()
        print(f"forward: {fetch(site, socks_port)} bytes")
