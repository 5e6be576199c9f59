"""What not to do under preload_app: a tunnel that the master has started. For test_gunicorn.py."""

import os
from collections.abc import Callable, Iterable
from typing import Any

from linksocks import Client, LinkSocksError

tunnel = Client(os.environ["LINKSOCKS_TOKEN"], ws_url=os.environ["LINKSOCKS_URL"], socks_port=0)
tunnel.wait_ready(10)


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Says how the master's tunnel failed, and whether one of the worker's own works."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    try:
        tunnel.create_connection(("intranet.example.org", 80), timeout=5).close()
    except LinkSocksError as error:
        yield f"{type(error).__name__}: {error}\n".encode()
    with Client(os.environ["LINKSOCKS_TOKEN"], ws_url=os.environ["LINKSOCKS_URL"], socks=False) as own:
        own.create_connection(("intranet.example.org", 80), timeout=5).close()
        yield b"its own works\n"
