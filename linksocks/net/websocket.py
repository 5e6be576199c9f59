"""One WebSocket on a gevent socket, from the handshake's end to the close (RFC 6455).

Two greenlets share it. The owner reads: `receive()` hands out whole messages and deals with control frames. The
writer, which lives here, is the only one that writes: control messages first, then the sources in turn, one message
each, so that no source waits for more than one message of every other.

The states, and what moves between them:

========= =================================== =========
state     event                               becomes
========= =================================== =========
OPEN      `close()`, or a close frame came    CLOSING
OPEN      the peer vanished, or a write did   CLOSED
CLOSING   both close frames are through       CLOSED
CLOSING   CLOSE_WAIT passed                   CLOSED
========= =================================== =========

In CLOSING nothing more is read as a message, and what the sources still hold is not sent.
"""

from __future__ import annotations

import contextlib
import socket as stdlib_socket
from collections import deque
from collections.abc import Sequence
from enum import Enum
from typing import Final, Protocol

import gevent
from gevent import socket
from gevent.event import Event
from gevent.ssl import SSLSocket

from linksocks.errors import FrameError, LinkClosed
from linksocks.net.greenlets import spawn, within
from linksocks.net.sockets import end_politely, tune
from linksocks.wire.frames import CloseCode, FrameWriter, Opcode, pack_close, parse_close
from linksocks.wire.mask import Buffer
from linksocks.wire.receiver import MAX_MESSAGE, MessageReceiver

PING_INTERVAL: Final = 25.0
"""Seconds between our pings: below the 30 s after which many NATs and proxies forget a quiet connection."""

SILENCE: Final = 60.0
"""Seconds without a byte received after which a peer counts as dead, and without a byte taken, a write as failed."""

CLOSE_WAIT: Final = 2.0
"""Seconds that the peer has for its close frame once ours is out."""

_BATCH: Final = 64 * 1024
"""Bytes after which a batch goes out: what is handed to the kernel can't be overtaken by a control message."""

_BATCH_BUFFERS: Final = 512
"""Buffers in one batch; Linux takes 1,024 in one sendmsg."""

_YIELD: Final = 64 * 1024
"""Bytes read without a pause before other greenlets get their turn."""

_CONTROL_BACKLOG: Final = 1024 * 1024
"""Bytes of control messages that may wait for a slow peer; above, we stop reading what makes us answer."""


class Source(Protocol):
    """Something with messages to send when its turn comes."""

    queued: bool
    """True while the writer knows of it. Only the writer and `offer` set it."""

    def take(self) -> Sequence[Buffer] | None:
        """The parts of the next message, all but the last of a length that 4 divides; None when there is none."""


class State(Enum):
    """See the table at the top of this module."""

    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class WebSocket:
    """Takes over `sock` after the handshake; `early` is what was read beyond it. `client`: which side we are."""

    def __init__(
        self,
        sock: socket.socket,
        *,
        client: bool,
        name: str,
        early: bytes = b"",
        max_message: int = MAX_MESSAGE,
    ) -> None:
        self.name = name
        self._sock = sock
        sock.settimeout(SILENCE)
        tune(sock)
        self._receiver = MessageReceiver(masked=not client, max_message=max_message, early=early)
        self._unyielded = 0
        self._frames = FrameWriter(masking=client)
        self._control: deque[bytes] = deque()
        self._control_bytes = 0
        self._pong: bytes | None = None  # RFC 6455 section 5.5.3: only the latest ping needs an answer
        self._sources: deque[Source] = deque()
        self._close_frame: bytes | None = None  # ours, from the moment it was decided until it is sent
        self._wake = Event()  # the writer has something to do
        self._taken = Event()  # the backlog of control messages is out
        self._finished = Event()  # the writer has ended
        self._state = State.OPEN
        self._peer_closed = False  # the peer's close frame is here
        self._unreadable = False  # the peer broke RFC 6455: what follows can't be read, a close frame neither
        self._failure = ""  # why the writer gave up
        self._ping_due = False
        self._pinger = gevent.get_hub().loop.timer(PING_INTERVAL, PING_INTERVAL)
        self._pinger.start(self._ping)
        self._writer = spawn(f"websocket writer of {name}", self._write)

    # -- reading: called by the owner only

    def receive(self) -> Buffer:
        """The next message; the buffer is valid until the next call.

        Raises LinkClosed when the WebSocket ended, FrameError when the peer broke RFC 6455 (a close frame with the
        error's code is on its way then).
        """
        try:
            while True:
                event = self._receiver.next_event()
                if event is None:
                    self._fill()
                elif event.opcode < Opcode.CLOSE:
                    if self._state is State.OPEN:
                        return event.payload
                else:
                    self._on_control(event.opcode, bytes(event.payload))
        except FrameError as error:
            self.close(error.code, error.reason)
            self._unreadable = True
            raise

    def allow_messages(self, max_message: int) -> None:
        """From now on messages of up to `max_message` bytes are taken."""
        self._receiver.max_message = max_message

    def _fill(self) -> None:
        if self._control_bytes > _CONTROL_BACKLOG:
            self._taken.clear()
            self._taken.wait(SILENCE)
        try:
            count = self._sock.recv_into(self._receiver.buffer())
        except TimeoutError as error:
            raise self._vanished(f"nothing received for {SILENCE:g} s") from error
        except OSError as error:
            raise self._vanished(error.strerror or str(error)) from error
        if not count:
            raise self._vanished("the connection ended without a close frame")
        self._receiver.received(count)
        self._unyielded += count
        if self._unyielded >= _YIELD:
            self._unyielded = 0
            gevent.sleep(0)

    def _vanished(self, reason: str) -> LinkClosed:
        if self._state is State.OPEN:
            self._state = State.CLOSED
            self._wake.set()
        return LinkClosed(CloseCode.ABNORMAL, self._failure or reason)

    def _on_control(self, opcode: int, payload: bytes) -> None:
        if opcode == Opcode.PING:
            self._pong = payload
            self._wake.set()
        elif opcode == Opcode.CLOSE:
            code, reason = parse_close(payload)
            self.close(CloseCode.NORMAL if code == 1005 else code)
            self._peer_closed = True
            raise LinkClosed(code, reason)

    # -- writing: any greenlet may call these; none of them waits

    def send(self, message: bytes) -> None:
        """Sends a control message, before all that the sources hold."""
        if self._state is State.OPEN:
            self._control.append(message)
            self._control_bytes += len(message)
            self._wake.set()

    def offer(self, source: Source) -> None:
        """`source` has a message: the writer takes from it, in turn with the others, until it has none."""
        if not source.queued:
            source.queued = True
            self._sources.append(source)
            self._wake.set()

    def close(self, code: int, reason: str = "") -> None:
        """Begins the closing handshake, after the control messages sent so far. The first call counts."""
        if self._state is State.OPEN:
            self._state = State.CLOSING
            self._close_frame = pack_close(code, reason)
            self._wake.set()

    def finish(self) -> None:
        """Ends the closing handshake as the owner, who reads no more: waits, CLOSE_WAIT at most, and closes."""
        self.close(CloseCode.NORMAL)
        with within(CLOSE_WAIT), contextlib.suppress(LinkClosed, FrameError):
            self._finished.wait()
            if self._unreadable:
                end_politely(self._sock, CLOSE_WAIT)
            while self._state is State.CLOSING and not (self._peer_closed or self._unreadable):
                self.receive()
        self._state = State.CLOSED
        self._pinger.close()
        self._writer.kill()
        self._sock.close()

    def _write(self) -> None:
        try:
            while self._state is not State.CLOSED:
                batch = self._gather()
                if batch:
                    self._transmit(batch)
                    if self._sources or self._control:
                        gevent.sleep(0)  # others get their turn, and what they send goes out with the next batch
                elif self._state is State.CLOSING and self._close_frame is None:
                    return
                else:
                    self._wake.clear()
                    self._wake.wait()
        except OSError as error:
            timed_out = isinstance(error, TimeoutError)
            reason = f"the peer took nothing for {SILENCE:g} s" if timed_out else error.strerror or str(error)
            self._failure = f"writing failed: {reason}"
            self._state = State.CLOSED
            with contextlib.suppress(OSError):
                self._sock.shutdown(stdlib_socket.SHUT_RDWR)  # the reader wakes and finds the reason
        finally:
            self._taken.set()
            self._finished.set()

    def _ping(self) -> None:
        self._ping_due = True
        self._wake.set()

    def _gather(self) -> list[Buffer]:
        """What goes out next: ping and pong, control messages, one message of each source, then our close frame."""
        frame = self._frames.frame
        batch: list[Buffer] = []
        size = 0
        if self._ping_due:
            self._ping_due = False
            batch += frame(Opcode.PING, b"")
        if self._pong is not None:
            batch += frame(Opcode.PONG, self._pong)
            self._pong = None
        while self._control and len(batch) < _BATCH_BUFFERS:
            message = self._control.popleft()
            self._control_bytes -= len(message)
            size += len(message)
            batch += frame(Opcode.BINARY, message)
        if not self._control:
            self._taken.set()
        while self._sources and size < _BATCH and len(batch) < _BATCH_BUFFERS and self._state is State.OPEN:
            source = self._sources.popleft()
            parts = source.take()
            if parts is None:
                source.queued = False
                continue
            self._sources.append(source)
            size += sum(map(len, parts))
            batch += frame(Opcode.BINARY, *parts)
        if self._close_frame is not None and not self._control:
            batch += frame(Opcode.CLOSE, self._close_frame)
            self._close_frame = None
        return batch

    def _transmit(self, batch: list[Buffer]) -> None:
        """Writes all of it. Raises OSError, TimeoutError when the peer takes nothing for SILENCE."""
        if isinstance(self._sock, SSLSocket):  # TLS has no scatter-gather
            batch = [b"".join(batch)]
        while batch:
            sent = self._sock.sendmsg(batch) if len(batch) > 1 else self._sock.send(batch[0])
            while batch and sent >= len(batch[0]):
                sent -= len(batch.pop(0))
            if sent:
                batch[0] = memoryview(batch[0])[sent:]
