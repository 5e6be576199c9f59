"""Durations: seconds as int and float, timedelta, and Go's strings; what is none of them is an error at once."""

from datetime import timedelta
from typing import Any

from outside import Website, fetch, free_port

from linksocks import Client, Server

ws_port, socks_port = free_port(), free_port()
url = f"ws://127.0.0.1:{ws_port}"
FORMS = (5, 5.5, timedelta(seconds=5), "5s", "1.5s", "5000ms", "1m30s", "0h1m", "2500000us")

size = 0
with Website() as site:
    for form in FORMS:
        with Server(
            ws_host="127.0.0.1",
            ws_port=ws_port,
            channel_timeout=form,
            connect_timeout=form,
            connector_wait_provider=form,
        ) as server:
            server.wait_ready(timeout=form)
            with Client(
                server.add_forward_token(),
                ws_url=url,
                socks_port=socks_port,
                reconnect_delay=form,
                channel_timeout=form,
                connect_timeout=form,
                no_env_proxy=True,
                direct_mode="relay-only",
            ) as client:
                client.wait_ready(timeout=form)
                size += fetch(site, socks_port)


def wrong(duration: Any, error: type[Exception]) -> None:
    for make in (
        lambda: Server(connect_timeout=duration),
        lambda: Client("token", ws_url=url, reconnect_delay=duration),
        lambda: Server(ws_host="127.0.0.1", ws_port=ws_port).wait_ready(timeout=duration),
    ):
        try:
            make()
        except error:
            continue
        raise AssertionError(f"{duration!r} is a duration")


wrong("soon", ValueError)
wrong("5 s", ValueError)
wrong([5], TypeError)
wrong(b"5s", TypeError)
print(f"durations: {size} bytes")
