"""Bytes that wait, in order, for somebody who is slower than the link that brings them."""

from __future__ import annotations

from collections import deque

from linksocks.tunnel.channels.terms import CHUNK
from linksocks.wire.mask import Buffer


class Backlog:
    """A queue of pieces. Nothing is added to the first one: it may be on its way while more comes."""

    def __init__(self) -> None:
        self._pieces: deque[bytearray] = deque()

    def __bool__(self) -> bool:
        return bool(self._pieces)

    @property
    def first(self) -> bytearray:
        """The piece that goes next."""
        return self._pieces[0]

    def add(self, payload: Buffer) -> None:
        """Keeps a copy of `payload`."""
        # To the last piece more is added: a million single bytes must not be a million objects.
        if len(self._pieces) > 1 and len(self._pieces[-1]) < CHUNK:
            self._pieces[-1] += payload
        else:
            self._pieces.append(bytearray(payload))

    def pop(self) -> bytearray:
        """Takes the first piece out."""
        return self._pieces.popleft()

    def clear(self) -> None:
        """Nothing waits any more."""
        self._pieces.clear()
