"""Bytes in, WebSocket messages out (RFC 6455 sections 5.2 to 5.5), without I/O.

The caller reads its socket straight into `buffer()`, says with `received()` how much came, and takes events with
`next_event()` until there is none. So a payload is copied once at most: to unmask it.

A frame is read in one of two ways. One that fits the buffer is handed out as a view of it, or unmasked from it. A
larger one gets a bytearray of its own, which the rest of the frame is read into. Frames of a fragmented message are
gathered in a third.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from linksocks.errors import FrameError
from linksocks.wire.frames import MAX_CONTROL_PAYLOAD, CloseCode, Opcode
from linksocks.wire.mask import Buffer, apply_mask

MAX_MESSAGE: Final = 32 * 1024 * 1024
"""Bytes in one message, PROTOCOL section 1.3; more is answered with close code 1009."""

_FIRST_STORE = 4 * 1024
"""What every connection has, also one of a stranger: 1,000 of them cost 140 MB with the next size."""

_SMALL_STORE = 128 * 1024
"""What a connection gets with the first frame that is not short, or not whole after one read."""

_STORE = 1024 * 1024
"""What a connection gets with the first frame that does not fit the small one."""

_READ_AHEAD = 64 * 1024
"""Room that `buffer()` offers at the least, but in the first store, while no large frame is on the way: a read brings
whole frames."""

_OPCODES = frozenset(Opcode)


class Event(NamedTuple):
    """A whole message (TEXT or BINARY), a control frame, or FRAGMENT.

    `payload` may be a view of the receiver's buffer: it is valid until the next call of `buffer()`.
    """

    opcode: int
    payload: Buffer


FRAGMENT: Final = Event(Opcode.CONTINUATION, b"")
"""A frame that did not end its message. It is told of so that a caller can count: a peer may send any number."""


class _Frame(NamedTuple):
    """The head of a frame."""

    fin: bool
    opcode: int
    key: bytes  # empty where the frame is not masked
    header: int  # bytes that the head takes
    length: int  # bytes of payload


class MessageReceiver:
    """Reads one direction of a WebSocket. Any FrameError is final: the link must end with its close code."""

    def __init__(self, *, masked: bool, max_message: int = MAX_MESSAGE, early: bytes = b"") -> None:
        self.max_message = max_message
        """May be raised later: before a peer has logged in, it has no use for 32 MiB."""
        self._masked = masked  # what the peer must do: clients mask, servers don't
        self._store = bytearray(max(_FIRST_STORE, 2 * len(early)))
        self._view = memoryview(self._store)
        self._view[: len(early)] = early
        self._start = 0  # _store[_start:_end] is received and not yet handed out
        self._end = len(early)
        self._head: _Frame | None = None  # of the frame whose payload is incomplete
        self._large: bytearray | None = None  # its payload, where it does not fit the store
        self._large_filled = 0
        self._message: bytearray | None = None  # a fragmented message so far
        self._message_opcode = 0

    def buffer(self) -> memoryview:
        """Where the next bytes from the socket go. Views handed out before are void now."""
        if self._large is not None:
            return memoryview(self._large)[self._large_filled :]
        if self._start == self._end:
            self._start = self._end = 0
        elif self._start and len(self._store) - self._end < _READ_AHEAD:
            rest = self._end - self._start
            self._view[:rest] = self._view[self._start : self._end]
            self._start, self._end = 0, rest
        return self._view[self._end :]

    def received(self, count: int) -> None:
        """`count` bytes were written to the start of the last `buffer()`."""
        if self._large is not None:
            self._large_filled += count
        else:
            self._end += count

    def next_event(self) -> Event | None:
        """The next event, or None when more bytes are needed. Raises FrameError."""
        if self._head is None and self._message is None:
            if self._start == self._end:
                return None
            event = self._short_message()
            if event is not None:
                return event
        head = self._head
        if head is None:
            head = self._read_head()
            if head is None:
                return None
            self._check(head)
            self._start += head.header
            self._head = head
        payload = self._read_payload(head)
        if payload is None:
            return None
        self._head = None
        return self._complete(head, payload)

    def _short_message(self) -> Event | None:
        """The hot path: a binary message in one frame of less than 64 KiB that is here whole. None for all else."""
        store, start = self._store, self._start
        if self._end - start < 8 or store[start] != 0x82:
            return None
        length = store[start + 1] - 0x80 * self._masked
        begin = start + 2 + 4 * self._masked
        if length == 126:
            length = store[start + 2] << 8 | store[start + 3]
            begin += 2
            if length < 126:
                return None
        elif not 0 <= length < 126:
            return None
        end = begin + length
        if end > self._end or length > self.max_message:
            return None
        self._start = end
        payload: Buffer = self._view[begin:end]
        if self._masked:
            payload = apply_mask(payload, store[begin - 4 : begin])
        return Event(Opcode.BINARY, payload)

    def _read_head(self) -> _Frame | None:
        available = self._end - self._start
        if available < 2:
            return None
        store, at = self._store, self._start
        first, second = store[at], store[at + 1]
        if first & 0x70:
            raise FrameError(CloseCode.PROTOCOL_ERROR, "reserved bits are set and no extension was agreed")
        length = second & 0x7F
        header = 2
        if length == 126:
            header, fewest, layout = 4, 126, "!H"
        elif length == 127:
            header, fewest, layout = 10, 0x10000, "!Q"
        masked = bool(second & 0x80)
        if available < header + 4 * masked:
            return None
        if header > 2:
            (length,) = struct.unpack_from(layout, store, at + 2)
            if length < fewest:
                raise FrameError(CloseCode.PROTOCOL_ERROR, "a length is not written in its shortest form")
            if length >> 63:
                raise FrameError(CloseCode.PROTOCOL_ERROR, "a length has its highest bit set")
        if masked != self._masked:
            expected = "masked" if self._masked else "unmasked"
            raise FrameError(CloseCode.PROTOCOL_ERROR, f"expected {expected} frames from this side")
        key = b""
        if masked:
            key = bytes(store[at + header : at + header + 4])
            header += 4
        return _Frame(bool(first & 0x80), first & 0x0F, key, header, length)

    def _check(self, head: _Frame) -> None:
        """Judges a frame by its head, before any of its payload is stored."""
        if head.opcode not in _OPCODES:
            raise FrameError(CloseCode.PROTOCOL_ERROR, f"unknown opcode {head.opcode}")
        if head.opcode >= Opcode.CLOSE:
            if not head.fin:
                raise FrameError(CloseCode.PROTOCOL_ERROR, "a control frame is fragmented")
            if head.length > MAX_CONTROL_PAYLOAD:
                raise FrameError(
                    CloseCode.PROTOCOL_ERROR, f"a control frame of {head.length} bytes, at most 125"
                )
            return
        if (head.opcode == Opcode.CONTINUATION) != (self._message is not None):
            reason = "a message begins inside another" if head.opcode else "a continuation of no message"
            raise FrameError(CloseCode.PROTOCOL_ERROR, reason)
        if len(self._message or b"") + head.length > self.max_message:
            raise FrameError(CloseCode.TOO_BIG, f"a message of more than {self.max_message} bytes")

    def _read_payload(self, head: _Frame) -> Buffer | None:
        """The frame's payload, unmasked, or None while it is incomplete."""
        raw: memoryview
        if self._large is not None:
            if self._large_filled < head.length:
                return None
            raw, self._large = memoryview(self._large), None
        elif head.length > len(self._store) - _READ_AHEAD:
            if len(self._store) < _SMALL_STORE:
                self._grow(_SMALL_STORE)
            elif head.length > _STORE - _READ_AHEAD:
                self._begin_large(head.length)
            else:
                self._grow(_STORE)
            return self._read_payload(head)
        else:
            if self._end - self._start < head.length:
                return None
            raw = self._view[self._start : self._start + head.length]
            self._start += head.length
        return apply_mask(raw, head.key) if head.key else raw

    def _grow(self, size: int) -> None:
        rest = self._view[self._start : self._end]
        self._store = bytearray(size)
        self._view = memoryview(self._store)
        self._view[: len(rest)] = rest
        self._start, self._end = 0, len(rest)

    def _begin_large(self, length: int) -> None:
        """Moves what came of a large frame's payload to a bytearray of its own."""
        here = min(length, self._end - self._start)
        self._large = bytearray(length)
        self._large[:here] = self._view[self._start : self._start + here]
        self._large_filled = here
        self._start += here

    def _complete(self, head: _Frame, payload: Buffer) -> Event:
        """The event that a whole frame makes."""
        if head.opcode >= Opcode.CLOSE:
            return Event(head.opcode, bytes(payload))
        if self._message is None:
            if head.fin:
                return Event(head.opcode, payload)
            self._message, self._message_opcode = bytearray(payload), head.opcode
            return FRAGMENT
        self._message += payload
        if not head.fin:
            return FRAGMENT
        message, self._message = self._message, None
        return Event(self._message_opcode, message)
