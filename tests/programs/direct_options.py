"""A server that says, by the options that it has for it, that it wants no direct mode."""

from outside import Website, fetch, free_port

from linksocks import Client, Server

ws_port, socks_port = free_port(), free_port()

with (
    Website() as site,
    Server(ws_host="127.0.0.1", ws_port=ws_port, direct_enable=False, direct_rendezvous_udp=False) as server,
    Client(
        server.add_forward_token(),
        ws_url=f"ws://127.0.0.1:{ws_port}",
        socks_port=socks_port,
        no_env_proxy=True,
        direct_mode="relay-only",
    ) as client,
):
    client.wait_ready(timeout=5)
    print(f"direct options: {fetch(site, socks_port)} bytes")
