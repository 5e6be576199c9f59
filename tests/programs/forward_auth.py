"""Forward with a user name and a password at the SOCKS port: nothing goes without them."""

from outside import Website, fetch, free_port, refused

from linksocks import Client, Server

ws_port, socks_port = free_port(), free_port()

with (
    Website() as site,
    Server(ws_host="127.0.0.1", ws_port=ws_port) as server,
    Client(
        server.add_forward_token(),
        ws_url=f"ws://127.0.0.1:{ws_port}",
        socks_port=socks_port,
        socks_username="user",
        socks_password="secret",
        no_env_proxy=True,
        direct_mode="relay-only",
    ) as client,
):
    client.wait_ready(timeout=5)
    assert refused(site, socks_port)
    assert refused(site, socks_port, login=("user", "wrong"))
    print(f"forward with a login: {fetch(site, socks_port, login=('user', 'secret'))} bytes")
