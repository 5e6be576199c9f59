"""Two connected TCP sockets of this machine, one to work with and one to hand out.

A real connection and no socketpair of AF_UNIX: who gets it may set TCP_NODELAY, ask for its peer, and sees a reset.
For a moment there is a port, so that others may connect too: their addresses tell them from ours.

A process that ends closes the first one before threads of the program, daemons that read from the second one, are
gone. `outlast` keeps them from hearing of it, as they hear of nothing else then.
"""

from __future__ import annotations

import contextlib
import os
import socket as stdlib_socket
import time
from _socket import socket as PlainSocket  # noqa: N812 - a class
from typing import Final
from weakref import WeakSet

from gevent import socket

from linksocks.net.greenlets import until, within
from linksocks.net.sockets import own, reset_when_closed

_LOOPBACK: Final = (
    (stdlib_socket.AF_INET, "127.0.0.1"),
    (stdlib_socket.AF_INET6, "::1"),  # of a machine that has no other
)

_BACKLOG: Final = 1024
"""Strangers that may be in front of us."""

_PORT_TIMEOUT: Final = 0.5
"""Seconds for a connection inside of this machine: it is there at once, unless somebody floods its port. Linux then
tries again after 1 s; another port, which nobody knows yet, is better."""

PAIR_TIMEOUT: Final = 5.0
"""Seconds for all ports."""

_first: Final[WeakSet[PlainSocket]] = WeakSet()
"""Of each pair."""

_outlasting = False


def outlast() -> None:
    """From now on the first ones stay open, whoever closes them, until the process ends. There is no way back."""
    global _outlasting  # noqa: PLW0603 - of the process
    _outlasting = True
    for plain in list(_first):
        _keep(plain)


def _keep(plain: PlainSocket) -> None:
    """Another descriptor, which nobody closes. Where there are too many, the other end hears of the end after all."""
    if plain.fileno() >= 0:
        with contextlib.suppress(OSError):
            os.dup(plain.fileno())


def connected_pair() -> tuple[socket.socket, socket.socket]:
    """Both ends of a connection. Raises OSError.

    Unless its owner says otherwise, closing the first one resets it: nobody takes a part for the whole.
    """
    deadline = time.monotonic() + PAIR_TIMEOUT
    while seconds := until(deadline):
        listener = _listener()
        try:
            with within(min(seconds, _PORT_TIMEOUT)):
                return _connected(listener)
        finally:
            listener.close()
    raise TimeoutError("somebody floods its ports")


def _listener() -> socket.socket:
    failure: OSError | None = None
    for family, host in _LOOPBACK:
        try:
            sock = own(socket.socket(family, stdlib_socket.SOCK_STREAM))
        except OSError as error:
            failure = failure or error
            continue
        try:
            sock.bind((host, 0))
            sock.listen(_BACKLOG)
        except OSError as error:
            sock.close()
            failure = failure or error
        else:
            return sock
    assert failure is not None
    raise failure


def _connected(listener: socket.socket) -> tuple[socket.socket, socket.socket]:
    far = own(socket.socket(listener.family, stdlib_socket.SOCK_STREAM))
    try:
        far.connect(listener.getsockname())
        while True:
            near, address = listener.accept()
            if address == far.getsockname():
                reset_when_closed(near)
                _first.add(near._sock)  # type: ignore[attr-defined]
                if _outlasting:
                    _keep(near._sock)  # type: ignore[attr-defined]
                return own(near), far
            near.close()
    except BaseException:
        far.close()
        raise
