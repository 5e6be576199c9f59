"""The one place that writes to a WebSocket's socket.

Control messages go first, then the sources in turn, each a bounded number of bytes: a part of one stream, or many
datagrams. So no source waits for more than one turn of every other. What goes out is gathered into batches:

- The first message in a turn of the event loop is written at once, by the greenlet that sends it.
- What more comes in that turn goes out together at its end: on a busy link a hundred messages are one system call.
- When the socket does not take all, the greenlet of the writer waits for it and goes on. It lets the others run
  between two batches.

Only one of them writes at any time. `_parked` says whether a sender may:

======== ============================ =========================================================================
_parked  who has the turn             until
======== ============================ =========================================================================
True     nobody: nothing waits        a message comes: its sender writes, or `_end_turn` if another one wrote
False    a sender, in _write_through  its one batch is out (parked again), or there is more: it wakes the greenlet
False    the greenlet, in _run        nothing waits any more (parked again)
False    nobody: the end              -
======== ============================ =========================================================================
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import gevent
from gevent import socket
from gevent.event import Event
from gevent.ssl import SSLSocket

from linksocks.net.greenlets import give_way, spawn
from linksocks.wire.frames import FrameWriter, Opcode
from linksocks.wire.mask import Buffer

_TURN: Final = 128 * 1024
"""The most bytes of one source while others wait. 64 KiB cost eight streams 1.9 s of CPU time a GiB, 128 cost 1.4.

Not one message: of 2,000 datagrams a second beside a bulk stream half were lost, of 10,000 all but a twentieth."""

_ALONE: Final = 512 * 1024
"""The most bytes of a source that has the writer for itself: one read of a socket is one message."""

_BATCH: Final = 256 * 1024
"""Bytes after which a batch goes out: what is handed to the kernel can't be overtaken by a control message."""

_TLS_PART: Final = 64 * 1024
"""Bytes for OpenSSL at once. It says what the socket took when it took all, so a slow link would seem dead."""

_BATCH_BUFFERS: Final = 512
"""Buffers in one batch; Linux takes 1,024 in one system call."""


class Source(Protocol):
    """Something with messages to send when its turn comes."""

    queued: bool
    """True while the writer knows of it. Only the writer sets it."""

    @property
    def pending(self) -> bool:
        """Whether another message waits; without it the source must be offered again."""

    def take(self, limit: int) -> Sequence[Buffer] | None:
        """The parts of the next message, all but the last of a length that 4 divides; None when there is none.

        The last part has at most `limit` bytes, unless it is a datagram, which can't be cut.
        """


class Writer:
    """Writes frames to `sock`. `failed` hears of an OSError; who waits too long for the peer ends the socket.

    No method waits; any greenlet may call them.
    """

    def __init__(
        self, sock: socket.socket, *, masking: bool, name: str, failed: Callable[[OSError], None]
    ) -> None:
        self._sock = sock
        self._fd = sock.fileno()
        self._tls = isinstance(sock, SSLSocket)  # no scatter-gather, and no writing past its own buffer
        self._failed = failed
        self._frames = FrameWriter(masking=masking)
        self._ping: bytes | None = None
        self._pong: bytes | None = None  # RFC 6455 section 5.5.3: only the latest ping needs an answer
        self._control: deque[bytes] = deque()
        self.backlog = 0
        """Bytes of control messages that wait."""
        self._sources: deque[Source] = deque()
        self._close: bytes | None = None  # the close frame's payload, until it is gathered
        self._closing = False  # from `close` on, sources get no turn
        self._unsent: list[Buffer] = []  # of a batch, what the socket did not take
        self._parked = False  # the greenlet has nothing to do, so others may write
        self._turn = -1.0  # the turn of the loop in which something was written at once
        self._ending = False  # `_end_turn` will be called
        self._wake = Event()
        self.written = 0
        """Bytes that the socket has taken."""
        self.progress = Event()
        """Set whenever a batch is out, and at the end."""
        self.finished = Event()
        """Set when nothing more will be written: the close frame is out, or writing failed."""
        self._loop = gevent.get_hub().loop
        self._greenlet = spawn(f"websocket writer of {name}", self._run)

    def send(self, message: bytes) -> None:
        """Sends a control message, before all that the sources hold."""
        if not self._closing:
            self._control.append(message)
            self.backlog += len(message)
            self._ready()

    def offer(self, source: Source) -> None:
        """`source` has a message: it gets its turns until it has none."""
        if not source.queued:
            source.queued = True
            self._sources.append(source)
            self._ready()

    def ping(self, payload: bytes) -> None:
        """Sends a ping, instead of one that still waits."""
        self._ping = payload
        self._ready()

    def pong(self, payload: bytes) -> None:
        """Answers a ping."""
        self._pong = payload
        self._ready()

    def close(self, payload: bytes) -> None:
        """Sends a close frame after the control messages sent so far, and then nothing more."""
        self._close = payload
        self._closing = True
        self._ready()

    @property
    def blocked(self) -> bool:
        """Whether something waits for the peer to take it."""
        return not self._parked

    def stop(self) -> None:
        """Writes nothing more, from now on."""
        self._greenlet.kill()

    # -- who writes when

    def _ready(self) -> None:
        """Something waits. If the greenlet is at work it will look again."""
        if not self._parked:
            return
        now = self._loop.now()
        if now != self._turn:
            self._turn = now
            self._write_through()
        elif not self._ending:
            self._ending = True
            self._loop.run_callback(self._end_turn)

    def _end_turn(self) -> None:
        self._ending = False
        if self._parked and self._waiting():
            self._write_through()

    def _write_through(self) -> None:
        """Writes one batch without waiting; the greenlet gets what is left to do."""
        self._parked = False  # a source that sends when it is asked must not write in between
        if not self._tls:
            batch = self._gather()
            if batch:
                try:
                    self._unsent = self._after(batch, os.writev(self._fd, batch))
                except BlockingIOError:
                    self._unsent = batch
                except OSError as error:
                    self._fail(error)
                    return
        if self._unsent or self._waiting() or self._closing:
            self._wake.set()
        else:
            self._parked = True

    def _waiting(self) -> bool:
        frames = self._ping is not None or self._pong is not None or self._close is not None
        return frames or bool(self._control or self._sources)

    def _run(self) -> None:
        try:
            while True:
                batch = self._unsent or self._gather()
                self._unsent = []
                if batch:
                    self._transmit(batch)
                    if self._waiting():
                        give_way()
                elif self._closing and self._close is None:
                    return
                else:
                    self._wake.clear()
                    self._parked = True
                    self._wake.wait()
        except OSError as error:
            self._fail(error)
        finally:
            self._parked = False
            self.progress.set()
            self.finished.set()

    def _fail(self, error: OSError) -> None:
        self._parked = False
        self.progress.set()
        self.finished.set()
        self._failed(error)

    # -- what is written

    def _gather(self) -> list[Buffer]:
        """What goes out next: ping, pong, control messages, one message of each source, then the close frame."""
        frame = self._frames.frame
        batch: list[Buffer] = []
        size = 0
        if self._ping is not None:
            batch += frame(Opcode.PING, self._ping)
            self._ping = None
        if self._pong is not None:
            batch += frame(Opcode.PONG, self._pong)
            self._pong = None
        while self._control and len(batch) < _BATCH_BUFFERS:
            message = self._control.popleft()
            self.backlog -= len(message)
            size += len(message)
            batch += frame(Opcode.BINARY, message)
        sources = self._sources
        while sources and size < _BATCH and len(batch) < _BATCH_BUFFERS and not self._closing:
            source = sources.popleft()
            turn = size + (_TURN if sources else _ALONE)
            while (parts := source.take(turn - size)) is not None:
                size += len(parts[-1])
                batch += frame(Opcode.BINARY, *parts)
                if not source.pending or size >= min(turn, _BATCH) or len(batch) >= _BATCH_BUFFERS:
                    break
            if source.pending and parts is not None:
                sources.append(source)
            else:
                source.queued = False
        if self._close is not None and not self._control:
            batch += frame(Opcode.CLOSE, self._close)
            self._close = None
        return batch

    def _transmit(self, batch: list[Buffer]) -> None:
        """Writes all of it, as fast as the peer takes it. Raises OSError."""
        if self._tls:
            batch = [memoryview(b"".join(batch))]
        while batch:
            sent = self._sock.send(batch[0][:_TLS_PART]) if self._tls else self._sock.sendmsg(batch)
            batch = self._after(batch, sent)

    def _after(self, batch: list[Buffer], sent: int) -> list[Buffer]:
        """What is left of `batch` behind its first `sent` bytes."""
        self.written += sent
        self.progress.set()
        for place, buffer in enumerate(batch):
            if sent < len(buffer):
                return [memoryview(buffer)[sent:], *batch[place + 1 :]] if sent else batch[place:]
            sent -= len(buffer)
        return []
