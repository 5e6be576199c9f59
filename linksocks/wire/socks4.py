"""The server's side of SOCKS4 and its extension 4a: bytes in, a request out.

There is no RFC; the memos are "SOCKS: A protocol for TCP proxy across firewalls" and "SOCKS 4A". One message::

    version(1) = 4   command(1)   port(2)   address(4)   user id   NUL   [ domain   NUL ]

The domain is there, and names the target, where the address is 0.0.0.x with x not 0.

- What comes out depends on the bytes alone, never on how they were cut into pieces, and a wrong first or second
  byte is refused as soon as it is there.
- Between two feeds the buffer holds less than one message, so at most 519 bytes: a text has 255 at most. What came
  glued behind the request in the same feed is `leftover`: early data for the target.
- SOCKS4 has a user id but no password, so with credentials nobody gets in.
"""

from __future__ import annotations

import ipaddress
from typing import Final

from linksocks.errors import DialError, SocksError
from linksocks.wire.socks5 import Command, Request

GRANTED: Final = 0x5A
REJECTED: Final = 0x5B
USER_REJECTED: Final = 0x5D

_HEAD: Final = 8
_MAX_TEXT: Final = 255


def reply(code: int) -> bytes:
    """The reply to a request; the port and address in it mean nothing for CONNECT."""
    return bytes((0, code)) + bytes(6)


class Socks4Server:
    """One request. Feed it what arrives until there is a `request`; nothing is sent meanwhile."""

    def __init__(self, username: str = "", password: str = "") -> None:
        # None until the message is whole.
        self.request: Request | None = None
        # Empty until then, afterwards what the last feed held beyond the message.
        self.leftover = b""
        # The front of the message; never a whole one between two feeds.
        self._buffer = b""
        self._secured = bool(username or password)
        self._failed = False

    def feed(self, data: bytes) -> bytes:
        """Takes what has arrived, returns nothing to send. Not for use after the end. Raises SocksError."""
        if self._failed or self.request is not None:
            raise ValueError("the request is over")
        self._buffer += data
        try:
            self._parse(self._buffer)
        except SocksError:
            self._failed = True
            self._buffer = b""
            raise
        return b""

    def success(self) -> bytes:
        """The target was reached."""
        return reply(GRANTED)

    def refusal(self, error: DialError) -> bytes:
        """The target was not reached; SOCKS4 has no word for why."""
        return reply(REJECTED)

    def _parse(self, front: bytes) -> None:
        """Sets `request` if the message is whole."""
        self._check(front)
        user_end = _text_end(front, _HEAD, "user id")
        if not user_end:
            return
        if front[4:7] != bytes(3) or front[7] == 0:
            self._finish(str(ipaddress.IPv4Address(front[4:8])), user_end)
        elif domain_end := _text_end(front, user_end, "domain name"):
            self._finish(_domain(front[user_end : domain_end - 1]), domain_end)

    def _check(self, front: bytes) -> None:
        """Raises SocksError as soon as the first bytes tell that it won't do."""
        if front and front[0] != 4:
            raise SocksError(f"expected SOCKS version 4, got {front[0]}", reply(REJECTED))
        if front and self._secured:
            raise SocksError(
                "SOCKS4 has no password and this port asks for one: set the application to use SOCKS5 or HTTP",
                reply(USER_REJECTED),
            )
        if len(front) >= 2 and front[1] != Command.CONNECT:
            raise SocksError(
                f"SOCKS4 command {front[1]} is not supported, only CONNECT (1): let the application connect out",
                reply(REJECTED),
            )

    def _finish(self, host: str, end: int) -> None:
        self.request = Request(Command.CONNECT, host, int.from_bytes(self._buffer[2:4]))
        self.leftover, self._buffer = self._buffer[end:], b""


def _text_end(front: bytes, start: int, what: str) -> int:
    """Where the text is over that begins at `start`, its NUL included; 0 while it is not."""
    limit = start + _MAX_TEXT + 1
    end = front.find(0, start, limit) + 1
    if not end and len(front) >= limit:
        raise SocksError(f"a {what} of more than {_MAX_TEXT} bytes", reply(REJECTED))
    return end


def _domain(raw: bytes) -> str:
    """A name of printable characters; as in SOCKS5, IDNs may come as UTF-8."""
    try:
        name = raw.decode()
    except UnicodeDecodeError as error:
        raise SocksError("a domain name that is not UTF-8", reply(REJECTED)) from error
    if not name or not name.isprintable():
        raise SocksError(f"no domain name: {name!r}", reply(REJECTED))
    return name
