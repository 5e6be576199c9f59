"""The reference: a SOCKS5 proxy of two hops over plain TCP, as short as gevent allows.

``python -m bench.relay exit PORT`` dials the targets, ``python -m bench.relay entry PORT EXIT_PORT`` takes the
applications. The same work as a tunnel's, two processes on the way and one SOCKS5 front, but no WebSocket, no
framing, no masking and no multiplexing: each application's connection is one of its own on the second hop too.
Each direction has a greenlet that receives up to 64 KiB and sends all of it.
"""

from __future__ import annotations

import contextlib
import socket as stdlib_socket
import struct
import sys

import gevent
from gevent import socket
from gevent.server import StreamServer

CHUNK = 64 * 1024
LOOPBACK = "127.0.0.1"


def entry(exit_port: int, sock: socket.socket) -> None:
    """Answer the greeting; the request goes through, the exit answers it."""
    with sock:
        _, methods = receive(sock, 2)
        receive(sock, methods)
        sock.sendall(b"\x05\x00")
        with socket.create_connection((LOOPBACK, exit_port)) as onward:
            relay(sock, onward)


def leave(sock: socket.socket) -> None:
    """Dial the target of a request for an IPv4 address: the load asks for nothing else."""
    with sock:
        *_, address, port = struct.unpack(">BBBB4sH", receive(sock, 10))
        try:
            onward = socket.create_connection((socket.inet_ntoa(address), port))
        except OSError:
            sock.sendall(b"\x05\x05\x00\x01" + bytes(6))
            return
        with onward:
            sock.sendall(b"\x05\x00\x00\x01" + bytes(6))
            relay(sock, onward)


def relay(one: socket.socket, other: socket.socket) -> None:
    """Both directions, until both have ended."""
    for sock in (one, other):
        sock.setsockopt(stdlib_socket.IPPROTO_TCP, stdlib_socket.TCP_NODELAY, 1)
    back = gevent.spawn(forward, other, one)
    forward(one, other)
    back.join()


def forward(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(CHUNK):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(stdlib_socket.SHUT_WR)


def receive(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def main(role: str, port: str, exit_port: str = "0") -> None:
    def serve(sock: socket.socket, _address: object) -> None:
        with contextlib.suppress(OSError, EOFError):
            if role == "entry":
                entry(int(exit_port), sock)
            else:
                leave(sock)

    server = StreamServer((LOOPBACK, int(port)), serve, backlog=1024)
    server.start()
    sys.stdout.write(f"listening on port {server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
