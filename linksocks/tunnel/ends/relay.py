"""Joins a channel and a socket, until both directions have ended.

Socket to channel is the caller's greenlet: read a chunk, send it, wait for its turn. Channel to socket needs none as
long as the socket takes all: the link's reader writes straight to it. Only what the socket does not take at once is
kept, in order, and a greenlet lives until that is written.

How a relay ends:

====================== ========================================================================
end of the socket      the channel's outgoing direction is finished, the other one goes on
error of the socket    the channel is aborted, so that the peer resets its socket
End.WHOLE              after the backlog the socket is shut down for writing, reading goes on
End.CLOSED             the same; what the socket still says goes nowhere, so it has LINGER to end
End.CUT                after the backlog, and when the system has passed it on, the socket is reset
channel broken         the socket is reset at once: nobody must take a part for the whole
====================== ========================================================================
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket as stdlib_socket
from typing import Final

import gevent
from gevent import socket
from gevent.event import Event

from linksocks.errors import ChannelError
from linksocks.net.greenlets import Greenlet, give_way, spawn, within
from linksocks.net.sockets import end_when_closed, has_news, reset_when_closed, unsent
from linksocks.tunnel.channels.channel import Channel, End
from linksocks.tunnel.channels.terms import CHUNK
from linksocks.tunnel.ends.backlog import Backlog
from linksocks.wire.mask import Buffer

LINGER: Final = 5.0
"""Seconds that an application has to end after the channel was closed. Closing at once would reset the connection if
the application is still sending, and the system would throw away what it has not read yet."""

UNANSWERED: Final = 10.0
"""Seconds without news for which an application's end of stream is kept back from a peer without half-close, to
which it would end both directions: the answer to a request may still be on its way. After that the channel counts as
broken: whether an answer is whole, nobody knows."""

HURRIED: Final = 1.0
"""The same where this side leaves, and then the channel counts as ended. Not at once: LinkSocks (Go) 1.9.0 and 1.10.1
drop what waits for the target when the end comes; of 4 MB 37 kB were lost in 2 of 2."""

STALLED: Final = 600.0
"""Seconds for which the backlog of an ended channel may stand still."""

STEP: Final = 128 * 1024
"""Unsent bytes at which a socket counts as full where PATIENCE counts, that is without flow control. Otherwise the
kernel wakes the drainer only when a third of the socket's buffer is free, 1.5 MB measured: an application that reads
100 kB/s would seem to stand still for 15 s. Not with flow control: it costs a fast stream up to a tenth."""


class Relay:
    """The sink of `channel`. `patient` is for the side of the application, which may end its request first."""

    def __init__(self, channel: Channel, *, patient: bool) -> None:
        channel.sink = self
        self._channel = channel
        self._patient = patient
        self._sock: socket.socket | None = None  # until `run`, what comes is kept
        self._fd = -1
        self._backlog = Backlog()
        self._head = 0  # bytes of the backlog's first piece that are written
        self._drainer: Greenlet | None = None  # alive while there is a backlog and a socket
        self._lingerer: Greenlet | None = None
        self._end: End | None = None
        self._broken = ""
        self._reading = False  # the socket's end will be noticed
        self._woken = False  # reading is over, whatever the socket says
        self._refused = False  # the socket said more than the channel takes
        self._unwritable = ""  # why the socket takes no more
        self._written = Event()  # the incoming direction has ended and is out, or the channel is broken
        self._hurried = Event()  # nobody waits for an answer any more

    @property
    def wanted(self) -> bool:
        """Whether there is a reason for a socket: somebody at the other end, or something that was said in time."""
        return not self._broken and (self._end is not End.CLOSED or bool(self._backlog))

    @property
    def leaving(self) -> bool:
        """One side has said its last, and that is not there yet; or more than was passed on, and perhaps its end.

        That end can't be asked for: TCP's state tells it once all before it has come. Of 4 MB whose sender had closed
        2.7 had to be read first, so whoever is still sending is counted too.
        """
        if self._sock is None:
            return self._end is not None
        if self._end is not None:
            return not self._done or unsent(self._sock) > 0
        return not self._reading or has_news(self._sock)

    @property
    def _done(self) -> bool:
        """The peer has closed, and the system has all that it said: the socket's own end changes nothing."""
        return self._end is End.CLOSED and self._written.is_set() and not self._refused

    def hurry(self) -> None:
        """This side is about to leave: an application's end is not kept back for long."""
        self._hurried.set()

    def run(self, sock: socket.socket, early: bytes = b"") -> None:
        """Relays until both directions have ended, then closes `sock`. `early` was read from it already."""
        self._sock, self._fd = sock, sock.fileno()
        reset_when_closed(sock)  # until its end is known to be one: this process may be killed
        try:
            if not self._channel.flow:
                sock.setsockopt(stdlib_socket.IPPROTO_TCP, stdlib_socket.TCP_NOTSENT_LOWAT, STEP)
            if self._broken:  # before there was a socket
                raise ChannelError(self._broken)
            if self._backlog:
                self._start_drainer()
            if self._end is not None:
                self._see_to_the_end()
            self._pump(sock, early)
            if self._patient and not self._channel.half_close:
                self._await_answer()
            self._channel.finish()
            self._written.wait()
            self._channel.gone.wait()  # until all is on its way: who watches this relay counts on that
            if self._end is End.CUT or self._refused:
                self._await_delivery(sock)
                raise ChannelError("what one side said after the end of the other went nowhere")
        except ChannelError as error:
            self._broken = self._broken or str(error)
        except OSError as error:
            self._break(error.strerror or str(error))
        except gevent.GreenletExit:
            if not self._done:
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
                if self._end is not End.CLOSED:
                    raise
                # An orderly end: what came before it may be on its way to the socket still.
                self._refused = True
                give_way()  # an application that floods us must not hold up the hub
            data = self._read(sock)
        if self._unwritable:
            raise ConnectionResetError(errno.ECONNRESET, self._unwritable)

    def _read(self, sock: socket.socket) -> bytes:
        self._reading = True
        try:
            return sock.recv(CHUNK)
        except OSError:
            if self._woken:  # gevent wakes a reader with an error
                return b""
            raise
        finally:
            self._reading = False

    def _await_answer(self) -> None:
        """See UNANSWERED; any byte that moves meanwhile gives the peer as long again."""
        before = None
        while not gevent.wait([self._written, self._hurried], timeout=UNANSWERED, count=1):
            if before == (before := self._channel.activity()):
                self._break(f"the answer did not end in {UNANSWERED:g} s")
        before = self._channel.activity()
        while not self._written.wait(HURRIED):
            if before == (before := self._channel.activity()):
                return

    def _await_delivery(self, sock: socket.socket) -> None:
        """A reset throws away what the system has not sent yet: gives it LINGER to do so."""
        with within(LINGER):
            while unsent(sock):
                gevent.sleep(0.01)

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
            if written < size:
                self._keep(memoryview(payload)[written:])
            self._channel.consumed(
                written
            )  # last: the credit goes out at once, and may bring the channel's end
        elif not (self._broken or self._unwritable):
            self._keep(payload)

    def _keep(self, payload: Buffer) -> None:
        """What the socket does not take goes to the backlog."""
        self._backlog.add(payload)
        if self._sock is not None and self._drainer is None:
            self._start_drainer()

    def deliver_end(self, end: End) -> None:
        self._end = end
        if self._sock is not None:  # else `run` does it, if there will be a socket at all
            self._see_to_the_end()

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
                sent = sock.send(memoryview(backlog.first)[self._head :])
                if not backlog:
                    return  # reset meanwhile
                self._head += sent
                if self._head == len(backlog.first):
                    backlog.pop()
                    self._head = 0
                self._channel.consumed(sent)
        except OSError as error:
            self._on_unwritable(error)
        else:
            if self._end is not None and not self._broken:
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

    def _see_to_the_end(self) -> None:
        if not self._backlog:
            self._end_socket()
        if self._lingerer is None and (self._backlog or self._end is End.CLOSED):
            self._lingerer = spawn(f"linger {self._channel.id.hex()[:8]}", self._linger)

    def _end_socket(self) -> None:
        assert self._sock is not None
        if self._end is not End.CUT:
            end_when_closed(self._sock)
            with contextlib.suppress(OSError):  # the other side is gone: reading tells
                self._sock.shutdown(stdlib_socket.SHUT_WR)
        self._written.set()

    def _linger(self) -> None:
        """Nobody else watches a relay whose channel has ended: sees to it that this one ends too."""
        still = 0.0
        while self._backlog and still < STALLED:
            before = self._channel.activity()
            gevent.sleep(LINGER)
            still = still + LINGER if before == self._channel.activity() else 0.0
        if self._backlog:
            self._break(f"nothing was taken for {STALLED:g} s after the end")
        elif self._end is End.CLOSED:
            gevent.sleep(LINGER)
            self._wake()

    def _break(self, reason: str) -> None:
        """The socket failed: the peer gets the reason, the waiting greenlet an end."""
        self._channel.abort(reason)
        self.deliver_reset(reason)

    def _wake(self) -> None:
        """Ends the reading of the socket without a word to the other side."""
        self._written.set()
        self._woken = True
        if self._sock is not None:
            with contextlib.suppress(OSError):
                self._sock.shutdown(stdlib_socket.SHUT_RD)

    def _close(self, sock: socket.socket) -> None:
        for helper in (self._drainer, self._lingerer):
            if helper is not None:
                helper.kill(block=False)
        if self._broken:
            reset_when_closed(sock)
        self._sock = None
        sock.close()
