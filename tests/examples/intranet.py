"""The network at the far end of the tunnels of these tests, which nobody enters but through one.

It is a web proxy that leads nowhere: it answers CONNECT itself, and is from then on the host that was asked for,
whatever its name. So examples and documentation can use names and ports as people write them, no name is looked up
on this machine, and a page is proof that it came through the tunnel: nothing else says CONNECT.

================================ =======================================================
host nobody.example.org          is not there
port 5432                        sends back each line
port 443                         the same as any other, with TLS
any other, GET /pages/N          a page of N bytes
any other, GET /held             as the following, once the test calls `release`
any other, GET of anything else  a line with the host's name and the path
================================ =======================================================
"""

from __future__ import annotations

import ssl
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

import trustme

from tests.support.processes import PATIENCE

NOBODY = "nobody.example.org"
HTTPS, DATABASE = 443, 5432


class Intranet:
    """A context manager; `proxy` is the address for whoever dials. Its authority is put into `ca_file`."""

    def __init__(self, ca_file: Path) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(ca_file)
        authority.issue_cert("*.example.org").configure_cert(self._server.tls)
        self.proxy = f"http://127.0.0.1:{self._server.server_address[1]}"

    def wait_held(self) -> None:
        """Until somebody has asked for /held."""
        assert self._server.held.acquire(timeout=PATIENCE), "nobody asks for /held"

    def release(self) -> None:
        """One /held is answered."""
        self._server.released.release()

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.held = threading.Semaphore(0)
        self.released = threading.Semaphore(0)

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that ends in the middle is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    host = ""

    def do_CONNECT(self) -> None:
        self.host, _, port = self.path.rpartition(":")
        if self.host == NOBODY:
            self.send_error(HTTPStatus.BAD_GATEWAY, "no such host")
            return
        self.send_response(HTTPStatus.OK)
        self.end_headers()
        if int(port) == HTTPS:
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
            self.setup()
        if int(port) == DATABASE:
            for line in self.rfile:
                self.wfile.write(line)
            self.close_connection = True

    def do_GET(self) -> None:
        if not self.host:
            self.send_error(HTTPStatus.FORBIDDEN, "only through a tunnel")
            return
        if self.path == "/held":
            self.server.held.release()
            self.server.released.acquire(timeout=PATIENCE)
        folder, _, size = self.path.strip("/").partition("/")
        page = b"." * int(size) if folder == "pages" else f"{self.host} {self.path}\n".encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: object) -> None:
        pass
