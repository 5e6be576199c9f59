"""Joins a channel and a socket, until both directions have ended.

Socket to channel is the caller's greenlet: read a chunk, send it, wait for its turn. Channel to socket needs none as
long as the socket takes all: the link's reader writes straight to it. Only what the socket does not take at once is
kept, in order, and a greenlet lives until that is written.

How a relay ends:

====================== ========================================================================
end of the socket      the channel's outgoing direction is finished, the other one goes on
error of the socket    the channel is aborted, so that the peer resets its socket
end of the channel     after the backlog the socket is shut down for writing, reading goes on
channel closed         the same; what the socket still says goes nowhere, so it has LINGER to end
channel broken         the socket is reset: the application must not take a part for the whole
====================== ========================================================================
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket as stdlib_socket
import struct
from collections import deque
from typing import Final

import gevent
from gevent import socket
from gevent.event import Event

from linksocks.errors import ChannelError
from linksocks.net.greenlets import Greenlet, spawn, spawn_later
from linksocks.tunnel.channel import CHUNK, Channel
from linksocks.wire.mask import Buffer

LINGER: Final = 5.0
"""Seconds that an application has to end after the channel was closed. Closing at once would reset the connection if
the application is still sending, and the system would throw away what it has not read yet."""

UNANSWERED: Final = 10.0
"""Seconds without news for which an application's end of stream is kept back from a peer without half-close, to
which it would end both directions: the answer to a request may still be on its way. One that has begun and not ended
by then counts as broken: the application must not take a part for the whole."""

STEP: Final = 128 * 1024
"""Unsent bytes at which a socket counts as full where PATIENCE counts, that is without flow control. Otherwise the
kernel wakes the drainer only when a third of the socket's buffer is free, 1.5 MB measured: an application that reads
100 kB/s would seem to stand still for 15 s. Not with flow control: it costs a fast stream up to a tenth."""

_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close() sends RST


class Relay:
    """The sink of `channel`. `patient` is for the side of the application, which may end its request first."""

    def __init__(self, channel: Channel, *, patient: bool) -> None:
        channel.sink = self
        self._channel = channel
        self._patient = patient
        self._sock: socket.socket | None = None  # until `run`, what comes is kept
        self._fd = -1
        self._backlog: deque[bytearray] = deque()
        self._head = 0  # bytes of the first in the backlog that are written
        self._drainer: Greenlet | None = None  # alive while there is a backlog and a socket
        self._lingerer: Greenlet | None = None
        self._incoming_ended = False
        self._closed = False  # the channel takes no more, in good order
        self._broken = ""
        self._reading = False  # the socket's end will be noticed
        self._unwritable = ""  # why the socket takes no more
        self._written = Event()  # the incoming direction has ended and is out, or the channel is broken

    def run(self, sock: socket.socket, early: bytes = b"") -> None:
        """Relays until both directions have ended, then closes `sock`. `early` was read from it already."""
        self._sock, self._fd = sock, sock.fileno()
        try:
            if not self._channel.flow:
                sock.setsockopt(stdlib_socket.IPPROTO_TCP, stdlib_socket.TCP_NOTSENT_LOWAT, STEP)
            if self._broken:  # before there was a socket
                raise ChannelError(self._broken)
            if self._backlog:
                self._start_drainer()
            elif self._incoming_ended:
                self._end_socket()
            self._pump(sock, early)
            if self._patient and not self._channel.half_close:
                self._await_answer()
            self._channel.finish()
            self._written.wait()
        except ChannelError as error:
            self._broken = self._broken or str(error)
        except OSError as error:
            self._break(error.strerror or str(error))
        except gevent.GreenletExit:
            self._break("the relay was stopped")
            raise
        finally:
            self._close(sock)

    def _pump(self, sock: socket.socket, data: bytes) -> None:
        """Socket to channel, until the socket's end. Raises ChannelError, OSError."""
        data = data or self._read(sock)
        while data and not self._broken:
            try:
                self._channel.send(data)
            except ChannelError:
                if not self._closed:
                    raise
                # An orderly end: what came before it may be on its way to the socket still.
                gevent.sleep(0)  # an application that floods us must not hold up the hub
            data = self._read(sock)
        if self._unwritable:
            raise ConnectionResetError(errno.ECONNRESET, self._unwritable)

    def _read(self, sock: socket.socket) -> bytes:
        self._reading = True
        data = sock.recv(CHUNK)
        self._reading = False
        return data

    def _await_answer(self) -> None:
        """See UNANSWERED; any byte that moves meanwhile gives the peer as long again."""
        before = self._channel.activity()
        received = before[1]
        while not self._written.wait(UNANSWERED):
            now = self._channel.activity()
            if now == before:
                if now[1] > received:
                    self._break("the answer did not end")
                return
            before = now

    # -- the sink's side: called by the link's reader, never waits

    def deliver(self, payload: Buffer) -> None:
        size = len(payload)
        if not self._backlog and self._sock is not None:
            try:
                written = os.write(self._fd, payload)  # gevent's sockets don't block
            except BlockingIOError:
                written = 0
            except OSError as error:
                self._on_unwritable(error)
                return
            self._channel.consumed(written)
            if written == size:
                return
            payload = memoryview(payload)[written:]
        elif self._broken or self._unwritable:
            return
        if len(self._backlog) > 1 and len(self._backlog[-1]) < CHUNK:
            self._backlog[-1] += payload  # a million single bytes must not be a million objects
        else:
            self._backlog.append(
                bytearray(payload)
            )  # the first may be on its way to the socket: no byte is added
        if self._sock is not None and self._drainer is None:
            self._start_drainer()

    def deliver_end(self, *, closed: bool) -> None:
        self._incoming_ended = True
        self._closed = closed
        if not self._backlog and self._sock is not None:
            self._end_socket()

    def deliver_reset(self, reason: str) -> None:
        self._broken = reason
        self._backlog.clear()
        self._wake()

    # -- the socket's side

    def _start_drainer(self) -> None:
        assert self._sock is not None
        self._drainer = spawn(f"drain {self._channel.id.hex()[:8]}", self._drain, self._sock)

    def _drain(self, sock: socket.socket) -> None:
        """Writes the backlog; the socket's buffer is full, so it waits for the application, as long as that takes."""
        backlog = self._backlog
        try:
            while backlog:
                sent = sock.send(memoryview(backlog[0])[self._head :])
                if not backlog:
                    return  # reset meanwhile
                self._head += sent
                if self._head == len(backlog[0]):
                    backlog.popleft()
                    self._head = 0
                self._channel.consumed(sent)
        except OSError as error:
            self._on_unwritable(error)
        else:
            if self._incoming_ended and not self._broken:
                self._end_socket()
        finally:
            self._drainer = None

    def _on_unwritable(self, error: OSError) -> None:
        """The other side takes no more. What it said last, a server's 413 say, may wait to be read still: the reading
        greenlet finds the end and breaks the channel, unless it is busy elsewhere."""
        self._unwritable = error.strerror or str(error)
        self._backlog.clear()
        if not self._reading:
            self._break(self._unwritable)

    def _end_socket(self) -> None:
        assert self._sock is not None
        with contextlib.suppress(OSError):  # the other side is gone: reading tells
            self._sock.shutdown(stdlib_socket.SHUT_WR)
        if self._closed and self._lingerer is None:
            self._lingerer = spawn_later(f"linger {self._channel.id.hex()[:8]}", LINGER, self._wake)
        self._written.set()

    def _break(self, reason: str) -> None:
        """The socket failed: the peer gets the reason, the waiting greenlet an end."""
        self._channel.abort(reason)
        self.deliver_reset(reason)

    def _wake(self) -> None:
        """Ends the reading of the socket without a word to the other side."""
        self._written.set()
        if self._sock is not None:
            with contextlib.suppress(OSError):
                self._sock.shutdown(stdlib_socket.SHUT_RD)

    def _close(self, sock: socket.socket) -> None:
        for helper in (self._drainer, self._lingerer):
            if helper is not None:
                helper.kill(block=False)
        if self._broken:
            with contextlib.suppress(OSError):
                sock.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_LINGER, _RESET)
        self._sock = None
        sock.close()
