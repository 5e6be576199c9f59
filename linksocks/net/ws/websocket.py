"""One WebSocket on a gevent socket, from the handshake's end to the close (RFC 6455).

The owner reads: `receive()` hands out whole messages and deals with control frames. All that is sent goes through the
`Writer`.

The states, and what moves between them:

========= =================================== =========
state     event                               becomes
========= =================================== =========
OPEN      `close()`, or a close frame came    CLOSING
OPEN      the peer vanished, or a write did   CLOSED
CLOSING   both close frames are through       CLOSED
CLOSING   CLOSE_WAIT passed since `close()`   CLOSED
========= =================================== =========

In CLOSING nothing more is read as a message, and what the sources still hold is not sent.
"""

from __future__ import annotations

import contextlib
from enum import Enum
from typing import Final

from gevent import socket

from linksocks.errors import FrameError, LinkClosed
from linksocks.net.greenlets import Greenlet, give_way, spawn_later, within
from linksocks.net.sockets import cut, end_politely, tune
from linksocks.net.tls.context import end_tls
from linksocks.net.ws.heartbeat import Heartbeat
from linksocks.net.ws.writer import Source, Writer
from linksocks.wire.frames import CloseCode, Opcode, pack_close, parse_close
from linksocks.wire.mask import Buffer
from linksocks.wire.receiver import MAX_MESSAGE, MessageReceiver

CLOSE_WAIT: Final = 2.0
"""Seconds for the whole closing handshake: to send what is before our close frame, and to get the peer's."""

_TURN: Final = 64 * 1024
"""What is read and worked off without a pause, in bytes, before other greenlets get their turn."""

_FRAME: Final = 1024
"""Bytes of a turn that a frame takes beside its own: one read may bring 11,000 frames of 6 bytes."""

_CONTROL_BACKLOG: Final = 1024 * 1024
"""Bytes of control messages that may wait for a slow peer; above, we stop reading what makes us answer."""

MAX_LOGIN_MESSAGE: Final = 64 * 1024
"""Bytes in a message of a stranger; an Auth and its answer have 300."""

_ASIDES: Final = 16
"""Frames of a stranger that are no whole message. A ping now and then is all that it has use for."""


class State(Enum):
    """See the table at the top of this module."""

    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class WebSocket:
    """Takes over `sock` after the handshake; `early` is what was read beyond it. `client`: which side we are.

    A `stranger` is a peer before the login. It is allowed little until its `welcome`.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        client: bool,
        name: str,
        early: bytes = b"",
        stranger: bool = False,
    ) -> None:
        self.name = name
        self._sock = sock
        sock.settimeout(None)  # the heartbeat watches: a timer for each read costs as much as the read
        tune(sock)
        self._receiver = MessageReceiver(masked=not client, max_message=MAX_MESSAGE, early=early)
        self._asides: int | None = None  # what a stranger may send yet
        if stranger:
            self._receiver.max_message, self._asides = MAX_LOGIN_MESSAGE, _ASIDES
        self._turn = 0  # what it took so far
        self._state = State.OPEN
        self._peer_closed = False  # the peer's close frame is here
        self._unreadable = False  # the peer broke RFC 6455: what follows can't be read, a close frame neither
        self._closer: Greenlet | None = None  # ends a closing handshake that takes too long
        self._failure = ""  # why we gave up
        self._writer = Writer(sock, masking=client, name=name, failed=self._on_failure)
        self._heartbeat = Heartbeat(self._writer, self._give_up)

    # -- reading: called by the owner only

    def receive(self) -> Buffer:
        """The next message; the buffer is valid until the next call.

        Raises LinkClosed when the WebSocket ended, FrameError when the peer broke RFC 6455 or our bounds (a close
        frame with the error's code is on its way then).
        """
        try:
            while True:
                if self._turn >= _TURN:
                    self._turn = 0
                    give_way()
                event = self._receiver.next_event()
                if event is None:
                    self._fill()
                    continue
                self._turn += _FRAME
                if event.opcode in (Opcode.BINARY, Opcode.TEXT):
                    if self._state is State.OPEN:
                        return event.payload
                else:
                    self._on_aside(event.opcode, bytes(event.payload))
        except FrameError as error:
            self.close(error.code, error.reason)
            self._unreadable = True
            raise

    def charge(self, size: int) -> None:
        """The last message made as much work as `size` more bytes of it."""
        self._turn += size

    def welcome(self, max_message: int) -> None:
        """The peer is no stranger: from now on messages of up to `max_message` bytes are taken, and it is pinged."""
        self._receiver.max_message = max_message
        self._asides = None
        if self._state is State.OPEN:
            self._heartbeat.ping()

    def _fill(self) -> None:
        while self._writer.backlog > _CONTROL_BACKLOG and not self._writer.finished.is_set():
            self._writer.progress.clear()
            self._writer.progress.wait()
        self._heartbeat.listening = True
        try:
            count = self._sock.recv_into(self._receiver.buffer())
        except OSError as error:
            raise self._vanished(error.strerror or str(error)) from error
        self._heartbeat.listening = False
        if not count:
            raise self._vanished("the connection ended without a close frame")
        self._receiver.received(count)
        self._heartbeat.on_received(count)
        self._turn += count

    def _vanished(self, reason: str) -> LinkClosed:
        if self._state is State.OPEN:
            self._state = State.CLOSED
        return LinkClosed(CloseCode.ABNORMAL, self._failure or reason)

    def _on_aside(self, opcode: int, payload: bytes) -> None:
        """A control frame, or a part of a message."""
        if self._asides is not None:
            self._asides -= 1
            if self._asides < 0:
                raise FrameError(CloseCode.POLICY, f"more than {_ASIDES} frames of a stranger are no message")
        if opcode == Opcode.PING:
            self._writer.pong(payload)
        elif opcode == Opcode.PONG:
            self._heartbeat.on_pong(payload)
        elif opcode == Opcode.CLOSE:
            code, reason = parse_close(payload)
            self.close(CloseCode.NORMAL if code == 1005 else code)
            self._peer_closed = True
            raise LinkClosed(code, reason)

    # -- any greenlet may call these

    @property
    def takes_more(self) -> bool:
        """Whether the peer keeps up with the control messages that it is sent; False from the close on."""
        return self._state is State.OPEN and self._writer.backlog <= _CONTROL_BACKLOG

    @property
    def rtt(self) -> float | None:
        """Seconds to the peer and back, of the last ping that it answered."""
        return self._heartbeat.rtt

    def responsive(self, timeout: float) -> bool:
        """Whether the peer was heard lately, or is within `timeout` seconds; False from the close on.

        One that does not take what it is sent is not, however much it says.
        """
        if not self.takes_more:
            return False
        return self._heartbeat.responsive(timeout) and self._state is State.OPEN

    # -- writing: any greenlet may call these; none of them waits

    def send(self, message: bytes) -> None:
        """Sends a control message, before all that the sources hold."""
        if self._state is State.OPEN:
            self._writer.send(message)

    def offer(self, source: Source) -> None:
        """`source` has a message to send in its turn."""
        if self._state is State.OPEN:
            self._writer.offer(source)

    def close(self, code: int, reason: str = "") -> None:
        """Begins the closing handshake, after the control messages sent so far. The first call counts."""
        if self._state is State.OPEN:
            self._state = State.CLOSING
            self._writer.close(pack_close(code, reason))
            self._closer = spawn_later(
                f"closer of {self.name}",
                CLOSE_WAIT,
                self._give_up,
                f"the peer did not agree to close in {CLOSE_WAIT:g} s",
            )

    def finish(self) -> None:
        """Ends the closing handshake as the owner, who reads no more: waits, CLOSE_WAIT at most, and closes."""
        self.close(CloseCode.NORMAL)
        try:
            with within(CLOSE_WAIT), contextlib.suppress(LinkClosed, FrameError):
                if self._state is State.CLOSING:
                    self._writer.finished.wait()
                if self._unreadable:
                    end_politely(self._sock, CLOSE_WAIT)
                while self._state is State.CLOSING and not (self._peer_closed or self._unreadable):
                    self.receive()
        finally:
            self._release()

    def _release(self) -> None:
        """Nothing of ours is left: also where the owner was killed while it waited."""
        self._state = State.CLOSED
        self._heartbeat.stop()
        if self._closer is not None:
            self._closer.kill(block=False)
        try:
            self._writer.stop()
        finally:
            if self._peer_closed:  # else what the peer got is not known to be all
                end_tls(self._sock)
            self._sock.close()

    def _on_failure(self, error: OSError) -> None:
        self._give_up(f"writing failed: {error.strerror or error}")

    def _give_up(self, reason: str) -> None:
        """Ends it without the peer: the reader wakes, and finds the reason."""
        self._failure = self._failure or reason
        self._state = State.CLOSED
        cut(self._sock)
