"""Connections as `socket.create_connection` makes them: real sockets, and errors that its callers know."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

from linksocks.errors import (
    Cause,
    ClosedError,
    ConfigError,
    DialError,
    ForkedError,
    LinkSocksError,
    NoLinkError,
    TargetError,
)
from linksocks.library.durations import Duration, seconds
from linksocks.net.carrier import Carrier

DEFAULT_TIMEOUT: Final = cast(Any, socket)._GLOBAL_DEFAULT_TIMEOUT
"""What the standard library's callers give where nobody has said anything: socket.getdefaulttimeout() counts then."""


def limit_of(timeout: Duration | None, source_address: object = None) -> float | None:
    """Seconds, or None for no other limit than the tunnel's own.

    Raises TypeError, ConfigError.
    """
    if source_address is not None:
        raise ConfigError("source_address: connections are made at the far end of the tunnel: leave it out")
    if timeout is DEFAULT_TIMEOUT:
        return socket.getdefaulttimeout()
    return None if timeout is None else seconds(timeout, "timeout")


def open_socket(carrier: Carrier, timeout: float | None) -> socket.socket:
    """What it carries, in a socket as this program knows them: patched, it gets gevent's."""
    sock = socket.socket(fileno=cast(int, carrier))
    sock.settimeout(timeout)
    return sock


_MISTAKES: Final = (ConfigError, ClosedError, ForkedError)
"""Of the program, which is not to take them for the network's."""


@contextmanager
def target_errors() -> Iterator[None]:
    """What else keeps a connection from being made is an OSError; no way to the far end is an unreachable network."""
    try:
        yield
    except (*_MISTAKES, OSError):
        raise
    except LinkSocksError as error:
        raise TargetError(_cause_of(error), str(error)) from error


def _cause_of(error: LinkSocksError) -> Cause:
    if isinstance(error, DialError) and not isinstance(error, NoLinkError):
        return error.cause
    return Cause.NETWORK_UNREACHABLE
