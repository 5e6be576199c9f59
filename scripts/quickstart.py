"""The demonstration: a server, a client, a page behind them, and one request through all three.

Usage:
  scripts/quickstart [--check]

Options:
  --check    end after the request: with 0 if the page came, with 1 if not
  --help     print this text

The ports are those of conf/quickstart.ini, or of the LINKSOCKS_* variables where they are set.
"""

from __future__ import annotations

import http.client
import http.server
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from linksocks.config import Config, resolve
from linksocks.errors import ConfigError

INI = str(Path(__file__).resolve().parent.parent / "conf" / "quickstart.ini")
PAGE = b"Hello from behind the tunnel.\n"
PATIENCE = 20.0
"""Seconds until a port must be open."""


class DemoError(Exception):
    """The demonstration can't go on; the message says why and what to do."""


class Page(http.server.BaseHTTPRequestHandler):
    """One page, for the tunnel to fetch."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: the terminal is for the demonstration."""


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def settings(command: str) -> Config:
    return resolve(command, {"config": INI}, os.environ)


@contextmanager
def page_server() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@contextmanager
def running(command: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command as a process of its own, as a user would start it; ended at the end."""
    argv = [str(Path(sys.executable).with_name("linksocks")), command, "--config", INI]
    # A session of its own, so that Ctrl-C reaches this script alone and the script ends things in order.
    process = subprocess.Popen(argv, start_new_session=True)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.kill()
            process.wait()


def check_free(host: str, port: int, how_to_change: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = f"can't listen on {host}:{port}: {error.strerror}"
            raise DemoError(f"{reason}; to take another port, change {how_to_change}") from None


def check_alive(processes: dict[str, subprocess.Popen[bytes]]) -> None:
    for command, process in processes.items():
        if process.poll() is not None:
            raise DemoError(f"the {command} ended with exit code {process.returncode}; what it said is above")


def wait_open(host: str, port: int, processes: dict[str, subprocess.Popen[bytes]]) -> None:
    """Return when the port accepts."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        check_alive(processes)
        try:
            socket.create_connection((host, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise DemoError(f"{host}:{port} did not open within {PATIENCE:.0f} s; the log is above")


def fetch(proxy: tuple[str, int], login: tuple[str, str], host: str, port: int) -> str:
    """One HTTP request through SOCKS5 (RFC 1928, RFC 1929); the answer's status line and body."""
    user, password = (text.encode() for text in login)
    with socket.create_connection(proxy, timeout=PATIENCE) as connection, connection.makefile("rb") as stream:
        connection.sendall(bytes([5, 1, 2 if user else 0]))
        stream.read(2)
        if user:
            connection.sendall(bytes([1, len(user), *user, len(password), *password]))
            stream.read(2)
        connection.sendall(b"\x05\x01\x00\x03" + bytes([len(host)]) + host.encode() + struct.pack("!H", port))
        reply = stream.read(4)
        if reply[:2] != b"\x05\x00":
            raise DemoError(f"the SOCKS port refused the request: {reply.hex(' ') or 'it hung up'}")
        stream.read({1: 4, 4: 16}[reply[3]] + 2)
        request = http.client.HTTPConnection(host, port)
        request.sock = connection
        request.request("GET", "/")
        answer = request.getresponse()
        return f"HTTP {answer.status} {answer.reason}: {answer.read().decode().strip()}"


def demonstrate(*, check: bool) -> None:
    with suppress(OSError):  # as any file with a token: linksocks warns of one that others can read
        Path(INI).chmod(0o600)
    server, client = settings("server"), settings("client")
    socks = (client["socks-host"], client["socks-port"])
    login = (client["socks-username"], client["socks-password"].reveal())
    web = "ws_port and url in conf/quickstart.ini, or set LINKSOCKS_WEBSOCKET_PORT and LINKSOCKS_URL"
    websocket = (server["ws-host"], server["ws-port"])
    check_free(*websocket, web)
    check_free(*socks, "socks_port in conf/quickstart.ini, or set LINKSOCKS_SOCKS_PORT")
    with ExitStack() as stack:
        port = stack.enter_context(page_server())
        processes = {"server": stack.enter_context(running("server"))}
        wait_open(*websocket, processes)
        processes["client"] = stack.enter_context(running("client"))
        wait_open(*socks, processes)
        say(f"\nGET http://localhost:{port}/ through the tunnel: {fetch(socks, login, 'localhost', port)}")
        say(f"\nTry it:  curl --socks5-hostname {socks[0]}:{socks[1]} http://localhost:{port}/")
        if not check:
            say("Server and client stay up until Ctrl-C.")
            while True:
                check_alive(processes)
                time.sleep(1)


def main() -> int:
    options = sys.argv[1:]
    if options not in ([], ["--check"]):
        say((__doc__ or "").strip())
        return 0 if options in (["-h"], ["--help"]) else 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the processes end with this script
    try:
        demonstrate(check=bool(options))
    except (ConfigError, DemoError, OSError) as error:
        sys.stderr.write(f"quickstart: {error}\n")
        return 1
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
