"""Server and client inside the test's own process and hub, over real loopback sockets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any, TypeVar
from uuid import UUID

from linksocks.client.role import ClientRole
from linksocks.client.session import Uplink
from linksocks.net.connect import Handshake, connect
from linksocks.net.egress import Direct
from linksocks.net.resolve import Resolver
from linksocks.net.tls import client_context
from linksocks.server.role import ServerRole
from linksocks.wire import messages as m
from linksocks.wire.auth import token_hash
from tests.support.hands import Hand

TOKEN = "a-token-of-the-tests"
BUFFER = 1024 * 1024

_Role = TypeVar("_Role", ServerRole, ClientRole)


def server_role(port: int = 0, *, token: str = TOKEN, **settings: Any) -> ServerRole:
    """A server that was not started, with a forward `token` if it is not empty."""
    role = ServerRole(**{"ws_host": "127.0.0.1", "ws_port": port, "buffer_size": BUFFER} | settings)
    if token:
        role.add_forward_token(token)
    return role


def client_role(port: int, **settings: Any) -> ClientRole:
    """A client of the server at `port` that was not started; `settings` are over those of the tests."""
    uplink = _uplink(port, settings)
    defaults = {
        "socks_host": "127.0.0.1",
        "socks_port": 0,
        "socks_username": "",
        "socks_password": "",
        "socks_no_wait": False,
    }
    return ClientRole(uplink, **defaults | settings)


def _uplink(port: int, settings: dict[str, Any]) -> Uplink:
    """What `settings` say about the uplink is taken out of them."""
    defaults = {
        "url": f"ws://127.0.0.1:{port}",
        "token": TOKEN,
        "reconnect": True,
        "retry_auth": False,
        "buffer_size": BUFFER,
    }
    known = {field.name for field in fields(Uplink)}
    return Uplink(**defaults | {name: settings.pop(name) for name in known & set(settings)})


@contextmanager
def by_hand(
    server: ServerRole, token: str = TOKEN, *, reverse: bool = False, instance: bytes = b"i" * 16
) -> Iterator[Hand]:
    """A client that has logged in at `server`, played by hand; it has no extensions."""
    resolver = Resolver()
    login = f"token={token_hash(token)}&reverse={str(reverse).lower()}&instance={UUID(bytes=instance)}"
    url = f"ws://127.0.0.1:{server.port}/socket?{login}"
    hand = Hand(connect(url, Handshake(), Direct(resolver), client_context(""), "server").websocket)
    try:
        assert hand.next() == m.AuthResponse(True)
        yield hand
    finally:
        hand.leave()
        resolver.close()


@contextmanager
def running(role: _Role) -> Iterator[_Role]:
    """Starts `role`; stopped at the end, at once."""
    try:
        role.start()
        yield role
    finally:
        role.stop(0)
