"""The SOCKS port is an HTTP proxy too: urllib goes through it, forward and reverse, with and without a login."""

import urllib.error
import urllib.request
from typing import Any

from outside import Website, free_port

from linksocks import Client, Server

ws_port, socks_port = free_port(), free_port()


def client(token: str, **options: Any) -> Client:
    return Client(
        token, ws_url=f"ws://127.0.0.1:{ws_port}", no_env_proxy=True, direct_mode="relay-only", **options
    )


def get(proxy: str) -> int:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": f"http://{proxy}"}))
    with opener.open(site.url("/bytes/20000"), timeout=5) as response:
        return len(response.read())


with Website() as site, Server(ws_host="127.0.0.1", ws_port=ws_port) as server:
    result = server.add_reverse_token(username="user", password="secret")
    with (
        client(server.add_forward_token(), socks_port=socks_port) as forward,
        client(result.token, reverse=True) as provider,
    ):
        forward.wait_ready(timeout=5)
        provider.wait_ready(timeout=5)
        try:
            get(f"127.0.0.1:{result.port}")
        except urllib.error.HTTPError as error:
            assert error.code == 407
        else:
            raise AssertionError("let in without a login")
        size = get(f"127.0.0.1:{socks_port}") + get(f"user:secret@127.0.0.1:{result.port}")
print(f"http proxy: {size} bytes")
