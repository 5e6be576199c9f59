"""Listening sockets, with an error that says what to do when there is none to be had."""

from __future__ import annotations

import errno
import logging
import socket as stdlib_socket
from contextvars import Context, copy_context
from typing import Any, Final

from gevent import socket

from linksocks.errors import ListenError
from linksocks.net.greenlets import spawn_later
from linksocks.net.sockets import own, shown

_BACKLOG: Final = 1024
"""Connections that the kernel holds while we accept others; it caps this at net.core.somaxconn."""

_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

_GONE: Final = (errno.EBADF, errno.EINVAL, errno.ENOTSOCK)
"""It is no listener: in a forked child, which has lost it. gevent would print tracebacks."""

_REST: Final = 0.5
"""Seconds without accepting after the process ran out of descriptors."""

_ADVICE: Final = {
    errno.EADDRINUSE: "the port is in use: stop the program that has it, or choose another port",
    errno.EACCES: "not permitted: ports below 1024 need root or CAP_NET_BIND_SERVICE",
    errno.EADDRNOTAVAIL: "this machine has no such address: choose one of its own, 127.0.0.1 or 0.0.0.0",
}


log = logging.getLogger(__name__)


def bind(host: str, port: int) -> socket.socket:
    """A bound TCP socket that refuses connections until `listen`. Raises ListenError.

    Port 0 lets the kernel choose; an empty host is every IPv4 address.
    """
    where = shown((host, port))
    try:
        family, _, _, _, sockaddr = stdlib_socket.getaddrinfo(
            host or None, port, type=stdlib_socket.SOCK_STREAM, flags=stdlib_socket.AI_PASSIVE
        )[0]
        sock = own(socket.socket(family, stdlib_socket.SOCK_STREAM))
    except (OSError, ValueError) as error:  # ValueError: a label that IDNA refuses
        reason = getattr(error, "strerror", None) or error
        raise ListenError(f"can't listen on {where}: {reason}") from error
    try:
        sock.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_REUSEADDR, 1)
        sock.bind(sockaddr)
    except OSError as error:
        sock.close()
        raise _explained(where, error) from error
    return sock


def listen(sock: socket.socket) -> None:
    """From now on the kernel takes connections. Raises ListenError."""
    try:
        sock.listen(_BACKLOG)
    except OSError as error:
        raise _explained(shown(sock.getsockname()), error) from error


class PatientAccept:
    """For gevent's servers: with no descriptor to spare, accepting rests a while; gevent would print tracebacks.

    Each connection is served in a copy of the context in which the server was started; the hub's own is empty.
    """

    _context: Context

    def start(self) -> None:
        """As gevent's."""
        self._context = copy_context()
        super().start()  # type: ignore[misc]

    def do_handle(self, *args: Any) -> None:
        """A connection that was accepted."""
        self._context.run(super().do_handle, *args)  # type: ignore[misc]

    def do_read(self) -> Any:
        """A connection, or None. As gevent's own, but for EMFILE and its kin."""
        try:
            accepted = super().do_read()  # type: ignore[misc]
            if accepted is not None:
                own(accepted[0])
            return accepted
        except OSError as error:
            if error.errno in _GONE:
                log.debug("no more connections: %s", error)
                self.close()  # type: ignore[attr-defined]
                return None
            if error.errno not in _EXHAUSTED:
                raise
            log.error(
                "can't accept a connection: %s; raise the limit of open files (ulimit -n)", error.strerror
            )
            self.stop_accepting()  # type: ignore[attr-defined]
            spawn_later("accept again", _REST, self._accept_again)
            return None

    def _accept_again(self) -> None:
        if self.started:  # type: ignore[attr-defined]
            self.start_accepting()  # type: ignore[attr-defined]


def _explained(where: str, error: OSError) -> ListenError:
    advice = _ADVICE.get(error.errno or 0, error.strerror or str(error))
    return ListenError(f"can't listen on {where}: {advice}")
