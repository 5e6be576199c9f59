"""Plays LinkSocks (Go) through its Python API, any version from 1.9 on; see driver.py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import driver

from linksocks import Client, Server


@contextmanager
def server(ws_port: int, token: str) -> Iterator[None]:
    """A server that dials for forward clients with `token`."""
    peer = Server(ws_host="127.0.0.1", ws_port=ws_port)
    granted = peer.add_forward_token(token)
    if granted != token:  # errors come back in the place of the token
        raise RuntimeError(granted)
    peer.wait_ready(timeout=driver.READY_SECONDS)
    yield


@contextmanager
def client(ws_port: int, token: str, socks_port: int) -> Iterator[None]:
    """A forward client, logged in, with its SOCKS port open."""
    peer = Client(
        token,
        ws_url=f"ws://127.0.0.1:{ws_port}",
        socks_host="127.0.0.1",
        socks_port=socks_port,
        no_env_proxy=True,
        direct_mode="relay-only",  # the default asks public STUN servers; tests stay on loopback
    )
    peer.wait_ready(timeout=driver.READY_SECONDS)
    yield


driver.main({"server": server, "client": client})
