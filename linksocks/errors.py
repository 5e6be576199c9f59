"""Every error that linksocks raises on purpose, as one tree.

::

    LinkSocksError              a RuntimeError
    ├── ConfigError             a setting is wrong; names where it stands and what was expected; a ValueError
    ├── ListenError             a local port can't be opened
    ├── StateError              the state file can't be read or written
    ├── ProtocolError           bytes from the other side break a protocol; `.reason` says how
    │   ├── MessageError        ... a LinkSocks message (PROTOCOL section 1)
    │   ├── FrameError          ... a WebSocket frame (RFC 6455); `.code` is the close code to answer
    │   └── RequestError        ... an application's request for a connection; `.reply` is what to send before closing
    │       ├── SocksError      ... in SOCKS5 (RFC 1928, 1929) or SOCKS4
    │       └── HttpError       ... in HTTP (RFC 9110, 9112)
    ├── DialError               a target was not reached; `.cause` is what a SOCKS reply needs
    │   ├── ProxyError          ... because of the upstream proxy itself, whatever the target
    │   ├── NoLinkError         ... because there is no link to a side that could dial it
    │   └── TargetError         ... as callers of `create_connection` hear of it; an OSError
    ├── LinkError               a link could not be made, worth another try
    │   └── AuthError           ... because the token was refused: trying again does not help
    ├── LinkClosed              a link ended; `.code` is the WebSocket close code
    ├── ConnectorError          the server did not add or remove a connector token
    ├── ChannelError            a channel ended before its streams did
    ├── DeadlineError           a call of the library took longer than it may; a TimeoutError
    ├── ClosedError             a Server or Client was used after it was closed
    └── ForkedError             ... or in another process than the one that made it

Errors of the socket and of libraries are turned into these once, where they come in, always with `from`.

The `args` of each are what made it, and `str` is made of those: so all survive `copy` and `pickle`, from one process
to another, with their attributes.
"""

from __future__ import annotations

import errno
from enum import IntEnum
from typing import Final, cast


class Cause(IntEnum):
    """Why a target was not reached. The values are the SOCKS5 reply codes of RFC 1928 section 6."""

    GENERAL = 1
    NOT_ALLOWED = 2
    NETWORK_UNREACHABLE = 3
    HOST_UNREACHABLE = 4
    REFUSED = 5
    TIMED_OUT = 6


class LinkSocksError(RuntimeError):
    """The root: `except LinkSocksError` catches all that this package raises on purpose."""


class ConfigError(LinkSocksError, ValueError):
    """A setting is wrong: the message names where it stands, what was expected and what to do."""


class ListenError(LinkSocksError):
    """A local port can't be opened."""


class StateError(LinkSocksError):
    """The state file can't be read or written; the message names it and says what to do."""


class ProtocolError(LinkSocksError):
    """The other side sent bytes that break a protocol."""

    layer = "protocol"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.layer}: {self.reason}"


class MessageError(ProtocolError):
    """A LinkSocks message is malformed (PROTOCOL section 1)."""

    layer = "LinkSocks message"


class FrameError(ProtocolError):
    """A WebSocket frame is malformed; `code` is the close code to answer it with (RFC 6455 section 7.4.1)."""

    layer = "WebSocket frame"

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.args = code, reason
        self.code = code


class RequestError(ProtocolError):
    """An application's request is malformed, not permitted or not supported; `reply` says so in its protocol."""

    layer = "request"

    def __init__(self, reason: str, reply: bytes = b"") -> None:
        super().__init__(reason)
        self.args = reason, reply
        self.reply = reply


class SocksError(RequestError):
    """A request in SOCKS5 (RFC 1928, RFC 1929) or SOCKS4."""

    layer = "SOCKS"


class HttpError(RequestError):
    """A request in HTTP (RFC 9110, RFC 9112)."""

    layer = "HTTP"


class DialError(LinkSocksError):
    """A target was not reached."""

    def __init__(self, cause: Cause, reason: str) -> None:
        super().__init__(cause, reason)
        self.cause = cause
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class ProxyError(DialError):
    """The upstream proxy is not there, does not let us in, or is none: that says nothing about the target."""


class NoLinkError(DialError):
    """There is no link to a side that could dial."""


class TargetError(DialError, OSError):
    """A connection that `create_connection` was asked for was not made; `errno` follows from the cause.

    One with an `errno` for which Python has a class is of that class too, as with OSError itself: a
    ConnectionRefusedError, a TimeoutError, a PermissionError or a ConnectionAbortedError.
    """

    def __new__(cls, cause: Cause, reason: str) -> TargetError:
        return OSError.__new__(_KINDS.get(cause, TargetError), cause, reason)

    def __init__(self, cause: Cause, reason: str) -> None:
        super().__init__(cause, reason)
        self.errno = _ERRNO[cause]
        self.strerror = reason

    def __reduce__(self) -> tuple[object, ...]:
        return TargetError, self.args, self.__dict__


_ERRNO: Final = {
    Cause.GENERAL: errno.ECONNABORTED,
    Cause.NOT_ALLOWED: errno.EACCES,
    Cause.NETWORK_UNREACHABLE: errno.ENETUNREACH,
    Cause.HOST_UNREACHABLE: errno.EHOSTUNREACH,
    Cause.REFUSED: errno.ECONNREFUSED,
    Cause.TIMED_OUT: errno.ETIMEDOUT,
}


def _that_is(kind: type[OSError]) -> type[TargetError]:
    """A TargetError that `except` finds by `kind` too."""
    body = {"__module__": __name__, "__doc__": TargetError.__doc__}
    return cast(type[TargetError], type(TargetError.__name__, (TargetError, kind), body))


_KINDS: Final = {
    Cause.GENERAL: _that_is(ConnectionAbortedError),
    Cause.NOT_ALLOWED: _that_is(PermissionError),
    Cause.REFUSED: _that_is(ConnectionRefusedError),
    Cause.TIMED_OUT: _that_is(TimeoutError),
}
"""What Python makes of their errno; it has nothing for the others."""


class LinkError(LinkSocksError):
    """A link could not be made; the message names the step: TCP, TLS, HTTP or auth."""


class AuthError(LinkError):
    """The server refused the token. Final, unless the caller asks to retry."""


class LinkClosed(LinkSocksError):  # noqa: N818 - an event as much as an error
    """A link ended. `code` is the WebSocket close code, 1006 where none came (RFC 6455 section 7.4)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return f"link closed with code {self.code}" + (f": {self.reason}" if self.reason else "")


class ConnectorError(LinkSocksError):
    """The server did not add or remove a connector token, or did not say so in time."""


class ChannelError(LinkSocksError):
    """A channel ended before its streams did: bytes may be missing, so the stream counts as broken."""


class DeadlineError(LinkSocksError, TimeoutError):
    """A call of the library was not done in the time that it was given, or that it may take."""


class ClosedError(LinkSocksError):
    """A Server or Client was used after it was closed: make another one."""


class ForkedError(LinkSocksError):
    """A Server or Client was used in a process that forked from the one that made it: make another one there."""
