"""The client's way to a WebSocket: TCP, TLS, then the HTTP upgrade, each with a deadline and errors of its own.

websocket-client does the upgrade, on a gevent socket that an egress gave us; after it the socket is ours alone.
Redirects are followed by the rules of net.redirect, all by the same egress.
"""

from __future__ import annotations

import http.cookies
import re
import ssl as stdlib_ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, urlsplit

import gevent
import websocket
from gevent import socket

from linksocks.errors import Cause, DialError, LinkError, ProxyError
from linksocks.net.out.egress import Egress
from linksocks.net.sockets import shown
from linksocks.net.tls.trust import TlsClient, explained
from linksocks.net.ws.redirect import MAX_REDIRECTS, STATUSES, address_of, follow, same_server, without_query
from linksocks.net.ws.websocket import WebSocket

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
class Handshake:
    """What the request says beside the URL. All but `headers` is for the host that was asked, not for redirects."""

    headers: Sequence[tuple[str, str]] = ()
    private_headers: Sequence[tuple[str, str]] = field(default=(), repr=False)
    """May hold secrets."""
    host: str = ""
    """The Host header, where it is not the URL's host and port."""
    tls_server_name: str = ""
    """The name that TLS asks for and that the certificate must have, where it is not the URL's host."""

    def elsewhere(self) -> Handshake:
        """What another host gets of it."""
        return Handshake(self.headers)


@dataclass(frozen=True, slots=True)
class Upgraded:
    """A WebSocket, its URL after all redirects, and the headers of the server's answer, names in lower case."""

    websocket: WebSocket
    url: str = field(repr=False)  # its query may hold the token's hash
    headers: Mapping[str, str]


def connect(url: str, handshake: Handshake, egress: Egress, tls: TlsClient, name: str) -> Upgraded:
    """Opens `url` (ws:// or wss://). Raises LinkError that names the step and does not show the query."""
    asked = at = urlsplit(url)
    for _ in range(1 + MAX_REDIRECTS):
        home = same_server(at, asked)
        said = handshake if home else handshake.elsewhere()
        sock = _reach(at, said, egress, tls if home else tls.elsewhere())
        try:
            with _deadline("HTTP", _peer(at)):
                status, headers = _upgrade(sock, at, said)
            if status not in STATUSES:
                websocket = WebSocket(sock, client=True, name=name, stranger=True)
                return Upgraded(websocket, at.geturl(), headers)
        except BaseException:
            sock.close()
            raise
        sock.close()
        at = follow(asked, at, headers.get("location", ""))
    raise LinkError(f"HTTP: {without_query(asked)} redirects more than {MAX_REDIRECTS} times")


def _reach(url: SplitResult, handshake: Handshake, egress: Egress, tls: TlsClient) -> socket.socket:
    """A connection to the server of `url`, with TLS where it says so. Raises LinkError."""
    host, port = address_of(url)
    try:
        sock = egress.dial(host, port, STEP_TIMEOUT)
    except DialError as error:
        raise LinkError(f"TCP: {error}{_dial_advice(error)}") from error
    if url.scheme == "ws":
        return sock
    try:
        with _deadline("TLS", _peer(url)):
            return tls.wrap(sock, handshake.tls_server_name or host)
    except BaseException:
        sock.close()
        raise


def _dial_advice(error: DialError) -> str:
    if isinstance(error, ProxyError):
        return "; check the upstream proxy, or the environment's"
    return "; is the server running there?" if error.cause is Cause.REFUSED else ""


def _peer(url: SplitResult) -> str:
    return shown(address_of(url))


class _deadline(gevent.Timeout):  # noqa: N801 - reads as a statement
    """`with _deadline(step, peer)`: LinkError after STEP_TIMEOUT."""

    def __init__(self, step: str, peer: str) -> None:
        super().__init__(STEP_TIMEOUT, LinkError(f"{step}: no answer from {peer} in {STEP_TIMEOUT:g} s"))


def _upgrade(sock: socket.socket, url: SplitResult, handshake: Handshake) -> tuple[int, Mapping[str, str]]:
    """The opening handshake (RFC 6455 section 4.1): the status, 101 or a redirect's, and the answer's headers.

    websocket-client reads the head byte by byte: none beyond it.
    """
    client = websocket.WebSocket(enable_multithread=False)
    name = without_query(url)
    try:
        client.connect(  # type: ignore[no-untyped-call]
            url.geturl(),
            socket=_Bounded(sock),
            header=[f"{name}: {value}" for name, value in (*handshake.headers, *handshake.private_headers)],
            host=handshake.host or None,
            suppress_origin=True,
            redirect_limit=0,
        )
    except websocket.WebSocketBadStatusException as error:
        text = _quoted((error.resp_body or b"").decode(errors="replace"))
        said = f" ({text})" if text else ""
        raise LinkError(f"HTTP: {name} answered {error.status_code}{said}; {_ADVICE}") from error
    except stdlib_ssl.SSLError as error:  # in TLS 1.3 a server judges our certificate after our handshake
        raise explained(error, url.hostname or "") from error
    except (websocket.WebSocketException, OSError, ValueError, http.cookies.CookieError) as error:
        if client.handshake_response is None:
            raise LinkError(f"HTTP: {name}: {_quoted(str(error))}; {_ADVICE}") from error
        # A redirect, of which redirect_limit=0 lets it follow none.
    finally:
        client.sock = None  # or its finaliser closes the socket that we keep
    answer = client.handshake_response
    assert answer is not None
    return answer.status, {name.lower(): value for name, value in answer.headers.items()}


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
