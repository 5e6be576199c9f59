"""The server's side of an HTTP proxy (RFC 9110, RFC 9112), a thin layer over h11: heads in, requests out.

h11 has the grammar, the framing of bodies and the rules of keep-alive. Ours is what a proxy is asked for and what it
changes on the way:

================== ===============================================================================
CONNECT host:port  a `Request`, as in SOCKS; what came behind the head is early data
http://host/path   a `Forward`: the head as the target gets it, in origin-form; h11 reads the body
anything else      an HttpError, whose `reply` is a readable answer; the connection closes with it
================== ===============================================================================

- Nothing is passed on as it came: both sides' heads are parsed and written anew, so what one side takes for a body
  the other can't take for a request. A message with two lengths is refused, not mended.
- Hop-by-hop fields end here (RFC 9110 section 7.6.1), the credentials for this proxy among them. An upgrade is one of
  them, so the target is not asked for it: WebSocket clients use CONNECT.
- No Via is added: a tunnel's target is to see what it would see from an application beside it. A loop can't be:
  what we send is in origin-form, which we refuse to take.
- No text of ours quotes the request: it may hold credentials.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import re
from http import HTTPStatus
from typing import Final, NamedTuple

import h11

from linksocks.errors import Cause, DialError, HttpError, NoLinkError
from linksocks.wire.socks5 import Command, Request

MAX_HEAD: Final = 64 * 1024
"""Bytes of a request's or response's head; cookies and Kerberos tickets need more than h11's 16 KiB."""

MAX_FIELDS: Final = 256
"""Fields of a head: 15,000 empty ones fit into 64 KiB, and h11 took 70 ms for them."""

ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"

_CHALLENGE: Final = ("Proxy-Authenticate", 'Basic realm="linksocks", charset="UTF-8"')

_STATUSES: Final = {Cause.NOT_ALLOWED: HTTPStatus.FORBIDDEN, Cause.TIMED_OUT: HTTPStatus.GATEWAY_TIMEOUT}
"""What a failed dial is in HTTP; any other cause is a 502."""

_MALFORMED: Final = {
    400: "this is not HTTP/1.1 as RFC 9112 has it",
    431: f"the head of the request is longer than {MAX_HEAD // 1024} KiB, or has more than {MAX_FIELDS} fields",
    501: "the body has a transfer coding other than chunked",
}
"""What h11 refuses, by its hint: its own words quote the request."""

_HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)

_MAX_FORWARDS: Final = b"Max-Forwards"

_AUTHORITY: Final = re.compile(
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]{2,45})\]|(?P<name>[A-Za-z0-9._-]{1,255}))(?::(?P<port>[0-9]{0,5}))?"
)
_BLANK: Final = re.compile(rb"\n\r?\n")
"""Behind a head; what ends a line for h11 ends one here."""

_ABSOLUTE: Final = re.compile(r"http://(?P<authority>[^/?]*)(?P<path>[^?]*)(?P<query>.*)", re.IGNORECASE)


class Forward(NamedTuple):
    """A request in absolute-form. `head` is for the target; `server` reads the body and frames the response."""

    host: str
    port: int
    head: h11.Request
    server: HttpProxyServer


class HttpProxyServer:
    """One application's connection. Feed it what arrives until there is a `request`."""

    def __init__(self, username: str = "", password: str = "") -> None:
        # Reads the application's requests, body and all, and frames the responses.
        self.http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        # None while a head is not whole.
        self.request: Request | Forward | None = None
        # Of a CONNECT: what the last feed held beyond the head.
        self.leftover = b""
        self._credentials = f"{username}:{password}".encode() if username or password else b""
        self._bodiless = False  # the request is a HEAD: no answer of ours has a body

    def feed(self, data: bytes) -> bytes:
        """Takes what has arrived, returns nothing to send. Not for use while there is a request. Raises HttpError."""
        if self.request is not None or self.http.their_state is not h11.IDLE:
            raise ValueError("this request is over or not served yet")
        self.http.receive_data(data)
        self._parse()
        return b""

    def again(self) -> bool:
        """Whether the connection has use for another request; takes what has come of it. Raises HttpError."""
        if self.http.our_state is not h11.DONE or self.http.their_state is not h11.DONE:
            return False
        self.http.start_next_cycle()
        self.request = None
        self._parse()
        return True

    def success(self) -> bytes:
        """To a CONNECT: the target was reached."""
        return ESTABLISHED

    def refusal(self, error: DialError) -> bytes:
        """The target was not reached."""
        if isinstance(error, NoLinkError):
            status = HTTPStatus.SERVICE_UNAVAILABLE
        else:
            status = _STATUSES.get(error.cause, HTTPStatus.BAD_GATEWAY)
        return self.answer(status, str(error))

    def answer(self, status: HTTPStatus, text: str, *fields: tuple[str, str]) -> bytes:
        """A whole response of ours; the connection closes after it."""
        body = f"linksocks: {text}\n".encode(errors="replace")
        head = [f"HTTP/1.1 {status} {status.phrase}", *(f"{name}: {value}" for name, value in fields)]
        head += [
            "Content-Type: text/plain; charset=utf-8",
            f"Content-Length: {len(body)}",
            "Connection: close",
        ]
        return "\r\n".join([*head, "\r\n"]).encode() + (b"" if self._bodiless else body)

    def error(self, status: HTTPStatus, text: str, *fields: tuple[str, str]) -> HttpError:
        """The same as an error to raise."""
        return HttpError(text, self.answer(status, text, *fields))

    def malformed(self, error: h11.RemoteProtocolError) -> HttpError:
        """What h11 refused in a request."""
        text = _MALFORMED.get(error.error_status_hint)
        return self.error(
            HTTPStatus(error.error_status_hint) if text else HTTPStatus.BAD_REQUEST, text or _MALFORMED[400]
        )

    def _parse(self) -> None:
        """Sets `request` if the head is whole."""
        try:
            event = next_event(self.http)
        except h11.RemoteProtocolError as error:
            raise self.malformed(error) from error
        if not isinstance(event, h11.Request):
            return
        self._bodiless = event.method == b"HEAD"
        self._authenticate(event)
        self._check_framing(event)
        if event.method == b"CONNECT":
            host, port = self._authority(event.target.decode("ascii"), "CONNECT asks for host:port", 0)
            self.request = Request(Command.CONNECT, host, port)
            self.leftover = self.http.trailing_data[0]
        else:
            self.request = self._forward(event)

    def _authenticate(self, request: h11.Request) -> None:
        if not self._credentials:
            return
        given = [value for name, value in request.headers if name == b"proxy-authorization"]
        scheme, _, code = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        try:
            said = base64.b64decode(code.strip(b" "), validate=True)
        except binascii.Error:
            said = b""
        if not hmac.compare_digest(said, self._credentials) or scheme.lower() != b"basic":
            text = "wrong user or password" if given else "this proxy asks for a user and a password"
            raise self.error(HTTPStatus.PROXY_AUTHENTICATION_REQUIRED, text, _CHALLENGE)

    def _check_framing(self, request: h11.Request) -> None:
        """What h11 takes and a proxy must not (RFC 9112 sections 2.3, 6.1 and 6.3)."""
        names = {name for name, _ in request.headers}
        if request.http_version not in (b"1.0", b"1.1"):
            raise self.error(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "this proxy speaks HTTP/1.1")
        if b"transfer-encoding" in names and (b"content-length" in names or request.http_version == b"1.0"):
            raise self.error(HTTPStatus.BAD_REQUEST, "the body's length is given in two ways or for HTTP/1.0")
        length = next((value for name, value in request.headers if name == b"content-length"), b"0")
        if request.method == b"CONNECT" and (b"transfer-encoding" in names or int(length)):
            raise self.error(HTTPStatus.BAD_REQUEST, "CONNECT has no body")

    def _forward(self, request: h11.Request) -> Forward:
        target = request.target.decode("ascii")
        match = _ABSOLUTE.fullmatch(target)
        if match is None or "#" in target:
            raise self.error(HTTPStatus.BAD_REQUEST, _advice(target))
        authority, path, query = match["authority"], match["path"], match["query"]
        host, port = self._authority(authority, "the request asks for http://host:port/path", 80)
        if not path:  # RFC 9112 sections 3.2.1 and 3.2.4
            path = "*" if request.method == b"OPTIONS" and not query else "/"
        fields = [(name, value) for name, value in end_to_end(request) if name.lower() != b"host"]
        if request.http_version == b"1.0":  # RFC 9110 section 10.1.1: there it means nothing
            fields = [(name, value) for name, value in fields if name.lower() != b"expect"]
        if request.method in (b"OPTIONS", b"TRACE"):
            fields = self._one_hop_less(request.method, fields)
        if any(name == b"transfer-encoding" for name, _ in request.headers):
            fields.append((b"Transfer-Encoding", b"chunked"))
        fields = [(b"Host", authority.encode()), *fields, (b"Connection", b"close")]
        head = h11.Request(method=request.method, target=path + query, headers=fields)
        return Forward(host, port, head, self)

    def _one_hop_less(self, method: bytes, fields: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """RFC 9110 section 7.6.2. Where no hop is left we answer, and of a TRACE quote nothing."""
        hops = [value for name, value in fields if name.lower() == _MAX_FORWARDS.lower()]
        if not hops:
            return fields
        if len(hops) > 1 or not re.fullmatch(rb"[0-9]{1,9}", hops[0]):
            raise self.error(HTTPStatus.BAD_REQUEST, "Max-Forwards is no number")
        left = int(hops[0]) - 1
        if left < 0:
            status = HTTPStatus.OK if method == b"OPTIONS" else HTTPStatus.NOT_IMPLEMENTED
            raise self.error(status, "Max-Forwards ends at this proxy")
        others = [(name, value) for name, value in fields if name.lower() != _MAX_FORWARDS.lower()]
        return [*others, (_MAX_FORWARDS, b"%d" % left)]

    def _authority(self, text: str, asked: str, default: int) -> tuple[str, int]:
        """Host and port; a `default` of 0 is none."""
        match = _AUTHORITY.fullmatch(text)
        port = int((match and match["port"]) or default)
        if match is None or not 0 < port < 65536 or not _is_ipv6_or_none(match["ipv6"]):
            raise self.error(HTTPStatus.BAD_REQUEST, f"{asked}, with a name, an IPv4 or an [IPv6] address")
        return match["ipv6"] or match["name"], port


def next_event(connection: h11.Connection) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
    """As h11's own, but a head's fields are counted before h11 works on them. Raises RemoteProtocolError."""
    if connection.their_state in (h11.IDLE, h11.SEND_RESPONSE):
        waiting = connection.trailing_data[0]
        blank = _BLANK.search(waiting)
        if waiting.count(b"\n", 0, blank.start() if blank else len(waiting)) > MAX_FIELDS:
            raise h11.RemoteProtocolError(f"more than {MAX_FIELDS} fields", error_status_hint=431)
    return connection.next_event()


def for_application(response: h11.Response | h11.InformationalResponse) -> list[tuple[bytes, bytes]]:
    """The fields of a target's response that the application gets. Raises h11.RemoteProtocolError."""
    names = {name for name, _ in response.headers}
    if b"transfer-encoding" in names and (b"content-length" in names or response.http_version == b"1.0"):
        raise h11.RemoteProtocolError("a response with two lengths")
    fields = end_to_end(response)
    if (
        response.status_code < 200 or response.status_code == 204
    ):  # RFC 9110 section 8.6: these have no length
        fields = [(name, value) for name, value in fields if name.lower() != b"content-length"]
    return fields


def end_to_end(message: h11.Request | h11.Response | h11.InformationalResponse) -> list[tuple[bytes, bytes]]:
    """The fields that are not for this hop; those that Connection names are. The length is, whatever it names."""
    named = {
        option.strip().lower()
        for name, value in message.headers
        if name == b"connection"
        for option in value.split(b",")
    }
    dropped = _HOP_BY_HOP | named - {b"content-length"}
    return [(name, value) for name, value in message.headers.raw_items() if name.lower() not in dropped]


def _is_ipv6_or_none(text: str | None) -> bool:
    try:
        return text is None or bool(ipaddress.IPv6Address(text))
    except ValueError:
        return False


def _advice(target: str) -> str:
    if target[:8].lower() == "https://":
        return "https:// can't be forwarded: use CONNECT"
    if target.startswith("/") or target == "*":
        return "this is a proxy and no web server: set the application to use it as an HTTP, SOCKS5 or SOCKS4a proxy"
    return "a proxy can forward http://host/path without a fragment: use CONNECT for all else"
