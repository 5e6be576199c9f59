"""The port for local applications: a request in, and a channel for it.

What an application speaks is a Front; what it asks for goes one of these ways:

============================ ==================================================================================
CONNECT of any protocol      a channel and a Relay; with fast open, success is told before the other end answers
HTTP request, absolute-form  a channel and an Exchange; then the next request of the same application
UDP ASSOCIATE                a datagram channel and an association
============================ ==================================================================================
"""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from typing import Final

import gevent
from gevent import socket
from gevent.server import StreamServer

from linksocks.errors import Cause, DialError, RequestError
from linksocks.net.greenlets import Pool, name_current, spawn
from linksocks.net.listen import PatientAccept, listen
from linksocks.net.sockets import end_politely, shown, tune
from linksocks.tunnel.channels.channel import Channel
from linksocks.tunnel.channels.link import MAX_ASSOCIATIONS
from linksocks.tunnel.ends.association import serve_association
from linksocks.tunnel.ends.exchange import Exchange
from linksocks.tunnel.ends.front import Front, front_for
from linksocks.tunnel.ends.passage import Passage
from linksocks.tunnel.ends.relay import Relay
from linksocks.wire.http_proxy import Forward
from linksocks.wire.socks5 import Command, Request

REQUEST_TIMEOUT: Final = 20.0
"""Seconds for an application's first byte, and then for its whole request; in HTTP, for its head."""

KEEP_ALIVE: Final = 60.0
"""Seconds that an application of HTTP may wait with its next request."""

ASSOCIATIONS_OF_ONE: Final = MAX_ASSOCIATIONS // 4
"""UDP associations of one address here: a single application must not take all that the link may have."""

_FAREWELL: Final = 2.0
"""Seconds for a refused application to read why."""

_READ: Final = 16 * 1024

log = logging.getLogger(__name__)


class _PatientServer(PatientAccept, StreamServer):
    pass


class Inbound:
    """Serves applications on `listener`, a bound socket. Their channels go through `passage`, which drains them.

    A password is asked for when `username` or `password` is not empty. With `fast_open` an application hears of
    success once its request is on the way: it saves a round trip, and a target that is not reached shows as a reset.
    """

    def __init__(
        self,
        listener: socket.socket,
        passage: Passage,
        username: str = "",
        password: str = "",
        *,
        fast_open: bool = False,
    ) -> None:
        self._passage = passage
        self._username = username
        self._password = password
        self._fast_open = fast_open
        self._listener = listener
        self._server = _PatientServer(listener, self._serve, spawn=Pool())
        self._associations: Counter[str] = Counter()  # of each address
        self.port: int = listener.getsockname()[1]

    def ask_for(self, username: str, password: str) -> None:
        """From now on. Who is in stays."""
        self._username, self._password = username, password

    def start(self) -> None:
        """Begins to accept. Raises ListenError."""
        listen(self._listener)
        self._server.start()

    def close(self) -> None:
        """Closes the port. Who is in stays."""
        self._server.close()

    def stop(self) -> None:
        """Closes the port and ends all connections."""
        self._server.stop(timeout=0)

    def _serve(self, sock: socket.socket, address: tuple[str, int]) -> None:
        peer = shown(address)
        name_current(f"inbound {peer}")
        tune(sock)
        try:
            front = self._meet(sock)
            while self._fulfil(sock, front, peer):
                self._await_next(sock, front)
        except RequestError as error:
            log.warning("%s: %s", peer, error)
            self._refuse(sock, error.reply)
        except OSError as error:
            log.debug("%s: ended: %s", peer, error)
        finally:
            sock.close()

    # -- reading requests. All raise RequestError, and OSError when the application is gone

    def _meet(self, sock: socket.socket) -> Front:
        """The application's protocol, and its first request in it."""
        data = _first(sock, REQUEST_TIMEOUT)
        front = front_for(data[0], self._username, self._password)
        self._negotiate(sock, front, data)
        return front

    def _await_next(self, sock: socket.socket, front: Front) -> None:
        """Returns with another request; it may be there already."""
        if front.request is None:
            self._negotiate(sock, front, _first(sock, KEEP_ALIVE))

    def _negotiate(self, sock: socket.socket, front: Front, data: bytes) -> None:
        late = RequestError(f"the request was not whole in {REQUEST_TIMEOUT:g} s")
        with gevent.Timeout(REQUEST_TIMEOUT, late):
            while True:
                answer = front.feed(data)
                if answer:
                    sock.sendall(answer)
                if front.request is not None:
                    return
                data = _read(sock)

    # -- fulfilling them. All raise RequestError and OSError

    def _fulfil(self, sock: socket.socket, front: Front, peer: str) -> bool:
        """Does what the application asked for. Returns whether it may ask for more."""
        try:
            match front.request:
                case Forward() as request:
                    return self._forward(sock, request, peer)
                case Request(command=Command.UDP_ASSOCIATE) as request:
                    self._associate(sock, request)
                case Request() as request:
                    self._relay(sock, front, request, peer)
        except DialError as error:
            log.info("%s: %s", peer, error)
            self._refuse(sock, front.refusal(error))
        return False

    def _relay(self, sock: socket.socket, front: Front, request: Request, peer: str) -> None:
        """Raises DialError, too."""
        host = self._passage.pass_on(request.host, request.port)
        with self._passage.channel() as channel:
            relay = Relay(channel, patient=True)
            self._passage.busy.carries(relay)
            log.debug("%s: connecting to %s", peer, shown((request.host, request.port)))
            channel.begin(host, request.port)
            if not self._fast_open:
                channel.await_answer(self._passage.answer_timeout)
            watcher = None
            try:
                sock.sendall(front.success())
                if self._fast_open:
                    watcher = spawn(f"answer for {peer}", self._watch, channel, relay, peer)
                relay.run(sock, front.leftover)
            except (OSError, gevent.GreenletExit):
                channel.abort("the application is gone")
                raise
            finally:
                if watcher is not None:
                    watcher.kill(block=False)

    def _watch(self, channel: Channel, relay: Relay, peer: str) -> None:
        """What was promised by fast open is taken back where it does not come true."""
        try:
            channel.await_answer(self._passage.answer_timeout)
        except DialError as error:
            log.info("%s: %s", peer, error)
            relay.deliver_reset(str(error))

    def _forward(self, sock: socket.socket, request: Forward, peer: str) -> bool:
        """Raises DialError, too."""
        host = self._passage.pass_on(request.host, request.port)
        with self._passage.channel() as channel:
            exchange = Exchange(sock, request.server, channel)
            log.debug("%s: forwarding to %s", peer, shown((request.host, request.port)))
            channel.connect(host, request.port, self._passage.answer_timeout)
            exchange.run(request.head)
        if request.server.again():
            return True
        end_politely(sock, _FAREWELL)
        return False

    def _associate(self, sock: socket.socket, request: Request) -> None:
        """Raises DialError, too."""
        host: str = sock.getpeername()[0]
        if self._associations[host] >= ASSOCIATIONS_OF_ONE:
            raise DialError(Cause.NOT_ALLOWED, f"{host} has {ASSOCIATIONS_OF_ONE} UDP associations")
        self._associations[host] += 1
        try:
            association = self._passage.pick().open_datagrams()
            timeout, gate = self._passage.answer_timeout, self._passage.gate
            serve_association(sock, association, request.port, timeout, gate)
        finally:
            self._associations[host] -= 1
            self._associations += Counter()  # forgets those with none

    def _refuse(self, sock: socket.socket, answer: bytes) -> None:
        with contextlib.suppress(OSError):
            sock.sendall(answer)
        end_politely(sock, _FAREWELL)


def _read(sock: socket.socket) -> bytes:
    data = sock.recv(_READ)
    if not data:
        raise ConnectionResetError("the application closed")
    return data


def _first(sock: socket.socket, seconds: float) -> bytes:
    """What begins a request. Silence is no error: browsers open connections ahead of need."""
    with gevent.Timeout(seconds, TimeoutError(f"nothing came in {seconds:g} s")):
        return _read(sock)
