"""Calls from many threads at once: each has a token, a client, a page and a goodbye of its own."""

from concurrent.futures import ThreadPoolExecutor

from outside import Website, fetch, free_port, until

from linksocks import Client, Server

ws_port = free_port()
ports = [free_port() for _ in range(20)]


def visit(socks_port: int) -> int:
    token = server.add_forward_token()
    with Client(
        token,
        ws_url=f"ws://127.0.0.1:{ws_port}",
        socks_port=socks_port,
        no_env_proxy=True,
        direct_mode="relay-only",
    ) as client:
        client.wait_ready(timeout=10)
        size = fetch(site, socks_port)
    assert server.remove_token(token)
    return size


with (
    Website() as site,
    Server(ws_host="127.0.0.1", ws_port=ws_port) as server,
    ThreadPoolExecutor(20) as pool,
):
    size = sum(pool.map(visit, ports))
    until(lambda: server.get_client_count() == 0)
print(f"many threads: {size} bytes")
