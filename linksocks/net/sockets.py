"""What every socket of ours needs, at its start and at its end.

`own` keeps a list of them, weakly, for a fork: a child shares its parent's connections, and must not keep a port or a
link open. It costs 0.4 us for each socket, whose making costs 5.
"""

from __future__ import annotations

import contextlib
import fcntl
import socket as stdlib_socket
import struct
import sys
import termios
from _socket import socket as PlainSocket  # noqa: N812 - a class
from typing import Final, TypeVar
from weakref import WeakKeyDictionary

from gevent import socket
from gevent.hub import Hub

from linksocks.net.greenlets import give_way, within

_READ: Final = 64 * 1024

# SO_LINGER on, 0 s: close() sends RST, the kernel's too when the process dies. Off: FIN, after all that waits.
_RESET: Final = struct.pack("ii", 1, 0)
_END: Final = struct.pack("ii", 0, 0)

_ESTABLISHED: Final = 1
"""Of the states of TCP in the kernel's tcp_states.h: neither side has ended."""

_Socket = TypeVar("_Socket", bound=socket.socket)

_owned: Final[WeakKeyDictionary[PlainSocket, Hub]] = WeakKeyDictionary()
"""The plain sockets inside of gevent's: they last until the descriptor is closed, which may be after `close`."""


def own(sock: _Socket) -> _Socket:
    """To be called with each socket that is made for a tunnel, also with TLS over another one."""
    _owned[sock._sock] = sock.hub  # type: ignore[attr-defined]
    return sock


def owned() -> list[tuple[PlainSocket, Hub]]:
    """All that are open, and their hubs."""
    return [(plain, hub) for plain, hub in list(_owned.items()) if plain.fileno() >= 0]


def tune(sock: socket.socket) -> None:
    """No delay for small writes, and keep-alive: a host that vanished is noticed while nothing is sent."""
    with contextlib.suppress(OSError):  # gone already: the first read will tell
        sock.setsockopt(stdlib_socket.IPPROTO_TCP, stdlib_socket.TCP_NODELAY, 1)
        sock.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_KEEPALIVE, 1)


def end_politely(sock: socket.socket, timeout: float) -> None:
    """Ends our side and reads away what still comes, `timeout` seconds at most.

    Closing over unread bytes resets the connection, and the other side may lose what we said last.
    """
    with within(timeout), contextlib.suppress(OSError):
        sock.shutdown(stdlib_socket.SHUT_WR)
        while sock.recv(_READ):
            give_way()  # a socket that always has more would hold up the hub, the timeout's timer too


def cut(sock: socket.socket) -> None:
    """Ends both directions at once: who waits for `sock` wakes, and sees its end."""
    with contextlib.suppress(OSError):
        # The plain socket's method: SSLSocket's own drops the TLS object, and then ciphertext is read.
        socket.socket.shutdown(sock, stdlib_socket.SHUT_RDWR)


def reset_when_closed(sock: socket.socket) -> None:
    """What was sent can't be taken for the whole: `close` will reset the connection (RST)."""
    with contextlib.suppress(OSError):
        sock.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_LINGER, _RESET)


def end_when_closed(sock: socket.socket) -> None:
    """Takes `reset_when_closed` back: the stream is whole, and what waits is still to be sent."""
    with contextlib.suppress(OSError):
        sock.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_LINGER, _END)


def has_news(sock: socket.socket) -> bool:
    """Whether something has come that was not read yet: bytes, or the other side's end."""
    state = sock.getsockopt(stdlib_socket.IPPROTO_TCP, stdlib_socket.TCP_INFO, 1)[0]
    return state != _ESTABLISHED or _queued(sock, termios.FIONREAD) > 0


def unsent(sock: socket.socket) -> int:
    """Bytes that were written and that the other side's system does not have yet."""
    return _queued(sock, termios.TIOCOUTQ)


def _queued(sock: socket.socket, queue: int) -> int:
    return int.from_bytes(fcntl.ioctl(sock.fileno(), queue, bytes(4)), sys.byteorder)


def shown(address: tuple[str, int] | tuple[str, int, int, int]) -> str:
    """`host:port` for people, IPv6 in brackets."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
