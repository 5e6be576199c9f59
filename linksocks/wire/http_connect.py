"""The client's side of an HTTP proxy's CONNECT (RFC 9110 section 9.3.6), on h11: bytes in, bytes out.

h11 has the grammar of heads, their bound (16 KiB) and the rule that a 2xx ends HTTP on this connection, whatever
lengths its head claims. Ours is what an answer means: any 2xx is a yes, the rest is a DialError about the target,
or a ProxyError where it says nothing about that.
"""

from __future__ import annotations

import base64
from http import HTTPStatus
from typing import Final

import h11

from linksocks.errors import Cause, DialError, ProxyError

_MAX_ANSWER: Final = 64 * 1024
"""Bytes of the whole answer: 1xx heads may come before it, as many as the proxy likes."""

_CAUSES: Final = {
    403: Cause.NOT_ALLOWED,
    502: Cause.HOST_UNREACHABLE,
    503: Cause.NETWORK_UNREACHABLE,
    504: Cause.TIMED_OUT,
}
"""What a status says about the target; any other is GENERAL."""

_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}
"""Our words: the proxy's own may be any."""


class HttpConnect:
    """One CONNECT. Send `hello`, feed it what arrives, until it is `done`."""

    def __init__(self, host: str, port: int, username: str = "", password: str = "") -> None:
        """`host` is an address or an ASCII name. Raises ValueError for one that no request can hold."""
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        headers = [("Host", authority)]
        self._login = bool(username or password)
        if self._login:
            credentials = base64.b64encode(f"{username}:{password}".encode()).decode()
            headers.append(("Proxy-Authorization", f"Basic {credentials}"))
        self._http = h11.Connection(h11.CLIENT)
        self._fed = 0
        try:
            request = h11.Request(method="CONNECT", target=authority, headers=headers)
        except h11.LocalProtocolError as error:
            raise ValueError("no host name") from error
        self.hello: bytes = self._http.send(request) or b""
        self.hello += self._http.send(h11.EndOfMessage()) or b""
        self.done = False
        # Empty until it is done, then what the last feed held beyond the head: it is the target's.
        self.leftover = b""

    def feed(self, data: bytes) -> bytes:
        """Takes what has arrived; there is never anything to send. Raises DialError."""
        self._fed += len(data)
        self._http.receive_data(data)
        try:
            while isinstance(event := self._http.next_event(), h11.InformationalResponse):
                pass
        except h11.RemoteProtocolError as error:
            # h11's own words quote the answer, and a proxy may send our credentials back.
            raise ProxyError(Cause.GENERAL, "does not speak HTTP/1.1") from error
        if isinstance(event, h11.Response):
            self._answered(event.status_code)
        elif self._fed > _MAX_ANSWER:
            raise ProxyError(Cause.GENERAL, f"its answer has more than {_MAX_ANSWER} bytes")
        return b""

    def _answered(self, status: int) -> None:
        if 200 <= status < 300:
            self.done = True
            self.leftover = self._http.trailing_data[0]
            return
        said = f"answered {status} {_PHRASES.get(status, '')}".rstrip()
        if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            wish = "refuses this user or password" if self._login else "asks for a user and password"
            raise ProxyError(Cause.NOT_ALLOWED, f"{said}: {wish}")
        raise DialError(_CAUSES.get(status, Cause.GENERAL), said)
