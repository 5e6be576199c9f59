"""The server's side of SOCKS5 (RFC 1928) and its login (RFC 1929): bytes in, bytes and a request out.

Each message of the application is one phase of the table PHASES, in this order::

    GREETING ── no credentials are set ──────────────► REQUEST ──► DONE
        └────── they are ──► LOGIN ── they match ────────┘

Any phase ends in FAILED by a SocksError, whose `reply` is what to send before closing.

- What comes out depends on the bytes alone, never on how they were cut into pieces: a phase looks only at the
  front of the buffer, and a message is refused as soon as its first byte or its address type is wrong.
- Between two feeds the buffer holds less than one message, so at most 512 bytes. What came glued behind the
  complete request in the same feed is `leftover`: early data for the target.
- Without credentials only no-auth is accepted; with any, even an empty user or password, only the login.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from enum import Enum, IntEnum
from typing import NamedTuple

from linksocks.errors import Cause, DialError, SocksError
from linksocks.wire.socks5_address import address_size, is_known, pack_address, parse_address

# Replies beside those of `errors.Cause` (RFC 1928 section 6).
SUCCEEDED = 0
COMMAND_NOT_SUPPORTED = 7
ADDRESS_TYPE_NOT_SUPPORTED = 8

NO_AUTH, USER_PASSWORD, NONE_ACCEPTABLE = 0x00, 0x02, 0xFF

_NOT_OFFERED = {
    NO_AUTH: "the application insists on a login and this port has none: set no user and password in it",
    USER_PASSWORD: "the application offers no login and this port asks for one: set the user and password in it",
}
"""Why no method is acceptable, by the one that we accept."""

LOGIN_SUCCEEDED, LOGIN_FAILED = b"\x01\x00", b"\x01\x01"


class Command(IntEnum):
    """What an application asks for."""

    CONNECT = 1
    BIND = 2
    UDP_ASSOCIATE = 3


class Request(NamedTuple):
    """A complete request. `host` is an IP address or a domain name, as text."""

    command: Command
    host: str
    port: int


def reply(code: int, host: str = "0.0.0.0", port: int = 0) -> bytes:
    """The reply to a request: 0, a Cause or another code, and the address that is bound."""
    return bytes((5, code, 0)) + pack_address(host, port)


class Phase(Enum):
    """Where the handshake stands."""

    GREETING = "greeting"
    LOGIN = "login"
    REQUEST = "request"
    DONE = "done"
    FAILED = "failed"


class Socks5Server:
    """One handshake. Feed it what arrives and send what it returns, until there is a `request`."""

    def __init__(self, username: str = "", password: str = "") -> None:
        self.phase = Phase.GREETING
        # None until phase DONE.
        self.request: Request | None = None
        # Empty until phase DONE, then what the last feed held beyond the request.
        self.leftover = b""
        # The front of the message that this phase waits for; never a whole one between two feeds.
        self._buffer = b""
        # The one method that we accept, and what the application must send if that is the login.
        self._method = USER_PASSWORD if username or password else NO_AUTH
        self._username = username.encode()
        self._password = password.encode()

    def feed(self, data: bytes | bytearray | memoryview) -> bytes:
        """Takes what has arrived, returns what to send (perhaps nothing). Not for use after the end."""
        if self.phase not in PHASES:
            raise ValueError(f"the handshake is {self.phase.value}")
        self._buffer += data
        replies = b""
        try:
            while (step := PHASES.get(self.phase)) and (message := self._take(step)):
                replies += step.handle(self, message)
        except SocksError as error:
            self.phase = Phase.FAILED
            self._buffer = b""
            error.reply = replies + error.reply
            raise
        if self.phase is Phase.DONE:
            self.leftover, self._buffer = self._buffer, b""
        return replies

    def success(self) -> bytes:
        """The target was reached."""
        return reply(SUCCEEDED)

    def refusal(self, error: DialError) -> bytes:
        """The target was not reached."""
        return reply(error.cause)

    def _take(self, step: Step) -> bytes:
        """The message of this phase, cut off the buffer; empty while bytes of it are missing."""
        buffer = self._buffer
        if buffer and buffer[0] != step.version:
            reason = f"expected version {step.version} in the SOCKS5 {self.phase.value}, got {buffer[0]}"
            raise SocksError(reason, step.refusal)
        size = step.size(buffer)
        if size > len(buffer):
            return b""
        self._buffer = buffer[size:]
        return buffer[:size]

    def _greet(self, message: bytes) -> bytes:
        if self._method not in message[2:]:
            raise SocksError(_NOT_OFFERED[self._method], bytes((5, NONE_ACCEPTABLE)))
        self.phase = Phase.LOGIN if self._method == USER_PASSWORD else Phase.REQUEST
        return bytes((5, self._method))

    def _login(self, message: bytes) -> bytes:
        end = 2 + message[1]
        # Both are compared, whatever the first says: the time it takes tells nothing.
        user = hmac.compare_digest(message[2:end], self._username)
        password = hmac.compare_digest(message[end + 1 :], self._password)
        if not (user and password):
            raise SocksError("wrong user or password", LOGIN_FAILED)
        self.phase = Phase.REQUEST
        return LOGIN_SUCCEEDED

    def _ask(self, message: bytes) -> bytes:
        code, kind = message[1], message[3]
        if not is_known(kind):
            reason = f"expected the address type IPv4 (1), domain (3) or IPv6 (4), got {kind}"
            raise SocksError(reason, reply(ADDRESS_TYPE_NOT_SUPPORTED))
        if code not in (Command.CONNECT, Command.UDP_ASSOCIATE):
            reason = f"SOCKS5 command {code} is not supported, only CONNECT (1) and UDP ASSOCIATE (3)"
            raise SocksError(reason, reply(COMMAND_NOT_SUPPORTED))
        try:
            self.request = Request(Command(code), *parse_address(message[3:]))
        except SocksError as error:
            error.reply = reply(Cause.GENERAL)
            raise
        self.phase = Phase.DONE
        return b""


# How many bytes a message has, as far as its front tells: more than are there while it is not whole.


def _greeting_size(front: bytes) -> int:
    """version(1) count(1) methods(count)"""
    return 2 + front[1] if len(front) >= 2 else 2


def _login_size(front: bytes) -> int:
    """version(1) length(1) user length(1) password"""
    if len(front) < 2:
        return 2
    end = 2 + front[1]
    return end + 1 + (front[end] if len(front) > end else 0)


def _request_size(front: bytes) -> int:
    """version(1) command(1) reserved(1) address"""
    return 3 + address_size(front[3:])


class Step(NamedTuple):
    """A phase: the version byte it starts with, its size, its handler, and the answer to another version."""

    version: int
    size: Callable[[bytes], int]
    handle: Callable[[Socks5Server, bytes], bytes]
    refusal: bytes


# What does not greet as SOCKS5 is another protocol, so it gets no SOCKS5 reply.
PHASES: dict[Phase, Step] = {
    Phase.GREETING: Step(5, _greeting_size, Socks5Server._greet, b""),
    Phase.LOGIN: Step(1, _login_size, Socks5Server._login, LOGIN_FAILED),
    Phase.REQUEST: Step(5, _request_size, Socks5Server._ask, reply(Cause.GENERAL)),
}
