"""WebSocket frames as bytes: how one is written, and what a close frame says (RFC 6455 sections 5 and 7).

Reading is in `receiver`, which needs the same few numbers.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

from linksocks.errors import FrameError
from linksocks.wire.mask import Buffer, apply_mask


class Opcode(IntEnum):
    """RFC 6455 section 5.2. From 8 on, a frame is a control frame."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class CloseCode(IntEnum):
    """The codes that we send (RFC 6455 section 7.4.1), and 1006, which never stands on the wire."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    ABNORMAL = 1006
    INVALID_DATA = 1007
    POLICY = 1008
    TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    TRY_AGAIN_LATER = 1013


MAX_CONTROL_PAYLOAD: Final = 125
"""Bytes that a control frame may carry (RFC 6455 section 5.5)."""

_SMALL = 4096
"""Messages up to here are joined into one buffer: the copy costs less than another entry for sendmsg."""

_FIN = 0x80
_MASKED = 0x80
_SHORT = struct.Struct("!BB")
_MEDIUM = struct.Struct("!BBH")
_LONG = struct.Struct("!BBQ")


class FrameWriter:
    """Turns messages into frames; a client masks what it sends, a server must not (RFC 6455 section 5.1)."""

    def __init__(self, *, masking: bool) -> None:
        self._masking = masking
        self._keys: Iterator[bytes] = iter(())  # one read of the system's source serves 1,024 frames

    def frame(self, opcode: Opcode, *parts: Buffer) -> list[Buffer]:
        """One unfragmented frame, as buffers to send in this order.

        All parts but the last must have a length that 4 divides, so that each is masked from the key's start.
        """
        length = 0
        for part in parts:
            length += len(part)
        if length <= _SMALL:
            parts = (b"".join(parts),)
        if not self._masking:
            return [_header(opcode, length, 0), *parts]
        key = self._next_key()
        header = _header(opcode, length, _MASKED) + key
        return [header + apply_mask(parts[0], key), *(apply_mask(part, key) for part in parts[1:])]

    def _next_key(self) -> bytes:
        key = next(self._keys, None)
        if key is None:
            random = os.urandom(4096)
            self._keys = iter([random[at : at + 4] for at in range(0, 4096, 4)])
            key = next(self._keys)
        return key


def _header(opcode: int, length: int, masked: int) -> bytes:
    if length <= 125:
        return _SHORT.pack(_FIN | opcode, masked | length)
    if length <= 0xFFFF:
        return _MEDIUM.pack(_FIN | opcode, masked | 126, length)
    return _LONG.pack(_FIN | opcode, masked | 127, length)


def pack_close(code: int, reason: str = "") -> bytes:
    """The payload of a close frame; the reason is cut to what a control frame holds."""
    text = reason.encode()[: MAX_CONTROL_PAYLOAD - 2].decode(errors="ignore")
    return struct.pack("!H", code) + text.encode()


def parse_close(payload: bytes) -> tuple[int, str]:
    """Code and reason of a close frame's payload; 1005 where it is empty (RFC 6455 section 7.1.5).

    Raises FrameError for one byte, a code that may not stand on the wire, or a reason that is not UTF-8.
    """
    if not payload:
        return 1005, ""
    if len(payload) == 1:
        raise FrameError(CloseCode.PROTOCOL_ERROR, "a close frame with one byte, expected none or a code")
    code = int.from_bytes(payload[:2])
    if not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
        raise FrameError(CloseCode.PROTOCOL_ERROR, f"close code {code} may not stand on the wire")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError as error:
        raise FrameError(CloseCode.INVALID_DATA, "the reason of a close frame is not UTF-8") from error
