"""Reverse with a user name and a password at the server's SOCKS port, each token its own."""

from outside import Website, fetch, free_port, refused

from linksocks import Client, Server

ws_port = free_port()

with Website() as site, Server(ws_host="127.0.0.1", ws_port=ws_port) as server:
    closed = server.add_reverse_token(port=free_port(), username="user", password="secret")
    open_to_all = server.add_reverse_token(port=free_port())
    clients = [
        Client(
            result.token,
            ws_url=f"ws://127.0.0.1:{ws_port}",
            reverse=True,
            no_env_proxy=True,
            direct_mode="relay-only",
        )
        for result in (closed, open_to_all)
    ]
    for client in clients:
        client.wait_ready(timeout=5)
    assert refused(site, closed.port)
    assert refused(site, closed.port, login=("user", "wrong"))
    size = fetch(site, closed.port, login=("user", "secret"))
    size += fetch(site, open_to_all.port)
    for client in clients:
        client.close()
    print(f"reverse with a login: {size} bytes")
