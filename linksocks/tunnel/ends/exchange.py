"""One HTTP request in absolute-form and its response, over a channel of their own.

The target is asked to close after the response, so a response can never meet another one's request, and the target's
connection needs no pool, no idle time and no second try. The application's connection is kept: see Inbound.

Two greenlets, each with one direction: a helper moves the request, since a target may answer before it has read
all; the caller moves the response. Nothing is collected: 64 KiB of each direction are in hand, the rest waits in the
channel's window or in the application. When the request is out, the helper reads on, to see the application's end:

============================== ===================================================================
the application                what follows
============================== ===================================================================
resets                         the channel is aborted
ends its direction             so do we, towards a peer that knows half-close: the target decides
sends more                     that is its next request; it is kept, and no more is read
============================== ===================================================================

What fails before the response's head was passed on becomes an answer of ours; what fails later resets the
application's connection, so that nobody takes a part for the whole, however the body ends.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

import gevent
import h11
from gevent import socket

from linksocks.errors import Cause, ChannelError, DialError, HttpError
from linksocks.net.greenlets import give_way, spawn
from linksocks.net.sockets import end_when_closed, reset_when_closed
from linksocks.tunnel.channels.channel import Channel
from linksocks.tunnel.ends.relay import STALLED
from linksocks.tunnel.ends.stream import Stream
from linksocks.wire.http_proxy import MAX_HEAD, HttpProxyServer, for_application, next_event

_READ: Final = 64 * 1024

_TURN: Final = 64
"""Events of h11 before other greenlets get their turn: one read may bring 13,000 chunks of a byte."""

_INTERIM: Final = 16
"""Responses of 1xx before the final one."""


class Exchange:
    """Give it `channel` before that is connected, then `run` it."""

    def __init__(self, sock: socket.socket, server: HttpProxyServer, channel: Channel) -> None:
        self._sock = sock
        self._server = server
        self._channel = channel
        self._stream = Stream(channel)
        self._target = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self._gathered: list[bytes] = []  # what the application gets before the next read
        self._events = 0  # of both directions in this turn
        self._interim = 0  # responses so far
        self._begun = False  # the application has some of the final response
        self._fault: HttpError | OSError | None = None  # what was wrong with the application's side

    def run(self, head: h11.Request) -> None:
        """Returns when the response is passed on and the channel ends in good order.

        Raises DialError or HttpError while the application can be answered, and OSError after that: its
        connection is to be closed at once then.
        """
        uploader = None
        try:
            with self._faults_told():
                self._send(head)
                uploader = spawn(f"upload {self._channel.id.hex()[:8]}", self._upload)
                while not self._pass_on(self._from_target()):
                    self._count()
                self._give()
        except (DialError, HttpError) as error:
            self._channel.abort(str(error))
            if self._begun:
                raise ConnectionAbortedError(f"a response was cut: {error}") from error
            raise
        except (OSError, gevent.GreenletExit):
            self._channel.abort("the application is gone")
            reset_when_closed(self._sock)
            raise
        else:
            end_when_closed(self._sock)
            self._stream.close()
        finally:
            if uploader is not None:
                uploader.kill()

    @contextlib.contextmanager
    def _faults_told(self) -> Iterator[None]:
        """Raises what was wrong with the application's side, or a DialError for what was with the target's."""
        try:
            yield
        except ChannelError as error:
            fault = DialError(Cause.GENERAL, f"the target's connection broke: {error}")
            raise self._fault or fault from error
        except h11.ProtocolError as error:
            text = "the target's response is no HTTP/1.1, or it was cut"
            raise DialError(Cause.GENERAL, text) from error

    # -- target to application: the caller's greenlet

    def _from_target(self) -> h11.Event | None:
        """None where the target has ended without a response."""
        try:
            while (event := next_event(self._target)) is h11.NEED_DATA:
                self._give()
                self._target.receive_data(self._stream.read())
        except TimeoutError as error:
            raise DialError(Cause.TIMED_OUT, f"the target's response: {error}") from error
        return None if isinstance(event, type) else event

    def _pass_on(self, event: h11.Event | None) -> bool:
        """Whether that was the last."""
        http = self._server.http
        match event:
            case h11.InformationalResponse():
                self._interim += 1
                if self._interim > _INTERIM:
                    raise DialError(Cause.GENERAL, f"the target gave more than {_INTERIM} interim responses")
                if http.their_http_version != b"1.0":  # which does not know them
                    self._gather(http.send(_rewritten(event)))
            case h11.Response():
                response = _rewritten(event)
                self._begun = True
                reset_when_closed(self._sock)  # until all of it is there
                self._gather(http.send(response))
            case h11.Data():
                self._gather(http.send(event))
            case h11.EndOfMessage():  # trailers may be dropped (RFC 9110 section 6.5.1)
                self._gather(http.send(h11.EndOfMessage()))
                return True
            case _:
                raise ChannelError("the target closed without an answer")
        return False

    def _count(self) -> None:
        self._events += 1
        if self._events >= _TURN:
            self._events = 0
            give_way()

    def _gather(self, data: bytes | None) -> None:
        if data:
            self._gathered.append(data)

    def _give(self) -> None:
        """What was gathered goes to the application at once."""
        data = b"".join(self._gathered)
        self._gathered.clear()
        if data:
            with gevent.Timeout(STALLED, TimeoutError(f"the application took nothing for {STALLED:g} s")):
                self._sock.sendall(data)

    # -- application to target: the helper's greenlet

    def _upload(self) -> None:
        try:
            while not isinstance(event := self._from_application(), h11.EndOfMessage):
                self._send(event)
                self._count()
            self._send(h11.EndOfMessage())
            self._watch()
        except h11.RemoteProtocolError as error:
            self._fault = self._server.malformed(error)
            self._channel.fail("the application's request is malformed")
        except OSError as error:
            self._fault = error
            self._channel.fail("the application is gone")
        except ChannelError:
            pass  # the one who reads learns of it, unless the response is whole

    def _from_application(self) -> h11.Event:
        http = self._server.http
        while (event := http.next_event()) is h11.NEED_DATA:
            data = self._sock.recv(_READ)
            if not data:
                raise ConnectionResetError("the application closed in the middle of its request")
            http.receive_data(data)
        assert not isinstance(event, type)  # paused is what follows the end of a message
        return event

    def _send(self, event: h11.Event) -> None:
        data = self._target.send(event)
        if data:
            self._channel.send(data)

    def _watch(self) -> None:
        """See the table above. Raises OSError."""
        data = self._sock.recv(_READ)
        if data:
            self._server.http.receive_data(data)
        elif self._channel.half_close:
            self._channel.finish()


def _rewritten(
    response: h11.Response | h11.InformationalResponse,
) -> h11.Response | h11.InformationalResponse:
    """As the application gets it; h11 adds what frames the body."""
    kind = type(response)
    return kind(status_code=response.status_code, headers=for_application(response), reason=response.reason)
