"""Server and client inside the test's own process and hub, over real loopback sockets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any, TypeVar
from uuid import UUID

import gevent

from linksocks.client.provider import ProviderRole
from linksocks.client.role import ClientRole
from linksocks.client.session import Uplink
from linksocks.net.out.egress import Direct
from linksocks.net.out.resolve import Resolver
from linksocks.net.tls.trust import TlsClient
from linksocks.net.ws.connect import Handshake, connect
from linksocks.net.ws.websocket import WebSocket
from linksocks.server.role import ServerRole
from linksocks.server.specs import Kind, TokenSpec
from linksocks.wire import messages as m
from linksocks.wire.auth import token_hash
from linksocks.wire.extensions import HEADER, Extensions
from tests.support.hands import Hand

TOKEN = "a-token-of-the-tests"
BUFFER = 1024 * 1024

FOREIGN = Extensions()

_Role = TypeVar("_Role", ServerRole, ClientRole, ProviderRole)


def server_role(port: int = 0, *, token: str = TOKEN, **settings: Any) -> ServerRole:
    """A server that was not started, with a forward `token` if it is not empty."""
    role = ServerRole(**{"ws_host": "127.0.0.1", "ws_port": port, "buffer_size": BUFFER} | settings)
    if token:
        role.add(TokenSpec(Kind.FORWARD, token))
    return role


def client_role(port: int, **settings: Any) -> ClientRole:
    """A client of the server at `port` that was not started; `settings` are over those of the tests."""
    said, own = _divided(settings)
    defaults = {
        "socks_host": "127.0.0.1",
        "socks_port": 0,
        "socks_username": "",
        "socks_password": "",
        "socks_no_wait": False,
    }
    return ClientRole(uplink(port, **said), **defaults | own)


def provider_role(port: int, **settings: Any) -> ProviderRole:
    """A provider, likewise."""
    said, own = _divided(settings)
    return ProviderRole(uplink(port, **said), **own)


def uplink(port: int, **settings: Any) -> Uplink:
    """The way to the server at `port`, likewise."""
    defaults = {
        "url": f"ws://127.0.0.1:{port}",
        "token": TOKEN,
        "reconnect": True,
        "retry_auth": False,
        "buffer_size": BUFFER,
        "reconnect_delay": 0.01,
    }
    return Uplink(**defaults | settings)


def _divided(settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is about the uplink, and what is about the role."""
    known = {field.name for field in fields(Uplink)}
    said = {name: value for name, value in settings.items() if name in known}
    return said, {name: value for name, value in settings.items() if name not in known}


@contextmanager
def by_hand(
    server: ServerRole,
    token: str = TOKEN,
    *,
    reverse: bool = False,
    instance: bytes = b"i" * 16,
    extensions: Extensions = FOREIGN,
) -> Iterator[Hand]:
    """A client that has logged in at `server`, played by hand; it offers `extensions`."""
    login = f"token={token_hash(token)}&reverse={str(reverse).lower()}&instance={UUID(bytes=instance)}"
    with at_the_door(server, login, extensions) as hand:
        assert hand.next() == m.AuthResponse(True)
        yield hand


@contextmanager
def at_the_door(server: ServerRole, login: str = "", extensions: Extensions = FOREIGN) -> Iterator[Hand]:
    """One whose login is in the URL, or still to come."""
    handshake = Handshake(headers=[(HEADER, extensions.header())])
    with stranger(server, f"?{login}", handshake) as websocket:
        yield Hand(websocket)


@contextmanager
def stranger(server: ServerRole, query: str = "", handshake: Handshake | None = None) -> Iterator[WebSocket]:
    """A WebSocket to /socket, and what is done with it is the test's business."""
    resolver = Resolver()
    url = f"ws://127.0.0.1:{server.port}/socket{query}"
    websocket = connect(url, handshake or Handshake(), Direct(resolver), TlsClient(), "server").websocket
    try:
        yield websocket
    finally:
        websocket.finish()
        resolver.close()


@contextmanager
def stopping(server: ServerRole) -> Iterator[gevent.Greenlet]:
    """Meanwhile it stops, without any grace."""
    greenlet = gevent.spawn(server.stop, 0)
    yield greenlet
    greenlet.get()


def logs_in_too_late(server: ServerRole, inside: Hand, late: Hand, login: m.Auth) -> None:
    """`late` does so while the server stops, which waits for `inside`: it is told to go as well."""
    with stopping(server):
        assert inside.closed().code == 1001
        late.send(login)
        assert late.expect(m.AuthResponse).success
        assert late.closed().code == 1001
        inside.leave()


@contextmanager
def running(role: _Role) -> Iterator[_Role]:
    """Starts `role`; stopped at the end, at once."""
    try:
        role.start()
        yield role
    finally:
        role.stop(0)
