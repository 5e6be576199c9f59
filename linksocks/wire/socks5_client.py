"""The client's side of SOCKS5 (RFC 1928) and its login (RFC 1929), towards an upstream proxy: bytes in, bytes out.

Each answer of the proxy ends one phase of the table PHASES, in this order::

    METHOD ── no login is chosen ──► REPLY ──► DONE
       └───── it is ──► LOGIN ─────────┘

Any phase ends in FAILED: by a DialError where the proxy said no to the request, by a ProxyError where it did not let
us ask or speaks no SOCKS5.

- What comes out depends on the bytes alone, never on how they were cut into pieces. An answer is refused as soon as
  its first byte is wrong, and a reply that says no as soon as its code is there: what follows tells nothing.
- With credentials both methods are offered, as curl does, and the proxy chooses.
- Between two feeds the buffer holds less than one answer, so at most 261 bytes. What came behind the complete reply
  in the same feed is `leftover`: it is the target's.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final, NamedTuple

from linksocks.errors import Cause, DialError, ProxyError, SocksError
from linksocks.wire.socks5 import NO_AUTH, USER_PASSWORD, Command
from linksocks.wire.socks5_address import address_size, is_known, pack_address, parse_address

_REPLIES: Final = {
    1: (Cause.GENERAL, "general failure"),
    2: (Cause.NOT_ALLOWED, "not allowed"),
    3: (Cause.NETWORK_UNREACHABLE, "network unreachable"),
    4: (Cause.HOST_UNREACHABLE, "host unreachable"),
    5: (Cause.REFUSED, "connection refused"),
    6: (Cause.TIMED_OUT, "timed out"),
    7: (Cause.GENERAL, "the proxy does not support this command"),
    8: (Cause.GENERAL, "the proxy does not support this type of address"),
}
"""The replies of RFC 1928 section 6 but success."""


class Phase(Enum):
    """Which answer of the proxy comes next."""

    METHOD = "method"
    LOGIN = "login"
    REPLY = "reply"
    DONE = "done"
    FAILED = "failed"


class Socks5Client:
    """One handshake. Send `hello`, feed it what arrives and send what it returns, until it is `done`."""

    def __init__(
        self, command: Command, host: str, port: int, username: str = "", password: str = ""
    ) -> None:
        """Names and credentials of more than 255 bytes are ValueErrors."""
        self.phase = Phase.METHOD
        self.hello = bytes((5, 2, NO_AUTH, USER_PASSWORD) if username or password else (5, 1, NO_AUTH))
        # Empty until phase DONE, then what the last feed held beyond the reply.
        self.leftover = b""
        # The front of the answer that this phase waits for; never a whole one between two feeds.
        self._buffer = b""
        # The reply's address, as it came; empty until phase DONE.
        self._bound = b""
        self._login = b"\x01" + _short(username) + _short(password) if username or password else b""
        self._request = bytes((5, command, 0)) + pack_address(host, port)

    @property
    def done(self) -> bool:
        return self.phase is Phase.DONE

    def bound(self) -> tuple[str, int]:
        """The address that the proxy has bound. Who asked for a stream need not look at it. Raises DialError."""
        try:
            return parse_address(self._bound)
        except SocksError as error:
            raise ProxyError(Cause.GENERAL, f"its reply has no address: {error.reason}") from error

    def feed(self, data: bytes) -> bytes:
        """Takes what has arrived, returns what to send (perhaps nothing). Not for use after the end."""
        if self.phase not in PHASES:
            raise ValueError(f"the handshake is {self.phase.value}")
        self._buffer += data
        answers = b""
        try:
            while (step := PHASES.get(self.phase)) and (message := self._take(step)):
                answers += step.handle(self, message)
        except DialError:
            self.phase = Phase.FAILED
            self._buffer = b""
            raise
        if self.done:
            self.leftover, self._buffer = self._buffer, b""
        return answers

    def _take(self, step: Step) -> bytes:
        """The answer of this phase, cut off the buffer; empty while bytes of it are missing."""
        buffer = self._buffer
        if buffer and buffer[0] != step.version:
            raise ProxyError(
                Cause.GENERAL, f"does not speak SOCKS5: {buffer[0]:#04x} begins its {self.phase.value}"
            )
        size = step.size(buffer)
        if size > len(buffer):
            return b""
        self._buffer = buffer[size:]
        return buffer[:size]

    def _choose(self, message: bytes) -> bytes:
        if message[1] not in self.hello[2:]:
            wish = "refuses user and password" if self._login else "asks for a user and password"
            raise ProxyError(Cause.NOT_ALLOWED, f"{wish} (method {message[1]:#04x})")
        if message[1] == USER_PASSWORD:
            self.phase = Phase.LOGIN
            return self._login
        self.phase = Phase.REPLY
        return self._request

    def _logged_in(self, message: bytes) -> bytes:
        if message[1] != 0:
            raise ProxyError(Cause.NOT_ALLOWED, "refuses this user or password")
        self.phase = Phase.REPLY
        return self._request

    def _replied(self, message: bytes) -> bytes:
        if message[1] != 0:
            raise DialError(*_REPLIES.get(message[1], (Cause.GENERAL, f"reply {message[1]}")))
        if not is_known(message[3]):
            raise ProxyError(Cause.GENERAL, f"its reply has an unknown type of address, {message[3]}")
        self._bound = message[3:]
        self.phase = Phase.DONE
        return b""


def _short(text: str) -> bytes:
    """length(1) text"""
    raw = text.encode()
    return bytes((len(raw),)) + raw


def _pair_size(_front: bytes) -> int:
    """version(1) method(1), or version(1) status(1)"""
    return 2


def _reply_size(front: bytes) -> int:
    """version(1) code(1) reserved(1) address"""
    if len(front) >= 2 and front[1] != 0:
        return 2
    return 3 + address_size(front[3:])


class Step(NamedTuple):
    """A phase: the version byte that its answer starts with, its size and its handler."""

    version: int
    size: Callable[[bytes], int]
    handle: Callable[[Socks5Client, bytes], bytes]


PHASES: dict[Phase, Step] = {
    Phase.METHOD: Step(5, _pair_size, Socks5Client._choose),
    Phase.LOGIN: Step(1, _pair_size, Socks5Client._logged_in),
    Phase.REPLY: Step(5, _reply_size, Socks5Client._replied),
}
