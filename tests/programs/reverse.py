"""Reverse: the server has the SOCKS ports, one that was asked for and one of its pool; the clients dial."""

from outside import Website, fetch, free_port

from linksocks import Client, Server

ws_port, socks_port = free_port(), free_port()

with Website() as site, Server(ws_host="127.0.0.1", ws_port=ws_port, socks_host="127.0.0.1") as server:
    asked = server.add_reverse_token(token="the-token", port=socks_port)
    assert (asked.token, asked.port) == ("the-token", socks_port)
    chosen = server.add_reverse_token()
    assert chosen.token
    assert 1024 <= chosen.port <= 65_535

    size = 0
    for result in (asked, chosen):
        with Client(
            result.token,
            ws_url=f"ws://127.0.0.1:{ws_port}",
            reverse=True,
            no_env_proxy=True,
            direct_mode="relay-only",
        ) as provider:
            provider.wait_ready(timeout=5)
            size += fetch(site, result.port)
    print(f"reverse: {size} bytes")
