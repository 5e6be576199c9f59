"""The client's way to a WebSocket: TCP, TLS, then the HTTP upgrade, each with a deadline and errors of its own.

websocket-client does the upgrade, on a gevent socket that we dialled; after it the socket is ours alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import gevent
import websocket
from gevent import socket, ssl

from linksocks.errors import DialError, LinkError
from linksocks.net.dial import dial
from linksocks.net.resolve import Resolver
from linksocks.net.tls import wrap_client
from linksocks.net.websocket import WebSocket

STEP_TIMEOUT: Final = 10.0
"""Seconds for each of TCP, TLS and HTTP."""

_BODY_SHOWN: Final = 80
"""Characters of a refusal's text that an error repeats."""


@dataclass(frozen=True, slots=True)
class Upgraded:
    """A WebSocket and the headers of the server's answer, names in lower case."""

    websocket: WebSocket
    headers: Mapping[str, str]


def connect(
    url: str, headers: Mapping[str, str], resolver: Resolver, context: ssl.SSLContext, name: str
) -> Upgraded:
    """Opens `url` (ws:// or wss://). Raises LinkError that names the step and does not show the query."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "wss" else 80)
    try:
        sock = dial(resolver, host, port, STEP_TIMEOUT)
    except DialError as error:
        raise LinkError(f"TCP: {error}") from error
    try:
        if parts.scheme == "wss":
            with _deadline("TLS", f"{host}:{port}"):
                sock = wrap_client(sock, context, host)
        with _deadline("HTTP", f"{host}:{port}"):
            answer = _upgrade(sock, url, headers, f"{parts.scheme}://{parts.netloc}{parts.path}")
    except BaseException:
        sock.close()
        raise
    return Upgraded(WebSocket(sock, client=True, name=name), answer)


class _deadline(gevent.Timeout):  # noqa: N801 - reads as a statement
    """`with _deadline(step, peer)`: LinkError after STEP_TIMEOUT."""

    def __init__(self, step: str, peer: str) -> None:
        super().__init__(STEP_TIMEOUT, LinkError(f"{step}: no answer from {peer} in {STEP_TIMEOUT:g} s"))


def _upgrade(sock: socket.socket, url: str, headers: Mapping[str, str], shown_url: str) -> Mapping[str, str]:
    """The opening handshake (RFC 6455 section 4.1). websocket-client reads the head byte by byte: none beyond it."""
    client = websocket.WebSocket(enable_multithread=False)
    try:
        client.connect(  # type: ignore[no-untyped-call]
            url, socket=sock, header=dict(headers), suppress_origin=True, redirect_limit=0
        )
    except websocket.WebSocketBadStatusException as error:
        text = (error.resp_body or b"").decode(errors="replace").strip()[:_BODY_SHOWN]
        raise LinkError(
            f"HTTP: {shown_url} answered {error.status_code}{f' ({text!r})' if text else ''}; "
            "expected a LinkSocks server: check host, port and path"
        ) from error
    except (websocket.WebSocketException, OSError, ValueError) as error:
        raise LinkError(f"HTTP: {shown_url} is no WebSocket server: {error}") from error
    finally:
        client.sock = None  # or its finaliser closes the socket that we keep
    return {name.lower(): value for name, value in (client.headers or {}).items()}
