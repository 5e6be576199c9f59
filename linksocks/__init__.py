"""linksocks: a proxy over WebSocket, in synchronous Python on gevent, as a command and as a library.

A tunnel inside one program, and a connection through it::

    >>> from linksocks import Client, Server
    >>> with Server(ws_host="127.0.0.1", ws_port=0) as server:
    ...     url = f"ws://127.0.0.1:{server.ws_port}"
    ...     with Client(server.add_forward_token(), ws_url=url, socks=False) as client:
    ...         with client.create_connection(("127.0.0.1", server.ws_port), timeout=10) as sock:
    ...             sock.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
    ...             sock.recv(12)
    b'HTTP/1.1 200'

What is public has its name in `__all__`. It comes when it is asked for: `linksocks --help` needs nothing of it.
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING

from linksocks.version import __version__

if TYPE_CHECKING:
    from linksocks.errors import (
        AuthError,
        Cause,
        ChannelError,
        ClosedError,
        ConfigError,
        ConnectorError,
        DeadlineError,
        DialError,
        ForkedError,
        FrameError,
        HttpError,
        LinkClosed,
        LinkError,
        LinkSocksError,
        ListenError,
        MessageError,
        NoLinkError,
        ProtocolError,
        ProxyError,
        RequestError,
        SocksError,
        StateError,
        TargetError,
    )
    from linksocks.library.client import Client
    from linksocks.library.records import set_log_level
    from linksocks.library.rules import AccessRule
    from linksocks.library.server import Server
    from linksocks.library.stats import ClientStats, ServerStats
    from linksocks.library.tokens import ReverseTokenResult
    from linksocks.tunnel.events import Event, LinkDown, LinkUp, PartnersChanged

__all__ = [
    "AccessRule",
    "AuthError",
    "Cause",
    "ChannelError",
    "Client",
    "ClientStats",
    "ClosedError",
    "ConfigError",
    "ConnectorError",
    "DeadlineError",
    "DialError",
    "Event",
    "ForkedError",
    "FrameError",
    "HttpError",
    "LinkClosed",
    "LinkDown",
    "LinkError",
    "LinkSocksError",
    "LinkUp",
    "ListenError",
    "MessageError",
    "NoLinkError",
    "PartnersChanged",
    "ProtocolError",
    "ProxyError",
    "RequestError",
    "ReverseTokenResult",
    "Server",
    "ServerStats",
    "SocksError",
    "StateError",
    "TargetError",
    "__version__",
    "set_log_level",
]

_ROOMS = {
    "AccessRule": "library.rules",
    "Client": "library.client",
    "ClientStats": "library.stats",
    "Event": "tunnel.events",
    "LinkDown": "tunnel.events",
    "LinkUp": "tunnel.events",
    "PartnersChanged": "tunnel.events",
    "ReverseTokenResult": "library.tokens",
    "Server": "library.server",
    "ServerStats": "library.stats",
    "set_log_level": "library.records",
}
"""Where a public name lives; the others are errors."""

logging.getLogger(__name__).addHandler(logging.NullHandler())


if not TYPE_CHECKING:  # for a type checker it would make every name one of ours

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value: object = getattr(importlib.import_module(f"{__name__}.{_ROOMS.get(name, 'errors')}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
