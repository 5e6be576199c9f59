"""What a tunnel leads to, on loopback: good servers and bad ones, each a context manager on a free port.

====================  =====================================================================================
`HttpTarget`          GET /bytes/N?seed=S gives N bytes that depend on S; PUT, POST answer the body's SHA-256
`FolderTarget`        serves the files of a directory, as a plain web server does
`EchoTarget`          sends back what it gets, half-closes when the other side does
`refusing_port()`     nobody listens, and nobody else can take the port meanwhile: connect is refused
`unanswered_port()`   the handshake is never answered: connect hangs
`mute_port()`         connect works, then nothing is ever read or said
`resetting_port()`    accepts, reads one byte, then resets (RST)
====================  =====================================================================================
"""

from __future__ import annotations

import hashlib
import random
import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

_CHUNK = 64 * 1024


def seeded_chunks(size: int, seed: int) -> Iterator[bytes]:
    """`size` random bytes, always the same for a seed, in pieces: a GiB needs no GiB of memory."""
    source = random.Random(seed)
    for start in range(0, size, _CHUNK):
        yield source.randbytes(_CHUNK)[: size - start]


def seeded_bytes(size: int, seed: int = 1) -> bytes:
    """The same as one."""
    return b"".join(seeded_chunks(size, seed))


def seeded_sha256(size: int, seed: int) -> str:
    """The SHA-256, in hex, of what `HttpTarget` serves at /bytes/`size`?seed=`seed`."""
    digest = hashlib.sha256()
    for chunk in seeded_chunks(size, seed):
        digest.update(chunk)
    return digest.hexdigest()


class HttpTarget:
    """A threaded HTTP/1.1 server; see the table above. With `tls` it speaks HTTPS."""

    def __init__(self, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self.host = host
        self._server = (_HttpServer6 if ":" in host else _HttpServer)((host, 0), _HttpHandler)
        self.port: int = self._server.server_address[1]
        self._scheme = "https" if tls else "http"
        if tls:  # the handshake is for the thread of the connection
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )

    def url(self, path: str = "/", host: str | None = None) -> str:
        """The address of `path`; another `host` (a name, say) must lead to the same machine."""
        name = host or self.host
        return f"{self._scheme}://{f'[{name}]' if ':' in name else name}:{self.port}{path}"

    def __enter__(self) -> Self:
        _serve(self._server)
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class FolderTarget(HttpTarget):
    """A threaded HTTP/1.1 server of the files below `folder`."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._server.RequestHandlerClass = partial(_FolderHandler, directory=str(folder))


class EchoTarget:
    """A threaded TCP echo server."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.host = host
        self._server = (_TcpServer6 if ":" in host else _TcpServer)((host, 0), _EchoHandler)
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> Self:
        _serve(self._server)
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class GreetingTarget(EchoTarget):
    """A TCP server that speaks first, then waits for the end."""

    def __init__(self, greeting: bytes) -> None:
        super().__init__()
        self._server.RequestHandlerClass = partial(_GreetingHandler, greeting)


@contextmanager
def refusing_port(host: str = "127.0.0.1") -> Iterator[int]:
    """Bound but not listening: the kernel answers a SYN with RST."""
    with _bound(host) as holder:
        yield holder.getsockname()[1]


@contextmanager
def mute_port(host: str = "127.0.0.1") -> Iterator[int]:
    """Listening but never accepted: the kernel makes the connection, no program ever sees it."""
    with _bound(host) as holder:
        holder.listen(128)
        yield holder.getsockname()[1]


@contextmanager
def unanswered_port(host: str = "127.0.0.1") -> Iterator[int]:
    """A full backlog: Linux drops a SYN when the accept queue (one place, by listen(0)) is taken."""
    with _bound(host) as holder, ExitStack() as fillers:
        holder.listen(0)
        address = holder.getsockname()
        for _ in range(4):
            filler = fillers.enter_context(socket.socket(holder.family, socket.SOCK_STREAM))
            filler.settimeout(0.2)
            try:
                filler.connect(address[:2])
            except TimeoutError:
                break
        else:
            raise AssertionError("the backlog did not fill up: this kernel answers every SYN")
        yield address[1]


@contextmanager
def resetting_port(host: str = "127.0.0.1") -> Iterator[int]:
    """Every connection ends with RST as soon as it has sent a byte."""
    server = (_TcpServer6 if ":" in host else _TcpServer)((host, 0), _ResetHandler)
    _serve(server)
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


class _Quiet:
    """Broken pipes are what these tests make on purpose: a target keeps quiet about them."""

    def handle_error(self, request: object, client_address: object) -> None:
        pass


class _HttpServer(_Quiet, ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024


class _HttpServer6(_HttpServer):
    address_family = socket.AF_INET6


class _TcpServer(_Quiet, socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024


class _TcpServer6(_TcpServer):
    address_family = socket.AF_INET6


class _HttpHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        folder, _, size = parts.path.strip("/").partition("/")
        if folder != "bytes" or not size.isdigit():
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        seed = int(parse_qs(parts.query).get("seed", ["0"])[0])
        self._head(int(size))
        for chunk in seeded_chunks(int(size), seed):
            self.wfile.write(chunk)

    def do_PUT(self) -> None:
        digest = hashlib.sha256()
        left = int(self.headers["Content-Length"])
        while left and (chunk := self.rfile.read(min(left, _CHUNK))):
            digest.update(chunk)
            left -= len(chunk)
        answer = digest.hexdigest().encode()
        self._head(len(answer))
        self.wfile.write(answer)

    do_POST = do_PUT  # noqa: N815 - http.server's name

    def _head(self, size: int) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Length", str(size))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


class _FolderHandler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass


class _EchoHandler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(_CHUNK):
            self.request.sendall(data)
        self.request.shutdown(socket.SHUT_WR)


class _GreetingHandler(socketserver.BaseRequestHandler):
    def __init__(self, greeting: bytes, *args: Any) -> None:
        self._greeting = greeting
        super().__init__(*args)

    def handle(self) -> None:
        self.request.sendall(self._greeting)
        self.request.recv(1)


class _ResetHandler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.recv(1)
        # A linger time of zero turns close into RST.
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.request.close()


@contextmanager
def _bound(host: str) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as holder:
        holder.bind((host, 0))
        yield holder


def _serve(server: socketserver.BaseServer) -> None:
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
