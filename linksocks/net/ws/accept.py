"""The server's way to a WebSocket: TLS where there is a certificate, pywsgi for HTTP, gevent-websocket for the
upgrade, then our own `WebSocket`.

`/socket` and all below it are WebSocket, the rest goes to a WSGI application. A request and its answer have one
deadline together, which an upgrade ends: slow heads, bodies that never come and idle keep-alive connections are cut.
The application gets its requests with their whole bodies, which are bounded.
"""

from __future__ import annotations

import base64
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from typing import Any, Final
from urllib.parse import parse_qs, quote, unquote

import gevent
from gevent import socket, ssl
from gevent.pywsgi import Input, WSGIHandler, WSGIServer, _InvalidClientInput  # type: ignore[attr-defined]
from geventwebsocket.handler import WebSocketHandler

from linksocks.net.greenlets import Pool, give_way, name_current, within
from linksocks.net.listen import PatientAccept
from linksocks.net.sockets import cut, shown
from linksocks.net.tls.certificate import Certificate
from linksocks.net.tls.context import end_tls
from linksocks.net.tls.handshakes import accept_tls
from linksocks.net.ws.lobby import Lobby
from linksocks.net.ws.websocket import WebSocket
from linksocks.wire.extensions import HEADER, Extensions, parse_extensions

REQUEST_TIMEOUT: Final = 20.0
"""Seconds for one HTTP request and its answer, from the first wait for its first byte."""

MAX_BODY: Final = 64 * 1024
"""Bytes of a request's body. Those of the API have some hundred."""

_LINGER: Final = 2.0
"""Seconds for which what a client sends is read away after a refusal, so that it gets to read that."""

_TEXT_AND_CLOSE: Final = [("Content-Type", "text/plain; charset=utf-8"), ("Connection", "close")]
"""Headers of a refusal. The connection ends: what follows may be frames, and no request."""

_MALFORMED: Final = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

log = logging.getLogger(__name__)

_upgrade_log = log.getChild("upgrade")
_upgrade_log.setLevel(logging.ERROR)  # gevent-websocket warns of what any stranger sends


@dataclass(frozen=True, slots=True)
class Accepted:
    """A WebSocket that a client opened, and what its request said."""

    websocket: WebSocket
    query: dict[str, str] = field(repr=False)  # holds the token's hash
    offered: Extensions
    admitted: Callable[[], None] = lambda: None
    """To be called when the client has logged in: it leaves the lobby."""


class UpgradeServer(PatientAccept, WSGIServer):
    """Serves `application` and hands each WebSocket to `on_websocket`, in the connection's own greenlet.

    The WebSocket ends when `on_websocket` returns. `extensions` is what we accept of what clients offer. With a
    `certificate` there is nothing without TLS. Connections are in the `lobby` until their client has logged in.
    """

    def __init__(
        self,
        listener: socket.socket,
        application: Callable[..., Any],
        on_websocket: Callable[[Accepted], None],
        extensions: Extensions,
        certificate: Certificate | None = None,
        lobby: Lobby | None = None,
    ) -> None:
        super().__init__(
            listener,
            _not_upgraded(application),
            handler_class=_Handler,
            spawn=Pool(),
            log=None,
            error_log=log,
            environ={"wsgi.url_scheme": "https" if certificate else "http"},
        )
        self.on_websocket = on_websocket
        self.extensions = extensions
        self.lobby = Lobby() if lobby is None else lobby
        self._certificate = certificate

    def do_handle(self, sock: socket.socket, address: Any) -> None:
        """A connection that was accepted. One for which there is no room costs no greenlet."""
        refusal = self.lobby.enter(address)
        if refusal:
            self.lobby.turn_away(sock, refusal, tls=self._certificate is not None)
        else:
            super().do_handle(sock, address)

    def do_close(self, sock: socket.socket, address: Any) -> None:
        """The end of a connection."""
        self.lobby.leave(address)
        super().do_close(sock, address)

    def stop(self, timeout: float | None = None) -> None:
        """As gevent's."""
        super().stop(timeout)
        self.lobby.close()

    def handle(self, sock: socket.socket, address: Any) -> None:
        """A connection, in its own greenlet. gevent's `ssl_context` would print a traceback for every stranger."""
        if self._certificate is not None:
            secured = accept_tls(sock, self._certificate.context(), shown(address))
            if secured is None:
                return
            sock = secured
        super().handle(sock, address)


def _is_socket(path: str) -> bool:
    return path == "/socket" or path.startswith("/socket/")


def _not_upgraded(application: Callable[..., Any]) -> Callable[..., Any]:
    """Answers requests to /socket that were no upgrade, PROTOCOL section 2.1."""

    def dispatch(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if not _is_socket(environ["PATH_INFO"]):
            return application(environ, start_response)
        start_response("400 Bad Request", _TEXT_AND_CLOSE)
        return [b"Bad Request: this path is for WebSocket clients\n"]

    return dispatch


class _Handler(WebSocketHandler):  # type: ignore[misc]
    """One HTTP connection: what gevent-websocket leaves undone is in its methods here."""

    SUPPORTED_VERSIONS = ("13",)
    server: UpgradeServer
    wsgi_input: Input
    websocket: Any  # gevent-websocket's connection, until ours takes over

    def handle_one_request(self) -> Any:
        name_current(f"http {self._peer()}")
        # A timer and no gevent.Timeout: pywsgi's bare `except` would swallow that and answer 500.
        self._timer = gevent.get_hub().loop.timer(REQUEST_TIMEOUT)
        self._timer.start(cut, self.socket)
        try:
            more = super().handle_one_request()
        finally:
            self._timer.close()
        if more is None:
            end_tls(self.socket)
        return more

    def handle(self) -> None:
        """As pywsgi, which does not expect that a client is gone when it gets its 400."""
        with contextlib.suppress(OSError):
            super().handle()

    def _handle_client_error(self, ex: Exception) -> tuple[str, bytes] | None:
        """As pywsgi, which prints a traceback where a head is malformed in a way that it does not know."""
        if isinstance(ex, OSError):  # the client left
            return None
        self.log_error("")
        return "400", _MALFORMED

    def handle_error(self, t: Any, v: Any, tb: Any) -> None:
        """As pywsgi, which answers 500 to a request that the server's stop breaks off."""
        if issubclass(t, gevent.GreenletExit):
            self.close_connection = True
        else:
            super().handle_error(t, v, tb)

    def _send_error_response_if_possible(self, error_code: int) -> None:
        """As pywsgi, which begins another answer where the first could not be sent."""
        if self.headers_sent:
            self.close_connection = True
        else:
            super()._send_error_response_if_possible(error_code)

    def run_application(self) -> None:
        if not self._take_body():
            return
        if _is_socket(self.environ["PATH_INFO"]):
            super().run_application()
        else:
            WSGIHandler.run_application(self)

    def _take_body(self) -> bool:
        """Reads the body; False where that ends the connection. pywsgi takes bodies of any size, and reads away those
        that no page has read."""
        unread, self.wsgi_input = self.wsgi_input, Input(self.rfile, 0)
        too_large = (self.content_length or 0) > MAX_BODY
        try:
            body = b"" if too_large else unread.read(MAX_BODY + 1)
        except OSError as error:
            if isinstance(error, _InvalidClientInput):
                raise  # a malformed chunk: pywsgi answers it with 400
            self.close_connection = True
            return False  # the client left
        if too_large or len(body) > MAX_BODY:
            self._refuse_body()
            return False
        self.environ["wsgi.input"] = BytesIO(body)
        self.environ["CONTENT_LENGTH"] = str(len(body))
        return True

    def _refuse_body(self) -> None:
        text = b"Content Too Large: a body may have 64 KiB\n"
        self.start_response("413 Content Too Large", [*_TEXT_AND_CLOSE, ("Content-Length", str(len(text)))])
        self.write(text)
        self.close_connection = True
        with within(_LINGER), contextlib.suppress(OSError):
            while self.socket.recv(MAX_BODY):
                give_way()  # a client that sends without end must not hold up the hub

    def upgrade_websocket(self) -> list[bytes] | None:
        """As gevent-websocket, which fails on a key that is no base64 and answers with `str` bodies."""
        if self.headers.get("Upgrade", "").lower() != "websocket":
            return None
        problem = self._problem()
        if problem:
            self.start_response("400 Bad Request", _TEXT_AND_CLOSE)
            return [f"Bad Request: {problem}\n".encode()]
        refusal = super().upgrade_websocket()
        if refusal:
            self.close_connection = True  # as _TEXT_AND_CLOSE
        return [part.encode() for part in refusal] if refusal else None

    def _problem(self) -> str:
        """What is wrong with a request for an upgrade (RFC 6455 section 4.2.1); empty where nothing is."""
        if self.request_version != "HTTP/1.1":
            return "an upgrade needs HTTP/1.1"
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            return "an upgrade has no body"
        with contextlib.suppress(ValueError):
            # From the environ: it joins the keys of a request with two.
            key = self.environ.get("HTTP_SEC_WEBSOCKET_KEY", "")
            if len(base64.b64decode(key, validate=True)) == 16:
                return ""
        return "Sec-WebSocket-Key must be 16 bytes in base64"

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        if status.startswith("101"):
            answer = self._offered().agreed(self.server.extensions).header()
            if answer:
                headers = [*headers, (HEADER, answer)]
        return super().start_response(status, headers, exc_info)

    def _offered(self) -> Extensions:
        return parse_extensions(self.headers.get(HEADER, ""))

    def run_websocket(self) -> None:
        """After the 101: the connection leaves HTTP."""
        self._timer.stop()
        self.websocket.raw_write = _nowhere
        self.environ["wsgi.websocket"] = self.websocket = None
        query = {name: values[0] for name, values in parse_qs(self.environ["QUERY_STRING"]).items()}
        websocket = WebSocket(
            self.socket, client=False, name=self._peer(), early=self._early(), stranger=True
        )
        try:
            admitted = partial(self.server.lobby.leave, self.client_address)
            self.server.on_websocket(Accepted(websocket, query, self._offered(), admitted))
        finally:
            websocket.finish()

    def _early(self) -> bytes:
        """What the buffered reader holds beyond the request: frames of a client that did not wait."""
        self.socket.settimeout(0.0)
        early = b""
        with contextlib.suppress(ssl.SSLWantReadError):  # nothing; a plain socket's reader says so otherwise
            early = bytes(self.rfile.peek())
        self.rfile.close()
        return early

    def _peer(self) -> str:
        return shown(self.client_address)

    def log_request(self) -> None:
        log.debug(
            "%s: %s %s: %s", self._peer(), self.command, _shown_path(self.path or ""), self._orig_status
        )

    def log_error(self, msg: str, *args: Any) -> None:
        """pywsgi's word on a malformed request; its text repeats what the peer sent, so it stays out."""
        log.info("HTTP: %s sent a malformed request, expected HTTP/1.1", self._peer())

    @property
    def logger(self) -> logging.Logger:
        return _upgrade_log


def _shown_path(path: str) -> str:
    """For the log. The query may hold a token's hash, and what is below a page of the API a token."""
    parts = unquote(path.partition("?")[0]).split("/")
    return quote("/".join(parts[:3])) + ("/..." if len(parts) > 3 else "")


def _nowhere(_frame: bytes) -> None:
    """Where gevent-websocket's connection writes the close frame that its finaliser sends."""
