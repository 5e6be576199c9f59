"""Reconnect: the server's process dies and another takes its place; the clients are there again by themselves."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from outside import Website, fetch, free_port, refused

from linksocks import Client

ws_port, socks_port, reverse_port = free_port(), free_port(), free_port()


def start_server() -> subprocess.Popen[str]:
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("serve.py")), "both", str(ws_port), str(reverse_port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout
    assert server.stdout.readline() == "both: ready\n"
    return server


def client(token: str, **options: Any) -> Client:
    return Client(
        token,
        ws_url=f"ws://127.0.0.1:{ws_port}",
        reconnect=True,
        reconnect_delay="200ms",
        no_env_proxy=True,
        direct_mode="relay-only",
        **options,
    )


def fetch_soon(port: int) -> int:
    """A page, as soon as there is a link again."""
    deadline = time.monotonic() + 5
    while refused(site, port):
        assert time.monotonic() < deadline, "no link again"
        time.sleep(0.05)
    return fetch(site, port)


with Website() as site:
    server = start_server()
    with (
        client("the-token", socks_port=socks_port) as forward,
        client("the-provider", reverse=True) as provider,
    ):
        forward.wait_ready(timeout=5)
        provider.wait_ready(timeout=5)
        size = fetch(site, socks_port) + fetch(site, reverse_port)
        server.kill()
        server.communicate()
        server = start_server()
        size += fetch_soon(socks_port) + fetch_soon(reverse_port)
        forward.wait_ready(timeout=5)
    server.communicate()
    print(f"reconnect: {size} bytes")
