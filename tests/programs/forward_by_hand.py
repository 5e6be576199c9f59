"""Forward without `with`: tokens before the start, waits with a deadline, closes in the other order, twice."""

from outside import Website, fetch, free_port

from linksocks import Client, Server

ws_port, socks_port = free_port(), free_port()

with Website() as site:
    server = Server(ws_host="127.0.0.1", ws_port=ws_port)
    assert server.add_forward_token("the-token") == "the-token"
    server.wait_ready(timeout=5)

    client = Client(
        "the-token",
        ws_url=f"ws://localhost:{ws_port}",
        reverse=False,
        socks_host="127.0.0.1",
        socks_port=socks_port,
        socks_wait_server=True,
        no_env_proxy=True,
        direct_mode="relay-only",
    )
    try:
        client.wait_ready(timeout=5)
        client.wait_ready(timeout=5)
        assert client.socks_port == socks_port
        print(f"forward by hand: {fetch(site, client.socks_port)} bytes")
    finally:
        server.close()
        client.close()
        client.close()
        server.close()
