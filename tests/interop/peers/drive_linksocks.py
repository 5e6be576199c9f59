"""Plays LinkSocks (Go) through its Python API, any version from 1.9 on; see driver.py.

Its clients always get ``direct_mode="relay-only"``: the default asks public STUN servers, and tests stay on loopback.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import driver

from linksocks import Client, Server


@contextmanager
def server(ws_port: int, token: str) -> Iterator[None]:
    """A server that dials for forward clients with `token`."""
    peer = Server(ws_host="127.0.0.1", ws_port=ws_port)
    _expect(token, peer.add_forward_token(token))
    peer.wait_ready(timeout=driver.READY_SECONDS)
    yield


@contextmanager
def reverse_server(ws_port: int, token: str, socks_port: int, fast_open: bool = False) -> Iterator[None]:
    """A server with a SOCKS port for the providers with `token`; it opens with the first of them."""
    peer = Server(ws_host="127.0.0.1", ws_port=ws_port, socks_host="127.0.0.1", fast_open=fast_open)
    peer.add_reverse_token(token=token, port=socks_port)
    peer.wait_ready(timeout=driver.READY_SECONDS)
    yield


@contextmanager
def agent_server(ws_port: int, token: str, connector_token: str, socks_port: int) -> Iterator[None]:
    """A server between the providers with `token` and the connectors with `connector_token`.

    Its reverse token has a SOCKS port all the same, which the server would choose without a look at who has it.
    """
    peer = Server(ws_host="127.0.0.1", ws_port=ws_port, socks_host="127.0.0.1")
    peer.add_reverse_token(token=token, port=socks_port)
    _expect(connector_token, peer.add_connector_token(connector_token, token))
    peer.wait_ready(timeout=driver.READY_SECONDS)
    yield


@contextmanager
def autonomy_server(ws_port: int, token: str) -> Iterator[None]:
    """A server whose providers with `token` bring their own connector tokens."""
    peer = Server(ws_host="127.0.0.1", ws_port=ws_port, socks_host="127.0.0.1")
    peer.add_reverse_token(token=token, allow_manage_connector=True)
    peer.wait_ready(timeout=driver.READY_SECONDS)
    yield


@contextmanager
def client(
    ws_port: int, token: str, socks_port: int, fast_open: bool = False, reconnect: bool = False, url: str = ""
) -> Iterator[None]:
    """A forward client or a connector, logged in, with its SOCKS port open."""
    peer = Client(
        token,
        ws_url=url or f"ws://127.0.0.1:{ws_port}",
        socks_host="127.0.0.1",
        socks_port=socks_port,
        fast_open=fast_open,
        reconnect=reconnect,
        no_env_proxy=True,
        direct_mode="relay-only",
    )
    peer.wait_ready(timeout=driver.READY_SECONDS)
    yield


@contextmanager
def provider(ws_port: int, token: str, connector_token: str = "", url: str = "") -> Iterator[None]:
    """A client that dials for others, logged in; `connector_token` is what it adds in autonomy."""
    peer = Client(
        token,
        ws_url=url or f"ws://127.0.0.1:{ws_port}",
        reverse=True,
        no_env_proxy=True,
        direct_mode="relay-only",
    )
    peer.wait_ready(timeout=driver.READY_SECONDS)
    if connector_token:
        _expect(connector_token, peer.add_connector(connector_token))
    yield


def _expect(token: str, granted: str) -> None:
    """Errors come back in the place of the token."""
    if granted != token:
        raise RuntimeError(granted)


driver.main(
    {
        "server": server,
        "reverse_server": reverse_server,
        "agent_server": agent_server,
        "autonomy_server": autonomy_server,
        "client": client,
        "connector": client,
        "provider": provider,
    }
)
