"""The client's way to a WebSocket: TCP, TLS, then the HTTP upgrade, each with a deadline and errors of its own.

websocket-client does the upgrade, on a gevent socket that we dialled; after it the socket is ours alone.
"""

from __future__ import annotations

import http.cookies
import re
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
from linksocks.net.websocket import MAX_LOGIN_MESSAGE, WebSocket

STEP_TIMEOUT: Final = 10.0
"""Seconds for each of TCP, TLS and HTTP."""

_MAX_ANSWER: Final = 64 * 1024
"""Bytes of the server's answer, its head and the text of a refusal."""

_SHOWN: Final = 80
"""Characters of the server's words that an error repeats."""

_SECRET: Final = re.compile(r"[0-9A-Fa-f]{32,}")
"""The token's hash in a text that repeats our request."""

_ADVICE: Final = "expected a LinkSocks server: check host, port and path"


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
    return Upgraded(WebSocket(sock, client=True, name=name, max_message=MAX_LOGIN_MESSAGE), answer)


class _deadline(gevent.Timeout):  # noqa: N801 - reads as a statement
    """`with _deadline(step, peer)`: LinkError after STEP_TIMEOUT."""

    def __init__(self, step: str, peer: str) -> None:
        super().__init__(STEP_TIMEOUT, LinkError(f"{step}: no answer from {peer} in {STEP_TIMEOUT:g} s"))


def _upgrade(sock: socket.socket, url: str, headers: Mapping[str, str], shown_url: str) -> Mapping[str, str]:
    """The opening handshake (RFC 6455 section 4.1). websocket-client reads the head byte by byte: none beyond it."""
    client = websocket.WebSocket(enable_multithread=False)
    try:
        client.connect(  # type: ignore[no-untyped-call]
            url, socket=_Bounded(sock), header=dict(headers), suppress_origin=True, redirect_limit=0
        )
    except websocket.WebSocketBadStatusException as error:
        text = _quoted((error.resp_body or b"").decode(errors="replace"))
        said = f" ({text})" if text else ""
        raise LinkError(f"HTTP: {shown_url} answered {error.status_code}{said}; {_ADVICE}") from error
    except (websocket.WebSocketException, OSError, ValueError, http.cookies.CookieError) as error:
        answer = client.handshake_response
        if answer is not None:  # websocket-client took it for an answer to follow
            target = _quoted(answer.headers.get("location", "").partition("?")[0])
            raise LinkError(
                f"HTTP: {shown_url} answered {answer.status} (moved to {target or 'nowhere'}); "
                "redirects are not followed: give the new URL"
            ) from error
        raise LinkError(f"HTTP: {shown_url}: {_quoted(str(error))}; {_ADVICE}") from error
    finally:
        client.sock = None  # or its finaliser closes the socket that we keep
    return {name.lower(): value for name, value in (client.headers or {}).items()}


class _Bounded:
    """The socket as websocket-client sees it in the handshake.

    That reads heads and bodies of any size, and where bytes are always there it never waits, so that no other
    greenlet gets its turn and no deadline ends it.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._left = _MAX_ANSWER

    def recv(self, size: int) -> bytes:
        if not self._left:
            raise OSError(f"an answer of more than {_MAX_ANSWER} bytes")
        data = self._sock.recv(min(size, self._left))
        self._left -= len(data)
        return data

    def send(self, data: bytes) -> int:
        """All of it: websocket-client does not look at what send() returns."""
        self._sock.sendall(data)
        return len(data)

    def gettimeout(self) -> float | None:
        return self._sock.gettimeout()

    def close(self) -> None:
        self._sock.close()


def _quoted(text: str) -> str:
    """The beginning of what a server said, for people; empty where it said nothing."""
    text = _SECRET.sub("...", text.strip())[:_SHOWN]
    return repr(text) if text else ""
